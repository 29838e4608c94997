//! What a deployment makes of the repository's files: checked settings, the definition with its tokens filled in, the
//! documents. A file is read once in a process, since a simulation makes worlds by the thousand.

use std::sync::OnceLock;

use super::*;

/// The schema as JSON, for its defaults, and compiled.
struct Schema {
    json: Value,
    validator: jsonschema::Validator,
}

/// A definition under the settings that fill it in.
type Defined = (String, Arc<Definition>);

/// Completes settings and checks them.
pub(super) fn check(settings: Value) -> Result<(Value, Settings), WorldError> {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    let schema = match SCHEMA.get() {
        Some(schema) => schema,
        None => {
            let json = settings_file::read_json(&repository().join("statemachine/settings.schema.json"))?;
            let validator = settings_file::compile(&json)?;
            SCHEMA.get_or_init(|| Schema { json, validator })
        }
    };
    Ok(settings_file::complete_by(&schema.json, &schema.validator, settings)?)
}

/// Puts ARNs and settings into the definition, by the one rule that the CDK app follows as well.
pub(super) fn define(completed: &Value, settings: &Settings, lambda: &Lambda) -> Result<Defined, WorldError> {
    static DEFINED: Mutex<BTreeMap<String, Defined>> = Mutex::new(BTreeMap::new());
    let text = definition(completed, settings, |function| lambda.arn(function))?;
    let mut defined = DEFINED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = defined.get(&text) {
        return Ok(known.clone());
    }
    let parsed = Definition::parse(&text).map_err(|error| WorldError::Definition(error.to_string()))?;
    Ok(defined.entry(text.clone()).or_insert((text, Arc::new(parsed))).clone())
}

/// The file in the repository with its tokens filled in.
pub(super) fn definition(
    completed: &Value,
    settings: &Settings,
    arn_of: impl Fn(&str) -> String,
) -> Result<String, WorldError> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = match TEXT.get() {
        Some(text) => text,
        None => {
            let text = std::fs::read_to_string(repository().join("statemachine/rotation.asl.json"))?;
            TEXT.get_or_init(|| text)
        }
    };
    let arns = functions_for(&settings.credential).map(|function| (token_of(function), arn_of(function))).collect();
    substitute(text, &arns, completed).map_err(|error| WorldError::Definition(error.to_string()))
}

/// Every document by its name in SSM.
pub(super) fn documents() -> Result<&'static [(&'static str, Value)], WorldError> {
    static DOCUMENTS: OnceLock<Vec<(&'static str, Value)>> = OnceLock::new();
    if let Some(documents) = DOCUMENTS.get() {
        return Ok(documents);
    }
    let build = |name: &'static str| {
        let built = document::build(&repository().join("statemachine/documents").join(name));
        built.map(|built| (name, built)).map_err(|error| WorldError::Document(error.to_string()))
    };
    let documents = document::NAMES.into_iter().map(build).collect::<Result<Vec<_>, _>>()?;
    Ok(DOCUMENTS.get_or_init(|| documents))
}
