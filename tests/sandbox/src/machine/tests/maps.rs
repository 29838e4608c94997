//! Map: items side by side, and what one failure does to the rest.

use super::*;
use crate::machine::{ExecutionStatus, Machine};

/// A Map whose items run through `states`, with these fields besides.
fn map(fields: &Value, start_at: &str, states: Value) -> Value {
    let mut map = json!({"Type": "Map", "ItemsPath": "$.regions",
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": start_at, "States": states}});
    map.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    map
}

fn send_each(fields: &Value) -> Value {
    let mut send = task(&json!({}));
    send["End"] = json!(true);
    map(fields, "Send", json!({"Send": send}))
}

#[tokio::test]
async fn each_item_is_selected_with_its_index_and_the_results_keep_their_order() {
    let state = send_each(&json!({
        "ItemSelector": {"region.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index", "rotation.$": "$.rotation"},
        "ResultSelector": {"regions.$": "$[*].region"},
        "ResultPath": "$.sent",
    }));
    let input = json!({"rotation": "backup", "regions": ["eu", "us", "ap"]});
    let (execution, script) = run(&only(state), input, vec![]).await;
    assert_eq!(script.payloads()[1], json!({"region": "us", "index": 1, "rotation": "backup"}));
    assert_eq!(execution.output.unwrap()["sent"], json!({"regions": ["eu", "us", "ap"]}));
}

#[tokio::test]
async fn without_a_selector_an_item_is_the_input_itself_and_no_items_are_no_work() {
    let (execution, script) = run(&only(send_each(&json!({}))), json!({"regions": [{"a": 1}]}), vec![]).await;
    assert_eq!(script.payloads(), [json!({"a": 1})]);
    assert_eq!(execution.output, Some(json!([{"a": 1}])));
    let (execution, script) = run(&only(send_each(&json!({}))), json!({"regions": []}), vec![]).await;
    assert_eq!((execution.output, script.payloads().len()), (Some(json!([])), 0));
}

#[tokio::test]
async fn iterations_wait_side_by_side() {
    let rest = json!({"Rest": {"Type": "Wait", "SecondsPath": "$", "End": true}});
    let (execution, _) = run(&only(map(&json!({}), "Rest", rest)), json!({"regions": [30, 10, 20]}), vec![]).await;
    assert_eq!(execution.output, Some(json!([30, 10, 20])));
    assert_eq!(execution.stop_date.unwrap().duration_since(noon()).as_secs(), 30);
    let ended = execution.events.iter().filter(|event| event.kind == EventType::MapIterationSucceeded);
    assert_eq!(ended.map(|event| event.details.index.unwrap()).collect::<Vec<_>>(), [1, 2, 0]);
}

#[tokio::test]
async fn max_concurrency_lets_only_so_many_run_at_a_time() {
    let rest = json!({"Rest": {"Type": "Wait", "SecondsPath": "$", "End": true}});
    for (most, seconds) in [(1, 60), (2, 30), (3, 30)] {
        let state = map(&json!({"MaxConcurrency": most}), "Rest", rest.clone());
        let (execution, _) = run(&only(state), json!({"regions": [30, 10, 20]}), vec![]).await;
        assert_eq!(execution.stop_date.unwrap().duration_since(noon()).as_secs(), seconds, "{most} at a time");
    }
}

#[tokio::test]
async fn an_iteration_that_fails_fails_the_map_and_ends_the_others() {
    let states = json!({
        "Send": task(&json!({"Next": "Rest"})),
        "Rest": {"Type": "Wait", "Seconds": 5, "Next": "Poll"},
        "Poll": {"Type": "Task", "Resource": POLL, "TimeoutSeconds": 30, "End": true}});
    let definition = json!({"StartAt": "It", "States": {
        "It": map(&json!({"Next": "Done", "Catch": [{"ErrorEquals": ["A"], "ResultPath": "$.failure", "Next": "Caught"}]}), "Send", states),
        "Done": {"Type": "Succeed"}, "Caught": {"Type": "Succeed"}}});
    let (execution, script) =
        run(&definition, json!({"regions": ["eu", "us"]}), vec![Ok(json!("eu")), fails("A")]).await;
    let failure = json!({"Error": "A", "Cause": "cause of A"});
    assert_eq!(execution.output, Some(json!({"regions": ["eu", "us"], "failure": failure})));
    assert_eq!(script.payloads(), [json!("eu"), json!("us")], "nothing was polled after the failure");
    let kinds = kinds(&execution);
    for kind in [EventType::MapIterationFailed, EventType::MapIterationAborted, EventType::MapStateFailed] {
        assert_eq!(kinds.iter().filter(|other| **other == kind).count(), 1, "{kind}");
    }
}

#[tokio::test]
async fn an_error_caught_inside_an_iteration_stays_there() {
    let states = json!({
        "Send": task(&json!({"End": true, "Catch": [{"ErrorEquals": ["A"], "Next": "Named"}]})),
        "Named": {"Type": "Pass", "Result": "failed", "End": true}});
    let answers = vec![fails("A"), Ok(json!("sent"))];
    let (execution, _) = run(&only(map(&json!({}), "Send", states)), json!({"regions": [1, 2]}), answers).await;
    assert_eq!(execution.output, Some(json!(["failed", "sent"])));
}

#[tokio::test]
async fn a_map_is_tried_again_as_a_whole() {
    let state = send_each(&json!({"Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 4}]}));
    let answers = vec![Ok(json!(1)), fails("A")];
    let (execution, script) = run(&only(state), json!({"regions": ["eu", "us"]}), answers).await;
    assert_eq!(execution.output, Some(json!(["eu", "us"])));
    assert_eq!(script.seconds(), [0.0, 0.0, 4.0, 4.0]);
}

#[tokio::test]
async fn a_map_inside_a_map_sees_its_own_item() {
    let inner = json!({"Type": "Map", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Name",
        "States": {"Name": {"Type": "Pass", "Parameters": {"item.$": "$$.Map.Item.Value"}, "End": true}}}});
    let state = map(&json!({}), "Inner", json!({"Inner": inner}));
    let (execution, _) = run(&only(state), json!({"regions": [["a", "b"], ["c"]]}), vec![]).await;
    assert_eq!(execution.output, Some(json!([[{"item": "a"}, {"item": "b"}], [{"item": "c"}]])));
}

#[tokio::test]
async fn what_is_no_list_cannot_be_mapped() {
    for input in [json!({}), json!({"regions": {"a": 1}}), json!({"regions": "eu"})] {
        let (execution, _) = run(&only(send_each(&json!({}))), input.clone(), vec![]).await;
        assert_eq!((execution.status, error(&execution)), (ExecutionStatus::Failed, "States.Runtime"), "{input}");
    }
}

#[tokio::test]
async fn time_goes_on_rightly_after_a_map() {
    let rest = json!({"Rest": {"Type": "Wait", "SecondsPath": "$", "End": true}});
    let definition = json!({"StartAt": "It", "States": {
        "It": map(&json!({"ResultPath": "$.rested", "Next": "After"}), "Rest", rest),
        "After": {"Type": "Wait", "Seconds": 5, "End": true}}});
    let (machine, script) = machine(&definition, vec![]);
    let machine: Machine = machine;
    let execution = machine.start("monday", json!({"regions": [30, 10]})).await.unwrap();
    assert_eq!(execution.stop_date.unwrap().duration_since(noon()).as_secs(), 35);
    script.clock.sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(script.clock.now().duration_since(noon()).as_secs(), 40);
}
