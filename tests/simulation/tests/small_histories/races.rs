//! Executions at once, and functions and commands that act when everybody has moved on.

use std::pin::Pin;
use std::time::Duration;

use sandbox::clock::Clock;
use serde_json::{Value, json};
use simulation::beginning::{OLD_KEY, SECRET, USER, fleet, id};
use simulation::history::History;
use simulation::wire::{Fault, Point};

use super::{Faults, begin_with, end, end_without_backups, idle_days, rotate, struck};

/// Two executions that begin at the same moment.
async fn at_once(history: &History, one: Value, other: Value) {
    let (world, clock) = (&history.world, history.world.clock.clone());
    let both = vec![world.start("one", one), world.start("other", other)];
    clock.join_all(both).await;
}

/// The user has no key at all, so that IAM would give each of them one; and the first to get it dies.
pub(super) async fn two_first_keys_at_once() -> History {
    let tell = async |faults| {
        let history = begin_with(&fleet(2).unwrap(), &json!({}), faults);
        history.world.cloud.delete_access_key(USER, OLD_KEY).unwrap();
        at_once(&history, json!({ "mode": "rotate" }), json!({ "mode": "rotate" })).await;
        end_without_backups(history).await
    };
    struck(tell, ("rotate-iam-key", "CreateAccessKey"), Fault::DiesAfter).await
}

/// Two futures side by side, in the world's own time.
async fn side_by_side(clock: &Clock, one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let both: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = vec![Box::pin(one), Box::pin(other)];
    clock.join_all(both).await;
}

/// Waits, for ten minutes at most, until something is so.
async fn until(clock: &Clock, is_so: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        clock.sleep(Duration::from_millis(100)).await;
    }
}

/// A run makes the old key Inactive, is given up, and acts later; meanwhile a person wants the old key back. The run's
/// second try sees that every wait has begun anew.
pub(super) async fn a_rollback_while_a_retirement_is_late() -> History {
    const RETIREMENT: (&str, &str) = ("retire-iam-key", "UpdateAccessKey");
    let tell = async |faults| {
        let mut history = begin_with(&fleet(2).unwrap(), &json!({}), faults);
        rotate(&mut history).await;
        history.converge_after(1).await;
        idle_days(&history, 8).await;
        let (world, wire, clock) = (&history.world, &history.wire, &history.world.clock);
        let retirement = world.start("retirement", json!({ "mode": "converge" }));
        let rollback = world.start("rollback", json!({ "mode": "rollback" }));
        let is_it = |point: &Point| (&*point.function, &*point.operation) == RETIREMENT;
        let is_under_way = || wire.points().iter().any(is_it);
        let person = async {
            until(clock, is_under_way).await;
            rollback.await;
        };
        side_by_side(clock, async { drop(retirement.await) }, person).await;
        history.converge_after(1).await;
        end(history).await
    };
    struck(tell, RETIREMENT, Fault::GoesOnLate).await
}

/// A host begins a command minutes after it was sent. By then the rotation is abandoned, and a later command has brought
/// the host back.
pub(super) async fn an_abandonment_while_a_command_is_late() -> History {
    let mut history = begin_with(&fleet(1).unwrap(), &json!({}), Faults::new());
    history.run(json!({ "mode": "converge" })).await;
    let slow = |history: &History, seconds| {
        if let Some(host) = history.world.fleet.host(&id(1)) {
            host.set_faults(|faults| faults.slow = Duration::from_secs(seconds));
        }
    };
    slow(&history, 280);
    let (world, clock) = (&history.world, &history.world.clock);
    let rotation = world.start("rotation", json!({ "mode": "rotate" }));
    let abandonment = world.start("abandonment", json!({ "mode": "abandon" }));
    let person = async {
        // The version is pending after a quarter of a minute of checks, and a command is on its way.
        clock.sleep(Duration::from_secs(40)).await;
        slow(&history, 0);
        abandonment.await;
    };
    side_by_side(clock, async { drop(rotation.await) }, person).await;
    idle_days(&history, 8).await;
    history.run(json!({ "mode": "converge" })).await;
    for days in [8, 8] {
        history.converge_after(days).await;
    }
    rotate(&mut history).await;
    end(history).await
}

/// A rotation whose promotion is given up and tried again; before the first try goes on, a person puts the old key back
/// by hand.
async fn a_promotion_against_a_person(faults: Faults) -> History {
    let history = begin_with(&fleet(2).unwrap(), &json!({}), faults);
    let (cloud, clock) = (&history.world.cloud, &history.world.clock);
    let current = || cloud.secret(SECRET).and_then(|secret| secret.labels.get("AWSCURRENT").cloned());
    let first = current().unwrap();
    let rotation = history.world.start("rotation", json!({ "mode": "rotate" }));
    let person = async {
        until(clock, || current().as_ref() != Some(&first)).await;
        clock.sleep(Duration::from_secs(10)).await;
        let value = cloud.secret_value(SECRET, &first).unwrap_or_default();
        cloud.put_secret_value(SECRET, &format!("{value} "), &[]).unwrap();
    };
    side_by_side(clock, async { drop(rotation.await) }, person).await;
    clock.sleep(Duration::from_secs(60)).await;
    end(history).await
}

const PROMOTION: (&str, &str) = ("promote-stage", "UpdateSecretVersionStage");

pub(super) async fn a_promotion_that_comes_late() -> History {
    struck(a_promotion_against_a_person, PROMOTION, Fault::GoesOnLate).await
}

/// Its last look comes late, and the move after it at once.
pub(super) async fn a_promotion_that_looks_late() -> History {
    let quiet = a_promotion_against_a_person(Faults::new()).await;
    let points = quiet.wire.points();
    let is_move = |point: &Point| (&*point.function, &*point.operation) == PROMOTION;
    let look = points.iter().position(is_move).and_then(|call| call.checked_sub(1));
    a_promotion_against_a_person(look.map(|call| (call, Fault::GoesOnLate)).into_iter().collect()).await
}
