//! Completes and checks a rotation's settings as a deployment does: defaults from the schema, the schema's own rules,
//! and what the functions check beyond it. The CDK app follows the same three steps.

use std::path::{Path, PathBuf};

use rotation::{Settings, StepError};
use serde_json::Value;

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("{path} cannot be read ({cause}). Name a file that exists")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A file is not JSON.
    #[error("{path} is no JSON: {cause}")]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: serde_json::Error,
    },
    /// The settings break a rule.
    #[error("{0}")]
    Wrong(StepError),
    /// The schema itself is broken.
    #[error("statemachine/settings.schema.json is no schema: {0}")]
    Schema(String),
}

/// Reads a JSON file.
///
/// # Errors
/// When it cannot be read or is not JSON.
pub fn read_json(path: &Path) -> Result<Value, SettingsError> {
    let text =
        std::fs::read_to_string(path).map_err(|cause| SettingsError::Unreadable { path: path.to_owned(), cause })?;
    serde_json::from_str(&text).map_err(|cause| SettingsError::NotJson { path: path.to_owned(), cause })
}

/// Fills in defaults and checks; the completed settings as the definition carries them, and as the functions read them.
///
/// # Errors
/// `InvalidSettings` with the JSON path of the first thing that is wrong.
pub fn complete(schema: &Value, settings: Value) -> Result<(Value, Settings), SettingsError> {
    complete_by(schema, &compile(schema)?, settings)
}

/// Compiles the schema, which takes longer than all the rest.
pub(crate) fn compile(schema: &Value) -> Result<jsonschema::Validator, SettingsError> {
    jsonschema::validator_for(schema).map_err(|error| SettingsError::Schema(error.to_string()))
}

/// Completes by a schema that was compiled before.
pub(crate) fn complete_by(
    schema: &Value,
    validator: &jsonschema::Validator,
    mut settings: Value,
) -> Result<(Value, Settings), SettingsError> {
    fill_defaults(schema, &mut settings);
    if let Err(error) = validator.validate(&settings) {
        let path = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
        // A field that is missing at the top has no path of its own.
        let path = if path.is_empty() { "(the top)".to_owned() } else { path };
        return Err(SettingsError::Wrong(StepError::InvalidSettings { path, problem: error.to_string() }));
    }
    let parsed = Settings::parse(&settings).map_err(SettingsError::Wrong)?;
    Ok((settings, parsed))
}

/// The schema's `default` keyword, property by property; an object that is itself a default is completed in turn. What
/// only one kind of rotation has stands in the branches of the schema's `if`.
fn fill_defaults(schema: &Value, value: &mut Value) {
    fill_properties(schema, value);
    let Some(kind) = schema.pointer("/if/properties/kind/const") else { return };
    let branch = if value.get("kind") == Some(kind) { "then" } else { "else" };
    schema.get(branch).into_iter().for_each(|branch| fill_properties(branch, value));
}

fn fill_properties(schema: &Value, value: &mut Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let Some(members) = value.as_object_mut() else { return };
    for (name, rule) in properties {
        if let Some(default) = rule.get("default") {
            members.entry(name).or_insert_with(|| default.clone());
        }
        if let Some(member) = members.get_mut(name) {
            fill_defaults(rule, member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        read_json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/settings.schema.json")).unwrap()
    }

    fn least() -> Value {
        json!({
            "rotation": "sql-backups",
            "secret": {"id": "sqlcredential"},
            "user": "sql-backups-user",
            "credentials": ["s3://sql-backups.s3.eu-west-1.amazonaws.com"],
            "fleet": {"tags": [{"key": "SQL", "values": ["2022"]}], "targets": [{"account": "111122223333", "regions": ["eu-west-1"]}]},
            "topic": "arn:aws:sns:eu-west-1:111122223333:notices"
        })
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut settings = least();
        change(&mut settings);
        complete(&schema(), settings).unwrap_err().to_string()
    }

    #[test]
    fn the_least_settings_are_completed_and_hold_together() {
        let (value, settings) = complete(&schema(), least()).unwrap();
        assert_eq!(settings.schedule.rotate_every_days, 85);
        assert_eq!(value["waves"]["canaryHosts"], 1, "the console shows what is in force");
        assert_eq!(serde_json::to_value(&settings).unwrap(), value, "the functions read all of it");
    }

    #[test]
    fn what_the_schema_does_not_know_is_refused_with_its_path() {
        assert!(refusal(|settings| settings["waves"] = json!({"canaries": 2})).contains("`waves`"));
        assert!(refusal(|settings| settings["promoteShare"] = json!(1.5)).contains("`promoteShare`"));
        assert!(refusal(|settings| settings["user"] = json!("bob; drop")).contains("`user`"));
        assert!(refusal(|settings| settings["credentials"] = json!(["https://b"])).contains("`credentials.0`"));
        let missing = refusal(|settings| {
            settings.as_object_mut().unwrap().remove("topic");
        });
        assert!(missing.contains("topic") && missing.contains("`(the top)`"), "{missing}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_with_the_reason() {
        let interval = refusal(|settings| settings["schedule"] = json!({"rotateEveryDays": 10}));
        assert!(interval.contains("schedule.rotateEveryDays") && interval.contains("15 days"), "{interval}");
        let policy = refusal(|settings| settings["schedule"] = json!({"maximumAgeDays": 85}));
        assert!(policy.contains("schedule.maximumAgeDays"), "{policy}");
        let wave = refusal(|settings| settings["waves"] = json!({"waveTimeoutSeconds": 400}));
        assert!(wave.contains("waves.waveTimeoutSeconds"), "{wave}");
        let long = format!("s3://{}", "b".repeat(110));
        assert!(refusal(|settings| settings["credentials"] = json!([long])).contains("128"));
        let both = refusal(|settings| settings["foreignCredentials"] = settings["credentials"].clone());
        assert!(both.contains("foreign"), "{both}");
    }
}
