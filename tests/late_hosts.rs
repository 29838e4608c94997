//! Hosts that were not there when the key was rotated: stopped, launched or restored since; and those that drift.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by failing")]

use integration_tests::*;
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::World;
use serde_json::{Value, json};

/// The input that an EventBridge pipe makes of "EC2 says that this instance runs".
fn started(host: u32) -> Value {
    json!({ "mode": "converge", "instanceIds": [id(host)] })
}

async fn ended_well(world: &mut World, input: Value) -> Execution {
    let execution = world.run(input.clone()).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{input} failed: {}", failure(&execution));
    execution
}

fn functions_called(execution: &Execution) -> Vec<String> {
    let calls = execution.events.iter().filter(|event| event.kind.to_string() == "LambdaFunctionScheduled");
    calls.filter_map(|event| Some(event.details.resource.as_ref()?.rsplit(':').next()?.to_owned())).collect()
}

/// A rotated fleet whose old key is gone, so that whoever still holds it cannot back up.
async fn long_rotated(hosts: impl IntoIterator<Item = Value>) -> World {
    let mut world = world(fleet(hosts), settings()).await;
    succeed(&mut world, "rotate").await;
    live_through_the_overlap(&mut world).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_stopped_through_a_whole_rotation_is_brought_in_when_it_starts() {
    let mut world = long_rotated([host(1), with(host(2), json!({ "stopped": true }))]).await;
    assert_eq!(held_by(&world, &id(2)), [OLD_KEY], "its key is gone for good");
    world.cloud.start_instance(&id(2));
    ended_well(&mut world, started(2)).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_online_minutes_after_its_host_is_waited_for() {
    let mut world = long_rotated([host(1), with(host(2), json!({ "stopped": true }))]).await;
    world.cloud.start_instance(&id(2));
    world.cloud.set_agent_online(&id(2), false);
    let (clock, cloud) = (world.clock.clone(), world.cloud.clone());
    let late = clock.clone();
    clock.spawn(async move {
        late.sleep(std::time::Duration::from_secs(150)).await;
        cloud.set_agent_online(&id(2), true);
    });
    let execution = ended_well(&mut world, started(2)).await;
    assert!(execution.states_entered().contains(&"WaitForAgent"));
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_never_comes_online_is_named_and_not_waited_for_without_end() {
    let mut world = long_rotated([host(1), with(host(2), json!({ "stopped": true }))]).await;
    world.cloud.start_instance(&id(2));
    world.cloud.set_agent_online(&id(2), false);
    let execution = ended_well(&mut world, started(2)).await;
    let said = execution.output.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(said.contains(&id(2)) && said.contains("Unreachable"), "{said}");
    world.shut_down().await;
    world.auditor.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_of_an_instance_outside_the_fleet_is_one_call_and_changes_nothing() {
    let mut world = long_rotated([host(1)]).await;
    let effects = effects_of_functions(&world).len();
    let execution = ended_well(&mut world, started(77)).await;
    assert_eq!(functions_called(&execution), ["enumerate-instances"]);
    assert!(execution.output.unwrap()["message"].as_str().unwrap().contains(&id(77)));
    assert_eq!(effects_of_functions(&world).len(), effects);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converge_with_nothing_to_do_is_one_call_and_changes_nothing() {
    let mut world = long_rotated([host(1), host(2)]).await;
    let effects = effects_of_functions(&world).len();
    let execution = ended_well(&mut world, json!({ "mode": "converge" })).await;
    assert_eq!(functions_called(&execution), ["enumerate-instances"]);
    assert_eq!(execution.states_entered().last(), Some(&"NothingToDo"));
    assert_eq!(effects_of_functions(&world).len(), effects);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_starts_at_once_are_one_run() {
    let stopped = |number| with(host(number), json!({ "stopped": true }));
    let mut world = long_rotated([host(1), stopped(2), stopped(3)]).await;
    (2..=3).for_each(|number| world.cloud.start_instance(&id(number)));
    ended_well(&mut world, json!([started(2), started(3), started(2)])).await;
    assert_rotated(&world, &[1, 2, 3]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_hosts_only_the_three_that_lack_a_proof_are_touched() {
    const HOSTS: u32 = 10_000;
    const SINCE: &str = "2026-11-24T06:00:00Z";
    let first = world(fleet([host(1)]), settings()).await;
    let version = version_of(&first, "AWSCURRENT").unwrap();
    conclude(&first).await;
    // The others have proved an hour later: commanded for real they would take an hour of the test's time.
    let tags = json!({ "tags": { "credential-rotation:sql-backups": format!("{version} 2026-11-24T07:00:00Z") } });
    let proved = (4..=HOSTS).map(|number| with(host(number), tags.clone()));
    let mut world = world(fleet((1..=3).map(host).chain(proved)), settings()).await;
    assert_eq!(version_of(&world, "AWSCURRENT"), Some(version.clone()), "a world of the same beginning");
    world.cloud.move_label(SECRET, OLD_KEY, None, Some(&version)).unwrap();
    let standing = format!("current={version} pending=none since={SINCE}");
    world.cloud.tag_secret(SECRET, "credential-rotation:standing", &standing).unwrap();
    world.clock.sleep(std::time::Duration::from_secs(2 * 3600)).await;
    let execution = ended_well(&mut world, json!({ "mode": "converge" })).await;
    let commands = world.cloud.commands();
    let touched: Vec<&String> = commands.iter().flat_map(|command| command.invocations.keys()).collect();
    assert_eq!(touched, [&id(1), &id(2), &id(3)], "the canary, then the other two");
    let said = execution.output.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("10000 of 10000 running hosts hold a believed proof"), "{said}");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_restored_from_an_old_image_is_found_by_its_disks_and_brought_in() {
    let mut world = long_rotated([host(1), host(2)]).await;
    world.cloud.restore_volumes(&id(2));
    let server = world.fleet.host(&id(2)).unwrap();
    server.with_sql_server("localhost", |server| {
        server.credentials.values_mut().for_each(|credential| credential.secret = Some(format!("{OLD_KEY}:gone")));
    });
    ended_well(&mut world, json!({ "mode": "converge" })).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_somebody_altered_is_put_right_within_the_interval_and_the_report_says_drifted() {
    let mut world = long_rotated([host(1), host(2)]).await;
    let server = world.fleet.host(&id(2)).unwrap();
    server.with_sql_server("localhost", |server| {
        let now = "2026-12-20T00:00:00Z".parse().unwrap();
        for credential in server.credentials.values_mut() {
            credential.secret = Some(format!("{OLD_KEY}:somebody's"));
            credential.modify_date = now;
        }
    });
    for _ in 0..30 {
        world.clock.sleep(std::time::Duration::from_secs(24 * 3600)).await;
    }
    let execution = ended_well(&mut world, json!({ "mode": "converge" })).await;
    let said = execution.output.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("Drifted") && said.contains(&id(2)) && !said.contains(&id(1)), "{said}");
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_fails_to_prove_again_is_no_longer_believed() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    succeed(&mut world, "rotate").await;
    world.pass_days(1).await;
    succeed(&mut world, "converge").await;
    let server = world.fleet.host(&id(2)).unwrap();
    server.with_sql_server("localhost", |server| server.running = false);
    ended_well(&mut world, started(2)).await;
    let ledger = world.cloud.instance(&id(2)).unwrap().tags["credential-rotation:sql-backups"].clone();
    assert!(ledger.ends_with(" failed"), "{ledger}");
    world.clock.sleep(std::time::Duration::from_secs(9 * 24 * 3600)).await;
    let said = succeed(&mut world, "converge").await;
    assert!(
        active_keys(&world).contains(&OLD_KEY.to_owned()) && said.contains(&id(2)),
        "it holds up the retirement: {said}"
    );
    world.shut_down().await;
    world.auditor.assert_clean();
}
