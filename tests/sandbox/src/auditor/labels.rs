//! Guarantees 3 and 7: AWSCURRENT moves only after the proofs, the ledger says only what is so, and there is one target
//! that moves by compare-and-swap.

use rotation::names::{AWSCURRENT, AWSPENDING, ledger_tag};

use super::{Breach, Scene, function};
use crate::cloud::views::InstanceView;
use crate::cloud::{Effect, Event};

/// Judges labels and ledger entries, before they are entered into the books.
pub(super) fn judge(scene: Scene<'_>, event: &Event) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for effect in &event.effects {
        if let Effect::LabelMoved { secret_arn, label, from, to } = effect
            && *secret_arn == scene.rules.secret_arn
        {
            breaches.extend(judge_holder(scene, label, from.as_deref()));
            if let (Some(name), Some(to)) = (function(event), to) {
                breaches.extend(judge_move(scene, event, name, label, (from.as_deref(), to)));
            }
        }
        if let (Effect::TagsChanged { resource, set, .. }, Some(name)) = (effect, function(event)) {
            let entry = set.get(&ledger_tag(&scene.rules.rotation));
            breaches.extend(entry.and_then(|entry| judge_ledger(scene, name, resource, entry)));
        }
    }
    breaches
}

/// A label that comes from another version than the books have it on was on two.
fn judge_holder(scene: Scene<'_>, label: &str, from: Option<&str>) -> Option<Breach> {
    let holder = scene.books.labels.get(label).map(String::as_str);
    let is_target = [AWSCURRENT, AWSPENDING].contains(&label);
    (is_target && holder != from).then(|| {
        let none = "no version";
        (7, format!("{label} sits on {} and on {} at once", holder.unwrap_or(none), from.unwrap_or(none)))
    })
}

fn judge_move(
    scene: Scene<'_>,
    event: &Event,
    name: &str,
    label: &str,
    (from, to): (Option<&str>, &str),
) -> Vec<Breach> {
    let is_compared = event.action == "UpdateSecretVersionStage";
    match label {
        AWSPENDING if !is_compared => vec![(
            7,
            format!("{name} put AWSPENDING on version {to} by {}, which takes it from anyone (FACTS D)", event.action),
        )],
        // A secret's very first version is current from the start, by Secrets Manager's rule (FACTS D).
        AWSCURRENT if from.is_none() && !is_compared => Vec::new(),
        AWSCURRENT => judge_promotion(scene, name, to),
        _ => Vec::new(),
    }
}

fn judge_promotion(scene: Scene<'_>, name: &str, version: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let pending = scene.books.labels.get(AWSPENDING);
    if pending.is_none_or(|pending| pending != version) {
        let pending = pending.map_or("no version", String::as_str);
        breaches.push((3, format!("{name} moved AWSCURRENT to version {version}, and AWSPENDING was on {pending}")));
    }
    let share = Share::of(scene, version);
    if !share.suffices(scene.rules.promote_share) {
        breaches.push((
            3,
            format!(
                "{name} moved AWSCURRENT to version {version}, whose key {} of {} online hosts really hold, and the share is {}; it lacks on {}",
                share.holding,
                share.holding + share.lacking.len(),
                scene.rules.promote_share,
                share.lacking.iter().take(10).cloned().collect::<Vec<_>>().join(", "),
            ),
        ));
    }
    breaches
}

/// How many online hosts really hold a version's key.
struct Share {
    holding: usize,
    lacking: Vec<String>,
}

impl Share {
    fn of(scene: Scene<'_>, version: &str) -> Share {
        let mut share = Share { holding: 0, lacking: Vec::new() };
        let counts = |instance: &&InstanceView| {
            scene.rules.matches(instance) && !scene.books.gone_without.contains(&instance.instance_id)
        };
        for instance in scene.cloud.instances().iter().filter(counts) {
            let holds = scene.holds(&instance.instance_id, version);
            if holds && (instance.online || went_off_since_pending(scene, instance)) {
                share.holding += 1;
            } else if !holds && instance.online && was_commanded(scene, instance) {
                share.lacking.push(instance.instance_id.clone());
            }
        }
        share
    }

    #[allow(clippy::cast_precision_loss, reason = "a fleet has fewer hosts than 53 bits can count")]
    fn suffices(&self, promote_share: f64) -> bool {
        let online = self.holding + self.lacking.len();
        // The margin is for the share's own rounding: 0.9 of 10 is 9.
        online > 0 && self.holding as f64 + 1e-9 >= promote_share * online as f64
    }
}

/// A host that proved and then went off has proved all the same.
fn went_off_since_pending(scene: Scene<'_>, instance: &InstanceView) -> bool {
    scene.books.offline_since.get(&instance.instance_id).copied() > scene.books.pending_since
}

/// A host that came online after the last command of its place was not there to answer (DESIGN section 3, online). A
/// place that was sent no command for this version has no such excuse.
fn was_commanded(scene: Scene<'_>, instance: &InstanceView) -> bool {
    let sent = scene.books.commands.get(&(instance.account.clone(), instance.region.clone())).copied();
    let sent = sent.filter(|sent| Some(*sent) >= scene.books.pending_since);
    let online_since = scene.books.online_since.get(&instance.instance_id).copied();
    sent.is_none_or(|sent| online_since.is_none_or(|since| since <= sent))
}

/// An entry of the ledger is a proof: the host that bears it must hold what it names.
fn judge_ledger(scene: Scene<'_>, name: &str, instance_id: &str, entry: &str) -> Option<Breach> {
    // Such an entry takes an earlier proof back.
    if entry.split_whitespace().any(|word| word == "failed") {
        return None;
    }
    let mut words = entry.split_whitespace();
    let version = words.next().unwrap_or_default();
    // An entry from before the host came up, or got its disks, or from before the labels moved, is believed by nobody
    // (DESIGN section 2, ledger): a late function may write one.
    let commanded: Option<jiff::Timestamp> = words.next().and_then(|time| time.parse().ok());
    let counts_from = scene.books.renewed.get(instance_id).copied().max(scene.books.target_since);
    if commanded.is_some_and(|time| counts_from.is_some_and(|from| from > time)) {
        return None;
    }
    (!scene.holds(instance_id, version)).then(|| {
        let key = scene.key_of(version).unwrap_or_else(|| "no key".to_owned());
        (
            3,
            format!(
                "{name} wrote into the ledger that {instance_id} proved version {version}, whose {key} it does not hold"
            ),
        )
    })
}
