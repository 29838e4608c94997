//! Reads what is so about the credential: the secret's labels, the user's keys, and what the labelled versions hold.
//!
//! Shared by the steps that plan with keys, so that all see alike.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{AccessKeyMetadata, StatusType};
use jiff::Timestamp;
use lambda::{AwsFailure, AwsResult};
use rotation::StepError;
use rotation::fleet::Roster;
use rotation::keys::{KeyFacts, KeyOwner, KeyStatus, LastUse};
use rotation::names::{AccessKeyId, VersionId};
use rotation::plan::{Facts, Reading, key_of};
use rotation::request::Request;
use rotation::secret::SecretFacts;
use rotation::settings::Settings;

/// One look at the credential.
#[derive(Clone, Debug)]
pub struct Look {
    /// The secret.
    pub secret: SecretFacts,
    /// What the labelled versions without a private label hold.
    pub readings: BTreeMap<VersionId, Reading>,
    /// The user's keys.
    pub keys: Vec<KeyFacts>,
    /// Whose the current version's key is, where the user's list does not show it.
    pub owner_of_current: Option<KeyOwner>,
}

/// Looks. Values are read only of versions that nobody has adopted yet.
pub async fn look(
    secretsmanager: &aws_sdk_secretsmanager::Client,
    iam: &Client,
    settings: &Settings,
) -> Result<Look, StepError> {
    let user = &settings.access_key()?.user;
    let secret = secret::look(secretsmanager, settings).await?;
    let mut keys = list(iam, user).await?;
    let mut readings = BTreeMap::new();
    for version in to_read(&secret, &keys) {
        let reading = secret::reading(secretsmanager, &secret.arn, &version).await?;
        readings.insert(version, reading);
    }
    for key in &mut keys {
        key.last_use = last_use(iam, &key.id).await?.1;
    }
    let mut look = Look { secret, readings, keys, owner_of_current: None };
    look.owner_of_current = look.ask_for_owner(iam, user).await?;
    Ok(look)
}

/// The versions whose value must be read: the current one until it is adopted, and others while a key of the user is
/// named by no private label. A pending version that is not ours is refused by name, whatever it holds.
fn to_read(secret: &SecretFacts, keys: &[KeyFacts]) -> Vec<VersionId> {
    let labelled: BTreeSet<AccessKeyId> = secret.private_labels().map(|(key, _)| key).collect();
    let is_unexplained = keys.iter().any(|key| !labelled.contains(&key.id));
    let mut versions = secret.unadopted();
    versions.retain(|version| {
        let is_current = secret.current() == Some(version);
        is_current || (is_unexplained && secret.pending() != Some(version))
    });
    versions
}

impl Look {
    /// The facts of a plan by a step that makes no key and does not ask whether another execution makes one.
    pub fn into_facts<'a>(
        self,
        (started, now): (Timestamp, Timestamp),
        request: &'a Request,
        settings: &'a Settings,
        execution: &'a str,
        roster: Option<&'a Roster>,
    ) -> Result<Facts<'a>, StepError> {
        Ok(Facts {
            now,
            started,
            request,
            settings,
            access_key: settings.access_key()?,
            execution,
            token: "none".into(),
            secret: self.secret,
            readings: self.readings,
            keys: self.keys,
            owner_of_current: self.owner_of_current,
            intent_runs_elsewhere: false,
            roster,
        })
    }

    async fn ask_for_owner(&self, iam: &Client, user: &str) -> Result<Option<KeyOwner>, StepError> {
        let current = self.secret.current();
        let key = current.and_then(|version| key_of(&self.secret, &self.readings, version));
        let Some(key) = key.filter(|key| !self.keys.iter().any(|listed| listed.id == *key)) else { return Ok(None) };
        // GetAccessKeyLastUsed is the one call that tells whose a key is (FACTS A).
        Ok(Some(match last_use(iam, &key).await?.0 {
            None => KeyOwner::Nobody,
            Some(owner) if owner == user => KeyOwner::NotListedYet,
            Some(owner) => KeyOwner::OtherUser(owner),
        }))
    }
}

/// Deletes a key; one that is gone already was deleted by an earlier try.
pub async fn delete(iam: &Client, user: &str, key: &AccessKeyId) -> Result<(), StepError> {
    let call = iam.delete_access_key().user_name(user).access_key_id(key.as_str()).send().await;
    gone_is_done(call.named("iam", "DeleteAccessKey"))
}

/// Makes a key Inactive; one that is gone needs it no more.
pub async fn deactivate(iam: &Client, user: &str, key: &AccessKeyId) -> Result<(), StepError> {
    let call = iam.update_access_key().user_name(user).access_key_id(key.as_str()).status(StatusType::Inactive);
    gone_is_done(call.send().await.named("iam", "UpdateAccessKey"))
}

fn gone_is_done<T>(answer: Result<T, AwsFailure>) -> Result<(), StepError> {
    match answer {
        Err(failure) if failure.code() != "NoSuchEntity" => Err(failure.into()),
        _ => Ok(()),
    }
}

/// The user's keys, without their last use.
async fn list(iam: &Client, user: &str) -> Result<Vec<KeyFacts>, StepError> {
    let answer = iam.list_access_keys().user_name(user).send().await.named("iam", "ListAccessKeys");
    let answer = answer.map_err(|failure| match failure.code() {
        "NoSuchEntity" => StepError::UserNotFound { user: user.to_owned(), cause: failure.refusal },
        _ => failure.into(),
    })?;
    Ok(answer.access_key_metadata.iter().filter_map(key_facts).collect())
}

fn key_facts(key: &AccessKeyMetadata) -> Option<KeyFacts> {
    let status = match key.status()?.as_str() {
        "Active" => KeyStatus::Active,
        "Inactive" => KeyStatus::Inactive,
        // Expired, and whatever IAM may add: it does not work.
        _ => KeyStatus::Expired,
    };
    Some(KeyFacts { id: key.access_key_id()?.into(), status, created: timestamp(key.create_date()?)?, last_use: None })
}

/// The owner of a key, if it exists, and its last use, if IAM knows of one.
async fn last_use(iam: &Client, key: &AccessKeyId) -> Result<(Option<String>, Option<LastUse>), StepError> {
    let call = iam.get_access_key_last_used().access_key_id(key.as_str()).send().await;
    match call.named("iam", "GetAccessKeyLastUsed") {
        Ok(answer) => {
            let last = answer.access_key_last_used.and_then(|last| {
                Some(LastUse { at: timestamp(&last.last_used_date?)?, service: last.service_name, region: last.region })
            });
            Ok((answer.user_name, last))
        }
        Err(failure) if failure.code() == "NoSuchEntity" => Ok((None, None)),
        Err(failure) => Err(failure.into()),
    }
}

fn timestamp(time: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}

/// Deletes a key, then takes away what the secret says of it: its private label and the time of its deactivation.
pub async fn forget(
    secretsmanager: &aws_sdk_secretsmanager::Client,
    iam: &Client,
    user: &str,
    secret: &SecretFacts,
    key: &AccessKeyId,
    version: Option<&VersionId>,
) -> Result<(), StepError> {
    delete(iam, user, key).await?;
    if let Some(version) = version {
        secret::move_label(secretsmanager, &secret.arn, key.as_str(), Some(version), None).await?;
    }
    let tag = secret::inactive_tag(key.as_str());
    secret::forget(secretsmanager, &secret.arn, [tag.as_str()]).await
}
