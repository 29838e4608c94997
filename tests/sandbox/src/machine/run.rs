//! One execution's record: every event goes through here, so that limits and observers see them all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::history::{Details, EVENT_LIMIT, EventType, Execution, ExecutionStatus, HistoryEvent};
use super::{Observer, TaskFailure};
use crate::clock::Clock;

/// Why a state, or a whole branch, did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error with a name, which a Retry or a Catch may mean.
    Error(TaskFailure),
    /// The machine's TimeoutSeconds are over; no Catch sees it (FACTS E).
    TimedOut,
    /// Somebody stopped the execution.
    Aborted,
    /// Another iteration of the same Map failed.
    Cancelled,
}

impl Failure {
    pub(super) fn named(error: &str, cause: String) -> Failure {
        Failure::Error(TaskFailure { error: error.to_owned(), cause })
    }
}

/// An execution while it runs, and its record afterwards.
pub(super) struct Run {
    pub(super) clock: Clock,
    machine_arn: String,
    deadline: Option<Timestamp>,
    observer: Option<Observer>,
    record: Mutex<Execution>,
}

impl Run {
    pub(super) fn new(
        machine_arn: &str,
        name: &str,
        input: Value,
        clock: Clock,
        limit: Option<Duration>,
        observer: Option<Observer>,
    ) -> Run {
        let now = clock.now();
        let deadline = limit.map(|limit| now.saturating_add(limit).unwrap_or(Timestamp::MAX));
        let record = Mutex::new(Execution {
            execution_arn: format!("{}:{name}", machine_arn.replacen(":stateMachine:", ":execution:", 1)),
            name: name.to_owned(),
            status: ExecutionStatus::Running,
            start_date: now,
            stop_date: None,
            input,
            output: None,
            error: None,
            cause: None,
            events: Vec::new(),
        });
        Run { clock, machine_arn: machine_arn.to_owned(), deadline, observer, record }
    }

    fn lock(&self) -> MutexGuard<'_, Execution> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record as it stands.
    pub(super) fn record(&self) -> Execution {
        self.lock().clone()
    }

    /// The execution's name.
    pub(super) fn name(&self) -> String {
        self.lock().name.clone()
    }

    /// Whether the execution may go on.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.lock().status != ExecutionStatus::Running {
            return Err(Failure::Aborted);
        }
        match self.deadline {
            Some(deadline) if self.clock.now() >= deadline => Err(Failure::TimedOut),
            Some(_) | None => Ok(()),
        }
    }

    /// Sleeps in simulated time, no longer than the execution may last.
    pub(super) async fn sleep(&self, duration: Duration) -> Result<(), Failure> {
        let left = self.deadline.map(|deadline| deadline.duration_since(self.clock.now()).unsigned_abs());
        self.clock.sleep(left.map_or(duration, |left| duration.min(left))).await;
        self.check()
    }

    /// Records an event and gives its id. The last place in the history is kept for the event that ends the execution.
    pub(super) fn add(&self, previous: u64, kind: EventType, details: Details) -> Result<u64, Failure> {
        let event = {
            let mut record = self.lock();
            if record.status != ExecutionStatus::Running {
                return Err(Failure::Aborted);
            }
            if record.events.len() + 1 >= EVENT_LIMIT {
                let cause = format!("The execution reached the maximum number of history events ({EVENT_LIMIT}).");
                return Err(Failure::named("States.Runtime", cause));
            }
            self.push(&mut record, previous, kind, details)
        };
        self.tell(&event);
        Ok(event.id)
    }

    /// Ends the execution, unless it was ended already.
    pub(super) fn finish(&self, previous: u64, outcome: Result<Value, Failure>) {
        let (status, kind) = match &outcome {
            Ok(_) => (ExecutionStatus::Succeeded, EventType::ExecutionSucceeded),
            Err(Failure::Error(_)) => (ExecutionStatus::Failed, EventType::ExecutionFailed),
            Err(Failure::TimedOut) => (ExecutionStatus::TimedOut, EventType::ExecutionTimedOut),
            Err(Failure::Aborted | Failure::Cancelled) => (ExecutionStatus::Aborted, EventType::ExecutionAborted),
        };
        let details = match outcome {
            Ok(output) => Details { output: Some(output), ..Details::default() },
            Err(Failure::Error(failure)) => {
                Details { error: Some(failure.error), cause: Some(failure.cause), ..Details::default() }
            }
            Err(Failure::TimedOut | Failure::Aborted | Failure::Cancelled) => Details::default(),
        };
        self.end(previous, status, kind, details);
    }

    /// Stops the execution at once; whether it was still running.
    pub(super) fn abort(&self, error: &str, cause: &str) -> bool {
        let details = Details { error: Some(error.to_owned()), cause: Some(cause.to_owned()), ..Details::default() };
        let previous = self.lock().events.last().map_or(0, |event| event.id);
        self.end(previous, ExecutionStatus::Aborted, EventType::ExecutionAborted, details)
    }

    fn end(&self, previous: u64, status: ExecutionStatus, kind: EventType, details: Details) -> bool {
        let event = {
            let mut record = self.lock();
            if record.status != ExecutionStatus::Running {
                return false;
            }
            record.status = status;
            record.stop_date = Some(self.clock.now());
            record.output.clone_from(&details.output);
            record.error.clone_from(&details.error);
            record.cause.clone_from(&details.cause);
            self.push(&mut record, previous, kind, details)
        };
        self.tell(&event);
        true
    }

    fn push(&self, record: &mut Execution, previous: u64, kind: EventType, details: Details) -> HistoryEvent {
        let event = HistoryEvent {
            execution: record.name.clone(),
            id: record.events.len() as u64 + 1,
            previous_event_id: previous,
            timestamp: self.clock.now(),
            kind,
            details,
        };
        record.events.push(event.clone());
        event
    }

    // Never under the lock: an observer may ask for the record.
    fn tell(&self, event: &HistoryEvent) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    /// The context object's parts that do not change from state to state.
    pub(super) fn context(&self) -> Value {
        let record = self.lock();
        json!({
            "Execution": {
                "Id": record.execution_arn,
                "Name": record.name,
                "Input": record.input,
                "StartTime": milliseconds(record.start_date),
            },
            "StateMachine": {
                "Id": self.machine_arn,
                "Name": self.machine_arn.rsplit(':').next(),
            },
        })
    }
}

/// A time as the context object writes it: `2019-03-26T20:14:13.192Z`.
pub(super) fn milliseconds(time: Timestamp) -> String {
    format!("{time:.3}")
}
