//! The sandbox's Lambda, proved with a real process that runs the real `lambda_runtime`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbox::clock::Clock;
use sandbox::machine::{Definition, ExecutionStatus, Machine, TaskFailure};
use sandbox::runtime_api::{FunctionConfig, Lambda, LogStream};
use serde_json::{Value, json};

/// `cargo test` builds the examples before it runs the tests; this is where it puts them.
fn echo_function() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join("examples/echo_function");
    assert!(binary.exists(), "{} is missing: run `cargo build -p sandbox --examples`", binary.display());
    binary
}

fn lambda_with(environment: &[(&str, &str)], timeout: Duration) -> Lambda {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let lambda = Lambda::new("111122223333", "eu-central-1");
    lambda.add_function("echo", FunctionConfig { binary: echo_function(), environment, timeout });
    lambda
}

fn lambda() -> Lambda {
    lambda_with(&[("GREETING", "hello")], Duration::from_secs(60))
}

fn message(failure: &TaskFailure) -> String {
    let cause: Value = serde_json::from_str(&failure.cause).unwrap();
    assert_eq!(cause["errorType"], failure.error, "the cause is Lambda's own JSON");
    cause["errorMessage"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_function_is_started_once_and_stays_warm() {
    let lambda = lambda();
    let first = lambda.invoke("echo", json!({"say": "one"})).await.unwrap();
    let second = lambda.invoke("echo", json!({"say": "two"})).await.unwrap();
    assert_eq!((&first["echo"], &second["echo"]), (&json!("one"), &json!("two")));
    assert_eq!(first["process"], second["process"]);
    assert_ne!(first["requestId"], second["requestId"]);
    assert_eq!(first["functionArn"], "arn:aws:lambda:eu-central-1:111122223333:function:echo");
    assert!(first["deadline"].as_u64().unwrap() > 1_700_000_000_000, "the deadline is real time in milliseconds");
    assert_eq!(lambda.invocations("echo"), 2);
}

#[tokio::test]
async fn a_function_sees_its_own_environment_and_nothing_of_ours() {
    let reply = lambda().invoke("echo", json!({})).await.unwrap();
    let names: Vec<&str> = reply["environment"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"GREETING") && names.contains(&"AWS_REGION"), "{names:?}");
    for ours in ["PATH", "HOME", "CARGO_MANIFEST_DIR"] {
        assert!(!names.contains(&ours), "{names:?}");
    }
}

#[tokio::test]
async fn invocations_queue_for_the_one_process() {
    let lambda = lambda();
    let say = |text: &str| lambda.invoke("echo", json!({"say": text}));
    let (first, second, third) = tokio::join!(say("1"), say("2"), say("3"));
    let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
    assert_eq!([&first["echo"], &second["echo"], &third["echo"]], [&json!("1"), &json!("2"), &json!("3")]);
    assert!(first["process"] == second["process"] && second["process"] == third["process"]);
}

#[tokio::test]
async fn a_handlers_error_keeps_its_name_and_the_process() {
    let lambda = lambda();
    let before = lambda.invoke("echo", json!({})).await.unwrap();
    let failure = lambda.invoke("echo", json!({"refuse": "no such user"})).await.unwrap_err();
    assert_eq!(failure.error, "Refused");
    assert_eq!(message(&failure), "no such user");
    assert_eq!(lambda.invoke("echo", json!({})).await.unwrap()["process"], before["process"]);
}

#[tokio::test]
async fn a_process_that_exits_is_told_in_lambdas_words_and_replaced() {
    let lambda = lambda();
    let before = lambda.invoke("echo", json!({})).await.unwrap();
    for (event, words) in [
        (json!({"exit": 7}), "Error: Runtime exited with error: exit status 7"),
        (json!({"exit": 0}), "Error: Runtime exited without providing a reason"),
        (json!({"abort": true}), "Error: Runtime exited with error: signal: aborted"),
    ] {
        let failure = lambda.invoke("echo", event).await.unwrap_err();
        assert_eq!(failure.error, "Runtime.ExitError");
        assert!(message(&failure).starts_with("RequestId: ") && message(&failure).ends_with(words), "{failure}");
    }
    assert_ne!(lambda.invoke("echo", json!({})).await.unwrap()["process"], before["process"]);
}

#[tokio::test]
async fn a_function_that_hangs_is_ended_at_its_time_out() {
    let lambda = lambda_with(&[], Duration::from_millis(300));
    let failure = lambda.invoke("echo", json!({"hang": true})).await.unwrap_err();
    assert_eq!(failure.error, "Sandbox.Timedout");
    assert!(message(&failure).ends_with("Task timed out after 0.30 seconds"), "{failure}");
}

#[tokio::test]
async fn a_function_that_cannot_start_says_so() {
    let lambda = lambda_with(&[("EXIT_AT_START", "yes")], Duration::from_secs(60));
    let failure = lambda.invoke("echo", json!({})).await.unwrap_err();
    assert_eq!(failure.error, "Runtime.ExitError");
    assert!(message(&failure).ends_with("exit status 3"), "{failure}");

    let config = FunctionConfig {
        binary: "no/such/bootstrap".into(),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(1),
    };
    lambda.add_function("gone", config);
    let failure = lambda.invoke("gone", json!({})).await.unwrap_err();
    assert_eq!(failure.error, "Runtime.InvalidEntrypoint");
    assert!(message(&failure).contains("no/such/bootstrap"), "{failure}");
    assert_eq!(lambda.invoke("nobody", json!({})).await.unwrap_err().error, "Lambda.ResourceNotFoundException");
}

#[tokio::test]
async fn a_reply_beyond_six_megabytes_is_refused() {
    let failure = lambda().invoke("echo", json!({"filler": 6_291_556})).await.unwrap_err();
    assert_eq!(failure.error, "Function.ResponseSizeTooLarge");
}

#[tokio::test]
async fn a_death_before_the_reply_leaves_the_work_done_and_nobody_told() {
    let lambda = lambda();
    assert!(lambda.die_before_reply("echo", 2));
    assert!(!lambda.die_before_reply("nobody", 1));
    let before = lambda.invoke("echo", json!({})).await.unwrap();
    let failure = lambda.invoke("echo", json!({"print": ["the work is done"]})).await.unwrap_err();
    assert_eq!(failure.error, "Runtime.ExitError");
    assert!(message(&failure).ends_with("signal: killed"), "{failure}");
    assert!(lambda.logs().iter().any(|line| line.text == "the work is done"));
    assert_ne!(lambda.invoke("echo", json!({})).await.unwrap()["process"], before["process"]);
}

#[tokio::test]
async fn every_line_that_a_function_wrote_is_in_the_log() {
    let lambda = lambda();
    lambda.invoke("echo", json!({"print": ["first", "second"]})).await.unwrap();
    lambda.shut_down().await;
    let lines: Vec<_> = lambda.logs().into_iter().filter(|line| line.stream == LogStream::Stdout).collect();
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let first = texts.iter().position(|text| *text == "first");
    assert!(first.is_some_and(|first| texts.get(first + 1) == Some(&"second")), "{texts:?}");
    assert!(lines.iter().all(|line| line.function == "echo"));
}

#[tokio::test]
async fn an_error_at_the_start_is_passed_on() {
    let lambda = lambda_with(&[("REPORT_AT_START", "yes")], Duration::from_secs(60));
    let failure = lambda.invoke("echo", json!({})).await.unwrap_err();
    assert_eq!(failure.error, "Configuration");
    assert_eq!(message(&failure), "no secret is named");
}

#[tokio::test]
async fn a_process_does_not_outlive_its_lambda() {
    let lambda = lambda();
    let process = lambda.invoke("echo", json!({})).await.unwrap()["process"].as_u64().unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{process}/stat")).ok().filter(|stat| !stat.contains(") Z "));
    assert!(state().is_some(), "it runs");
    drop(lambda);
    let gone = async {
        while state().is_some() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), gone).await.is_ok(), "it still runs");
}

#[tokio::test]
async fn a_state_machine_catches_a_real_functions_error_by_its_name() {
    let lambda = Arc::new(lambda());
    let definition = json!({"StartAt": "Ask", "States": {
        "Ask": {"Type": "Task", "Resource": lambda.arn("echo"), "TimeoutSeconds": 90, "End": true,
            "Catch": [{"ErrorEquals": ["Refused"], "ResultPath": "$.failure", "Next": "Say"}]},
        "Say": {"Type": "Pass", "Parameters": {"why.$": "States.StringToJson($.failure.Cause)"}, "End": true},
    }});
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    let machine = Machine::new(Definition::parse(&definition.to_string()).unwrap(), clock, lambda);
    let execution = machine.start("monday", json!({"refuse": "the fleet is empty"})).await.unwrap();
    assert_eq!(execution.status, ExecutionStatus::Succeeded);
    let why = json!({"errorType": "Refused", "errorMessage": "the fleet is empty"});
    assert_eq!(execution.output, Some(json!({"why": why})));
}
