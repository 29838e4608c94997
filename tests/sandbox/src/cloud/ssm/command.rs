//! SendCommand and CancelCommand, and the status of a command as a whole, which proves nothing (FACTS C).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::event::Effect;
use super::super::request::{FollowUp, Turn, epoch_seconds, filters};
use super::super::state::State;
use super::document::{check_parameters, existing, existing_version};
use super::invocation::{Invocation, InvocationStatus};
use super::node::{node_of, nodes_matching};
use super::refused;

const MOST_INSTANCE_IDS: usize = 50;
const MOST_TARGETS: usize = 5;
const MOST_COMMENT_CHARACTERS: usize = 100;
/// Where neither the command nor the document says it.
const EXECUTION_TIMEOUT: Duration = Duration::from_secs(3600);

/// One command.
#[derive(Clone, Debug)]
pub(in super::super) struct Command {
    pub(in super::super) command_id: String,
    pub(in super::super) account: String,
    pub(in super::super) region: String,
    pub(in super::super) document_name: String,
    pub(in super::super) document_version: String,
    pub(super) content: Value,
    pub(in super::super) parameters: BTreeMap<String, String>,
    sent_parameters: Value,
    pub(in super::super) comment: String,
    pub(in super::super) requested: Timestamp,
    pub(super) timeout_seconds: u64,
    pub(super) execution_timeout: Duration,
    instance_ids: Vec<String>,
    targets: Value,
    max_concurrency: String,
    max_errors: String,
    cloud_watch: Value,
    pub(in super::super) invocations: Vec<Invocation>,
    pub(super) is_cancelled: bool,
}

pub(super) fn send_command(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let document_name = turn.text("DocumentName")?;
    let document = existing(state, turn, &document_name)?;
    let (version, content) =
        existing_version(document, &document_name, turn.optional_text("DocumentVersion").as_deref())?;
    let parameters = check_parameters(content, turn.member("Parameters"))?;
    let content = content.clone();
    let comment = turn.optional_text("Comment").unwrap_or_default();
    if comment.chars().count() > MOST_COMMENT_CHARACTERS {
        return Err(turn.invalid(
            "Value at 'comment' failed to satisfy constraint: Member must have length less than or equal to 100",
        ));
    }
    let timeout_seconds = turn.number("TimeoutSeconds", 3600, 30, 2_592_000)?;
    let execution_timeout = parameters
        .get("executionTimeout")
        .and_then(|seconds| seconds.parse().ok())
        .map_or(EXECUTION_TIMEOUT, Duration::from_secs);
    let nodes = nodes_addressed(state, turn)?;
    let command = Command {
        command_id: state.identifiers.uuid(),
        account: turn.account.to_owned(),
        region: turn.region.to_owned(),
        document_name,
        document_version: version.to_string(),
        content,
        parameters,
        sent_parameters: turn.member("Parameters").cloned().unwrap_or_else(|| json!({})),
        comment,
        requested: turn.now,
        timeout_seconds: timeout_seconds as u64,
        execution_timeout,
        instance_ids: turn.texts("InstanceIds"),
        targets: turn.member("Targets").cloned().unwrap_or_else(|| json!([])),
        max_concurrency: bound(turn, "MaxConcurrency", "50", 1)?,
        max_errors: bound(turn, "MaxErrors", "0", 0)?,
        cloud_watch: turn
            .member("CloudWatchOutputConfig")
            .cloned()
            .unwrap_or_else(|| json!({ "CloudWatchOutputEnabled": false })),
        invocations: nodes.into_iter().map(Invocation::of).collect(),
        is_cancelled: false,
    };
    turn.effect(command.sent());
    turn.follow_ups.push(FollowUp::DispatchCommand(command.command_id.clone()));
    let answer = json!({ "Command": command.description() });
    state.commands.push(command);
    Ok(answer)
}

/// A number or a percentage, as MaxConcurrency takes it; MaxErrors may be 0 as well. Neither is written with a 0 before it.
fn bound(turn: &Turn<'_>, name: &str, default: &str, least: u32) -> Result<String, ServiceError> {
    let text = turn.optional_text(name).unwrap_or_else(|| default.to_owned());
    let (digits, most) = text.strip_suffix('%').map_or((text.as_str(), 9_999_999), |digits| (digits, 100));
    let number = digits.parse::<u32>().ok().filter(|number| number.to_string() == digits);
    if !number.is_some_and(|number| (least..=most).contains(&number)) {
        return Err(turn.invalid(format!("Value '{text}' at '{name}' is neither a number nor a percentage")));
    }
    Ok(text)
}

/// Named instances must all be managed nodes that run; tags reach those that are, and pass over the rest.
fn nodes_addressed(state: &State, turn: &Turn<'_>) -> Result<Vec<String>, ServiceError> {
    let ids = turn.texts("InstanceIds");
    let targets = filters(turn.list("Targets"), "Key", "Values");
    if ids.is_empty() == targets.is_empty() {
        return Err(refused("InvalidTarget", "Specify either InstanceIds or Targets."));
    }
    if ids.len() > MOST_INSTANCE_IDS || targets.len() > MOST_TARGETS {
        return Err(
            turn.invalid(format!("At most {MOST_INSTANCE_IDS} InstanceIds and {MOST_TARGETS} Targets are allowed."))
        );
    }
    if targets.iter().any(|(_, values)| values.len() > MOST_INSTANCE_IDS) {
        return Err(turn.invalid(format!("A target has at most {MOST_INSTANCE_IDS} values.")));
    }
    if ids.is_empty() {
        return Ok(nodes_matching(state, turn, &targets));
    }
    let refused_ids: Vec<&str> =
        ids.iter().filter(|id| node_of(state, turn, id).is_none()).map(String::as_str).collect();
    if !refused_ids.is_empty() {
        let message =
            format!("Instances [[{}]] not in a valid state for account {}", refused_ids.join(", "), turn.account);
        return Err(refused("InvalidInstanceId", message));
    }
    Ok(ids)
}

/// What has ended so far, by how it counts.
pub(super) struct Tally {
    pub(super) completed: usize,
    pub(super) errors: usize,
    undelivered: usize,
    cancelled: usize,
}

impl Command {
    fn sent(&self) -> Effect {
        Effect::CommandSent {
            command_id: self.command_id.clone(),
            document_name: self.document_name.clone(),
            document_version: self.document_version.clone(),
            instance_ids: self.invocations.iter().map(|invocation| invocation.instance_id.clone()).collect(),
            parameters: self.sent_parameters.clone(),
            comment: self.comment.clone(),
        }
    }

    /// SSM's bounds are numbers or percentages of the targets.
    fn resolve(&self, bound: &str) -> usize {
        let percentage = bound.strip_suffix('%').and_then(|digits| digits.parse::<usize>().ok());
        match percentage {
            Some(percentage) => (self.invocations.len() * percentage).div_ceil(100),
            None => bound.parse().unwrap_or_default(),
        }
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.resolve(&self.max_concurrency).max(1)
    }

    pub(super) fn has_too_many_errors(&self) -> bool {
        self.tally().errors > self.resolve(&self.max_errors)
    }

    /// Undelivered invocations count neither as errors nor as successes (FACTS C).
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally { completed: 0, errors: 0, undelivered: 0, cancelled: 0 };
        for invocation in self.invocations.iter().filter(|invocation| invocation.status.is_terminal()) {
            tally.completed += 1;
            match (invocation.status, invocation.status_details.as_str()) {
                (InvocationStatus::Failed, _) | (InvocationStatus::TimedOut, "Execution Timed Out") => {
                    tally.errors += 1
                }
                (InvocationStatus::TimedOut, _) => tally.undelivered += 1,
                (InvocationStatus::Cancelled, _) => tally.cancelled += 1,
                _ => {}
            }
        }
        tally
    }

    /// What the command as a whole is called; it proves nothing about any host (FACTS C).
    fn status(&self) -> (&'static str, &'static str) {
        let tally = self.tally();
        let all = self.invocations.len();
        if all == 0 {
            return ("Failed", "No Instances In Tag");
        }
        if tally.completed < all {
            return match self.invocations.iter().any(|invocation| invocation.delivered) {
                _ if self.is_cancelled => ("Cancelling", "Cancelling"),
                true => ("InProgress", "In Progress"),
                false => ("Pending", "Pending"),
            };
        }
        match tally {
            _ if self.is_cancelled && tally.cancelled > 0 => ("Cancelled", "Cancelled"),
            _ if self.has_too_many_errors() => ("Failed", "Failed"),
            _ if tally.undelivered == all => ("TimedOut", "Delivery Timed Out"),
            // What was not delivered counts against no MaxErrors, and is no success either.
            _ if tally.errors + tally.undelivered > 0 => ("Failed", "Incomplete"),
            _ => ("Success", "Success"),
        }
    }

    pub(super) fn expires_after(&self) -> Timestamp {
        let total = Duration::from_secs(self.timeout_seconds) + self.execution_timeout;
        self.requested.saturating_add(total).unwrap_or(self.requested)
    }

    pub(super) fn has_step(&self, name: &str) -> bool {
        self.content["mainSteps"].as_array().into_iter().flatten().any(|step| step["name"] == name)
    }

    /// Where CloudWatchOutputConfig sends the output; SSM names the group after the document if nobody else does.
    pub(super) fn log_group(&self) -> Option<String> {
        let is_enabled = self.cloud_watch["CloudWatchOutputEnabled"] == true;
        let named = self.cloud_watch["CloudWatchLogGroupName"].as_str().filter(|name| !name.is_empty());
        let group = || named.map_or_else(|| format!("/aws/ssm/{}", self.document_name), str::to_owned);
        is_enabled.then(group)
    }

    pub(super) fn description(&self) -> Value {
        let (status, details) = self.status();
        let tally = self.tally();
        json!({
            "CommandId": self.command_id,
            "DocumentName": self.document_name,
            "DocumentVersion": self.document_version,
            "Comment": self.comment,
            "RequestedDateTime": epoch_seconds(self.requested),
            "ExpiresAfter": epoch_seconds(self.expires_after()),
            "Parameters": self.sent_parameters,
            "InstanceIds": self.instance_ids,
            "Targets": self.targets,
            "Status": status,
            "StatusDetails": details,
            "TargetCount": self.invocations.len(),
            "CompletedCount": tally.completed,
            "ErrorCount": tally.errors,
            "DeliveryTimedOutCount": tally.undelivered,
            "TimeoutSeconds": self.timeout_seconds,
            "MaxConcurrency": self.max_concurrency,
            "MaxErrors": self.max_errors,
            "CloudWatchOutputConfig": self.cloud_watch,
        })
    }

    pub(super) fn invocation_description(&self, invocation: &Invocation, with_details: bool) -> Value {
        let mut description = json!({
            "CommandId": self.command_id,
            "InstanceId": invocation.instance_id,
            "Comment": self.comment,
            "DocumentName": self.document_name,
            "DocumentVersion": self.document_version,
            "RequestedDateTime": epoch_seconds(self.requested),
            "Status": invocation.status.to_string(),
            "StatusDetails": invocation.status_details,
            "CloudWatchOutputConfig": self.cloud_watch,
        });
        if with_details {
            let plugins = invocation.plugins.iter().map(super::PluginResult::description);
            description["CommandPlugins"] = plugins.collect();
        }
        description
    }
}

/// Best effort: what has not begun never will; a process that runs may well go on (FACTS C).
pub(super) fn cancel_command(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let command_id = turn.text("CommandId")?;
    let ids = turn.texts("InstanceIds");
    let command = state
        .commands
        .iter_mut()
        .find(|command| {
            command.command_id == command_id && command.account == turn.account && command.region == turn.region
        })
        .ok_or_else(|| refused("InvalidCommandId", format!("Command {command_id} does not exist.")))?;
    command.is_cancelled = true;
    turn.effect(Effect::CommandCancelled { command_id: command_id.clone() });
    for invocation in &mut command.invocations {
        let is_meant = ids.is_empty() || ids.contains(&invocation.instance_id);
        if !is_meant || invocation.status.is_terminal() {
            continue;
        }
        if invocation.delivered {
            invocation.become_status(InvocationStatus::Cancelling, "Cancelling");
        } else {
            invocation.become_status(InvocationStatus::Cancelled, "Cancelled");
            turn.effect(super::dispatch::ended(&command_id, invocation));
        }
    }
    Ok(json!({}))
}
