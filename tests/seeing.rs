//! What machines are told of a run: our events on the bus, and the metrics that the alarms read. (What people are told
//! is in the tests of each situation.)

#![allow(clippy::unwrap_used, reason = "a test ends by failing")]

use integration_tests::*;
use sandbox::cloud::{BusEvent, Caller, Service};
use sandbox::world::World;
use serde_json::{Value, json};

/// The names of the events so far, each with its own part of the detail.
fn events(world: &World, part: &str) -> Vec<(String, Value)> {
    let part = |event: &BusEvent| event.detail.pointer(part).cloned().unwrap_or_default();
    world.cloud.bus_events().iter().map(|event| (event.detail_type.clone(), part(event))).collect()
}

fn names(world: &World) -> Vec<String> {
    events(world, "").into_iter().map(|(name, _)| name).collect()
}

/// The lines of metrics in the functions' logs, as CloudWatch finds them.
fn metrics(world: &World) -> Vec<Value> {
    let lines = world.lambda.logs().into_iter();
    let parsed = lines.filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    parsed.filter(|line| line.get("_aws").is_some()).collect()
}

fn of(metrics: &[Value], name: &str) -> Vec<f64> {
    metrics.iter().map(|line| line[name].as_f64().unwrap_or(f64::NAN)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_puts_an_event_on_the_bus_at_each_of_its_turns() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    succeed(&mut world, "rotate").await;
    let (new_key, execution) = (key_of(&world, "AWSCURRENT"), world.executions()[0].name.clone());
    assert_eq!(names(&world), ["Staged", "Promoted"]);
    live_through_the_overlap(&mut world).await;
    assert_eq!(names(&world), ["Staged", "Promoted", "Retired", "Retired"], "Inactive, then deleted");
    let key = |text: &Option<String>| json!(text);
    assert_eq!(events(&world, "/key")[..2], ["Staged", "Promoted"].map(|name| (name.to_owned(), key(&new_key))));
    let retired: Vec<Value> = events(&world, "/keys/0/what").into_iter().skip(2).map(|(_, what)| what).collect();
    assert_eq!(retired, ["deactivate", "delete"]);
    for event in world.cloud.bus_events() {
        assert_eq!((event.source.as_str(), &event.detail["rotation"]), ("credential-rotation", &json!("sql-backups")));
    }
    assert!(events(&world, "/execution")[0].1.as_str().unwrap().ends_with(&execution));
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_puts_the_host_and_the_failure_of_the_run_on_the_bus() {
    let stubborn = with(host(1), json!({ "sqlServers": [{ "refusedBackups": 100 }] }));
    let mut world = world(fleet([stubborn]), settings()).await;
    fail(&mut world, json!({}), "ProofsMissing").await;
    assert_eq!(names(&world), ["Staged", "HostFailed", "Failed"]);
    let [_, host_failed, failed] = &world.cloud.bus_events()[..] else { unreachable!("three events") };
    assert_eq!(host_failed.detail["place"]["failures"][0]["host"], json!(id(1)));
    assert_eq!(failed.detail["error"], "ProofsMissing");
    assert_eq!(failed.detail["needsOperator"], true);
    assert!(failed.detail["message"].as_str().unwrap().contains(&id(1)), "{}", failed.detail);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_events_nobody_takes_goes_on() {
    let mut world = world(fleet([host(1)]), settings()).await;
    world.cloud.deny("state-machine", "events:PutEvents");
    succeed(&mut world, "rotate").await;
    live_through_the_overlap(&mut world).await;
    assert_eq!(names(&world), Vec::<String>::new());
    assert_rotated(&world, &[1]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_looks_at_failing_hosts_is_no_news_to_the_bus() {
    let missing = with(host(2), json!({ "sqlServers": [{ "withoutCredential": true }] }));
    let mut world = world(fleet([host(1), missing]), settings()).await;
    let plan = world.run(json!({ "mode": "plan", "inspectHosts": true })).await;
    assert!(plan.output.unwrap()["message"].as_str().unwrap().contains("CredentialMissing"));
    assert_eq!(names(&world), Vec::<String>::new());
    assert_eq!(metrics(&world), Vec::<Value>::new(), "a plan is no success for the alarm on overdue keys");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_that_succeeds_tells_the_keys_age_and_who_lacks_a_proof() {
    let mut world = world(with(fleet([host(1), host(2)]), json!({ "keyAgeDays": 100 })), settings()).await;
    succeed(&mut world, "rotate").await;
    for days in [1, 1] {
        world.pass_days(days).await;
        succeed(&mut world, "converge").await;
    }
    let told = metrics(&world);
    let ages: Vec<f64> = of(&told, "CredentialAgeDays").into_iter().map(f64::round).collect();
    assert_eq!(ages, [0.0, 1.0, 2.0], "the old key's hundred days end with the promotion");
    assert_eq!(of(&told, "HostsWithoutProof"), [0.0; 3]);
    assert_eq!(of(&told, "HostFailures"), [0.0; 3]);
    assert_eq!(of(&told, "OldKeyUsed"), [0.0; 3]);
    assert!((1.0..3600.0).contains(&of(&told, "DurationSeconds")[0]), "a rotation takes a while: {told:?}");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_uses_the_old_key_when_every_host_has_moved_over_is_told_of() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    succeed(&mut world, "rotate").await;
    world.pass_days(1).await;
    succeed(&mut world, "converge").await;
    world.pass_days(1).await;
    let object = json!({ "Bucket": "sql-backups", "Key": "laptop/x.bak", "ContentLength": 1 });
    world.cloud.call(&Caller::access_key(OLD_KEY), HOME, Service::S3, "PutObject", object).unwrap();
    succeed(&mut world, "converge").await;
    assert_eq!(of(&metrics(&world), "OldKeyUsed"), [0.0, 0.0, 1.0]);
    conclude(&world).await;
}
