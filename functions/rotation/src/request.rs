//! The execution's input: what somebody asks for when a run starts.

use serde::{Deserialize, Serialize};

use crate::error::StepError;

/// What a run is asked to do. `{}` is a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The mode, `rotate` where the input names none.
    #[serde(default)]
    pub mode: Mode,
    /// The console's own field, which it offers in its example input; it changes nothing.
    #[serde(default, rename = "Comment", skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The modes of a run (DESIGN section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Stages a new version unless one is pending, and brings the fleet to it.
    #[default]
    Rotate,
    /// Brings the fleet to the target; stages only what is overdue.
    Converge,
    /// Reads only, and says what `rotate` would do now.
    Plan,
}

impl Request {
    /// Reads the execution's input; an unknown mode or field is refused by name.
    pub fn parse(input: &serde_json::Value) -> Result<Request, StepError> {
        serde_path_to_error::deserialize(input).map_err(|error| StepError::InvalidInput {
            path: error.path().to_string(),
            problem: error.inner().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_input_and_the_consoles_comment_ask_for_a_rotation() {
        for input in [json!({}), json!({"Comment": "Insert your JSON here"}), json!({"mode": "rotate"})] {
            assert_eq!(Request::parse(&input).unwrap().mode, Mode::Rotate);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_path() {
        let error = Request::parse(&json!({"mode": "destroy"})).unwrap_err();
        assert_eq!(error.name(), "InvalidInput");
        assert!(error.to_string().contains("mode"), "{error}");
        assert_eq!(Request::parse(&json!({"mod": "plan"})).unwrap_err().name(), "InvalidInput");
        assert_eq!(Request::parse(&json!("rotate")).unwrap_err().name(), "InvalidInput");
    }
}
