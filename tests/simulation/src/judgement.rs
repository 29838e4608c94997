//! What a history is judged by: the guarantees at every instant, and at its end that everything came right.

use sandbox::cloud::KeyStatus;
use sandbox::world::World;

use crate::beginning::{OLD_KEY, SECRET, USER};

/// What is wrong with a history whatever its end: broken guarantees, and backups of a night that failed.
pub fn breaches(world: &World) -> Vec<String> {
    let findings = world.auditor.findings().into_iter().map(|finding| finding.to_string());
    let backups = world.failed_backups().into_iter().map(|failed| format!("a nightly backup failed: {failed:?}"));
    findings.chain(backups).collect()
}

/// What is left undone at the end of a rotation that ought to be over: one new key, Active and current, held by every
/// running host of the fleet; no label, intent or temporary credential of a rotation that is under way.
pub fn undone(world: &World) -> Vec<String> {
    let mut undone = Vec::new();
    let Some(secret) = world.cloud.secret(SECRET) else { return vec!["the secret is gone".to_owned()] };
    let current = secret.labels.get("AWSCURRENT").and_then(|version| secret.versions.get(version)?.clone());
    let keys = world.cloud.access_keys(USER);
    match (keys.as_slice(), &current) {
        ([key], Some(current)) if key.access_key_id == *current && key.status == KeyStatus::Active => {}
        _ => undone.push(format!("the keys are {keys:?}, and {current:?} is current")),
    }
    if current.as_deref() == Some(OLD_KEY) {
        undone.push("the key was not rotated".to_owned());
    }
    if let Some(version) = secret.labels.get("AWSPENDING") {
        undone.push(format!("version {version} is still pending"));
    }
    let strays = secret.labels.keys().filter(|label| label.starts_with("AKIA") && Some(*label) != current.as_ref());
    undone.extend(strays.map(|label| format!("the label {label} is left")));
    let intents = secret.tags.keys().filter(|tag| tag.contains(":intent") || tag.contains(":inactive"));
    undone.extend(intents.map(|tag| format!("the tag {tag} of the secret is left")));
    undone.extend(world.fleet.hosts().iter().flat_map(|host| astray(world, host.instance_id(), current.as_deref())));
    undone
}

/// What a running host holds that it ought not to.
fn astray(world: &World, id: &str, current: Option<&str>) -> Vec<String> {
    let is_of_fleet =
        |tags: &std::collections::BTreeMap<String, String>| tags.get("SQL").is_some_and(|value| value == "2022");
    let Some(instance) = world.cloud.instance(id).filter(|instance| instance.online && is_of_fleet(&instance.tags))
    else {
        return Vec::new();
    };
    let held = world.fleet.host(&instance.instance_id).map(|host| host.held_keys()).unwrap_or_default();
    // A temporary credential lies below one of ours, and none is left behind.
    let is_ours = |name: &str| world.settings.credentials().iter().any(|listed| name.starts_with(listed.as_str()));
    let prefix = world.settings.access_key().map(|key| key.proof.prefix.clone()).unwrap_or_default();
    let is_temporary = |name: &str| name.contains(&format!("/{prefix}/"));
    let wrong = held
        .into_iter()
        .filter(|held| is_ours(&held.credential))
        .filter(|held| Some(held.access_key_id.as_str()) != current || is_temporary(&held.credential));
    wrong.map(|held| format!("{id} holds {} as {}", held.access_key_id, held.credential)).collect()
}
