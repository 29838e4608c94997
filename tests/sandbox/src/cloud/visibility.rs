//! Late views: AWS's services are eventually consistent, each in its own way (FACTS A, C, D).
//!
//! What is so is written at once; what is *seen* is what was so a while ago. Compare-and-swap and limits always
//! act on what is so, reads on what is seen.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Cloud, Service};

/// How late each kind of change is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visibility {
    /// A key that was made, deactivated or deleted is so at an endpoint only after this long.
    /// A new key at S3 answered InvalidAccessKeyId for 5 to 15 s (FACTS A).
    pub access_key_authenticates: Duration,
    /// The same for single endpoints: a success at one endpoint proves nothing for another (FACTS A).
    pub access_key_authenticates_at: BTreeMap<(Service, String), Duration>,
    /// Services that learn of no further key, since when: IAM's changes do not reach them (see
    /// [`Cloud::let_iam_reach`]).
    pub(super) cut_off_since: BTreeMap<Service, Timestamp>,
    /// ListAccessKeys and GetAccessKeyLastUsed know of a key or of its status.
    pub access_key_list: Duration,
    /// GetAccessKeyLastUsed knows of a use.
    pub access_key_last_use: Duration,
    /// Secrets Manager's reads show a version, a label or a tag.
    pub secret: Duration,
    /// DescribeInstances shows a tag.
    pub instance_tags: Duration,
    /// ListCommands shows a command.
    pub commands: Duration,
    /// ListCommandInvocations shows invocations; before that it answers with an empty list (FACTS C).
    pub invocations: Duration,
}

impl Visibility {
    /// Everything is seen at once.
    pub fn immediate() -> Visibility {
        Visibility::default()
    }

    /// Delays of the size that people report (FACTS A, C, D).
    pub fn usual() -> Visibility {
        Visibility {
            access_key_authenticates: Duration::from_secs(8),
            access_key_authenticates_at: BTreeMap::new(),
            cut_off_since: BTreeMap::new(),
            access_key_list: Duration::from_secs(2),
            access_key_last_use: Duration::from_secs(60),
            secret: Duration::from_millis(500),
            instance_tags: Duration::from_secs(1),
            commands: Duration::from_secs(1),
            invocations: Duration::from_secs(2),
        }
    }

    pub(super) fn authenticates_at(&self, service: Service, region: &str, now: Timestamp) -> Duration {
        let usual = self.access_key_authenticates_at.get(&(service, region.to_owned()));
        let usual = usual.copied().unwrap_or(self.access_key_authenticates);
        // Whoever is cut off sees every key as it was then.
        let since = self.cut_off_since.get(&service);
        let cut_off = since.and_then(|since| Duration::try_from(now.duration_since(*since)).ok());
        usual.max(cut_off.unwrap_or_default())
    }
}

impl Cloud {
    /// Whether IAM's changes reach a service from now on. While they do not, it knows the keys that it knew: S3 refuses
    /// a new one with InvalidAccessKeyId, as it does for seconds after every CreateAccessKey (FACTS A).
    pub fn let_iam_reach(&self, service: Service, reaches: bool) {
        let now = self.clock().now();
        let cut_off_since = &mut self.state().visibility.cut_off_since;
        if reaches {
            cut_off_since.remove(&service);
        } else {
            cut_off_since.entry(service).or_insert(now);
        }
    }
}

/// A value with its past, so that a reader can be shown an older one.
#[derive(Clone, Debug)]
pub(super) struct Replicated<T> {
    present: T,
    since: Timestamp,
    past: Vec<(Timestamp, T)>,
}

impl<T: Clone> Replicated<T> {
    pub(super) fn new(now: Timestamp, value: T) -> Replicated<T> {
        Replicated { present: value, since: now, past: Vec::new() }
    }

    /// What is so.
    pub(super) fn truth(&self) -> &T {
        &self.present
    }

    pub(super) fn set(&mut self, now: Timestamp, value: T) {
        let before = std::mem::replace(&mut self.present, value);
        self.past.push((self.since, before));
        self.since = now;
    }

    /// Changes a copy of what is so and makes it so.
    pub(super) fn change(&mut self, now: Timestamp, change: impl FnOnce(&mut T)) {
        let mut value = self.present.clone();
        change(&mut value);
        self.set(now, value);
    }

    /// What is seen after a delay; nothing where the thing itself is too young.
    pub(super) fn seen(&self, now: Timestamp, delay: Duration) -> Option<&T> {
        let visible = |since: Timestamp| since.saturating_add(delay).is_ok_and(|at| at <= now);
        if visible(self.since) {
            return Some(&self.present);
        }
        self.past.iter().rev().find(|(since, _)| visible(*since)).map(|(_, value)| value)
    }
}
