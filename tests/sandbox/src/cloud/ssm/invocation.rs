//! One command on one host: its states, and what is kept of its output (FACTS C).

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

/// ListCommandInvocations keeps so many characters of each plugin's stdout and stderr together (FACTS C).
const OUTPUT_KEPT: usize = 2_500;
const ERROR_HEADING: &str = "\n----------ERROR-------\n";

/// The status of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "SSM's own words")]
pub enum InvocationStatus {
    Pending,
    InProgress,
    Delayed,
    Success,
    Cancelled,
    TimedOut,
    Failed,
    Cancelling,
}

impl InvocationStatus {
    /// Success, Cancelled, TimedOut and Failed are final (FACTS C).
    pub fn is_terminal(self) -> bool {
        match self {
            InvocationStatus::Success
            | InvocationStatus::Cancelled
            | InvocationStatus::TimedOut
            | InvocationStatus::Failed => true,
            InvocationStatus::Pending
            | InvocationStatus::InProgress
            | InvocationStatus::Delayed
            | InvocationStatus::Cancelling => false,
        }
    }
}

impl fmt::Display for InvocationStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// What one step of the document did on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginResult {
    /// The step's name.
    pub name: String,
    /// A skipped step counts as Success (FACTS C).
    pub status: InvocationStatus,
    /// The script's exit code.
    pub response_code: i32,
    /// What it printed.
    pub standard_output: String,
    /// What it printed as errors.
    pub standard_error: String,
}

impl PluginResult {
    /// stdout and, behind a heading, stderr; cut.
    pub(super) fn output(&self) -> String {
        let mut output = self.standard_output.clone();
        if !self.standard_error.is_empty() {
            output.push_str(ERROR_HEADING);
            output.push_str(&self.standard_error);
        }
        output.chars().take(OUTPUT_KEPT).collect()
    }

    pub(super) fn description(&self) -> Value {
        json!({
            "Name": self.name,
            "Status": self.status.to_string(),
            "StatusDetails": self.status.to_string(),
            "ResponseCode": self.response_code,
            "Output": self.output(),
        })
    }
}

/// What a host reports: progress, or its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationUpdate {
    /// InProgress, or a final status.
    pub status: InvocationStatus,
    /// For example `Execution Timed Out`; the status's own name where there is nothing to add.
    pub status_details: String,
    /// Every step so far.
    pub plugins: Vec<PluginResult>,
}

impl InvocationUpdate {
    /// The command began to run.
    pub fn in_progress() -> InvocationUpdate {
        InvocationUpdate {
            status: InvocationStatus::InProgress,
            status_details: "In Progress".to_owned(),
            plugins: Vec::new(),
        }
    }

    /// The command ended.
    pub fn ended(status: InvocationStatus, plugins: Vec<PluginResult>) -> InvocationUpdate {
        InvocationUpdate { status, status_details: status.to_string(), plugins }
    }
}

/// One invocation as SSM keeps it.
#[derive(Clone, Debug)]
pub(in super::super) struct Invocation {
    pub(in super::super) instance_id: String,
    pub(in super::super) status: InvocationStatus,
    pub(in super::super) status_details: String,
    pub(in super::super) plugins: Vec<PluginResult>,
    /// The ramp has reached it; it may still wait for its node to come online.
    pub(super) offered: bool,
    /// It reached the node, which may have told nothing since.
    pub(in super::super) delivered: bool,
    /// When it reached the node.
    pub(super) begun: Option<Timestamp>,
    /// When the node said that it had ended.
    pub(super) ended: Option<Timestamp>,
}

impl Invocation {
    pub(super) fn of(instance_id: String) -> Invocation {
        Invocation {
            instance_id,
            status: InvocationStatus::Pending,
            status_details: "Pending".to_owned(),
            plugins: Vec::new(),
            offered: false,
            delivered: false,
            begun: None,
            ended: None,
        }
    }

    pub(super) fn become_status(&mut self, status: InvocationStatus, details: &str) {
        self.status = status;
        details.clone_into(&mut self.status_details);
    }
}
