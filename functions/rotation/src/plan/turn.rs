//! The ways back: `abandon` takes AWSPENDING off its version, `rollback` puts it on the version that was current before.
//!
//! Both first write since when things are so, then wait longer than any function's time-out, look again, and only then
//! move the label: a retirement that is under way when they begin has ended by then, and one that begins later sees
//! that every wait counts anew (DESIGN section 5).

use jiff::{SignedDuration, Timestamp};

use super::{Facts, after};
use crate::error::StepError;
use crate::names::{AccessKeyId, VersionId};
use crate::request::Mode;

/// Longer than a Task's own time-out of 90 seconds, with a margin for the clocks of two services.
pub const TURN_WAIT: SignedDuration = SignedDuration::from_mins(3);

/// Secrets Manager's own label of the version that was current before; a hint that a version once was.
const AWSPREVIOUS: &str = "AWSPREVIOUS";

/// What a way back moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Take AWSPENDING off this version.
    Abandon {
        /// The version.
        version: VersionId,
    },
    /// Put AWSPENDING, which no version has, on this one.
    Rollback {
        /// The version.
        version: VersionId,
        /// Its key.
        key: AccessKeyId,
    },
}

/// What the request turns back, if anything is left to turn; refused where there is nothing to go back to.
pub(super) fn turn(facts: &Facts<'_>) -> Result<Option<Turn>, StepError> {
    match facts.request.mode {
        Mode::Abandon => abandon(facts),
        Mode::Rollback => rollback(facts),
        Mode::Rotate | Mode::Converge | Mode::Plan | Mode::Provision => Ok(None),
    }
}

/// When the label may be moved: this run has announced itself by a `since` of its own, and everybody has seen it.
pub(super) fn may_move_at(facts: &Facts<'_>) -> Option<Timestamp> {
    let since = facts.secret.standing.as_ref()?.since;
    (since >= facts.started).then(|| after(since, TURN_WAIT))
}

fn abandon(facts: &Facts<'_>) -> Result<Option<Turn>, StepError> {
    let Some(version) = facts.secret.pending().filter(|pending| facts.secret.current() != Some(*pending)) else {
        return Ok(None);
    };
    match facts.current_key().filter(|key| facts.is_active(key)) {
        Some(_) => Ok(Some(Turn::Abandon { version: version.clone() })),
        None => Err(no_way_back(
            facts,
            "the current version has no key that is Active, so that only the pending one is left",
            "finish the rotation: start {\"mode\": \"converge\"}",
        )),
    }
}

fn rollback(facts: &Facts<'_>) -> Result<Option<Turn>, StepError> {
    if let Some(pending) = facts.secret.pending().filter(|pending| facts.secret.current() != Some(*pending)) {
        let is_this_rollback = facts.key_of(pending).is_some_and(|key| was_current(facts, &key, pending));
        if is_this_rollback {
            return Ok(None);
        }
        let reason = format!("version {pending} is pending, and was never current");
        return Err(no_way_back(
            facts,
            &reason,
            "start {\"mode\": \"abandon\"}, which goes back to the current version",
        ));
    }
    if let Some(intent) = &facts.secret.intent {
        let reason = format!("the execution {} is making a key", intent.execution);
        return Err(no_way_back(facts, &reason, "start {\"mode\": \"abandon\"} first"));
    }
    let mut others = facts.secret.private_labels().filter(|(_, version)| facts.secret.current() != Some(*version));
    match others.find(|(key, version)| facts.is_active(key) && was_current(facts, key, version)) {
        Some((key, version)) => Ok(Some(Turn::Rollback { version: version.clone(), key })),
        None => Err(no_way_back(
            facts,
            "no version that was current before has a key that is still Active",
            "make its key Active again while it still exists (aws iam update-access-key), or start {\"mode\": \"rotate\"}",
        )),
    }
}

/// Whether a version was current once: its key is older than the current one's, or Secrets Manager says so. Where the
/// current key does not work any more nobody asks: whichever key of ours still works is the way back.
fn was_current(facts: &Facts<'_>, key: &AccessKeyId, version: &VersionId) -> bool {
    if !facts.current_key().is_some_and(|current| facts.is_active(&current)) {
        return true;
    }
    let made = |key: &AccessKeyId| facts.key(key).map(|key| key.created);
    let is_older = facts.current_key().is_some_and(|current| made(key).is_some() && made(key) < made(&current));
    is_older || facts.secret.labels.get(AWSPREVIOUS) == Some(version)
}

fn no_way_back(facts: &Facts<'_>, reason: &str, instead: &str) -> StepError {
    StepError::NoWayBack {
        secret: facts.settings.secret.id.clone(),
        reason: reason.to_owned(),
        instead: instead.to_owned(),
    }
}
