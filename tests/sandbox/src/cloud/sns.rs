//! SNS: topics, and the notices that were published to them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ServiceError;
use super::event::Effect;
use super::request::Turn;
use super::state::State;

/// One message that subscribers received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it was published.
    pub time: Timestamp,
    /// The topic.
    pub topic_arn: String,
    /// The subject line; empty where none was given.
    pub subject: String,
    /// The text.
    pub message: String,
}

/// The topics and what was published.
#[derive(Debug, Default)]
pub(super) struct Topics {
    pub(super) arns: BTreeSet<String>,
    pub(super) notices: Vec<Notice>,
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "Publish" => publish(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn publish(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let topic_arn = turn.text("TopicArn")?;
    let message = turn.text("Message")?;
    let subject = turn.optional_text("Subject").unwrap_or_default();
    if !state.topics.arns.contains(&topic_arn) {
        return Err(ServiceError::new(404, "NotFound", "Topic does not exist"));
    }
    // The API's own rule for the subject of an e-mail.
    if subject.chars().count() > 100 || subject.chars().any(char::is_control) {
        return Err(turn.invalid("Invalid parameter: Subject"));
    }
    turn.effect(Effect::NoticePublished { topic_arn: topic_arn.clone(), subject: subject.clone() });
    state.topics.notices.push(Notice { time: turn.now, topic_arn, subject, message });
    Ok(json!({ "MessageId": state.identifiers.uuid() }))
}
