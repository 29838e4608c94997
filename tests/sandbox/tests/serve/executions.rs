//! Executions are started, watched, listed and stopped over HTTP.

use std::sync::{Arc, Mutex};

use aws_sdk_sfn::types::ExecutionStatus;
use sandbox::clock::{Busy, Clock};
use sandbox::machine::EventType;
use tokio::sync::mpsc::unbounded_channel;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_started_over_http_rotates_the_fleet() {
    let served = served().await;
    let client = client!(served, aws_sdk_sfn);
    let started = client.start_execution().state_machine_arn(served.machine()).name("first").send().await.unwrap();
    assert_eq!(started.execution_arn(), served.execution("first"));
    assert_eq!(served.end().await, (served.execution("first"), "SUCCEEDED".to_owned()));
    let described = client.describe_execution().execution_arn(served.execution("first")).send().await.unwrap();
    assert_eq!((described.name(), described.status()), (Some("first"), &ExecutionStatus::Succeeded));
    assert_eq!(described.state_machine_arn(), served.machine());
    assert_eq!((described.input(), described.start_date()), (Some("{}"), started.start_date()));
    assert!(described.stop_date().unwrap() > described.start_date());
    assert!(described.output().unwrap().contains("is now AWSCURRENT"), "{described:?}");
    let key = served.current_key();
    assert_ne!(key, OLD_KEY);
    assert_eq!([served.held_by(FIRST), served.held_by(SECOND)], [[key.clone()], [key]]);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_without_a_name_gets_one_and_its_input_is_kept_to_the_letter() {
    let served = served().await;
    let client = client!(served, aws_sdk_sfn);
    let input = "{ \"mode\" :\t\"plan\", \"Comment\": \"z before a\" }";
    let started = client.start_execution().state_machine_arn(served.machine()).input(input).send().await.unwrap();
    let (arn, status) = served.end().await;
    assert_eq!((arn.as_str(), status.as_str()), (started.execution_arn(), "SUCCEEDED"));
    assert_eq!(arn.rsplit(':').next().unwrap().len(), 36, "a UUID: {arn}");
    let described = client.describe_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!(described.input(), Some(input));
    served.conclude().await;
}

/// A world whose time stands still from an event on, until the guard is dropped.
async fn held_at(kind: EventType, state: &'static str) -> (Served, Arc<Mutex<Option<Busy>>>, UnboundedReceiver<()>) {
    let clock: Arc<Mutex<Option<Clock>>> = Arc::default();
    let held: Arc<Mutex<Option<Busy>>> = Arc::default();
    let (reached, at) = unbounded_channel();
    let (holder, its_clock) = (Arc::clone(&held), Arc::clone(&clock));
    let served = observed(Arc::new(move |event| {
        if event.kind != kind || event.details.name.as_deref() != Some(state) {
            return;
        }
        if let Some(clock) = its_clock.lock().unwrap().take() {
            *holder.lock().unwrap() = Some(clock.busy());
            let _ = reached.send(());
        }
    }))
    .await;
    *clock.lock().unwrap() = Some(served.running.world().clock.clone());
    (served, held, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_and_input_are_the_same_execution_while_it_runs_and_taken_afterwards() {
    let (served, held, mut at) = held_at(EventType::WaitStateEntered, "WaitForCommand").await;
    let client = client!(served, aws_sdk_sfn);
    let start = |input: &str| client.start_execution().state_machine_arn(served.machine()).name("one").input(input);
    let first = start("{}").send().await.unwrap();
    at.recv().await.unwrap();
    let again = start("{}").send().await.unwrap();
    assert_eq!((again.execution_arn(), again.start_date()), (first.execution_arn(), first.start_date()));
    assert_eq!(code!(start("{\"mode\":\"plan\"}").send().await), "ExecutionAlreadyExists");
    held.lock().unwrap().take();
    let (_, status) = served.end().await;
    assert_eq!(status, "SUCCEEDED");
    assert_eq!(code!(start("{}").send().await), "ExecutionAlreadyExists");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_is_stopped_in_the_middle_is_finished_by_the_next() {
    let (served, held, mut at) = held_at(EventType::WaitStateEntered, "WaitForCommand").await;
    let client = client!(served, aws_sdk_sfn);
    let arn = served.start("stopped", "{}").await;
    at.recv().await.unwrap();
    let stop = || client.stop_execution().execution_arn(&arn).error("Operator").cause("not now");
    let stopped = stop().send().await.unwrap();
    held.lock().unwrap().take();
    assert_eq!(served.end().await, (arn.clone(), "ABORTED".to_owned()));
    let described = client.describe_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!(described.status(), &ExecutionStatus::Aborted);
    assert_eq!((described.error(), described.cause()), (Some("Operator"), Some("not now")));
    assert_eq!(described.stop_date(), Some(stopped.stop_date()));
    assert_eq!(stop().send().await.unwrap().stop_date(), stopped.stop_date(), "stopped twice, it stays as it was");
    let events = client.get_execution_history().execution_arn(&arn).reverse_order(true).max_results(1).send().await;
    let last = events.unwrap().events.remove(0);
    assert_eq!(last.r#type().as_str(), "ExecutionAborted");
    assert_eq!(last.execution_aborted_event_details().unwrap().cause(), Some("not now"));
    assert_eq!(served.current_key(), OLD_KEY, "nothing was promoted");
    served.rotate("next").await;
    let key = served.current_key();
    assert_ne!(key, OLD_KEY);
    assert_eq!([served.held_by(FIRST), served.held_by(SECOND)], [[key.clone()], [key]]);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_executions_run_at_once_and_are_listed_page_by_page_the_newest_first() {
    let (served, held, mut at) = held_at(EventType::WaitStateEntered, "WaitForCommand").await;
    let client = client!(served, aws_sdk_sfn);
    served.start("first", "{}").await;
    at.recv().await.unwrap();
    served.start("second", "{\"mode\":\"plan\"}").await;
    assert_eq!(served.end().await, (served.execution("second"), "SUCCEEDED".to_owned()), "the first holds nobody up");
    let list = |status: Option<ExecutionStatus>| {
        client.list_executions().state_machine_arn(served.machine()).set_status_filter(status).max_results(1)
    };
    let page = list(None).send().await.unwrap();
    assert_eq!(page.executions()[0].name(), "second");
    let rest = list(None).next_token(page.next_token().unwrap()).send().await.unwrap();
    assert_eq!((rest.executions()[0].name(), rest.next_token()), ("first", None));
    let running = list(Some(ExecutionStatus::Running)).send().await.unwrap();
    assert_eq!((running.executions()[0].name(), running.executions().len()), ("first", 1));
    assert_eq!(code!(list(None).next_token("of nobody").send().await), "InvalidToken");
    assert_eq!(code!(list(Some(ExecutionStatus::from("ENDED"))).send().await), "ValidationException");
    held.lock().unwrap().take();
    let (_, status) = served.end().await;
    assert_eq!(status, "SUCCEEDED");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_step_functions_refuses_is_refused_by_its_names() {
    let served = served().await;
    let client = client!(served, aws_sdk_sfn);
    let start = || client.start_execution().state_machine_arn(served.machine());
    assert_eq!(code!(start().input("{\"mode\"").send().await), "InvalidExecutionInput");
    assert_eq!(code!(start().input(format!("\"{}\"", "x".repeat(262_144))).send().await), "InvalidExecutionInput");
    assert_eq!(code!(start().name("with space").send().await), "InvalidName");
    let other = format!("{}-of-nobody", served.machine());
    assert_eq!(code!(client.start_execution().state_machine_arn(&other).send().await), "StateMachineDoesNotExist");
    assert_eq!(
        code!(client.describe_state_machine().state_machine_arn(&other).send().await),
        "StateMachineDoesNotExist"
    );
    assert_eq!(code!(client.list_executions().state_machine_arn("rotation").send().await), "InvalidArn");
    let missing = served.execution("missing");
    assert_eq!(code!(client.describe_execution().execution_arn(&missing).send().await), "ExecutionDoesNotExist");
    assert_eq!(code!(client.stop_execution().execution_arn(&missing).send().await), "ExecutionDoesNotExist");
    assert_eq!(code!(client.get_execution_history().execution_arn(served.machine()).send().await), "InvalidArn");
    let (status, answer) = served.json_call("states", "AWSStepFunctions.DescribeExecution", json!({})).await;
    assert_eq!((status, answer["__type"].as_str()), (400, Some("ValidationException")));
    let input = json!({ "stateMachineArn": served.machine(), "input": { "mode": "plan" } });
    let (status, answer) = served.json_call("states", "AWSStepFunctions.StartExecution", input).await;
    assert_eq!((status, answer["__type"].as_str()), (400, Some("SerializationException")), "the input is a string");
    assert_eq!(client.list_executions().state_machine_arn(served.machine()).send().await.unwrap().executions(), []);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_execution_says_what_failed() {
    let served = served().await;
    let client = client!(served, aws_sdk_sfn);
    let arn = served.start("bad-mode", "{\"mode\":\"rotat\"}").await;
    assert_eq!(served.end().await, (arn.clone(), "FAILED".to_owned()));
    let described = client.describe_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!((described.error(), described.output()), (Some("InvalidInput"), None));
    assert!(described.cause().unwrap().contains("rotat"), "{described:?}");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_machine_shows_the_definition_that_runs() {
    let served = served().await;
    let client = client!(served, aws_sdk_sfn);
    let listed = client.list_state_machines().send().await.unwrap();
    assert_eq!(listed.state_machines().len(), 1);
    assert_eq!(listed.state_machines()[0].name(), "credential-rotation-sql-backups");
    let described = client.describe_state_machine().state_machine_arn(served.machine()).send().await.unwrap();
    let definition: Value = serde_json::from_str(described.definition()).unwrap();
    assert_eq!(definition["States"]["Settings"]["Result"]["rotation"], "sql-backups");
    let function = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:promote-stage");
    assert_eq!(definition["States"]["PromoteStage"]["Resource"], function);
    assert_eq!(described.role_arn(), format!("arn:aws:iam::{ACCOUNT}:role/credential-rotation-sql-backups"));
    served.conclude().await;
}
