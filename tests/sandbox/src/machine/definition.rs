//! The definition of a state machine, as the Amazon States Language writes it.
//!
//! A field that is not known is refused and not passed over: in AWS a misspelt `Cach` is an error when the machine is
//! deployed, and here it must be one long before.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::choice::Rule;
use super::intrinsic::Expression;
use super::path::{Path, Placement, Selection};
use super::template::Template;
use super::validate;

/// Why a definition is refused: the state, the field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state machine's definition is refused: {0}")]
pub struct DefinitionError(pub(super) String);

/// A state machine that was read and found sound.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Where it starts, and its states.
    pub flow: Flow,
    /// How long an execution may take.
    pub timeout_seconds: Option<u64>,
}

/// States and the one to begin with: a whole machine, or what a Map does for each item.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The name of the first state.
    pub start_at: String,
    /// The states by their names.
    pub states: BTreeMap<String, State>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Written {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    #[serde(default)]
    query_language: QueryLanguage,
    #[serde(default)]
    version: Version,
    timeout_seconds: Option<u64>,
    start_at: String,
    #[serde(deserialize_with = "states")]
    states: BTreeMap<String, State>,
}

#[derive(Deserialize, Default)]
enum QueryLanguage {
    #[default]
    #[serde(rename = "JSONPath")]
    JsonPath,
}

#[derive(Deserialize, Default)]
enum Version {
    #[default]
    #[serde(rename = "1.0")]
    One,
}

impl Definition {
    /// Reads a definition and checks all that AWS checks when a state machine is created, and a few things more.
    pub fn parse(text: &str) -> Result<Definition, DefinitionError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let written: Written = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refused(&error))?;
        deserializer.end().map_err(|error| DefinitionError(format!("something follows the definition: {error}")))?;
        // Each has one accepted value; reading it was the check.
        let (QueryLanguage::JsonPath, Version::One) = (written.query_language, written.version);
        let definition = Definition {
            flow: Flow { start_at: written.start_at, states: written.states },
            timeout_seconds: written.timeout_seconds,
        };
        validate::definition(&definition)?;
        Ok(definition)
    }
}

fn refused<E: fmt::Display>(error: &serde_path_to_error::Error<E>) -> DefinitionError {
    DefinitionError(located(error))
}

fn located<E: fmt::Display>(error: &serde_path_to_error::Error<E>) -> String {
    match error.path().to_string().as_str() {
        "." => error.inner().to_string(),
        path => format!("{path}: {}", error.inner()),
    }
}

/// A state of any type.
#[derive(Debug, Clone)]
pub enum State {
    /// Passes its input on, or a fixed result.
    Pass(Pass),
    /// Does one piece of work.
    Task(Task),
    /// Routes.
    Choice(Choice),
    /// Lets time pass.
    Wait(Wait),
    /// Does the same for each item of a list.
    Map(Box<MapState>),
    /// Ends well.
    Succeed(Succeed),
    /// Ends with an error.
    Fail(Fail),
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<State, D::Error> {
        let mut fields = serde_json::Map::deserialize(deserializer)?;
        let kind = fields.remove("Type").ok_or_else(|| D::Error::missing_field("Type"))?;
        let fields = Value::Object(fields);
        match kind.as_str() {
            Some("Pass") => typed(fields).map(State::Pass),
            Some("Task") => typed(fields).map(State::Task),
            Some("Choice") => typed(fields).map(State::Choice),
            Some("Wait") => typed(fields).map(State::Wait),
            Some("Map") => typed(fields).map(|map| State::Map(Box::new(map))),
            Some("Succeed") => typed(fields).map(State::Succeed),
            Some("Fail") => typed(fields).map(State::Fail),
            _ => Err(format!("Type: {kind} is not a type of state that this interpreter knows")),
        }
        .map_err(D::Error::custom)
    }
}

fn typed<T: DeserializeOwned>(fields: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(fields).map_err(|error| located(&error))
}

/// Reads the states one by one, so that an error names its state and a name that stands twice is seen.
fn states<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, State>, D::Error> {
    struct States;
    impl<'de> Visitor<'de> for States {
        type Value = BTreeMap<String, State>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object of states")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut states = BTreeMap::new();
            while let Some(name) = entries.next_key::<String>()? {
                let state = serde::Deserialize::deserialize(entries.next_value::<Value>()?)
                    .map_err(|error: serde_json::Error| A::Error::custom(format!("state `{name}`: {error}")))?;
                if states.insert(name.clone(), state).is_some() {
                    return Err(A::Error::custom(format!("state `{name}` is defined twice")));
                }
            }
            Ok(states)
        }
    }
    deserializer.deserialize_map(States)
}

/// A Pass state.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Pass {
    pub comment: Option<String>,
    #[serde(default)]
    pub input_path: Selection,
    pub parameters: Option<Template>,
    pub result: Option<Value>,
    #[serde(default)]
    pub result_path: Placement,
    #[serde(default)]
    pub output_path: Selection,
    pub next: Option<String>,
    pub end: Option<bool>,
}

/// A Task state.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Task {
    pub comment: Option<String>,
    pub resource: String,
    #[serde(default)]
    pub input_path: Selection,
    pub parameters: Option<Template>,
    pub timeout_seconds: Option<u64>,
    pub result_selector: Option<Template>,
    #[serde(default)]
    pub result_path: Placement,
    #[serde(default)]
    pub output_path: Selection,
    #[serde(default)]
    pub retry: Vec<Retrier>,
    #[serde(default)]
    pub catch: Vec<Catcher>,
    pub next: Option<String>,
    pub end: Option<bool>,
}

/// A Choice state.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Choice {
    pub comment: Option<String>,
    #[serde(default)]
    pub input_path: Selection,
    #[serde(default)]
    pub output_path: Selection,
    pub choices: Vec<Rule>,
    pub default: Option<String>,
}

/// A Wait state, by a number of seconds. Wall-clock times are refused: an execution may start late.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Wait {
    pub comment: Option<String>,
    pub seconds: Option<u64>,
    pub seconds_path: Option<Path>,
    #[serde(default)]
    pub input_path: Selection,
    #[serde(default)]
    pub output_path: Selection,
    pub next: Option<String>,
    pub end: Option<bool>,
}

/// A Map state, inline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct MapState {
    pub comment: Option<String>,
    #[serde(default)]
    pub input_path: Selection,
    #[serde(default = "Path::whole")]
    pub items_path: Path,
    pub item_selector: Option<Template>,
    pub item_processor: ItemProcessor,
    #[serde(default)]
    pub max_concurrency: usize,
    pub result_selector: Option<Template>,
    #[serde(default)]
    pub result_path: Placement,
    #[serde(default)]
    pub output_path: Selection,
    #[serde(default)]
    pub retry: Vec<Retrier>,
    #[serde(default)]
    pub catch: Vec<Catcher>,
    pub next: Option<String>,
    pub end: Option<bool>,
}

/// What a Map does for each item.
#[derive(Debug, Clone)]
pub struct ItemProcessor(pub Flow);

impl<'de> Deserialize<'de> for ItemProcessor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ItemProcessor, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "PascalCase")]
        struct Written {
            #[serde(rename = "Comment")]
            _comment: Option<String>,
            processor_config: ProcessorConfig,
            start_at: String,
            #[serde(deserialize_with = "states")]
            states: BTreeMap<String, State>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "PascalCase")]
        struct ProcessorConfig {
            mode: Mode,
        }
        // A distributed map starts executions of its own; nothing here needs it.
        #[derive(Deserialize)]
        enum Mode {
            #[serde(rename = "INLINE")]
            Inline,
        }
        let written = Written::deserialize(deserializer)?;
        let ProcessorConfig { mode: Mode::Inline } = written.processor_config;
        Ok(ItemProcessor(Flow { start_at: written.start_at, states: written.states }))
    }
}

/// A Succeed state.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Succeed {
    pub comment: Option<String>,
    #[serde(default)]
    pub input_path: Selection,
    #[serde(default)]
    pub output_path: Selection,
}

/// A Fail state.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Fail {
    pub comment: Option<String>,
    pub error: Option<String>,
    pub cause: Option<String>,
    pub error_path: Option<Expression>,
    pub cause_path: Option<Expression>,
}

/// One entry of Retry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Retrier {
    pub comment: Option<String>,
    pub error_equals: Vec<String>,
    #[serde(default = "Retrier::interval_seconds")]
    pub interval_seconds: u64,
    #[serde(default = "Retrier::max_attempts")]
    pub max_attempts: u32,
    #[serde(default = "Retrier::backoff_rate")]
    pub backoff_rate: f64,
    pub max_delay_seconds: Option<u64>,
    #[serde(default)]
    pub jitter_strategy: JitterStrategy,
}

impl Retrier {
    // AWS's defaults, for a retrier that leaves them out.
    fn interval_seconds() -> u64 {
        1
    }
    fn max_attempts() -> u32 {
        3
    }
    fn backoff_rate() -> f64 {
        2.0
    }
}

/// Whether the delay of a retry is drawn at random up to the computed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum JitterStrategy {
    /// Between nothing and the whole delay.
    #[serde(rename = "FULL")]
    Full,
    /// The whole delay.
    #[default]
    #[serde(rename = "NONE")]
    None,
}

/// One entry of Catch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are the language's own; AWS describes them")]
pub struct Catcher {
    pub comment: Option<String>,
    pub error_equals: Vec<String>,
    #[serde(default)]
    pub result_path: Placement,
    pub next: String,
}

impl State {
    /// The state that follows when all goes well; nothing for Choice and for a state that ends.
    pub fn next(&self) -> Option<&str> {
        match self {
            State::Pass(state) => state.next.as_deref(),
            State::Task(state) => state.next.as_deref(),
            State::Wait(state) => state.next.as_deref(),
            State::Map(state) => state.next.as_deref(),
            State::Choice(_) | State::Succeed(_) | State::Fail(_) => None,
        }
    }

    /// The name of its type, as the history spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            State::Pass(_) => "Pass",
            State::Task(_) => "Task",
            State::Choice(_) => "Choice",
            State::Wait(_) => "Wait",
            State::Map(_) => "Map",
            State::Succeed(_) => "Succeed",
            State::Fail(_) => "Fail",
        }
    }
}
