//! Whether a new key is made now.

use jiff::Timestamp;

use super::turn::{self, Turn};
use super::{Account, Facts, INTENT_WINDOW, SCHEDULE_GRACE, after, describe_keys};
use crate::error::StepError;
use crate::keys::KeyStatus;
use crate::names::{AccessKeyId, VersionId};
use crate::request::Mode;

/// What becomes of the wish for a new version.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Nobody asked, and nothing is overdue.
    NotAsked,
    /// A version of ours is pending: the run goes on with it.
    Pending {
        /// The version.
        version: VersionId,
        /// Its key.
        key: AccessKeyId,
    },
    /// A key is stored and not pending yet: check that it works, then label it.
    Check {
        /// The version.
        version: VersionId,
        /// Its key.
        key: AccessKeyId,
    },
    /// Record the intent, make a key, store it.
    Make {
        /// The version to store it as.
        token: VersionId,
    },
    /// An earlier call may still be making a key, or one it made may not be visible yet.
    Wait {
        /// When its window has closed.
        until: Timestamp,
        /// The execution that recorded the intent.
        execution: String,
    },
    /// A way back was announced; its label is moved when everybody has seen that.
    Announced {
        /// When.
        until: Timestamp,
    },
    /// Move AWSPENDING back.
    Turn(Turn),
    /// Delete an Inactive key before its time, since a leaked one needs its slot.
    FreeSlot {
        /// The key.
        key: AccessKeyId,
        /// The version that bears its private label; an orphan has none.
        version: Option<VersionId>,
    },
    /// Not now, for a reason that a person may have to remove.
    Refused(StepError),
}

/// Plans the staging on a settled secret.
pub(super) fn stage(facts: &Facts<'_>, account: &Account) -> Result<Stage, StepError> {
    // A run for a few hosts leaves keys and labels alone.
    if facts.request.is_narrowed() {
        return Ok(Stage::NotAsked);
    }
    if let Some(turn) = turn::turn(facts)? {
        let until = turn::may_move_at(facts).unwrap_or(after(facts.now, turn::TURN_WAIT));
        return Ok(if facts.now >= until { Stage::Turn(turn) } else { Stage::Announced { until } });
    }
    if let Some(resumed) = resume(facts, account) {
        return Ok(resumed);
    }
    if !account.unknown.is_empty() && (is_asked(facts) || facts.secret.pending().is_some()) {
        let keys = describe_keys(&account.unknown);
        return Ok(Stage::Refused(StepError::UnknownAccessKey { user: facts.access_key.user.clone(), keys }));
    }
    if let Some(version) = facts.secret.pending() {
        let key = facts.key_of(version).ok_or_else(|| StepError::PendingVersionNotOurs {
            secret: facts.settings.secret.id.clone(),
            version: version.clone(),
        })?;
        return Ok(Stage::Pending { version: version.clone(), key });
    }
    // A redriven execution finds the version that it has already promoted.
    if !is_asked(facts) || facts.secret.current() == Some(&facts.token) {
        return Ok(Stage::NotAsked);
    }
    if facts.keys.len() >= 2 {
        if let Some(freed) = free_slot(facts, account) {
            return Ok(freed);
        }
        let user = facts.access_key.user.clone();
        return Ok(Stage::Refused(StepError::NoFreeKeySlot { user, holders: holders(facts) }));
    }
    Ok(Stage::Make { token: facts.token.clone() })
}

/// An open intent is resumed before anything else is thought of, unless a version is pending already.
fn resume(facts: &Facts<'_>, account: &Account) -> Option<Stage> {
    let nobody_pends = facts.secret.pending().is_none();
    // What this very execution has stored goes on whoever else has recorded an intent since.
    let gives_up = facts.request.mode == Mode::Abandon;
    let own =
        facts.secret.key_of(&facts.token).filter(|key| facts.is_active(key) && !gives_up && !facts.has_leaked(key));
    if let Some(key) = own.filter(|_| nobody_pends && facts.secret.current() != Some(&facts.token)) {
        return Some(Stage::Check { version: facts.token.clone(), key });
    }
    let intent = facts.secret.intent.as_ref().filter(|_| nobody_pends)?;
    if facts.intent_runs_elsewhere {
        let execution = intent.execution.clone();
        return Some(Stage::Refused(StepError::AnotherExecutionStages { execution }));
    }
    if let Some(key) = facts.secret.key_of(&intent.token).filter(|_| !gives_up) {
        return Some(Stage::Check { version: intent.token.clone(), key });
    }
    let closes = after(intent.recorded, INTENT_WINDOW);
    // Within the window a key may exist that IAM does not list yet; making another would leave an orphan.
    if facts.now < closes {
        return Some(Stage::Wait { until: closes, execution: intent.execution.clone() });
    }
    if !account.orphans.is_empty() {
        let (execution, until) = (intent.execution.clone(), "its quiet period".to_owned());
        return Some(Stage::Refused(StepError::EarlierRunUnresolved { execution, until }));
    }
    let is_free = account.unknown.is_empty() && facts.keys.len() < 2 && !gives_up;
    is_free.then(|| Stage::Make { token: intent.token.clone() })
}

/// The slot of an Inactive key, where the current key has leaked and both slots are taken.
fn free_slot(facts: &Facts<'_>, account: &Account) -> Option<Stage> {
    facts.current_key().filter(|key| facts.has_leaked(key))?;
    let inactive = facts.keys.iter().find(|key| key.status != KeyStatus::Active && !facts.has_leaked(&key.id))?;
    let version = account.versions.get(&inactive.id).cloned();
    let is_ours = version.is_some() || account.orphans.contains(&inactive.id);
    is_ours.then(|| Stage::FreeSlot { key: inactive.id.clone(), version })
}

/// Whether a new version is wanted: by the caller, or because the current key is overdue or does not work.
fn is_asked(facts: &Facts<'_>) -> bool {
    match facts.request.mode {
        // A leaked key that is not current is only taken out of use.
        Mode::Rotate | Mode::Plan if facts.request.compromised.is_some() => {
            facts.current_key() == facts.request.compromised
        }
        Mode::Rotate | Mode::Plan => true,
        Mode::Abandon | Mode::Rollback | Mode::Provision => false,
        Mode::Converge => match facts.current_key().as_ref().filter(|key| facts.is_active(key)) {
            Some(key) => facts.key(key).is_some_and(|key| {
                let due = after(key.created, facts.settings.schedule.rotate_every());
                facts.now >= after(due, SCHEDULE_GRACE)
            }),
            None => true,
        },
    }
}

/// Each key, why it stays and until when.
fn holders(facts: &Facts<'_>) -> String {
    let why = |id: &AccessKeyId| {
        if facts.current_key().as_ref() == Some(id) {
            return "is current".to_owned();
        }
        let retirement = &facts.access_key.retirement;
        if let Some(since) = facts.secret.inactive_since.get(id) {
            return format!("is Inactive and is deleted after {}", after(*since, retirement.delete_after()));
        }
        match &facts.secret.standing {
            Some(standing) => format!(
                "was current before, stays Active until {} at the earliest and is deleted {} days later",
                after(standing.since, retirement.overlap()),
                retirement.delete_after_days
            ),
            None => "was just adopted".to_owned(),
        }
    };
    let mut holders: Vec<String> =
        facts.keys.iter().map(|key| format!("{} {}", key.describe(), why(&key.id))).collect();
    if facts.request.compromised.is_some() {
        holders.push(
            "the slot of a key that you make Inactive by hand is freed for the leaked one's successor".to_owned(),
        );
    }
    holders.extend(way_out(facts));
    holders.join("; ")
}

/// Where the current key does not work no host can prove it, so that no slot ever becomes free by itself.
fn way_out(facts: &Facts<'_>) -> Option<String> {
    let key = facts.current_key().filter(|key| !facts.is_active(key))?;
    let user = &facts.access_key.user;
    let again = facts.key(&key).map(|_| {
        format!("make it Active again (aws iam update-access-key --user-name {user} --access-key-id {key} --status Active), or ")
    });
    Some(format!(
        "the current key {key} does not work, and no slot becomes free before hosts hold one that does: {}start {{\"mode\": \"rollback\"}}, which goes to the key that still works",
        again.unwrap_or_default()
    ))
}
