//! Ten histories worth reading, each as a trace in `tests/golden`: what happens, in order, and nothing else. A change of
//! what happens is a change of a file that a person reads. `BLESS=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeMap;
use std::fs;

use sandbox::fleet_file::{Chapter, FleetFile};
use sandbox::world::repository;
use serde_json::{Value, json};
use simulation::beginning::{fleet, fleet_of, host, id, settings};
use simulation::history::{History, in_its_own_time};
use simulation::judgement::breaches;
use simulation::wire::Fault;

/// The rotation and the daily runs that finish it.
const LIFE: [(u32, &str); 4] = [(0, "rotate"), (1, "converge"), (8, "converge"), (8, "converge")];

async fn live(history: &mut History, life: &[(u32, &str)]) {
    for (days, mode) in life {
        history.world.pass_days(*days).await;
        history.run(json!({ "mode": mode })).await;
    }
}

fn begin(file: &FleetFile, faults: BTreeMap<usize, Fault>) -> History {
    History::begin(1, file, settings(), faults).unwrap()
}

/// The number of the first call of an operation by a function, in the history in which nothing goes wrong.
fn call_of(function: &str, operation: &str) -> usize {
    let points = in_its_own_time(1, async {
        let mut history = begin(&fleet(2).unwrap(), BTreeMap::new());
        live(&mut history, &LIFE).await;
        history.wire.points()
    });
    let is_it = |point: &simulation::wire::Point| point.function == function && point.operation == operation;
    points.unwrap().iter().position(is_it).unwrap()
}

/// The trace of a rotation in which one call goes wrong; the days after it are those that it needs.
fn with_fault(function: &str, operation: &str, fault: Fault, life: &[(u32, &str)]) -> History {
    let faults = BTreeMap::from([(call_of(function, operation), fault)]);
    in_its_own_time(1, async {
        let mut history = begin(&fleet(2).unwrap(), faults);
        live(&mut history, life).await;
        history
    })
    .unwrap()
}

fn with_hosts(hosts: Vec<Value>, more: Value, life: &[(u32, &str)]) -> History {
    let mut file = fleet_of(hosts).unwrap();
    if more == "unknown" {
        file.second_key = serde_json::from_value(more).unwrap();
    }
    in_its_own_time(1, async {
        let mut history = begin(&file, BTreeMap::new());
        live(&mut history, life).await;
        history
    })
    .unwrap()
}

/// Two executions that begin at the same moment.
fn at_once(one: Value, other: Value, before: &[(u32, &str)]) -> History {
    in_its_own_time(1, async {
        let mut history = begin(&fleet(2).unwrap(), BTreeMap::new());
        live(&mut history, before).await;
        let (world, clock) = (&history.world, history.world.clock.clone());
        history.trace.say(clock.now(), &format!("— {one} and {other} at once"));
        let both = vec![world.start("one", one), world.start("other", other)];
        clock.join_all(both).await;
        live(&mut history, &[(1, "converge"), (8, "converge"), (8, "converge"), (8, "converge")]).await;
        history
    })
    .unwrap()
}

fn a_restored_host() -> History {
    in_its_own_time(1, async {
        let mut history = begin(&fleet(2).unwrap(), BTreeMap::new());
        live(&mut history, &[(0, "rotate"), (1, "converge")]).await;
        let chapter = json!({ "say": "", "restore": [id(2)], "run": { "mode": "converge" } });
        let chapter: Chapter = serde_json::from_value(chapter).unwrap();
        history.world.live(&chapter).await.unwrap();
        live(&mut history, &[(0, "converge"), (8, "converge"), (8, "converge")]).await;
        history
    })
    .unwrap()
}

fn histories() -> [(&'static str, History); 10] {
    const LONGER: [(u32, &str); 6] =
        [(0, "rotate"), (1, "converge"), (1, "converge"), (8, "converge"), (8, "converge"), (8, "converge")];
    let never_works = json!({ "id": id(2), "region": "eu-west-1", "tags": { "SQL": "2022" }, "sqlServers": [{ "neverWorks": true }] });
    let rotate = || json!({ "mode": "rotate" });
    [
        ("a-quiet-rotation", with_hosts(vec![host(1), host(2)], json!(null), &LIFE)),
        ("death-between-create-and-store", with_fault("rotate-iam-key", "CreateAccessKey", Fault::DiesAfter, &LONGER)),
        (
            "a-lost-reply-of-create-access-key",
            with_fault("rotate-iam-key", "CreateAccessKey", Fault::ReplyLost, &LONGER),
        ),
        (
            "a-late-function-stores-after-everyone",
            with_fault("rotate-iam-key", "PutSecretValue", Fault::GoesOnLate, &LONGER),
        ),
        ("a-promotion-race", with_fault("promote-stage", "UpdateSecretVersionStage", Fault::GoesOnLate, &LIFE)),
        ("a-host-that-never-works", with_hosts(vec![host(1), never_works], json!(null), &LIFE)),
        ("a-restored-host", a_restored_host()),
        ("an-unknown-key", with_hosts(vec![host(1), host(2)], json!("unknown"), &LIFE)),
        ("abandon-against-promote", at_once(rotate(), json!({ "mode": "abandon" }), &[])),
        ("two-executions", at_once(rotate(), rotate(), &[])),
    ]
}

#[allow(clippy::disallowed_methods, reason = "a person asks by a variable for the traces to be written anew")]
fn blesses() -> bool {
    std::env::var("BLESS").is_ok()
}

#[test]
fn ten_histories_are_as_they_are_told() {
    let folder = repository().join("tests/golden");
    for (name, history) in histories() {
        let path = folder.join(format!("{name}.trace"));
        let trace = history.trace.text();
        let findings: Vec<String> = history.world.auditor.findings().iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{name}: {findings:#?}\n{trace}");
        println!("{name}: {:?}", breaches(&history.world));
        if blesses() {
            fs::write(&path, &trace).unwrap();
        }
        let told = fs::read_to_string(&path).unwrap_or_default();
        let first = told.lines().zip(trace.lines()).find(|(told, now)| told != now);
        assert!(told == trace, "{} tells another history; the first difference: {first:#?}", path.display());
    }
}
