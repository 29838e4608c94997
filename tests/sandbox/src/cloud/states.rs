//! Step Functions: executions as people start, watch and stop them, and as a function sees them.
//!
//! The interpreter ([`crate::machine`]) does the work and keeps the histories; here are the API's requests, answers and
//! refusals. Executions of another orchestrator are known by their status only; after 90 days none exists (FACTS E).

mod execution;
mod history;
mod state_machine;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::pages::page;
use super::request::Turn;
use super::state::State;
use super::{Cloud, ServiceError};
use crate::machine::{Begun, Machine};

const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// What a list gives where no maxResults is named, and the most that one may name.
const PAGE: usize = 100;
const MOST_PER_PAGE: usize = 1000;

/// What is known of one execution.
#[derive(Clone, Debug)]
pub(super) struct ExecutionRecord {
    pub(super) status: String,
    pub(super) started: Timestamp,
    pub(super) stopped: Option<Timestamp>,
    /// The input to the letter, where it came through the API.
    pub(super) input: Option<String>,
}

impl ExecutionRecord {
    pub(super) fn running(now: Timestamp, input: Option<String>) -> ExecutionRecord {
        ExecutionRecord { status: "RUNNING".to_owned(), started: now, stopped: None, input }
    }
}

pub(super) type Executions = BTreeMap<String, ExecutionRecord>;

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "StartExecution" => execution::start_execution(state, turn),
        "StopExecution" => execution::stop_execution(state, turn),
        "DescribeExecution" => execution::describe_execution(state, turn),
        "ListExecutions" => execution::list_executions(state, turn),
        "GetExecutionHistory" => history::get_execution_history(state, turn),
        "DescribeStateMachine" => state_machine::describe_state_machine(state, turn),
        "ListStateMachines" => state_machine::list_state_machines(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn refused(code: &str, message: impl Into<String>) -> ServiceError {
    ServiceError::new(400, code, message)
}

/// The state machine that a call names.
fn machine_named(state: &State, turn: &Turn<'_>) -> Result<Arc<Machine>, ServiceError> {
    let arn = turn.text("stateMachineArn")?;
    if !is_arn(&arn, "stateMachine") {
        return Err(refused("InvalidArn", format!("Invalid Arn: '{arn}'")));
    }
    state
        .machine()
        .filter(|machine| machine.arn() == arn)
        .ok_or_else(|| refused("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'")))
}

/// The execution that a call names: its ARN and what is known of it.
fn execution_named<'a>(state: &'a State, turn: &Turn<'_>) -> Result<(String, &'a ExecutionRecord), ServiceError> {
    let arn = turn.text("executionArn")?;
    if !is_arn(&arn, "execution") {
        return Err(refused("InvalidArn", format!("Invalid Arn: '{arn}'")));
    }
    let kept = |record: &&ExecutionRecord| {
        record.stopped.is_none_or(|stopped| stopped.saturating_add(KEPT).is_ok_and(|until| turn.now < until))
    };
    let missing = || refused("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"));
    let record = state.executions.get(&arn).filter(kept).ok_or_else(missing)?;
    Ok((arn, record))
}

/// `arn:aws:states:region:account:execution:machine:name`, and the same without a name for a state machine.
fn is_arn(arn: &str, kind: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let length = if kind == "execution" { 8 } else { 7 };
    parts.len() == length && parts[0] == "arn" && parts[2] == "states" && parts[5] == kind
}

/// The machine's ARN and the execution's own name, out of an execution's ARN.
fn machine_and_name(execution_arn: &str) -> (String, &str) {
    let (machine, name) = execution_arn.rsplit_once(':').unwrap_or((execution_arn, ""));
    (machine.replacen(":execution:", ":stateMachine:", 1), name)
}

/// One page of a list, by the rules that all of Step Functions' lists share: 0 stands for the default.
fn paged<T>(
    turn: &Turn<'_>,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), ServiceError> {
    let asked = turn.number("maxResults", PAGE, 0, MOST_PER_PAGE)?;
    let size = if asked == 0 { PAGE } else { asked };
    let token = turn.optional_text("nextToken");
    let invalid = || refused("InvalidToken", format!("Invalid Token: '{}'", token.as_deref().unwrap_or_default()));
    let page = page(items, key, size, token.as_deref(), invalid)?;
    Ok((page.items, page.next_token))
}

impl State {
    fn machine(&self) -> Option<Arc<Machine>> {
        self.machine.upgrade()
    }
}

/// Drives a new execution in the background, and says how it ended.
pub(super) fn drive(cloud: &Arc<Cloud>, execution_arn: String, machine: Arc<Machine>, begun: Begun) {
    let cloud = Arc::clone(cloud);
    let clock = cloud.clock().clone();
    let running = clock.running();
    clock.spawn(async move {
        let _running = running;
        let execution = machine.drive(begun).await;
        // One that a person stopped has ended already, and has said so.
        if cloud.state().executions.get(&execution_arn).is_some_and(|record| record.stopped.is_none()) {
            cloud.set_execution_status(&execution_arn, &execution.status.to_string());
        }
    });
}
