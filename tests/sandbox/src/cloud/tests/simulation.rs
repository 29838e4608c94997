//! SimulatePrincipalPolicy, as the SDK sees it.

use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType as Decision,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::super::{Service, role_of_function};
use super::*;

/// IAM as the function sees it that asks; the role that it asks about has a session, as a function has one.
fn iam(cloud: &Arc<Cloud>) -> (aws_sdk_iam::Client, String) {
    cloud.credentials_for(function("rotate-iam-key"));
    (client!(cloud, aws_sdk_iam, function("retire-iam-key"), REGION), role_of_function(ACCOUNT, "rotate-iam-key"))
}

/// The word for each action.
fn words(results: &[EvaluationResult]) -> Vec<(&str, &Decision)> {
    results.iter().map(|result| (result.eval_action_name(), result.eval_decision())).collect()
}

#[tokio::test]
async fn a_simulation_says_what_the_call_itself_would_be_told() {
    let cloud = cloud();
    let (iam, role) = iam(&cloud);
    cloud.deny("rotate-iam-key", "iam:CreateAccessKey");
    cloud.deny("retire-iam-key", "iam:DeleteAccessKey");
    let ask = iam.simulate_principal_policy().policy_source_arn(&role);
    let ask = ask.action_names("iam:CreateAccessKey").action_names("iam:DeleteAccessKey").send().await.unwrap();
    let told = words(ask.evaluation_results());
    assert_eq!(told, [("iam:CreateAccessKey", &Decision::ExplicitDeny), ("iam:DeleteAccessKey", &Decision::Allowed)]);
    assert!(!ask.is_truncated() && ask.marker().is_none());
    let [denied, allowed] = ask.evaluation_results() else { panic!("{ask:?}") };
    assert_eq!(denied.eval_resource_name(), Some("*"));
    assert!(denied.resource_specific_results().is_empty() && denied.missing_context_values().is_empty());
    let by = denied.matched_statements()[0].source_policy_id();
    assert_eq!(by, Some("role_credential-rotation-rotate-iam-key_denied"));
    assert_eq!(allowed.matched_statements().len(), 1);
    let call = |name: &str| {
        cloud.call(&function(name), REGION, Service::Iam, "CreateAccessKey", serde_json::json!({ "UserName": USER }))
    };
    assert_eq!(call("rotate-iam-key").unwrap_err().code, "AccessDenied");
    cloud.allow("rotate-iam-key", "iam:CreateAccessKey");
    let again = iam.simulate_principal_policy().policy_source_arn(&role).action_names("iam:createaccesskey").send();
    assert_eq!(words(again.await.unwrap().evaluation_results()), [("iam:createaccesskey", &Decision::Allowed)]);
    call("rotate-iam-key").unwrap();
    assert!(last_effects(&cloud).len() == 1 && cloud.access_keys(USER).len() == 1, "no simulation made a key");
}

#[tokio::test]
async fn each_resource_has_a_word_of_its_own_and_the_name_above_them_is_none_of_them() {
    let cloud = cloud();
    let (iam, role) = iam(&cloud);
    cloud.deny(&role, "ec2:Create*");
    let instances = ["i-0a", "i-0b"].map(|id| format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{id}"));
    let context = ContextEntry::builder()
        .context_key_name("aws:ResourceTag/SQL")
        .context_key_type(ContextKeyTypeEnum::String)
        .context_key_values("2022")
        .build();
    let ask = iam.simulate_principal_policy().policy_source_arn(&role).action_names("ec2:CreateTags");
    let ask = ask.set_resource_arns(Some(instances.to_vec())).context_entries(context).send().await.unwrap();
    let [result] = ask.evaluation_results() else { panic!("{ask:?}") };
    assert_eq!(result.eval_decision(), &Decision::ExplicitDeny);
    assert!(result.eval_resource_name().unwrap().starts_with("arn:aws:ec2:${Region}:"));
    let each = result.resource_specific_results();
    let each: Vec<_> = each.iter().map(|one| (one.eval_resource_name(), one.eval_resource_decision())).collect();
    let expected: Vec<_> = instances.iter().map(|arn| (arn.as_str(), &Decision::ExplicitDeny)).collect();
    assert_eq!(each, expected);
}

#[tokio::test]
async fn a_long_answer_comes_in_pages_and_every_action_in_one_of_them() {
    let cloud = cloud();
    let (iam, role) = iam(&cloud);
    let actions = ["iam:GetUser", "sts:AssumeRole", "iam:GetUser", "ssm:SendCommand", "sns:Publish"];
    let ask = iam.simulate_principal_policy().policy_source_arn(&role).max_items(2);
    let ask = ask.set_action_names(Some(actions.map(str::to_owned).to_vec()));
    let mut pages = ask.into_paginator().send();
    let mut told = Vec::new();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push((page.evaluation_results().len(), page.is_truncated()));
        told.extend(page.evaluation_results().iter().map(|result| result.eval_action_name().to_owned()));
    }
    assert_eq!(sizes, [(2, true), (2, true), (1, false)]);
    assert_eq!(told, actions);
}

#[tokio::test]
async fn a_backup_user_is_implicitly_denied_all_but_its_backups() {
    let cloud = cloud();
    let (iam, _) = iam(&cloud);
    let user = format!("arn:aws:iam::{ACCOUNT}:user/{USER}");
    let ask = || iam.simulate_principal_policy().policy_source_arn(&user).action_names("s3:PutObject");
    let told = ask().action_names("s3:ListBucket").send().await.unwrap();
    let [put, list] = told.evaluation_results() else { panic!("{told:?}") };
    assert_eq!((put.eval_decision(), list.eval_decision()), (&Decision::Allowed, &Decision::ImplicitDeny));
    assert!(list.matched_statements().is_empty(), "no statement decides an implicit deny");
    cloud.deny(USER, "s3:PutObject");
    let told = ask().send().await.unwrap();
    assert_eq!(words(told.evaluation_results()), [("s3:PutObject", &Decision::ExplicitDeny)]);
}

#[tokio::test]
async fn a_caller_that_may_not_simulate_is_denied() {
    let cloud = cloud();
    let (iam, role) = iam(&cloud);
    cloud.deny("retire-iam-key", "iam:SimulatePrincipalPolicy");
    let ask = || iam.simulate_principal_policy().action_names("iam:GetUser");
    let refused = ask().policy_source_arn(&role).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"));
    let words =
        format!("not authorized to perform: iam:SimulatePrincipalPolicy on resource: {role} with an explicit deny");
    assert!(refused.message().unwrap().contains(&words), "{refused:?}");
    cloud.allow("retire-iam-key", "iam:SimulatePrincipalPolicy");
    let other = role_of_function(OTHER_ACCOUNT, "rotate-iam-key");
    let refused = ask().policy_source_arn(other).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"), "nobody may ask about another account's roles");
}

#[tokio::test]
async fn whoever_is_not_there_and_whatever_is_no_action_is_refused() {
    let cloud = cloud();
    let (iam, role) = iam(&cloud);
    let ask = || iam.simulate_principal_policy();
    for (arn, code, words) in [
        (format!("arn:aws:iam::{ACCOUNT}:role/nobody"), "NoSuchEntity", "The role with name nobody cannot be found."),
        (format!("arn:aws:iam::{ACCOUNT}:user/nobody"), "NoSuchEntity", "The user with name nobody cannot be found."),
        (format!("arn:aws:iam::{ACCOUNT}:group/sql"), "NoSuchEntity", "The group with name sql cannot be found."),
        (
            format!("arn:aws:sts::{ACCOUNT}:assumed-role/credential-rotation-rotate-iam-key/rotate-iam-key"),
            "InvalidInput",
            "does not clearly define entity type and name.",
        ),
    ] {
        let refused = ask().policy_source_arn(&arn).action_names("iam:GetUser").send().await.unwrap_err();
        assert_eq!(refused.code(), Some(code), "{arn}");
        assert!(refused.message().unwrap().contains(words), "{refused:?}");
    }
    let ask = || ask().policy_source_arn(&role);
    for action in ["CreateAccessKey", "iam:", ":CreateAccessKey", "iam:Create*", "iam:User:Create"] {
        assert_eq!(code!(ask().action_names(action).send().await), "InvalidInput", "{action}");
    }
    assert_eq!(code!(ask().send().await), "ValidationError", "no action");
    assert_eq!(code!(ask().action_names("x").send().await), "ValidationError", "too short");
    let ask = || ask().action_names("iam:GetUser");
    assert_eq!(code!(ask().resource_arns("sql-backups-user").send().await), "InvalidInput", "no ARN");
    assert_eq!(code!(ask().max_items(1001).send().await), "ValidationError");
    assert_eq!(code!(ask().policy_input_list("{}").send().await), "InvalidInput", "not served, and says so");
}

#[tokio::test]
async fn actions_of_two_services_are_not_asked_about_together_once_resources_are_named() {
    let cloud = cloud();
    let (iam, role) = iam(&cloud);
    let user = format!("arn:aws:iam::{ACCOUNT}:user/{USER}");
    let ask = || iam.simulate_principal_policy().policy_source_arn(&role).action_names("iam:CreateAccessKey");
    ask().action_names("iam:DeleteAccessKey").resource_arns(&user).send().await.unwrap();
    ask().action_names("ssm:SendCommand").resource_arns("*").send().await.unwrap();
    let refused = ask().action_names("ssm:SendCommand").resource_arns(&user).send().await.unwrap_err();
    let words = "Invalid Input Actions: [iam:CreateAccessKey] and [ssm:SendCommand] require different authorization information.";
    assert_eq!((refused.code(), refused.message()), (Some("InvalidInput"), Some(words)));
}
