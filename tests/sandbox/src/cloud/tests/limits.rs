//! Limits of AWS's own models (botocore), which moto checks less strictly: found by playing the same calls to both.

use serde_json::{Value, json};

use super::super::{InstanceSetUp, Service};
use super::*;

/// The code with which a person's call is refused; empty where it is not.
fn refusal(cloud: &Cloud, service: Service, action: &str, input: Value) -> String {
    let answer = cloud.call(&Caller::Person, REGION, service, action, input);
    answer.err().map(|error| error.code).unwrap_or_default()
}

#[tokio::test]
async fn a_notice_has_a_subject_of_less_than_100_characters_and_at_most_256_kib() {
    let cloud = cloud();
    let topic = cloud.add_topic("notices");
    let publish = |subject: usize, message: usize| {
        let input = json!({ "TopicArn": topic, "Subject": "s".repeat(subject), "Message": "m".repeat(message) });
        refusal(&cloud, Service::Sns, "Publish", input)
    };
    assert_eq!(
        [publish(99, 262_144), publish(100, 1), publish(1, 262_145)],
        ["", "InvalidParameter", "InvalidParameter"]
    );
    assert_eq!(publish(1, 0), "InvalidParameter");
}

#[tokio::test]
async fn concurrency_and_errors_are_numbers_or_percentages_as_the_model_writes_them() {
    let cloud = cloud();
    cloud.add_document(ACCOUNT, REGION, "say", json!({ "schemaVersion": "2.2", "mainSteps": [] }));
    cloud.add_instance(InstanceSetUp::running("i-0", ACCOUNT, REGION, &[]));
    let send = |name: &str, bound: &str| {
        let input = json!({ "DocumentName": "say", "InstanceIds": ["i-0"], name: bound });
        refusal(&cloud, Service::Ssm, "SendCommand", input)
    };
    for good in ["1", "50", "100%", "9%"] {
        assert_eq!([send("MaxConcurrency", good), send("MaxErrors", good)], ["", ""], "{good}");
    }
    for bad in ["", "007", "101%", "1.5", "+1", "-1", "x%"] {
        let refused = ["ValidationException"; 2];
        assert_eq!([send("MaxConcurrency", bad), send("MaxErrors", bad)], refused, "{bad}");
    }
    for none in ["0", "0%"] {
        assert_eq!([send("MaxConcurrency", none), send("MaxErrors", none)], ["ValidationException", ""], "{none}");
    }
}

#[tokio::test]
async fn a_document_comes_back_as_it_was_sent() {
    let cloud = cloud();
    let ssm = client!(cloud, aws_sdk_ssm, Caller::Person, REGION);
    let content = "{ \"schemaVersion\": \"2.2\",\n  \"mainSteps\": [] , \"description\":\"z before a\"}";
    ssm.create_document().name("say").content(content).send().await.unwrap();
    assert_eq!(ssm.get_document().name("say").send().await.unwrap().content(), Some(content));
}

#[tokio::test]
async fn tags_and_what_they_are_put_on_must_be_named() {
    let cloud = cloud();
    let id = "i-0123456789abcdef0";
    cloud.add_instance(InstanceSetUp::running(id, ACCOUNT, REGION, &[]));
    let tag = |resources: Value, tags: Value| {
        refusal(&cloud, Service::Ec2, "CreateTags", json!({ "Resources": resources, "Tags": tags }))
    };
    let value = |length: usize| json!([{ "Key": "k", "Value": "v".repeat(length) }]);
    assert_eq!([tag(json!([id]), value(256)), tag(json!([id]), value(257))], ["", "InvalidParameterValue"]);
    assert_eq!([tag(json!([]), value(1)), tag(json!([id]), json!([]))], ["MissingParameter", "MissingParameter"]);
    let describe = |id: &str| refusal(&cloud, Service::Ec2, "DescribeInstances", json!({ "InstanceIds": [id] }));
    assert_eq!([describe(id), describe("i-0123456789abcdef1")], ["", "InvalidInstanceID.NotFound"]);
    for malformed in ["nonsense", "i-", "i-0123", "i-0123456789ABCDEF0"] {
        assert_eq!(describe(malformed), "InvalidInstanceID.Malformed", "{malformed}");
    }
}

#[tokio::test]
async fn a_secrets_value_is_a_text_or_bytes_and_not_both() {
    let cloud = cloud();
    cloud.add_secret("secret", Some("one"));
    let put = |value: Value| {
        let mut input = json!({ "SecretId": "secret" });
        input.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        refusal(&cloud, Service::SecretsManager, "PutSecretValue", input)
    };
    assert_eq!(put(json!({ "SecretString": "two" })), "");
    assert_eq!(put(json!({ "SecretString": "two", "SecretBinary": "dHdv" })), "InvalidParameterException");
    assert_eq!(put(json!({})), "InvalidRequestException");
}

#[tokio::test]
async fn a_forward_token_of_the_highest_number_is_the_end_of_the_stream() {
    let cloud = cloud();
    cloud.put_log_event((ACCOUNT, REGION), "group", "stream", "a line");
    let token = format!("f/{}", usize::MAX);
    let input = json!({ "logGroupName": "group", "logStreamName": "stream", "nextToken": token });
    let answer = cloud.call(&Caller::Person, REGION, Service::Logs, "GetLogEvents", input).unwrap();
    assert_eq!((&answer["events"], &answer["nextForwardToken"]), (&json!([]), &json!("f/1")));
}

#[tokio::test]
async fn the_times_of_log_events_are_numbers() {
    let cloud = cloud();
    cloud.put_log_event((ACCOUNT, REGION), "group", "stream", "a line");
    for (action, name) in [("FilterLogEvents", "startTime"), ("GetLogEvents", "endTime")] {
        let input = json!({ "logGroupName": "group", "logStreamName": "stream", name: "yesterday" });
        assert_eq!(refusal(&cloud, Service::Logs, action, input), "SerializationException", "{action}");
        let input = json!({ "logGroupName": "group", "logStreamName": "stream", name: 0 });
        assert_eq!(refusal(&cloud, Service::Logs, action, input), "", "{action}");
    }
}

#[tokio::test]
async fn a_call_that_panics_leaves_an_aws_that_goes_on_answering_and_telling() {
    let cloud = cloud();
    let dies = |cloud: &Cloud| {
        let (_state, _notifying) = (cloud.state(), cloud.notifying.lock().unwrap());
        panic!("as a mistake of ours would")
    };
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dies(&cloud)));
    assert!(died.is_err() && cloud.state.is_poisoned() && cloud.notifying.is_poisoned());
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let teller = told.clone();
    cloud.subscribe(Arc::new(move |event| teller.lock().unwrap().push(event.action.clone())));
    assert_eq!(refusal(&cloud, Service::Iam, "ListUsers", json!({})), "");
    assert_eq!(*told.lock().unwrap(), ["ListUsers"]);
}

#[test]
fn what_is_served_is_known_without_a_call() {
    assert!(Cloud::serves(Service::Sts, "GetCallerIdentity") && Cloud::serves(Service::Ec2, "StopInstances"));
    assert!(!Cloud::serves(Service::Sts, "StopInstances") && !Cloud::serves(Service::Ec2, "RunInstances"));
}
