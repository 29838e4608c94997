//! The versions of one secret and the staging labels on them: the rules of Secrets Manager that a rotation's
//! safety rests on (FACTS D), apart from requests and answers.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::ServiceError;
use super::event::Effect;
use super::state::SecretText;

pub(super) const CURRENT: &str = "AWSCURRENT";
pub(super) const PENDING: &str = "AWSPENDING";
pub(super) const PREVIOUS: &str = "AWSPREVIOUS";

/// Across all versions of a secret (FACTS D).
const MOST_LABELS: usize = 20;
/// Versions without a label are kept while they are among so many newest, or younger than a day (FACTS D).
const VERSIONS_KEPT: usize = 100;
const YOUNG: Duration = Duration::from_secs(86_400);

/// One version; RotateSecret makes it before it has a value (FACTS D).
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) value: Option<SecretText>,
    pub(super) created: Timestamp,
}

/// What changes in a secret over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) versions: BTreeMap<String, Version>,
    /// A map from the label, so that a label sits on exactly one version.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
}

/// A label's old and new holder.
pub(super) struct Move {
    label: String,
    from: Option<String>,
    to: Option<String>,
}

impl Move {
    pub(super) fn effect(self, secret_arn: &str) -> Effect {
        Effect::LabelMoved { secret_arn: secret_arn.to_owned(), label: self.label, from: self.from, to: self.to }
    }
}

impl Contents {
    pub(super) fn labels_of(&self, version_id: &str) -> Vec<String> {
        self.labels.iter().filter(|(_, holder)| *holder == version_id).map(|(label, _)| label.clone()).collect()
    }

    /// Puts labels on a version, taking them from whoever has them. AWSPREVIOUS follows AWSCURRENT.
    /// A refusal changes nothing.
    pub(super) fn attach(&mut self, labels: &[String], version_id: &str) -> Result<Vec<Move>, ServiceError> {
        let mut after = self.labels.clone();
        for label in labels {
            let from = after.insert(label.clone(), version_id.to_owned());
            if let (CURRENT, Some(from)) = (label.as_str(), from.filter(|from| from != version_id)) {
                after.insert(PREVIOUS.to_owned(), from);
            }
        }
        if after.len() > MOST_LABELS {
            let message = format!("You have exceeded the maximum of {MOST_LABELS} staging labels for a secret.");
            return Err(ServiceError::new(400, "LimitExceededException", message));
        }
        Ok(self.become_labelled(after))
    }

    /// The compare-and-swap of UpdateSecretVersionStage: a label that is attached moves only if the caller names its
    /// actual holder (FACTS D).
    pub(super) fn compare_and_move(
        &mut self,
        label: &str,
        remove_from: Option<&str>,
        move_to: Option<&str>,
        takes_pending_off: bool,
    ) -> Result<Vec<Move>, ServiceError> {
        let holder = self.labels.get(label).cloned();
        if let Some(named) = remove_from.filter(|named| holder.as_deref() != Some(*named)) {
            let message = format!("Staging label {label} isn't currently attached to version {named}.");
            return Err(ServiceError::new(400, "InvalidParameterException", message));
        }
        let Some(move_to) = move_to else { return self.detach(label, remove_from) };
        if !self.versions.contains_key(move_to) {
            let message = format!("Secrets Manager can't find the specified secret version: {move_to}.");
            return Err(ServiceError::new(400, "ResourceNotFoundException", message));
        }
        if let (Some(holder), None) = (holder.as_deref().filter(|holder| *holder != move_to), remove_from) {
            let message = format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to \
                 version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            );
            return Err(ServiceError::new(400, "InvalidParameterException", message));
        }
        let mut moves = self.attach(&[label.to_owned()], move_to)?;
        let pending_here = self.labels.get(PENDING).is_some_and(|holder| holder == move_to);
        if label == CURRENT && takes_pending_off && pending_here {
            moves.extend(self.detach(PENDING, Some(move_to))?);
        }
        Ok(moves)
    }

    fn detach(&mut self, label: &str, remove_from: Option<&str>) -> Result<Vec<Move>, ServiceError> {
        let refused = |message: &str| Err(ServiceError::new(400, "InvalidParameterException", message));
        if remove_from.is_none() {
            return refused("You must provide RemoveFromVersionId, MoveToVersionId or both.");
        }
        if label == CURRENT {
            return refused(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
            );
        }
        let mut after = self.labels.clone();
        after.remove(label);
        Ok(self.become_labelled(after))
    }

    fn become_labelled(&mut self, after: BTreeMap<String, String>) -> Vec<Move> {
        let before = std::mem::replace(&mut self.labels, after);
        let names: std::collections::BTreeSet<&String> = before.keys().chain(self.labels.keys()).collect();
        names
            .into_iter()
            .filter(|label| before.get(*label) != self.labels.get(*label))
            .map(|label| Move {
                label: label.clone(),
                from: before.get(label).cloned(),
                to: self.labels.get(label).cloned(),
            })
            .collect()
    }

    /// The versions that Secrets Manager may delete now; with `eagerly`, every version without a label.
    pub(super) fn collect(&mut self, now: Timestamp, eagerly: bool) -> Vec<String> {
        let mut unlabelled: Vec<(Timestamp, String)> = self
            .versions
            .iter()
            .filter(|(id, _)| !self.labels.values().any(|holder| holder == *id))
            .map(|(id, version)| (version.created, id.clone()))
            .collect();
        unlabelled.sort();
        let spare = if eagerly { unlabelled.len() } else { self.versions.len().saturating_sub(VERSIONS_KEPT) };
        let old = |created: &Timestamp| eagerly || now.duration_since(*created).unsigned_abs() > YOUNG;
        let gone: Vec<String> =
            unlabelled.into_iter().take(spare).filter(|(created, _)| old(created)).map(|(_, id)| id).collect();
        self.versions.retain(|id, _| !gone.contains(id));
        gone
    }
}
