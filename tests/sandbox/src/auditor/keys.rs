//! Guarantees 2, 4 and 5: no credential is lost, no key is unaccounted for, and nothing is deleted that is not ours or
//! not yet at its end.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::books::KeyRecord;
use super::{Breach, Scene, function};
use crate::cloud::{Effect, Event, KeyStatus};

/// How a notice says that an Inactive key is deleted before its time.
const DELETED_NOW: &str = "is deleted now";

/// An Inactive key counts (FACTS A).
const KEYS_OF_A_USER: usize = 2;

/// The record of an inactivation bears the time at which the execution entered its state, which lies before the call
/// by at most a function's time-out; a daily run meets the deadline to the second.
const RECORD_PRECEDES_CALL_BY: SignedDuration = SignedDuration::from_mins(5);

/// Judges what a function takes away, before it is gone from the books.
pub(super) fn judge_removals(scene: Scene<'_>, event: &Event) -> Vec<Breach> {
    let Some(name) = function(event) else { return Vec::new() };
    let of_effect = |effect: &Effect| match effect {
        Effect::KeyStatusChanged { access_key_id, to: KeyStatus::Inactive | KeyStatus::Expired, .. } => {
            let key = scene.books.keys.get(access_key_id)?;
            let is_ours = is_ours(scene, access_key_id, key);
            (!is_ours).then(|| {
                let user = &key.user_name;
                (5, format!("{name} made the key {access_key_id} of {user} Inactive, which no function made and no labelled version held"))
            })
        }
        Effect::KeyDeleted { access_key_id, .. } => {
            let key = scene.books.keys.get(access_key_id)?;
            let why = why_not_deleted(scene, event, access_key_id, key)?;
            Some((5, format!("{name} deleted the key {access_key_id} of {}, {why}", key.user_name)))
        }
        Effect::KeyStatusChanged { .. }
        | Effect::UserCreated { .. }
        | Effect::KeyCreated { .. }
        | Effect::KeyUsed { .. }
        | Effect::SecretCreated { .. }
        | Effect::VersionStored { .. }
        | Effect::VersionsCollected { .. }
        | Effect::LabelMoved { .. }
        | Effect::TagsChanged { .. }
        | Effect::CommandSent { .. }
        | Effect::CommandCancelled { .. }
        | Effect::InvocationDelivered { .. }
        | Effect::InvocationEnded { .. }
        | Effect::InstanceChanged { .. }
        | Effect::InstanceRestored { .. }
        | Effect::AgentChanged { .. }
        | Effect::DocumentCreated { .. }
        | Effect::ObjectStored { .. }
        | Effect::NoticePublished { .. }
        | Effect::ExecutionChanged { .. } => None,
    };
    event.effects.iter().filter_map(of_effect).collect()
}

fn is_ours(scene: Scene<'_>, access_key_id: &str, key: &KeyRecord) -> bool {
    let is_made = key.made_by.is_some() || looks_made_by_us(scene, access_key_id, key);
    let is_known = is_made || scene.books.accounted.contains(access_key_id);
    key.user_name == scene.rules.user && is_known
}

/// The limit of guarantee 5: a key that a person makes while a run is about to make one, and that nobody ever uses, looks
/// like the run's own whose reply was lost.
fn looks_made_by_us(scene: Scene<'_>, access_key_id: &str, key: &KeyRecord) -> bool {
    key.made_within_intent && !scene.books.uses.contains_key(access_key_id)
}

/// Why a key may not be deleted at this event, if it may not.
fn why_not_deleted(scene: Scene<'_>, event: &Event, access_key_id: &str, key: &KeyRecord) -> Option<String> {
    if !is_ours(scene, access_key_id, key) {
        return Some("which no function made and no labelled version held".to_owned());
    }
    // Nobody can hold a value that was never stored.
    let is_unstored = key.made_by.is_some() && !scene.books.was_stored(access_key_id);
    let is_nobodys = looks_made_by_us(scene, access_key_id, key) && !scene.books.is_labelled(access_key_id);
    let is_orphan = is_unstored || is_nobodys;
    if key.status == KeyStatus::Active {
        return (!is_orphan).then(|| "which was Active".to_owned());
    }
    let since = key.inactive_since?;
    let retirement = scene.rules.retirement.as_ref()?;
    let wait = if is_orphan { retirement.quiet_period() } else { retirement.delete_after() };
    if scene.was_named_first(&[access_key_id, DELETED_NOW]) {
        return None;
    }
    let left_alone = event.time.duration_since(since) + RECORD_PRECEDES_CALL_BY;
    (left_alone < wait).then(|| format!("which was Inactive only since {since}; {} hours must pass", wait.as_hours()))
}

/// Judges how many keys the user has.
pub(super) fn judge_count(scene: Scene<'_>, event: &Event) -> Option<Breach> {
    let user = &scene.rules.user;
    let made = |effect: &Effect| matches!(effect, Effect::KeyCreated { user_name, .. } if user_name == user);
    let keys: Vec<&str> =
        scene.books.keys.iter().filter(|(_, key)| key.user_name == *user).map(|(id, _)| id.as_str()).collect();
    let too_many = event.effects.iter().any(made) && keys.len() > KEYS_OF_A_USER;
    too_many.then(|| (4, format!("{user} has {} keys: {}", keys.len(), keys.join(", "))))
}

/// Keys that are lost at some moment. What a function loses is a breach; what a person loses is the person's.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Keys that a function made and that neither a labelled version nor an open intent explains.
    unexplained: BTreeSet<String>,
    /// Keys that a host holds and whose versions bear no label.
    unlabelled: BTreeSet<String>,
}

impl Losses {
    /// What is lost now. Where nothing changed, nothing can be newly lost on a host.
    pub(super) fn now(scene: Scene<'_>, something_changed: bool) -> Losses {
        let books = scene.books;
        let is_explained = |id: &String, key: &KeyRecord| {
            books.in_hand.contains_key(id) || books.is_labelled(id) || books.is_intended(id, key)
        };
        let made = books.keys.iter().filter(|(_, key)| key.user_name == scene.rules.user && key.made_by.is_some());
        let unexplained = made.filter(|(id, key)| !is_explained(id, key)).map(|(id, _)| id.clone()).collect();
        let candidates: BTreeSet<&String> =
            books.keys.keys().filter(|id| books.was_stored(id) && !books.is_labelled(id)).collect();
        // Every host is asked only where there is something to ask about.
        let unlabelled = match candidates.is_empty() || !something_changed {
            true => books.losses.unlabelled.iter().filter(|id| candidates.contains(id)).cloned().collect(),
            false => held_by_hosts(scene).into_iter().filter(|id| candidates.contains(id)).collect(),
        };
        Losses { unexplained, unlabelled }
    }

    /// What a function lost by an event.
    pub(super) fn judge_against(&self, before: &Losses, event: &Event) -> Vec<Breach> {
        let Some(name) = function(event) else { return Vec::new() };
        let did = format!("after {name}'s {}:{}", event.service.name(), event.action);
        let unexplained = self.unexplained.difference(&before.unexplained).map(|key| {
            (
                4,
                format!(
                    "{did} no labelled version and no open intent accounts for the key {key}, which a function made"
                ),
            )
        });
        let unlabelled = self.unlabelled.difference(&before.unlabelled).map(|key| {
            (2, format!("{did} no version with the key {key} bears a label, although a host's credential holds it"))
        });
        unexplained.chain(unlabelled).collect()
    }
}

/// The keys in the rotation's credentials of every host, running or not.
fn held_by_hosts(scene: Scene<'_>) -> BTreeSet<String> {
    let hosts = scene.fleet.hosts();
    let held = hosts.iter().flat_map(|host| host.held_keys());
    held.filter(|held| scene.rules.is_listed(&held.credential)).map(|held| held.access_key_id).collect()
}
