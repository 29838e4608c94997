//! What people get wrong: every mistake ends in a named error with the host or the ARN, the cause and the remedy; a
//! notice was sent; and nothing was changed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeMap;

use integration_tests::*;
use sandbox::cloud::{Effect, Fault, FaultKind, KeyStatus, Service};
use sandbox::fleet_file::FleetFile;
use sandbox::world::World;
use serde_json::{Value, json};

/// All that a failed run must leave as it was.
#[derive(Debug, PartialEq)]
struct Standing {
    keys: BTreeMap<String, KeyStatus>,
    versions: Option<usize>,
    current: Option<String>,
    pending: Option<String>,
    held: Vec<Vec<String>>,
}

impl Standing {
    fn of(world: &World) -> Standing {
        Standing {
            keys: keys(world),
            versions: world.cloud.secret(SECRET).map(|secret| secret.versions.len()),
            current: version_of(world, "AWSCURRENT"),
            pending: version_of(world, "AWSPENDING"),
            held: world.fleet.hosts().iter().map(|host| held_by(world, host.instance_id())).collect(),
        }
    }
}

/// Runs; expects the error, every word in what a person reads, a notice that says the same, and that nothing changed.
async fn refuse(world: &mut World, input: Value, error: &str, words: &[&str]) {
    let before = Standing::of(world);
    let said = fail(world, input, error).await;
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert_eq!(Standing::of(world), before, "nothing changes");
    assert!(world.cloud.commands().is_empty(), "no host is commanded");
    let lasting = effects_of_functions(world).into_iter().find(|(_, effect)| {
        matches!(
            effect,
            Effect::KeyCreated { .. }
                | Effect::KeyStatusChanged { .. }
                | Effect::KeyDeleted { .. }
                | Effect::VersionStored { .. }
        )
    });
    assert!(lasting.is_none(), "even what was undone must not have been done: {lasting:?}");
    let notices = world.cloud.notices();
    assert_eq!(notices.len(), 1, "people are told once");
    assert!(notices[0].message.contains(error), "{}", notices[0].message);
    assert!(notices[0].message.contains(words[0]), "{}", notices[0].message);
    conclude(world).await;
}

async fn rotation_of(changes: Value, settings_changes: Value) -> World {
    world(with(fleet([host(1), host(2)]), changes), with(settings(), settings_changes)).await
}

fn rotate() -> Value {
    json!({ "mode": "rotate" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_does_not_exist_is_named() {
    let mut world = rotation_of(json!({}), json!({})).await;
    // The world makes the user of its settings, so that IAM has to deny that there is one.
    let kind = FaultKind::RefuseBefore("NoSuchEntity".to_owned(), 404);
    world.cloud.inject(Fault { service: Service::Iam, action: "ListAccessKeys".to_owned(), nth: 1, kind });
    refuse(&mut world, rotate(), "UserNotFound", &[USER, "NoSuchEntity", "Correct user in the settings"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_does_not_exist_is_named() {
    let mut world = rotation_of(json!({ "value": "noSecret" }), json!({})).await;
    refuse(&mut world, rotate(), "SecretNotFound", &[SECRET, "ResourceNotFoundException", "correct secret.id"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_value_is_refused() {
    let mut world = rotation_of(json!({ "value": "empty" }), json!({})).await;
    let words = [SECRET, "AWSCURRENT", "it is empty", "Store the access key in use"];
    refuse(&mut world, rotate(), "SecretValueUnreadable", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_no_key_is_refused() {
    let mut world = rotation_of(json!({ "value": "notAKey" }), json!({})).await;
    let words = [SECRET, "neither `AKID:SECRET` nor JSON", "Store the access key in use"];
    refuse(&mut world, rotate(), "SecretValueUnreadable", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_unknown_or_contradict_themselves_are_refused_at_deployment() {
    let file: FleetFile = serde_json::from_value(fleet([host(1)])).unwrap();
    let refusal = async |changes: Value| {
        let made = World::new(&file, with(settings(), changes), std::sync::Arc::new(|_| {})).await;
        made.err().expect("such settings are not deployed").to_string()
    };
    let unknown = refusal(json!({ "retries": 3 })).await;
    assert!(unknown.contains("retries") && unknown.contains("deploy again"), "{unknown}");
    let contradictory = refusal(json!({ "schedule": { "rotateEveryDays": 10 } })).await;
    assert!(contradictory.contains("schedule.rotateEveryDays") && contradictory.contains("15 days"), "{contradictory}");
    let both = refusal(json!({ "foreignCredentials": ["s3://sql-backups.s3.eu-west-1.amazonaws.com"] })).await;
    assert!(both.contains("credentials[0]") && both.contains("foreign"), "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_got_past_the_deployment_are_refused_by_the_function_under_their_own_name() {
    let world = rotation_of(json!({}), json!({})).await;
    let mut settings = serde_json::to_value(&world.settings).unwrap();
    settings["schedule"]["rotateEveryDays"] = json!(10);
    let input = json!({ "settings": settings, "input": {}, "execution": "e", "now": "2026-11-24T06:00:00Z" });
    let contradictory = world.lambda.invoke("enumerate-instances", input.clone()).await.unwrap_err();
    assert_eq!(contradictory.error, "InvalidSettings");
    assert!(contradictory.cause.contains("schedule.rotateEveryDays"), "{contradictory}");
    let unknown = with(input, json!({ "settings": { "retries": 3 } }));
    let unknown = world.lambda.invoke("enumerate-instances", unknown).await.unwrap_err();
    assert_eq!(unknown.error, "InvalidSettings");
    assert!(unknown.cause.contains("retries"), "{unknown}");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_fleet_is_refused_with_where_was_looked_for_what() {
    let mut world = world(fleet([with(host(1), json!({ "tags": { "SQL": "2019" } }))]), settings()).await;
    let words = ["SQL=2022", "eu-west-1 of 111122223333", "Tag the hosts"];
    refuse(&mut world, rotate(), "EmptyFleet", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_only_stopped_hosts_is_refused() {
    let hosts = [1, 2].map(|number| with(host(number), json!({ "stopped": true })));
    let mut world = world(fleet(hosts), settings()).await;
    refuse(&mut world, rotate(), "NoRunningHost", &["none of the 2", "SQL=2022", "Start at least one"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_does_not_exist_is_named_with_its_region() {
    let mut world = rotation_of(json!({}), json!({ "document": { "name": "apply-something-else" } })).await;
    let words = ["apply-something-else", HOME, "InvalidDocument", "Deploy the document"];
    refuse(&mut world, rotate(), "DocumentNotFound", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_version_that_does_not_exist_is_named() {
    let mut world = rotation_of(json!({}), json!({ "document": { "version": "7" } })).await;
    let words = ["apply-s3-credential version 7", HOME, "InvalidDocumentVersion", "Deploy the document"];
    refuse(&mut world, rotate(), "DocumentNotFound", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_one_of_two_regions_lacks_changes_nothing_in_the_other() {
    let abroad = json!([{ "account": ACCOUNT, "regions": [HOME, "us-east-1"] }]);
    let mut world = rotation_of(json!({}), json!({ "fleet": { "targets": abroad } })).await;
    let kind = FaultKind::RefuseBefore("InvalidDocument".to_owned(), 400);
    world.cloud.inject(Fault { service: Service::Ssm, action: "DescribeDocument".to_owned(), nth: 2, kind });
    refuse(&mut world, rotate(), "DocumentNotFound", &["apply-s3-credential", "us-east-1"]).await;
}

/// The permission that is denied, to whom, and what it stops. Those after the key was made are in their own test.
const DENIED: [(&str, &str); 8] = [
    ("enumerate-instances", "secretsmanager:DescribeSecret"),
    ("enumerate-instances", "ec2:DescribeInstances"),
    ("enumerate-instances", "ssm:DescribeDocument"),
    ("rotate-iam-key", "iam:ListAccessKeys"),
    ("rotate-iam-key", "iam:GetAccessKeyLastUsed"),
    ("rotate-iam-key", "secretsmanager:GetSecretValue"),
    ("rotate-iam-key", "secretsmanager:TagResource"),
    ("rotate-iam-key", "iam:CreateAccessKey"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_with_service_and_operation() {
    for (function, action) in DENIED {
        let mut world = rotation_of(json!({}), json!({})).await;
        world.cloud.deny(function, action);
        let (service, operation) = action.split_once(':').unwrap();
        let words = [operation, service, "a permission is missing", "Grant it to the function's role"];
        refuse(&mut world, rotate(), "AccessDenied", &words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_be_stored_is_deleted_at_once_and_named() {
    let mut world = rotation_of(json!({}), json!({})).await;
    world.cloud.deny("rotate-iam-key", "secretsmanager:PutSecretValue");
    let said = fail(&mut world, rotate(), "KeyNotStored").await;
    assert!(said.contains("AccessDenied") && said.contains("deleted again"), "{said}");
    assert_eq!(keys(&world), BTreeMap::from([(OLD_KEY.to_owned(), KeyStatus::Active)]));
    world.cloud.allow("rotate-iam-key", "secretsmanager:PutSecretValue");
    succeed(&mut world, "rotate").await;
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

/// Permissions whose lack is found when a version is pending: it stays pending, and the next run goes on with it.
const DENIED_LATER: [(&str, &str, &str); 6] = [
    ("send-command", "ssm:SendCommand", "ProofsMissing"),
    ("send-command", "ssm:ListCommands", "ProofsMissing"),
    ("poll-command", "ssm:ListCommandInvocations", "ProofsMissing"),
    ("poll-command", "ec2:CreateTags", "ProofsMissing"),
    ("promote-stage", "secretsmanager:UpdateSecretVersionStage", "AccessDenied"),
    ("retire-iam-key", "iam:ListAccessKeys", "AccessDenied"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_later_is_named_and_the_next_run_goes_on() {
    for (function, action, error) in DENIED_LATER {
        let mut world = rotation_of(json!({}), json!({})).await;
        world.cloud.deny(function, action);
        let said = fail(&mut world, rotate(), error).await;
        let (_, operation) = action.split_once(':').unwrap();
        assert!(said.contains(operation) && said.contains("permission"), "{action}: {said}");
        assert!(active_keys(&world).contains(&OLD_KEY.to_owned()), "{action}");
        world.cloud.allow(function, action);
        succeed(&mut world, "converge").await;
        live_through_the_overlap(&mut world).await;
        assert_rotated(&world, &[1, 2]);
        conclude(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_another_account_that_may_not_be_assumed_is_named() {
    let role = "arn:aws:iam::444455556666:role/credential-rotation";
    let targets = json!([{ "account": ACCOUNT, "regions": [HOME] }, { "account": "444455556666", "role": role, "regions": [HOME] }]);
    let mut world = rotation_of(json!({}), json!({ "fleet": { "targets": targets } })).await;
    world.cloud.deny("enumerate-instances", "sts:AssumeRole");
    refuse(&mut world, rotate(), "PlaceNotAccessible", &[role, "444455556666", "Let it trust"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_fifty_tags_is_named_before_anything_is_staged() {
    let tags: BTreeMap<String, String> = (1..50)
        .map(|number| (format!("tag-{number}"), "x".to_owned()))
        .chain([("SQL".to_owned(), "2022".to_owned())])
        .collect();
    assert_eq!(tags.len(), 50);
    let mut world = world(fleet([host(1), with(host(2), json!({ "tags": tags }))]), settings()).await;
    refuse(&mut world, rotate(), "NoTagRoom", &[&id(2), "50 tags", "Remove a tag"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_mode_and_an_unknown_field_are_refused_by_name() {
    for (input, word) in [
        (json!({ "mode": "rotat" }), "rotat"),
        (json!({ "mode": "rotate", "froce": true }), "froce"),
        (json!({ "mode": 1 }), "mode"),
    ] {
        let mut world = rotation_of(json!({}), json!({})).await;
        refuse(&mut world, input, "InvalidInput", &[word, "Start again with"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_user_is_refused_with_its_owner() {
    let mut world = rotation_of(json!({}), json!({})).await;
    world.cloud.add_user("bob");
    let (key, secret) = world.cloud.create_access_key("bob").unwrap();
    world.cloud.put_secret_value(SECRET, &format!("{key}:{secret}"), &[]).unwrap();
    refuse(&mut world, rotate(), "KeyOfAnotherUser", &[&key, "bob", USER, "Correct user"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_key_that_nothing_explains_is_named_with_the_choices() {
    let mut world = rotation_of(json!({ "secondKey": "unknown" }), json!({})).await;
    let words = [SECOND_KEY, "never used", "deactivate it, and delete it later", "store it as the secret's value"];
    refuse(&mut world, rotate(), "UnknownAccessKey", &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_rotates_itself_is_refused() {
    let mut world = rotation_of(json!({}), json!({})).await;
    world.cloud.set_rotation_enabled(SECRET, true);
    refuse(&mut world, rotate(), "SecretRotatesItself", &[SECRET, "cancel-rotate-secret"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_version_of_somebody_else_is_refused_with_the_command_that_removes_it() {
    let mut world = rotation_of(json!({}), json!({})).await;
    let version = world.cloud.put_secret_value(SECRET, "AKIAIOSFODNN7EXAMPLE:x", &["AWSPENDING"]).unwrap();
    refuse(&mut world, rotate(), "PendingVersionNotOurs", &[&version, SECRET, "--remove-from-version-id"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_version_that_rotate_secret_leaves_is_refused_likewise() {
    let mut world = rotation_of(json!({}), json!({})).await;
    let version = "11111111-2222-4333-8444-555555555555";
    world.cloud.stage_empty_version(SECRET, version);
    refuse(&mut world, rotate(), "PendingVersionNotOurs", &[version, SECRET, "--remove-from-version-id"]).await;
}
