//! What the integration tests share: small fleets, the settings of the published set-up, and the questions that they
//! ask of a world afterwards.
//!
//! Fleets and settings are JSON, in the very shape of the files that a person writes, changed by [`with`].

#![allow(clippy::expect_used, clippy::panic, reason = "only tests call this, and a test ends by failing")]

use std::collections::BTreeMap;
use std::sync::Arc;

use sandbox::cloud::{Caller, Effect, Event, KeyStatus, Service};
use sandbox::fleet_file::FleetFile;
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::World;
use serde_json::{Value, json};

/// The key that the hosts hold at the start.
pub const OLD_KEY: &str = "AKIASANDBOXCURRENT00";
/// The second key, where the fleet asks for one.
pub const SECOND_KEY: &str = "AKIASANDBOXSECOND000";
/// The user whose key is rotated.
pub const USER: &str = "sql-backups-user";
/// The secret.
pub const SECRET: &str = "sqlcredential";
/// The account of the functions.
pub const ACCOUNT: &str = "111122223333";
/// Their region.
pub const HOME: &str = "eu-west-1";

/// The id of the host of a number.
pub fn id(number: u32) -> String {
    format!("i-{number:017x}")
}

/// A running host with one SQL Server 2022.
pub fn host(number: u32) -> Value {
    json!({ "id": id(number), "region": HOME, "tags": { "SQL": "2022" }, "sqlServers": [{}] })
}

/// JSON with changes, by the rules of a merge patch: objects are merged, `null` removes, all else replaces.
#[must_use]
pub fn with(mut base: Value, changes: Value) -> Value {
    match (base.as_object_mut(), changes) {
        (Some(members), Value::Object(changes)) => {
            for (name, change) in changes {
                let member = members.remove(&name).unwrap_or_default();
                if !change.is_null() {
                    members.insert(name, with(member, change));
                }
            }
            base
        }
        (_, change) => change,
    }
}

/// A fleet of these hosts.
pub fn fleet(hosts: impl IntoIterator<Item = Value>) -> Value {
    let hosts: Vec<Value> = hosts.into_iter().collect();
    json!({ "account": ACCOUNT, "region": HOME, "startsAt": "2026-11-24T06:00:00Z", "hosts": hosts })
}

/// The settings of the published set-up, for a fleet in the home region.
pub fn settings() -> Value {
    json!({
        "rotation": "sql-backups",
        "secret": { "id": SECRET },
        "user": USER,
        "credentials": ["s3://sql-backups.s3.eu-west-1.amazonaws.com"],
        "fleet": {
            "tags": [{ "key": "SQL", "values": ["2022"] }],
            "targets": [{ "account": ACCOUNT, "regions": [HOME] }]
        },
        "topic": "arn:aws:sns:eu-west-1:111122223333:credential-rotation"
    })
}

/// The secret of a rotation of logins.
pub const LOGIN_SECRET: &str = "app/sql-login";

/// The settings of a rotation of these logins.
pub fn login_settings(names: &[&str]) -> Value {
    json!({
        "rotation": "app-login",
        "kind": "sqlServerLogin",
        "secret": { "id": LOGIN_SECRET },
        "login": { "names": names },
        "fleet": {
            "tags": [{ "key": "SQL", "values": ["2022"] }],
            "targets": [{ "account": ACCOUNT, "regions": [HOME] }]
        },
        "topic": "arn:aws:sns:eu-west-1:111122223333:credential-rotation"
    })
}

/// A world of a fleet under settings.
pub async fn world(fleet: Value, settings: Value) -> World {
    let file: FleetFile = serde_json::from_value(fleet).expect("the test's fleet is a fleet file");
    World::new(&file, settings, Arc::new(|_| {})).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A world with an application that reads the secret every ten seconds.
pub async fn with_application(hosts: u32, settings: Value) -> World {
    let mut file = fleet((1..=hosts).map(host));
    file["application"] = json!({ "refreshSeconds": 10 });
    world(file, settings).await
}

/// How often functions make each call that changes something, in a quiet life.
pub fn changing_calls(world: &World) -> BTreeMap<(Service, String), u32> {
    let journal = world.cloud.journal();
    let by_functions = |caller: &Caller| matches!(caller, Caller::Function { name, .. } if name != "state-machine");
    let mut calls: BTreeMap<(Service, String), u32> = BTreeMap::new();
    for event in journal.iter().filter(|event| by_functions(&event.caller)) {
        *calls.entry((event.service, event.action.clone())).or_default() += 1;
    }
    let changes = |service: Service, action: &str| {
        journal.iter().any(|event| {
            let is_use = |effect: &Effect| matches!(effect, Effect::KeyUsed { .. });
            event.service == service
                && event.action == action
                && by_functions(&event.caller)
                && !event.effects.iter().all(is_use)
        })
    };
    calls.retain(|(service, action), _| changes(*service, action));
    calls
}

/// The check at every test's end: no guarantee was broken and no backup of a night failed.
pub async fn conclude(world: &World) {
    world.shut_down().await;
    world.auditor.assert_clean();
    let failed = world.failed_backups();
    assert!(failed.is_empty(), "backups failed: {failed:#?}");
}

/// Runs and expects success; the report's text.
pub async fn succeed(world: &mut World, mode: &str) -> String {
    let execution = world.run(json!({ "mode": mode })).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{mode} failed: {}", failure(&execution));
    execution.output.as_ref().and_then(|report| report["message"].as_str()).unwrap_or_default().to_owned()
}

/// Runs and expects to fail by a name; the text that a person reads.
pub async fn fail(world: &mut World, input: Value, error: &str) -> String {
    let execution = world.run(input).await;
    let said = failure(&execution);
    assert_eq!(execution.status, ExecutionStatus::Failed, "it should have ended with {error}");
    assert_eq!(execution.error.as_deref(), Some(error), "{said}");
    said
}

/// What an execution failed with, in the function's own words.
pub fn failure(execution: &Execution) -> String {
    let cause = execution.cause.clone().unwrap_or_default();
    let report: Option<Value> = serde_json::from_str(&cause).ok();
    let message = report.as_ref().and_then(|report| report["errorMessage"].as_str());
    message.map_or(cause.clone(), str::to_owned)
}

/// Lets the days pass that a rotation needs after its promotion, with the daily converge on those that matter: belief,
/// the end of the overlap, deletion. Each must succeed.
pub async fn live_through_the_overlap(world: &mut World) {
    for days in [1, 8, 8] {
        world.pass_days(days).await;
        succeed(world, "converge").await;
    }
}

/// The user's keys and their status.
pub fn keys(world: &World) -> BTreeMap<String, KeyStatus> {
    world.cloud.access_keys(USER).into_iter().map(|key| (key.access_key_id, key.status)).collect()
}

/// The keys that work.
pub fn active_keys(world: &World) -> Vec<String> {
    keys(world).into_iter().filter(|(_, status)| *status == KeyStatus::Active).map(|(key, _)| key).collect()
}

/// The version that bears a label.
pub fn version_of(world: &World, label: &str) -> Option<String> {
    world.cloud.secret(SECRET)?.labels.get(label).cloned()
}

/// The key that the version with a label holds.
pub fn key_of(world: &World, label: &str) -> Option<String> {
    let secret = world.cloud.secret(SECRET)?;
    secret.versions.get(secret.labels.get(label)?)?.clone()
}

/// The value of the version with a label.
pub fn value_of(world: &World, label: &str) -> String {
    let version = version_of(world, label).unwrap_or_default();
    world.cloud.secret_value(SECRET, &version).unwrap_or_default()
}

/// The keys that each SQL Server instance of a host holds.
pub fn held_by(world: &World, host: &str) -> Vec<String> {
    let host = world.fleet.host(host).expect("the test asks for a host of its fleet");
    let servers = host.sql_servers().into_iter().map(|(_, server)| server);
    servers
        .flat_map(|server| server.credentials.into_values())
        .filter_map(|held| held.access_key_id().map(str::to_owned))
        .collect()
}

/// What functions did that changed anything, with the name of the call.
pub fn effects_of_functions(world: &World) -> Vec<(Event, Effect)> {
    let journal = world.cloud.journal().into_iter();
    let by_functions =
        journal.filter(|event| matches!(&event.caller, Caller::Function { name, .. } if name != "state-machine"));
    by_functions
        .flat_map(|event| event.effects.clone().into_iter().map(move |effect| (event.clone(), effect)))
        .collect()
}

/// The end of a rotation: one key, Active, current, stored, held by every named host; no label of a rotation that is
/// under way; nothing left of an intent.
pub fn assert_rotated(world: &World, hosts: &[u32]) {
    let current = key_of(world, "AWSCURRENT").expect("a version is current");
    assert_ne!(current, OLD_KEY, "the key was not rotated");
    assert_eq!(keys(world), BTreeMap::from([(current.clone(), KeyStatus::Active)]), "one key is left");
    assert_eq!(version_of(world, "AWSPENDING"), None, "nothing is pending");
    assert_eq!(
        version_of(world, &current),
        version_of(world, "AWSCURRENT"),
        "the private label is on the current version"
    );
    let secret = world.cloud.secret(SECRET).expect("the secret is there");
    assert!(!secret.tags.keys().any(|tag| tag.contains(":intent")), "an intent is still open: {:?}", secret.tags);
    for number in hosts {
        let held = held_by(world, &id(*number));
        assert!(held.iter().all(|key| *key == current), "{} holds {held:?}", id(*number));
    }
}
