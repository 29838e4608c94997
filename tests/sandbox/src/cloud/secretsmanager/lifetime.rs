//! A secret is changed as a whole, deleted and brought back.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::request::{Turn, epoch_seconds};
use super::super::secret_labels::CURRENT;
use super::super::state::State;
use super::{MOST_BYTES, existing, existing_or_deleted, refused, request_token, store};

const DAY: Duration = Duration::from_secs(86_400);
/// The recovery window, in days (FACTS D).
const LEAST_DAYS: usize = 7;
const MOST_DAYS: usize = 30;

/// Always moves AWSCURRENT, and refuses a token that is a version already (FACTS D).
pub(super) fn update_secret(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let (arn, secret) = existing(state, turn)?;
    let name = secret.name.clone();
    let mut answer = json!({ "ARN": arn, "Name": name });
    let value = turn.optional_text("SecretString");
    if let Some(value) = value {
        if value.is_empty() || value.len() > MOST_BYTES {
            return Err(turn.invalid(format!("SecretString must be 1 to {MOST_BYTES} bytes long")));
        }
        let version_id = request_token(state, turn)?;
        let taken = |state: &State| {
            state.secrets.get(&arn).is_some_and(|secret| secret.contents.truth().versions.contains_key(&version_id))
        };
        if taken(state) {
            let message = format!("A resource with the ID {version_id} already exists.");
            return Err(refused("ResourceExistsException", message));
        }
        store(state, turn, &arn, &version_id, &value, &[CURRENT.to_owned()])?;
        answer["VersionId"] = Value::from(version_id);
    }
    let (_, secret) = existing(state, turn)?;
    secret.description = turn.optional_text("Description").or_else(|| secret.description.take());
    secret.kms_key_id = turn.optional_text("KmsKeyId").or_else(|| secret.kms_key_id.take());
    secret.changed = turn.now;
    Ok(answer)
}

pub(super) fn delete_secret(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let at_once = turn.flag("ForceDeleteWithoutRecovery");
    if at_once && turn.member("RecoveryWindowInDays").is_some() {
        return Err(refused(
            "InvalidParameterException",
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ));
    }
    let days = turn.number("RecoveryWindowInDays", MOST_DAYS, LEAST_DAYS, MOST_DAYS).map_err(|_| {
        let message =
            format!("The RecoveryWindowInDays value must be between {LEAST_DAYS} and {MOST_DAYS} days (inclusive).");
        refused("InvalidParameterException", message)
    })?;
    let (arn, secret) = existing(state, turn)?;
    let window = DAY * u32::try_from(days).unwrap_or_default();
    let deletion = if at_once { turn.now } else { turn.now.saturating_add(window).unwrap_or(Timestamp::MAX) };
    secret.deletion = Some(deletion);
    Ok(json!({ "ARN": arn, "Name": secret.name, "DeletionDate": epoch_seconds(deletion) }))
}

/// Restoring a secret that nobody deleted is no error.
pub(super) fn restore_secret(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let (arn, secret) = existing_or_deleted(state, turn)?;
    secret.deletion = None;
    Ok(json!({ "ARN": arn, "Name": secret.name }))
}
