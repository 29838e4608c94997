//! Small histories, each of one thing that fleets really meet: in each the guarantees hold, no nightly backup fails, and
//! a bounded number of daily runs later the rotation is over.
//!
//! They are here for mistakes that somebody has made: `tests/mistakes` holds the mistakes, and the test `mistakes` makes
//! each of them in a build to which it tells the history that must catch it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

mod calls;
mod hosts;
mod races;

use std::collections::BTreeMap;

use rotation::StepError;
use sandbox::fleet_file::{Chapter, FleetFile};
use serde_json::{Value, json};
use simulation::beginning::{fleet_of, host, settings};
use simulation::history::{History, in_its_own_time};
use simulation::judgement::{breaches, undone};
use simulation::wire::Fault;

/// What goes wrong on the wire, by the number of the call.
type Faults = BTreeMap<usize, Fault>;

/// A test a history, of the same name.
macro_rules! ends_well {
    ($($module:ident::$history:ident,)*) => {
        $(#[test]
        fn $history() {
            judge(stringify!($history), $module::$history());
        })*
    };
}

ends_well! {
    hosts::a_quiet_rotation,
    hosts::a_rotation_with_a_run_every_day,
    hosts::a_host_on_which_the_new_key_fails_at_first,
    hosts::a_host_that_is_silent_while_another_rotation_is_asked_for,
    hosts::a_value_that_a_person_stores_again,
    hosts::a_host_that_says_success_and_does_nothing,
    hosts::a_fleet_of_which_nobody_answers,
    hosts::a_stopped_host_that_comes_back_within_the_overlap,
    hosts::a_stopped_host_that_holds_the_old_key_alive,
    hosts::a_host_that_is_restored_and_backs_up_once_a_month,
    hosts::a_program_outside_the_fleet_that_uses_the_key,
    hosts::a_key_that_nothing_explains,
    hosts::a_leaked_key_and_a_silent_host,
    calls::a_death_after_create_access_key,
    calls::a_store_that_is_refused,
    calls::a_lost_key_and_a_lost_reply,
    calls::a_lost_key_and_a_late_list,
    calls::proofs_that_nobody_could_record,
    races::two_first_keys_at_once,
    races::a_rollback_while_a_retirement_is_late,
    races::an_abandonment_while_a_command_is_late,
    races::a_promotion_that_comes_late,
    races::a_promotion_that_looks_late,
}

/// A history of these hosts, with the settings of the published set-up but for some.
fn begin(hosts: Vec<Value>, different: &Value) -> History {
    begin_with(&fleet_of(hosts).unwrap(), different, Faults::new())
}

fn begin_with(file: &FleetFile, different: &Value, faults: Faults) -> History {
    let mut settings = settings();
    for (name, value) in different.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    History::begin(1, file, settings, faults).unwrap()
}

/// A host that differs from others.
fn host_but(number: u32, different: &Value) -> Value {
    let mut host = host(number);
    for (name, value) in different.as_object().into_iter().flatten() {
        host[name] = value.clone();
    }
    host
}

/// What people and EC2 do.
async fn act(history: &mut History, acts: &Value) {
    let mut chapter = acts.clone();
    (chapter["say"], chapter["run"]) = (json!(""), json!({}));
    let chapter: Chapter = serde_json::from_value(chapter).unwrap();
    history.world.live(&chapter).await.unwrap();
}

async fn rotate(history: &mut History) {
    history.run(json!({ "mode": "rotate" })).await;
}

/// Days without a backup, as of a fleet that backs up once a month: then no last use of a key holds up its retirement,
/// and the proofs alone must.
async fn idle_days(history: &History, days: u64) {
    history.world.clock.sleep(std::time::Duration::from_secs(24 * 3600 * days)).await;
}

/// The daily runs that are worth telling, until nothing is left to do.
async fn end(mut history: History) -> History {
    /// Belief, an orphan, an overdue rotation; then each wait in its turn.
    const DAYS: [u32; 12] = [1, 1, 1, 8, 8, 8, 8, 8, 8, 8, 8, 8];
    for days in DAYS {
        if undone(&history.world).is_empty() {
            break;
        }
        history.converge_after(days).await;
    }
    history
}

/// The end where a person has deleted the key: every host's backups fail until it has another one, which is the person's
/// doing and not the rotation's.
async fn end_without_backups(mut history: History) -> History {
    for _ in 0..3 {
        idle_days(&history, 1).await;
        history.run(json!({ "mode": "converge" })).await;
    }
    end(history).await
}

/// The same history twice: once for the number of the first call of an operation by a function, then with a fault there.
async fn struck(tell: impl AsyncFn(Faults) -> History, (function, operation): (&str, &str), fault: Fault) -> History {
    let quiet = tell(Faults::new()).await;
    let call = quiet.wire.points().iter().position(|point| point.function == function && point.operation == operation);
    tell(call.map(|call| (call, fault)).into_iter().collect()).await
}

/// Tells a history, and fails with all that is wrong with it and its trace.
fn judge(name: &str, telling: impl Future<Output = History>) {
    let history = in_its_own_time(1, telling).unwrap();
    let mut wrong = breaches(&history.world);
    wrong.extend(undone(&history.world).into_iter().map(|what| format!("left undone: {what}")));
    let strange = history.errors.iter().filter(|error| !StepError::NAMES.contains(&error.as_str()));
    wrong.extend(strange.map(|error| format!("an execution ended with {error}")));
    if !wrong.is_empty() || asks_for_traces() {
        println!("{}", history.trace.text());
    }
    if wrong.is_empty() {
        return;
    }
    // The test `mistakes` reads these lines.
    wrong.iter().for_each(|wrong| println!("finding in {name}: {wrong}"));
    panic!("{name} ends badly");
}

/// `TRACE=1` shows the histories that end well, too.
#[allow(clippy::disallowed_methods, reason = "a person asks for traces by a variable")]
fn asks_for_traces() -> bool {
    std::env::var("TRACE").is_ok()
}
