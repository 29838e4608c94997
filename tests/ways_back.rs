//! The ways back and the exceptions that a person asks for by name: abandon, roll back, a leaked key, going on without
//! some hosts, a run for some hosts only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by failing")]

use integration_tests::*;
use sandbox::cloud::KeyStatus;
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::World;
use serde_json::{Value, json};

/// A fleet of which the new key does not work from one host, so that a rotation stops before its promotion.
async fn stuck() -> World {
    let broken = with(host(2), json!({ "sqlServers": [{ "neverWorks": true }] }));
    // A young key, so that no converge finds a rotation overdue afterwards.
    let file = with(fleet([host(1), broken]), json!({ "keyAgeDays": 10 }));
    let mut world = world(file, settings()).await;
    fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(version_of(&world, "AWSPENDING").is_some());
    world
}

/// Lets the host work again from which the new key did not work.
fn mend(world: &World) {
    world.fleet.host(&id(2)).unwrap().with_sql_server("localhost", |server| server.faults.refused_backups = 0);
}

async fn succeed_with(world: &mut World, input: Value) -> (Execution, String) {
    let execution = world.run(input.clone()).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{input} failed: {}", failure(&execution));
    let said = execution.output.as_ref().and_then(|report| report["message"].as_str()).unwrap_or_default().to_owned();
    (execution, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_rotation_brings_every_host_back_and_its_key_is_retired_like_any_other() {
    let mut world = stuck().await;
    let abandoned = key_of(&world, "AWSPENDING").unwrap();
    assert_eq!(held_by(&world, &id(1)), std::slice::from_ref(&abandoned));
    mend(&world);
    let said = succeed(&mut world, "abandon").await;
    assert!(said.contains("abandoned"), "{said}");
    assert_eq!(version_of(&world, "AWSPENDING"), None);
    assert_eq!(key_of(&world, "AWSCURRENT").as_deref(), Some(OLD_KEY));
    assert_eq!(held_by(&world, &id(1)), [OLD_KEY], "it is back on the current version");
    live_through_the_overlap(&mut world).await;
    assert_eq!(active_keys(&world), [OLD_KEY]);
    assert!(!keys(&world).contains_key(&abandoned), "two slots, of which one is free again");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandonment_of_nothing_is_a_converge() {
    let mut world = world(fleet([host(1)]), settings()).await;
    succeed(&mut world, "rotate").await;
    let current = version_of(&world, "AWSCURRENT");
    succeed(&mut world, "abandon").await;
    assert_eq!(version_of(&world, "AWSCURRENT"), current);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_proves_and_promotes_the_version_that_was_current_before() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    succeed(&mut world, "rotate").await;
    let newer = key_of(&world, "AWSCURRENT").unwrap();
    world.pass_days(1).await;
    let said = succeed(&mut world, "rollback").await;
    assert!(said.contains(OLD_KEY), "{said}");
    assert_eq!(key_of(&world, "AWSCURRENT").as_deref(), Some(OLD_KEY));
    assert_eq!(
        (held_by(&world, &id(1)), held_by(&world, &id(2))),
        (vec![OLD_KEY.to_owned()], vec![OLD_KEY.to_owned()])
    );
    live_through_the_overlap(&mut world).await;
    assert!(!keys(&world).contains_key(&newer), "the key that was rolled back from is retired");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_refused_while_another_version_is_pending_and_when_its_key_is_gone() {
    let mut world = stuck().await;
    let said = fail(&mut world, json!({ "mode": "rollback" }), "NoWayBack").await;
    assert!(said.contains("abandon"), "the refusal names the input to start: {said}");
    succeed(&mut world, "abandon").await;
    fail(&mut world, json!({ "mode": "rollback" }), "NoWayBack").await;
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_current_key_is_replaced_and_goes_inactive_in_the_same_run_after_the_hosts_it_breaks_were_named() {
    let silent = with(host(3), json!({ "unreachable": true }));
    let mut world = world(fleet([host(1), host(2), silent]), settings()).await;
    let leak = json!({ "compromised": OLD_KEY });
    succeed_with(&mut world, leak.clone()).await;
    assert_eq!(keys(&world).get(OLD_KEY), Some(&KeyStatus::Inactive));
    let notices = world.cloud.notices();
    let warning = notices.iter().find(|notice| notice.message.contains("as asked")).unwrap();
    assert!(warning.message.contains(&id(3)) && !warning.message.contains(&id(1)), "{}", warning.message);
    let deactivated = world.cloud.journal().into_iter().find(|event| event.action == "UpdateAccessKey").unwrap();
    assert!(warning.time <= deactivated.time, "first the names, then the deed");
    let (current, before) = (version_of(&world, "AWSCURRENT"), keys(&world));
    succeed_with(&mut world, leak).await;
    assert_eq!(
        (version_of(&world, "AWSCURRENT"), keys(&world)),
        (current, before),
        "started twice, it does nothing more"
    );
    world.shut_down().await;
    world.auditor.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_pending_key_is_abandoned_and_never_promoted() {
    let mut world = stuck().await;
    let leaked = key_of(&world, "AWSPENDING").unwrap();
    succeed_with(&mut world, json!({ "compromised": leaked })).await;
    assert_eq!(keys(&world).get(&leaked), Some(&KeyStatus::Inactive));
    assert_eq!(key_of(&world, "AWSCURRENT").as_deref(), Some(OLD_KEY));
    assert_eq!(held_by(&world, &id(1)), [OLD_KEY]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_key_gives_its_slot_to_the_successor_of_a_leaked_one_and_is_named_first() {
    let mut world = world(fleet([host(1)]), settings()).await;
    succeed(&mut world, "rotate").await;
    for days in [1, 8] {
        world.pass_days(days).await;
        succeed(&mut world, "converge").await;
    }
    let leaked = key_of(&world, "AWSCURRENT").unwrap();
    assert_eq!(keys(&world).get(OLD_KEY), Some(&KeyStatus::Inactive));
    succeed_with(&mut world, json!({ "compromised": leaked })).await;
    assert!(!keys(&world).contains_key(OLD_KEY), "its slot was needed");
    assert_eq!(keys(&world).get(&leaked), Some(&KeyStatus::Inactive));
    assert!(
        world.cloud.notices().iter().any(|notice| notice.message.contains(OLD_KEY) && notice.message.contains("slot"))
    );
    world.shut_down().await;
    world.auditor.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn promotion_and_retirement_go_on_without_the_hosts_that_a_person_names() {
    let mut world = stuck().await;
    let without = json!({ "without": [id(2)] });
    let (_, said) = succeed_with(&mut world, without.clone()).await;
    assert!(said.contains("AWSCURRENT"), "{said}");
    world.pass_days(1).await;
    succeed(&mut world, "converge").await;
    world.pass_days(8).await;
    let said = succeed(&mut world, "converge").await;
    assert!(
        said.contains(&id(2)) && keys(&world)[OLD_KEY] == KeyStatus::Active,
        "it still holds up the retirement: {said}"
    );
    succeed_with(&mut world, with(json!({ "mode": "converge" }), without)).await;
    assert_eq!(keys(&world)[OLD_KEY], KeyStatus::Inactive);
    let warned = world
        .cloud
        .notices()
        .iter()
        .any(|notice| notice.message.contains(&id(2)) && notice.message.contains("as asked"));
    assert!(warned, "whom it breaks is named before");
    world.shut_down().await;
    world.auditor.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_for_one_host_touches_that_host_and_nothing_else() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    succeed(&mut world, "rotate").await;
    world.pass_days(1).await;
    let sent = world.cloud.commands().len();
    succeed_with(&mut world, json!({ "mode": "converge", "instanceIds": [id(2)] })).await;
    let commands = world.cloud.commands();
    assert_eq!(commands.len(), sent + 1);
    let told: Vec<&String> = commands.last().unwrap().invocations.keys().collect();
    assert_eq!(told, [&id(2)]);
    conclude(&world).await;
}
