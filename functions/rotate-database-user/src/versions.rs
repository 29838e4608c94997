//! The secret's side: labels and values, read anew in every step, since steps follow each other within a second and
//! what the last one did may not be seen yet (FACTS D).

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use lambda::AwsResult;
use rotation::StepError;
use rotation::access_key::SecretValue;
use rotation::database_secret::DatabaseSecret;
use rotation::error::AwsRefusal;
use rotation::names::{AWSCURRENT, AWSPENDING, VersionId};
use rotation::password::PasswordRules;
use serde_json::{Map, Value};

use crate::error::RotationError;
use crate::event::RotationEvent;

const SERVICE: &str = "secretsmanager";
/// The label that follows AWSCURRENT by itself.
const AWSPREVIOUS: &str = "AWSPREVIOUS";
/// The tags that say what a secret's first value shall be; a member's name follows.
const FIRST_VALUE: &str = "database:";

/// What DescribeSecret says.
pub(crate) struct Versions {
    pub arn: String,
    labels: BTreeMap<String, VersionId>,
    tags: BTreeMap<String, String>,
}

/// How the event's version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is to become current.
    Pending,
    /// It is already: the rotation is over, and a step that comes again has nothing to do.
    Finished,
}

impl Versions {
    pub(crate) async fn look(client: &Client, id: &str) -> Result<Versions, RotationError> {
        let found = client.describe_secret().secret_id(id).send().await.named(SERVICE, "DescribeSecret");
        let secret = found.map_err(|failure| match failure.code() {
            "ResourceNotFoundException" => {
                RotationError::SecretNotFound { secret: id.to_owned(), cause: failure.refusal }
            }
            _ => StepError::from(failure).into(),
        })?;
        if secret.deleted_date().is_some() {
            let (code, message) = ("Deleted".to_owned(), "it is marked for deletion".to_owned());
            let cause = AwsRefusal { service: SERVICE, operation: "DescribeSecret", code, message };
            return Err(RotationError::SecretNotFound { secret: id.to_owned(), cause: Box::new(cause) });
        }
        let stages = secret.version_ids_to_stages().cloned().unwrap_or_default();
        let labels = stages
            .into_iter()
            .flat_map(|(version, labels)| labels.into_iter().map(move |label| (label, VersionId(version.clone()))));
        let tags = secret.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
        let arn = secret.arn().unwrap_or(id).to_owned();
        Ok(Versions { arn, labels: labels.collect(), tags: tags.collect() })
    }

    /// How the event's version stands. A first version is current from the moment it is stored (FACTS D), before any
    /// database has its password: where no other version was ever current, it still counts as pending.
    pub(crate) fn standing(&self, event: &RotationEvent) -> Result<Standing, RotationError> {
        let holds = |label: &str| self.labels.get(label) == Some(&event.version);
        if holds(AWSCURRENT) && !(holds(AWSPENDING) && self.previous().is_none()) {
            return Ok(Standing::Finished);
        }
        if holds(AWSPENDING) {
            return Ok(Standing::Pending);
        }
        Err(RotationError::VersionNotPending {
            secret: self.arn.clone(),
            version: event.version.clone(),
            holder: self.labels.get(AWSPENDING).map_or("no version".to_owned(), |holder| holder.to_string()),
        })
    }

    pub(crate) fn current(&self) -> Option<&VersionId> {
        self.labels.get(AWSCURRENT)
    }

    pub(crate) fn previous(&self) -> Option<&VersionId> {
        self.labels.get(AWSPREVIOUS)
    }

    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// The value that the tags describe: everything but a password.
    pub(crate) fn first_value(&self) -> Result<DatabaseSecret, RotationError> {
        let members: Map<String, Value> = self
            .tags
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(FIRST_VALUE)?.to_owned(), Value::from(value.as_str()))))
            .collect();
        if members.is_empty() {
            return Err(RotationError::NoValueYet { secret: self.arn.clone() });
        }
        self.readable("its tags database:…", DatabaseSecret::from_members(members))
    }

    fn readable<T>(
        &self,
        which: &str,
        read: Result<T, rotation::database_secret::DatabaseSecretError>,
    ) -> Result<T, RotationError> {
        read.map_err(|problem| RotationError::SecretValueUnreadable {
            secret: self.arn.clone(),
            which: which.to_owned(),
            problem,
        })
    }

    /// The value of a version, if it has one.
    pub(crate) async fn value(
        &self,
        client: &Client,
        version: &VersionId,
        which: &str,
    ) -> Result<Option<DatabaseSecret>, RotationError> {
        match read(client, &self.arn, Some(version)).await? {
            None => Ok(None),
            Some(value) => self.readable(which, DatabaseSecret::parse(&value)).map(Some),
        }
    }

    /// Stores the pending value. A version that has one already keeps it: an earlier try of this step stored it, and
    /// its answer was lost or is not seen yet.
    pub(crate) async fn store(
        &self,
        client: &Client,
        event: &RotationEvent,
        value: &DatabaseSecret,
    ) -> Result<(), RotationError> {
        let call = client
            .put_secret_value()
            .secret_id(&self.arn)
            .client_request_token(event.version.as_str())
            .secret_string(value.write().reveal())
            .version_stages(AWSPENDING)
            .set_rotation_token(event.rotation_token.clone());
        match call.send().await.named(SERVICE, "PutSecretValue") {
            Err(failure) if failure.code() == "ResourceExistsException" => Ok(()),
            other => Ok(other.map(drop).map_err(StepError::from)?),
        }
    }

    /// Moves AWSCURRENT onto the event's version. AWSPENDING stays where it is: AWS takes it off by itself or leaves it,
    /// and a call of ours would say that the rotation did not complete (FACTS D).
    pub(crate) async fn promote(&self, client: &Client, event: &RotationEvent) -> Result<(), RotationError> {
        if self.current() == Some(&event.version) {
            return Ok(());
        }
        Ok(secret::move_label(client, &self.arn, AWSCURRENT, self.current(), Some(&event.version)).await?)
    }
}

/// The value of a version of any secret, or of its current one.
async fn read(client: &Client, id: &str, version: Option<&VersionId>) -> Result<Option<SecretValue>, StepError> {
    let call = client.get_secret_value().secret_id(id).set_version_id(version.map(|version| version.0.clone()));
    match call.send().await.named(SERVICE, "GetSecretValue") {
        Ok(answer) => Ok(answer.secret_string.map(SecretValue::new)),
        // A labelled version without a value answers so (FACTS D).
        Err(failure) if failure.code() == "ResourceNotFoundException" => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// The current value of the administrator's secret.
pub(crate) async fn master_value(client: &Client, id: &str) -> Result<Option<SecretValue>, StepError> {
    read(client, id, None).await
}

/// A password by the rules, which Secrets Manager makes up.
pub(crate) async fn random_password(client: &Client, rules: &PasswordRules) -> Result<SecretValue, RotationError> {
    let call = client
        .get_random_password()
        .password_length(i64::from(rules.length))
        .set_exclude_characters(Some(rules.exclude_characters.clone()).filter(|some| !some.is_empty()))
        .exclude_uppercase(rules.exclude_uppercase)
        .exclude_lowercase(rules.exclude_lowercase)
        .exclude_numbers(rules.exclude_numbers)
        .exclude_punctuation(rules.exclude_punctuation)
        .include_space(false)
        .require_each_included_type(rules.require_each_included_type);
    let answer = call.send().await.named(SERVICE, "GetRandomPassword").map_err(StepError::from)?;
    let password = answer.random_password.filter(|password| !password.is_empty());
    // An empty one would open the account to everybody.
    let none = || {
        let (code, message) = ("NoPassword".to_owned(), "the answer holds no password".to_owned());
        let cause = AwsRefusal { service: SERVICE, operation: "GetRandomPassword", code, message };
        StepError::AwsRefused { cause: Box::new(cause) }
    };
    Ok(SecretValue::new(password.ok_or_else(none)?))
}
