//! Managed nodes: the instances whose agent has registered with SSM.

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::ec2::{Agent, Instance, InstanceState};
use super::super::pages::page;
use super::super::request::{Turn, epoch_seconds, filters};
use super::super::state::State;
use super::refused;

/// A node that SSM would send to: its agent is known, and the instance is neither stopped nor gone.
pub(super) fn node_of<'a>(state: &'a State, turn: &Turn<'_>, id: &str) -> Option<(&'a Instance, &'a Agent)> {
    let instance = state.instances.get(id)?;
    let here = instance.account == turn.account && instance.region == turn.region;
    let up = matches!(instance.state, InstanceState::Pending | InstanceState::Running);
    instance.agent.as_ref().filter(|_| here && up).map(|agent| (instance, agent))
}

/// Whether an invocation reaches the node now.
pub(super) fn is_online(state: &State, id: &str) -> bool {
    state.instances.get(id).is_some_and(|instance| {
        instance.state == InstanceState::Running && instance.agent.as_ref().is_some_and(|agent| agent.online)
    })
}

/// The nodes that match every target: `tag:KEY`, `tag-key` or `InstanceIds`.
pub(super) fn nodes_matching(state: &State, turn: &Turn<'_>, targets: &[(String, Vec<String>)]) -> Vec<String> {
    let delay = state.visibility.instance_tags;
    let matches = |id: &String| {
        let Some((instance, _)) = node_of(state, turn, id) else { return false };
        let tags = instance.tags.seen(turn.now, delay).cloned().unwrap_or_default();
        targets.iter().all(|(key, values)| match key.as_str() {
            "InstanceIds" => values.contains(id),
            "tag-key" => values.iter().any(|key| tags.contains_key(key)),
            _ => key.strip_prefix("tag:").and_then(|key| tags.get(key)).is_some_and(|value| values.contains(value)),
        })
    };
    state.instances.keys().filter(|id| matches(id)).cloned().collect()
}

/// Stopped and terminated nodes are left out (FACTS C); pages are short, ten where nothing is said.
pub(super) fn describe_instance_information(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let size = turn.number("MaxResults", 10, 5, 50)?;
    let mut asked = filters(turn.list("Filters"), "Key", "Values");
    asked.extend(filters(turn.list("InstanceInformationFilterList"), "key", "valueSet"));
    let tags = asked.iter().filter(|(key, _)| key.starts_with("tag")).count();
    if tags > 0 && tags < asked.len() {
        return Err(refused(
            "InvalidInstanceInformationFilterValue",
            "Tag filters cannot be combined with other filters.",
        ));
    }
    let mut nodes: Vec<(&String, &Agent)> = Vec::new();
    for id in state.instances.keys() {
        let Some((_, agent)) = node_of(state, turn, id) else { continue };
        let mut is_asked = true;
        for (key, values) in &asked {
            is_asked &= matches(state, turn, (id, agent), key, values)?;
        }
        if is_asked {
            nodes.push((id, agent));
        }
    }
    let token = turn.optional_text("NextToken");
    let invalid = || refused("InvalidNextToken", "The token is not valid.");
    let page = page(nodes, |(id, _)| (*id).clone(), size, token.as_deref(), invalid)?;
    let listed = page.items.into_iter().map(|(id, agent)| description(id, agent, is_online(state, id), turn));
    let mut answer = json!({ "InstanceInformationList": listed.collect::<Vec<_>>() });
    if let Some(token) = page.next_token {
        answer["NextToken"] = Value::from(token);
    }
    Ok(answer)
}

fn matches(
    state: &State,
    turn: &Turn<'_>,
    (id, agent): (&String, &Agent),
    key: &str,
    values: &[String],
) -> Result<bool, ServiceError> {
    match key {
        "InstanceIds" => Ok(values.contains(id)),
        "PingStatus" => Ok(values.iter().any(|value| value == ping_status(is_online(state, id)))),
        "PlatformTypes" => Ok(values.contains(&agent.platform_type)),
        _ if key.starts_with("tag") => {
            Ok(nodes_matching(state, turn, &[(key.to_owned(), values.to_vec())]).contains(id))
        }
        _ => Err(refused("InvalidInstanceInformationFilterValue", format!("The filter key {key} is not valid."))),
    }
}

fn ping_status(online: bool) -> &'static str {
    if online { "Online" } else { "ConnectionLost" }
}

fn description(id: &str, agent: &Agent, online: bool, turn: &Turn<'_>) -> Value {
    let last_ping = if online { turn.now } else { agent.last_ping };
    json!({
        "InstanceId": id,
        "PingStatus": ping_status(online),
        "LastPingDateTime": epoch_seconds(last_ping),
        "AgentVersion": agent.version,
        "PlatformType": agent.platform_type,
        "ResourceType": "EC2Instance",
    })
}
