//! What SSM shows of commands and invocations, and when (FACTS C: eventually consistent, an empty list at first).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::pages::page;
use super::super::request::{Turn, filters};
use super::super::state::State;
use super::refused;
use super::{Command, command};

const MOST_PER_PAGE: usize = 50;

fn shown<'a>(state: &'a State, turn: &Turn<'_>, delay: Duration) -> Vec<&'a Command> {
    let visible = |command: &&Command| {
        command.account == turn.account
            && command.region == turn.region
            && command.requested.saturating_add(delay).is_ok_and(|at| at <= turn.now)
    };
    // The newest first, as SSM lists them.
    state.commands.iter().rev().filter(visible).collect()
}

pub(super) fn list_commands(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let size = turn.number("MaxResults", MOST_PER_PAGE, 1, MOST_PER_PAGE)?;
    let command_id = turn.optional_text("CommandId");
    let instance_id = turn.optional_text("InstanceId");
    let filters = filters(turn.list("Filters"), "key", "value");
    let mut commands = Vec::new();
    for command in shown(state, turn, state.visibility.commands) {
        let mut is_asked = command_id.as_ref().is_none_or(|id| *id == command.command_id)
            && instance_id
                .as_ref()
                .is_none_or(|id| command.invocations.iter().any(|invocation| invocation.instance_id == *id));
        for (name, values) in &filters {
            is_asked &= matches(command, name, values.first().map_or("", String::as_str))?;
        }
        if is_asked {
            commands.push(command);
        }
    }
    let token = turn.optional_text("NextToken");
    let invalid = || refused("InvalidNextToken", "The token is not valid.");
    let page = page(commands, |command| command.command_id.clone(), size, token.as_deref(), invalid)?;
    let mut answer =
        json!({ "Commands": page.items.into_iter().map(command::Command::description).collect::<Vec<_>>() });
    if let Some(token) = page.next_token {
        answer["NextToken"] = Value::from(token);
    }
    Ok(answer)
}

fn matches(command: &Command, name: &str, value: &str) -> Result<bool, ServiceError> {
    let time = || {
        value
            .parse::<jiff::Timestamp>()
            .map_err(|_| refused("InvalidFilterKey", format!("{value} is no ISO 8601 time.")))
    };
    match name {
        "DocumentName" => Ok(command.document_name == value),
        "Status" => Ok(command.description()["Status"] == value),
        "InvokedAfter" => Ok(command.requested > time()?),
        "InvokedBefore" => Ok(command.requested < time()?),
        _ => Err(refused("InvalidFilterKey", format!("The filter key {name} is not valid."))),
    }
}

pub(super) fn list_command_invocations(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let size = turn.number("MaxResults", MOST_PER_PAGE, 1, MOST_PER_PAGE)?;
    let command_id = turn.optional_text("CommandId");
    let instance_id = turn.optional_text("InstanceId");
    let with_details = turn.flag("Details");
    let invocations: Vec<_> = shown(state, turn, state.visibility.invocations)
        .into_iter()
        .filter(|command| command_id.as_ref().is_none_or(|id| *id == command.command_id))
        .flat_map(|command| command.invocations.iter().map(move |invocation| (command, invocation)))
        .filter(|(_, invocation)| instance_id.as_ref().is_none_or(|id| *id == invocation.instance_id))
        .collect();
    let token = turn.optional_text("NextToken");
    let invalid = || refused("InvalidNextToken", "The token is not valid.");
    let key = |(command, invocation): &(&Command, &super::invocation::Invocation)| {
        format!("{} {}", command.command_id, invocation.instance_id)
    };
    let page = page(invocations, key, size, token.as_deref(), invalid)?;
    let listed =
        page.items.into_iter().map(|(command, invocation)| command.invocation_description(invocation, with_details));
    let mut answer = json!({ "CommandInvocations": listed.collect::<Vec<_>>() });
    if let Some(token) = page.next_token {
        answer["NextToken"] = Value::from(token);
    }
    Ok(answer)
}

/// One invocation with its whole output. A document of several steps has no output as a whole: without PluginName only the
/// status is told.
pub(super) fn get_command_invocation(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let (command_id, instance_id) = (turn.text("CommandId")?, turn.text("InstanceId")?);
    let missing = || refused("InvocationDoesNotExist", "");
    let command = shown(state, turn, state.visibility.invocations)
        .into_iter()
        .find(|command| command.command_id == command_id)
        .ok_or_else(missing)?;
    let invocation =
        command.invocations.iter().find(|invocation| invocation.instance_id == instance_id).ok_or_else(missing)?;
    let step = match (turn.optional_text("PluginName"), invocation.plugins.as_slice()) {
        (Some(name), _) if !command.has_step(&name) => {
            return Err(refused("InvalidPluginName", format!("The document has no step {name}.")));
        }
        (Some(name), plugins) => plugins.iter().find(|plugin| plugin.name == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let mut answer = command.invocation_description(invocation, false);
    let seconds = |from: jiff::Timestamp, to: jiff::Timestamp| to.duration_since(from).as_secs_f64();
    let elapsed = invocation.begun.zip(invocation.ended).map(|(begun, ended)| format!("PT{}S", seconds(begun, ended)));
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let texts = [
        ("PluginName", step.map(|step| step.name.clone()).unwrap_or_default()),
        ("ExecutionStartDateTime", time(invocation.begun)),
        ("ExecutionElapsedTime", elapsed.unwrap_or_default()),
        ("ExecutionEndDateTime", time(invocation.ended)),
        ("StandardOutputContent", step.map(|step| step.standard_output.clone()).unwrap_or_default()),
        ("StandardOutputUrl", String::new()),
        ("StandardErrorContent", step.map(|step| step.standard_error.clone()).unwrap_or_default()),
        ("StandardErrorUrl", String::new()),
    ];
    for (member, text) in texts {
        answer[member] = Value::from(text);
    }
    answer["ResponseCode"] = Value::from(step.map_or(-1, |step| step.response_code));
    if let Some(members) = answer.as_object_mut() {
        members.remove("RequestedDateTime");
    }
    Ok(answer)
}
