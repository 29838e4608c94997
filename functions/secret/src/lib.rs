//! Reads what is so about the secret, and applies what a plan says about it. Every write is nothing when it is already
//! so; labels move by compare-and-swap only (FACTS D: UpdateSecretVersionStage's alone).

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::Tag;
use lambda::{AwsFailure, AwsResult};
use rotation::StepError;
use rotation::access_key::{AccessKey, SecretValue};
use rotation::error::AwsRefusal;
use rotation::names::{AWSPENDING, INACTIVE_TAG_PREFIX, STANDING_TAG, VersionId};
use rotation::plan::{Reading, Settling};
use rotation::scope::Scope;
use rotation::secret::{Intent, SecretFacts};
use rotation::settings::Settings;

const SERVICE: &str = "secretsmanager";

/// Looks at labels and tags, with an eye to what the settings want proved; no value is read.
pub async fn look(client: &Client, settings: &Settings) -> Result<SecretFacts, StepError> {
    let facts = labels_and_tags(client, &settings.secret.id).await?;
    Ok(SecretFacts { scope: Scope::of(settings), ..facts })
}

/// Looks at labels and tags.
pub async fn labels_and_tags(client: &Client, id: &str) -> Result<SecretFacts, StepError> {
    let found = client.describe_secret().secret_id(id).send().await.named(SERVICE, "DescribeSecret");
    let secret = found.map_err(|failure| not_found(id, failure))?;
    if secret.deleted_date().is_some() {
        let message = "it is marked for deletion".to_owned();
        let cause = AwsRefusal { service: SERVICE, operation: "DescribeSecret", code: "Deleted".to_owned(), message };
        return Err(StepError::SecretNotFound { secret: id.to_owned(), cause: Box::new(cause) });
    }
    let stages = secret.version_ids_to_stages().cloned().unwrap_or_default();
    let tags: BTreeMap<String, String> =
        secret.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect();
    Ok(SecretFacts::new(
        secret.arn().unwrap_or(id).to_owned(),
        secret.rotation_enabled().unwrap_or_default(),
        stages.into_iter().map(|(version, labels)| (VersionId(version), labels)),
        &tags,
    ))
}

fn not_found(id: &str, failure: AwsFailure) -> StepError {
    match failure.code() {
        "ResourceNotFoundException" => StepError::SecretNotFound { secret: id.to_owned(), cause: failure.refusal },
        _ => failure.into(),
    }
}

/// Reads the value of a version, if it has one.
pub async fn value(client: &Client, arn: &str, version: &VersionId) -> Result<Option<SecretValue>, StepError> {
    let call = client.get_secret_value().secret_id(arn).version_id(version.as_str()).send();
    match call.await.named(SERVICE, "GetSecretValue") {
        Ok(answer) => Ok(answer.secret_string.map(SecretValue::new)),
        // A labelled version without a value answers so (FACTS D).
        Err(failure) if failure.code() == "ResourceNotFoundException" => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// What a version turns out to hold.
pub async fn reading(client: &Client, arn: &str, version: &VersionId) -> Result<Reading, StepError> {
    Ok(match value(client, arn, version).await? {
        None => Reading::NoValue,
        Some(value) => match AccessKey::parse(&value) {
            Ok(key) => Reading::Key(key.id),
            Err(why) => Reading::NotAKey(why),
        },
    })
}

/// Moves a label from the holder that was seen to another version, or off. Another holder by now is `LabelMoved`;
/// where the label is already as it should be, that is no failure.
pub async fn move_label(
    client: &Client,
    arn: &str,
    label: &str,
    from: Option<&VersionId>,
    to: Option<&VersionId>,
) -> Result<(), StepError> {
    let call = client
        .update_secret_version_stage()
        .secret_id(arn)
        .version_stage(label)
        .set_remove_from_version_id(from.map(|version| version.0.clone()))
        .set_move_to_version_id(to.map(|version| version.0.clone()));
    match call.send().await.named(SERVICE, "UpdateSecretVersionStage") {
        Ok(_) => Ok(()),
        Err(failure) if failure.code() == "InvalidParameterException" => {
            let holder = labels_and_tags(client, arn).await?.labels.get(label).cloned();
            if holder.as_ref() == to {
                return Ok(());
            }
            if holder.as_ref() == from {
                // It has moved, as the refusal says, and this look is late: perhaps an earlier try of ours moved it.
                return Err(StepError::NotVisibleYet { what: format!("where {label} of {arn} has moved") });
            }
            Err(StepError::LabelMoved { secret: arn.to_owned(), label: label.to_owned(), cause: failure.refusal })
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Writes tags of the secret.
pub async fn record<'a>(
    client: &Client,
    arn: &str,
    tags: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<(), StepError> {
    let tags = tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    client.tag_resource().secret_id(arn).set_tags(Some(tags)).send().await.named(SERVICE, "TagResource")?;
    Ok(())
}

/// Takes tags of the secret away.
pub async fn forget<'a>(client: &Client, arn: &str, names: impl IntoIterator<Item = &'a str>) -> Result<(), StepError> {
    let names = names.into_iter().map(str::to_owned).collect();
    client.untag_resource().secret_id(arn).set_tag_keys(Some(names)).send().await.named(SERVICE, "UntagResource")?;
    Ok(())
}

/// Applies settlings in their order, to the secret and to the facts.
pub async fn settle(client: &Client, secret: &mut SecretFacts, settlings: &[Settling]) -> Result<(), StepError> {
    for settling in settlings {
        apply(client, &secret.arn, settling).await?;
        settling.apply_to(secret);
    }
    Ok(())
}

async fn apply(client: &Client, arn: &str, settling: &Settling) -> Result<(), StepError> {
    match settling {
        Settling::FinishPending { version } | Settling::AbandonPending { version } => {
            move_label(client, arn, AWSPENDING, Some(version), None).await
        }
        Settling::Sweep { key, version } => move_label(client, arn, key.as_str(), Some(version), None).await,
        Settling::Adopt { key, version, from } => {
            move_label(client, arn, key.as_str(), from.as_ref(), Some(version)).await
        }
        Settling::Label { label, from, to } => move_label(client, arn, label, from.as_ref(), to.as_ref()).await,
        Settling::CloseIntent => forget(client, arn, Intent::TAGS).await,
        Settling::ForgetInactive { key } => forget(client, arn, [inactive_tag(key.as_str()).as_str()]).await,
        Settling::RecordStanding { standing } => record(client, arn, [(STANDING_TAG, standing.to_tag())]).await,
    }
}

/// The tag that says since when a key is Inactive.
pub fn inactive_tag(key: &str) -> String {
    format!("{INACTIVE_TAG_PREFIX}{key}")
}
