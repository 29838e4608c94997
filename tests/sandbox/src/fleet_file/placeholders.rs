//! Names for the keys that nobody can know when a story is written: `{{current key}}` in a run's input is the access key
//! of the version that is current when the run starts.

use rotation::names::{AWSCURRENT, AWSPENDING};
use serde_json::Value;

/// Secrets Manager moves it along with AWSCURRENT; no rotation of ours leans on it.
const AWSPREVIOUS: &str = "AWSPREVIOUS";

/// Each name, and the label of the version whose key it means.
const PLACEHOLDERS: [(&str, &str); 3] =
    [("{{current key}}", AWSCURRENT), ("{{pending key}}", AWSPENDING), ("{{previous key}}", AWSPREVIOUS)];

/// Why an input cannot be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// There is no such name.
    #[error("`{0}` is no placeholder; those are {known}", known = known())]
    Unknown(String),
    /// Nothing is so named now.
    #[error("{0} means nothing here: no version with a key bears {1} at this point of the story")]
    Nothing(&'static str, &'static str),
}

fn known() -> String {
    PLACEHOLDERS.map(|(name, _)| name).join(", ")
}

/// The text that looks like a placeholder and is none, with its JSON path below `place`.
pub(super) fn unknown(place: &str, input: &Value) -> Option<(String, Unfilled)> {
    match input {
        Value::String(text) => {
            let is_known = PLACEHOLDERS.iter().any(|(name, _)| name == text);
            (text.contains("{{") && !is_known).then(|| (place.to_owned(), Unfilled::Unknown(text.clone())))
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| unknown(&format!("{place}[{index}]"), item))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| unknown(&format!("{place}.{name}"), member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The input with every placeholder filled in; `key_of` gives the key of the version that bears a label.
///
/// # Errors
/// When nothing is so named now.
pub fn fill(mut input: Value, key_of: &dyn Fn(&str) -> Option<String>) -> Result<Value, Unfilled> {
    fill_in_place(&mut input, key_of)?;
    Ok(input)
}

fn fill_in_place(input: &mut Value, key_of: &dyn Fn(&str) -> Option<String>) -> Result<(), Unfilled> {
    match input {
        Value::String(text) => {
            let Some((name, label)) = PLACEHOLDERS.iter().find(|(name, _)| name == text) else { return Ok(()) };
            *text = key_of(label).ok_or(Unfilled::Nothing(name, label))?;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_in_place(item, key_of)),
        Value::Object(members) => members.values_mut().try_for_each(|member| fill_in_place(member, key_of)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_named_by_the_label_of_its_version() {
        let key_of = |label: &str| (label == AWSCURRENT).then(|| "AKIANOW".to_owned());
        let input = json!([{ "mode": "rotate", "compromised": "{{current key}}" }, { "instanceIds": ["i-1"] }]);
        let filled = fill(input, &key_of).unwrap();
        assert_eq!(filled, json!([{ "mode": "rotate", "compromised": "AKIANOW" }, { "instanceIds": ["i-1"] }]));
        let refused = fill(json!({ "compromised": "{{pending key}}" }), &key_of).unwrap_err();
        assert!(refused.to_string().contains("AWSPENDING"), "{refused}");
    }

    #[test]
    fn what_is_no_placeholder_is_found_with_its_path_and_told_what_there_is() {
        assert_eq!(unknown("run", &json!({ "compromised": "{{current key}}", "instanceIds": ["i-1"] })), None);
        let (place, why) = unknown("run", &json!([{ "without": ["i-1", "{{old key}}"] }])).unwrap();
        assert_eq!(place, "run[0].without[1]");
        assert!(why.to_string().contains("{{previous key}}"), "{why}");
    }
}
