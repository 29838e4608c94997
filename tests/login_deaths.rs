//! Deaths in a rotation of logins: whatever function dies, and whatever reply is lost, the next runs end it, and with two
//! logins no application is ever refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use integration_tests::*;
use sandbox::cloud::{Fault, FaultKind, Service};
use sandbox::functions_folder::FUNCTIONS;
use sandbox::machine::ExecutionStatus;
use sandbox::world::World;
use serde_json::json;

/// The first try and the six that `Retry` grants.
const TRIES: u64 = 7;

const ONE: [&str; 1] = ["app"];
const TWO: [&str; 2] = ["app_a", "app_b"];

async fn two_hosts(names: &[&str]) -> World {
    with_application(2, login_settings(names)).await
}

/// A rotation, and the daily converge of the next days.
async fn live(world: &mut World) -> Vec<ExecutionStatus> {
    let mut ends = vec![world.run(json!({})).await.status];
    for _ in 0..2 {
        world.pass_days(1).await;
        ends.push(world.run(json!({ "mode": "converge" })).await.status);
    }
    world.pass_days(1).await;
    ends
}

/// The functions that take part: all but the one that only tells of a rotation, and those of keys.
fn of_a_rotation() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.into_iter().filter(|function| *function != "plan-rotation" && !function.ends_with("-iam-key"))
}

/// Another version is current, nothing is pending, every host holds it, and the application is let in.
async fn assert_ended(world: &World, names: &[&str], first: &str, what: &str) {
    let secret = world.cloud.secret(LOGIN_SECRET).unwrap();
    assert_ne!(secret.labels["AWSCURRENT"], first, "{what}: the password was not rotated");
    assert_eq!(secret.labels.get("AWSPENDING"), None, "{what}");
    let made = secret.labels.keys().filter(|label| label.starts_with("made:")).count();
    assert!(made <= 3, "{what}: {:?}", secret.labels);
    let application = world.application.as_ref().unwrap();
    assert!(application.gaps().iter().all(|gap| gap.ended.is_some()), "{what}: {:?}", application.gaps());
    if names.len() > 1 {
        assert_eq!(application.failed_log_ins(), 0, "{what}: {:?}", application.gaps());
    }
    conclude(world).await;
}

async fn first_of(world: &World) -> String {
    world.cloud.secret(LOGIN_SECRET).unwrap().labels["AWSCURRENT"].clone()
}

async fn every_function_dies(names: &[&str], tries: u64) {
    let mut quiet = two_hosts(names).await;
    let first = first_of(&quiet).await;
    assert!(live(&mut quiet).await.iter().all(|end| *end == ExecutionStatus::Succeeded));
    assert_ended(&quiet, names, &first, "a quiet life").await;
    for function in of_a_rotation() {
        let invocations = quiet.lambda.invocations(function);
        assert!(invocations > 0, "{function} takes part");
        for nth in 1..=invocations {
            let mut world = two_hosts(names).await;
            let first = first_of(&world).await;
            (nth..nth + tries).for_each(|nth| assert!(world.lambda.die_before_reply(function, nth)));
            let mut ends = live(&mut world).await;
            let what = format!("{function} died {tries} times from its invocation {nth} on: {ends:?}");
            println!("{what}");
            if tries == 1 {
                assert!(ends.iter().all(|end| *end == ExecutionStatus::Succeeded), "{what}");
            }
            // Nobody asks for a rotation a second time but a person, where it ended before anything was staged.
            if world.cloud.secret(LOGIN_SECRET).unwrap().labels["AWSCURRENT"] == first {
                ends = live(&mut world).await;
            }
            // The last run may be the one that dies.
            if ends.last() != Some(&ExecutionStatus::Succeeded) {
                world.pass_days(1).await;
                succeed(&mut world, "converge").await;
            }
            assert_ended(&world, names, &first, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_dies_is_tried_again_with_one_login() {
    every_function_dies(&ONE, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_dies_is_tried_again_with_two_logins() {
    every_function_dies(&TWO, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_in_the_middle_is_finished_by_the_next_with_one_login() {
    every_function_dies(&ONE, TRIES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_in_the_middle_is_finished_by_the_next_with_two_logins() {
    every_function_dies(&TWO, TRIES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_reply_is_lost_is_found_again_with_either_strategy() {
    for names in [&ONE[..], &TWO[..]] {
        let mut quiet = two_hosts(names).await;
        live(&mut quiet).await;
        let calls = changing_calls(&quiet);
        assert!(calls.contains_key(&(Service::SecretsManager, "PutSecretValue".to_owned())), "{calls:?}");
        for ((service, action), count) in calls {
            for nth in 1..=count {
                let mut world = two_hosts(names).await;
                let first = first_of(&world).await;
                let kind = FaultKind::LoseReplyAfterEffect;
                world.cloud.inject(Fault { service, action: action.clone(), nth, kind });
                let ends = live(&mut world).await;
                let what = format!("the reply to {action} {nth} was lost: {ends:?}");
                println!("{what}");
                assert!(ends.iter().all(|end| *end == ExecutionStatus::Succeeded), "{what}");
                assert_ended(&world, names, &first, &what).await;
            }
        }
    }
}
