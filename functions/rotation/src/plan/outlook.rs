//! What people should know in time: a key that is used where nobody expects it, and a slot that will be missing.

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Retirement, after};
use crate::keys::{KeyFacts, LastUse};
use crate::settings::Settings;

/// How long before the next rotation a slot that is held is worth a word.
const NOTICE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// When the next rotation is due: the current key's age decides, whatever the schedule's own clock says.
pub(super) fn next_rotation(facts: &Facts<'_>) -> Option<Timestamp> {
    let current = facts.current_key()?;
    Some(after(facts.key(&current)?.created, facts.settings.schedule.rotate_every()))
}

/// The warnings, each with what ends it.
pub(super) fn warnings(facts: &Facts<'_>, retire: &[Retirement]) -> Vec<String> {
    let strange = facts.keys.iter().filter_map(|key| strange_use(facts.settings, key));
    strange.chain(slot_will_be_missing(facts, retire)).collect()
}

/// A use that no host of the fleet and no check of ours makes: somebody else holds the key.
fn strange_use(settings: &Settings, key: &KeyFacts) -> Option<String> {
    let LastUse { at, service, region } = key.last_use.as_ref()?;
    let places = settings.places();
    let is_ours = match service.as_str() {
        "s3" => {
            places.iter().any(|place| place.region == *region)
                || settings.credentials.iter().any(|url| url.contains(region.as_str()))
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
    let delete_after = facts.settings.schedule.delete_after();
    retire.iter().find_map(|retirement| {
        let Retirement::NotYet { key, obstacles, earliest } = retirement else { return None };
        let frees_in_time = earliest.is_some_and(|earliest| after(earliest, delete_after) <= due);
        (!frees_in_time).then(|| {
            format!(
                "The next rotation is due on {due} and needs the slot of key {key}, which stays: {}. Bring these hosts in, or go on without them: {{\"mode\": \"converge\", \"without\": [\"i-…\"]}}.",
                obstacles.join("; ")
            )
        })
    })
}
