//! Makes a key and stores it, in the one order in which no key can be lost: intent, key, value.

use lambda::{AwsFailure, AwsResult};
use rotation::StepError;
use rotation::access_key::{AccessKey, SecretValue};
use rotation::contracts::{StageOutcome, Staged};
use rotation::names::{AccessKeyId, VersionId};
use rotation::plan::Facts;
use rotation::secret::Intent;

use crate::RotateIamKey;

/// Keys made before giving up on one that fits `id:secret`; IAM has never been seen to need a second.
const ATTEMPTS: u32 = 3;

impl RotateIamKey {
    /// Records the intent, makes a key and stores it with its private label and no other.
    pub(crate) async fn make(&self, facts: &Facts<'_>, arn: &str, token: VersionId) -> Result<Staged, StepError> {
        let intent = Intent {
            token: token.clone(),
            recorded: facts.now,
            execution: facts.execution.to_owned(),
            keys_seen: facts.keys.iter().map(|key| key.id.clone()).collect(),
        };
        secret::record(&self.secretsmanager, arn, intent.to_tags()).await?;
        // Tags have no compare-and-swap: of two executions that record at once, the one that is still seen goes on.
        let seen = secret::labels_and_tags(&self.secretsmanager, arn).await?.intent;
        let is_new = |seen: &Intent| seen.execution != intent.execution && Some(seen) != facts.secret.intent.as_ref();
        if let Some(other) = seen.filter(is_new) {
            return Err(StepError::AnotherExecutionStages { execution: other.execution });
        }
        let user = &facts.access_key.user;
        let key = self.create_fitting_key(user, arn).await?;
        let id = key.id.clone();
        self.store(facts, arn, &token, key).await?;
        Ok(Staged {
            version: Some(token),
            key: Some(id),
            wait_seconds: facts.access_key.key_check.seconds_between,
            ..Staged::new(StageOutcome::Checking, "")
        })
    }

    async fn create_fitting_key(&self, user: &str, arn: &str) -> Result<AccessKey, StepError> {
        for _ in 0..ATTEMPTS {
            let created = match self.create(user).await {
                Ok(created) => created,
                Err(failure) => return Err(self.give_up(arn, user, failure).await?),
            };
            match AccessKey::new(created.0.0.clone(), created.1) {
                Ok(key) => return Ok(key),
                Err(_) => access_keys::delete(&self.iam, user, &created.0).await?,
            }
        }
        secret::forget(&self.secretsmanager, arn, Intent::TAGS).await?;
        Err(StepError::KeyUnsuitable { user: user.to_owned(), attempts: ATTEMPTS })
    }

    async fn create(&self, user: &str) -> Result<(AccessKeyId, SecretValue), AwsFailure> {
        let call = self.iam_once.create_access_key().user_name(user).send().await;
        let answer = call.named("iam", "CreateAccessKey")?;
        let key = answer.access_key;
        Ok(key.map_or_else(
            || (AccessKeyId(String::new()), SecretValue::new(String::new())),
            |key| (AccessKeyId(key.access_key_id), SecretValue::new(key.secret_access_key)),
        ))
    }

    /// What a refused CreateAccessKey means. A definite refusal made no key, so the intent is closed; after an unclear
    /// one it stays open, and the next look finds the key or finds that there is none.
    async fn give_up(&self, arn: &str, user: &str, failure: AwsFailure) -> Result<StepError, StepError> {
        if failure.may_have_taken_effect {
            return Ok(failure.into());
        }
        // The list showed a free slot, so the list was late; the key that it does not show yet may be an earlier try's,
        // which the intent alone explains.
        if failure.code() == "LimitExceeded" {
            return Ok(StepError::NotVisibleYet { what: format!("a free key slot of {user}") });
        }
        secret::forget(&self.secretsmanager, arn, Intent::TAGS).await?;
        Ok(match failure.code() {
            "NoSuchEntity" => StepError::UserNotFound { user: user.to_owned(), cause: failure.refusal },
            _ => failure.into(),
        })
    }

    /// Stores the key. A store that definitely failed deletes it at once, since nobody can ever read it again; after
    /// an unclear one the next look finds the version, or an orphan.
    async fn store(&self, facts: &Facts<'_>, arn: &str, token: &VersionId, key: AccessKey) -> Result<(), StepError> {
        let value = key.write(facts.settings.secret.format);
        let call = self
            .secretsmanager
            .put_secret_value()
            .secret_id(arn)
            .client_request_token(token.as_str())
            .secret_string(value.reveal())
            .version_stages(key.id.as_str())
            .send()
            .await;
        match call.named("secretsmanager", "PutSecretValue") {
            Ok(_) => Ok(()),
            Err(failure) if failure.may_have_taken_effect => Err(failure.into()),
            // An earlier try has stored its key under this token, and the look did not show it yet. The token of an
            // earlier execution is taken up only when everything of it can be seen: then somebody took the version's
            // label off, and the token is of no more use.
            Err(failure) if failure.code() == "ResourceExistsException" => {
                access_keys::delete(&self.iam, &facts.access_key.user, &key.id).await?;
                if *token != facts.token {
                    secret::forget(&self.secretsmanager, arn, Intent::TAGS).await?;
                }
                Err(StepError::NotVisibleYet { what: format!("version {token}, which an earlier try stored") })
            }
            Err(failure) => {
                access_keys::delete(&self.iam, &facts.access_key.user, &key.id).await?;
                secret::forget(&self.secretsmanager, arn, Intent::TAGS).await?;
                Err(StepError::KeyNotStored { key: key.id, cause: failure.refusal })
            }
        }
    }
}
