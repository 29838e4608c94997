//! EventBridge: the default bus, and the events that were put on it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ServiceError;
use super::request::Turn;
use super::state::State;

/// Entries of one call (API reference, PutEvents).
const MOST_ENTRIES: usize = 10;
/// All entries of one call together.
const MOST_BYTES: usize = 262_144;

/// One event that the rules of the bus have seen.
#[derive(Clone, Debug, PartialEq)]
pub struct BusEvent {
    /// When it was put there.
    pub time: Timestamp,
    /// Who says it, such as `credential-rotation`.
    pub source: String,
    /// What it is.
    pub detail_type: String,
    /// The rest.
    pub detail: Value,
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "PutEvents" => put_events(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

/// The call itself succeeds whatever becomes of its entries: each has an answer of its own.
fn put_events(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let entries = turn.member("Entries").and_then(Value::as_array).cloned().unwrap_or_default();
    if entries.is_empty() || entries.len() > MOST_ENTRIES {
        return Err(turn.invalid(format!(
            "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length \
             between 1 and {MOST_ENTRIES}, inclusive"
        )));
    }
    if entries.iter().map(|entry| entry.to_string().len()).sum::<usize>() > MOST_BYTES {
        return Err(turn.invalid("Total size of the entries in the request is over the limit."));
    }
    let mut answers = Vec::new();
    for entry in &entries {
        answers.push(match read(entry, turn.now) {
            Ok(event) => {
                state.bus_events.push(event);
                json!({ "EventId": state.identifiers.uuid() })
            }
            Err((code, message)) => json!({ "ErrorCode": code, "ErrorMessage": message }),
        });
    }
    let failed = answers.iter().filter(|answer| answer.get("ErrorCode").is_some()).count();
    Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
}

/// An entry as an event, or EventBridge's refusal of it.
fn read(entry: &Value, now: Timestamp) -> Result<BusEvent, (&'static str, &'static str)> {
    const INCOMPLETE: &str = "InvalidArgument";
    let text = |member: &str| entry.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
    let source = text("Source").ok_or((INCOMPLETE, "Parameter Source is not valid. Reason: Source is required."))?;
    let detail_type =
        text("DetailType").ok_or((INCOMPLETE, "Parameter DetailType is not valid. Reason: DetailType is required."))?;
    if source.starts_with("aws.") {
        return Err(("NotAuthorizedForSourceException", "Not authorized for the source."));
    }
    let detail: Option<Value> = text("Detail").and_then(|text| serde_json::from_str(text).ok());
    let detail = detail.filter(Value::is_object).ok_or(("MalformedDetail", "Detail is malformed."))?;
    Ok(BusEvent { time: now, source: source.to_owned(), detail_type: detail_type.to_owned(), detail })
}
