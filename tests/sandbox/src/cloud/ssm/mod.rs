//! Systems Manager: documents, managed nodes and Run Command (FACTS C).
//!
//! [`command`] takes and lists commands, [`dispatch`] carries them to hosts as simulated time passes, [`document`]
//! holds the documents and checks parameters, [`node`] lists the managed nodes.

pub(super) mod command;
pub(super) mod dispatch;
mod document;
mod invocation;
mod list;
mod node;

use serde_json::Value;

pub(super) use command::Command;
pub use dispatch::Delivery;
pub(super) use document::Document;
pub(super) use document::add_version;
pub use invocation::{InvocationStatus, InvocationUpdate, PluginResult};

use super::ServiceError;
use super::request::Turn;
use super::state::State;

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "SendCommand" => command::send_command(state, turn),
        "CancelCommand" => command::cancel_command(state, turn),
        "ListCommands" => list::list_commands(state, turn),
        "ListCommandInvocations" => list::list_command_invocations(state, turn),
        "GetCommandInvocation" => list::get_command_invocation(state, turn),
        "DescribeInstanceInformation" => node::describe_instance_information(state, turn),
        "CreateDocument" => document::create_document(state, turn),
        "DescribeDocument" => document::describe_document(state, turn),
        "GetDocument" => document::get_document(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn refused(code: &str, message: impl Into<String>) -> ServiceError {
    ServiceError::new(400, code, message)
}
