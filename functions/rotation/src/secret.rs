//! What is so about the secret: which labels are on which versions, and what our tags on it record.
//!
//! Labels are the truth; the standing tag only says since when they have been so (DESIGN section 5).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::StepError;
use crate::names::{
    AWSCURRENT, AWSPENDING, AccessKeyId, INACTIVE_TAG_PREFIX, INTENT_EXECUTION_TAG, INTENT_KEYS_TAG, INTENT_TAG,
    STANDING_TAG, VersionId, private_label_key,
};
use crate::scope::Scope;

/// The secret as DescribeSecret shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecretFacts {
    /// The secret's ARN.
    pub arn: String,
    /// Whether Secrets Manager's own rotation is switched on.
    pub rotates_itself: bool,
    /// The version that bears each label; a label sits on exactly one version (FACTS D).
    pub labels: BTreeMap<String, VersionId>,
    /// Since when the labels have been as they are, where that was recorded.
    pub standing: Option<Standing>,
    /// The key that is being made, if one is.
    pub intent: Option<Intent>,
    /// When each key was made Inactive.
    pub inactive_since: BTreeMap<AccessKeyId, Timestamp>,
    /// What the settings of whoever looks want proved.
    pub scope: Scope,
}

/// The content of the standing tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The version labelled AWSCURRENT.
    pub current: Option<VersionId>,
    /// The version labelled AWSPENDING.
    pub pending: Option<VersionId>,
    /// Every belief and every wait counts from here.
    pub since: Timestamp,
    /// What was to be proved then.
    pub scope: Scope,
    /// When that became another, if it ever did: proofs from before speak of less.
    pub scoped: Option<Timestamp>,
}

/// The record that a key is about to be made, written before it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The version that the key will be stored as.
    pub token: VersionId,
    /// When the intent was recorded.
    pub recorded: Timestamp,
    /// ARN of the execution.
    pub execution: String,
    /// The keys that the user had then.
    pub keys_seen: Vec<AccessKeyId>,
}

/// The version that a host ought to hold now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// The version.
    pub version: VersionId,
    /// Whether it is pending; if not, it is current.
    pub pending: bool,
    /// Proofs count from here.
    pub since: Timestamp,
    /// Proofs from before this speak of fewer credentials or instances than the settings list now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scoped: Option<Timestamp>,
}

impl SecretFacts {
    /// Reads labels and tags into facts. A tag of ours that cannot be read counts as absent: the next write mends it,
    /// and a missing record only delays.
    pub fn new(
        arn: String,
        rotates_itself: bool,
        stages_of: impl IntoIterator<Item = (VersionId, Vec<String>)>,
        tags: &BTreeMap<String, String>,
    ) -> SecretFacts {
        let labels = stages_of
            .into_iter()
            .flat_map(|(version, labels)| labels.into_iter().map(move |label| (label, version.clone())))
            .collect();
        let inactive = |(name, value): (&String, &String)| {
            let key = name.strip_prefix(INACTIVE_TAG_PREFIX)?;
            Some((AccessKeyId(key.to_owned()), value.parse().ok()?))
        };
        SecretFacts {
            arn,
            rotates_itself,
            labels,
            standing: tags.get(STANDING_TAG).and_then(|text| Standing::parse(text)),
            intent: Intent::parse(tags),
            inactive_since: tags.iter().filter_map(inactive).collect(),
            scope: Scope::default(),
        }
    }

    /// The version labelled AWSCURRENT.
    pub fn current(&self) -> Option<&VersionId> {
        self.labels.get(AWSCURRENT)
    }

    /// The version labelled AWSPENDING.
    pub fn pending(&self) -> Option<&VersionId> {
        self.labels.get(AWSPENDING)
    }

    /// The private labels: which key each version of ours holds.
    pub fn private_labels(&self) -> impl Iterator<Item = (AccessKeyId, &VersionId)> {
        self.labels.iter().filter_map(|(label, version)| Some((private_label_key(label)?, version)))
    }

    /// The key that a version holds, by its private label.
    pub fn key_of(&self, version: &VersionId) -> Option<AccessKeyId> {
        self.private_labels().find(|(_, holder)| *holder == version).map(|(key, _)| key)
    }

    /// Whether a private label says that a version is ours: a key's, or a login's.
    pub fn is_ours(&self, version: &VersionId) -> bool {
        self.key_of(version).is_some() || self.made_of(version).is_some()
    }

    /// Labelled versions whose key no private label tells, so that their value must be read once.
    pub fn unadopted(&self) -> Vec<VersionId> {
        let mut versions: Vec<VersionId> =
            self.labels.values().filter(|version| self.key_of(version).is_none()).cloned().collect();
        versions.sort();
        versions.dedup();
        versions
    }

    /// One label of a version, for messages.
    pub fn label_of(&self, version: &VersionId) -> String {
        self.labels.iter().find(|(_, holder)| *holder == version).map(|(label, _)| label.clone()).unwrap_or_default()
    }

    /// Whether the standing tag says what the labels say, of what the settings want proved.
    pub fn is_standing_recorded(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| {
            standing.current.as_ref() == self.current()
                && standing.pending.as_ref() == self.pending()
                && standing.scope.agrees_with(&self.scope)
        })
    }

    /// The standing to record where the tag is wrong: the labels as they are, since `now`.
    pub fn standing_at(&self, now: Timestamp) -> Standing {
        let (current, pending) = (self.current().cloned(), self.pending().cloned());
        let before = self.standing.as_ref();
        let is_same = before.is_none_or(|standing| standing.scope.agrees_with(&self.scope));
        let scoped = if is_same { before.and_then(|standing| standing.scoped) } else { Some(now) };
        Standing { current, pending, since: now, scope: self.scope.clone(), scoped }
    }

    /// The target, where it is the version that this execution knows it to be. Secrets Manager is eventually
    /// consistent, and a label that this execution moved itself may not be visible yet.
    pub fn expected_target(&self, version: Option<&VersionId>) -> Result<Target, StepError> {
        let target = self.target().ok_or_else(|| StepError::NotVisibleYet {
            what: format!("since when the labels of {} are as they are", self.arn),
        })?;
        match version {
            Some(version) if target.version != *version => Err(StepError::NotVisibleYet {
                what: format!("version {version} as the target of {}; it is {} now", self.arn, target.version),
            }),
            _ => Ok(target),
        }
    }

    /// The version that every host ought to hold, once the standing is recorded.
    pub fn target(&self) -> Option<Target> {
        let standing = self.standing.as_ref().filter(|_| self.is_standing_recorded())?;
        let (version, pending) = match (self.pending(), self.current()) {
            (Some(pending), current) if current != Some(pending) => (pending, true),
            (_, Some(current)) => (current, false),
            (_, None) => return None,
        };
        let (since, scoped) = (standing.since, standing.scoped);
        Some(Target { version: version.clone(), pending, since, scoped })
    }
}

impl Standing {
    /// The tag's value: `current=… pending=… since=… scope=… scoped=…`, at most 251 characters of the 256 that a tag
    /// holds.
    pub fn to_tag(&self) -> String {
        let or_none = |version: &Option<VersionId>| version.as_ref().map_or("none", VersionId::as_str).to_owned();
        let scope = Some(self.scope.as_str()).filter(|scope| !scope.is_empty());
        let scope = scope.map(|scope| format!(" scope={scope}")).unwrap_or_default();
        let scoped = self.scoped.map(|time| format!(" scoped={time}")).unwrap_or_default();
        let (current, pending) = (or_none(&self.current), or_none(&self.pending));
        format!("current={current} pending={pending} since={}{scope}{scoped}", self.since)
    }

    fn parse(text: &str) -> Option<Standing> {
        let mut words = text.split(' ');
        let mut word = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let version = |text: &str| (text != "none").then(|| VersionId(text.to_owned()));
        let (current, pending) = (version(word("current")?), version(word("pending")?));
        let since = word("since")?.parse().ok()?;
        let scope = word("scope").and_then(Scope::parse).unwrap_or_default();
        let scoped = word("scoped").and_then(|time| time.parse().ok());
        Some(Standing { current, pending, since, scope, scoped })
    }
}

impl Intent {
    /// The tags that record it.
    pub fn to_tags(&self) -> [(&'static str, String); 3] {
        let keys: Vec<&str> = self.keys_seen.iter().map(AccessKeyId::as_str).collect();
        [
            (INTENT_TAG, format!("token={} recorded={}", self.token, self.recorded)),
            // At most 218 characters of the 256 that a tag holds: two names of 80 and their surroundings.
            (INTENT_EXECUTION_TAG, self.execution.clone()),
            (INTENT_KEYS_TAG, keys.join(" ")),
        ]
    }

    /// The names of those tags.
    pub const TAGS: [&'static str; 3] = [INTENT_TAG, INTENT_EXECUTION_TAG, INTENT_KEYS_TAG];

    fn parse(tags: &BTreeMap<String, String>) -> Option<Intent> {
        let (token, recorded) = tags.get(INTENT_TAG)?.split_once(' ')?;
        Some(Intent {
            token: token.strip_prefix("token=")?.into(),
            recorded: recorded.strip_prefix("recorded=")?.parse().ok()?,
            execution: tags.get(INTENT_EXECUTION_TAG)?.clone(),
            keys_seen: tags.get(INTENT_KEYS_TAG)?.split_whitespace().map(AccessKeyId::from).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn facts(labels: &[(&str, &str)], standing: Option<&str>) -> SecretFacts {
        let stages = labels.iter().map(|(label, version)| (VersionId::from(*version), vec![(*label).to_owned()]));
        let tags = standing.map(|text| (STANDING_TAG.to_owned(), text.to_owned())).into_iter().collect();
        SecretFacts::new("arn".to_owned(), false, stages, &tags)
    }

    #[test]
    fn records_survive_their_tags() {
        let since = "2026-11-24T06:00:00Z".parse().unwrap();
        let standing =
            Standing { current: Some("v1".into()), pending: None, since, scope: Scope::default(), scoped: None };
        assert_eq!(Standing::parse(&standing.to_tag()), Some(standing));
        let intent = Intent {
            token: "t".into(),
            recorded: since,
            execution: "arn:aws:states:eu-west-1:111122223333:execution:m:e".to_owned(),
            keys_seen: vec!["AKIAIOSFODNN7EXAMPLE".into()],
        };
        let tags = intent.to_tags().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(Intent::parse(&tags), Some(intent));
    }

    #[test]
    fn settings_that_list_more_are_noted_with_their_time_and_the_time_stays() {
        let settings = Settings::example();
        let mut more = settings.clone();
        more.sql_server.endpoints.push("archive".to_owned());
        let seen = |scope: Scope, standing: Standing| SecretFacts {
            scope,
            standing: Some(standing),
            ..SecretFacts::default()
        };
        let day = |day: &str| format!("2026-11-{day}T00:00:00Z").parse::<Timestamp>().unwrap();
        let first = SecretFacts { scope: Scope::of(&settings), ..SecretFacts::default() }.standing_at(day("01"));
        assert_eq!(first.scoped, None);
        let second = seen(Scope::of(&more), first).standing_at(day("02"));
        assert_eq!(second.scoped, Some(day("02")));
        let third = seen(Scope::of(&more), second).standing_at(day("03"));
        assert_eq!(third.scoped, Some(day("02")));
        assert_eq!(Standing::parse(&third.to_tag()), Some(third));
    }

    #[test]
    fn a_standing_fits_a_tag_even_with_the_longest_versions() {
        let longest = VersionId("v".repeat(64));
        let scope = Scope::of(&Settings::example());
        let standing = Standing {
            current: Some(longest.clone()),
            pending: Some(longest),
            since: Timestamp::MAX,
            scope,
            scoped: Some(Timestamp::MAX),
        };
        assert!(standing.to_tag().len() <= 256);
    }

    #[test]
    fn the_target_is_pending_else_current_and_none_until_its_since_is_recorded() {
        let labels = [("AWSCURRENT", "v1"), ("AWSPENDING", "v2")];
        assert_eq!(facts(&labels, None).target(), None);
        assert_eq!(facts(&labels, Some("current=v1 pending=none since=2026-11-24T06:00:00Z")).target(), None);
        let target = facts(&labels, Some("current=v1 pending=v2 since=2026-11-24T06:00:00Z")).target().unwrap();
        assert_eq!((target.version.as_str(), target.pending), ("v2", true));
        let finished = [("AWSCURRENT", "v2"), ("AWSPENDING", "v2")];
        let target = facts(&finished, Some("current=v2 pending=v2 since=2026-11-24T06:00:00Z")).target().unwrap();
        assert_eq!((target.version.as_str(), target.pending), ("v2", false));
    }

    #[test]
    fn a_private_label_tells_the_key_and_other_labels_do_not() {
        let facts = facts(&[("AWSCURRENT", "v1"), ("AKIAIOSFODNN7EXAMPLE", "v1"), ("blue", "v0")], None);
        assert_eq!(facts.key_of(&"v1".into()), Some("AKIAIOSFODNN7EXAMPLE".into()));
        assert_eq!(facts.unadopted(), vec![VersionId::from("v0")]);
    }
}
