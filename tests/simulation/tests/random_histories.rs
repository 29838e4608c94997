//! Histories by chance, as many as the variable HISTORIES asks for: the guarantees hold at every event; and once faults
//! stop and every host is back, a bounded number of daily runs ends the rotation.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use rotation::StepError;
use sandbox::cloud::InstanceState;
use sandbox::fleet_file::Chapter;
use simulation::beginning::{fleet, settings};
use simulation::chance::{HOSTS, Tale, homecoming};
use simulation::history::{History, in_its_own_time, on_every_core};
use simulation::judgement::undone;

/// Days between the runs after the last fault: belief, an orphan, an overdue rotation; then each wait in its turn. A
/// history that began a rotation late may need them all.
const DAYS: [u32; 12] = [1, 1, 1, 8, 8, 8, 8, 8, 8, 8, 8, 8];

async fn told(tale: &Tale) -> History {
    let mut file = fleet(HOSTS).unwrap();
    file.late_visibility = tale.late;
    let mut history = History::begin(tale.seed, &file, settings(), tale.faults.clone()).unwrap();
    for chapter in &tale.chapters {
        let chapter: Chapter = serde_json::from_value(chapter.clone()).unwrap();
        history.world.live(&chapter).await.unwrap();
        // A key that is not there any more cannot have leaked.
        if let Ok(input) = history.world.fill_in(&chapter.run) {
            history.run(input).await;
        }
    }
    history.wire.heal();
    let instances = history.world.cloud.instances();
    let ids = |wanted: fn(&sandbox::cloud::views::InstanceView) -> bool| -> Vec<String> {
        instances.iter().filter(|instance| wanted(instance)).map(|instance| instance.instance_id.clone()).collect()
    };
    let stopped = ids(|instance| instance.state == InstanceState::Stopped);
    let silent = ids(|instance| instance.state == InstanceState::Running && !instance.online);
    let left = ids(|instance| !instance.tags.contains_key("SQL"));
    let home = homecoming(&stopped, &silent, &left).unwrap();
    history.world.live(&home).await.unwrap();
    for days in DAYS {
        history.converge_after(days).await;
        if undone(&history.world).is_empty() {
            break;
        }
    }
    history
}

/// What is wrong with a tale, and its trace.
fn wrong(tale: &Tale) -> (Vec<String>, String) {
    let history = in_its_own_time(tale.seed, told(tale)).unwrap();
    let mut wrong: Vec<String> = history.world.auditor.findings().iter().map(ToString::to_string).collect();
    wrong.extend(undone(&history.world));
    let strange = history.errors.iter().filter(|error| !StepError::NAMES.contains(&error.as_str()));
    wrong.extend(strange.map(|error| format!("an execution ended with {error}")));
    (wrong, history.trace.text())
}

#[allow(clippy::disallowed_methods, reason = "a person asks for more histories by a variable")]
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_history_breaks_a_guarantee_and_every_one_ends_well() {
    let (first, histories) = (number("FIRST", 0), number("HISTORIES", 100));
    let tales: Vec<Tale> = (first..first + histories).map(Tale::draw).collect();
    let verdicts = on_every_core(&tales, |tale| wrong(tale).0);
    let failing: Vec<&Tale> =
        tales.iter().zip(&verdicts).filter(|(_, wrong)| !wrong.is_empty()).map(|(tale, _)| tale).collect();
    println!("{histories} histories, failing: {:?}", failing.iter().map(|tale| tale.seed).collect::<Vec<_>>());
    if let Some(tale) = failing.first() {
        let shortest = (*tale).clone().shortened(|tale| !wrong(tale).0.is_empty());
        let (wrong, trace) = wrong(&shortest);
        panic!("{shortest:#?}\n{wrong:#?}\n{trace}");
    }
}
