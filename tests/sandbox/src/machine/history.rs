//! What an execution leaves behind: its record and its events, in the words of GetExecutionHistory.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A Standard execution may have this many events and then fails (FACTS E).
pub const EVENT_LIMIT: usize = 25_000;

/// One event of an execution.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEvent {
    /// The execution's name, since one observer may watch several.
    pub execution: String,
    /// From 1 upwards.
    pub id: u64,
    /// The event that led to this one; in a Map, of the same iteration.
    pub previous_event_id: u64,
    /// When, in simulated time.
    pub timestamp: Timestamp,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The rest.
    #[serde(flatten)]
    pub details: Details,
}

/// What an event may carry besides its type.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The state's name; for an iteration, the Map's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The function or integration that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The state's input or the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The state's output or the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The error's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The error's cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Which item of a Map, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// How many items a Map has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
}

/// The types of events, by AWS's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are AWS's own")]
pub enum EventType {
    ExecutionStarted,
    ExecutionSucceeded,
    ExecutionFailed,
    ExecutionTimedOut,
    ExecutionAborted,
    PassStateEntered,
    PassStateExited,
    TaskStateEntered,
    TaskStateExited,
    ChoiceStateEntered,
    ChoiceStateExited,
    WaitStateEntered,
    WaitStateExited,
    MapStateEntered,
    MapStateStarted,
    MapStateSucceeded,
    MapStateFailed,
    MapStateAborted,
    MapStateExited,
    MapIterationStarted,
    MapIterationSucceeded,
    MapIterationFailed,
    MapIterationAborted,
    SucceedStateEntered,
    SucceedStateExited,
    FailStateEntered,
    LambdaFunctionScheduled,
    LambdaFunctionStarted,
    LambdaFunctionSucceeded,
    LambdaFunctionFailed,
    LambdaFunctionTimedOut,
    TaskScheduled,
    TaskStarted,
    TaskSucceeded,
    TaskFailed,
    TaskTimedOut,
}

impl fmt::Display for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// How an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are AWS's own")]
pub enum ExecutionStatus {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ExecutionStatus::Running => "RUNNING",
            ExecutionStatus::Succeeded => "SUCCEEDED",
            ExecutionStatus::Failed => "FAILED",
            ExecutionStatus::TimedOut => "TIMED_OUT",
            ExecutionStatus::Aborted => "ABORTED",
        })
    }
}

/// The record of one execution.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Its ARN.
    pub execution_arn: String,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub status: ExecutionStatus,
    /// When it was started.
    pub start_date: Timestamp,
    /// When it ended.
    pub stop_date: Option<Timestamp>,
    /// What it was started with.
    pub input: Value,
    /// What it gave, if it succeeded.
    pub output: Option<Value>,
    /// The name of the error that ended it.
    pub error: Option<String>,
    /// The cause of that error.
    pub cause: Option<String>,
    /// Its history.
    pub events: Vec<HistoryEvent>,
}

impl Execution {
    /// The names of the states that were entered, in order.
    pub fn states_entered(&self) -> Vec<&str> {
        let entered = self.events.iter().filter(|event| event.kind.to_string().ends_with("StateEntered"));
        entered.filter_map(|event| event.details.name.as_deref()).collect()
    }
}
