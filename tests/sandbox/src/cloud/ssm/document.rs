//! Documents and their versions, and the check of a command's parameters against them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex_lite::Regex;
use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::event::Effect;
use super::super::request::{Turn, epoch_seconds, scalar};
use super::super::state::{Place, State};
use super::refused;

/// Content with its parameters is at most 64 KB (FACTS C).
const MOST_BYTES: usize = 65_536;

/// A document: version n is `versions[n - 1]`.
#[derive(Clone, Debug)]
pub(in super::super) struct Document {
    versions: Vec<Content>,
    default_version: usize,
    created: Timestamp,
}

/// What a version says, and the text that it came as: whoever reads it back gets that.
#[derive(Clone, Debug)]
struct Content {
    text: String,
    value: Value,
}

impl Document {
    /// The number and content that a DocumentVersion names: a number, `$DEFAULT` (also when absent) or `$LATEST`.
    pub(super) fn version(&self, named: Option<&str>) -> Option<(usize, &Value)> {
        let number = self.number(named)?;
        Some((number, &self.versions.get(number.checked_sub(1)?)?.value))
    }

    fn number(&self, named: Option<&str>) -> Option<usize> {
        let number = match named {
            None | Some("$DEFAULT") => self.default_version,
            Some("$LATEST") => self.versions.len(),
            Some(number) => number.parse().ok()?,
        };
        Some(number)
    }

    fn text(&self, number: usize) -> &str {
        number.checked_sub(1).and_then(|index| self.versions.get(index)).map_or("", |content| &content.text)
    }
}

fn place(turn: &Turn<'_>, name: &str) -> Place {
    (turn.account.to_owned(), turn.region.to_owned(), name.to_owned())
}

pub(super) fn existing<'a>(state: &'a State, turn: &Turn<'_>, name: &str) -> Result<&'a Document, ServiceError> {
    let missing = || refused("InvalidDocument", format!("Document with name {name} does not exist."));
    state.documents.get(&place(turn, name)).ok_or_else(missing)
}

pub(super) fn existing_version<'a>(
    document: &'a Document,
    name: &str,
    named: Option<&str>,
) -> Result<(usize, &'a Value), ServiceError> {
    document.version(named).ok_or_else(|| {
        let message = format!("Document version {} of {name} does not exist.", named.unwrap_or_default());
        refused("InvalidDocumentVersion", message)
    })
}

pub(super) fn create_document(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let name = turn.text("Name")?;
    let text = turn.text("Content")?;
    let reserved = ["aws", "amazon", "amzn"].iter().any(|word| name.to_ascii_lowercase().starts_with(word));
    if reserved {
        return Err(turn.invalid("Document names may not start with aws, amazon or amzn."));
    }
    if text.len() > MOST_BYTES {
        return Err(refused("MaxDocumentSizeExceeded", "The size limit of a document is 64 KB."));
    }
    let content: Value = serde_json::from_str(&text)
        .map_err(|error| refused("InvalidDocumentContent", format!("The content is not valid JSON: {error}")))?;
    if content.get("schemaVersion").is_none() {
        return Err(refused("InvalidDocumentContent", "The content has no schemaVersion."));
    }
    if state.documents.contains_key(&place(turn, &name)) {
        return Err(refused("DocumentAlreadyExists", "The specified document already exists."));
    }
    add_content(state, turn, (turn.account, turn.region), &name, Content { text, value: content });
    Ok(json!({ "DocumentDescription": description(existing(state, turn, &name)?, turn, &name, None)? }))
}

/// A document's next version, which becomes the default one.
pub(in super::super) fn add_version(
    state: &mut State,
    turn: &mut Turn<'_>,
    (account, region): (&str, &str),
    name: &str,
    content: Value,
) -> String {
    add_content(state, turn, (account, region), name, Content { text: content.to_string(), value: content })
}

fn add_content(
    state: &mut State,
    turn: &mut Turn<'_>,
    (account, region): (&str, &str),
    name: &str,
    content: Content,
) -> String {
    let fresh = || Document { versions: Vec::new(), default_version: 1, created: turn.now };
    let place = (account.to_owned(), region.to_owned(), name.to_owned());
    let document = state.documents.entry(place).or_insert_with(fresh);
    document.versions.push(content);
    document.default_version = document.versions.len();
    let version = document.default_version.to_string();
    turn.effect(Effect::DocumentCreated { name: name.to_owned(), version: version.clone() });
    version
}

pub(super) fn describe_document(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let name = turn.text("Name")?;
    let document = existing(state, turn, &name)?;
    Ok(json!({ "Document": description(document, turn, &name, turn.optional_text("DocumentVersion").as_deref())? }))
}

fn description(document: &Document, turn: &Turn<'_>, name: &str, version: Option<&str>) -> Result<Value, ServiceError> {
    let (number, content) = existing_version(document, name, version)?;
    let parameter = |(name, definition): (&String, &Value)| {
        let mut listed = json!({ "Name": name, "Type": definition.get("type") });
        if let Some(default) = definition.get("default").and_then(scalar) {
            listed["DefaultValue"] = Value::from(default);
        }
        listed
    };
    let parameters = content.get("parameters").and_then(Value::as_object);
    Ok(json!({
        "Name": name,
        "Owner": turn.account,
        "CreatedDate": epoch_seconds(document.created),
        "Status": "Active",
        "DocumentVersion": number.to_string(),
        "DefaultVersion": document.default_version.to_string(),
        "LatestVersion": document.versions.len().to_string(),
        "SchemaVersion": content.get("schemaVersion"),
        "DocumentType": "Command",
        "DocumentFormat": "JSON",
        "PlatformTypes": ["Linux", "Windows"],
        "Parameters": parameters.into_iter().flatten().map(parameter).collect::<Vec<_>>(),
    }))
}

pub(super) fn get_document(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let name = turn.text("Name")?;
    let document = existing(state, turn, &name)?;
    let (number, _) = existing_version(document, &name, turn.optional_text("DocumentVersion").as_deref())?;
    Ok(json!({
        "Name": name,
        "DocumentVersion": number.to_string(),
        "Status": "Active",
        "Content": document.text(number),
        "DocumentType": "Command",
        "DocumentFormat": "JSON",
    }))
}

/// The parameters that a command runs with: those sent, checked, and the document's defaults.
pub(super) fn check_parameters(
    content: &Value,
    sent: Option<&Value>,
) -> Result<BTreeMap<String, String>, ServiceError> {
    let empty = serde_json::Map::new();
    let definitions = content.get("parameters").and_then(Value::as_object).unwrap_or(&empty);
    let sent = sent.and_then(Value::as_object).unwrap_or(&empty);
    if let Some(unknown) = sent.keys().find(|name| !definitions.contains_key(*name)) {
        return Err(refused("InvalidParameters", format!("Parameter {unknown} is not defined in the document.")));
    }
    let mut parameters = BTreeMap::new();
    for (name, definition) in definitions {
        let value = match sent.get(name) {
            Some(Value::Array(values)) => values.iter().filter_map(scalar).collect::<Vec<_>>().join(","),
            Some(value) => scalar(value).unwrap_or_default(),
            None => definition.get("default").and_then(scalar).ok_or_else(|| {
                refused("InvalidParameters", format!("Parameter {name} is missing and has no default."))
            })?,
        };
        if sent.contains_key(name) {
            check_parameter(name, &value, definition)?;
        }
        parameters.insert(name.clone(), value);
    }
    Ok(parameters)
}

fn check_parameter(name: &str, value: &str, definition: &Value) -> Result<(), ServiceError> {
    if let Some(allowed) = definition.get("allowedValues").and_then(Value::as_array)
        && !allowed.iter().filter_map(scalar).any(|allowed| allowed == value)
    {
        return Err(refused(
            "InvalidParameters",
            format!("Parameter {name} has a value that is not in allowedValues."),
        ));
    }
    if let Some(pattern) = definition.get("allowedPattern").and_then(Value::as_str) {
        let pattern = Regex::new(pattern).map_err(|error| {
            refused("InvalidParameters", format!("The allowedPattern of parameter {name} is no pattern: {error}"))
        })?;
        // SSM does not anchor it: a match anywhere in the value is enough (EMULATORS.md).
        if !pattern.is_match(value) {
            let message = format!("Parameter {name} does not match the allowedPattern {pattern}.");
            return Err(refused("InvalidParameters", message));
        }
    }
    Ok(())
}
