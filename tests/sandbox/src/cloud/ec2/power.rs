//! Instances are started, stopped and terminated, and what their checks say.
//!
//! A change is done before its answer, which still names the state between, as EC2's does: nobody waits in vain for time
//! that stands still.

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::pages::page;
use super::super::request::{FollowUp, Turn, filters};
use super::super::state::State;
use super::{Instance, InstanceState, change_state, unknown_ids};

/// Which way an instance goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Start,
    Stop,
    Terminate,
}

impl Way {
    /// The state between, and the one that follows.
    fn states(self) -> (InstanceState, InstanceState) {
        match self {
            Way::Start => (InstanceState::Pending, InstanceState::Running),
            Way::Stop => (InstanceState::Stopping, InstanceState::Stopped),
            Way::Terminate => (InstanceState::ShuttingDown, InstanceState::Terminated),
        }
    }

    fn list(self) -> &'static str {
        match self {
            Way::Start => "StartingInstances",
            Way::Stop => "StoppingInstances",
            Way::Terminate => "TerminatingInstances",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Way::Start => "started",
            Way::Stop => "stopped",
            Way::Terminate => "terminated",
        }
    }
}

/// All or nothing. An instance that is there already stays as it is, and is named all the same.
pub(super) fn send(state: &mut State, turn: &mut Turn<'_>, way: Way) -> Result<Value, ServiceError> {
    let ids = turn.texts("InstanceIds");
    let unknown: Vec<&String> = ids.iter().filter(|id| !state.has_instance(turn, id)).collect();
    if !unknown.is_empty() {
        return Err(unknown_ids(&unknown));
    }
    let present = |id: &String| state.instances.get(id).map(|instance| instance.state);
    let gone = |id: &&String| way != Way::Terminate && present(id) == Some(InstanceState::Terminated);
    if let Some(id) = ids.iter().find(gone) {
        let message = format!("The instance '{id}' is not in a state from which it can be {}.", way.verb());
        return Err(ServiceError::new(400, "IncorrectInstanceState", message));
    }
    let (between, after) = way.states();
    let mut changes = Vec::new();
    for id in ids {
        let Some(before) = state.instances.get(&id).map(|instance| instance.state) else { continue };
        let shown = if before == after { after } else { between };
        change_state(state, turn, &id, between);
        change_state(state, turn, &id, after);
        changes.push(json!({ "InstanceId": id, "CurrentState": described(shown), "PreviousState": described(before) }));
        turn.follow_ups.push(FollowUp::DeliverTo(id));
    }
    Ok(json!({ way.list(): changes }))
}

fn described(state: InstanceState) -> Value {
    json!({ "Code": state.code(), "Name": state.name() })
}

/// Running instances, or all of them with IncludeAllInstances.
pub(super) fn describe_instance_status(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let ids = turn.texts("InstanceIds");
    let unknown: Vec<&String> = ids.iter().filter(|id| !state.has_instance(turn, id)).collect();
    if !unknown.is_empty() {
        return Err(unknown_ids(&unknown));
    }
    let size = turn.number("MaxResults", 1000, 5, 1000)?;
    let filters = filters(turn.list("Filters"), "Name", "Values");
    if let Some((name, _)) = filters.iter().find(|(name, _)| name != "instance-state-name") {
        return Err(turn.invalid(format!("The filter '{name}' is invalid")));
    }
    let all = turn.flag("IncludeAllInstances");
    let is_shown = |(id, instance): &(&String, &Instance)| {
        state.has_instance(turn, id)
            && (ids.is_empty() || ids.contains(id))
            && (all || instance.state == InstanceState::Running)
            && filters.iter().all(|(_, names)| names.iter().any(|name| name == instance.state.name()))
    };
    let token = turn.optional_text("NextToken");
    let invalid = || ServiceError::new(400, "InvalidNextToken", "The token is not valid");
    let found: Vec<_> = state.instances.iter().filter(is_shown).collect();
    let page = page(found, |(id, _)| (*id).clone(), size, token.as_deref(), invalid)?;
    let statuses = page.items.into_iter().map(|(id, instance)| {
        let is_running = instance.state == InstanceState::Running;
        let (summary, check) = if is_running { ("ok", "passed") } else { ("not-applicable", "not-applicable") };
        let checks = json!({ "Status": summary, "Details": [{ "Name": "reachability", "Status": check }] });
        json!({
            "InstanceId": id,
            "AvailabilityZone": format!("{}a", instance.region),
            "InstanceState": described(instance.state),
            "InstanceStatus": checks,
            "SystemStatus": checks,
        })
    });
    let mut answer = json!({ "InstanceStatuses": statuses.collect::<Vec<_>>() });
    if let Some(token) = page.next_token {
        answer["NextToken"] = Value::from(token);
    }
    Ok(answer)
}
