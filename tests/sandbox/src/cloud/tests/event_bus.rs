//! EventBridge's default bus, and what Step Functions' integration makes of it.

use serde_json::{Value, json};

use super::super::Service;
use super::*;
use crate::integrations;

const PUT_EVENTS: &str = "arn:aws:states:::events:putEvents";

fn entry(detail: &Value) -> Value {
    json!({ "Source": "credential-rotation", "DetailType": "Promoted", "Detail": detail })
}

fn put(cloud: &Cloud, entries: &[Value]) -> Value {
    let input = json!({ "Entries": entries });
    cloud.call(&Caller::Person, REGION, Service::Events, "PutEvents", input).unwrap()
}

#[test]
fn an_entry_that_fails_fails_alone() {
    let cloud = cloud();
    let malformed = entry(&json!("no JSON"));
    let of_aws = json!({ "Source": "aws.ec2", "DetailType": "x", "Detail": "{}" });
    let answer = put(&cloud, &[malformed, of_aws, entry(&json!("{\"rotation\":\"r\"}"))]);
    assert_eq!(answer["FailedEntryCount"], 2);
    let codes = [0, 1, 2].map(|index| answer["Entries"][index]["ErrorCode"].as_str());
    assert_eq!(codes, [Some("MalformedDetail"), Some("NotAuthorizedForSourceException"), None]);
    assert_eq!(cloud.bus_events().len(), 1);
}

#[test]
fn a_call_takes_one_to_ten_entries() {
    let cloud = cloud();
    for (count, is_taken) in [(0, false), (1, true), (10, true), (11, false)] {
        let input = json!({ "Entries": vec![entry(&json!("{}")); count] });
        let answer = cloud.call(&Caller::Person, REGION, Service::Events, "PutEvents", input);
        assert_eq!(answer.is_ok(), is_taken, "{count}");
    }
}

#[test]
fn the_integration_writes_a_detail_as_text_and_fails_where_one_entry_does() {
    let cloud = cloud();
    let call = |detail: &Value| {
        integrations::call(&cloud, PUT_EVENTS, &json!({ "Entries": [entry(detail)] })).expect("it is an integration")
    };
    assert_eq!(call(&json!({ "rotation": "r" })).unwrap()["FailedEntryCount"], 0);
    assert_eq!(cloud.bus_events()[0].detail, json!({ "rotation": "r" }));
    assert_eq!(call(&json!([1])).unwrap_err().error, "EventBridge.FailedEntry");
    cloud.deny("state-machine", "events:PutEvents");
    assert_eq!(call(&json!({})).unwrap_err().error, "EventBridge.AccessDeniedException");
    assert!(integrations::call(&cloud, "arn:aws:lambda:eu-west-1:1:function:f", &json!({})).is_none());
}
