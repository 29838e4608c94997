//! An execution as a whole: its history, its limits, its name, its end from outside.

use super::*;
use crate::machine::{ExecutionStatus, HistoryEvent, StartError};

#[tokio::test]
async fn the_history_has_the_events_that_aws_writes() {
    use EventType as Type;
    let definition = json!({"StartAt": "Settings", "States": {
        "Settings": {"Type": "Pass", "Result": 1, "Next": "It"}, "It": task(&json!({"Next": "Done"})), "Done": {"Type": "Succeed"}}});
    let seen: Arc<Mutex<Vec<HistoryEvent>>> = Arc::default();
    let (machine, _) = machine(&definition, vec![]);
    let told = Arc::clone(&seen);
    let machine = machine.observed(Arc::new(move |event| told.lock().unwrap().push(event.clone())));
    let execution = machine.start("monday", json!({})).await.unwrap();
    assert_eq!(
        kinds(&execution),
        [
            Type::ExecutionStarted,
            Type::PassStateEntered,
            Type::PassStateExited,
            Type::TaskStateEntered,
            Type::LambdaFunctionScheduled,
            Type::LambdaFunctionStarted,
            Type::LambdaFunctionSucceeded,
            Type::TaskStateExited,
            Type::SucceedStateEntered,
            Type::SucceedStateExited,
            Type::ExecutionSucceeded,
        ]
    );
    assert_eq!(*seen.lock().unwrap(), execution.events, "an observer sees every event, once, in order");
    let ids: Vec<(u64, u64)> = execution.events.iter().map(|event| (event.id, event.previous_event_id)).collect();
    assert_eq!(ids, (1..=11).map(|id| (id, id - 1)).collect::<Vec<_>>());
    assert_eq!(machine.execution("monday"), Some(execution));
}

#[tokio::test]
async fn an_event_is_written_as_get_execution_history_writes_it() {
    let (execution, _) = run(&only(task(&json!({}))), json!({"a": 1}), vec![fails("A")]).await;
    let failed = execution.events.iter().find(|event| event.kind == EventType::LambdaFunctionFailed).unwrap();
    assert_eq!(
        serde_json::to_value(failed).unwrap(),
        json!({
            "execution": "monday", "id": 5, "previousEventId": 4, "timestamp": "2026-11-24T12:00:00Z",
            "type": "LambdaFunctionFailed", "resource": SEND, "error": "A", "cause": "cause of A",
        })
    );
}

#[tokio::test]
async fn a_machine_that_takes_too_long_times_out_and_nothing_catches_it() {
    let definition = json!({"StartAt": "It", "TimeoutSeconds": 100, "States": {
        "It": task(&json!({"Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 40, "BackoffRate": 1, "MaxAttempts": 99}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "It"}], "End": true}))}});
    let (execution, script) = run(&definition, json!({}), (0..9).map(|_| fails("A")).collect()).await;
    assert_eq!(execution.status, ExecutionStatus::TimedOut);
    assert_eq!(
        execution.stop_date.unwrap().duration_since(noon()).as_secs(),
        100,
        "it ends at its limit, not at the next wake"
    );
    assert_eq!(script.seconds(), [0.0, 40.0, 80.0]);
    assert_eq!(kinds(&execution).last(), Some(&EventType::ExecutionTimedOut));
}

#[tokio::test]
async fn a_map_times_out_with_its_machine() {
    let rest = json!({"Rest": {"Type": "Wait", "SecondsPath": "$", "End": true}});
    let definition = json!({"StartAt": "It", "TimeoutSeconds": 20, "States": {"It": {"Type": "Map", "End": true,
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Rest", "States": rest},
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "It"}]}}});
    let (execution, _) = run(&definition, json!([10, 90, 80]), vec![]).await;
    assert_eq!(execution.status, ExecutionStatus::TimedOut);
    assert_eq!(execution.stop_date.unwrap().duration_since(noon()).as_secs(), 20);
}

#[tokio::test]
async fn the_25000th_event_is_the_last() {
    let definition = json!({"StartAt": "Round", "States": {
        "Round": {"Type": "Pass", "Next": "Again"},
        "Again": {"Type": "Choice", "Default": "Round", "Choices": [{"Variable": "$.stop", "IsPresent": true, "Next": "Done"}]},
        "Done": {"Type": "Succeed"}}});
    let (execution, _) = run(&definition, json!({}), vec![]).await;
    assert_eq!((execution.status, error(&execution)), (ExecutionStatus::Failed, "States.Runtime"));
    assert_eq!(execution.events.len(), 25_000);
    assert!(execution.cause.unwrap().contains("25000"));
}

#[tokio::test]
async fn a_name_is_used_once_and_follows_the_rules() {
    let (machine, _) = machine(&only(json!({"Type": "Pass"})), vec![]);
    assert!(machine.start("monday", json!({})).await.is_ok());
    let again = machine.start("monday", json!({})).await;
    assert_eq!(again, Err(StartError::ExecutionAlreadyExists("monday".to_owned())));
    let long = "x".repeat(81);
    for name in ["", "2026-11-24T12:00:00Z", "a b", "a/b", "a$", long.as_str()] {
        assert_eq!(machine.start(name, json!({})).await, Err(StartError::InvalidName(name.to_owned())));
    }
    let big = json!("x".repeat(crate::machine::PAYLOAD_LIMIT));
    assert!(matches!(machine.start("big", big).await, Err(StartError::InvalidExecutionInput(262_146))));
}

#[tokio::test]
async fn an_execution_that_is_stopped_is_aborted_at_once_and_does_no_more() {
    let definition = json!({"StartAt": "Rest", "States": {
        "Rest": {"Type": "Wait", "Seconds": 60, "Next": "It"}, "It": task(&json!({"End": true}))}});
    let (machine, script) = machine(&definition, vec![]);
    let stopper = async {
        script.clock.sleep(std::time::Duration::from_secs(10)).await;
        assert!(machine.stop("monday", "Operator", "enough"));
        machine.execution("monday").unwrap()
    };
    type Ended = Result<Execution, StartError>;
    let run: Pin<Box<dyn Future<Output = Ended> + '_>> = Box::pin(machine.start("monday", json!({})));
    let stop: Pin<Box<dyn Future<Output = Ended> + '_>> = Box::pin(async { Ok(stopper.await) });
    let records: Vec<Execution> =
        script.clock.join_all(vec![run, stop]).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(records[0], records[1], "nothing was added after the stop");
    assert_eq!((records[0].status, error(&records[0])), (ExecutionStatus::Aborted, "Operator"));
    assert_eq!(records[0].stop_date.unwrap().duration_since(noon()).as_secs(), 10);
    assert!(script.payloads().is_empty());
    assert!(!machine.stop("monday", "", "") && !machine.stop("nobody", "", ""));
}
