//! What the auditor remembers of the cloud, entered from events alone.
//!
//! An observer is told of an event when others may have happened already, so that the cloud's present state is not
//! what was so at that event. The books are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rotation::names::{AWSCURRENT, AWSPENDING, INACTIVE_TAG_PREFIX, INTENT_KEYS_TAG, INTENT_TAG};
use rotation::plan::INTENT_WINDOW;

use super::keys::Losses;
use super::{Rules, function};
use crate::cloud::{Cloud, Effect, Event, InstanceState, KeyStatus, Service};

/// The intent bears the time at which the execution entered its state, by another clock than IAM's.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// One existing access key.
#[derive(Clone, Debug)]
pub(super) struct KeyRecord {
    pub(super) user_name: String,
    pub(super) status: KeyStatus,
    pub(super) created: Timestamp,
    /// The function that made it, if one did.
    pub(super) made_by: Option<String>,
    /// Whether an intent was ever open that explains it, whoever made it.
    pub(super) made_within_intent: bool,
    pub(super) inactive_since: Option<Timestamp>,
}

/// An account and a region.
type Place = (String, String);

/// The books.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Hosts without which a person lets promotions go on.
    pub(super) gone_without: BTreeSet<String>,
    /// Every existing key, of any user.
    pub(super) keys: BTreeMap<String, KeyRecord>,
    /// The key of every version that was ever stored.
    pub(super) versions: BTreeMap<String, Option<String>>,
    /// The holder of each label.
    pub(super) labels: BTreeMap<String, String>,
    /// The secret's tags.
    tags: BTreeMap<String, String>,
    /// Keys that a labelled version has ever held: adopted, or stored by us.
    pub(super) accounted: BTreeSet<String>,
    /// Keys that are out of use since somebody other than a function took them.
    pub(super) taken: BTreeSet<String>,
    /// Keys whose maker, a function, has called no other service since.
    pub(super) in_hand: BTreeMap<String, String>,
    /// Since when both AWSCURRENT and AWSPENDING are where they are.
    pub(super) target_since: Option<Timestamp>,
    /// Since when AWSPENDING is where it is.
    pub(super) pending_since: Option<Timestamp>,
    /// When a host last came up, got other disks, or got other tags from a person.
    pub(super) renewed: BTreeMap<String, Timestamp>,
    /// When a host last came online, and went offline.
    pub(super) online_since: BTreeMap<String, Timestamp>,
    pub(super) offline_since: BTreeMap<String, Timestamp>,
    /// When a function last looked at the hosts of a place.
    pub(super) looks: BTreeMap<(String, Place), Timestamp>,
    /// When functions last sent a command in a place.
    pub(super) commands: BTreeMap<Place, Timestamp>,
    /// When a key last wrote an object that names an instance.
    pub(super) objects: BTreeMap<(String, String), Timestamp>,
    /// When a key last signed anything.
    pub(super) uses: BTreeMap<String, Timestamp>,
    /// What was lost before the last event.
    pub(super) losses: Losses,
    pub(super) last_event: u64,
}

impl Books {
    /// What no event tells: the status of a key that was set up, and the key of a value that was older than the key.
    pub(super) fn open(&mut self, cloud: &Cloud, rules: &Rules) {
        let now = cloud.clock().now();
        if let Some(secret) = cloud.secret(&rules.secret_arn) {
            for (version, key) in secret.versions {
                let known = self.versions.entry(version).or_default();
                *known = known.take().or(key);
            }
        }
        for view in cloud.access_keys(&rules.user) {
            if let Some(key) = self.keys.get_mut(&view.access_key_id) {
                key.status = view.status;
                let recorded = self.tags.get(&format!("{INACTIVE_TAG_PREFIX}{}", view.access_key_id));
                let recorded = recorded.and_then(|text| text.parse().ok()).unwrap_or(now);
                let inactive = (view.status != KeyStatus::Active).then_some(recorded);
                key.inactive_since = key.inactive_since.or(inactive);
            }
        }
        // What was there when the watch began could be seen.
        self.renewed.clear();
        self.account();
    }

    /// Enters one event.
    pub(super) fn enter(&mut self, event: &Event, cloud: &Cloud, rules: &Rules) {
        self.last_event = event.number;
        if let Some(name) = function(event) {
            if event.service != Service::Iam {
                self.in_hand.retain(|_, maker| maker != name);
            }
            if event.action == "DescribeInstances" {
                let place = (event.account.clone(), event.region.clone());
                self.looks.insert((name.to_owned(), place), event.time);
            }
        }
        for effect in &event.effects {
            self.enter_effect(effect, event, cloud, rules);
        }
    }

    fn enter_effect(&mut self, effect: &Effect, event: &Event, cloud: &Cloud, rules: &Rules) {
        let at = event.time;
        match effect {
            Effect::KeyCreated { user_name, access_key_id } => {
                self.enter_key(user_name, access_key_id, event, cloud);
            }
            Effect::KeyStatusChanged { access_key_id, to, .. } => {
                if let Some(key) = self.keys.get_mut(access_key_id) {
                    key.status = *to;
                    key.inactive_since = (*to != KeyStatus::Active).then_some(at);
                }
                if *to != KeyStatus::Active && function(event).is_none() {
                    self.taken.insert(access_key_id.clone());
                } else {
                    self.taken.remove(access_key_id);
                }
            }
            Effect::KeyDeleted { access_key_id, .. } => {
                self.keys.remove(access_key_id);
                self.in_hand.remove(access_key_id);
                if function(event).is_none() {
                    self.taken.insert(access_key_id.clone());
                }
            }
            Effect::KeyUsed { access_key_id, .. } => {
                self.uses.insert(access_key_id.clone(), at);
            }
            Effect::ObjectStored { key, access_key_id, .. } => {
                for part in named_instances(key) {
                    self.objects.insert((access_key_id.clone(), part.to_owned()), at);
                }
            }
            Effect::VersionStored { secret_arn, version_id, access_key_id } if *secret_arn == rules.secret_arn => {
                self.versions.insert(version_id.clone(), access_key_id.clone());
                self.account();
            }
            Effect::LabelMoved { secret_arn, label, to, .. } if *secret_arn == rules.secret_arn => {
                self.enter_label(label, to.as_ref(), at);
            }
            Effect::TagsChanged { resource, set, removed } if *resource == rules.secret_arn => {
                self.tags.extend(set.clone());
                removed.iter().for_each(|tag| {
                    self.tags.remove(tag);
                });
                self.mark_intended();
            }
            Effect::TagsChanged { resource, .. } if function(event).is_none() => {
                self.renewed.insert(resource.clone(), at);
            }
            Effect::CommandSent { .. } if function(event).is_some() => {
                self.commands.insert((event.account.clone(), event.region.clone()), at);
            }
            Effect::InstanceChanged { instance_id, to, .. } => self.enter_state(instance_id, *to, at),
            Effect::InstanceRestored { instance_id } => {
                self.renewed.insert(instance_id.clone(), at);
            }
            Effect::AgentChanged { instance_id, online } => {
                let since = if *online { &mut self.online_since } else { &mut self.offline_since };
                since.insert(instance_id.clone(), at);
            }
            Effect::UserCreated { .. }
            | Effect::SecretCreated { .. }
            | Effect::VersionStored { .. }
            | Effect::VersionsCollected { .. }
            | Effect::LabelMoved { .. }
            | Effect::TagsChanged { .. }
            | Effect::CommandSent { .. }
            | Effect::CommandCancelled { .. }
            | Effect::InvocationDelivered { .. }
            | Effect::InvocationEnded { .. }
            | Effect::DocumentCreated { .. }
            | Effect::NoticePublished { .. }
            | Effect::ExecutionChanged { .. } => {}
        }
    }

    fn enter_key(&mut self, user_name: &str, access_key_id: &str, event: &Event, cloud: &Cloud) {
        let made_by = function(event).map(str::to_owned);
        // A key that was set up may be Inactive from the start, which its event does not say.
        let set_up = if made_by.is_none() { cloud.access_keys(user_name) } else { Vec::new() };
        let status = set_up.iter().find(|view| view.access_key_id == access_key_id);
        let status = status.map_or(KeyStatus::Active, |view| view.status);
        if let Some(maker) = &made_by {
            self.in_hand.insert(access_key_id.to_owned(), maker.clone());
        }
        let key = KeyRecord {
            user_name: user_name.to_owned(),
            status,
            created: event.time,
            made_by,
            made_within_intent: false,
            inactive_since: (status != KeyStatus::Active).then_some(event.time),
        };
        self.keys.insert(access_key_id.to_owned(), key);
        self.mark_intended();
    }

    fn enter_label(&mut self, label: &str, to: Option<&String>, at: Timestamp) {
        match to {
            Some(version) => self.labels.insert(label.to_owned(), version.clone()),
            None => self.labels.remove(label),
        };
        if label == AWSPENDING {
            self.pending_since = Some(at);
        }
        if [AWSCURRENT, AWSPENDING].contains(&label) {
            self.target_since = Some(at);
        }
        self.account();
    }

    fn enter_state(&mut self, instance_id: &str, to: InstanceState, at: Timestamp) {
        let since = match to {
            InstanceState::Pending | InstanceState::Running => {
                self.renewed.insert(instance_id.to_owned(), at);
                &mut self.online_since
            }
            InstanceState::Stopping
            | InstanceState::Stopped
            | InstanceState::ShuttingDown
            | InstanceState::Terminated => &mut self.offline_since,
        };
        since.insert(instance_id.to_owned(), at);
    }

    fn account(&mut self) {
        let held = self.labels.values().filter_map(|version| self.versions.get(version)?.clone());
        self.accounted.extend(held);
    }

    /// The key of a version.
    pub(super) fn key_of(&self, version: &str) -> Option<&String> {
        self.versions.get(version)?.as_ref()
    }

    /// Whether a version that bears a label holds the key.
    pub(super) fn is_labelled(&self, access_key_id: &str) -> bool {
        self.labels.values().any(|version| self.key_of(version).is_some_and(|key| key == access_key_id))
    }

    /// Whether any version ever held the key.
    pub(super) fn was_stored(&self, access_key_id: &str) -> bool {
        self.versions.values().flatten().any(|key| key == access_key_id)
    }

    pub(super) fn is_active(&self, access_key_id: &str) -> bool {
        self.keys.get(access_key_id).is_some_and(|key| key.status == KeyStatus::Active)
    }

    /// Whether the open intent, if there is one, can have made a key: it did not exist when the intent was recorded.
    pub(super) fn is_intended(&self, access_key_id: &str, key: &KeyRecord) -> bool {
        let Some(recorded) = self.intended_since() else { return false };
        let seen = self.tags.get(INTENT_KEYS_TAG).map(String::as_str).unwrap_or_default();
        key.created >= recorded && !seen.split_whitespace().any(|seen| seen == access_key_id)
    }

    /// Remembers which keys the open intent explains.
    fn mark_intended(&mut self) {
        let explained = self.keys.iter().filter(|(id, key)| self.is_within_intent(id, key)).map(|(id, _)| id.clone());
        for id in explained.collect::<Vec<_>>() {
            self.keys.entry(id).and_modify(|key| key.made_within_intent = true);
        }
    }

    /// Whether a key cannot be told from one that the open intent made: IAM does not say who made a key.
    fn is_within_intent(&self, access_key_id: &str, key: &KeyRecord) -> bool {
        let window = self.intended_since().and_then(|since| since.checked_add(SKEW + INTENT_WINDOW + SKEW).ok());
        self.is_intended(access_key_id, key) && window.is_some_and(|closes| key.created <= closes)
    }

    /// Since when keys are explained by the open intent.
    fn intended_since(&self) -> Option<Timestamp> {
        let recorded = self.tags.get(INTENT_TAG)?.split_once("recorded=")?.1.trim().parse::<Timestamp>().ok()?;
        recorded.checked_sub(SKEW).ok()
    }
}

/// The managed nodes that an object's name names: a proof's object is below the host's id.
pub(super) fn named_instances(object: &str) -> impl Iterator<Item = &str> {
    object.split('/').filter(|part| part.starts_with("i-") || part.starts_with("mi-"))
}
