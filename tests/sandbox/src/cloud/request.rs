//! One call on its way through a service: who asks, for what, and what it changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::event::{Effect, Event, Outcome, redact};
use super::{Call, Caller, Service, ServiceError};
use crate::machine::{Begun, Machine};

/// What is to be done once the state's lock is free.
pub(super) enum FollowUp {
    /// A new command waits for delivery.
    DispatchCommand(String),
    /// A node came online: what waits for it is delivered.
    DeliverTo(String),
    /// A new execution waits for its driver.
    DriveExecution { execution_arn: String, machine: Arc<Machine>, begun: Begun },
    /// An execution was stopped.
    StopExecution { machine: Arc<Machine>, name: String, error: String, cause: String },
}

/// One call while it is served.
pub(super) struct Turn<'a> {
    pub(super) caller: &'a Caller,
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) service: Service,
    pub(super) action: &'a str,
    pub(super) now: Timestamp,
    pub(super) effects: Vec<Effect>,
    pub(super) follow_ups: Vec<FollowUp>,
    pub(super) signature_matches: bool,
    input: &'a Value,
}

impl<'a> Turn<'a> {
    pub(super) fn of(call: &'a Call, account: &'a str, now: Timestamp) -> Turn<'a> {
        Turn {
            caller: &call.caller,
            account,
            region: &call.region,
            service: call.service,
            action: &call.action,
            now,
            effects: Vec::new(),
            follow_ups: Vec::new(),
            signature_matches: call.signature_matches,
            input: &call.input,
        }
    }

    pub(super) fn into_event(self, answer: &Result<Value, ServiceError>, reply_lost: bool) -> (Event, Vec<FollowUp>) {
        let outcome = match answer {
            _ if reply_lost => Outcome::ReplyLost,
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Refused(error.clone()),
        };
        let event = Event {
            number: 0,
            time: self.now,
            caller: self.caller.clone(),
            account: self.account.to_owned(),
            region: self.region.to_owned(),
            service: self.service,
            action: self.action.to_owned(),
            is_call: false,
            input: redact(self.input.clone()),
            outcome,
            effects: self.effects,
        };
        (event, self.follow_ups)
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.input.get(name).filter(|value| !value.is_null())
    }

    /// An optional text member. The query protocols send everything as text, so numbers and booleans count as well.
    pub(super) fn optional_text(&self, name: &str) -> Option<String> {
        self.member(name).and_then(scalar)
    }

    /// A required text member.
    pub(super) fn text(&self, name: &str) -> Result<String, ServiceError> {
        self.optional_text(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn missing(&self, name: &str) -> ServiceError {
        let message = format!(
            "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must not be null"
        );
        self.invalid(message)
    }

    /// The service's own code for input that breaks the API model.
    pub(super) fn invalid(&self, message: impl Into<String>) -> ServiceError {
        let code = match self.service {
            Service::SecretsManager | Service::Ssm | Service::States | Service::Events => "ValidationException",
            Service::Iam | Service::Sts => "ValidationError",
            Service::Ec2 => "InvalidParameterValue",
            Service::Sns => "InvalidParameter",
            Service::S3 => "InvalidArgument",
            Service::Logs => "InvalidParameterException",
        };
        ServiceError::new(400, code, message)
    }

    /// An action that this AWS does not serve; the message says so, since it is the sandbox's limit and not AWS's.
    pub(super) fn unknown_action(&self) -> ServiceError {
        let message = format!(
            "the local AWS does not serve {}:{}; add it to tests/sandbox/src/cloud",
            self.service.name(),
            self.action
        );
        ServiceError::new(400, "UnknownOperationException", message)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.optional_text(name).is_some_and(|text| text == "true")
    }

    /// A number within bounds, or the default where it is absent.
    pub(super) fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Result<usize, ServiceError> {
        let Some(text) = self.optional_text(name) else { return Ok(default) };
        text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            self.invalid(format!(
                "Value '{text}' at '{name}' failed to satisfy constraint: Member must be between {least} and {most}"
            ))
        })
    }

    /// A list of texts; empty where it is absent.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(scalar).collect()
    }

    /// A list of structures; empty where it is absent.
    pub(super) fn list(&self, name: &str) -> &[Value] {
        self.member(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// `[{Key, Value}]` as every tagging API takes it.
    pub(super) fn tags(&self, name: &str) -> BTreeMap<String, String> {
        let pair = |tag: &Value| {
            Some((tag.get("Key").and_then(scalar)?, tag.get("Value").and_then(scalar).unwrap_or_default()))
        };
        self.list(name).iter().filter_map(pair).collect()
    }
}

/// `[{name, values}]` in whatever spelling the service uses, for example `("Name", "Values")`.
pub(super) fn filters(list: &[Value], name: &str, values: &str) -> Vec<(String, Vec<String>)> {
    let texts = |filter: &Value| match filter.get(values) {
        Some(Value::Array(list)) => list.iter().filter_map(scalar).collect(),
        Some(single) => scalar(single).into_iter().collect(),
        None => Vec::new(),
    };
    list.iter().filter_map(|filter| Some((filter.get(name).and_then(scalar)?, texts(filter)))).collect()
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Epoch seconds with milliseconds, as the JSON protocols write a time.
pub(super) fn epoch_seconds(time: Timestamp) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit 53 bits for 285,000 years")]
    let seconds = time.as_millisecond() as f64 / 1000.0;
    Value::from(seconds)
}

/// ISO 8601, as the XML protocols write a time.
pub(super) fn iso_8601(time: Timestamp) -> Value {
    let whole = Timestamp::from_second(time.as_second()).unwrap_or(time);
    Value::from(whole.to_string())
}
