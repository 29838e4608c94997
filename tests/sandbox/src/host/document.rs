//! Builds an SSM document from its folder: one rule, the same for the local AWS and for the CDK app.
//!
//! A string in a list that is exactly `{{script:NAME}}` is replaced by the lines of the file NAME beside the document.
//! So the scripts stay real files that can be linted and run, and the document holds no second copy of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The most that SSM takes as a document's content (FACTS C).
const CONTENT_LIMIT_BYTES: usize = 64 * 1024;

/// A folder that gives no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A file of the folder cannot be read.
    #[error("{path} cannot be read: {source}; the document's folder must hold document.json and its scripts")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `document.json` is no JSON.
    #[error("{path} is no JSON: {source}; correct it at that place")]
    NotJson {
        /// Which file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
    /// SSM would refuse the document.
    #[error("the document in {folder} has {bytes} bytes, and SSM takes {CONTENT_LIMIT_BYTES}: shorten its scripts")]
    TooLong {
        /// Which folder.
        folder: PathBuf,
        /// How long it is.
        bytes: usize,
    },
}

/// The document of a folder, with its scripts in their places.
///
/// # Errors
/// When a file is missing or malformed, or the whole is longer than SSM takes.
pub fn build(folder: &Path) -> Result<Value, DocumentError> {
    let path = folder.join("document.json");
    let mut document: Value =
        serde_json::from_str(&read(&path)?).map_err(|source| DocumentError::NotJson { path, source })?;
    splice(&mut document, folder)?;
    let bytes = document.to_string().len();
    if bytes > CONTENT_LIMIT_BYTES {
        return Err(DocumentError::TooLong { folder: folder.to_owned(), bytes });
    }
    Ok(document)
}

fn splice(value: &mut Value, folder: &Path) -> Result<(), DocumentError> {
    match value {
        Value::Array(items) => {
            let mut spliced = Vec::with_capacity(items.len());
            for mut item in std::mem::take(items) {
                if let Some(name) = script_name(&item) {
                    spliced.extend(read(&folder.join(name))?.lines().map(Value::from));
                } else {
                    splice(&mut item, folder)?;
                    spliced.push(item);
                }
            }
            *items = spliced;
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                splice(member, folder)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn script_name(item: &Value) -> Option<&str> {
    item.as_str()?.strip_prefix("{{script:")?.strip_suffix("}}")
}

fn read(path: &Path) -> Result<String, DocumentError> {
    fs::read_to_string(path).map_err(|source| DocumentError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/documents/apply-s3-credential")
    }

    fn script(document: &Value) -> String {
        let lines = document["mainSteps"][0]["inputs"]["runCommand"].as_array().unwrap();
        lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_script_is_in_the_document_line_by_line() {
        let document = build(&folder()).unwrap();
        let file = fs::read_to_string(folder().join("linux.sh")).unwrap();
        assert_eq!(script(&document), file.trim_end_matches('\n'));
    }

    #[test]
    fn every_parameter_is_declared_used_and_anchored() {
        let document = build(&folder()).unwrap();
        let declared = document["parameters"].as_object().unwrap();
        for (name, parameter) in declared {
            let pattern = parameter["allowedPattern"].as_str().unwrap();
            assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{name}: {pattern}");
            assert_eq!(parameter["type"], "String", "{name}");
            // timeoutSeconds is no script, so its parameter is always replaced as text.
            assert_eq!(parameter["interpolationType"] == "ENV_VAR", name != "executionTimeout", "{name}");
        }
        let steps = document["mainSteps"].to_string();
        let used: BTreeSet<&str> = steps.split("{{ ").skip(1).map(|rest| rest.split(" }}").next().unwrap()).collect();
        let declared: BTreeSet<&str> = declared.keys().map(String::as_str).collect();
        assert_eq!(used, declared);
    }

    #[test]
    fn a_missing_script_is_named() {
        let error = build(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/document.json cannot be read"), "{error}");
    }
}
