//! Step Functions as a function sees it: whether an execution still runs.
//!
//! The interpreter ([`crate::machine`]) registers its executions; after 90 days one does not exist (FACTS E).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ServiceError;
use super::request::{Turn, epoch_seconds};
use super::state::State;

const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// What is known of one execution.
#[derive(Clone, Debug)]
pub(super) struct ExecutionRecord {
    pub(super) status: String,
    pub(super) started: Timestamp,
    pub(super) stopped: Option<Timestamp>,
}

pub(super) type Executions = BTreeMap<String, ExecutionRecord>;

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "DescribeExecution" => describe_execution(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn describe_execution(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let arn = turn.text("executionArn")?;
    let kept = |record: &&ExecutionRecord| {
        record.stopped.is_none_or(|stopped| stopped.saturating_add(KEPT).is_ok_and(|until| turn.now < until))
    };
    let record =
        state.executions.get(&arn).filter(kept).ok_or_else(|| {
            ServiceError::new(400, "ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"))
        })?;
    // arn:aws:states:region:account:execution:machine:name
    let parts: Vec<&str> = arn.split(':').collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    let machine = format!("arn:aws:states:{}:{}:stateMachine:{}", part(3), part(4), part(6));
    let mut answer = json!({
        "executionArn": arn,
        "stateMachineArn": machine,
        "name": part(7),
        "status": record.status,
        "startDate": epoch_seconds(record.started),
    });
    if let Some(stopped) = record.stopped {
        answer["stopDate"] = epoch_seconds(stopped);
    }
    Ok(answer)
}
