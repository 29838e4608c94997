//! Errors: what is retried, what is caught, what ends the execution.

use super::*;
use crate::machine::{ExecutionStatus, PAYLOAD_LIMIT};

/// A Task that is tried and caught as `fields` say; whatever is caught goes to `Caught`.
fn caught(fields: &Value) -> Value {
    let mut task = task(fields);
    task["Next"] = json!("Done");
    json!({"StartAt": "It", "States": {"It": task, "Done": {"Type": "Succeed"}, "Caught": {"Type": "Succeed"}}})
}

#[tokio::test]
async fn a_retry_waits_in_simulated_time_and_says_how_often_it_tried() {
    let state = task(&json!({
        "Parameters": {"retries.$": "$$.State.RetryCount"},
        "Retry": [{"ErrorEquals": ["NotVisibleYet"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 5, "MaxDelaySeconds": 10}],
    }));
    let answers = vec![fails("NotVisibleYet"), fails("NotVisibleYet"), fails("NotVisibleYet"), Ok(json!("there"))];
    let (execution, script) = run(&only(state), json!({}), answers).await;
    assert_eq!(execution.output, Some(json!("there")));
    assert_eq!(script.seconds(), [0.0, 2.0, 8.0, 18.0], "2, 2×3, then no more than 10");
    assert_eq!(script.payloads(), (0..4).map(|retries| json!({"retries": retries})).collect::<Vec<_>>());
    let entered = kinds(&execution).iter().filter(|kind| **kind == EventType::TaskStateEntered).count();
    assert_eq!(entered, 1, "a retry does not enter the state again");
}

#[tokio::test]
async fn retries_used_up_are_caught_and_the_counts_begin_anew_with_each_visit() {
    let definition = json!({"StartAt": "It", "States": {
        "It": task(&json!({"Retry": [{"ErrorEquals": ["A"], "MaxAttempts": 1}], "Next": "Done",
            "Catch": [{"ErrorEquals": ["A"], "ResultPath": "$.failure", "Next": "Again"}]})),
        "Again": {"Type": "Choice", "Default": "It", "Choices": [{"Variable": "$.stop", "IsPresent": true, "Next": "Done"}]},
        "Done": {"Type": "Succeed"}}});
    let answers = vec![fails("A"), fails("A"), fails("A"), Ok(json!("well"))];
    let (execution, script) = run(&definition, json!({}), answers).await;
    assert_eq!(execution.output, Some(json!("well")));
    assert_eq!(execution.states_entered(), ["It", "Again", "It", "Done"]);
    assert_eq!(script.seconds(), [0.0, 1.0, 1.0, 2.0]);
}

#[tokio::test]
async fn the_first_catch_that_means_the_error_takes_it_and_keeps_the_raw_input() {
    let definition = caught(&json!({
        "InputPath": "$.fleet",
        "ResultPath": "$.sent",
        "OutputPath": "$.sent",
        "Catch": [
            {"ErrorEquals": ["B"], "Next": "Done"},
            {"ErrorEquals": ["C", "A"], "ResultPath": "$.failure", "Next": "Caught"},
            {"ErrorEquals": ["States.ALL"], "Next": "Done"}],
    }));
    let (execution, _) = run(&definition, json!({"fleet": {}, "keep": 1}), vec![fails("A")]).await;
    assert_eq!(execution.states_entered(), ["It", "Caught"]);
    let failure = json!({"Error": "A", "Cause": "cause of A"});
    assert_eq!(execution.output, Some(json!({"fleet": {}, "keep": 1, "failure": failure})));
}

#[tokio::test]
async fn a_catch_without_a_result_path_leaves_only_the_error() {
    let definition = caught(&json!({"Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"}]}));
    let (execution, _) = run(&definition, json!({"keep": 1}), vec![fails("A")]).await;
    assert_eq!(execution.output, Some(json!({"Error": "A", "Cause": "cause of A"})));
}

#[tokio::test]
async fn an_error_that_nobody_means_ends_the_execution() {
    let definition =
        caught(&json!({"Retry": [{"ErrorEquals": ["B"]}], "Catch": [{"ErrorEquals": ["B"], "Next": "Caught"}]}));
    let (execution, script) = run(&definition, json!({}), vec![fails("A")]).await;
    assert_eq!((execution.status, error(&execution)), (ExecutionStatus::Failed, "A"));
    assert_eq!(execution.cause.as_deref(), Some("cause of A"));
    assert_eq!(script.payloads().len(), 1);
}

#[tokio::test]
async fn a_time_out_is_no_task_failed() {
    let by = |names: Value| caught(&json!({"Catch": [{"ErrorEquals": names, "Next": "Caught"}]}));
    let timed_out = || vec![fails("States.Timeout")];
    let (execution, _) = run(&by(json!(["States.TaskFailed"])), json!({}), timed_out()).await;
    assert_eq!(error(&execution), "States.Timeout");
    let (execution, _) = run(&by(json!(["States.Timeout"])), json!({}), timed_out()).await;
    assert_eq!(execution.states_entered(), ["It", "Caught"]);
    assert!(kinds(&execution).contains(&EventType::LambdaFunctionTimedOut));
}

#[tokio::test]
async fn a_missing_path_ends_the_execution_whatever_is_caught() {
    for fields in [
        json!({"Parameters": {"hosts.$": "$.gone"}}),
        json!({"InputPath": "$.gone"}),
        json!({"ResultSelector": {"id.$": "$.gone"}}),
        json!({"OutputPath": "$.gone"}),
        json!({"Parameters": {"text.$": "States.Format('{}', $.gone)"}}),
    ] {
        let mut fields = fields;
        fields["Retry"] = json!([{"ErrorEquals": ["States.ALL"]}]);
        fields["Catch"] = json!([{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]);
        let (execution, _) = run(&caught(&fields), json!({"fleet": 1}), vec![]).await;
        assert_eq!((execution.status, error(&execution)), (ExecutionStatus::Failed, "States.Runtime"), "{fields}");
        let cause = execution.cause.unwrap();
        assert!(cause.contains("the state 'It' (entered at the event id #2)") && cause.contains("'$.gone'"), "{cause}");
    }
}

#[tokio::test]
async fn an_intrinsic_that_fails_and_a_result_without_a_place_can_be_caught() {
    for (fields, name) in [
        (json!({"Parameters": {"n.$": "States.ArrayLength($.text)"}}), "States.IntrinsicFailure"),
        (json!({"ResultPath": "$.text.inside"}), "States.ResultPathMatchFailure"),
    ] {
        let mut fields = fields;
        fields["Catch"] = json!([{"ErrorEquals": [name], "Next": "Caught"}]);
        let (execution, _) = run(&caught(&fields), json!({"text": "x"}), vec![]).await;
        assert_eq!(execution.states_entered(), ["It", "Caught"], "{name}");
    }
}

#[tokio::test]
async fn more_than_256_kib_is_an_error_that_states_all_does_not_catch() {
    let big = || Ok(json!("x".repeat(PAYLOAD_LIMIT)));
    let by = |name: &str| caught(&json!({"Catch": [{"ErrorEquals": [name], "Next": "Caught"}]}));
    let (execution, _) = run(&by("States.ALL"), json!({}), vec![big()]).await;
    assert_eq!((execution.status, error(&execution)), (ExecutionStatus::Failed, "States.DataLimitExceeded"));
    let (execution, _) = run(&by("States.DataLimitExceeded"), json!({}), vec![big()]).await;
    assert_eq!(execution.states_entered(), ["It", "Caught"]);
    let fits = Ok(json!("x".repeat(PAYLOAD_LIMIT - 2)));
    let (execution, _) = run(&by("States.ALL"), json!({}), vec![fits]).await;
    assert_eq!(execution.states_entered(), ["It", "Done"], "exactly 256 KiB with its quotes");
}
