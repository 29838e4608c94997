//! GetExecutionHistory: the interpreter's events in the API's shapes, each with the details member of its type.

use serde_json::{Map, Value, json};

use super::super::ServiceError;
use super::super::request::{Turn, epoch_seconds};
use super::super::state::State;
use super::{execution_named, machine_and_name, paged, state_machine};
use crate::machine::{EventType, HistoryEvent};

pub(super) fn get_execution_history(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let (arn, record) = execution_named(state, turn)?;
    let (machine_arn, name) = machine_and_name(&arn);
    let machine = state.machine().filter(|machine| machine.arn() == machine_arn);
    let execution = machine.and_then(|machine| machine.execution(name));
    let mut events = execution.map(|execution| execution.events).unwrap_or_default();
    if turn.flag("reverseOrder") {
        events.reverse();
    }
    let with_data = turn.optional_text("includeExecutionData").is_none_or(|text| text == "true");
    let (events, next_token) = paged(turn, events, |event| event.id.to_string())?;
    let shown = events.iter().map(|event| {
        let mut event = Shown { event, machine_arn: &machine_arn, with_data }.event();
        if let (Some(text), true) = (&record.input, with_data)
            && event["type"] == "ExecutionStarted"
        {
            event["executionStartedEventDetails"]["input"] = Value::from(text.as_str());
        }
        event
    });
    let mut answer = json!({ "events": shown.collect::<Vec<_>>() });
    if let Some(token) = next_token {
        answer["nextToken"] = Value::from(token);
    }
    Ok(answer)
}

/// One event on its way into an answer.
struct Shown<'a> {
    event: &'a HistoryEvent,
    machine_arn: &'a str,
    with_data: bool,
}

impl Shown<'_> {
    fn event(&self) -> Value {
        let mut shown = json!({
            "timestamp": epoch_seconds(self.event.timestamp),
            "type": self.event.kind.to_string(),
            "id": self.event.id,
            "previousEventId": self.event.previous_event_id,
        });
        if let Some((member, details)) = self.details() {
            shown[member] = Value::Object(details);
        }
        shown
    }

    /// The member that holds an event's details, and what is in it. Some types have none.
    fn details(&self) -> Option<(&'static str, Map<String, Value>)> {
        use EventType as Type;
        Some(match self.event.kind {
            Type::ExecutionStarted => {
                let role = ("roleArn".to_owned(), Value::from(state_machine::role_arn(self.machine_arn)));
                ("executionStartedEventDetails", self.data("input").into_iter().chain([role]).collect())
            }
            Type::ExecutionSucceeded => ("executionSucceededEventDetails", self.data("output")),
            Type::ExecutionFailed => ("executionFailedEventDetails", self.failure()),
            Type::ExecutionTimedOut => ("executionTimedOutEventDetails", self.failure()),
            Type::ExecutionAborted => ("executionAbortedEventDetails", self.failure()),
            Type::PassStateEntered
            | Type::TaskStateEntered
            | Type::ChoiceStateEntered
            | Type::WaitStateEntered
            | Type::MapStateEntered
            | Type::SucceedStateEntered
            | Type::FailStateEntered => ("stateEnteredEventDetails", self.named("input")),
            Type::PassStateExited
            | Type::TaskStateExited
            | Type::ChoiceStateExited
            | Type::WaitStateExited
            | Type::MapStateExited
            | Type::SucceedStateExited => ("stateExitedEventDetails", self.named("output")),
            Type::MapStateStarted => {
                let length = ("length".to_owned(), Value::from(self.event.details.length.unwrap_or_default()));
                ("mapStateStartedEventDetails", [length].into_iter().collect())
            }
            Type::MapIterationStarted => ("mapIterationStartedEventDetails", self.iteration()),
            Type::MapIterationSucceeded => ("mapIterationSucceededEventDetails", self.iteration()),
            Type::MapIterationFailed => ("mapIterationFailedEventDetails", self.iteration()),
            Type::MapIterationAborted => ("mapIterationAbortedEventDetails", self.iteration()),
            Type::LambdaFunctionScheduled => {
                let resource = self.event.details.resource.as_deref().map(Value::from);
                let resource = resource.map(|arn| ("resource".to_owned(), arn));
                ("lambdaFunctionScheduledEventDetails", self.data("input").into_iter().chain(resource).collect())
            }
            Type::LambdaFunctionSucceeded => ("lambdaFunctionSucceededEventDetails", self.data("output")),
            Type::LambdaFunctionFailed => ("lambdaFunctionFailedEventDetails", self.failure()),
            Type::LambdaFunctionTimedOut => ("lambdaFunctionTimedOutEventDetails", self.failure()),
            Type::TaskScheduled => ("taskScheduledEventDetails", self.integration(self.parameters())),
            Type::TaskStarted => ("taskStartedEventDetails", self.integration(Map::new())),
            Type::TaskSucceeded => ("taskSucceededEventDetails", self.integration(self.data("output"))),
            Type::TaskFailed => ("taskFailedEventDetails", self.integration(self.failure())),
            Type::TaskTimedOut => ("taskTimedOutEventDetails", self.integration(self.failure())),
            Type::MapStateSucceeded | Type::MapStateFailed | Type::MapStateAborted | Type::LambdaFunctionStarted => {
                return None;
            }
        })
    }

    /// The input or the output as text, and that it is whole; nothing where the caller asked for no data.
    fn data(&self, member: &str) -> Map<String, Value> {
        let details = &self.event.details;
        let value = if member == "input" { &details.input } else { &details.output };
        let Some(value) = value.as_ref().filter(|_| self.with_data) else { return Map::new() };
        let text = (member.to_owned(), Value::from(value.to_string()));
        [text, (format!("{member}Details"), json!({ "truncated": false }))].into_iter().collect()
    }

    fn named(&self, member: &str) -> Map<String, Value> {
        let name = ("name".to_owned(), Value::from(self.event.details.name.as_deref().unwrap_or_default()));
        self.data(member).into_iter().chain([name]).collect()
    }

    fn iteration(&self) -> Map<String, Value> {
        let index = ("index".to_owned(), Value::from(self.event.details.index.unwrap_or_default()));
        let name = ("name".to_owned(), Value::from(self.event.details.name.as_deref().unwrap_or_default()));
        [index, name].into_iter().collect()
    }

    fn failure(&self) -> Map<String, Value> {
        let details = &self.event.details;
        let texts = [("error", &details.error), ("cause", &details.cause)];
        texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.as_deref()?)))).collect()
    }

    fn parameters(&self) -> Map<String, Value> {
        let input = self.event.details.input.as_ref().filter(|_| self.with_data);
        let parameters = Value::from(input.map_or_else(|| "{}".to_owned(), Value::to_string));
        let region = Value::from(self.machine_arn.split(':').nth(3).unwrap_or_default());
        [("parameters".to_owned(), parameters), ("region".to_owned(), region)].into_iter().collect()
    }

    /// `arn:aws:states:::sns:publish` is the resource `publish` of the type `sns`.
    fn integration(&self, rest: Map<String, Value>) -> Map<String, Value> {
        let resource = self.event.details.resource.as_deref().unwrap_or_default();
        let mut parts = resource.rsplit(':');
        let (name, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let names = [("resourceType".to_owned(), Value::from(kind)), ("resource".to_owned(), Value::from(name))];
        names.into_iter().chain(rest).collect()
    }
}
