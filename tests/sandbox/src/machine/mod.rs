//! Step Functions: a strict interpreter for the part of the Amazon States Language that a rotation uses.
//!
//! It is a test tool and no product. What AWS would refuse or fail, it refuses or fails, by the same error names; what it
//! does not know it refuses when the definition is read. Emulators accept invalid definitions and turn a missing path
//! into null (EMULATORS.md), which hides exactly the mistakes that a state machine's author makes.
//!
//! Read in this order: [`definition`], [`validate`], [`path`], [`intrinsic`], [`template`], [`choice`], [`retry`],
//! [`interpret`], [`map`], [`run`], [`history`]; [`substitute`] says how a definition gets its ARNs and settings.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::clock::Clock;

pub mod choice;
pub mod definition;
pub mod history;
mod interpret;
pub mod intrinsic;
mod map;
pub mod path;
mod retry;
mod run;
mod substitute;
pub mod template;
mod validate;

pub use definition::{Definition, DefinitionError};
pub use history::{EventType, Execution, ExecutionStatus, HistoryEvent};
pub use substitute::{SubstitutionError, substitute};

use run::Run;

/// The most that a state's input or output may be, in bytes of UTF-8 (FACTS E: 256 KiB per state).
pub const PAYLOAD_LIMIT: usize = 256 * 1024;

/// What the machine calls: functions and service integrations.
pub trait Tasks: Send + Sync {
    /// Does one piece of work. `resource` is the Task's Resource, `payload` its input after Parameters.
    fn invoke(
        &self,
        resource: &str,
        payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, TaskFailure>> + Send + '_>>;
}

/// How a Task failed, in the two words that Retry and Catch know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {cause}")]
pub struct TaskFailure {
    /// The error's name, which ErrorEquals is compared with.
    pub error: String,
    /// The cause; of a Lambda function the JSON text with errorType and errorMessage.
    pub cause: String,
}

/// Why an execution was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// AWS: InvalidName. Choose a name of 1 to 80 letters, digits, `-`, `_` or `.`.
    #[error(
        "InvalidName: `{0}` is not a name for an execution: 1 to 80 characters, none of them a space or one of <>{{}}[]?*\"#%\\^|~`$&,;:/"
    )]
    InvalidName(String),
    /// AWS: ExecutionAlreadyExists. A name is free again after 90 days; choose another.
    #[error("ExecutionAlreadyExists: there was an execution `{0}` already")]
    ExecutionAlreadyExists(String),
    /// AWS: InvalidExecutionInput. Give less.
    #[error("InvalidExecutionInput: the input has {0} bytes, and 262,144 is the most")]
    InvalidExecutionInput(usize),
}

/// Is told of every event as it happens.
pub type Observer = Arc<dyn Fn(&HistoryEvent) + Send + Sync>;

/// A state machine that can be started.
pub struct Machine {
    arn: String,
    text: String,
    definition: Arc<Definition>,
    clock: Clock,
    created: Timestamp,
    tasks: Arc<dyn Tasks>,
    on_event: Option<Observer>,
    runs: Arc<Mutex<Vec<Arc<Run>>>>,
}

/// An execution that has a record and waits to be driven.
pub struct Begun {
    run: Arc<Run>,
    input: Value,
}

impl Machine {
    /// A machine in the account and region of AWS's own examples; see [`Machine::with_arn`].
    pub fn new(definition: impl Into<Arc<Definition>>, clock: Clock, tasks: Arc<dyn Tasks>) -> Machine {
        let definition = definition.into();
        let arn = "arn:aws:states:us-east-1:123456789012:stateMachine:rotation".to_owned();
        let created = clock.now();
        let (text, runs) = (String::new(), Arc::default());
        Machine { arn, text, definition, clock, created, tasks, on_event: None, runs }
    }

    /// The same machine with the text of its definition, which DescribeStateMachine shows.
    #[must_use]
    pub fn with_text(self, text: String) -> Machine {
        Machine { text, ..self }
    }

    /// The same machine by another ARN (`arn:aws:states:<region>:<account>:stateMachine:<name>`).
    #[must_use]
    pub fn with_arn(self, arn: &str) -> Machine {
        Machine { arn: arn.to_owned(), ..self }
    }

    /// The same machine, whose every event `on_event` sees.
    #[must_use]
    pub fn observed(self, on_event: Observer) -> Machine {
        Machine { on_event: Some(on_event), ..self }
    }

    /// The machine after UpdateStateMachine: every execution so far is its own, and those that run go on by the
    /// definition that they began with.
    #[must_use]
    pub fn updated(&self, definition: Arc<Definition>, text: String) -> Machine {
        Machine {
            arn: self.arn.clone(),
            text,
            definition,
            clock: self.clock.clone(),
            created: self.created,
            tasks: Arc::clone(&self.tasks),
            on_event: self.on_event.clone(),
            runs: Arc::clone(&self.runs),
        }
    }

    /// The machine's ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The text of its definition.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Starts an execution and drives it to its end. The record can be read meanwhile with [`Machine::execution`].
    pub async fn start(&self, name: &str, input: Value) -> Result<Execution, StartError> {
        Ok(self.drive(self.begin(name, input)?).await)
    }

    /// StartExecution: the execution has a record from now on; [`Machine::drive`] does its work.
    pub fn begin(&self, name: &str, input: Value) -> Result<Begun, StartError> {
        if !is_execution_name(name) {
            return Err(StartError::InvalidName(name.to_owned()));
        }
        let size = input.to_string().len();
        if size > PAYLOAD_LIMIT {
            return Err(StartError::InvalidExecutionInput(size));
        }
        let mut runs = self.runs();
        if runs.iter().any(|run| run.name() == name) {
            return Err(StartError::ExecutionAlreadyExists(name.to_owned()));
        }
        let limit = self.definition.timeout_seconds.map(Duration::from_secs);
        let run = Arc::new(Run::new(&self.arn, name, input.clone(), self.clock.clone(), limit, self.on_event.clone()));
        runs.push(Arc::clone(&run));
        Ok(Begun { run, input })
    }

    /// Drives an execution to its end and gives its record.
    pub async fn drive(&self, begun: Begun) -> Execution {
        interpret::execute(&self.definition, begun.run, Arc::clone(&self.tasks), begun.input).await
    }

    /// StopExecution: the record says ABORTED at once. A function that runs is not stopped by it, as in AWS (FACTS E).
    /// Whether there was a running execution of that name.
    pub fn stop(&self, name: &str, error: &str, cause: &str) -> bool {
        let run = self.run(name);
        run.is_some_and(|run| run.abort(error, cause))
    }

    /// DescribeExecution and GetExecutionHistory: the record as it stands now.
    pub fn execution(&self, name: &str) -> Option<Execution> {
        self.run(name).map(|run| run.record())
    }

    /// Every execution as it stands now, in the order of their starts.
    pub fn executions(&self) -> Vec<Execution> {
        self.runs().iter().map(|run| run.record()).collect()
    }

    fn run(&self, name: &str) -> Option<Arc<Run>> {
        self.runs().iter().find(|run| run.name() == name).cloned()
    }

    fn runs(&self) -> MutexGuard<'_, Vec<Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// EventBridge Scheduler's `<aws.scheduler.scheduled-time>` has colons and is no name: FACTS E.
fn is_execution_name(name: &str) -> bool {
    let length = name.chars().count();
    let refused =
        |letter: char| letter.is_whitespace() || letter.is_control() || "<>{}[]?*\"#%\\^|~`$&,;:/".contains(letter);
    (1..=80).contains(&length) && !name.contains(refused)
}

#[cfg(test)]
mod tests;
