//! Who may ask: a person with any key pair, a user with a key that was given out, and nobody without a signature.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn any_key_pair_that_was_not_given_out_is_a_person_in_the_home_account() {
    let served = served().await;
    for id in ["person", "AKIAIOSFODNN7EXAMPLE"] {
        let iam = client!(served, aws_sdk_iam, id, "anything");
        let keys = iam.list_access_keys().user_name(USER).send().await.unwrap();
        assert_eq!(keys.access_key_metadata()[0].access_key_id(), Some(OLD_KEY));
    }
    let sts = client!(served, aws_sdk_sts);
    assert_eq!(sts.get_caller_identity().send().await.unwrap().account(), Some(ACCOUNT));
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_key_is_checked_at_sts_as_ever() {
    let served = served().await;
    let (id, secret) = served.running.world().cloud.create_access_key(USER).unwrap();
    let sts = client!(served, aws_sdk_sts, id.clone(), secret);
    let arn = sts.get_caller_identity().send().await.unwrap().arn;
    assert_eq!(arn, Some(format!("arn:aws:iam::{ACCOUNT}:user/{USER}")));
    let wrong = client!(served, aws_sdk_sts, id.clone(), "another secret");
    assert_eq!(code!(wrong.get_caller_identity().send().await), "SignatureDoesNotMatch");
    let unknown = client!(served, aws_sdk_sts, "AKIAUNKNOWNUNKNOWN00", "a secret");
    assert_eq!(code!(unknown.get_caller_identity().send().await), "InvalidClientTokenId");
    let iam = client!(served, aws_sdk_iam, id, "another secret");
    assert_eq!(code!(iam.list_access_keys().user_name(USER).send().await), "SignatureDoesNotMatch");
    served.running.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_signature_or_to_a_service_that_is_not_there() {
    let served = served().await;
    let (status, body) = served.http("POST", "/", &[], "Action=ListUsers").await;
    assert_eq!(status, 403);
    assert!(body.contains("<Code>MissingAuthenticationToken</Code>"), "{body}");
    let target = [("x-amz-target", "AWSStepFunctions.ListExecutions")];
    let (status, body) = served.http("POST", "/", &target, "{}").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["__type"].as_str()), (403, Some("MissingAuthenticationTokenException")));
    let (status, body) = served.query_call("lambda", "").await;
    assert_eq!(status, 400);
    assert!(body.contains("no service `lambda`") && body.contains("secretsmanager"), "{body}");
    let (status, body) = served.http("POST", "/", &[("authorization", "Basic cGVyc29u")], "").await;
    assert_eq!(status, 403);
    assert!(body.contains("<Code>IncompleteSignature</Code>"), "{body}");
    served.conclude().await;
}
