//! Puts the records in order before anything is decided: the labels are made to say what is so.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Facts, INTENT_WINDOW, LISTS_SETTLE, Reading, after, intent_explains, turn};
use crate::error::StepError;
use crate::keys::KeyOwner;
use crate::names::{AWSCURRENT, AWSPENDING, AccessKeyId, VersionId};
use crate::request::Mode;
use crate::secret::{SecretFacts, Standing};

/// One thing to put in order. Each is nothing when it is already so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Take AWSPENDING off a version that is current already: both are legal ends of a rotation (FACTS D).
    FinishPending {
        /// The version.
        version: VersionId,
    },
    /// Take AWSPENDING off a version whose key is gone, does not work, or has leaked.
    AbandonPending {
        /// The version.
        version: VersionId,
    },
    /// Take a private label off a version whose key is gone: a secret has 20 labels in all.
    Sweep {
        /// The label.
        key: AccessKeyId,
        /// Its holder.
        version: VersionId,
    },
    /// Put the private label on a version that somebody else stored.
    Adopt {
        /// The label.
        key: AccessKeyId,
        /// The version.
        version: VersionId,
        /// Its holder so far, where a person stored the same key again.
        from: Option<VersionId>,
    },
    /// Move a label from the holder that was seen to another version, or off.
    Label {
        /// The label.
        label: String,
        /// Its holder so far.
        from: Option<VersionId>,
        /// Its holder from now on.
        to: Option<VersionId>,
    },
    /// The open intent has reached its end.
    CloseIntent,
    /// A key that was on its way out is Active again, or gone: forget when it was made Inactive.
    ForgetInactive {
        /// The key.
        key: AccessKeyId,
    },
    /// Write the standing tag, before anything is commanded or retired.
    RecordStanding {
        /// Its content.
        standing: Standing,
    },
}

/// The settlings, in order, and the secret as they leave it.
pub(super) fn settle(facts: &Facts<'_>) -> Result<(Vec<Settling>, SecretFacts), StepError> {
    let mut desk = Desk { secret: facts.secret.clone(), settlings: Vec::new(), restart: false };
    judge_current(facts)?;
    judge_pending(facts, &mut desk)?;
    judge_intent(facts, &mut desk)?;
    sweep(facts, &mut desk);
    adopt(facts, &mut desk);
    notice_what_became_of_inactive_keys(facts, &mut desk);
    announce_turn(facts, &mut desk);
    if desk.restart || !desk.secret.is_standing_recorded() {
        let standing = desk.secret.standing_at(facts.now);
        desk.put(Settling::RecordStanding { standing });
    }
    Ok((desk.settlings, desk.secret))
}

/// The secret as it will be, and what makes it so.
struct Desk {
    secret: SecretFacts,
    settlings: Vec<Settling>,
    restart: bool,
}

impl Desk {
    fn put(&mut self, settling: Settling) {
        settling.apply_to(&mut self.secret);
        self.settlings.push(settling);
    }
}

impl Settling {
    /// What the settling makes of the facts.
    pub fn apply_to(&self, secret: &mut SecretFacts) {
        match self {
            Settling::FinishPending { .. } | Settling::AbandonPending { .. } => {
                secret.labels.remove(AWSPENDING);
            }
            Settling::Sweep { key, .. } => {
                secret.labels.remove(key.as_str());
            }
            Settling::Adopt { key, version, .. } => {
                secret.labels.insert(key.0.clone(), version.clone());
            }
            Settling::Label { label, to: Some(version), .. } => {
                secret.labels.insert(label.clone(), version.clone());
            }
            Settling::Label { label, to: None, .. } => {
                secret.labels.remove(label);
            }
            Settling::CloseIntent => secret.intent = None,
            Settling::ForgetInactive { key } => {
                secret.inactive_since.remove(key);
            }
            Settling::RecordStanding { standing } => secret.standing = Some(standing.clone()),
        }
    }
}

/// A current value that is no key, or a key of somebody else, makes every plan unsafe.
fn judge_current(facts: &Facts<'_>) -> Result<(), StepError> {
    let Some(version) = facts.secret.current() else { return Ok(()) };
    let unreadable = |problem: String| StepError::SecretValueUnreadable {
        secret: facts.settings.secret.id.clone(),
        version: version.clone(),
        label: AWSCURRENT.to_owned(),
        problem,
    };
    match facts.readings.get(version) {
        Some(Reading::NotAKey(why)) => return Err(unreadable(why.to_string())),
        Some(Reading::NoValue) => return Err(unreadable("it has no value".to_owned())),
        Some(Reading::Key(_)) | None => {}
    }
    let Some(key) = facts.current_key() else { return Ok(()) };
    match &facts.owner_of_current {
        Some(KeyOwner::OtherUser(owner)) => {
            Err(StepError::KeyOfAnotherUser { key, owner: owner.clone(), user: facts.access_key.user.clone() })
        }
        Some(KeyOwner::NotListedYet) => Err(StepError::NotVisibleYet {
            what: format!("the key {key} in IAM's list of {}'s keys", facts.access_key.user),
        }),
        Some(KeyOwner::Nobody) | None => Ok(()),
    }
}

/// A pending version is finished, the target, to be abandoned, or none of ours.
fn judge_pending(facts: &Facts<'_>, desk: &mut Desk) -> Result<(), StepError> {
    let Some(version) = desk.secret.pending().cloned() else { return Ok(()) };
    if desk.secret.current() == Some(&version) {
        desk.put(Settling::FinishPending { version });
        return Ok(());
    }
    let Some(key) = desk.secret.key_of(&version) else {
        return Err(StepError::PendingVersionNotOurs { secret: facts.settings.secret.id.clone(), version });
    };
    if facts.is_active(&key) && !facts.has_leaked(&key) {
        return Ok(());
    }
    if facts.key(&key).is_none() && !has_settled(facts, desk.secret.standing.as_ref().map(|standing| standing.since)) {
        return Err(StepError::NotVisibleYet { what: format!("the pending key {key} in IAM's list") });
    }
    desk.put(Settling::AbandonPending { version });
    // Hosts may hold what was pending, and a late function may have written a standing of before it was.
    desk.restart = true;
    Ok(())
}

/// An intent ends when its version is labelled, when the key that it stored is gone, or when its window has closed
/// without a key and another version is pending: then nobody waits for it any more.
fn judge_intent(facts: &Facts<'_>, desk: &mut Desk) -> Result<(), StepError> {
    let Some(intent) = desk.secret.intent.clone() else { return Ok(()) };
    let is_labelled = [desk.secret.pending(), desk.secret.current()].contains(&Some(&intent.token));
    let stored = desk.secret.key_of(&intent.token);
    let unlisted = stored.as_ref().filter(|key| !is_labelled && facts.key(key).is_none());
    if let Some(key) = unlisted.filter(|_| !has_settled(facts, Some(intent.recorded))) {
        return Err(StepError::NotVisibleYet { what: format!("the new key {key} in IAM's list") });
    }
    let is_superseded = stored.is_none()
        && desk.secret.pending().is_some()
        && facts.now >= after(intent.recorded, INTENT_WINDOW)
        && !facts.keys.iter().any(|key| intent_explains(facts, key).is_some());
    let is_dead = stored.as_ref().is_some_and(|key| !facts.is_active(key) || facts.has_leaked(key));
    if is_labelled || is_superseded || is_dead || is_given_up(facts, desk) {
        desk.put(Settling::CloseIntent);
    }
    Ok(())
}

/// `abandon` gives up a key that was made and stored, and that nobody is about to label any more.
fn is_given_up(facts: &Facts<'_>, desk: &Desk) -> bool {
    let Some(intent) = desk.secret.intent.as_ref().filter(|_| facts.request.mode == Mode::Abandon) else {
        return false;
    };
    let is_over = !facts.intent_runs_elsewhere && facts.now >= after(intent.recorded, INTENT_WINDOW);
    is_over
        && !facts
            .keys
            .iter()
            .any(|key| !desk.secret.labels.contains_key(key.id.as_str()) && intent_explains(facts, key).is_some())
}

/// A way back says that it comes before it moves anything.
fn announce_turn(facts: &Facts<'_>, desk: &mut Desk) {
    let settled = Facts { secret: desk.secret.clone(), ..facts.clone() };
    let turns = matches!(turn::turn(&settled), Ok(Some(_)));
    desk.restart |= turns && turn::may_move_at(&settled).is_none();
}

/// Private labels that no key needs any more; those of the target, the current version and an open intent stay.
fn sweep(facts: &Facts<'_>, desk: &mut Desk) {
    let secret = desk.secret.clone();
    let token = secret.intent.as_ref().map(|intent| &intent.token);
    for (key, version) in secret.private_labels() {
        let is_needed = [secret.pending(), secret.current(), token].contains(&Some(version));
        let settled = has_settled(facts, secret.standing.as_ref().map(|standing| standing.since));
        if facts.key(&key).is_none() && !is_needed && settled {
            desk.put(Settling::Sweep { key, version: version.clone() });
        }
    }
}

/// Labelled versions of others whose key belongs to the user become ours.
fn adopt(facts: &Facts<'_>, desk: &mut Desk) {
    let current = desk.secret.current().cloned();
    // The current version first: where a person stored the same key twice, readers' version is the one that counts.
    let mut versions: Vec<VersionId> = facts.readings.keys().cloned().collect();
    versions.sort_by_key(|version| Some(version) != current.as_ref());
    for version in versions {
        let Some(Reading::Key(key)) = facts.readings.get(&version) else { continue };
        let from = desk.secret.labels.get(key.as_str()).cloned();
        let may_take = from.is_none() || Some(&version) == current.as_ref();
        if facts.key(key).is_some() && may_take && from.as_ref() != Some(&version) {
            desk.put(Settling::Adopt { key: key.clone(), version, from });
        }
    }
}

/// A key that was made Inactive and is Active again was wanted back: every wait starts over. One that is gone needs no
/// record any more: whoever deleted it may have died before it took the record away.
fn notice_what_became_of_inactive_keys(facts: &Facts<'_>, desk: &mut Desk) {
    let recorded = desk.secret.inactive_since.clone();
    let settled = recorded.into_iter().filter(|(_, since)| has_settled(facts, Some(*since))).map(|(key, _)| key);
    for key in settled.collect::<BTreeSet<AccessKeyId>>() {
        let is_wanted_back = facts.is_active(&key);
        if is_wanted_back || facts.key(&key).is_none() {
            desk.restart |= is_wanted_back;
            desk.put(Settling::ForgetInactive { key });
        }
    }
}

fn has_settled(facts: &Facts<'_>, since: Option<Timestamp>) -> bool {
    since.is_none_or(|since| facts.now >= after(since, LISTS_SETTLE))
}
