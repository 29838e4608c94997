//! Every mode, started at every moment of every other: before it, after each thing that it changes, and after its end.
//!
//! Whatever meets whatever, the daily runs that follow end with one key and one version, and no guarantee is broken on
//! the way. A run that is refused says so by a name of ours, and whoever was refused can simply start again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use integration_tests::*;
use rotation::StepError;
use sandbox::cloud::{Caller, Effect, Event, KeyStatus};
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::World;
use serde_json::{Value, json};

/// What somebody starts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Rotate,
    Converge,
    Abandon,
    Rollback,
    /// The key that is current when all begins has leaked.
    Leak,
}

use Start::{Abandon, Converge, Leak, Rollback, Rotate};

const EVERY: [Start; 5] = [Rotate, Converge, Abandon, Rollback, Leak];

impl Start {
    fn input(self, current: &str) -> Value {
        match self {
            Rotate => json!({}),
            Converge => json!({ "mode": "converge" }),
            Abandon => json!({ "mode": "abandon" }),
            Rollback => json!({ "mode": "rollback" }),
            Leak => json!({ "compromised": current }),
        }
    }

    /// A world in which it has something to do.
    async fn world(self) -> World {
        let file = with(fleet([host(1)]), json!({ "keyAgeDays": 10 }));
        let mut world = world(file, settings()).await;
        match self {
            Rotate | Leak => {}
            Converge | Rollback => {
                succeed(&mut world, "rotate").await;
                world.pass_days(1).await;
            }
            Abandon => {
                refuse_backups(&world, u32::MAX);
                fail(&mut world, json!({}), "ProofsMissing").await;
                refuse_backups(&world, 0);
            }
        }
        world
    }
}

fn refuse_backups(world: &World, count: u32) {
    let host = world.fleet.host(&id(1)).unwrap();
    host.with_sql_server("localhost", |server| server.faults.refused_backups = count);
}

/// Whether an event is a moment: a function changed something that another run could trip over.
fn is_moment(event: &Event) -> bool {
    let by_function = matches!(&event.caller, Caller::Function { name, .. } if name != "state-machine");
    by_function
        && event.effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::KeyCreated { .. }
                    | Effect::KeyStatusChanged { .. }
                    | Effect::KeyDeleted { .. }
                    | Effect::VersionStored { .. }
                    | Effect::LabelMoved { .. }
                    | Effect::TagsChanged { .. }
                    | Effect::CommandSent { .. }
            )
        })
}

/// Runs `first`, and starts `second` at a moment of it: 0 is before anything is changed. How many moments there were.
async fn meet(first: Start, second: Start, moment: usize) -> usize {
    let mut world = first.world().await;
    let current = key_of(&world, "AWSCURRENT").unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let other: Arc<Mutex<Option<Execution>>> = Arc::default();
    let begin = {
        let (clock, other) = (world.clock.clone(), Arc::clone(&other));
        let run = Mutex::new(Some(world.start("other", second.input(&current))));
        move || {
            if let Some(run) = run.lock().unwrap().take() {
                let other = Arc::clone(&other);
                clock.spawn(async move { *other.lock().unwrap() = Some(run.await) });
            }
        }
    };
    if moment == 0 {
        begin();
    }
    let counted = Arc::clone(&seen);
    world.cloud.subscribe(Arc::new(move |event| {
        if is_moment(event) && counted.fetch_add(1, Ordering::SeqCst) + 1 == moment {
            begin();
        }
    }));
    let one = world.start("one", first.input(&current)).await;
    let moments = seen.load(Ordering::SeqCst);
    // The other run may have a way to go.
    world.pass_days(1).await;
    let other = other.lock().unwrap().take();
    for (start, execution) in [(first, Some(one)), (second, other)] {
        if let Some(execution) = execution.filter(|execution| execution.status != ExecutionStatus::Succeeded) {
            let error = execution.error.clone().unwrap_or_default();
            println!("{first:?} met by {second:?} at {moment}: {start:?} ended with {error}");
            assert!(StepError::NAMES.contains(&error.as_str()), "{error}: {}", failure(&execution));
        }
    }
    settle(&mut world, &format!("{first:?} met by {second:?} at {moment}")).await;
    moments
}

/// The daily runs that follow: one key, one version, one host that holds it.
async fn settle(world: &mut World, what: &str) {
    for days in [1, 8, 8, 8] {
        world.pass_days(days).await;
        let execution = world.run(json!({ "mode": "converge" })).await;
        let said = failure(&execution);
        assert_eq!(execution.status, ExecutionStatus::Succeeded, "{what}: {:?} {said}", execution.error);
    }
    let current = key_of(world, "AWSCURRENT").unwrap();
    assert_eq!(keys(world), BTreeMap::from([(current.clone(), KeyStatus::Active)]), "{what}: one key is left");
    assert_eq!(version_of(world, "AWSPENDING"), None, "{what}");
    assert_eq!(held_by(world, &id(1)), [current], "{what}");
    conclude(world).await;
}

async fn meets_every_other(first: Start) {
    for second in EVERY {
        let mut moment = 0;
        // One more than the moments that there are is the end.
        while moment <= meet(first, second, moment).await {
            moment += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_met_by_every_mode_at_every_moment() {
    meets_every_other(Rotate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converge_is_met_by_every_mode_at_every_moment() {
    meets_every_other(Converge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandonment_is_met_by_every_mode_at_every_moment() {
    meets_every_other(Abandon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_met_by_every_mode_at_every_moment() {
    meets_every_other(Rollback).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replacement_of_a_leaked_key_is_met_by_every_mode_at_every_moment() {
    meets_every_other(Leak).await;
}
