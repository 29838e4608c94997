//! The state machine itself: what it is called and what it says.

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::request::{Turn, epoch_seconds};
use super::super::state::State;
use super::{machine_named, paged};
use crate::machine::Machine;

pub(super) fn describe_state_machine(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let machine = machine_named(state, turn)?;
    let mut answer = summary(&machine);
    answer["status"] = Value::from("ACTIVE");
    answer["definition"] = Value::from(machine.text());
    answer["roleArn"] = Value::from(role_arn(machine.arn()));
    answer["loggingConfiguration"] = json!({ "level": "OFF", "includeExecutionData": false });
    answer["tracingConfiguration"] = json!({ "enabled": false });
    Ok(answer)
}

pub(super) fn list_state_machines(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let machines = state.machine().into_iter().collect();
    let (items, next_token) = paged(turn, machines, |machine| machine.arn().to_owned())?;
    let mut answer = json!({ "stateMachines": items.iter().map(|machine| summary(machine)).collect::<Vec<_>>() });
    if let Some(token) = next_token {
        answer["nextToken"] = Value::from(token);
    }
    Ok(answer)
}

fn summary(machine: &Machine) -> Value {
    json!({
        "stateMachineArn": machine.arn(),
        "name": machine.arn().rsplit(':').next(),
        "type": "STANDARD",
        "creationDate": epoch_seconds(machine.created()),
    })
}

/// The role of a state machine bears the machine's name.
pub(super) fn role_arn(machine_arn: &str) -> String {
    let parts: Vec<&str> = machine_arn.split(':').collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    format!("arn:aws:iam::{}:role/{}", part(4), part(6))
}
