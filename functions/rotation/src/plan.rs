//! What to do with the credential: every choice about keys, labels and slots is made here, from facts alone.
//!
//! A plan has three parts, in the order in which they are applied: [`settle`] puts the records in order (adopts,
//! sweeps, judges what is pending), [`stage`] says whether a new key is made, [`retire`] which old ones may go.
//! The later parts are planned on the secret as the earlier ones leave it, so one look suffices for one plan.

pub mod outlook;
pub mod retire;
pub mod settle;
pub mod stage;
#[cfg(test)]
mod tests;
pub mod turn;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::access_key::NotAnAccessKey;
use crate::error::StepError;
use crate::fleet::Roster;
use crate::keys::{KeyFacts, KeyOwner, KeyStatus};
use crate::names::{AccessKeyId, VersionId};
use crate::request::Request;
use crate::secret::SecretFacts;
use crate::settings::{AccessKeySettings, Settings};

pub use retire::Retirement;
pub use settle::Settling;
pub use stage::Stage;
pub use turn::Turn;

/// How long a function that makes a key can still be at work, with a margin: longer than its time-out of a minute.
/// A key made in this time after an intent may be that intent's.
pub const INTENT_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// A daily `converge` leaves the schedule's own `rotate` this long before it calls a rotation overdue.
pub const SCHEDULE_GRACE: SignedDuration = SignedDuration::from_hours(24);

/// How long IAM's lists may lag behind (FACTS A): a key that is not listed is missing only after this.
pub const LISTS_SETTLE: SignedDuration = SignedDuration::from_mins(15);

/// What is so, as one look found it.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// When the look began.
    pub now: Timestamp,
    /// When the execution began.
    pub started: Timestamp,
    /// What the run was asked to do.
    pub request: &'a Request,
    /// The rotation's settings.
    pub settings: &'a Settings,
    /// Of these, what is about the key.
    pub access_key: &'a AccessKeySettings,
    /// ARN of this execution.
    pub execution: &'a str,
    /// The version that this execution would store a new key as.
    pub token: VersionId,
    /// The secret.
    pub secret: SecretFacts,
    /// What the labelled versions without a private label turned out to hold.
    pub readings: BTreeMap<VersionId, Reading>,
    /// The user's access keys.
    pub keys: Vec<KeyFacts>,
    /// Whose the current version's key is, asked where the user's list does not show it.
    pub owner_of_current: Option<KeyOwner>,
    /// Whether the execution that recorded the open intent still runs; false where there is none, or it is this one.
    pub intent_runs_elsewhere: bool,
    /// The hosts, read by whoever may retire; without them nothing is retired.
    pub roster: Option<&'a Roster>,
}

/// What a version's value turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// An access key with this id.
    Key(AccessKeyId),
    /// No access key.
    NotAKey(NotAnAccessKey),
    /// The version has no value: RotateSecret labels a version before it has one (FACTS D).
    NoValue,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Records to put in order first.
    pub settle: Vec<Settling>,
    /// Whether a key is made.
    pub stage: Stage,
    /// What becomes of the keys that are no longer needed.
    pub retire: Vec<Retirement>,
    /// The hosts that the retirement takes a working credential from, since the request says so; they are named first.
    pub breaks: Option<String>,
    /// What people should know in time.
    pub warnings: Vec<String>,
    /// When the current key is to be rotated next.
    pub next_rotation: Option<Timestamp>,
    /// When the current key was made.
    pub current_key_created: Option<Timestamp>,
    /// Whether something that is no host of the fleet uses an old key.
    pub is_old_key_used: bool,
    /// Keys that nobody can account for: work that is safe goes on, and the run ends by naming them.
    pub unknown: Vec<KeyFacts>,
}

/// Plans from facts. What makes any plan unsafe is an error that says what a person does.
pub fn plan(facts: &Facts<'_>) -> Result<Plan, StepError> {
    if facts.secret.rotates_itself {
        return Err(StepError::SecretRotatesItself { secret: facts.settings.secret.id.clone() });
    }
    refuse_strange_leak(facts)?;
    let (settle, secret) = settle::settle(facts)?;
    let settled = Facts { secret, ..facts.clone() };
    let account = Account::of(&settled);
    let roster = settled.roster.filter(|_| !settled.request.is_narrowed());
    let retire = roster.map(|roster| retire::retire(&settled, &account, roster)).unwrap_or_default();
    Ok(Plan {
        stage: stage::stage(&settled, &account)?,
        warnings: outlook::warnings(&settled, &retire),
        next_rotation: outlook::next_rotation(&settled),
        current_key_created: outlook::current_key_created(&settled),
        is_old_key_used: roster.is_some_and(|roster| outlook::is_old_key_used(&settled, &retire, roster)),
        breaks: roster.and_then(|roster| retire::breaks(&settled, &retire, roster)),
        retire,
        unknown: account.unknown,
        settle,
    })
}

/// A leaked key that the user does not have is another user's, or mistyped, or gone: all three are worth a word.
fn refuse_strange_leak(facts: &Facts<'_>) -> Result<(), StepError> {
    let Some(key) = facts.request.compromised.as_ref().filter(|key| facts.key(key).is_none()) else { return Ok(()) };
    let user = &facts.access_key.user;
    Err(StepError::InvalidInput {
        path: "compromised".to_owned(),
        problem: format!(
            "{user} has no access key {key}: if it was deleted nothing is left to do, else correct the id"
        ),
    })
}

impl Plan {
    /// Whether it says that nothing is to be done by anybody.
    pub fn is_nothing(&self) -> bool {
        let stays = |retirement: &Retirement| matches!(retirement, Retirement::NotYet { .. });
        self.settle.is_empty()
            && self.warnings.is_empty()
            && self.stage == Stage::NotAsked
            && self.unknown.is_empty()
            && self.retire.iter().all(stays)
    }
}

impl Facts<'_> {
    /// Whether a key was named as leaked.
    pub fn has_leaked(&self, id: &AccessKeyId) -> bool {
        self.request.compromised.as_ref() == Some(id)
    }

    /// A key by its id.
    pub fn key(&self, id: &AccessKeyId) -> Option<&KeyFacts> {
        self.keys.iter().find(|key| key.id == *id)
    }

    /// Whether a key exists and works.
    pub fn is_active(&self, id: &AccessKeyId) -> bool {
        self.key(id).is_some_and(|key| key.status == KeyStatus::Active)
    }

    /// The key of a version, by its private label or by what was read.
    pub fn key_of(&self, version: &VersionId) -> Option<AccessKeyId> {
        key_of(&self.secret, &self.readings, version)
    }

    /// The key that readers get now.
    pub fn current_key(&self) -> Option<AccessKeyId> {
        self.key_of(self.secret.current()?)
    }
}

/// The key of a version, by its private label or by what was read.
pub fn key_of(
    secret: &SecretFacts,
    readings: &BTreeMap<VersionId, Reading>,
    version: &VersionId,
) -> Option<AccessKeyId> {
    secret.key_of(version).or_else(|| match readings.get(version)? {
        Reading::Key(key) => Some(key.clone()),
        Reading::NotAKey(_) | Reading::NoValue => None,
    })
}

/// Who accounts for each of the user's keys.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Keys that a labelled version of the secret holds.
    pub versions: BTreeMap<AccessKeyId, VersionId>,
    /// Keys that a crashed run made and never stored: nobody can hold them.
    pub orphans: BTreeSet<AccessKeyId>,
    /// Keys that nothing explains.
    pub unknown: Vec<KeyFacts>,
}

impl Account {
    fn of(facts: &Facts<'_>) -> Account {
        let mut account = Account::default();
        account.versions.extend(facts.secret.private_labels().map(|(key, version)| (key, version.clone())));
        for (version, reading) in &facts.readings {
            if let Reading::Key(key) = reading {
                account.versions.entry(key.clone()).or_insert_with(|| version.clone());
            }
        }
        for key in &facts.keys {
            if account.versions.contains_key(&key.id) {
                continue;
            }
            match intent_explains(facts, key) {
                Some(true) => {
                    account.orphans.insert(key.id.clone());
                }
                // Its window is still open: whoever made it may store it yet.
                Some(false) => {}
                None => account.unknown.push(key.clone()),
            }
        }
        account
    }
}

/// Whether the open intent explains a key that no version names: `Some(true)` once its window has closed.
fn intent_explains(facts: &Facts<'_>, key: &KeyFacts) -> Option<bool> {
    /// IAM's clock and Step Functions' may differ by this much.
    const SKEW: SignedDuration = SignedDuration::from_secs(60);
    let intent = facts.secret.intent.as_ref()?;
    let opened = intent.recorded.checked_sub(SKEW).ok()?;
    let closes = intent.recorded.checked_add(INTENT_WINDOW).ok()?;
    let is_explained =
        !intent.keys_seen.contains(&key.id) && key.last_use.is_none() && key.created >= opened && key.created <= closes;
    is_explained.then_some(facts.now >= closes)
}

/// Keys in words, for a person who must decide about them.
pub fn describe_keys<'a>(keys: impl IntoIterator<Item = &'a KeyFacts>) -> String {
    keys.into_iter().map(KeyFacts::describe).collect::<Vec<_>>().join("; ")
}

/// A time that is `wait` after `start`, or the end of time where that does not exist.
pub(crate) fn after(start: Timestamp, wait: SignedDuration) -> Timestamp {
    start.checked_add(wait).unwrap_or(Timestamp::MAX)
}
