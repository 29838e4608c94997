//! The journal: every call with who made it, what came of it, and the facts that an auditor needs.
//!
//! No secret value is ever in an event: inputs are redacted before they are written down (DESIGN.md, guarantee 6).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Caller, InstanceState, InvocationStatus, KeyStatus, Service, ServiceError};

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counts from 1 without gaps.
    pub number: u64,
    /// Simulated time.
    pub time: Timestamp,
    /// Who asked.
    pub caller: Caller,
    /// The account that the caller acts in.
    pub account: String,
    /// The endpoint's region.
    pub region: String,
    /// The service.
    pub service: Service,
    /// The API action, or a word of ours for what AWS or a person did without an API call (`InvocationEnded`, …).
    pub action: String,
    /// Whether it is a call to the API, and not what AWS or a person did without one.
    pub is_call: bool,
    /// The input, with secret values redacted.
    pub input: Value,
    /// What the caller was told.
    pub outcome: Outcome,
    /// What changed.
    pub effects: Vec<Effect>,
}

/// What the caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It was refused, and nothing changed.
    Refused(ServiceError),
    /// The call ran, well or badly, and the reply never arrived.
    ReplyLost,
}

/// A change, with the facts that the guarantees are judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields bear the names that AWS's API gives them")]
pub enum Effect {
    /// An IAM user came to be.
    UserCreated { user_name: String },
    /// An access key came to be, Active.
    KeyCreated { user_name: String, access_key_id: String },
    /// An access key went Active or Inactive.
    KeyStatusChanged { user_name: String, access_key_id: String, from: KeyStatus, to: KeyStatus },
    /// An access key is gone for ever.
    KeyDeleted { user_name: String, access_key_id: String },
    /// An access key signed a request that was accepted.
    KeyUsed { access_key_id: String, service: Service, region: String },
    /// A secret came to be.
    SecretCreated { secret_arn: String },
    /// A version holds a value from now on; `access_key_id` is the IAM key that the value names, if it names one.
    VersionStored { secret_arn: String, version_id: String, access_key_id: Option<String> },
    /// Versions without a label were collected.
    VersionsCollected { secret_arn: String, version_ids: Vec<String> },
    /// A staging label went from one version (or none) to another (or none).
    LabelMoved { secret_arn: String, label: String, from: Option<String>, to: Option<String> },
    /// Tags of a secret (ARN) or an instance (id) were set or removed.
    TagsChanged { resource: String, set: BTreeMap<String, String>, removed: Vec<String> },
    /// A command was accepted for these instances.
    CommandSent {
        command_id: String,
        document_name: String,
        document_version: String,
        instance_ids: Vec<String>,
        parameters: Value,
        comment: String,
    },
    /// A command was asked to stop.
    CommandCancelled { command_id: String },
    /// An invocation reached its host.
    InvocationDelivered { command_id: String, instance_id: String },
    /// An invocation reached a terminal state.
    InvocationEnded { command_id: String, instance_id: String, status: InvocationStatus, status_details: String },
    /// An instance changed its state; `from` is absent for a new one.
    InstanceChanged { instance_id: String, from: Option<InstanceState>, to: InstanceState },
    /// An instance's disks were replaced by those of an image or a snapshot.
    InstanceRestored { instance_id: String },
    /// An SSM agent went offline or came back.
    AgentChanged { instance_id: String, online: bool },
    /// A document has a new version.
    DocumentCreated { name: String, version: String },
    /// An object was written with this key.
    ObjectStored { bucket: String, key: String, access_key_id: String },
    /// A notice was published.
    NoticePublished { topic_arn: String, subject: String },
    /// Step Functions reports another status for an execution.
    ExecutionChanged { execution_arn: String, status: String },
}

/// The members that hold secret values, in any service.
const SECRET_MEMBERS: [&str; 4] = ["SecretString", "SecretBinary", "SecretAccessKey", "SessionToken"];

/// The input as the journal keeps it.
pub(super) fn redact(mut input: Value) -> Value {
    if let Some(members) = input.as_object_mut() {
        for (name, value) in members {
            if SECRET_MEMBERS.contains(&name.as_str()) {
                *value = Value::from("Secret");
            }
        }
    }
    input
}
