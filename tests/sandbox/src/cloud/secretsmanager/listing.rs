//! Lists of secrets and of a secret's versions.

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::pages::page;
use super::super::request::{Turn, epoch_seconds, filters};
use super::super::secret_labels::Contents;
use super::super::state::State;
use super::{Secret, description, existing_or_deleted, refused, stages};

const MOST_PER_PAGE: usize = 100;

fn invalid_token() -> ServiceError {
    refused("InvalidNextTokenException", "The NextToken value is invalid.")
}

pub(super) fn list_secrets(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let size = turn.number("MaxResults", MOST_PER_PAGE, 1, MOST_PER_PAGE)?;
    let filters = filters(turn.list("Filters"), "Key", "Values");
    let with_deleted = turn.flag("IncludePlannedDeletion");
    let mut listed: Vec<(&String, Value)> = Vec::new();
    for (arn, secret) in &state.secrets {
        let is_here = secret.region == turn.region && arn.split(':').nth(4) == Some(turn.account);
        let is_shown = match secret.deletion {
            None => true,
            Some(deletion) => with_deleted && turn.now < deletion,
        };
        let seen = secret.contents.seen(turn.now, state.visibility.secret).cloned().unwrap_or_default();
        let mut is_asked = true;
        for (key, values) in &filters {
            is_asked &= matches(secret, &seen, key, values)?;
        }
        if is_here && is_shown && is_asked {
            let mut entry = description(arn, secret, &seen);
            entry["SecretVersionsToStages"] = stages(&seen);
            listed.push((arn, entry));
        }
    }
    if turn.optional_text("SortOrder").as_deref() == Some("desc") {
        listed.reverse();
    }
    let token = turn.optional_text("NextToken");
    let page = page(listed, |(arn, _)| (*arn).clone(), size, token.as_deref(), invalid_token)?;
    let secrets: Vec<Value> = page.items.into_iter().map(|(_, entry)| entry).collect();
    Ok(with_token(json!({ "SecretList": secrets }), page.next_token))
}

fn with_token(mut answer: Value, token: Option<String>) -> Value {
    if let Some(token) = token {
        answer["NextToken"] = Value::from(token);
    }
    answer
}

/// Names, descriptions and tags are matched by their beginning; a value that begins with ! means all others.
fn matches(secret: &Secret, seen: &Contents, key: &str, values: &[String]) -> Result<bool, ServiceError> {
    let holds = |value: &String| -> Result<bool, ServiceError> {
        let (negated, prefix) = value.strip_prefix('!').map_or((false, value.as_str()), |rest| (true, rest));
        let name = || secret.name.starts_with(prefix);
        let described = || secret.description.as_deref().is_some_and(|text| text.starts_with(prefix));
        let tag_key = || seen.tags.keys().any(|key| key.starts_with(prefix));
        let tag_value = || seen.tags.values().any(|value| value.starts_with(prefix));
        let found = match key {
            "name" => name(),
            "description" => described(),
            "tag-key" => tag_key(),
            "tag-value" => tag_value(),
            "all" => name() || described() || tag_key() || tag_value(),
            other => {
                return Err(refused("InvalidParameterException", format!("The filter key {other} is not valid.")));
            }
        };
        Ok(found != negated)
    };
    values.iter().try_fold(false, |any, value| Ok(any || holds(value)?))
}

/// The newest first. Versions without a label are deprecated, and listed only for who asks for them.
pub(super) fn list_secret_version_ids(state: &mut State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let size = turn.number("MaxResults", MOST_PER_PAGE, 1, MOST_PER_PAGE)?;
    let delay = state.visibility.secret;
    let with_deprecated = turn.flag("IncludeDeprecated");
    let (arn, secret) = existing_or_deleted(state, turn)?;
    let seen = secret.contents.seen(turn.now, delay).cloned().unwrap_or_default();
    let mut versions: Vec<_> = seen
        .versions
        .iter()
        .map(|(id, version)| (id, version.created, seen.labels_of(id)))
        .filter(|(_, _, labels)| with_deprecated || !labels.is_empty())
        .collect();
    versions.sort_by_key(|(id, created, _)| (std::cmp::Reverse(*created), (*id).clone()));
    let token = turn.optional_text("NextToken");
    let page = page(versions, |(id, ..)| (*id).clone(), size, token.as_deref(), invalid_token)?;
    let listed = page.items.into_iter().map(|(id, created, labels)| {
        let mut entry =
            json!({ "VersionId": id, "CreatedDate": epoch_seconds(created), "KmsKeyIds": ["DefaultEncryptionKey"] });
        if !labels.is_empty() {
            entry["VersionStages"] = json!(labels);
        }
        entry
    });
    let answer = json!({ "ARN": arn, "Name": secret.name, "Versions": listed.collect::<Vec<_>>() });
    Ok(with_token(answer, page.next_token))
}
