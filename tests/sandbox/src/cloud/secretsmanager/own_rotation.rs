//! Secrets Manager's own rotation, which ours is not: as far as it goes before a rotation function is called.
//!
//! RotateSecret makes the version id and labels it AWSPENDING before the function makes a value (FACTS D). No function
//! is called here, so the version stays empty: what a person sees whose rotation function fails.

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::request::Turn;
use super::super::secret_labels::{CURRENT, PENDING, Version};
use super::super::state::State;
use super::{existing, refused, request_token};

/// How Secrets Manager is to rotate a secret by itself.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct OwnRotation {
    pub(in super::super) enabled: bool,
    pub(super) lambda_arn: Option<String>,
    pub(super) rules: Option<Value>,
}

pub(super) fn rotate_secret(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let version_id = request_token(state, turn)?;
    let at_once = turn.optional_text("RotateImmediately").is_none_or(|text| text == "true");
    let (arn, secret) = existing(state, turn)?;
    let lambda_arn = turn.optional_text("RotationLambdaARN").or_else(|| secret.rotation.lambda_arn.clone());
    if lambda_arn.is_none() {
        return Err(refused(
            "InvalidRequestException",
            "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured and \
             you didn't include such an ARN as a parameter in this call.",
        ));
    }
    let mut contents = secret.contents.truth().clone();
    let pending = contents.labels.get(PENDING);
    if pending.is_some() && pending != contents.labels.get(CURRENT) {
        return Err(refused(
            "InvalidRequestException",
            "A previous rotation isn't complete. That rotation will be reattempted.",
        ));
    }
    let rules = turn.member("RotationRules").cloned().or_else(|| secret.rotation.rules.clone());
    let moves = if at_once {
        contents.versions.insert(version_id.clone(), Version { value: None, created: turn.now });
        contents.attach(&[PENDING.to_owned()], &version_id)?
    } else {
        Vec::new()
    };
    secret.rotation = OwnRotation { enabled: true, lambda_arn, rules };
    secret.contents.set(turn.now, contents);
    let answer = json!({ "ARN": arn, "Name": secret.name, "VersionId": version_id });
    moves.into_iter().for_each(|moved| turn.effect(moved.effect(&arn)));
    Ok(answer)
}

/// What is pending stays pending; only the schedule ends.
pub(super) fn cancel_rotate_secret(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let (arn, secret) = existing(state, turn)?;
    secret.rotation.enabled = false;
    let mut answer = json!({ "ARN": arn, "Name": secret.name });
    if let Some(pending) = secret.contents.truth().labels.get(PENDING) {
        answer["VersionId"] = Value::from(pending.as_str());
    }
    Ok(answer)
}
