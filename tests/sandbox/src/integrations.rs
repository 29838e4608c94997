//! Step Functions' own service integrations, those that the state machine uses: a Task calls AWS without a function.
//!
//! A state's `Parameters` are the call's input, but for what the integration makes of it (Step Functions developer
//! guide, "Optimized integrations"). The Resources that it adds to an event are left out here: nothing reads them.

use serde_json::Value;

use crate::cloud::{Caller, Cloud, Service};
use crate::machine::TaskFailure;

/// What a Task with this resource comes to; nothing where the resource is a function.
pub fn call(cloud: &Cloud, resource: &str, payload: &Value) -> Option<Result<Value, TaskFailure>> {
    match resource.strip_prefix("arn:aws:states:::")? {
        "sns:publish" => Some(ask(cloud, Service::Sns, "Publish", payload.clone())),
        "events:putEvents" => Some(put_events(cloud, payload.clone())),
        _ => None,
    }
}

/// The state machine's role asks. The service stands before the code, as in SNS.AuthorizationErrorException.
fn ask(cloud: &Cloud, service: Service, action: &str, input: Value) -> Result<Value, TaskFailure> {
    let (account, region) = cloud.home();
    let caller = Caller::function("state-machine", &account);
    let answer = cloud.call(&caller, &region, service, action, input);
    answer.map_err(|error| TaskFailure { error: format!("{}.{}", prefix(service), error.code), cause: error.message })
}

/// What stands before the codes of an integration's errors.
fn prefix(service: Service) -> &'static str {
    if service == Service::Sns { "SNS" } else { "EventBridge" }
}

/// A Detail may be JSON here, and is text in the API. One entry that fails fails the Task.
fn put_events(cloud: &Cloud, mut input: Value) -> Result<Value, TaskFailure> {
    for entry in input.get_mut("Entries").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(detail) = entry.get_mut("Detail").filter(|detail| detail.is_object()) {
            *detail = Value::String(detail.to_string());
        }
    }
    let answer = ask(cloud, Service::Events, "PutEvents", input)?;
    if answer["FailedEntryCount"] == 0 {
        return Ok(answer);
    }
    Err(TaskFailure { error: "EventBridge.FailedEntry".to_owned(), cause: answer.to_string() })
}
