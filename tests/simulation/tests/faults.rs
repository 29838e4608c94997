//! Every fault at every call of a rotation and of the runs after it, and pairs of them at the calls that change
//! something: the guarantees hold at every event, and a bounded number of scheduled runs later the rotation is over.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeMap;

use rotation::StepError;
use serde_json::json;
use simulation::beginning::{fleet, settings};
use simulation::history::{History, in_its_own_time, on_every_core};
use simulation::judgement::{breaches, undone};
use simulation::wire::{Fault, Point};

/// The days between the daily runs that are worth telling: belief, the end of the overlap, deletion, and what a crash
/// delays.
const DAYS: [u32; 6] = [1, 1, 8, 8, 8, 8];

/// A rotation and the runs after it.
async fn told(faults: BTreeMap<usize, Fault>) -> History {
    let mut history = History::begin(1, &fleet(2).unwrap(), settings(), faults).unwrap();
    history.run(json!({ "mode": "rotate" })).await;
    for days in DAYS {
        history.converge_after(days).await;
    }
    history
}

/// The calls of the history in which nothing goes wrong.
fn quiet() -> Vec<Point> {
    let history = in_its_own_time(1, told(BTreeMap::new())).unwrap();
    assert_eq!(breaches(&history.world), Vec::<String>::new());
    assert_eq!(undone(&history.world), Vec::<String>::new(), "{}", history.trace.text());
    assert!(history.errors.is_empty(), "{:?}", history.errors);
    history.wire.points()
}

/// What is wrong with a history of these faults; nothing, as it ought to be.
fn wrong(faults: &BTreeMap<usize, Fault>) -> (Vec<String>, Vec<String>, String) {
    let history = in_its_own_time(1, told(faults.clone())).unwrap();
    let mut wrong = breaches(&history.world);
    wrong.extend(undone(&history.world));
    // A second one may be avoided by what the first one does.
    if history.wire.struck().is_empty() && !faults.is_empty() {
        wrong.push("none of the faults came to pass".to_owned());
    }
    let strange = history.errors.iter().filter(|error| !StepError::NAMES.contains(&error.as_str()));
    wrong.extend(strange.map(|error| format!("an execution ended with {error}")));
    (wrong, history.errors.clone(), history.trace.text())
}

/// A number that a person asks for by a variable.
#[allow(clippy::disallowed_methods, reason = "a person asks for more or for fewer histories by a variable")]
fn asked(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Tells the histories of these faults, and fails with the traces of those that end badly.
fn assert_all_end_well(points: &[Point], histories: &[BTreeMap<usize, Fault>]) {
    let told = on_every_core(histories, wrong);
    let failing: Vec<_> = histories.iter().zip(&told).filter(|(_, (wrong, ..))| !wrong.is_empty()).collect();
    for (index, (faults, (wrong, errors, trace))) in failing.iter().enumerate() {
        let named: Vec<String> =
            faults.iter().map(|(call, fault)| format!("{fault:?} at call {call} ({:?})", points[*call])).collect();
        println!("{}: {wrong:#?}, errors {errors:?}", named.join(" and "));
        if index < 2 {
            println!("{trace}");
        }
    }
    println!("{} calls, {} histories, {} of them end badly", points.len(), histories.len(), failing.len());
    assert!(failing.is_empty());
}

/// `EVERY=10` is a quick look: every tenth call only.
#[test]
fn after_any_fault_at_any_call_the_rotation_ends_well() {
    let points = quiet();
    let calls = (0..points.len()).step_by(asked("EVERY", 1));
    let histories: Vec<_> = calls.flat_map(|call| Fault::ALL.map(|fault| BTreeMap::from([(call, fault)]))).collect();
    assert_all_end_well(&points, &histories);
}

/// All pairs are some 8,200 histories, at a tenth of a second of one core each in a build that is optimised, and three
/// times that in the build of the tests: `make test` tells every twentieth, `make soak` all of them (`PAIRS_EVERY=1`).
#[test]
fn after_two_faults_at_calls_that_change_something_the_rotation_ends_well() {
    const FAULTS: [Fault; 5] =
        [Fault::Denied, Fault::ReplyLost, Fault::DiesBefore, Fault::DiesAfter, Fault::GoesOnLate];
    let points = quiet();
    let reads = |point: &Point| ["Describe", "List", "Get"].iter().any(|verb| point.operation.starts_with(verb));
    let changing: Vec<usize> = (0..points.len()).filter(|call| !reads(&points[*call])).collect();
    let singles: Vec<(usize, Fault)> = changing.iter().flat_map(|call| FAULTS.map(|fault| (*call, fault))).collect();
    let pairs = singles.iter().enumerate().flat_map(|(index, one)| {
        singles[index + 1..].iter().filter(|other| other.0 != one.0).map(|other| BTreeMap::from([*one, *other]))
    });
    let histories: Vec<_> = pairs.step_by(asked("PAIRS_EVERY", 20)).collect();
    assert_all_end_well(&points, &histories);
}
