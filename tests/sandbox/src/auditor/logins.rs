//! What a host holds of a rotation of logins: the password that each of its SQL Server instances lets a login in with.

use rotation::access_key::SecretValue;
use rotation::login::value::LoginValue;
use rotation::names::AWSCURRENT;

use super::{Breach, Scene};
use crate::host::{Host, SqlServer};

/// Whether every instance of a host that has a version's login lets it in with the version's password.
pub(super) fn holds(scene: Scene<'_>, host: &Host, version: &str) -> bool {
    let Some(value) = value_of(scene, version) else { return false };
    host.sql_servers().iter().all(|(_, server)| lets_in(server, &value).unwrap_or(true))
}

/// Judges an instance on which a login was changed: where two take turns nobody takes from applications the one that
/// they read, and no password is set that no labelled version holds.
pub(super) fn judge_change(scene: Scene<'_>, host: &Host, endpoint: &str) -> Vec<Breach> {
    let Some((_, server)) = host.sql_servers().into_iter().find(|(name, _)| name == endpoint) else {
        return Vec::new();
    };
    let id = host.instance_id();
    let labelled: Vec<LoginValue> =
        scene.books.labels.values().filter_map(|version| value_of(scene, version)).collect();
    let is_known = |login: &&String| {
        let mut of_login = labelled.iter().filter(|value| value.login == **login);
        !server.logins.contains_key(*login) || of_login.any(|value| lets_in(&server, value) == Some(true))
    };
    // The login whose turn it has never been has a password that a person gave it.
    let has_had_its_turn = |login: &&String| labelled.iter().any(|value| value.login == **login);
    let lost = scene.rules.logins.iter().filter(has_had_its_turn).filter(|login| !is_known(login));
    let mut breaches: Vec<Breach> = lost
        .map(|login| (2, format!("{login} on {id} at {endpoint} has a password that no labelled version holds")))
        .collect();
    let current = scene.books.labels.get(AWSCURRENT).and_then(|version| value_of(scene, version));
    if let Some(current) =
        current.filter(|current| scene.rules.logins.len() > 1 && lets_in(&server, current) == Some(false))
    {
        let login = current.login.clone();
        breaches.push((1, format!("{login} on {id} at {endpoint} was changed while AWSCURRENT names it")));
    }
    breaches
}

/// Whether an instance lets a login in, where it has it.
fn lets_in(server: &SqlServer, value: &LoginValue) -> Option<bool> {
    server.logins.get(&value.login).map(|login| login.password == value.password.reveal())
}

fn value_of(scene: Scene<'_>, version: &str) -> Option<LoginValue> {
    let value = scene.cloud.secret_value(&scene.rules.secret_arn, version)?;
    LoginValue::parse(&SecretValue::new(value), &scene.rules.logins).ok()
}
