//! Payload templates: Parameters, ResultSelector and ItemSelector.
//!
//! A field whose name ends in `.$` is computed; everything else stands as it is written.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::intrinsic::{Expression, ExpressionError};
use super::path::Scope;

/// A payload template, checked when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Literal(Value),
    Computed { field: String, expression: Expression },
}

/// A computed field that has no value for this input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The field as it stands in the definition, with its `.$`.
    pub field: String,
    /// Why.
    pub error: ExpressionError,
}

impl Template {
    /// Reads a template; it must be an object, as AWS asks of Parameters.
    pub fn parse(value: Value) -> Result<Template, String> {
        if !value.is_object() {
            return Err("a payload template must be an object".to_owned());
        }
        Node::parse(value).map(Template)
    }

    /// The payload for this input.
    pub fn render(&self, scope: Scope<'_>) -> Result<Value, TemplateError> {
        self.0.render(scope)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
        Template::parse(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Node {
    fn parse(value: Value) -> Result<Node, String> {
        match value {
            Value::Object(fields) => Node::parse_fields(fields),
            Value::Array(items) => items.into_iter().map(Node::parse).collect::<Result<_, _>>().map(Node::List),
            literal @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                Ok(Node::Literal(literal))
            }
        }
    }

    fn parse_fields(fields: Map<String, Value>) -> Result<Node, String> {
        let mut nodes: Vec<(String, Node)> = Vec::new();
        for (field, value) in fields {
            let (name, node) = match field.strip_suffix(".$") {
                None => (field.clone(), Node::parse(value)?),
                Some(name) => {
                    let Value::String(text) = value else {
                        return Err(format!("`{field}` must be a path or a function"));
                    };
                    let expression = Expression::parse(&text).map_err(|why| format!("`{field}`: {why}"))?;
                    (name.to_owned(), Node::Computed { field, expression })
                }
            };
            if nodes.iter().any(|(other, _)| *other == name) {
                return Err(format!("`{name}` is given twice, once with and once without `.$`"));
            }
            nodes.push((name, node));
        }
        Ok(Node::Object(nodes))
    }

    fn render(&self, scope: Scope<'_>) -> Result<Value, TemplateError> {
        match self {
            Node::Literal(value) => Ok(value.clone()),
            Node::List(nodes) => {
                nodes.iter().map(|node| node.render(scope)).collect::<Result<_, _>>().map(Value::Array)
            }
            Node::Object(nodes) => nodes
                .iter()
                .map(|(name, node)| Ok((name.clone(), node.render(scope)?)))
                .collect::<Result<_, _>>()
                .map(Value::Object),
            Node::Computed { field, expression } => {
                expression.evaluate(scope).map_err(|error| TemplateError { field: field.clone(), error })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn computed_fields_are_filled_in_at_every_depth_and_the_rest_stands() {
        let template = Template::parse(json!({
            "mode": "$.not-a-path-without-the-suffix",
            "list": [{"id.$": "$.id"}, 1],
            "deep": {"name.$": "$$.State.Name"},
        }));
        let (input, context) = (json!({"id": 5}), json!({"State": {"Name": "Send"}}));
        let rendered = template.unwrap().render(Scope { input: &input, context: &context }).unwrap();
        assert_eq!(rendered["mode"], "$.not-a-path-without-the-suffix");
        assert_eq!(rendered["list"], json!([{"id": 5}, 1]));
        assert_eq!(rendered["deep"], json!({"name": "Send"}));
    }

    #[test]
    fn a_missing_path_names_the_field() {
        let template = Template::parse(json!({"a": {"id.$": "$.gone"}})).unwrap();
        let error = template.render(Scope { input: &json!({}), context: &json!({}) }).unwrap_err();
        assert_eq!(error.field, "id.$");
        assert_eq!(error.error, ExpressionError::Missing("$.gone".to_owned()));
    }

    #[test]
    fn a_template_that_cannot_be_meant_is_refused() {
        for template in [json!([]), json!("$"), json!({"a.$": 1}), json!({"a.$": "text"}), json!({"a": 1, "a.$": "$"})]
        {
            assert!(Template::parse(template.clone()).is_err(), "{template}");
        }
    }
}
