//! One execution from its start to its end, and the list of them all.

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::event::Effect;
use super::super::request::{FollowUp, Turn, epoch_seconds};
use super::super::state::State;
use super::{ExecutionRecord, KEPT, execution_named, machine_and_name, machine_named, paged, refused};
use crate::machine::StartError;

const STATUSES: [&str; 6] = ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"];

/// Asked twice with the same name and input while the execution runs, it is the same execution (FACTS E).
pub(super) fn start_execution(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let machine = machine_named(state, turn)?;
    let text = input_text(turn)?;
    let input = serde_json::from_str(&text).map_err(|error| {
        refused("InvalidExecutionInput", format!("Invalid State Machine Execution Input: '{error}'"))
    })?;
    let name = turn.optional_text("name").unwrap_or_else(|| state.identifiers.uuid());
    let arn = format!("{}:{name}", machine.arn().replacen(":stateMachine:", ":execution:", 1));
    if let Some(record) = state.executions.get(&arn) {
        if record.status == "RUNNING" && record.input.as_deref() == Some(text.as_str()) {
            return Ok(json!({ "executionArn": arn, "startDate": epoch_seconds(record.started) }));
        }
        return Err(already_exists(&arn));
    }
    let begun = machine.begin(&name, input).map_err(|error| match error {
        StartError::InvalidName(name) => refused("InvalidName", format!("Invalid Name: '{name}'")),
        StartError::ExecutionAlreadyExists(_) => already_exists(&arn),
        StartError::InvalidExecutionInput(_) => refused("InvalidExecutionInput", error.to_string()),
    })?;
    state.executions.insert(arn.clone(), ExecutionRecord::running(turn.now, Some(text)));
    turn.effect(Effect::ExecutionChanged { execution_arn: arn.clone(), status: "RUNNING".to_owned() });
    turn.follow_ups.push(FollowUp::DriveExecution { execution_arn: arn.clone(), machine, begun });
    Ok(json!({ "executionArn": arn, "startDate": epoch_seconds(turn.now) }))
}

/// The input is JSON within a string; JSON itself is a request that Step Functions cannot read.
fn input_text(turn: &Turn<'_>) -> Result<String, ServiceError> {
    match turn.member("input") {
        None => Ok("{}".to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(refused("SerializationException", "input is a string that holds JSON, not JSON itself")),
    }
}

fn already_exists(arn: &str) -> ServiceError {
    refused("ExecutionAlreadyExists", format!("Execution Already Exists: '{arn}'"))
}

/// An execution that has ended stays as it ended; stopping it again is no error.
pub(super) fn stop_execution(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let (arn, record) = execution_named(state, turn)?;
    if let Some(stopped) = record.stopped {
        return Ok(json!({ "stopDate": epoch_seconds(stopped) }));
    }
    let [error, cause] = ["error", "cause"].map(|member| turn.optional_text(member).unwrap_or_default());
    if let Some(record) = state.executions.get_mut(&arn) {
        "ABORTED".clone_into(&mut record.status);
        record.stopped = Some(turn.now);
    }
    turn.effect(Effect::ExecutionChanged { execution_arn: arn.clone(), status: "ABORTED".to_owned() });
    let machine = state.machine().filter(|machine| machine.arn() == machine_and_name(&arn).0);
    if let Some(machine) = machine {
        let name = machine_and_name(&arn).1.to_owned();
        turn.follow_ups.push(FollowUp::StopExecution { machine, name, error, cause });
    }
    Ok(json!({ "stopDate": epoch_seconds(turn.now) }))
}

pub(super) fn describe_execution(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let (arn, record) = execution_named(state, turn)?;
    let mut answer = summary(&arn, record);
    answer["redriveCount"] = Value::from(0);
    let (machine_arn, name) = machine_and_name(&arn);
    let machine = state.machine().filter(|machine| machine.arn() == machine_arn);
    let Some(execution) = machine.and_then(|machine| machine.execution(name)) else { return Ok(answer) };
    answer["input"] = Value::from(record.input.clone().unwrap_or_else(|| execution.input.to_string()));
    answer["inputDetails"] = json!({ "included": true });
    if let Some(output) = &execution.output {
        answer["output"] = Value::from(output.to_string());
        answer["outputDetails"] = json!({ "included": true });
    }
    for (member, text) in [("error", execution.error), ("cause", execution.cause)] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            answer[member] = Value::from(text);
        }
    }
    Ok(answer)
}

/// The newest first, as Step Functions lists them.
pub(super) fn list_executions(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let machine = machine_named(state, turn)?;
    let status = turn.optional_text("statusFilter");
    if let Some(unknown) = status.as_deref().filter(|status| !STATUSES.contains(status)) {
        return Err(turn.invalid(format!(
            "1 validation error detected: Value '{unknown}' at 'statusFilter' failed to satisfy constraint: \
             Member must satisfy enum value set: [{}]",
            STATUSES.join(", ")
        )));
    }
    let mut listed: Vec<(&String, &ExecutionRecord)> = state
        .executions
        .iter()
        .filter(|(arn, record)| {
            let is_kept = |stopped: jiff::Timestamp| stopped.saturating_add(KEPT).is_ok_and(|until| turn.now < until);
            machine_and_name(arn).0 == machine.arn()
                && status.as_ref().is_none_or(|status| *status == record.status)
                && record.stopped.is_none_or(is_kept)
        })
        .collect();
    listed.sort_by_key(|(arn, record)| (std::cmp::Reverse(record.started), (*arn).clone()));
    let (items, next_token) = paged(turn, listed, |(arn, _)| (*arn).clone())?;
    let mut answer =
        json!({ "executions": items.into_iter().map(|(arn, record)| summary(arn, record)).collect::<Vec<_>>() });
    if let Some(token) = next_token {
        answer["nextToken"] = Value::from(token);
    }
    Ok(answer)
}

fn summary(arn: &str, record: &ExecutionRecord) -> Value {
    let (machine, name) = machine_and_name(arn);
    let mut summary = json!({
        "executionArn": arn,
        "stateMachineArn": machine,
        "name": name,
        "status": record.status,
        "startDate": epoch_seconds(record.started),
    });
    if let Some(stopped) = record.stopped {
        summary["stopDate"] = epoch_seconds(stopped);
    }
    summary
}
