//! JSONPath as the Amazon States Language uses it: what a state reads, and where it puts its result.
//!
//! Only what can be read without thinking is accepted: `$`, `$.a.b`, `$.a[0]`, `$.a[*].b`, `$['a']`, and the same after
//! `$$` for the context object. Filters, slices and recursive descent are legal in AWS and refused here, since a
//! decision hidden in a path belongs in a function.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// What paths are applied to: the state's input and the context object.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The document that `$` stands for.
    pub input: &'a Value,
    /// The document that `$$` stands for.
    pub context: &'a Value,
}

/// A parsed path that reads a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    from_context: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    Every,
}

impl Path {
    /// Parses a path, or says what in it is not accepted.
    pub fn parse(text: &str) -> Result<Path, String> {
        let refuse = |what: &str| Err(format!("`{text}` is not a path that this interpreter accepts: {what}"));
        let Some(rest) = text.strip_prefix('$') else { return refuse("it must begin with `$`") };
        let (from_context, mut rest) = match rest.strip_prefix('$') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let Some((step, remainder)) = next_step(rest) else {
                return refuse("only fields, `[number]`, `['field']` and `[*]` may follow");
            };
            steps.push(step);
            rest = remainder;
        }
        Ok(Path { text: text.to_owned(), from_context, steps })
    }

    /// The path `$`.
    pub fn whole() -> Path {
        Path { text: "$".to_owned(), from_context: false, steps: Vec::new() }
    }

    /// The value at the path, or nothing if it is missing. A path with `[*]` gives a list, if need be an empty one.
    pub fn find(&self, scope: Scope<'_>) -> Option<Value> {
        let root = if self.from_context { scope.context } else { scope.input };
        let mut found = vec![root];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.follow(value)).collect();
        }
        if self.steps.contains(&Step::Every) {
            return Some(Value::Array(found.into_iter().cloned().collect()));
        }
        found.first().map(|value| (*value).clone())
    }

    /// Whether the path names one place and not a list of places, as a ResultPath must.
    pub fn is_reference(&self) -> bool {
        !self.from_context && !self.steps.contains(&Step::Every)
    }

    /// Puts `value` at this place of `document` and makes the objects that lead there.
    ///
    /// Fails as AWS does (`States.ResultPathMatchFailure`) where something else than an object stands in the way.
    pub fn place(&self, document: Value, value: Value) -> Result<Value, String> {
        let mut document = document;
        let mut place = &mut document;
        for step in &self.steps {
            place = step.enter(place).ok_or_else(|| {
                format!("Unable to apply ReferencePath {} to input: no place for it there", self.text)
            })?;
        }
        *place = value;
        Ok(document)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Path, D::Error> {
        Path::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn next_step(rest: &str) -> Option<(Step, &str)> {
    if let Some(rest) = rest.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let plain = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "_-".contains(letter));
        return plain.then(|| (Step::Field(name.to_owned()), rest));
    }
    let (inside, rest) = rest.strip_prefix('[')?.split_once(']')?;
    if inside == "*" {
        return Some((Step::Every, rest));
    }
    if let Some(name) = inside.strip_prefix('\'').and_then(|name| name.strip_suffix('\'')) {
        return (!name.is_empty() && !name.contains(['\'', '\\'])).then(|| (Step::Field(name.to_owned()), rest));
    }
    inside.parse().ok().map(|index| (Step::Index(index), rest))
}

impl Step {
    fn follow<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Step::Field(name) => value.get(name).into_iter().collect(),
            Step::Index(index) => value.get(*index).into_iter().collect(),
            Step::Every => match value.as_array() {
                Some(items) => items.iter().collect(),
                None => value.as_object().map(|fields| fields.values().collect()).unwrap_or_default(),
            },
        }
    }

    fn enter<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match self {
            Step::Field(name) => {
                if value.is_null() {
                    *value = Value::Object(Map::new());
                }
                Some(value.as_object_mut()?.entry(name.clone()).or_insert(Value::Null))
            }
            Step::Index(index) => value.get_mut(*index),
            Step::Every => None,
        }
    }
}

/// InputPath, OutputPath: a path, or `null`, which selects the empty object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// What the path finds.
    At(Path),
    /// `null` in the definition: the state sees `{}`.
    Nothing,
}

impl Default for Selection {
    fn default() -> Self {
        Selection::At(Path::whole())
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Selection, D::Error> {
        Ok(Option::<Path>::deserialize(deserializer)?.map_or(Selection::Nothing, Selection::At))
    }
}

/// ResultPath: where the result goes in the state's input, or `null`, which throws the result away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// At this place of the input; `$` replaces the whole of it.
    At(Path),
    /// `null` in the definition: the input goes on unchanged.
    Discard,
}

impl Default for Placement {
    fn default() -> Self {
        Placement::At(Path::whole())
    }
}

impl<'de> Deserialize<'de> for Placement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Placement, D::Error> {
        match Option::<Path>::deserialize(deserializer)? {
            None => Ok(Placement::Discard),
            Some(path) if path.is_reference() => Ok(Placement::At(path)),
            Some(path) => Err(D::Error::custom(format!("`{path}` must name one place in the state's input"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str, input: &Value) -> Option<Value> {
        let context = json!({"Execution": {"Name": "monday"}});
        Path::parse(path).unwrap().find(Scope { input, context: &context })
    }

    #[test]
    fn a_path_reads_fields_items_and_the_context_object() {
        let input = json!({"a": {"b-c": 1}, "list": [{"x": 1}, {"x": 2}, {"y": 3}], "null": null});
        assert_eq!(find("$", &input), Some(input.clone()));
        assert_eq!(find("$.a.b-c", &input), Some(json!(1)));
        assert_eq!(find("$.list[1].x", &input), Some(json!(2)));
        assert_eq!(find("$['a']['b-c']", &input), Some(json!(1)));
        assert_eq!(find("$.list[*].x", &input), Some(json!([1, 2])));
        assert_eq!(find("$.list[*].z", &input), Some(json!([])), "a list of nothing is still a list");
        assert_eq!(find("$.null", &input), Some(json!(null)), "null is there");
        assert_eq!(find("$$.Execution.Name", &input), Some(json!("monday")));
    }

    #[test]
    fn what_is_missing_is_missing_and_not_null() {
        let input = json!({"a": [1], "text": "x"});
        for path in ["$.b", "$.a[1]", "$.text.x", "$.a.x", "$$.Map.Item.Value"] {
            assert_eq!(find(path, &input), None, "{path}");
        }
    }

    #[test]
    fn filters_slices_and_recursive_descent_are_refused() {
        for path in ["", "a", "$..a", "$.a[?(@.x)]", "$.a[0:2]", "$.", "$.a[", "$a", "$.a[-1]", "$.a.length()", "$['']"]
        {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_result_is_placed_and_the_way_to_it_is_made() {
        let place = |path: &str, document: Value| Path::parse(path).unwrap().place(document, json!(7));
        assert_eq!(place("$", json!({"a": 1})), Ok(json!(7)));
        assert_eq!(place("$.b", json!({"a": 1})), Ok(json!({"a": 1, "b": 7})));
        assert_eq!(place("$.b.c.d", json!({"b": {"x": 1}})), Ok(json!({"b": {"x": 1, "c": {"d": 7}}})));
        assert_eq!(place("$.list[1]", json!({"list": [0, 1]})), Ok(json!({"list": [0, 7]})));
        assert!(place("$.a.b", json!({"a": "text"})).is_err(), "a string is not overwritten by an object");
        assert!(place("$.list[5]", json!({"list": []})).is_err());
    }
}
