//! Every fault at every call of a rotation and of the runs after it: the guarantees hold at every event, and a bounded
//! number of scheduled runs later the rotation is over.

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
    if history.wire.struck().len() != faults.len() {
        wrong.push(format!("only {:?} came to pass", history.wire.struck()));
    }
    let strange = history.errors.iter().filter(|error| !StepError::NAMES.contains(&error.as_str()));
    wrong.extend(strange.map(|error| format!("an execution ended with {error}")));
    (wrong, history.errors.clone(), history.trace.text())
}

/// For a quick look: every how-manieth call only. All of them, where the variable EVERY says nothing.
#[allow(clippy::disallowed_methods, reason = "a person asks for a quick look by a variable")]
fn every() -> usize {
    std::env::var("EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[test]
fn after_any_fault_at_any_call_the_rotation_ends_well() {
    let points = quiet();
    let histories: Vec<BTreeMap<usize, Fault>> = (0..points.len())
        .step_by(every())
        .flat_map(|call| Fault::ALL.map(|fault| BTreeMap::from([(call, fault)])))
        .collect();
    let told = on_every_core(&histories, wrong);
    let mut failing = 0;
    for (faults, (wrong, errors, trace)) in histories.iter().zip(&told) {
        if wrong.is_empty() {
            continue;
        }
        let (call, fault) = faults.first_key_value().unwrap();
        println!("{fault:?} at call {call} ({:?}): {wrong:#?} errors {errors:?}", points[*call]);
        if failing < 2 {
            println!("{trace}");
        }
        failing += 1;
    }
    println!("{} calls, {} histories, {failing} of them fail", points.len(), histories.len());
    assert_eq!(failing, 0);
}
