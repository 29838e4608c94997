//! Secrets Manager: requests and answers; what labels may do is in [`super::secret_labels`].
//!
//! Here is what a rotation calls; what people call besides is in [`lifetime`], [`listing`], [`own_rotation`] and [`password`].

mod lifetime;
mod listing;
pub(super) mod own_rotation;
mod password;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ServiceError;
use super::event::Effect;
use super::random::Identifiers;
use super::request::{Turn, epoch_seconds};
use super::secret_labels::{CURRENT, Contents, Version};
use super::state::{SecretText, State};
use super::visibility::Replicated;

const MOST_TAGS: usize = 50;
const MOST_BYTES: usize = 65_536;

/// One secret.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) description: Option<String>,
    pub(super) kms_key_id: Option<String>,
    pub(super) created: Timestamp,
    /// When its value or its description was last changed.
    pub(super) changed: Timestamp,
    /// When it will be gone for ever, after DeleteSecret; until then nobody can read it.
    pub(super) deletion: Option<Timestamp>,
    pub(super) rotation: own_rotation::OwnRotation,
    pub(super) contents: Replicated<Contents>,
}

impl Secret {
    pub(super) fn new(name: &str, region: &str, now: Timestamp, contents: Contents) -> Secret {
        Secret {
            name: name.to_owned(),
            region: region.to_owned(),
            description: None,
            kms_key_id: None,
            created: now,
            changed: now,
            deletion: None,
            rotation: own_rotation::OwnRotation::default(),
            contents: Replicated::new(now, contents),
        }
    }
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "CreateSecret" => create_secret(state, turn),
        "DescribeSecret" => describe_secret(state, turn),
        "GetSecretValue" => get_secret_value(state, turn),
        "PutSecretValue" => put_secret_value(state, turn),
        "UpdateSecretVersionStage" => update_secret_version_stage(state, turn),
        "TagResource" => tag_resource(state, turn),
        "UntagResource" => untag_resource(state, turn),
        "UpdateSecret" => lifetime::update_secret(state, turn),
        "DeleteSecret" => lifetime::delete_secret(state, turn),
        "RestoreSecret" => lifetime::restore_secret(state, turn),
        "ListSecrets" => listing::list_secrets(state, turn),
        "ListSecretVersionIds" => listing::list_secret_version_ids(state, turn),
        "RotateSecret" => own_rotation::rotate_secret(state, turn),
        "CancelRotateSecret" => own_rotation::cancel_rotate_secret(state, turn),
        "GetRandomPassword" => password::get_random_password(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn refused(code: &str, message: impl Into<String>) -> ServiceError {
    ServiceError::new(400, code, message)
}

/// A secret's ARN: its name and six characters that look random and are the same in every run.
pub(super) fn secret_arn(account: &str, region: &str, name: &str) -> String {
    let suffix = Identifiers::named(&format!("{account}/{region}/{name}")).secret_suffix();
    format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}")
}

impl State {
    /// The ARN of the secret that a caller in `account` means at the endpoint of `region`, by name or by ARN.
    /// Another account's secret is reached by its ARN only.
    pub(super) fn secret_arn_of(&self, account: &str, region: &str, id: &str) -> Option<String> {
        let arn = if id.starts_with("arn:") { id.to_owned() } else { secret_arn(account, region, id) };
        self.secrets.get(&arn).filter(|secret| secret.region == region).map(|_| arn)
    }

    /// The IAM key that a secret's value names, if it names one.
    pub(super) fn key_named_in(&self, value: &str) -> Option<String> {
        self.keys.keys().find(|id| value.contains(id.as_str())).cloned()
    }
}

/// The secret that a call names, also while it waits for its deletion.
fn existing_or_deleted<'a>(state: &'a mut State, turn: &Turn<'_>) -> Result<(String, &'a mut Secret), ServiceError> {
    let id = turn.text("SecretId")?;
    let missing = || refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.");
    let arn = state.secret_arn_of(turn.account, turn.region, &id).ok_or_else(missing)?;
    let secret = state.secrets.get_mut(&arn).ok_or_else(missing)?;
    if secret.deletion.is_some_and(|deletion| deletion <= turn.now) {
        return Err(missing());
    }
    Ok((arn, secret))
}

/// The secret that a call names, if it can be used.
fn existing<'a>(state: &'a mut State, turn: &Turn<'_>) -> Result<(String, &'a mut Secret), ServiceError> {
    let (arn, secret) = existing_or_deleted(state, turn)?;
    if secret.deletion.is_some() {
        return Err(refused(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        ));
    }
    Ok((arn, secret))
}

fn create_secret(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let name = turn.text("Name")?;
    let arn = secret_arn(turn.account, turn.region, &name);
    let is_gone = |secret: &Secret| secret.deletion.is_some_and(|deletion| deletion <= turn.now);
    match state.secrets.get(&arn) {
        Some(secret) if secret.deletion.is_some() && !is_gone(secret) => {
            let message =
                "You can't create this secret because a secret with this name is already scheduled for deletion.";
            return Err(refused("InvalidRequestException", message));
        }
        Some(secret) if !is_gone(secret) => {
            let message = format!("The operation failed because the secret {name} already exists.");
            return Err(refused("ResourceExistsException", message));
        }
        Some(_) | None => {}
    }
    let tags = turn.tags("Tags");
    check_tags(&tags)?;
    let mut secret = Secret::new(&name, turn.region, turn.now, Contents { tags, ..Contents::default() });
    secret.kms_key_id = turn.optional_text("KmsKeyId");
    secret.description = turn.optional_text("Description");
    state.secrets.insert(arn.clone(), secret);
    turn.effect(Effect::SecretCreated { secret_arn: arn.clone() });
    let mut answer = json!({ "ARN": arn, "Name": name });
    if let Some(value) = turn.optional_text("SecretString") {
        let version_id = request_token(state, turn)?;
        store(state, turn, &arn, &version_id, &value, &[CURRENT.to_owned()])?;
        answer["VersionId"] = Value::from(version_id);
    }
    Ok(answer)
}

fn request_token(state: &mut State, turn: &Turn<'_>) -> Result<String, ServiceError> {
    let Some(token) = turn.optional_text("ClientRequestToken") else { return Ok(state.identifiers.uuid()) };
    if !(32..=64).contains(&token.len()) {
        return Err(refused("InvalidParameterException", "ClientRequestToken must be 32-64 characters long."));
    }
    Ok(token)
}

/// Stores a value; the first version of a secret is current whatever was asked (FACTS D).
pub(super) fn store(
    state: &mut State,
    turn: &mut Turn<'_>,
    arn: &str,
    version_id: &str,
    value: &str,
    labels: &[String],
) -> Result<(), ServiceError> {
    let access_key_id = state.key_named_in(value);
    let Some(secret) = state.secrets.get_mut(arn) else { return Ok(()) };
    let mut contents = secret.contents.truth().clone();
    let mut labels = labels.to_vec();
    if !contents.labels.contains_key(CURRENT) && !labels.iter().any(|label| label == CURRENT) {
        labels.push(CURRENT.to_owned());
    }
    let version = Version { value: Some(SecretText::new(value)), created: turn.now };
    contents.versions.insert(version_id.to_owned(), version);
    let moves = contents.attach(&labels, version_id)?;
    let collected = contents.collect(turn.now, false);
    secret.contents.set(turn.now, contents);
    secret.changed = turn.now;
    let secret_arn = arn.to_owned();
    turn.effect(Effect::VersionStored { secret_arn, version_id: version_id.to_owned(), access_key_id });
    moves.into_iter().for_each(|moved| turn.effect(moved.effect(arn)));
    if !collected.is_empty() {
        turn.effect(Effect::VersionsCollected { secret_arn: arn.to_owned(), version_ids: collected });
    }
    Ok(())
}

fn put_secret_value(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let value = match (turn.optional_text("SecretString"), turn.member("SecretBinary")) {
        (Some(value), None) => value,
        (Some(_), Some(_)) => {
            return Err(refused("InvalidParameterException", "You can't specify both SecretString and SecretBinary."));
        }
        (None, None) => {
            return Err(refused("InvalidRequestException", "You must provide either SecretString or SecretBinary."));
        }
        (None, Some(_)) => {
            return Err(turn.invalid("the local AWS keeps no SecretBinary; a rotation's values are texts"));
        }
    };
    if value.is_empty() || value.len() > MOST_BYTES {
        return Err(turn.invalid(format!("SecretString must be 1 to {MOST_BYTES} bytes long")));
    }
    let version_id = request_token(state, turn)?;
    let labels = match turn.texts("VersionStages") {
        none if none.is_empty() => vec![CURRENT.to_owned()],
        asked => asked,
    };
    let (arn, secret) = existing(state, turn)?;
    let name = secret.name.clone();
    let stored = secret.contents.truth().versions.get(&version_id).and_then(|version| version.value.clone());
    match stored {
        Some(same) if same.expose() == value => {}
        Some(_) => {
            let message = format!(
                "You can't use ClientRequestToken {version_id} because that value is already in use for a version of secret {arn}."
            );
            return Err(refused("ResourceExistsException", message));
        }
        None => store(state, turn, &arn, &version_id, &value, &labels)?,
    }
    let labels = state.secrets.get(&arn).map(|secret| secret.contents.truth().labels_of(&version_id));
    Ok(json!({ "ARN": arn, "Name": name, "VersionId": version_id, "VersionStages": labels.unwrap_or_default() }))
}

fn describe_secret(state: &mut State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let delay = state.visibility.secret;
    let (arn, secret) = existing_or_deleted(state, turn)?;
    let seen = secret.contents.seen(turn.now, delay).cloned().unwrap_or_default();
    let mut answer = description(&arn, secret, &seen);
    answer["VersionIdsToStages"] = stages(&seen);
    Ok(answer)
}

/// Each labelled version and its labels.
fn stages(contents: &Contents) -> Value {
    let mut stages: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (label, version_id) in &contents.labels {
        stages.entry(version_id).or_default().push(label);
    }
    json!(stages)
}

/// What DescribeSecret and ListSecrets both say of a secret; what does not apply is left out.
fn description(arn: &str, secret: &Secret, seen: &Contents) -> Value {
    let tags: Vec<Value> = seen.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut answer = json!({
        "ARN": arn,
        "Name": secret.name,
        "Tags": tags,
        "CreatedDate": epoch_seconds(secret.created),
        "LastChangedDate": epoch_seconds(secret.changed),
    });
    let optional = [
        ("Description", secret.description.clone().map(Value::from)),
        ("KmsKeyId", secret.kms_key_id.clone().map(Value::from)),
        ("DeletedDate", secret.deletion.map(epoch_seconds)),
        ("RotationEnabled", secret.rotation.enabled.then_some(Value::from(true))),
        ("RotationLambdaARN", secret.rotation.lambda_arn.clone().map(Value::from)),
        ("RotationRules", secret.rotation.rules.clone()),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            answer[member] = value;
        }
    }
    answer
}

fn get_secret_value(state: &mut State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let delay = state.visibility.secret;
    let (arn, secret) = existing(state, turn)?;
    let seen = secret.contents.seen(turn.now, delay).cloned().unwrap_or_default();
    let asked_version = turn.optional_text("VersionId");
    let asked_label = turn.optional_text("VersionStage");
    let missing = |what: String| {
        refused(
            "ResourceNotFoundException",
            format!("Secrets Manager can't find the specified secret value for {what}"),
        )
    };
    let version_id = match (asked_version, asked_label) {
        (Some(version_id), Some(label)) if seen.labels.get(&label) != Some(&version_id) => {
            return Err(refused(
                "InvalidRequestException",
                "You provided a VersionStage that is not associated to the provided VersionId.",
            ));
        }
        (Some(version_id), _) => version_id,
        (None, label) => {
            let label = label.unwrap_or_else(|| CURRENT.to_owned());
            seen.labels.get(&label).cloned().ok_or_else(|| missing(format!("staging label: {label}")))?
        }
    };
    // A version that is labelled and has no value yet is not found either (FACTS D).
    let version = seen.versions.get(&version_id);
    let value = version.and_then(|version| Some((version.created, version.value.as_ref()?)));
    let (created, value) = value.ok_or_else(|| missing(format!("VersionId: {version_id}")))?;
    Ok(json!({
        "ARN": arn,
        "Name": secret.name,
        "VersionId": version_id,
        "VersionStages": seen.labels_of(&version_id),
        "SecretString": value.expose(),
        "CreatedDate": epoch_seconds(created),
    }))
}

fn update_secret_version_stage(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let label = turn.text("VersionStage")?;
    let remove_from = turn.optional_text("RemoveFromVersionId");
    let move_to = turn.optional_text("MoveToVersionId");
    let takes_pending_off = state.promotion_takes_pending_off;
    let (arn, secret) = existing(state, turn)?;
    let mut contents = secret.contents.truth().clone();
    let moves = contents.compare_and_move(&label, remove_from.as_deref(), move_to.as_deref(), takes_pending_off)?;
    secret.contents.set(turn.now, contents);
    let answer = json!({ "ARN": arn, "Name": secret.name });
    moves.into_iter().for_each(|moved| turn.effect(moved.effect(&arn)));
    Ok(answer)
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ServiceError> {
    if tags.len() > MOST_TAGS {
        return Err(refused("LimitExceededException", format!("A secret can have at most {MOST_TAGS} tags.")));
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256 && !key.starts_with("aws:")
    };
    if !tags.iter().all(fits) {
        return Err(refused(
            "InvalidParameterException",
            "A tag key has 1 to 128 characters and does not start with aws:, a value has at most 256.",
        ));
    }
    Ok(())
}

fn tag_resource(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let set = turn.tags("Tags");
    let (arn, secret) = existing(state, turn)?;
    let mut tags = secret.contents.truth().tags.clone();
    tags.extend(set.clone());
    check_tags(&tags)?;
    secret.contents.change(turn.now, |contents| contents.tags = tags);
    turn.effect(Effect::TagsChanged { resource: arn, set, removed: Vec::new() });
    Ok(json!({}))
}

fn untag_resource(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let removed = turn.texts("TagKeys");
    let (arn, secret) = existing(state, turn)?;
    secret.contents.change(turn.now, |contents| contents.tags.retain(|key, _| !removed.contains(key)));
    turn.effect(Effect::TagsChanged { resource: arn, set: BTreeMap::new(), removed });
    Ok(json!({}))
}
