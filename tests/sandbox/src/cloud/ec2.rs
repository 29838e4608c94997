//! EC2: instances with their times, volumes and tags, in every account (FACTS C).

mod power;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ServiceError;
use super::event::Effect;
use super::pages::page;
use super::request::{Turn, filters, iso_8601};
use super::state::{State, serves};
use super::visibility::Replicated;
use super::wildcards::matches_wildcards;
use power::Way;

/// A terminated instance is shown for about an hour.
const SHOWN_AFTER_TERMINATION: Duration = Duration::from_secs(3600);
const MOST_TAGS: usize = 50;

/// The state of an instance, as `instance-state-name` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "EC2's own words")]
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    /// EC2's name.
    pub fn name(self) -> &'static str {
        match self {
            InstanceState::Pending => "pending",
            InstanceState::Running => "running",
            InstanceState::ShuttingDown => "shutting-down",
            InstanceState::Terminated => "terminated",
            InstanceState::Stopping => "stopping",
            InstanceState::Stopped => "stopped",
        }
    }

    fn code(self) -> u16 {
        match self {
            InstanceState::Pending => 0,
            InstanceState::Running => 16,
            InstanceState::ShuttingDown => 32,
            InstanceState::Terminated => 48,
            InstanceState::Stopping => 64,
            InstanceState::Stopped => 80,
        }
    }
}

/// A disk and since when it is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `vol-…`
    pub volume_id: String,
    /// `/dev/sda1`
    pub device_name: String,
    /// A restored disk has a new one (DESIGN.md, ledger).
    pub attach_time: Timestamp,
}

/// The SSM agent of an instance.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) online: bool,
    pub(super) platform_type: String,
    pub(super) version: String,
    pub(super) last_ping: Timestamp,
}

/// One instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) state: InstanceState,
    pub(super) state_since: Timestamp,
    pub(super) launch_time: Timestamp,
    pub(super) image_id: String,
    pub(super) private_ip: String,
    pub(super) volumes: Vec<Volume>,
    pub(super) tags: Replicated<BTreeMap<String, String>>,
    /// Absent where the instance is no managed node.
    pub(super) agent: Option<Agent>,
}

impl Instance {
    fn is_shown(&self, now: Timestamp) -> bool {
        self.state != InstanceState::Terminated
            || self.state_since.saturating_add(SHOWN_AFTER_TERMINATION).is_ok_and(|until| now < until)
    }
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    // Every action of EC2's takes DryRun: whoever may call is told so by an error, and nothing is done.
    if turn.flag("DryRun") && serves(turn.service, turn.action) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(ServiceError::new(412, "DryRunOperation", message));
    }
    match turn.action {
        "DescribeInstances" => describe_instances(state, turn),
        "CreateTags" => create_tags(state, turn),
        "DeleteTags" => delete_tags(state, turn),
        "StartInstances" => power::send(state, turn, Way::Start),
        "StopInstances" => power::send(state, turn, Way::Stop),
        "TerminateInstances" => power::send(state, turn, Way::Terminate),
        "DescribeInstanceStatus" => power::describe_instance_status(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn describe_instances(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let ids = turn.texts("InstanceIds");
    if !ids.is_empty() && turn.member("MaxResults").is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ServiceError::new(400, "InvalidParameterCombination", message));
    }
    let size = turn.number("MaxResults", 1000, 5, 1000)?;
    let unknown: Vec<&String> = ids.iter().filter(|id| !state.has_instance(turn, id)).collect();
    if !unknown.is_empty() {
        return Err(unknown_ids(&unknown));
    }
    let filters = filters(turn.list("Filters"), "Name", "Values");
    for (name, _) in &filters {
        if !is_known_filter(name) {
            return Err(turn.invalid(format!("The filter '{name}' is invalid")));
        }
    }
    let delay = state.visibility.instance_tags;
    let found: Vec<(&String, &Instance, BTreeMap<String, String>)> = state
        .instances
        .iter()
        .filter(|(id, instance)| {
            instance.account == turn.account
                && instance.region == turn.region
                && instance.is_shown(turn.now)
                && (ids.is_empty() || ids.contains(id))
        })
        .filter_map(|(id, instance)| {
            let tags = instance.tags.seen(turn.now, delay).cloned().unwrap_or_default();
            let matches = filters.iter().all(|(name, values)| matches(id, instance, &tags, name, values));
            matches.then_some((id, instance, tags))
        })
        .collect();
    let token = turn.optional_text("NextToken");
    let invalid = || ServiceError::new(400, "InvalidNextToken", "The token is not valid");
    let page = page(found, |(id, ..)| (*id).clone(), size, token.as_deref(), invalid)?;
    // Described only when the page is cut: a fleet of thousands is many pages.
    let reservation = |(id, instance, tags): (&String, &Instance, BTreeMap<String, String>)| {
        let instances = [description(id, instance, &tags)];
        json!({ "ReservationId": id.replacen("i-", "r-", 1), "OwnerId": turn.account, "Instances": instances })
    };
    let mut answer = json!({ "Reservations": page.items.into_iter().map(reservation).collect::<Vec<_>>() });
    if let Some(token) = page.next_token {
        answer["NextToken"] = Value::from(token);
    }
    Ok(answer)
}

fn is_known_filter(name: &str) -> bool {
    name.starts_with("tag:") || ["tag-key", "instance-state-name", "instance-id"].contains(&name)
}

fn matches(id: &str, instance: &Instance, tags: &BTreeMap<String, String>, name: &str, values: &[String]) -> bool {
    let any = |text: &str| values.iter().any(|pattern| matches_wildcards(pattern, text));
    match name {
        "tag-key" => tags.keys().any(|key| any(key)),
        "instance-state-name" => any(instance.state.name()),
        "instance-id" => any(id),
        _ => name.strip_prefix("tag:").and_then(|key| tags.get(key)).is_some_and(|value| any(value)),
    }
}

fn description(id: &str, instance: &Instance, tags: &BTreeMap<String, String>) -> Value {
    let disk = |volume: &Volume| {
        json!({
            "DeviceName": volume.device_name,
            "Ebs": {
                "VolumeId": volume.volume_id,
                "AttachTime": iso_8601(volume.attach_time),
                "Status": "attached",
                "DeleteOnTermination": true,
            },
        })
    };
    let windows = instance.agent.as_ref().is_some_and(|agent| agent.platform_type == "Windows");
    let mut description = json!({
        "InstanceId": id,
        "ImageId": instance.image_id,
        "State": { "Code": instance.state.code(), "Name": instance.state.name() },
        "InstanceType": "m6i.xlarge",
        "LaunchTime": iso_8601(instance.launch_time),
        "PrivateIpAddress": instance.private_ip,
        "Placement": { "AvailabilityZone": format!("{}a", instance.region) },
        "PlatformDetails": if windows { "Windows" } else { "Linux/UNIX" },
        "BlockDeviceMappings": instance.volumes.iter().map(disk).collect::<Vec<_>>(),
        "Tags": tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect::<Vec<_>>(),
    });
    if windows {
        description["Platform"] = Value::from("windows");
    }
    description
}

/// Who asks for instances that are not there; an id that could be none is refused first.
fn unknown_ids(ids: &[&String]) -> ServiceError {
    let is_id = |id: &&&String| {
        let digits = id.strip_prefix("i-").unwrap_or_default();
        [8, 17].contains(&digits.len()) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match ids.iter().find(|id| !is_id(id)) {
        Some(id) => ServiceError::new(400, "InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\"")),
        None => not_found(ids),
    }
}

fn not_found(ids: &[&String]) -> ServiceError {
    let message = match ids {
        [id] => format!("The instance ID '{id}' does not exist"),
        _ => {
            let list: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            format!("The instance IDs '{}' do not exist", list.join(", "))
        }
    };
    ServiceError::new(400, "InvalidInstanceID.NotFound", message)
}

impl State {
    /// Whether EC2 knows this instance, in the caller's account, at this endpoint.
    pub(super) fn has_instance(&self, turn: &Turn<'_>, id: &str) -> bool {
        self.instances.get(id).is_some_and(|instance| {
            instance.account == turn.account && instance.region == turn.region && instance.is_shown(turn.now)
        })
    }
}

/// All or nothing: one resource that is gone or full fails the whole batch (FACTS C).
fn create_tags(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let resources = turn.texts("Resources");
    let tags = turn.tags("Tags");
    if let Some((name, _)) =
        [("resourceIdSet", resources.is_empty()), ("tagSet", tags.is_empty())].iter().find(|(_, none)| *none)
    {
        let message = format!("The request must contain the parameter {name}");
        return Err(ServiceError::new(400, "MissingParameter", message));
    }
    let unknown: Vec<&String> = resources.iter().filter(|id| !state.has_instance(turn, id)).collect();
    if !unknown.is_empty() {
        return Err(not_found(&unknown));
    }
    if tags
        .iter()
        .any(|(key, value)| key.chars().count() > 127 || value.chars().count() > 256 || key.starts_with("aws:"))
    {
        return Err(
            turn.invalid("Tag keys have at most 127 characters and do not start with aws:, values have at most 256.")
        );
    }
    let full = |id: &String| {
        state.instances.get(id).is_some_and(|instance| {
            let after: BTreeMap<_, _> = instance.tags.truth().iter().chain(&tags).collect();
            after.keys().filter(|key| !key.starts_with("aws:")).count() > MOST_TAGS
        })
    };
    if resources.iter().any(full) {
        let message = "The maximum number of Tags for a resource has been reached.";
        return Err(ServiceError::new(400, "TagLimitExceeded", message));
    }
    for id in resources {
        if let Some(instance) = state.instances.get_mut(&id) {
            instance.tags.change(turn.now, |present| present.extend(tags.clone()));
            turn.effect(Effect::TagsChanged { resource: id, set: tags.clone(), removed: Vec::new() });
        }
    }
    Ok(json!({ "Return": true }))
}

fn delete_tags(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let resources = turn.texts("Resources");
    let unknown: Vec<&String> = resources.iter().filter(|id| !state.has_instance(turn, id)).collect();
    if !unknown.is_empty() {
        return Err(not_found(&unknown));
    }
    // A tag goes if its value is the named one, or if no value is named.
    let named: Vec<(String, Option<String>)> = turn
        .list("Tags")
        .iter()
        .filter_map(|tag| {
            let key = tag.get("Key")?.as_str()?.to_owned();
            Some((key, tag.get("Value").and_then(Value::as_str).map(str::to_owned)))
        })
        .collect();
    for id in resources {
        let Some(instance) = state.instances.get_mut(&id) else { continue };
        let present = instance.tags.truth();
        let goes = |(key, value): &&(String, Option<String>)| {
            present.get(key).is_some_and(|held| value.as_ref().is_none_or(|value| value == held))
        };
        let removed: Vec<String> = named.iter().filter(goes).map(|(key, _)| key.clone()).collect();
        instance.tags.change(turn.now, |tags| tags.retain(|key, _| !removed.contains(key)));
        turn.effect(Effect::TagsChanged { resource: id, set: BTreeMap::new(), removed });
    }
    Ok(json!({ "Return": true }))
}

/// Who moved an instance matters to no rule here, but the journal names the caller.
pub(super) fn change_state(state: &mut State, turn: &mut Turn<'_>, id: &str, to: InstanceState) {
    let Some(instance) = state.instances.get_mut(id) else { return };
    let from = instance.state;
    if from == to || from == InstanceState::Terminated {
        return;
    }
    instance.state = to;
    instance.state_since = turn.now;
    if to == InstanceState::Pending || (to == InstanceState::Running && from != InstanceState::Pending) {
        // EC2's LaunchTime changes at every start (FACTS C).
        instance.launch_time = turn.now;
    }
    turn.effect(Effect::InstanceChanged { instance_id: id.to_owned(), from: Some(from), to });
}
