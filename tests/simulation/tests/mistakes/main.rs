//! Deliberate mistakes, those of published solutions and those of tired maintainers: each is made in a copy of the
//! product, and a small history must catch it. A simulation that cannot catch them proves nothing.
//!
//! A mistake is a patch in `tests/mistakes`, active only where the variable MISTAKE names it; so one build of one copy
//! serves them all, the product itself has no switch, and the copy without a mistake is shown to be the product.
//! `ONLY=<name>` looks at one mistake.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

mod copy;
mod mistake;

use std::path::Path;
use std::process::Command;

use copy::Copy;
use mistake::Mistake;
use simulation::history::on_every_core;

/// What the histories said: whether all that were told ended well, and what was found.
struct Told {
    is_well: bool,
    findings: Vec<String>,
}

/// Tells small histories to a build of the copy; all of them, or one.
fn tell(histories: &Path, folder: &Path, mistake: Option<&Mistake>) -> Told {
    let mut command = Command::new(histories);
    command.current_dir(folder).arg("--nocapture").env_remove("MISTAKE").env("RUST_BACKTRACE", "0");
    if let Some(mistake) = mistake {
        command.args(["--exact", &mistake.history]).env("MISTAKE", &mistake.name);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let findings = text.lines().filter_map(|line| line.split_once("finding in ")).map(|(_, found)| found.to_owned());
    Told { is_well: output.status.success(), findings: findings.collect() }
}

/// Why a mistake counts as not caught, if it does.
fn escaped(histories: &Path, folder: &Path, mistake: &Mistake) -> Option<String> {
    let told = tell(histories, folder, Some(mistake));
    let caught = format!("{}: {}", mistake.history, mistake.caught);
    let finding = told.findings.iter().find(|finding| finding.starts_with(&caught));
    match finding.filter(|_| !told.is_well) {
        Some(finding) => {
            println!("{}: {finding}", mistake.name);
            None
        }
        None => Some(format!(
            "{}: {} ought to end with \"{}\", and what was found there is {:#?}",
            mistake.name, mistake.history, mistake.caught, told.findings
        )),
    }
}

#[allow(clippy::disallowed_methods, reason = "a person asks for one mistake by a variable")]
fn asked() -> Option<String> {
    std::env::var("ONLY").ok()
}

#[test]
fn every_mistake_is_caught_and_without_one_all_is_well() {
    let mistakes = Mistake::all();
    let copy = Copy::of_the_sources_with(&mistakes);
    let (histories, folder) = (copy.build("small_histories"), copy.package("tests/simulation"));
    let asked = asked();
    if asked.is_none() {
        let told = tell(&histories, &folder, None);
        assert!(told.is_well, "the copy is not the product: without a mistake it finds {:#?}", told.findings);
    }
    let wanted: Vec<&Mistake> =
        mistakes.iter().filter(|mistake| asked.as_ref().is_none_or(|asked| *asked == mistake.name)).collect();
    assert!(!wanted.is_empty(), "tests/mistakes holds no mistake that was asked for");
    let escaped = on_every_core(&wanted, |mistake| escaped(&histories, &folder, mistake));
    let escaped: Vec<String> = escaped.into_iter().flatten().collect();
    assert!(escaped.is_empty(), "{} of {} mistakes escape:\n{}", escaped.len(), wanted.len(), escaped.join("\n"));
    println!("{} mistakes, each caught", wanted.len());
}
