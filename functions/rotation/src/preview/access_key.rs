//! What would become of an access key.

use super::Preview;
use crate::keys::{KeyFacts, KeyStatus};
use crate::names::AccessKeyId;
use crate::plan::{Plan, Retirement, Stage, after};
use crate::secret::SecretFacts;
use crate::settings::AccessKeySettings;

/// The keys as they are, and the plan for them.
pub struct KeyProspect<'a> {
    /// What the settings say of the key.
    pub settings: &'a AccessKeySettings,
    /// The user's keys, where they could be read.
    pub keys: Option<&'a [KeyFacts]>,
    /// The plan, where one can be made.
    pub plan: Option<&'a Plan>,
}

impl KeyProspect<'_> {
    /// Whether `rotate` would bring hosts to a version that none of them knows yet.
    pub(super) fn is_new(&self) -> bool {
        match self.plan.map(|plan| &plan.stage) {
            Some(Stage::Make { .. } | Stage::Check { .. } | Stage::Wait { .. } | Stage::FreeSlot { .. }) => true,
            Some(
                Stage::NotAsked | Stage::Pending { .. } | Stage::Announced { .. } | Stage::Turn(_) | Stage::Refused(_),
            )
            | None => false,
        }
    }

    pub(super) fn staging(&self) -> Vec<String> {
        if self.keys.is_none() {
            return vec!["What would be staged is unknown: the user's keys could not be read.".to_owned()];
        }
        let Some(plan) = self.plan else { return vec!["Nothing would be staged.".to_owned()] };
        let staged = "stored as a new version, checked with STS and labelled AWSPENDING";
        let line = match &plan.stage {
            Stage::NotAsked => "Nothing would be staged: the leaked key is not the current one.".to_owned(),
            Stage::Pending { version, key } => {
                format!("The run would go on with the pending version {version} (key {key}).")
            }
            Stage::Check { version, key } => {
                format!("The stored key {key} (version {version}) would be checked with STS and labelled AWSPENDING.")
            }
            Stage::Make { .. } => format!("A new access key would be made, {staged}."),
            Stage::Wait { until, execution } => format!(
                "The run would wait until {until} for the key that {execution} may have made; then a key would be {staged}."
            ),
            Stage::Announced { .. } | Stage::Turn(_) => "AWSPENDING would be moved back.".to_owned(),
            Stage::FreeSlot { key, .. } => format!(
                "The Inactive key {key} would be deleted at once, since the leaked key needs its slot; then a new access key would be made, {staged}."
            ),
            Stage::Refused(_) => "Nothing would be staged.".to_owned(),
        };
        vec![line]
    }

    /// The user's keys and what each is now.
    pub(super) fn holders(&self, secret: &SecretFacts) -> Vec<String> {
        let of = |key: &KeyFacts| {
            let holds =
                |version: Option<&_>| version.and_then(|version| secret.key_of(version)).as_ref() == Some(&key.id);
            let what = match () {
                () if holds(secret.pending()) => "pending",
                () if holds(secret.current()) => "current",
                () if self.is_stored_only(&key.id) => "stored, and not pending yet",
                () if !secret.labels.contains_key(key.id.as_str()) => "in no version of the secret",
                () if key.status == KeyStatus::Active => "of an earlier version; hosts may hold it",
                () => "of an earlier version",
            };
            format!("Key {}: {what}.", key.describe())
        };
        self.keys.into_iter().flatten().map(of).collect()
    }

    /// Whether a run has stored a key that no host knows yet.
    fn is_stored_only(&self, id: &AccessKeyId) -> bool {
        matches!(self.plan.map(|plan| &plan.stage), Some(Stage::Check { key, .. }) if key == id)
    }

    /// What becomes of AWSCURRENT and of the keys, and when.
    pub(super) fn afterwards(&self, preview: &Preview<'_>) -> Vec<String> {
        let Some(plan) = self.plan else { return Vec::new() };
        let schedule = &preview.settings.schedule;
        let mut lines = Vec::new();
        if self.is_new() || matches!(plan.stage, Stage::Pending { .. }) {
            lines.push(format!(
                "AWSCURRENT would move once {} % of the online hosts have proved the new version, the canary of every region with hosts among them.",
                (self.settings.promote_share * 1000.0).round() / 10.0
            ));
            lines.extend(current_key(preview.secret).map(|key| self.retirement_of(&key, preview)));
        }
        lines.extend(plan.retire.iter().map(|retirement| match retirement {
            Retirement::Deactivate { key } => format!("Key {key} would be made Inactive."),
            Retirement::RecordInactive { key } => format!("Key {key} is Inactive; the time would be recorded."),
            Retirement::Delete { key, .. } => format!("Key {key} would be deleted."),
            Retirement::NotYet { key, obstacles, earliest } => {
                let when = earliest.map(|time| format!(" (earliest {time})")).unwrap_or_default();
                format!("Key {key} would stay as it is{when}: {}.", obstacles.join("; "))
            }
        }));
        lines.extend(plan.breaks.iter().map(|breaks| format!("Before that, people would be told: {breaks}")));
        lines.extend(plan.next_rotation.map(|due| {
            let paused = if schedule.paused { ", and the schedules are paused (schedule.paused)" } else { "" };
            format!("By its age the current key is due on {}{paused}.", due.strftime("%Y-%m-%d"))
        }));
        lines
    }

    /// What becomes of the key that is current now, once another is.
    fn retirement_of(&self, key: &AccessKeyId, preview: &Preview<'_>) -> String {
        if preview.request.compromised.as_ref() == Some(key) {
            return format!(
                "Key {key} would be made Inactive in the same run, after every host that it breaks was named; it is deleted {} days later.",
                self.settings.retirement.delete_after_days
            );
        }
        let retirement = &self.settings.retirement;
        let inactive = after(preview.now, retirement.overlap());
        format!(
            "Key {key} would stay Active until {} at the earliest and until every running host has proved the new version, and be deleted on {} at the earliest.",
            inactive.strftime("%Y-%m-%d"),
            after(inactive, retirement.delete_after()).strftime("%Y-%m-%d")
        )
    }

    pub(super) fn refused(&self) -> Option<String> {
        match &self.plan?.stage {
            Stage::Refused(refusal) => Some(refusal.to_string()),
            Stage::NotAsked
            | Stage::Pending { .. }
            | Stage::Check { .. }
            | Stage::Make { .. }
            | Stage::Wait { .. }
            | Stage::Announced { .. }
            | Stage::Turn(_)
            | Stage::FreeSlot { .. } => None,
        }
    }
}

fn current_key(secret: &SecretFacts) -> Option<AccessKeyId> {
    secret.key_of(secret.current()?)
}
