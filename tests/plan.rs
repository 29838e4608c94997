//! A plan tells beforehand what a rotation would do and all that forbids it, and changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by failing")]

use std::collections::BTreeSet;
use std::time::Duration;

use integration_tests::*;
use rotation::Settings;
use rotation::names::InstanceId;
use rotation::permissions::{Need, Principal, Resources};
use rotation::settings::Place;
use sandbox::cloud::{ApiCall, Caller, Cloud, Fault, FaultKind, Service};
use sandbox::machine::ExecutionStatus;
use sandbox::world::World;
use serde_json::{Value, json};

/// The calls of our functions and of the roles that they assume.
fn calls_of_functions(world: &World, since: u64) -> Vec<ApiCall> {
    let calls = world.cloud.calls_since(since).into_iter();
    calls.filter(|call| matches!(&call.caller, Caller::Function { name, .. } if name != "state-machine")).collect()
}

async fn planned(world: &mut World, input: Value) -> String {
    let execution = world.run(input).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{}", failure(&execution));
    execution.output.unwrap()["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_calls_nothing_that_changes_anything() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    let before = world.cloud.events_so_far();
    let report = planned(&mut world, json!({ "mode": "plan" })).await;
    assert!(report.contains("A new access key would be made"), "{report}");
    let calls = calls_of_functions(&world, before);
    assert!(calls.len() > 10, "the plan has looked: {calls:#?}");
    for call in calls {
        let operation = call.action.split(':').nth(1).unwrap();
        let reads = ["Describe", "List", "Get", "Simulate"].iter().any(|verb| operation.starts_with(verb));
        assert!(reads && !call.changed, "{call:?}");
    }
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_inspects_hosts_sends_the_document_that_reads_and_leaves_every_host_as_it_was() {
    let mut world = world(fleet((1..=3).map(host)), settings()).await;
    succeed(&mut world, "rotate").await;
    let tags = || world.cloud.instances().into_iter().map(|instance| instance.tags).collect::<Vec<_>>();
    let held = |number| format!("{:?}", world.fleet.host(&id(number)).unwrap().sql_servers());
    let (before, tags_before) = (world.cloud.events_so_far(), tags());
    let held_before: Vec<_> = (1..=3).map(held).collect();
    let report = planned_in(&world, json!({ "mode": "plan", "inspectHosts": true })).await;
    assert!(report.contains("3 of 3 running hosts answered the inspection"), "{report}");
    let current = version_of(&world, "AWSCURRENT").unwrap();
    assert!(report.contains(&format!("SQL Server 16.x on 3; they hold version {current} on 3.")), "{report}");
    let changing: BTreeSet<String> =
        calls_of_functions(&world, before).into_iter().filter(|call| call.changed).map(|call| call.action).collect();
    assert_eq!(changing, BTreeSet::from(["ssm:SendCommand".to_owned()]));
    let documents: Vec<_> = world.cloud.commands().into_iter().map(|command| command.document.0).collect();
    assert_eq!(documents.iter().filter(|name| *name == "inspect-s3-credential").count(), 1, "{documents:?}");
    assert_eq!(tags(), tags_before, "an inspection is no proof");
    assert_eq!((1..=3).map(held).collect::<Vec<_>>(), held_before);
    conclude(&world).await;
}

async fn planned_in(world: &World, input: Value) -> String {
    let execution = world.start("plan", input).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{}", failure(&execution));
    execution.output.unwrap()["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspection_names_what_would_stand_in_the_way_on_each_host() {
    let shadowed =
        json!({ "sqlServers": [{ "furtherCredentials": ["s3://sql-backups.s3.eu-west-1.amazonaws.com/nightly"] }] });
    let missing = json!({ "sqlServers": [{ "withoutCredential": true }] });
    let old = json!({ "sqlServers": [{ "majorVersion": 15 }] });
    let hosts = [host(1), with(host(2), shadowed), with(host(3), missing), with(host(4), old)];
    let mut world = world(fleet(hosts), settings()).await;
    let report = planned(&mut world, json!({ "mode": "plan", "inspectHosts": true })).await;
    for said in [
        format!("{} at localhost: CredentialInTheWay: the credential s3://", id(2)),
        format!("{} at localhost: CredentialMissing", id(3)),
        "4 of 4 running hosts answered the inspection, 1 of them with nothing to hold; findings: 2.".to_owned(),
        "a version that nobody proved".to_owned(),
    ] {
        assert!(report.contains(&said), "{said}\n\n{report}");
    }
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_forbids_a_rotation_is_told_at_once() {
    let targets = json!([{ "account": ACCOUNT, "regions": [HOME, "us-east-1"] }]);
    let two_places = with(settings(), json!({ "fleet": { "targets": targets } }));
    let strange = with(fleet([host(1)]), json!({ "secondKey": "unknown" }));
    let mut world = world(strange, two_places).await;
    world.cloud.deny("enumerate-instances", "ssm:DescribeDocument");
    let report = planned(&mut world, json!({ "mode": "plan" })).await;
    assert!(report.contains("What forbids it: a permission is missing: ssm DescribeDocument"), "{report}");
    assert!(
        report.contains(&format!("What forbids it: the user {USER} has access key(s) that no version")),
        "{report}"
    );
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_before_it_is_missed() {
    let mut world = world(fleet([host(1)]), settings()).await;
    let report = planned(&mut world, json!({ "mode": "plan" })).await;
    assert!(report.contains("none is missing"), "{report}");
    world.cloud.deny("promote-stage", "secretsmanager:UpdateSecretVersionStage");
    world.cloud.deny("poll-command", "ec2:CreateTags");
    let report = planned(&mut world, json!({ "mode": "plan" })).await;
    for (function, action) in
        [("promote-stage", "secretsmanager:UpdateSecretVersionStage"), ("poll-command", "ec2:CreateTags")]
    {
        let said = format!("role/credential-rotation-{function} may not {action} on arn:aws:");
        assert!(report.contains(&said), "{said}\n\n{report}");
    }
    world.cloud.allow("poll-command", "ec2:CreateTags");
    let said = fail(&mut world, json!({}), "AccessDenied").await;
    assert!(said.contains("UpdateSecretVersionStage"), "the plan was right: {said}");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_may_not_simulate_says_so_and_tells_the_rest() {
    let mut world = world(fleet([host(1)]), settings()).await;
    world.cloud.deny("plan-rotation", "iam:SimulatePrincipalPolicy");
    let report = planned(&mut world, json!({ "mode": "plan" })).await;
    assert!(
        report.contains("Permissions were not simulated:") && report.contains("A new access key would be made"),
        "{report}"
    );
    conclude(&world).await;
}

/// Every permission of the table, as function and action.
fn table(world: &World) -> BTreeSet<(String, String)> {
    let settings: &Settings = &world.settings;
    let hosts: Vec<(Place, InstanceId)> =
        settings.places().into_iter().map(|place| (place, InstanceId(id(1)))).collect();
    let resources =
        Resources { settings, secret: "arn:aws:secretsmanager:x", user: "u", executions: "e", hosts: &hosts };
    let pair = |need: Need| match need.principal {
        Principal::Function(function) => (function.to_owned(), need.action.to_owned()),
        Principal::Role(role) => panic!("no role of another account is part of this: {role}"),
    };
    resources.needs().into_iter().map(pair).collect()
}

/// The calls that the functions of a world have made, as function and action.
fn made(world: &World) -> BTreeSet<(String, String)> {
    let pair = |call: ApiCall| {
        let Caller::Function { name, .. } = call.caller else { panic!("{:?} is no function", call.caller) };
        (name, call.action)
    };
    // Nobody needs a permission to ask who he is.
    let calls = calls_of_functions(world, 0).into_iter().filter(|call| call.action != "sts:GetCallerIdentity");
    calls.map(pair).collect()
}

/// The quiet life of a key, and a person's second one, which every reader comes to see.
async fn a_quiet_life() -> World {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    planned(&mut world, json!({ "mode": "plan", "inspectHosts": true })).await;
    succeed(&mut world, "rotate").await;
    live_through_the_overlap(&mut world).await;
    let (key, secret) = world.cloud.create_access_key(USER).unwrap();
    world.cloud.put_secret_value(SECRET, &format!("{key}:{secret}"), &["MINE"]).unwrap();
    planned(&mut world, json!({ "mode": "plan" })).await;
    succeed(&mut world, "converge").await;
    // Another, while a host is commanded: only the last step comes to read it.
    world.cloud.delete_access_key(USER, &key).unwrap();
    after_a_second(&world, |cloud| {
        let (key, secret) = cloud.create_access_key(USER).unwrap();
        cloud.put_secret_value(SECRET, &format!("{key}:{secret}"), &["MINE"]).unwrap();
    });
    planned(&mut world, json!({ "mode": "converge", "instanceIds": [id(1)] })).await;
    world
}

fn after_a_second(world: &World, act: impl FnOnce(&Cloud) + Send + 'static) {
    let (clock, cloud) = (world.clock.clone(), world.cloud.clone());
    let timer = clock.clone();
    clock.spawn(async move {
        timer.sleep(Duration::from_secs(1)).await;
        act(&cloud);
    });
}

/// Whatever goes wrong with the key: its reply is lost, and the next one cannot be stored.
async fn a_key_in_trouble() -> World {
    let mut world = world(fleet([host(1), with(host(2), json!({ "unreachable": true }))]), settings()).await;
    let fault = |service, action: &str, kind| Fault { service, action: action.to_owned(), nth: 1, kind };
    let refused = FaultKind::RefuseBefore("AccessDeniedException".to_owned(), 400);
    world.cloud.inject(fault(Service::SecretsManager, "PutSecretValue", refused));
    world.run(json!({})).await;
    world.cloud.inject(fault(Service::Iam, "CreateAccessKey", FaultKind::LoseReplyAfterEffect));
    for days in [0, 1, 2] {
        world.pass_days(days).await;
        world.run(json!({})).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_permissions_is_what_the_functions_call_and_no_more() {
    let worlds = [a_quiet_life().await, a_key_in_trouble().await];
    let mut table = table(&worlds[0]);
    // About itself the simulation is not asked; and SSM ends a command by its own time-outs before a wave has to.
    table.insert(("plan-rotation".to_owned(), "iam:SimulatePrincipalPolicy".to_owned()));
    assert!(table.remove(&("poll-command".to_owned(), "ssm:CancelCommand".to_owned())));
    let made: BTreeSet<(String, String)> = worlds.iter().flat_map(made).collect();
    let unlisted: Vec<_> = made.difference(&table).collect();
    assert!(unlisted.is_empty(), "these calls are in no row of the table: {unlisted:#?}");
    let idle: Vec<_> = table.difference(&made).collect();
    assert!(idle.is_empty(), "nobody makes these calls: {idle:#?}");
    for world in worlds {
        conclude(&world).await;
    }
}
