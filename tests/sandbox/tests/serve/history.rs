//! GetExecutionHistory: every event in the shape that the API reference gives it.

use std::collections::BTreeMap;

use super::*;

const TARGET: &str = "AWSStepFunctions.GetExecutionHistory";

/// The events of a rotation, as they come over the wire.
async fn events(served: &Served, arn: &str, options: Value) -> Vec<Value> {
    let mut input = json!({ "executionArn": arn });
    input.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let mut events = Vec::new();
    loop {
        let (status, answer) = served.json_call("states", TARGET, input.clone()).await;
        assert_eq!(status, 200, "{answer}");
        events.extend(answer["events"].as_array().unwrap().clone());
        match answer.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => return events,
        }
    }
}

/// The details member of each type of event (API reference, HistoryEvent), and the members that it must have.
fn shapes() -> BTreeMap<&'static str, (&'static str, &'static [&'static str])> {
    let entered: (&str, &[&str]) = ("stateEnteredEventDetails", &["name", "input", "inputDetails"]);
    let exited: (&str, &[&str]) = ("stateExitedEventDetails", &["name", "output", "outputDetails"]);
    BTreeMap::from([
        ("ExecutionStarted", ("executionStartedEventDetails", ["input", "inputDetails", "roleArn"].as_slice())),
        ("ExecutionSucceeded", ("executionSucceededEventDetails", &["output", "outputDetails"])),
        ("PassStateEntered", entered),
        ("PassStateExited", exited),
        ("TaskStateEntered", entered),
        ("TaskStateExited", exited),
        ("ChoiceStateEntered", entered),
        ("ChoiceStateExited", exited),
        ("WaitStateEntered", entered),
        ("WaitStateExited", exited),
        ("MapStateEntered", entered),
        ("MapStateExited", exited),
        ("SucceedStateEntered", entered),
        ("SucceedStateExited", exited),
        ("MapStateStarted", ("mapStateStartedEventDetails", &["length"])),
        ("MapStateSucceeded", ("", &[])),
        ("MapIterationStarted", ("mapIterationStartedEventDetails", &["name", "index"])),
        ("MapIterationSucceeded", ("mapIterationSucceededEventDetails", &["name", "index"])),
        ("LambdaFunctionScheduled", ("lambdaFunctionScheduledEventDetails", &["resource", "input", "inputDetails"])),
        ("LambdaFunctionStarted", ("", &[])),
        ("LambdaFunctionSucceeded", ("lambdaFunctionSucceededEventDetails", &["output", "outputDetails"])),
        ("TaskScheduled", ("taskScheduledEventDetails", &["resourceType", "resource", "region", "parameters"])),
        ("TaskStarted", ("taskStartedEventDetails", &["resourceType", "resource"])),
        ("TaskSucceeded", ("taskSucceededEventDetails", &["resourceType", "resource", "output", "outputDetails"])),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_a_rotation_has_the_details_of_its_type_and_no_others() {
    let served = served().await;
    served.rotate("first").await;
    let arn = served.execution("first");
    let mut seen = BTreeMap::new();
    for event in events(&served, &arn, json!({})).await {
        let members = event.as_object().unwrap();
        let kind = event["type"].as_str().unwrap().to_owned();
        let (details, required) =
            shapes().get(kind.as_str()).copied().unwrap_or_else(|| panic!("no shape for {event}"));
        let common = ["timestamp", "type", "id", "previousEventId"];
        assert!(common.iter().all(|member| members.contains_key(*member)), "{event}");
        let others: Vec<&String> = members.keys().filter(|member| !common.contains(&member.as_str())).collect();
        assert_eq!(others, if details.is_empty() { vec![] } else { vec![details] }, "{event}");
        let found: Vec<&str> = required.iter().copied().filter(|member| event[details].get(member).is_some()).collect();
        assert_eq!(found, required, "{event}");
        *seen.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), shapes().keys().collect::<Vec<_>>(), "a rotation shows every shape");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_follow_each_other_forwards_and_backwards_page_by_page() {
    let served = served().await;
    served.rotate("first").await;
    let arn = served.execution("first");
    let all = events(&served, &arn, json!({ "maxResults": 1000 })).await;
    let ids: Vec<u64> = all.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    assert!(all.iter().all(|event| event["previousEventId"].as_u64() < event["id"].as_u64()));
    assert_eq!(events(&served, &arn, json!({ "maxResults": 7 })).await, all);
    let mut backwards = events(&served, &arn, json!({ "maxResults": 7, "reverseOrder": true })).await;
    backwards.reverse();
    assert_eq!(backwards, all);
    let (status, refused) = served.json_call("states", TARGET, json!({ "executionArn": arn, "nextToken": "x" })).await;
    assert_eq!((status, refused["__type"].as_str()), (400, Some("InvalidToken")));
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_no_data_gets_none() {
    let served = served().await;
    served.rotate("first").await;
    let arn = served.execution("first");
    let bare = events(&served, &arn, json!({ "includeExecutionData": false })).await;
    let text = Value::from(bare).to_string();
    assert!(!text.contains("\"input\"") && !text.contains("\"output\"") && !text.contains("credentials"), "{text}");
    assert!(text.contains("\"EnumerateInstances\""), "names are no data");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_a_failure_out_of_the_history() {
    let served = served().await;
    let arn = served.start("bad-mode", "{\"mode\":\"rotat\"}").await;
    assert_eq!(served.end().await.1, "FAILED");
    let client = client!(served, aws_sdk_sfn);
    let history = client.get_execution_history().execution_arn(&arn).send().await.unwrap();
    let failed = history.events().iter().find_map(|event| event.lambda_function_failed_event_details());
    assert_eq!(failed.unwrap().error(), Some("InvalidInput"));
    let last = history.events().last().unwrap();
    assert_eq!(last.execution_failed_event_details().unwrap().error(), Some("InvalidInput"));
    served.conclude().await;
}
