//! How a command reaches its hosts as simulated time passes: the ramp, offline nodes, time-outs and reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::event::Effect;
use super::super::request::Turn;
use super::super::state::State;
use super::super::{Caller, Cloud, Service};
use super::command::Command;
use super::invocation::{Invocation, InvocationStatus, InvocationUpdate};
use super::node::is_online;
use crate::clock::Running;

/// Between two rounds of the ramp: an agent acknowledges within about this time.
const ROUND: Duration = Duration::from_secs(1);

/// One invocation on its way to a host.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The command.
    pub command_id: String,
    /// The host.
    pub instance_id: String,
    /// The host's account.
    pub account: String,
    /// The host's region.
    pub region: String,
    /// The document's name.
    pub document_name: String,
    /// The document's version number.
    pub document_version: String,
    /// The document itself.
    pub document: Value,
    /// Every parameter of the document: as sent, or its default.
    pub parameters: BTreeMap<String, String>,
    /// The command's TimeoutSeconds: not begun by then, never run.
    pub timeout_seconds: u64,
    /// Time may pass as long as the host works on this.
    pub running: Arc<Running>,
}

pub(super) fn ended(command_id: &str, invocation: &Invocation) -> Effect {
    Effect::InvocationEnded {
        command_id: command_id.to_owned(),
        instance_id: invocation.instance_id.clone(),
        status: invocation.status,
        status_details: invocation.status_details.clone(),
    }
}

/// Starts the ramp and the time-outs of a new command.
pub(in super::super) fn start(cloud: &Arc<Cloud>, command_id: String) {
    let Some((delivery, execution)) = timeouts(cloud, &command_id) else { return };
    let (ramp_cloud, ramp_id) = (cloud.clone(), command_id.clone());
    let running = cloud.clock().running();
    cloud.clock().spawn(async move {
        ramp(&ramp_cloud, &ramp_id).await;
        drop(running);
    });
    let cloud = cloud.clone();
    let clock = cloud.clock().clone();
    clock.spawn(async move {
        cloud.clock().sleep(delivery).await;
        expire(&cloud, &command_id, |invocation| !invocation.delivered);
        cloud.clock().sleep(execution).await;
        // An agent that died in the middle looks the same as one that was never reached (FACTS C).
        expire(&cloud, &command_id, |_| true);
    });
}

fn timeouts(cloud: &Cloud, command_id: &str) -> Option<(Duration, Duration)> {
    let state = cloud.state();
    let command = find(&state, command_id)?;
    Some((Duration::from_secs(command.timeout_seconds), command.execution_timeout))
}

fn find<'a>(state: &'a State, command_id: &str) -> Option<&'a Command> {
    state.commands.iter().find(|command| command.command_id == command_id)
}

fn find_mut<'a>(state: &'a mut State, command_id: &str) -> Option<&'a mut Command> {
    state.commands.iter_mut().find(|command| command.command_id == command_id)
}

/// 1, 2, 4 … invocations at once up to MaxConcurrency (FACTS C).
async fn ramp(cloud: &Cloud, command_id: &str) {
    let mut window = 1_usize;
    loop {
        cloud.clock().sleep(ROUND).await;
        let (deliveries, is_done) = next_deliveries(cloud, command_id, window);
        for instance_id in deliveries {
            deliver(cloud, command_id, &instance_id);
        }
        if is_done {
            return;
        }
        window = window.saturating_mul(2);
    }
}

/// The next invocations of the ramp, and whether it is at its end.
fn next_deliveries(cloud: &Cloud, command_id: &str, window: usize) -> (Vec<String>, bool) {
    let mut state = cloud.state();
    let offline: Vec<String> = match find(&state, command_id) {
        Some(command) => {
            let ids = command.invocations.iter().map(|invocation| invocation.instance_id.clone());
            ids.filter(|id| !is_online(&state, id)).collect()
        }
        None => return (Vec::new(), true),
    };
    let Some(command) = find_mut(&mut state, command_id) else { return (Vec::new(), true) };
    let has_too_many_errors = command.has_too_many_errors();
    let at_once = window.min(command.most_at_once());
    let mut free = at_once.saturating_sub(
        command
            .invocations
            .iter()
            .filter(|invocation| invocation.delivered && !invocation.status.is_terminal())
            .count(),
    );
    let mut deliveries = Vec::new();
    let mut terminated = false;
    for invocation in
        command.invocations.iter_mut().filter(|invocation| !invocation.offered && !invocation.status.is_terminal())
    {
        if has_too_many_errors {
            // MaxErrors is exceeded: SSM sends no more (FACTS C).
            invocation.become_status(InvocationStatus::Cancelled, "Terminated");
            terminated = true;
        } else if offline.contains(&invocation.instance_id) {
            invocation.offered = true;
        } else if free > 0 {
            invocation.offered = true;
            free -= 1;
            deliveries.push(invocation.instance_id.clone());
        }
    }
    let is_done = command.invocations.iter().all(|invocation| invocation.offered || invocation.status.is_terminal());
    drop(state);
    if terminated {
        journal_terminated(cloud, command_id);
    }
    (deliveries, is_done)
}

fn journal_terminated(cloud: &Cloud, command_id: &str) {
    let region = find(&cloud.state(), command_id).map(|command| command.region.clone()).unwrap_or_default();
    let input = json!({ "CommandId": command_id });
    cloud.alter(Caller::Aws, Service::Ssm, (&region, "InvocationsTerminated"), input, |state, turn| {
        let Some(command) = find(state, command_id) else { return };
        let terminated = command.invocations.iter().filter(|invocation| invocation.status_details == "Terminated");
        terminated.for_each(|invocation| turn.effect(ended(command_id, invocation)));
    });
}

/// What waited for a node that is back, unless it has expired.
pub(in super::super) fn deliver_waiting(cloud: &Arc<Cloud>, instance_id: &str) {
    let waiting: Vec<String> = {
        let state = cloud.state();
        if !is_online(&state, instance_id) {
            return;
        }
        let waits = |invocation: &Invocation| {
            invocation.instance_id == instance_id
                && invocation.offered
                && !invocation.delivered
                && !invocation.status.is_terminal()
        };
        let commands = state.commands.iter().filter(|command| command.invocations.iter().any(waits));
        commands.map(|command| command.command_id.clone()).collect()
    };
    for command_id in waiting {
        let (cloud, instance_id) = (cloud.clone(), instance_id.to_owned());
        let clock = cloud.clock().clone();
        let running = clock.running();
        clock.spawn(async move {
            cloud.clock().sleep(ROUND).await;
            deliver(&cloud, &command_id, &instance_id);
            drop(running);
        });
    }
}

/// Hands one invocation to its host, if that is still online and still meant.
fn deliver(cloud: &Cloud, command_id: &str, instance_id: &str) {
    let Some(region) = region_to_deliver_in(cloud, command_id, instance_id) else { return };
    let input = json!({ "CommandId": command_id, "InstanceId": instance_id });
    let running = Arc::new(cloud.clock().running());
    let delivery = cloud.alter(Caller::Aws, Service::Ssm, (&region, "InvocationDelivered"), input, |state, turn| {
        take_for_delivery(state, turn, (command_id, instance_id), &running)
    });
    if let (Some(delivery), Some(sink)) = (delivery, cloud.sink()) {
        sink(delivery);
    }
}

/// The command's region, if the invocation can be delivered now; one that cannot leaves no trace in the journal.
fn region_to_deliver_in(cloud: &Cloud, command_id: &str, instance_id: &str) -> Option<String> {
    let state = cloud.state();
    let command = find(&state, command_id)?;
    let waits = |invocation: &&Invocation| {
        invocation.instance_id == instance_id && !invocation.delivered && !invocation.status.is_terminal()
    };
    command.invocations.iter().find(waits)?;
    is_online(&state, instance_id).then(|| command.region.clone())
}

fn take_for_delivery(
    state: &mut State,
    turn: &mut Turn<'_>,
    (command_id, instance_id): (&str, &str),
    running: &Arc<Running>,
) -> Option<Delivery> {
    let online = is_online(state, instance_id);
    let command = find_mut(state, command_id)?;
    let invocation = command.invocations.iter_mut().find(|invocation| invocation.instance_id == instance_id)?;
    if !online || invocation.delivered || invocation.status.is_terminal() {
        return None;
    }
    invocation.delivered = true;
    invocation.begun = Some(turn.now);
    invocation.become_status(InvocationStatus::InProgress, "In Progress");
    turn.effect(Effect::InvocationDelivered { command_id: command_id.to_owned(), instance_id: instance_id.to_owned() });
    Some(Delivery {
        command_id: command_id.to_owned(),
        instance_id: instance_id.to_owned(),
        account: command.account.clone(),
        region: command.region.clone(),
        document_name: command.document_name.clone(),
        document_version: command.document_version.clone(),
        document: command.content.clone(),
        parameters: command.parameters.clone(),
        timeout_seconds: command.timeout_seconds,
        running: Arc::clone(running),
    })
}

/// Ends what a time-out has reached. DeliveryTimedOut means unknown, not undone (FACTS C).
fn expire(cloud: &Cloud, command_id: &str, reached: impl Fn(&Invocation) -> bool) {
    let has_open = |command: &Command| {
        command.invocations.iter().any(|invocation| !invocation.status.is_terminal() && reached(invocation))
    };
    let region = match find(&cloud.state(), command_id) {
        Some(command) if has_open(command) => command.region.clone(),
        Some(_) | None => return,
    };
    let input = json!({ "CommandId": command_id });
    cloud.alter(Caller::Aws, Service::Ssm, (&region, "InvocationsTimedOut"), input, |state, turn| {
        let Some(command) = find_mut(state, command_id) else { return };
        for invocation in &mut command.invocations {
            if invocation.status.is_terminal() || !reached(invocation) {
                continue;
            }
            if invocation.status == InvocationStatus::Cancelling {
                invocation.become_status(InvocationStatus::Cancelled, "Cancelled");
            } else {
                invocation.become_status(InvocationStatus::TimedOut, "Delivery Timed Out");
            }
            turn.effect(ended(command_id, invocation));
        }
    });
}

/// What a host reports. SSM keeps the first final state: a later report is journalled and changes nothing.
pub(in super::super) fn record_output(cloud: &Cloud, command_id: &str, instance_id: &str, update: InvocationUpdate) {
    let region = find(&cloud.state(), command_id).map(|command| command.region.clone()).unwrap_or_default();
    let word = if update.status.is_terminal() { "InvocationEnded" } else { "InvocationProgress" };
    let input = json!({
        "CommandId": command_id,
        "InstanceId": instance_id,
        "Status": update.status.to_string(),
        "StatusDetails": update.status_details,
        "CommandPlugins": update.plugins.iter().map(super::PluginResult::description).collect::<Vec<_>>(),
    });
    cloud.alter(Caller::instance(instance_id), Service::Ssm, (&region, word), input, |state, turn| {
        let Some(command) = find_mut(state, command_id) else { return };
        let invocation = command.invocations.iter_mut().find(|invocation| invocation.instance_id == instance_id);
        let Some(invocation) = invocation.filter(|invocation| !invocation.status.is_terminal()) else { return };
        invocation.plugins = update.plugins;
        if update.status.is_terminal() {
            invocation.ended = Some(turn.now);
        }
        let is_cancelling = invocation.status == InvocationStatus::Cancelling;
        if update.status.is_terminal() || !is_cancelling {
            invocation.become_status(update.status, &update.status_details);
        }
        if update.status.is_terminal() {
            turn.effect(ended(command_id, invocation));
            write_output(state, turn.now, command_id, instance_id);
        }
    });
}

/// What a document's steps wrote goes to CloudWatch Logs as well, where the command asks for it.
fn write_output(state: &mut State, now: Timestamp, command_id: &str, instance_id: &str) {
    let Some(command) = find(state, command_id) else { return };
    let Some(group) = command.log_group() else { return };
    let place = (command.account.clone(), command.region.clone());
    let invocation = command.invocations.iter().find(|invocation| invocation.instance_id == instance_id);
    let plugins = invocation.map(|invocation| invocation.plugins.clone()).unwrap_or_default();
    for plugin in plugins {
        for (name, text) in [("stdout", &plugin.standard_output), ("stderr", &plugin.standard_error)] {
            let stream = format!("{command_id}/{instance_id}/{}/{name}", plugin.name);
            for line in text.lines() {
                state.log_groups.put((&place.0, &place.1, &group), &stream, now, line);
            }
        }
    }
}
