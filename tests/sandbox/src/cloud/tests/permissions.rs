//! Denials, in each service's own words, and the roles that they mean.

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::{Value, json};

use super::super::{InstanceSetUp, Outcome, Service, role_of_function};
use super::*;

const OTHER_ROLE: &str = "arn:aws:iam::444455556666:role/path/credential-rotation";

/// A call of each kind, and how its resource stands in the refusal.
fn calls() -> [(Service, &'static str, Value, String); 9] {
    let secret = json!({ "SecretId": "sqlcredential", "VersionStage": "AWSPENDING" });
    let tags = json!({ "Resources": ["i-0a"], "Tags": [{ "Key": "a", "Value": "b" }] });
    let execution = format!("arn:aws:states:{REGION}:{ACCOUNT}:execution:rotation:run-1");
    let here = |service: &str, resource: &str| format!(" on resource: arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}");
    let named = |name: &str| format!(" on resource: {name}");
    [
        (Service::Iam, "CreateAccessKey", json!({ "UserName": USER }), named(&format!("user {USER}"))),
        (Service::SecretsManager, "UpdateSecretVersionStage", secret.clone(), named("sqlcredential")),
        (Service::SecretsManager, "TagResource", secret, named("sqlcredential")),
        (Service::Ec2, "DescribeInstances", json!({}), String::new()),
        (Service::Ec2, "CreateTags", tags, here("ec2", "instance/i-0a")),
        (Service::Ssm, "SendCommand", json!({ "DocumentName": "apply" }), here("ssm", "document/apply")),
        (Service::Ssm, "ListCommandInvocations", json!({ "CommandId": "1" }), here("ssm", "*")),
        (Service::Sts, "AssumeRole", json!({ "RoleArn": OTHER_ROLE }), named(OTHER_ROLE)),
        (Service::States, "DescribeExecution", json!({ "executionArn": execution }), named(&execution)),
    ]
}

/// Each service's own code for it.
fn code_of(service: Service) -> &'static str {
    match service {
        Service::SecretsManager | Service::Ssm | Service::States | Service::Logs | Service::Events => {
            "AccessDeniedException"
        }
        Service::Iam | Service::Sts | Service::S3 => "AccessDenied",
        Service::Ec2 => "UnauthorizedOperation",
        Service::Sns => "AuthorizationError",
    }
}

#[test]
fn each_service_refuses_what_is_denied_in_its_own_code_and_awss_words() {
    for (service, operation, input, resource) in calls() {
        let cloud = cloud();
        let action = format!("{}:{operation}", service.name());
        cloud.deny("send-command", &action);
        let refused = cloud.call(&function("send-command"), REGION, service, operation, input.clone()).unwrap_err();
        let words = format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/credential-rotation-send-command/send-command is not authorized \
             to perform: {action}{resource} with an explicit deny in an identity-based policy"
        );
        assert_eq!(refused.code, code_of(service), "{action}");
        assert!(refused.message.ends_with(&words), "{action}: {}", refused.message);
        let another = cloud.call(&function("poll-command"), REGION, service, operation, input);
        assert!(another.err().is_none_or(|error| !error.message.contains("explicit deny")), "{action}");
    }
}

#[tokio::test]
async fn a_function_is_its_roles_session_and_so_is_whoever_assumes_another() {
    let cloud = cloud();
    cloud.add_role(OTHER_ROLE);
    let sts = client!(cloud, aws_sdk_sts, function("send-command"), REGION);
    let own = sts.get_caller_identity().send().await.unwrap();
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/credential-rotation-send-command/send-command");
    assert_eq!((own.account(), own.arn()), (Some(ACCOUNT), Some(arn.as_str())));
    assert!(own.user_id().unwrap().starts_with("AROA") && own.user_id().unwrap().ends_with(":send-command"));
    let assumed = sts.assume_role().role_arn(OTHER_ROLE).role_session_name("rotation").send().await.unwrap();
    let session = assumed.credentials().unwrap();
    let there = aws_sdk_sts::config::Credentials::new(
        session.access_key_id(),
        session.secret_access_key(),
        Some(session.session_token().to_owned()),
        None,
        "sandbox",
    );
    let there = client_with!(cloud, aws_sdk_sts, there, REGION).get_caller_identity().send().await.unwrap();
    let user = assumed.assumed_role_user().unwrap();
    assert_eq!(there.arn(), Some("arn:aws:sts::444455556666:assumed-role/credential-rotation/rotation"));
    assert_eq!((there.arn(), there.user_id()), (Some(user.arn()), Some(user.assumed_role_id())));
    assert_eq!(there.account(), Some(OTHER_ACCOUNT));
}

#[test]
fn a_role_may_be_meant_by_its_arn_its_name_or_its_function() {
    let role = role_of_function(ACCOUNT, "send-command");
    for who in ["send-command", "credential-rotation-send-command", role.as_str(), "*"] {
        let cloud = cloud();
        let list = |name: &str| cloud.call(&function(name), REGION, Service::Ssm, "ListCommands", json!({}));
        cloud.deny(who, "ssm:List*");
        assert_eq!(list("send-command").unwrap_err().code, "AccessDeniedException", "{who}");
        assert_eq!(list("poll-command").is_err(), who == "*", "{who}");
        let person = cloud.call(&Caller::Person, REGION, Service::Ssm, "ListCommands", json!({}));
        assert!(person.is_ok(), "nobody denies a person anything");
        cloud.allow(who, "ssm:List*");
        list("send-command").unwrap();
    }
}

/// What a function may still do in another account, after these denials.
fn describes_in_the_other_account(denials: &[(&str, &str)]) -> Result<(), String> {
    let cloud = cloud();
    cloud.add_role(OTHER_ROLE);
    cloud.add_instance(InstanceSetUp::running("i-0b", OTHER_ACCOUNT, REGION, &[]));
    denials.iter().for_each(|(who, action)| cloud.deny(who, action));
    let assume = json!({ "RoleArn": OTHER_ROLE, "RoleSessionName": "rotation" });
    let session = cloud.call(&function("poll-command"), REGION, Service::Sts, "AssumeRole", assume).unwrap();
    let caller = Caller::Function {
        name: "poll-command".to_owned(),
        role_arn: OTHER_ROLE.to_owned(),
        session_name: "rotation".to_owned(),
    };
    assert_eq!(
        session["AssumedRoleUser"]["Arn"],
        "arn:aws:sts::444455556666:assumed-role/credential-rotation/rotation"
    );
    let answer = cloud.call(&caller, REGION, Service::Ec2, "DescribeInstances", json!({}));
    answer.map(|_| ()).map_err(|error| error.message)
}

#[test]
fn a_denial_in_another_account_is_the_roles_or_goes_there_with_the_function() {
    assert_eq!(describes_in_the_other_account(&[]), Ok(()));
    assert_eq!(describes_in_the_other_account(&[("send-command", "ec2:*")]), Ok(()));
    let own_role = role_of_function(ACCOUNT, "poll-command");
    assert_eq!(describes_in_the_other_account(&[(&own_role, "ec2:*")]), Ok(()), "its own role is not the one there");
    for who in [OTHER_ROLE, "poll-command"] {
        let refused = describes_in_the_other_account(&[(who, "ec2:DescribeInstances")]).unwrap_err();
        let named = "User: arn:aws:sts::444455556666:assumed-role/credential-rotation/rotation is not authorized";
        assert!(refused.contains(named), "{who}: {refused}");
    }
}

#[test]
#[should_panic(expected = "the local AWS has no action `iam:CreateAcessKey`")]
fn a_misspelled_denial_is_not_taken() {
    cloud().deny("rotate-iam-key", "iam:CreateAcessKey");
}

#[tokio::test]
async fn a_backup_user_is_told_that_nothing_allows_it() {
    let cloud = cloud();
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let credentials = aws_sdk_iam::config::Credentials::new(id, secret, None, None, "sandbox");
    let refused = client_with!(cloud, aws_sdk_iam, credentials, REGION).list_access_keys().send().await.unwrap_err();
    let words = format!(
        "User: arn:aws:iam::{ACCOUNT}:user/{USER} is not authorized to perform: iam:ListAccessKeys on resource: * \
         because no identity-based policy allows the iam:ListAccessKeys action"
    );
    assert_eq!((refused.code(), refused.message()), (Some("AccessDenied"), Some(words.as_str())));
}

#[tokio::test]
async fn every_call_is_told_of_with_its_action_and_nothing_else_is() {
    let cloud = cloud();
    cloud.add_bucket(REGION, "backups");
    cloud.add_secret("sqlcredential", Some("one"));
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let before = cloud.events_so_far();
    cloud.add_secret("set-up", None);
    let ask = |service, operation: &str, input| {
        let _ = cloud.call(&function("retire-iam-key"), REGION, service, operation, input);
    };
    ask(Service::SecretsManager, "DescribeSecret", json!({ "SecretId": "sqlcredential" }));
    ask(Service::S3, "ListObjectsV2", json!({ "Bucket": "backups" }));
    ask(Service::Iam, "UpdateAccessKey", json!({ "UserName": USER, "AccessKeyId": id, "Status": "Inactive" }));
    ask(Service::Iam, "ListAccessKeys", json!({ "UserName": "nobody" }));
    cloud.get_caller_identity(REGION, &id, &secret).unwrap_err();
    let calls = cloud.calls_since(before);
    let told: Vec<_> = calls.iter().map(|call| (call.action.as_str(), call.changed, &call.outcome)).collect();
    let [describe, list, update, refused, unknown] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(*describe, ("secretsmanager:DescribeSecret", false, &Outcome::Done));
    assert_eq!(*list, ("s3:ListBucket", false, &Outcome::Done));
    assert_eq!(*update, ("iam:UpdateAccessKey", true, &Outcome::Done));
    assert!(matches!(refused, ("iam:ListAccessKeys", false, Outcome::Refused(error)) if error.code == "NoSuchEntity"));
    assert!(matches!(unknown, ("sts:GetCallerIdentity", false, Outcome::Refused(_))));
    assert_eq!(calls[0].caller, function("retire-iam-key"));
    assert_eq!(calls[4].caller, Caller::access_key(&id));
    assert!(calls.iter().all(|call| call.region == REGION && call.account == ACCOUNT));
    assert!(cloud.calls().len() > calls.len(), "the user was created by a call, too");
}
