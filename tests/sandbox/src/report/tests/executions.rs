//! States that are tried again, caught, and run side by side, told from an execution's events alone.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::machine::{Definition, Execution, Machine, TaskFailure, Tasks};
use crate::report::executions::{ExecutionStory, stories};
use crate::report::payloads::Payloads;

/// Fails as often as it has failures left, and then echoes.
struct Failing {
    clock: Clock,
    failures: Mutex<VecDeque<&'static str>>,
}

impl Tasks for Failing {
    fn invoke(
        &self,
        _resource: &str,
        payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, TaskFailure>> + Send + '_>> {
        let failure = self.failures.lock().unwrap().pop_front();
        Box::pin(async move {
            self.clock.sleep(Duration::from_secs(1)).await;
            match failure {
                None => Ok(payload),
                Some(error) => {
                    let cause = json!({ "errorType": error, "errorMessage": format!("{error} in words") }).to_string();
                    Err(TaskFailure { error: error.to_owned(), cause })
                }
            }
        })
    }
}

async fn run(definition: Value, failures: &[&'static str]) -> Execution {
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    let tasks = Failing { clock: clock.clone(), failures: Mutex::new(failures.iter().copied().collect()) };
    let definition = Definition::parse(&definition.to_string()).unwrap();
    Machine::new(definition, clock, Arc::new(tasks)).start("monday", json!({})).await.unwrap()
}

fn told(execution: Execution) -> ExecutionStory {
    stories(&[execution], &BTreeMap::new(), &mut Payloads::default()).remove(0)
}

fn task(fields: Value) -> Value {
    let mut task = json!({"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:send", "TimeoutSeconds": 30});
    task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    task
}

#[tokio::test]
async fn each_try_of_a_state_is_told_with_its_error_and_a_caught_one_leads_on() {
    let definition = json!({"StartAt": "Send", "States": {
        "Send": task(json!({
            "Retry": [{"ErrorEquals": ["Throttled"], "IntervalSeconds": 10, "MaxAttempts": 1}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Explain"}],
            "Next": "Done"})),
        "Explain": {"Type": "Fail", "Error": "NeedsOperator", "Cause": "nobody knows"},
        "Done": {"Type": "Succeed"}}});
    let story = told(run(definition, &["Throttled", "Refused"]).await);
    assert_eq!((story.status.as_str(), story.message.as_str()), ("FAILED", "NeedsOperator: nobody knows"));
    let [send, explain] = story.steps.as_slice() else { panic!("two states, and not {:?}", story.steps) };
    let tries: Vec<_> =
        send.tries.iter().map(|one| (one.called.as_str(), one.error.as_deref(), one.cause.as_deref())).collect();
    assert_eq!(
        tries,
        [("send", Some("Throttled"), Some("Throttled in words")), ("send", Some("Refused"), Some("Refused in words"))]
    );
    let seconds: Vec<_> = send.tries.iter().map(|one| (one.from - story.from, one.to.unwrap() - story.from)).collect();
    assert_eq!(seconds, [(0, 1000), (11_000, 12_000)], "the wait between the tries is in neither");
    assert_eq!((send.to, explain.kind.as_str()), (Some(story.from + 12_000), "Fail"));
}

#[tokio::test]
async fn states_of_iterations_that_run_side_by_side_are_told_with_their_place() {
    let regions = json!([{"region": "eu-west-1"}, {"region": "us-east-1"}]);
    let iterate = json!({"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Send", "States": {"Send": task(json!({"Next": "Wait"})), "Wait": {"Type": "Wait", "Seconds": 5, "End": true}}});
    let definition = json!({"StartAt": "List", "States": {
        "List": {"Type": "Pass", "Result": {"places": regions}, "Next": "Fleet"},
        "Fleet": {"Type": "Map", "ItemsPath": "$.places", "MaxConcurrency": 2, "ItemProcessor": iterate, "ResultPath": "$.done", "Next": "Done"},
        "Done": {"Type": "Succeed"}}});
    let story = told(run(definition, &[]).await);
    let steps: Vec<_> = story.steps.iter().map(|step| (step.name.as_str(), step.place.as_deref())).collect();
    let (here, there) = (Some("eu-west-1"), Some("us-east-1"));
    assert_eq!(
        steps,
        [
            ("List", None),
            ("Fleet", None),
            ("Send", here),
            ("Send", there),
            ("Wait", here),
            ("Wait", there),
            ("Done", None)
        ]
    );
    let map = &story.steps[1];
    assert_eq!((map.kind.as_str(), map.from - story.from, map.to.unwrap() - story.from), ("Map", 0, 6000));
    assert!(map.output.is_some() && story.steps.iter().all(|step| step.to.is_some()));
}
