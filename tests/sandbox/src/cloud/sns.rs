//! SNS: topics, and the notices that were published to them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ServiceError;
use super::event::Effect;
use super::pages::page;
use super::request::Turn;
use super::state::State;

/// A message with all its parts.
const MOST_BYTES: usize = 262_144;

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
        "ListTopics" => list_topics(state, turn),
        "GetTopicAttributes" => get_topic_attributes(state, turn),
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
    if message.is_empty() {
        return Err(turn.invalid("Invalid parameter: Empty message"));
    }
    if message.len() > MOST_BYTES {
        return Err(turn.invalid("Invalid parameter: Message too long"));
    }
    // The API's own rule for the subject of an e-mail: less than 100 characters.
    if subject.chars().count() >= 100 || subject.chars().any(char::is_control) {
        return Err(turn.invalid("Invalid parameter: Subject"));
    }
    turn.effect(Effect::NoticePublished { topic_arn: topic_arn.clone(), subject: subject.clone() });
    state.topics.notices.push(Notice { time: turn.now, topic_arn, subject, message });
    Ok(json!({ "MessageId": state.identifiers.uuid() }))
}

fn list_topics(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let is_here = |arn: &&String| arn.starts_with(&format!("arn:aws:sns:{}:{}:", turn.region, turn.account));
    let topics: Vec<&String> = state.topics.arns.iter().filter(is_here).collect();
    let token = turn.optional_text("NextToken");
    let invalid = || turn.invalid("Invalid parameter: NextToken");
    let page = page(topics, |arn| (*arn).clone(), 100, token.as_deref(), invalid)?;
    let mut answer = json!({ "Topics": page.items.iter().map(|arn| json!({ "TopicArn": arn })).collect::<Vec<_>>() });
    if let Some(token) = page.next_token {
        answer["NextToken"] = Value::from(token);
    }
    Ok(answer)
}

fn get_topic_attributes(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let arn = turn.text("TopicArn")?;
    if !state.topics.arns.contains(&arn) {
        return Err(ServiceError::new(404, "NotFound", "Topic does not exist"));
    }
    let attributes = [
        ("TopicArn", arn.as_str()),
        ("Owner", arn.split(':').nth(4).unwrap_or_default()),
        ("DisplayName", ""),
        ("SubscriptionsConfirmed", "0"),
        ("SubscriptionsPending", "0"),
        ("SubscriptionsDeleted", "0"),
    ];
    let entries: Vec<Value> = attributes.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    Ok(json!({ "Attributes": entries }))
}
