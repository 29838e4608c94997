//! Faults, and who asked.

use serde_json::json;

use super::super::{Fault, FaultKind, Outcome, Service};
use super::*;

fn create_access_key_fails(nth: u32, kind: FaultKind) -> Fault {
    Fault { service: Service::Iam, action: "CreateAccessKey".to_owned(), nth, kind }
}

fn iam(cloud: &Arc<Cloud>) -> aws_sdk_iam::Client {
    client!(cloud, aws_sdk_iam, function("rotate-iam-key"), REGION)
}

#[tokio::test]
async fn a_lost_reply_leaves_a_key_that_no_one_holds() {
    let cloud = cloud();
    cloud.inject(create_access_key_fails(1, FaultKind::LoseReplyAfterEffect));
    let lost = iam(&cloud).create_access_key().user_name(USER).send().await.unwrap_err();
    assert!(matches!(lost, aws_sdk_iam::error::SdkError::DispatchFailure(_)), "{lost:?}");
    assert_eq!(cloud.access_keys(USER).len(), 1);
    let event = cloud.journal().pop().unwrap();
    assert_eq!((event.outcome, event.effects.len()), (Outcome::ReplyLost, 1));
    iam(&cloud).create_access_key().user_name(USER).send().await.expect("each fault is used once");
}

#[tokio::test]
async fn a_refusal_comes_before_the_effect_and_at_the_call_that_was_named() {
    let cloud = cloud();
    cloud.inject(create_access_key_fails(2, FaultKind::RefuseBefore("ServiceFailure".to_owned(), 500)));
    iam(&cloud).create_access_key().user_name(USER).send().await.unwrap();
    assert_eq!(code!(iam(&cloud).create_access_key().user_name(USER).send().await), "ServiceFailure");
    assert_eq!(cloud.access_keys(USER).len(), 1);
    cloud.inject(create_access_key_fails(1, FaultKind::ThrottleBefore));
    assert_eq!(code!(iam(&cloud).create_access_key().user_name(USER).send().await), "Throttling");
}

#[tokio::test]
async fn a_lost_reply_of_a_direct_call_says_so() {
    let cloud = cloud();
    cloud.inject(create_access_key_fails(1, FaultKind::LoseReplyAfterEffect));
    let lost = cloud.call(&Caller::Person, REGION, Service::Iam, "CreateAccessKey", json!({ "UserName": USER }));
    assert_eq!(lost.unwrap_err().status, 0);
}

#[tokio::test]
async fn the_journal_names_caller_region_and_account() {
    let cloud = cloud();
    iam(&cloud).create_access_key().user_name(USER).send().await.unwrap();
    let event = cloud.journal().pop().unwrap();
    assert_eq!(event.caller, function("rotate-iam-key"));
    assert_eq!((event.region.as_str(), event.account.as_str()), ("us-east-1", ACCOUNT), "IAM lives in us-east-1");
    let numbers: Vec<u64> = cloud.journal().iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn notices_reach_a_topic_that_exists_and_executions_tell_their_status() {
    let cloud = cloud();
    let topic = cloud.add_topic("rotation");
    let publish = |topic: &str| {
        cloud.call(
            &Caller::Person,
            REGION,
            Service::Sns,
            "Publish",
            json!({ "TopicArn": topic, "Subject": "Rotated", "Message": "all well" }),
        )
    };
    publish(&topic).unwrap();
    assert_eq!(publish("arn:aws:sns:eu-west-1:111122223333:other").unwrap_err().code, "NotFound");
    assert_eq!(cloud.notices().len(), 1);
    let sfn = client!(cloud, aws_sdk_sfn, function("rotate-iam-key"), REGION);
    let arn = format!("arn:aws:states:{REGION}:{ACCOUNT}:execution:rotation:run-1");
    assert_eq!(code!(sfn.describe_execution().execution_arn(&arn).send().await), "ExecutionDoesNotExist");
    cloud.set_execution_status(&arn, "RUNNING");
    let described = sfn.describe_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!((described.status().as_str(), described.name()), ("RUNNING", Some("run-1")));
    cloud.set_execution_status(&arn, "SUCCEEDED");
    assert!(sfn.describe_execution().execution_arn(&arn).send().await.unwrap().stop_date().is_some());
    after(&cloud, 91 * 86_400).await;
    assert_eq!(code!(sfn.describe_execution().execution_arn(&arn).send().await), "ExecutionDoesNotExist");
}
