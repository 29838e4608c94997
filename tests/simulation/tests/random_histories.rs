//! Histories by chance, as many as the variable HISTORIES asks for: the guarantees hold at every event; and once faults
//! stop and every host is back, a bounded number of daily runs ends the rotation, or a refusal names what a person does
//! so that they do.
//!
//! `SHORTEN=0` shows a failing one as it was drawn, at once.
//! `make soak HISTORIES=100000 FIRST=1000` tells more of them, and what they covered.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::time::Instant;

use simulation::chance::Tale;
use simulation::coverage::Coverage;
use simulation::history::on_every_core;
use simulation::verdict::Verdict;

/// How many failing histories are named.
const NAMED: usize = 50;

fn judge(tale: &Tale) -> Verdict {
    Verdict::of(tale).unwrap()
}

/// The first thing that is wrong, without what differs from history to history: ids, times and numbers of events.
fn way_of_failing(wrong: &[String]) -> Vec<String> {
    let words = wrong.first().map(String::as_str).unwrap_or_default().split_whitespace();
    words.filter(|word| word.chars().all(char::is_alphabetic)).take(16).map(str::to_owned).collect()
}

#[allow(clippy::disallowed_methods, reason = "a person asks for more histories by a variable")]
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_history_breaks_a_guarantee_and_every_one_ends_well() {
    let (first, histories) = (number("FIRST", 0), number("HISTORIES", 1000));
    let begun = Instant::now();
    let tales: Vec<Tale> = (first..first + histories).map(Tale::draw).collect();
    let verdicts = on_every_core(&tales, |tale| {
        let Verdict { wrong, covered, .. } = judge(tale);
        (wrong, covered)
    });
    let seconds = begun.elapsed().as_secs_f64();
    let failing: Vec<(&Tale, &Vec<String>)> =
        tales.iter().zip(verdicts.iter().map(|(wrong, _)| wrong)).filter(|(_, wrong)| !wrong.is_empty()).collect();
    for (tale, wrong) in failing.iter().take(NAMED) {
        println!("FAILING {}: {wrong:?}", tale.seed);
    }
    let covered = verdicts.iter().map(|(_, covered)| covered.clone()).fold(Coverage::default(), Coverage::and);
    println!("{histories} histories in {seconds:.0} s, {:.1} a second", histories as f64 / seconds);
    println!("{covered}");
    println!("failing: {:?}", failing.iter().map(|(tale, _)| tale.seed).collect::<Vec<_>>());
    if let Some((tale, _)) = failing.first() {
        // It must go on failing in the same way: another failure is another history.
        let way = way_of_failing(&judge(tale).wrong);
        let is_short = number("SHORTEN", 1) == 0;
        let shortest = (*tale).clone().shortened(|tale| !is_short && way_of_failing(&judge(tale).wrong) == way);
        let Verdict { wrong, trace, .. } = judge(&shortest);
        panic!("{shortest:#?}\n{wrong:#?}\n{trace}");
    }
}
