//! Intrinsic functions: the few that a rotation's messages and payloads need.
//!
//! AWS has eighteen. One that is missing here is refused by name when the definition is read, so that nobody finds
//! out at three in the morning.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::path::{Path, Scope};

/// What may stand behind a `.$` field: a path or an intrinsic function.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A path into the input or the context object.
    Path(Path),
    /// A function of other expressions, with its text for messages.
    Call {
        /// Which function.
        function: Function,
        /// Its arguments in order.
        arguments: Vec<Expression>,
        /// As it stands in the definition.
        text: String,
    },
    /// A literal argument.
    Literal(Value),
}

/// The intrinsic functions that are implemented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `States.Format('… {} …', …)`
    Format,
    /// `States.StringToJson(text)`
    StringToJson,
    /// `States.JsonToString(value)`
    JsonToString,
    /// `States.Array(…)`
    Array,
    /// `States.ArrayLength(list)`
    ArrayLength,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpressionError {
    /// The path finds nothing. AWS: `States.Runtime`.
    Missing(String),
    /// The function cannot work on these arguments. AWS: `States.IntrinsicFailure`.
    Intrinsic(String),
}

impl Expression {
    /// Parses a path or a call.
    pub fn parse(text: &str) -> Result<Expression, String> {
        if text.starts_with('$') {
            return Path::parse(text).map(Expression::Path);
        }
        let mut reader = Reader { text, at: 0 };
        let call = reader.call()?;
        if reader.rest().trim().is_empty() {
            Ok(call)
        } else {
            Err(reader.refuse("something follows the closing bracket"))
        }
    }

    /// The value for this input.
    pub fn evaluate(&self, scope: Scope<'_>) -> Result<Value, ExpressionError> {
        match self {
            Expression::Path(path) => path.find(scope).ok_or_else(|| ExpressionError::Missing(path.to_string())),
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Call { function, arguments, text } => {
                let values: Result<Vec<Value>, _> = arguments.iter().map(|argument| argument.evaluate(scope)).collect();
                function.apply(values?).map_err(|why| {
                    ExpressionError::Intrinsic(format!("The function '{text}' had the following error: {why}"))
                })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expression, D::Error> {
        Expression::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Function {
    fn named(name: &str) -> Option<Function> {
        match name {
            "States.Format" => Some(Function::Format),
            "States.StringToJson" => Some(Function::StringToJson),
            "States.JsonToString" => Some(Function::JsonToString),
            "States.Array" => Some(Function::Array),
            "States.ArrayLength" => Some(Function::ArrayLength),
            _ => None,
        }
    }

    fn takes(self, count: usize) -> bool {
        match self {
            Function::Format => count >= 1,
            Function::Array => true,
            Function::StringToJson | Function::JsonToString | Function::ArrayLength => count == 1,
        }
    }

    fn apply(self, arguments: Vec<Value>) -> Result<Value, String> {
        match (self, arguments.as_slice()) {
            (Function::Array, items) => Ok(Value::Array(items.to_vec())),
            (Function::ArrayLength, [Value::Array(items)]) => Ok(items.len().into()),
            (Function::JsonToString, [value]) => Ok(Value::String(value.to_string())),
            (Function::StringToJson, [Value::String(text)]) => {
                serde_json::from_str(text).map_err(|error| format!("the text is not JSON: {error}"))
            }
            (Function::Format, [Value::String(template), values @ ..]) => format(template, values).map(Value::String),
            (_, arguments) => Err(format!("invalid arguments {}", Value::Array(arguments.to_vec()))),
        }
    }
}

/// Puts each value at the next `{}`. A list or an object has no text of its own in AWS and is refused there too.
fn format(template: &str, values: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    let mut values = values.iter();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{}") {
        text.push_str(before);
        match values.next() {
            Some(Value::String(value)) => text.push_str(value),
            Some(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => text.push_str(&value.to_string()),
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err("a list or an object cannot be formatted".to_owned());
            }
            None => return Err("fewer arguments than `{}` in the template".to_owned()),
        }
        rest = after;
    }
    if values.next().is_some() {
        return Err("more arguments than `{}` in the template".to_owned());
    }
    Ok(text + rest)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn refuse(&self, why: &str) -> String {
        format!("`{}` is neither a path nor an intrinsic function that is accepted here: {why}", self.text)
    }

    fn take(&mut self, token: &str) -> bool {
        self.at += self.rest().len() - self.rest().trim_start().len();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn call(&mut self) -> Result<Expression, String> {
        let start = self.at;
        let Some((name, _)) = self.rest().split_once('(') else { return Err(self.refuse("it has no arguments")) };
        let function = Function::named(name.trim()).ok_or_else(|| self.refuse("there is no such function"))?;
        self.at += name.len() + 1;
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.argument()?);
                if self.take(")") {
                    break;
                }
                if !self.take(",") {
                    return Err(self.refuse("an argument must be followed by `,` or `)`"));
                }
            }
        }
        if !function.takes(arguments.len()) {
            return Err(self.refuse("it has the wrong number of arguments"));
        }
        Ok(Expression::Call { function, arguments, text: self.text[start..self.at].trim().to_owned() })
    }

    fn argument(&mut self) -> Result<Expression, String> {
        if self.take("'") {
            return self.quoted().map(|text| Expression::Literal(Value::String(text)));
        }
        if self.rest().starts_with("States.") {
            return self.call();
        }
        let end = self.rest().find([',', ')']).unwrap_or(self.rest().len());
        let word = self.rest()[..end].trim();
        self.at += end;
        if word.starts_with('$') {
            return Path::parse(word).map(Expression::Path);
        }
        match serde_json::from_str(word) {
            Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => Ok(Expression::Literal(value)),
            Ok(_) | Err(_) => {
                Err(self.refuse("an argument is a path, a function, a number, true, false, null or 'text'"))
            }
        }
    }

    /// The text up to the closing quote; `\'`, `\{`, `\}` and `\\` stand for the character itself.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest().char_indices();
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '\'' => {
                    self.at += offset + 1;
                    return Ok(text);
                }
                '\\' => match letters.next() {
                    Some((_, escaped @ ('\'' | '{' | '}' | '\\'))) => text.push(escaped),
                    Some(_) | None => return Err(self.refuse("only a quote, a brace and a backslash can be escaped")),
                },
                letter => text.push(letter),
            }
        }
        Err(self.refuse("a quoted text does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evaluate(text: &str, input: &Value) -> Result<Value, ExpressionError> {
        let context = json!({"Execution": {"Name": "monday"}});
        Expression::parse(text).unwrap().evaluate(Scope { input, context: &context })
    }

    #[test]
    fn each_function_does_what_aws_says() {
        let input = json!({"name": "db-1", "count": 3, "hosts": ["a", "b"], "text": "{\"a\":[1]}"});
        let gives = |text: &str| evaluate(text, &input).unwrap();
        assert_eq!(
            gives("States.Format('{} of {} in {}', $.count, $.name, $$.Execution.Name)"),
            json!("3 of db-1 in monday")
        );
        assert_eq!(gives("States.Format('it\\'s, (so) {}', true)"), json!("it's, (so) true"));
        assert_eq!(gives("States.ArrayLength($.hosts)"), json!(2));
        assert_eq!(gives("States.StringToJson($.text)"), json!({"a": [1]}));
        assert_eq!(gives("States.JsonToString($.hosts)"), json!("[\"a\",\"b\"]"));
        assert_eq!(gives("States.Array($.name, 1, States.Array())"), json!(["db-1", 1, []]));
    }

    #[test]
    fn what_cannot_work_fails_and_a_missing_path_is_told_apart() {
        let input = json!({"hosts": ["a"], "text": "no json"});
        for text in [
            "States.Format('{}', $.hosts)",
            "States.Format('{} {}', 1)",
            "States.Format('none', 1)",
            "States.ArrayLength($.text)",
            "States.StringToJson($.text)",
        ] {
            assert!(matches!(evaluate(text, &input), Err(ExpressionError::Intrinsic(_))), "{text}");
        }
        assert_eq!(evaluate("States.JsonToString($.gone)", &input), Err(ExpressionError::Missing("$.gone".to_owned())));
    }

    #[test]
    fn an_unknown_or_malformed_call_is_refused_when_it_is_read() {
        for text in [
            "States.UUID()",
            "States.Format",
            "States.Format('x'",
            "States.Format('x) ",
            "States.Format()",
            "States.Array(a)",
            "States.Array(1) x",
            "States.ArrayLength(1, 2)",
            "plain text",
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
