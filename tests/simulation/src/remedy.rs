//! A person who reads why a run refused, and does the one thing that the message names: no more is asked of people.
//!
//! A run that did what it could succeeds, and its notice says what else is to be done: so notices are read as well.
//!
//! What the person does is taken from the message's own words, the ids in it among them; a message that does not name
//! what to do, or names what does not help, leaves its history undone, and the history is told as a failing one.

use rotation::names::{AWSCURRENT, AWSPENDING};
use sandbox::cloud::KeyStatus;
use sandbox::machine::Execution;
use sandbox::world::World;
use serde_json::{Value, json};

use crate::beginning::{SECRET, USER};
use crate::hand::store_new_key;
use crate::history::History;

/// What an execution failed with, in the function's own words.
pub fn message(execution: &Execution) -> String {
    let cause = execution.cause.clone().unwrap_or_default();
    let report: Option<Value> = serde_json::from_str(&cause).ok();
    let message = report.as_ref().and_then(|report| report["errorMessage"].as_str());
    message.map_or(cause.clone(), str::to_owned)
}

/// How a message names the way to the key that still works.
const ROLL_BACK: &str = "start {\"mode\": \"rollback\"}";

/// How a way back names what stands in its way.
const ABANDON_FIRST: &str = "start {\"mode\": \"abandon\"} first";

/// What a person does about a message.
enum Remedy {
    /// Something in AWS, which is done.
    Done(String),
    /// An execution.
    Start(Value),
}

/// Does what the refusal of a run names; whether there was something to do.
pub async fn remedied(history: &mut History, execution: &Execution) -> bool {
    let world = &history.world;
    let told = world.cloud.notices().pop().map(|notice| notice.message).unwrap_or_default();
    let message = if execution.error.is_some() { message(execution) } else { told };
    let remedy = match execution.error.as_deref().unwrap_or_default() {
        "UnknownAccessKey" => settle_unknown_keys(world, &message).map(Remedy::Done),
        "PendingVersionNotOurs" => take_pending_off(world, &message).map(Remedy::Done),
        "SecretValueUnreadable" => store_key_in_use(world).map(Remedy::Done),
        _ if message.contains(ROLL_BACK) => Some(Remedy::Start(json!({ "mode": "rollback" }))),
        _ => None,
    };
    let Some(remedy) = remedy else { return false };
    history.trace.say(world.clock.now(), &format!("— a person reads: {message}"));
    history.remedies.push(execution.error.clone().unwrap_or_else(|| "a notice of success".to_owned()));
    match remedy {
        Remedy::Done(said) => history.trace.say(history.world.clock.now(), &format!("— a person {said}")),
        Remedy::Start(input) => {
            let execution = history.run(input.clone()).await;
            // The way back may say what must be given up first.
            if self::message(&execution).contains(ABANDON_FIRST) {
                history.run(json!({ "mode": "abandon" })).await;
                history.run(input).await;
            }
        }
    }
    true
}

/// "If the hosts hold it, store it as the secret's value; if not, deactivate it, and delete it later."
fn settle_unknown_keys(world: &World, message: &str) -> Option<String> {
    let keys = ids(message);
    let held = keys.iter().find_map(|key| held_pair(world, |id| id == key));
    if let Some(pair) = held {
        world.cloud.put_secret_value(SECRET, &pair, &[AWSCURRENT]).ok()?;
        return Some("stores the unknown key, which hosts hold".to_owned());
    }
    for key in &keys {
        world.cloud.update_access_key(USER, key, KeyStatus::Inactive).ok()?;
        world.cloud.delete_access_key(USER, key).ok()?;
    }
    (!keys.is_empty()).then(|| format!("deletes {}", keys.join(", ")))
}

/// "Remove the label: aws secretsmanager update-secret-version-stage …"
fn take_pending_off(world: &World, message: &str) -> Option<String> {
    let (_, version) = message.rsplit_once("--remove-from-version-id ")?;
    world.cloud.move_label(SECRET, AWSPENDING, Some(version.trim()), None).ok()?;
    Some(format!("takes AWSPENDING off {version}"))
}

/// "Store the access key in use as AKID:SECRET": the one that hosts hold and that works, else a new one.
fn store_key_in_use(world: &World) -> Option<String> {
    let keys = world.cloud.access_keys(USER);
    let works = |id: &str| keys.iter().any(|key| key.access_key_id == id && key.status == KeyStatus::Active);
    if let Some(pair) = held_pair(world, works) {
        world.cloud.put_secret_value(SECRET, &pair, &[AWSCURRENT]).ok()?;
        return Some("stores the key that hosts hold".to_owned());
    }
    // No host holds a key that works, so nobody misses the keys that there are.
    if keys.len() >= 2 {
        world.cloud.delete_access_key(USER, &keys[0].access_key_id).ok()?;
    }
    store_new_key(world, AWSCURRENT).map(|()| "makes a key and stores it".to_owned())
}

/// The value, as SQL Server got it, of a key that a host holds.
fn held_pair(world: &World, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let hosts = world.fleet.hosts();
    let servers = hosts.iter().flat_map(|host| host.sql_servers());
    let credentials = servers.flat_map(|(_, server)| server.credentials.into_iter());
    let ours = credentials.filter(|(name, _)| world.settings.credentials().contains(name));
    ours.map(|(_, credential)| credential).find(|held| held.access_key_id().is_some_and(&is_wanted))?.secret
}

/// The access key ids in a text, each once.
fn ids(text: &str) -> Vec<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    let mut ids: Vec<String> =
        words.filter(|word| word.starts_with("AKIA") && word.len() >= 16).map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    ids
}
