//! What Secrets Manager sends. Its documentation spells the steps `create_secret`, its service `createSecret`; both are
//! taken (FACTS D).

use std::fmt;

use rotation::names::VersionId;
use serde::Deserialize;
use serde_json::Value;

use crate::error::RotationError;

/// One step of one rotation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationEvent {
    /// The secret's ARN; a name is taken too.
    pub secret_id: String,
    /// The version that is being made.
    #[serde(rename = "ClientRequestToken")]
    pub version: VersionId,
    /// What to do.
    pub step: Step,
    /// Proves a caller in another account or role; it goes into PutSecretValue (FACTS D).
    #[serde(default)]
    pub rotation_token: Option<String>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Step {
    /// Makes and stores the pending value.
    #[serde(rename = "createSecret", alias = "create_secret")]
    CreateSecret,
    /// Makes the database take it.
    #[serde(rename = "setSecret", alias = "set_secret")]
    SetSecret,
    /// Logs in with it.
    #[serde(rename = "testSecret", alias = "test_secret")]
    TestSecret,
    /// Makes it current.
    #[serde(rename = "finishSecret", alias = "finish_secret")]
    FinishSecret,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Step::CreateSecret => "createSecret",
            Step::SetSecret => "setSecret",
            Step::TestSecret => "testSecret",
            Step::FinishSecret => "finishSecret",
        })
    }
}

impl RotationEvent {
    /// Reads an event. Members that Secrets Manager may add one day are passed over.
    pub fn parse(payload: &Value) -> Result<RotationEvent, RotationError> {
        let event = RotationEvent::deserialize(payload)
            .map_err(|error| RotationError::InvalidEvent { problem: error.to_string() })?;
        if !(32..=64).contains(&event.version.as_str().len()) {
            let problem = "ClientRequestToken has 32 to 64 characters".to_owned();
            return Err(RotationError::InvalidEvent { problem });
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(step: &str) -> Result<RotationEvent, RotationError> {
        RotationEvent::parse(&json!({
            "SecretId": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/app-AbCdEf",
            "ClientRequestToken": "01234567-89ab-cdef-0123-456789abcdef",
            "Step": step,
            "RotationToken": "token",
        }))
    }

    #[test]
    fn both_spellings_of_every_step_are_taken() {
        for (camel, snake) in [
            ("createSecret", "create_secret"),
            ("setSecret", "set_secret"),
            ("testSecret", "test_secret"),
            ("finishSecret", "finish_secret"),
        ] {
            assert_eq!(event(camel).unwrap().step.to_string(), camel);
            assert_eq!(event(snake).unwrap().step.to_string(), camel);
        }
    }

    #[test]
    fn what_is_not_secrets_managers_is_refused() {
        assert_eq!(event("dropSecret").unwrap_err().name(), "InvalidEvent");
        assert_eq!(RotationEvent::parse(&json!({ "Step": "setSecret" })).unwrap_err().name(), "InvalidEvent");
    }
}
