//! What published solutions get wrong (FACTS, "Known mistakes in published solutions"): one test a mistake, by its name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeMap;

use integration_tests::*;
use sandbox::cloud::{Effect, Fault, FaultKind, InvocationStatus, KeyStatus, Service};
use sandbox::world::World;
use serde_json::{Value, json};

/// A host on which the new key never works.
fn broken(number: u32) -> Value {
    with(host(number), json!({ "sqlServers": [{ "neverWorks": true }] }))
}

/// Settings under which two of three hosts are enough, so that a run goes on beside a broken one.
fn two_thirds() -> Value {
    with(settings(), json!({ "promoteShare": 0.6 }))
}

fn repair(world: &World, number: u32) {
    let host = world.fleet.host(&id(number)).unwrap();
    host.with_sql_server("localhost", |server| server.faults.refused_backups = 0).unwrap();
}

/// A day after the other with its converge, until the predicate holds; how many days it took.
async fn days_until(world: &mut World, most: u32, is_so: impl Fn(&World) -> bool) -> u32 {
    for day in 1..=most {
        world.pass_days(1).await;
        succeed(world, "converge").await;
        if is_so(world) {
            return day;
        }
    }
    panic!("it did not come to that within {most} days: keys {:?}", keys(world));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_in_use_is_never_deleted_although_it_is_the_oldest() {
    let mut world = world(fleet([host(1), with(host(2), json!({ "unreachable": true }))]), settings()).await;
    // A half-failed run of the published solution: a newer key is current, and every host still holds the oldest.
    let (newer, secret) = world.cloud.create_access_key(USER).unwrap();
    world.cloud.put_secret_value(SECRET, &format!("{newer}:{secret}"), &[]).unwrap();
    let refused = fail(&mut world, json!({ "mode": "rotate" }), "NoFreeKeySlot").await;
    assert!(refused.contains(OLD_KEY) && refused.contains(&newer), "both keys are named: {refused}");
    for _ in 0..3 {
        world.pass_days(10).await;
        succeed(&mut world, "converge").await;
        assert_eq!(keys(&world).get(OLD_KEY), Some(&KeyStatus::Active), "the silent host still uses it");
        assert_eq!(held_by(&world, &id(2)), [OLD_KEY]);
    }
    assert_eq!(held_by(&world, &id(1)), [&*newer], "the host that answers was brought to the current key");
    world.cloud.set_agent_online(&id(2), true);
    days_until(&mut world, 40, |world| !keys(world).contains_key(OLD_KEY)).await;
    assert_eq!(held_by(&world, &id(2)), [newer]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_current_before_its_proofs() {
    let mut world = world(fleet([broken(1), broken(2)]), settings()).await;
    let before = version_of(&world, "AWSCURRENT");
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(said.contains(&id(1)) && said.contains("ProofFailed"), "{said}");
    assert_eq!(version_of(&world, "AWSCURRENT"), before);
    assert_eq!(active_keys(&world).len(), 2, "both keys work");
    world.pass_days(1).await;
    [1, 2].into_iter().for_each(|number| repair(&world, number));
    succeed(&mut world, "converge").await;
    let journal = world.cloud.journal();
    let promotes = |effect: &Effect| matches!(effect, Effect::LabelMoved { label, .. } if label == "AWSCURRENT");
    let promotion = journal.iter().rposition(|event| event.effects.iter().any(promotes)).unwrap();
    let before_it = &journal[..promotion];
    for number in [1, 2] {
        let proved = before_it.iter().flat_map(|event| &event.effects).any(|effect| {
            matches!(effect, Effect::InvocationEnded { instance_id, status: InvocationStatus::Success, .. } if *instance_id == id(number))
        });
        assert!(proved, "{} had proved before anything became current", id(number));
    }
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_result_is_unread() {
    // SSM calls a command whose steps were skipped a success (FACTS C); so the command looks well, and one host did
    // nothing.
    let silent = with(host(3), json!({ "lies": "" }));
    let mut world = world(fleet([host(1), host(2), silent]), settings()).await;
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(said.contains("2 of 3") && said.contains(&id(3)) && said.contains("NoAnswer"), "{said}");
    let commanded = world.cloud.commands().into_iter().flat_map(|command| command.invocations);
    for (host, (status, _)) in commanded {
        assert_eq!(status, InvocationStatus::Success, "SSM is content with {host}");
        let is_recorded = world.cloud.instance(&host).unwrap().tags.contains_key("credential-rotation:sql-backups");
        assert!(is_recorded || said.contains(&host), "{host} was commanded, and its result is nowhere");
    }
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_server_17_is_rotated_and_one_that_cannot_hold_the_key_is_not_called_rotated() {
    let newer = with(host(2), json!({ "sqlServers": [{ "majorVersion": 17 }] }));
    let older = with(host(3), json!({ "sqlServers": [{ "majorVersion": 15, "withoutCredential": true }] }));
    let mut world = world(fleet([host(1), newer, older]), settings()).await;
    succeed(&mut world, "rotate").await;
    let current = key_of(&world, "AWSCURRENT").unwrap();
    assert_eq!(held_by(&world, &id(2)), [current], "17.x is newer than 16.x");
    assert!(held_by(&world, &id(3)).is_empty(), "15.x has no S3 connector");
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2, 3]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untagged_instance_stops_nothing_and_is_left_alone() {
    let nameless = host(1);
    let named = with(host(2), json!({ "name": "sql-02" }));
    let untagged = with(host(3), json!({ "tags": { "SQL": null } }));
    let mut world = world(fleet([nameless, named, untagged]), settings()).await;
    assert!(world.cloud.instance(&id(3)).unwrap().tags.is_empty(), "it has no tags at all");
    succeed(&mut world, "rotate").await;
    assert!(world.cloud.instance(&id(3)).unwrap().tags.is_empty());
    assert_eq!(held_by(&world, &id(3)), [OLD_KEY], "it is none of the fleet");
    let commanded = world.cloud.commands().into_iter().flat_map(|command| command.invocations.into_keys());
    assert!(commanded.into_iter().all(|host| host != id(3)));
    let current = key_of(&world, "AWSCURRENT").unwrap();
    assert_eq!(held_by(&world, &id(1)), [current]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_sql_server_instance_stops_no_other() {
    let servers = json!([{ "neverWorks": true }, { "endpoint": "localhost,1434" }]);
    let mut settings = two_thirds();
    settings["sqlServer"] = json!({ "endpoints": ["localhost", "localhost,1434?"] });
    let mut world = world(fleet([host(1), host(2), with(host(3), json!({ "sqlServers": servers }))]), settings).await;
    let report = succeed(&mut world, "rotate").await;
    let current = key_of(&world, "AWSCURRENT").unwrap();
    let host = world.fleet.host(&id(3)).unwrap();
    let held: BTreeMap<String, Option<String>> = host
        .sql_servers()
        .into_iter()
        .map(|(endpoint, server)| {
            (endpoint, server.credentials.values().find_map(|held| held.access_key_id().map(str::to_owned)))
        })
        .collect();
    assert_eq!(held["localhost,1433"].as_deref(), Some(OLD_KEY), "where it does not work, nothing was changed");
    assert_eq!(held["localhost,1434"].as_deref(), Some(&*current), "the next instance was not stopped");
    assert!(report.contains(&id(3)) && report.contains("ProofFailed"), "the failing instance is named: {report}");
    world.pass_days(1).await;
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_never_told_as_success() {
    let mut world = world(fleet([broken(1), host(2)]), settings()).await;
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    let notices = world.cloud.notices();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].subject.ends_with("needs you"), "{}", notices[0].subject);
    assert!(notices[0].message.contains("ProofsMissing") && said.contains(&id(1)), "{}", notices[0].message);
    world.shut_down().await;
    let claims = ["rotated", "success", "succeeded"];
    for line in world.lambda.logs() {
        assert!(!claims.iter().any(|claim| line.text.to_lowercase().contains(claim)), "{}", line.text);
    }
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_where_the_new_key_does_not_work_keeps_its_old_one_and_backs_up_with_it() {
    let mut world = world(fleet([host(1), host(2), broken(3)]), two_thirds()).await;
    let report = succeed(&mut world, "rotate").await;
    assert!(report.contains(&id(3)) && report.contains("ProofFailed"), "{report}");
    for _ in 0..3 {
        world.pass_days(9).await;
        let report = succeed(&mut world, "converge").await;
        assert!(report.contains(&id(3)), "it is named every time: {report}");
        assert_eq!(held_by(&world, &id(3)), [OLD_KEY]);
        assert_eq!(keys(&world).get(OLD_KEY), Some(&KeyStatus::Active));
    }
    repair(&world, 3);
    days_until(&mut world, 20, |world| keys(world).len() == 1).await;
    assert_rotated(&world, &[1, 2, 3]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_has_two_keys_already_is_adopted_and_rotated() {
    let mut world = world(with(fleet([host(1), host(2)]), json!({ "secondKey": "previous" })), settings()).await;
    let refused = fail(&mut world, json!({ "mode": "rotate" }), "NoFreeKeySlot").await;
    assert!(refused.contains(OLD_KEY) && refused.contains(SECOND_KEY), "{refused}");
    assert!(refused.contains("2026-12-"), "it says until when: {refused}");
    assert_eq!(version_of(&world, OLD_KEY), version_of(&world, "AWSCURRENT"), "both versions are adopted");
    assert_eq!(version_of(&world, SECOND_KEY), version_of(&world, "AWSPREVIOUS"));
    days_until(&mut world, 20, |world| !keys(world).contains_key(SECOND_KEY)).await;
    days_until(&mut world, 5, |world| key_of(world, "AWSCURRENT").as_deref() != Some(OLD_KEY)).await;
    days_until(&mut world, 20, |world| keys(world).len() == 1).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orphan_of_a_crash_is_found_made_inactive_and_deleted_and_the_rotation_ends() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    // CreateAccessKey took effect and nobody learned the secret: the published solution loses a slot for ever.
    let kind = FaultKind::LoseReplyAfterEffect;
    world.cloud.inject(Fault { service: Service::Iam, action: "CreateAccessKey".to_owned(), nth: 1, kind });
    let said = fail(&mut world, json!({ "mode": "rotate" }), "EarlierRunUnresolved").await;
    assert!(said.contains("execution-1"), "the run is named: {said}");
    let orphan = keys(&world).into_keys().find(|key| key != OLD_KEY).expect("the key was made");
    assert!(version_of(&world, &orphan).is_none(), "nothing holds it");
    assert_eq!(keys(&world).get(&orphan), Some(&KeyStatus::Inactive), "its window closed while the run waited");
    days_until(&mut world, 5, |world| !keys(world).contains_key(&orphan)).await;
    days_until(&mut world, 30, |world| !keys(world).contains_key(OLD_KEY)).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}
