//! The conditions of a Choice state.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::path::{Path, Scope};

/// One entry of a Choice state's Choices: a condition and the state that it leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// When it applies.
    pub condition: Condition,
    /// The state that follows then.
    pub next: String,
}

/// A condition, possibly made of others.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All of them.
    And(Vec<Condition>),
    /// At least one of them.
    Or(Vec<Condition>),
    /// The opposite.
    Not(Box<Condition>),
    /// A test of one value.
    Test {
        /// Where the value is.
        variable: Path,
        /// What is asked of it.
        operator: Operator,
    },
}

/// What a Choice asks of a value. A value of another type than the operator's simply does not match (AWS's rule).
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    /// StringEquals
    StringEquals(String),
    /// BooleanEquals
    BooleanEquals(bool),
    /// NumericEquals, NumericLessThan, …
    Numeric(Comparison, f64),
    /// NumericEqualsPath, NumericLessThanPath, …
    NumericPath(Comparison, Path),
    /// StringEqualsPath
    StringEqualsPath(Path),
    /// IsPresent: the only test that a missing value passes through without failing the execution.
    IsPresent(bool),
    /// IsNull
    IsNull(bool),
    /// IsString
    IsString(bool),
    /// IsNumeric
    IsNumeric(bool),
    /// IsBoolean
    IsBoolean(bool),
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equals
    Equals,
    /// LessThan
    LessThan,
    /// LessThanEquals
    LessThanEquals,
    /// GreaterThan
    GreaterThan,
    /// GreaterThanEquals
    GreaterThanEquals,
}

/// A Choice asked about a value that is not there. AWS: `States.Runtime`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingVariable(pub String);

impl Condition {
    /// Whether it holds. As in AWS, And and Or stop at the first part that decides.
    pub fn holds(&self, scope: Scope<'_>) -> Result<bool, MissingVariable> {
        match self {
            Condition::Not(part) => part.holds(scope).map(|held| !held),
            Condition::And(parts) => {
                for part in parts {
                    if !part.holds(scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Or(parts) => {
                for part in parts {
                    if part.holds(scope)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::Test { variable, operator } => operator.holds(variable, scope),
        }
    }
}

impl Operator {
    fn holds(&self, variable: &Path, scope: Scope<'_>) -> Result<bool, MissingVariable> {
        if let Operator::IsPresent(expected) = self {
            return Ok(variable.find(scope).is_some() == *expected);
        }
        let read = |path: &Path| path.find(scope).ok_or_else(|| MissingVariable(path.to_string()));
        let value = read(variable)?;
        Ok(match self {
            Operator::IsPresent(expected) => *expected,
            Operator::StringEquals(expected) => value.as_str() == Some(expected),
            Operator::StringEqualsPath(path) => value.is_string() && value == read(path)?,
            Operator::BooleanEquals(expected) => value.as_bool() == Some(*expected),
            Operator::Numeric(comparison, expected) => value.as_f64().is_some_and(|it| comparison.holds(it, *expected)),
            Operator::NumericPath(comparison, path) => {
                value.as_f64().zip(read(path)?.as_f64()).is_some_and(|(it, expected)| comparison.holds(it, expected))
            }
            Operator::IsNull(expected) => value.is_null() == *expected,
            Operator::IsString(expected) => value.is_string() == *expected,
            Operator::IsNumeric(expected) => value.is_number() == *expected,
            Operator::IsBoolean(expected) => value.is_boolean() == *expected,
        })
    }
}

impl Comparison {
    fn holds(self, it: f64, expected: f64) -> bool {
        match self {
            Comparison::Equals => it.total_cmp(&expected).is_eq(),
            Comparison::LessThan => it < expected,
            Comparison::LessThanEquals => it <= expected,
            Comparison::GreaterThan => it > expected,
            Comparison::GreaterThanEquals => it >= expected,
        }
    }

    fn named(name: &str) -> Option<Comparison> {
        Some(match name {
            "Equals" => Comparison::Equals,
            "LessThan" => Comparison::LessThan,
            "LessThanEquals" => Comparison::LessThanEquals,
            "GreaterThan" => Comparison::GreaterThan,
            "GreaterThanEquals" => Comparison::GreaterThanEquals,
            _ => return None,
        })
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rule, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let Some(Value::String(next)) = fields.remove("Next") else {
            return Err(D::Error::custom("a choice must name the state that follows it in `Next`"));
        };
        fields.remove("Comment");
        let condition = parse_condition(fields).map_err(D::Error::custom)?;
        Ok(Rule { condition, next })
    }
}

fn parse_condition(mut fields: Map<String, Value>) -> Result<Condition, String> {
    let variable = fields.remove("Variable");
    let mut fields = fields.into_iter();
    let (Some((name, value)), None) = (fields.next(), fields.next()) else {
        return Err("a condition must have exactly one of And, Or, Not, or one comparison".to_owned());
    };
    match (name.as_str(), variable, value) {
        ("And", None, value) => parse_parts(&name, value).map(Condition::And),
        ("Or", None, value) => parse_parts(&name, value).map(Condition::Or),
        ("Not", None, value) => parse_part(value).map(|part| Condition::Not(Box::new(part))),
        ("And" | "Or" | "Not", Some(_), _) => Err(format!("`{name}` has no Variable of its own")),
        (_, Some(Value::String(variable)), value) => {
            Ok(Condition::Test { variable: Path::parse(&variable)?, operator: parse_operator(&name, &value)? })
        }
        (_, Some(_) | None, _) => Err(format!("`{name}` needs a Variable that is a path")),
    }
}

fn parse_part(value: Value) -> Result<Condition, String> {
    if let Value::Object(fields) = value {
        // A Next inside And, Or or Not is refused with every other field that does not belong there.
        return parse_condition(fields);
    }
    Err(format!("a condition must be an object, not {value}"))
}

fn parse_parts(name: &str, value: Value) -> Result<Vec<Condition>, String> {
    if let Value::Array(parts) = value
        && !parts.is_empty()
    {
        return parts.into_iter().map(parse_part).collect();
    }
    Err(format!("`{name}` must be a list of conditions that is not empty"))
}

fn parse_operator(name: &str, value: &Value) -> Result<Operator, String> {
    let operator = match name {
        "StringEquals" => value.as_str().map(|text| Operator::StringEquals(text.to_owned())),
        "StringEqualsPath" => value.as_str().map(Path::parse).transpose()?.map(Operator::StringEqualsPath),
        "BooleanEquals" => value.as_bool().map(Operator::BooleanEquals),
        "IsPresent" => value.as_bool().map(Operator::IsPresent),
        "IsNull" => value.as_bool().map(Operator::IsNull),
        "IsString" => value.as_bool().map(Operator::IsString),
        "IsNumeric" => value.as_bool().map(Operator::IsNumeric),
        "IsBoolean" => value.as_bool().map(Operator::IsBoolean),
        _ => {
            let numeric = name.strip_prefix("Numeric");
            let path = numeric.and_then(|rest| rest.strip_suffix("Path"));
            match (path.and_then(Comparison::named), numeric.and_then(Comparison::named)) {
                (Some(comparison), _) => {
                    let path = value.as_str().map(Path::parse).transpose()?;
                    path.map(|path| Operator::NumericPath(comparison, path))
                }
                (None, Some(comparison)) => value.as_f64().map(|number| Operator::Numeric(comparison, number)),
                (None, None) => return Err(format!("unknown field `{name}` in a choice")),
            }
        }
    };
    operator.ok_or_else(|| format!("`{name}` cannot be compared with {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(value: Value) -> Result<Rule, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn holds(mut condition: Value, input: &Value) -> Result<bool, MissingVariable> {
        condition["Next"] = json!("There");
        rule(condition).unwrap().condition.holds(Scope { input, context: &json!({"State": {"RetryCount": 2}}) })
    }

    #[test]
    fn each_operator_compares_only_its_own_type() {
        let input = json!({"text": "a", "yes": true, "n": 3, "m": 3.0, "null": null});
        let table = [
            (json!({"Variable": "$.text", "StringEquals": "a"}), true),
            (json!({"Variable": "$.n", "StringEquals": "3"}), false),
            (json!({"Variable": "$.yes", "BooleanEquals": true}), true),
            (json!({"Variable": "$.text", "BooleanEquals": true}), false),
            (json!({"Variable": "$.n", "NumericEquals": 3}), true),
            (json!({"Variable": "$.n", "NumericGreaterThan": 3}), false),
            (json!({"Variable": "$.n", "NumericGreaterThanEquals": 3}), true),
            (json!({"Variable": "$.n", "NumericLessThan": 4}), true),
            (json!({"Variable": "$.n", "NumericLessThanEquals": 2}), false),
            (json!({"Variable": "$.n", "NumericEqualsPath": "$.m"}), true),
            (json!({"Variable": "$.text", "NumericLessThan": 4}), false),
            (json!({"Variable": "$.text", "StringEqualsPath": "$.text"}), true),
            (json!({"Variable": "$.gone", "IsPresent": false}), true),
            (json!({"Variable": "$.null", "IsPresent": true}), true),
            (json!({"Variable": "$.null", "IsNull": true}), true),
            (json!({"Variable": "$.text", "IsNull": false}), true),
            (json!({"Variable": "$.text", "IsString": true}), true),
            (json!({"Variable": "$.text", "IsNumeric": true}), false),
            (json!({"Variable": "$.yes", "IsBoolean": true}), true),
            (json!({"Variable": "$$.State.RetryCount", "NumericEquals": 2}), true),
        ];
        for (condition, expected) in table {
            assert_eq!(holds(condition.clone(), &input), Ok(expected), "{condition}");
        }
    }

    #[test]
    fn and_or_not_combine_and_stop_at_what_decides() {
        let input = json!({"n": 3});
        let present = json!({"Variable": "$.gone", "IsPresent": true});
        let asks = json!({"Variable": "$.gone", "StringEquals": "x"});
        let three = json!({"Variable": "$.n", "NumericEquals": 3});
        assert_eq!(holds(json!({"And": [present, asks]}), &input), Ok(false), "the second part is never asked");
        assert_eq!(holds(json!({"Or": [three, asks]}), &input), Ok(true));
        assert_eq!(holds(json!({"Not": three}), &input), Ok(false));
        assert_eq!(holds(json!({"And": [three, {"Not": {"Or": [present]}}]}), &input), Ok(true));
    }

    #[test]
    fn a_question_about_a_missing_value_has_no_answer() {
        let condition = json!({"Variable": "$.gone", "StringEquals": "x"});
        assert_eq!(holds(condition, &json!({})), Err(MissingVariable("$.gone".to_owned())));
    }

    #[test]
    fn a_rule_that_is_not_understood_is_refused() {
        let refused = [
            json!({"Variable": "$.a", "StringEquals": "x"}),
            json!({"Variable": "$.a", "Next": "B"}),
            json!({"StringEquals": "x", "Next": "B"}),
            json!({"Variable": "$.a", "StringEquals": "x", "IsPresent": true, "Next": "B"}),
            json!({"Variable": "$.a", "StringMatchs": "x", "Next": "B"}),
            json!({"Variable": "$.a", "NumericEquals": "3", "Next": "B"}),
            json!({"Variable": "$.a", "And": [], "Next": "B"}),
            json!({"Or": [], "Next": "B"}),
            json!({"Not": {"Variable": "$.a", "IsNull": true, "Next": "C"}, "Next": "B"}),
        ];
        for value in refused {
            assert!(rule(value.clone()).is_err(), "{value}");
        }
    }
}
