//! What chance has found, as short as it could be made: each of these histories ended badly once, for a reason that is
//! told with it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use serde_json::{Value, json};
use simulation::acts::{Act, Change};
use simulation::chance::{Chapter, Tale};
use simulation::hand::{Hand, Which};
use simulation::verdict::Verdict;
use simulation::wire::Fault;

fn run(days: u32, mode: &str) -> Chapter {
    Chapter { days, run: json!({ "mode": mode }), ..Chapter::default() }
}

fn ends_well(archive: bool, chapters: Vec<Chapter>) -> String {
    let verdict = Verdict::of(&Tale { seed: 1, chapters, late: false, archive }).unwrap();
    assert!(verdict.wrong.is_empty(), "{:#?}\n{}", verdict.wrong, verdict.trace);
    verdict.trace
}

/// Both slots were taken, no host could prove a dead key, so no slot ever became free, and no message said what to do:
/// now it names the rollback, which goes to the key that works.
#[test]
fn a_current_key_that_a_person_takes_out_of_use_right_after_its_promotion() {
    for hand in [Hand::Deactivate(Which::Current), Hand::DeleteKey(Which::Current)] {
        let taken = Chapter { before: vec![Act::By(hand)], ..run(0, "converge") };
        ends_well(false, vec![run(0, "rotate"), taken]);
    }
}

/// Hosts had proved the key in one credential, and were believed when the settings came to list a second one: the old
/// key was taken out of use while the second one held it.
#[test]
fn a_credential_that_comes_into_the_settings_after_the_proofs() {
    let listed = Chapter { change: Some(Change::ArchiveIsOurs(true)), ..run(1, "converge") };
    ends_well(true, vec![run(0, "rotate"), run(1, "converge"), listed, run(8, "converge")]);
}

/// The version that an intent names was stored, and lost its label to a person: every run made a key, could not store it
/// under the same token, and deleted it again, for ever.
#[test]
fn a_stored_version_whose_label_a_person_takes_off_before_it_is_pending() {
    let mut dies: Chapter = run(0, "rotate");
    dies.faults = (14..40).map(|call| (call, Fault::Denied)).collect();
    let unlabelled = Chapter { before: vec![Act::By(Hand::PrivateLabelOff(Which::Another))], ..run(1, "converge") };
    let trace = ends_well(false, vec![dies, unlabelled]);
    assert!(trace.contains("PutSecretValue: ResourceExistsException"), "{trace}");
}

/// A host that is restored between its answer and the ledger's entry is not believed: the entry is older than its disks.
#[test]
fn a_host_whose_disks_are_replaced_while_its_answer_is_read() {
    let restored: Vec<(u64, Act)> = (0..8).map(|step| (19_000 + step * 500, Act::Restore(1))).collect();
    let rotation = Chapter { during: restored, run: rotate(), ..Chapter::default() };
    ends_well(false, vec![rotation]);
}

fn rotate() -> Value {
    json!({ "mode": "rotate" })
}
