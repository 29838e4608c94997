//! Any step may die at any point, run twice, or run late (guarantee 4). What the quiet life of a rotation does is
//! counted first; then one world after the other loses exactly one of those steps or replies, and each must end in one
//! finished rotation, with the labels right, one key left, and no guarantee broken on the way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use integration_tests::*;
use sandbox::cloud::{Effect, Fault, FaultKind, Service};
use sandbox::functions_folder::FUNCTIONS;
use sandbox::machine::ExecutionStatus;
use sandbox::world::World;
use serde_json::json;

/// How AWS shows what was changed: at once, or late as it really does. Late, the same life takes a run more, since the
/// ledger of a converge is not seen by the retirement that follows it.
#[derive(Clone, Copy, PartialEq)]
enum Views {
    Prompt,
    Late,
}

impl Views {
    async fn two_hosts(self) -> World {
        let late = json!({ "lateVisibility": self == Views::Late });
        world(with(fleet([host(1), host(2)]), late), settings()).await
    }

    /// Days before each converge. After the first of the prompt ones the overlap is over: every host proves once more
    /// and the old key goes Inactive. After the second it is deleted.
    fn days(self) -> &'static [u32] {
        match self {
            Views::Prompt => &[8, 8],
            Views::Late => &[1, 8, 8],
        }
    }
}

/// The key is rotated, the overlap passes, the old key goes. The executions' ends, in order.
async fn live(world: &mut World, days: &[u32]) -> Vec<ExecutionStatus> {
    let mut runs = vec![world.run(json!({ "mode": "rotate" })).await];
    for days in days {
        world.pass_days(*days).await;
        runs.push(world.run(json!({ "mode": "converge" })).await);
    }
    let failed = runs.iter().filter(|run| run.status == ExecutionStatus::Failed);
    failed.for_each(|run| println!("{}: {}", run.name, failure(run)));
    runs.iter().map(|run| run.status).collect()
}

fn keys_made(world: &World) -> usize {
    effects_of_functions(world).iter().filter(|(_, effect)| matches!(effect, Effect::KeyCreated { .. })).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_dies_before_its_reply_is_tried_again_and_nothing_is_done_twice() {
    every_function_dies_once(Views::Prompt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_dies_is_tried_again_although_its_effects_are_seen_late() {
    every_function_dies_once(Views::Late).await;
}

/// The functions that take part in a rotation of a key: all but the one that only tells of it, and those of logins.
fn of_a_rotation() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.into_iter().filter(|function| *function != "plan-rotation" && !function.ends_with("-login-password"))
}

async fn every_function_dies_once(views: Views) {
    let mut quiet = views.two_hosts().await;
    assert!(live(&mut quiet, views.days()).await.iter().all(|end| *end == ExecutionStatus::Succeeded));
    assert_rotated(&quiet, &[1, 2]);
    for function in of_a_rotation() {
        let invocations = quiet.lambda.invocations(function);
        assert!(invocations > 0, "{function} takes part in a rotation");
        for nth in 1..=invocations {
            let mut world = views.two_hosts().await;
            assert!(world.lambda.die_before_reply(function, nth));
            let ends = live(&mut world, views.days()).await;
            println!("{function} died at its invocation {nth}: {ends:?}");
            assert!(ends.iter().all(|end| *end == ExecutionStatus::Succeeded), "{function} {nth}: {ends:?}");
            assert_eq!(keys_made(&world), 1, "{function} {nth}");
            assert_rotated(&world, &[1, 2]);
            conclude(&world).await;
        }
    }
    conclude(&quiet).await;
}

/// The first try and the six that `Retry` grants.
const TRIES: u64 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_in_the_middle_is_finished_by_the_next() {
    let mut quiet = Views::Prompt.two_hosts().await;
    succeed(&mut quiet, "rotate").await;
    for function in of_a_rotation() {
        for nth in 1..=quiet.lambda.invocations(function) {
            let mut world = Views::Prompt.two_hosts().await;
            (nth..nth + TRIES).for_each(|nth| assert!(world.lambda.die_before_reply(function, nth)));
            let ends = live(&mut world, &[8, 8, 8]).await;
            println!("{function} died from its invocation {nth} on: {ends:?}");
            // A region that cannot be commanded ends the run by its missing proofs, the rest by the death itself.
            assert_eq!(ends[0], ExecutionStatus::Failed, "{function} {nth}");
            assert!(ends[1..].iter().all(|end| *end == ExecutionStatus::Succeeded), "{function} {nth}: {ends:?}");
            assert_eq!(keys_made(&world), 1, "{function} {nth}");
            assert_rotated(&world, &[1, 2]);
            conclude(&world).await;
        }
    }
    conclude(&quiet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_reply_is_lost_is_found_again() {
    every_reply_is_lost_once(Views::Prompt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_reply_is_lost_is_found_again_although_it_is_seen_late() {
    every_reply_is_lost_once(Views::Late).await;
}

async fn every_reply_is_lost_once(views: Views) {
    let mut quiet = views.two_hosts().await;
    assert!(live(&mut quiet, views.days()).await.iter().all(|end| *end == ExecutionStatus::Succeeded));
    let calls = changing_calls(&quiet);
    assert!(calls.contains_key(&(Service::Iam, "CreateAccessKey".to_owned())), "{calls:?}");
    assert!(calls.contains_key(&(Service::Ssm, "SendCommand".to_owned())), "{calls:?}");
    for ((service, action), count) in calls {
        for nth in 1..=count {
            let mut world = views.two_hosts().await;
            world.cloud.inject(Fault { service, action: action.clone(), nth, kind: FaultKind::LoseReplyAfterEffect });
            // The orphan of a crash takes its slot until it has been Inactive for a while.
            let is_orphaned = action == "CreateAccessKey";
            let days: &[u32] = if is_orphaned { &[1, 8, 8, 8, 8] } else { views.days() };
            let ends = live(&mut world, days).await;
            println!("the reply to {action} {nth} was lost: {ends:?}");
            let excused = usize::from(is_orphaned);
            let all_succeeded = ends[excused..].iter().all(|end| *end == ExecutionStatus::Succeeded);
            assert!(all_succeeded, "{action} {nth}: {ends:?}");
            assert_eq!(keys_made(&world), if is_orphaned { 2 } else { 1 }, "{action} {nth}");
            assert_rotated(&world, &[1, 2]);
            conclude(&world).await;
        }
    }
    conclude(&quiet).await;
}
