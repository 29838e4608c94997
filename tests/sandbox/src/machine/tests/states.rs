//! What each type of state does with its input and output.

use super::*;
use crate::machine::ExecutionStatus;

async fn output(state: Value, input: Value, answers: Vec<Answer>) -> Value {
    let (execution, _) = run(&only(state), input, answers).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{:?} {:?}", execution.error, execution.cause);
    execution.output.unwrap()
}

#[tokio::test]
async fn a_pass_state_gives_its_result_or_what_its_parameters_make_of_its_input() {
    let pass = |fields: Value| {
        let mut state = json!({"Type": "Pass"});
        state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        state
    };
    let input = json!({"a": {"b": 1}});
    assert_eq!(output(pass(json!({})), input.clone(), vec![]).await, input);
    assert_eq!(output(pass(json!({"Result": {"x": "$.a"}})), input.clone(), vec![]).await, json!({"x": "$.a"}));
    let placed = pass(json!({"Result": 7, "ResultPath": "$.settings.n"}));
    assert_eq!(output(placed, input.clone(), vec![]).await, json!({"a": {"b": 1}, "settings": {"n": 7}}));
    let made =
        pass(json!({"InputPath": "$.a", "Parameters": {"c.$": "$.b"}, "ResultPath": "$.made", "OutputPath": "$.made"}));
    assert_eq!(output(made, input.clone(), vec![]).await, json!({"c": 1}));
    assert_eq!(output(pass(json!({"Result": 7, "ResultPath": null})), input.clone(), vec![]).await, input);
    assert_eq!(output(pass(json!({"InputPath": null})), input.clone(), vec![]).await, json!({}));
    assert_eq!(output(pass(json!({"OutputPath": null})), input, vec![]).await, json!({}));
}

#[tokio::test]
async fn a_task_sees_its_parameters_and_its_result_is_selected_and_placed_in_the_raw_input() {
    let state = task(&json!({
        "InputPath": "$.fleet",
        "Parameters": {"hosts.$": "$.hosts", "execution.$": "$$.Execution.Name"},
        "ResultSelector": {"count.$": "States.ArrayLength($.commands)"},
        "ResultPath": "$.sent",
    }));
    let answer = Ok(json!({"commands": ["c-1", "c-2"], "noise": true}));
    let (execution, script) = run(&only(state), json!({"fleet": {"hosts": 3}, "keep": 1}), vec![answer]).await;
    assert_eq!(script.payloads(), [json!({"hosts": 3, "execution": "monday"})]);
    assert_eq!(execution.output, Some(json!({"fleet": {"hosts": 3}, "keep": 1, "sent": {"count": 2}})));
}

#[tokio::test]
async fn a_message_is_published_with_its_parameters() {
    let notify = json!({"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "TimeoutSeconds": 9, "ResultPath": null,
        "Parameters": {"TopicArn": "arn:aws:sns:us-east-1:123456789012:told", "Message.$": "States.Format('{} hosts', $.hosts)"}});
    let (execution, script) = run(&only(notify), json!({"hosts": 2}), vec![Ok(json!({"MessageId": "m"}))]).await;
    assert_eq!(script.payloads()[0]["Message"], "2 hosts");
    assert_eq!(execution.output, Some(json!({"hosts": 2})), "the result was thrown away");
    let task = [EventType::TaskScheduled, EventType::TaskStarted, EventType::TaskSucceeded];
    assert!(kinds(&execution).windows(3).any(|events| events == task), "{:?}", kinds(&execution));
}

#[tokio::test]
async fn a_choice_takes_the_first_rule_that_holds_else_its_default() {
    let states = json!({"StartAt": "Which", "States": {
        "Which": {"Type": "Choice", "Default": "Other", "Choices": [
            {"Variable": "$.next", "StringEquals": "wait", "Next": "One"},
            {"Variable": "$.hosts", "NumericGreaterThan": 0, "Next": "Two"},
            {"Variable": "$.next", "IsPresent": true, "Next": "Other"}]},
        "One": {"Type": "Succeed"}, "Two": {"Type": "Succeed"}, "Other": {"Type": "Succeed"}}});
    for (input, expected) in [
        (json!({"next": "wait", "hosts": 5}), "One"),
        (json!({"next": "done", "hosts": 5}), "Two"),
        (json!({"next": "done", "hosts": 0}), "Other"),
    ] {
        let (execution, _) = run(&states, input.clone(), vec![]).await;
        assert_eq!(execution.states_entered(), ["Which", expected]);
        assert_eq!(execution.output, Some(input), "a choice changes nothing");
    }
}

#[tokio::test]
async fn a_choice_without_a_way_out_or_without_its_value_fails() {
    let states = json!({"StartAt": "Which", "States": {
        "Which": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "One"}]}, "One": {"Type": "Succeed"}}});
    let (execution, _) = run(&states, json!({"n": 2}), vec![]).await;
    assert_eq!(error(&execution), "States.NoChoiceMatched");
    let (execution, _) = run(&states, json!({}), vec![]).await;
    assert_eq!(error(&execution), "States.Runtime");
    assert!(execution.cause.unwrap().contains("Invalid path '$.n'"));
}

#[tokio::test]
async fn a_wait_lasts_as_long_as_it_says_in_simulated_time() {
    for (state, input) in [
        (json!({"Type": "Wait", "Seconds": 86_400}), json!({})),
        (json!({"Type": "Wait", "SecondsPath": "$.command.waitSeconds"}), json!({"command": {"waitSeconds": 86_400}})),
    ] {
        let (execution, _) = run(&only(state), input.clone(), vec![]).await;
        assert_eq!(execution.output, Some(input));
        assert_eq!(execution.stop_date.map(|end| end.duration_since(execution.start_date).as_secs()), Some(86_400));
    }
}

#[tokio::test]
async fn a_wait_for_something_that_is_no_number_fails() {
    let state = only(json!({"Type": "Wait", "SecondsPath": "$.seconds"}));
    for input in [json!({}), json!({"seconds": "5"}), json!({"seconds": -5}), json!({"seconds": 1.5})] {
        let (execution, _) = run(&state, input.clone(), vec![]).await;
        assert_eq!(error(&execution), "States.Runtime", "{input}");
    }
}

#[tokio::test]
async fn succeed_ends_well_and_fail_ends_with_its_error() {
    let succeed = json!({"StartAt": "It", "States": {"It": {"Type": "Succeed", "OutputPath": "$.a"}}});
    let (execution, _) = run(&succeed, json!({"a": 1}), vec![]).await;
    assert_eq!((execution.status, execution.output), (ExecutionStatus::Succeeded, Some(json!(1))));

    let fixed =
        json!({"StartAt": "It", "States": {"It": {"Type": "Fail", "Error": "RotationNeedsOperator", "Cause": "look"}}});
    let (execution, _) = run(&fixed, json!({}), vec![]).await;
    assert_eq!((execution.status, error(&execution)), (ExecutionStatus::Failed, "RotationNeedsOperator"));
    assert_eq!(execution.cause.as_deref(), Some("look"));

    let from_input = json!({"StartAt": "It", "States": {"It": {"Type": "Fail", "ErrorPath": "$.failure.Error",
        "CausePath": "States.Format('{} said so', $.failure.Cause)"}}});
    let (execution, _) = run(&from_input, json!({"failure": {"Error": "Mine", "Cause": "db-1"}}), vec![]).await;
    assert_eq!((error(&execution), execution.cause.as_deref()), ("Mine", Some("db-1 said so")));
    let (execution, _) = run(&from_input, json!({}), vec![]).await;
    assert_eq!(error(&execution), "States.Runtime");
}

#[tokio::test]
async fn the_context_object_says_who_where_and_since_when() {
    let state = json!({"Type": "Pass", "Parameters": {"all.$": "$$"}});
    let definition = json!({"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 5, "Next": "It"}, "It": only(state)["States"]["It"]}});
    let (machine, _) = machine(&definition, vec![]);
    let machine = machine.with_arn("arn:aws:states:eu-central-1:111122223333:stateMachine:backup-key");
    let execution = machine.start("monday", json!({"mode": "plan"})).await.unwrap();
    assert_eq!(
        execution.output.unwrap()["all"],
        json!({
            "Execution": {"Id": "arn:aws:states:eu-central-1:111122223333:execution:backup-key:monday", "Name": "monday",
                "Input": {"mode": "plan"}, "StartTime": "2026-11-24T12:00:00.000Z"},
            "State": {"Name": "It", "EnteredTime": "2026-11-24T12:00:05.000Z", "RetryCount": 0},
            "StateMachine": {"Id": "arn:aws:states:eu-central-1:111122223333:stateMachine:backup-key", "Name": "backup-key"},
        })
    );
}
