//! What people should know in time: a key that is used where nobody expects it, and a slot that will be missing.

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Retirement, after};
use crate::fleet::Roster;
use crate::keys::{KeyFacts, LastUse};

/// How long before the next rotation a slot that is held is worth a word.
const NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A host moves over some time after its command was asked for, and how exact IAM's time of a use is nobody says (FACTS A).
const USE_LAGS: SignedDuration = SignedDuration::from_hours(1);

/// What a person can do where hosts, and not only time, keep a key.
const WITHOUT_THEM: &str =
    " Bring these hosts in, or go on without them: {\"mode\": \"converge\", \"without\": [\"i-…\"]}.";

/// When the next rotation is due: the current key's age decides, whatever the schedule's own clock says.
pub(super) fn next_rotation(facts: &Facts<'_>) -> Option<Timestamp> {
    Some(after(current_key_created(facts)?, facts.settings.schedule.rotate_every()))
}

/// When the current key was made.
pub(super) fn current_key_created(facts: &Facts<'_>) -> Option<Timestamp> {
    Some(facts.key(&facts.current_key()?)?.created)
}

/// Whether a key that is to go was used after the last running host had moved over to the target: something else holds
/// it. A host that proves once more moves that time, so that a use may be missed; a host's own is never taken for it.
pub(super) fn is_old_key_used(facts: &Facts<'_>, retire: &[Retirement], roster: &Roster) -> bool {
    let Some(standing) = &facts.secret.standing else { return false };
    if !roster.lacking.is_empty() || roster.proved.is_empty() {
        return false;
    }
    let proofs = roster.proved.iter().filter_map(|host| Some(host.ledger.as_ref()?.commanded));
    let moved_over = after(proofs.fold(standing.since, Timestamp::max), USE_LAGS);
    let of_old_keys = retire.iter().filter_map(|retirement| facts.key(retirement.key())?.last_use.as_ref());
    of_old_keys.into_iter().any(|last_use| last_use.at > moved_over)
}

/// The warnings, each with what ends it.
pub(super) fn warnings(facts: &Facts<'_>, retire: &[Retirement]) -> Vec<String> {
    let strange = facts.keys.iter().filter_map(|key| strange_use(facts, key));
    strange.chain(slot_will_be_missing(facts, retire)).collect()
}

/// A use that no host of the fleet and no check of ours makes: somebody else holds the key.
fn strange_use(facts: &Facts<'_>, key: &KeyFacts) -> Option<String> {
    let LastUse { at, service, region } = key.last_use.as_ref()?;
    let places = facts.settings.places();
    let is_ours = match service.as_str() {
        "s3" => {
            places.iter().any(|place| place.region == *region)
                || facts.access_key.credentials.iter().any(|url| url.contains(region.as_str()))
        }
        "sts" => true,
        _ => false,
    };
    (!is_ours).then(|| {
        format!(
            "Key {} was last used for {service} in {region} at {at}, which no host of this fleet does: find who holds it (CloudTrail, userIdentity.accessKeyId), and give that use a user of its own.",
            key.id
        )
    })
}

/// The next rotation needs a slot: named a week before where hosts, and not only time, keep the old key in it.
fn slot_will_be_missing(facts: &Facts<'_>, retire: &[Retirement]) -> Option<String> {
    let due = next_rotation(facts)?;
    if facts.keys.len() < 2 || facts.now < after(due, -NOTICE) || facts.secret.pending().is_some() {
        return None;
    }
    let delete_after = facts.access_key.retirement.delete_after();
    retire.iter().find_map(|retirement| {
        let Retirement::NotYet { key, obstacles, earliest } = retirement else { return None };
        // An Inactive key's earliest time is that of its deletion.
        let until_deleted = if facts.is_active(key) { delete_after } else { SignedDuration::ZERO };
        let frees_in_time = earliest.is_some_and(|earliest| after(earliest, until_deleted) <= due);
        (!frees_in_time).then(|| {
            format!(
                "The next rotation is due on {due} and needs the slot of key {key}, which stays: {}.{}",
                obstacles.join("; "),
                // Without a time something else than time keeps it: hosts.
                if earliest.is_some() { "" } else { WITHOUT_THEM }
            )
        })
    })
}
