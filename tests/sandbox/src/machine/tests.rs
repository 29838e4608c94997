//! Whole machines, run in simulated time against tasks that answer by a script.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Definition, EventType, Execution, Machine, TaskFailure, Tasks};
use crate::clock::Clock;

mod errors;
mod executions;
mod maps;
mod states;

const SEND: &str = "arn:aws:lambda:us-east-1:123456789012:function:send";
const POLL: &str = "arn:aws:lambda:us-east-1:123456789012:function:poll";

type Answer = Result<Value, TaskFailure>;

/// Answers each call by the next line of its script, and echoes the payload once the script is over.
struct Script {
    clock: Clock,
    answers: Mutex<VecDeque<Answer>>,
    calls: Mutex<Vec<Call>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Call {
    resource: String,
    payload: Value,
    at: Timestamp,
}

impl Tasks for Script {
    fn invoke(&self, resource: &str, payload: Value) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        let call = Call { resource: resource.to_owned(), payload: payload.clone(), at: self.clock.now() };
        self.calls.lock().unwrap().push(call);
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(payload));
        Box::pin(async move {
            // A real task takes its turn; what runs beside it goes on meanwhile.
            tokio::task::yield_now().await;
            answer
        })
    }
}

impl Script {
    /// The payloads of all calls, in order.
    fn payloads(&self) -> Vec<Value> {
        self.calls.lock().unwrap().iter().map(|call| call.payload.clone()).collect()
    }

    /// When each call came, in seconds from the start.
    fn seconds(&self) -> Vec<f64> {
        self.calls.lock().unwrap().iter().map(|call| call.at.duration_since(noon()).as_secs_f64()).collect()
    }
}

fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn fails(error: &str) -> Answer {
    Err(TaskFailure { error: error.to_owned(), cause: format!("cause of {error}") })
}

/// A machine of these states, and the script that its tasks answer by.
fn machine(definition: &Value, answers: Vec<Answer>) -> (Machine, Arc<Script>) {
    let clock = Clock::starting_at(noon());
    let script =
        Arc::new(Script { clock: clock.clone(), answers: Mutex::new(answers.into()), calls: Mutex::default() });
    let definition = Definition::parse(&definition.to_string()).unwrap();
    (Machine::new(definition, clock, Arc::clone(&script) as Arc<dyn Tasks>), script)
}

/// One execution of these states, and what its tasks were called with.
async fn run(definition: &Value, input: Value, answers: Vec<Answer>) -> (Execution, Arc<Script>) {
    let (machine, script) = machine(definition, answers);
    (machine.start("monday", input).await.unwrap(), script)
}

/// A machine with one state, named `It`, which ends.
fn only(mut state: Value) -> Value {
    state["End"] = json!(true);
    json!({"StartAt": "It", "States": {"It": state}})
}

/// A Task that calls `send`, with these fields besides.
fn task(fields: &Value) -> Value {
    let mut task = json!({"Type": "Task", "Resource": SEND, "TimeoutSeconds": 30});
    task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    task
}

fn kinds(execution: &Execution) -> Vec<EventType> {
    execution.events.iter().map(|event| event.kind).collect()
}

/// The error that ended an execution.
fn error(execution: &Execution) -> &str {
    execution.error.as_deref().unwrap_or("none")
}
