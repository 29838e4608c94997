//! The one rule by which a definition in the repository becomes a definition in an account.
//!
//! The CDK app and the local AWS share it: `${Name}` inside a JSON string becomes an ARN, and the string that is exactly
//! `"${Settings}"` becomes the rotation's settings. The file is valid JSON before and after, and keeps its order.

use std::collections::BTreeMap;

use serde_json::Value;

/// Why a definition could not be filled in.
#[derive(Debug, thiserror::Error)]
pub enum SubstitutionError {
    /// The file itself is broken; correct it at the place that is named.
    #[error("the state machine's definition is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A token that nobody gave a value for; misspelt, or its function is not deployed.
    #[error("the state machine's definition has the token ${{{0}}}, for which there is no value")]
    UnknownToken(String),
    /// `${` without `}`.
    #[error("the state machine's definition has a token that does not end: {0}")]
    Unclosed(String),
    /// The settings are an object and cannot stand inside a text or as a key.
    #[error("${{Settings}} must be a whole JSON string of its own, as a value")]
    SettingsInsideText,
}

const SETTINGS: &str = "Settings";

/// Fills in a definition's tokens: `arns` by token name without `${}`, and the settings.
pub fn substitute(text: &str, arns: &BTreeMap<String, String>, settings: &Value) -> Result<String, SubstitutionError> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(SubstitutionError::NotJson)?;
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, token) = rest.split_at(start);
        let Some(end) = token.find(['}', '"']).filter(|end| token[*end..].starts_with('}')) else {
            return Err(SubstitutionError::Unclosed(token.chars().take(40).collect()));
        };
        let (name, after) = (&token[2..end], &token[end + 1..]);
        rest = after;
        if name == SETTINGS {
            let whole = before.ends_with('"') && !before.ends_with("\\\"") && after.starts_with('"');
            if !whole || after[1..].trim_start().starts_with(':') {
                return Err(SubstitutionError::SettingsInsideText);
            }
            filled.push_str(&before[..before.len() - 1]);
            filled.push_str(&settings.to_string());
            rest = &after[1..];
        } else {
            let arn = arns.get(name).ok_or_else(|| SubstitutionError::UnknownToken(name.to_owned()))?;
            let quoted = Value::from(arn.as_str()).to_string();
            filled.push_str(before);
            filled.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(text: &str) -> Result<String, SubstitutionError> {
        let arns = [("SendFunctionArn", "arn:aws:lambda:::function:send"), ("Quote", "a\"b")];
        let arns = arns.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        substitute(text, &arns, &json!({"name": "backup", "note": "costs ${5}"}))
    }

    #[test]
    fn tokens_become_arns_and_settings_become_an_object_in_their_place() {
        let filled = fill(r#"{"Z": "${Settings}", "A": "${SendFunctionArn}:1", "Q": "${Quote}", "P": "$.x"}"#).unwrap();
        assert_eq!(
            filled,
            r#"{"Z": {"name":"backup","note":"costs ${5}"}, "A": "arn:aws:lambda:::function:send:1", "Q": "a\"b", "P": "$.x"}"#
        );
    }

    #[test]
    fn a_token_left_over_is_an_error_that_names_it() {
        let error = fill(r#"{"A": "${SendFunktionArn}"}"#).unwrap_err();
        assert!(error.to_string().contains("${SendFunktionArn}"), "{error}");
        assert!(matches!(fill(r#"{"A": "${Send", "B": "}"}"#), Err(SubstitutionError::Unclosed(_))));
    }

    #[test]
    fn settings_stand_alone_and_as_a_value() {
        for text in [
            r#"{"A": "x ${Settings}"}"#,
            r#"{"A": "${Settings} x"}"#,
            r#"{"${Settings}": 1}"#,
            r#"["\"${Settings}\""]"#,
        ] {
            assert!(matches!(fill(text), Err(SubstitutionError::SettingsInsideText)), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_json_is_refused_before_anything_is_filled_in() {
        assert!(matches!(fill(r#"{"A": ${Settings}}"#), Err(SubstitutionError::NotJson(_))));
    }
}
