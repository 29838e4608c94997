//! The paragraph at the top: what happened, and whether everything held, for somebody who reads nothing else.

use jiff::Timestamp;

use super::executions::failed_as_told;
use super::hosts::{HostLane, HostMoment, Outage, Stray};
use super::keys::{KeyLane, KeyMoment, KeyPhase};
use super::story::Sources;
use crate::cloud::{Effect, Event, Outcome};
use crate::machine::{Execution, ExecutionStatus};

/// So many hosts are named one by one.
const NAMED: usize = 3;

/// The one line.
pub(super) fn verdict(sources: &Sources<'_>) -> String {
    let troubles = [
        (sources.findings.len(), "broken guarantee", "was found", "were found"),
        (sources.failed_backups.len(), "nightly backup", "failed", "failed"),
        (ended_badly(sources).filter(|(_, as_told)| !as_told).count(), "execution", "failed", "failed"),
    ];
    let told: Vec<String> = troubles
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, what, one, many)| format!("{} {}", count(number, what), verb(number, one, many)))
        .collect();
    let held = sources.findings.is_empty() && sources.failed_backups.is_empty();
    match (held, told.is_empty()) {
        (true, true) => "Everything held.".to_owned(),
        (true, false) => format!("Everything held; {}.", list(&told)),
        (false, _) => format!("{}.", list(&told)),
    }
}

/// Every execution that failed, and whether its chapter says that it was to.
fn ended_badly<'a>(sources: &Sources<'a>) -> impl Iterator<Item = (&'a Execution, bool)> {
    let is_well = |status| matches!(status, ExecutionStatus::Succeeded | ExecutionStatus::Running);
    let chapters = sources.recorder.notes().chapters;
    let bad = sources.executions.iter().filter(move |execution| !is_well(execution.status));
    bad.map(move |execution| (execution, failed_as_told(execution, chapters.get(&execution.name))))
}

/// The sentences.
pub(super) fn sentences(sources: &Sources<'_>, journal: &[Event], keys: &[KeyLane], hosts: &[HostLane]) -> Vec<String> {
    let mut sentences = vec![opening(sources, hosts)];
    sentences.extend(keys.iter().filter_map(course_of_a_key));
    sentences.extend(standing(keys, hosts));
    sentences.extend(troubles(hosts));
    sentences.extend(failed_executions(sources));
    sentences.push(guarantees(sources, journal));
    sentences
}

fn opening(sources: &Sources<'_>, hosts: &[HostLane]) -> String {
    let (start, end) = (sources.recorder.start, sources.cloud.clock().now());
    let mut regions: Vec<_> = hosts.iter().map(|host| (&host.account, &host.region)).collect();
    regions.dedup();
    format!(
        "From {} to {}, {} looked after the access key of {} on {} in {}.",
        start.strftime("%-d %B %Y, %H:%M"),
        end.strftime("%-d %B %Y, %H:%M UTC"),
        count(sources.executions.len(), "execution"),
        sources.settings.subject(),
        count(hosts.len(), "host"),
        count(regions.len(), "region"),
    )
}

/// What became of one key, if anything did.
fn course_of_a_key(key: &KeyLane) -> Option<String> {
    let moment = |kind| key.marks.iter().find(|mark| mark.kind == kind).map(|mark| mark.at);
    let clauses = [
        (KeyMoment::Made, "was made"),
        (KeyMoment::Staged, "was staged for the hosts"),
        (KeyMoment::Current, "became current"),
        (KeyMoment::Abandoned, "was abandoned"),
        (KeyMoment::Leaked, "was declared leaked"),
        (KeyMoment::Inactive, "went Inactive"),
        (KeyMoment::Gone, "was deleted"),
    ];
    let mut told = Vec::new();
    let mut before = None;
    for (kind, words) in clauses {
        let Some(at) = moment(kind) else { continue };
        let when = before.map_or_else(|| moment_in_words(at), |before| duration_after(before, at));
        told.push(format!("{words} {when}"));
        before = Some(at);
    }
    (!told.is_empty()).then(|| format!("Key {} {}.", key.id, list(&told)))
}

/// Which hosts hold the current key now.
fn standing(keys: &[KeyLane], hosts: &[HostLane]) -> Option<String> {
    let is_current = |key: &&KeyLane| key.spans.last().is_some_and(|last| last.is == KeyPhase::Current);
    let current = &keys.iter().find(is_current)?.id;
    let mut lacking = Vec::new();
    let (mut holding, mut nothing) = (0, 0);
    let end = hosts.iter().flat_map(|host| &host.there).map(|there| there.to).max();
    for host in hosts.iter().filter(|host| host.there.last().map(|there| there.to) == end) {
        let mut held = host.strips.iter().filter_map(|strip| strip.spans.last());
        match (host.strips.is_empty(), held.all(|held| held.is == *current)) {
            (true, _) => nothing += 1,
            (false, true) => holding += 1,
            (false, false) => lacking.push(host),
        }
    }
    let mut text = format!("At the end {} {} the current key", count(holding, "host"), verb(holding, "holds", "hold"));
    if !lacking.is_empty() {
        let others = verb(lacking.len(), "holds another", "hold another");
        text.push_str(&format!("; {} {others}", names(&lacking)));
    }
    if nothing > 0 {
        text.push_str(&format!("; {} {} nothing to hold", count(nothing, "host"), verb(nothing, "has", "have")));
    }
    text.push('.');
    Some(text)
}

/// What was wrong with hosts on the way.
fn troubles(hosts: &[HostLane]) -> Option<String> {
    let with_outage =
        |kind: Outage| hosts.iter().filter(|host| host.outages.iter().any(|outage| outage.is == kind)).collect();
    let with_mark = |kind: HostMoment| {
        hosts.iter().filter(|host| host.marks.iter().any(|mark| mark.kind == kind)).collect::<Vec<_>>()
    };
    let (late, lacking): (Vec<_>, Vec<_>) =
        with_mark(HostMoment::Failed).into_iter().partition(|host| was_brought_in(host));
    let is_left = |host: &&HostLane| host.strays.iter().any(|stray| stray.is == Stray::Left);
    let clauses: [(Vec<&HostLane>, &str); 8] = [
        (with_outage(Outage::Stopped), "stopped"),
        (with_outage(Outage::Silent), "silent"),
        (late, "not brought in at the first attempt"),
        (lacking, "commanded without success to the last"),
        (with_mark(HostMoment::Launched), "launched"),
        (with_mark(HostMoment::Restored), "put back to an older disk"),
        (hosts.iter().filter(is_left).collect(), "named as left for want of a tag"),
        (with_mark(HostMoment::Terminated), "terminated"),
    ];
    let told: Vec<String> = clauses
        .into_iter()
        .filter(|(hosts, _)| !hosts.is_empty())
        .map(|(hosts, words)| format!("{} {} {words}", names(&hosts), verb(hosts.len(), "was", "were")))
        .collect();
    (!told.is_empty()).then(|| format!("{}.", list(&told)))
}

/// Whether a host proved after its last failure.
fn was_brought_in(host: &HostLane) -> bool {
    let last = |kind| host.marks.iter().rev().find(|mark| mark.kind == kind).map(|mark| mark.at);
    last(HostMoment::Proved) > last(HostMoment::Failed)
}

fn failed_executions(sources: &Sources<'_>) -> Option<String> {
    let told: Vec<String> = ended_badly(sources)
        .map(|(execution, as_told)| {
            let error = execution.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
            let told = if as_told { ", as it was to" } else { "" };
            format!("{} ended {}{error}{told}", execution.name, execution.status)
        })
        .collect();
    (!told.is_empty()).then(|| format!("{}.", list(&told)))
}

fn guarantees(sources: &Sources<'_>, journal: &[Event]) -> String {
    let is_nightly = |effect: &Effect| matches!(effect, Effect::ObjectStored { key, .. } if key.contains("nightly/"));
    let done = journal.iter().filter(|event| event.outcome == Outcome::Done);
    let made = done.filter(|event| event.effects.iter().any(is_nightly)).count();
    let backups = match (made, sources.failed_backups.len()) {
        (0, 0) => "No night passed".to_owned(),
        (made, 0) => format!("{} {} made and none failed", count(made, "nightly backup"), verb(made, "was", "were")),
        (made, failed) => {
            format!("{} {} made and {failed} failed", count(made, "nightly backup"), verb(made, "was", "were"))
        }
    };
    match sources.findings.len() {
        0 => format!("{backups}; no guarantee was broken at any instant."),
        broken => format!("{backups}; {} found.", count(broken, "broken guarantee")),
    }
}

fn moment_in_words(at: i64) -> String {
    let time = Timestamp::from_millisecond(at).unwrap_or_default();
    time.strftime("on %-d %B at %H:%M:%S").to_string()
}

fn duration_after(before: i64, at: i64) -> String {
    let seconds = (at - before) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let number = |value: i64, word: &str| count(usize::try_from(value).unwrap_or_default(), word);
    let text = match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, _) => number(hours, "hour"),
        (days, _, _) => number(days, "day"),
    };
    format!("{text} later")
}

fn names(hosts: &[&HostLane]) -> String {
    if hosts.len() <= NAMED {
        return list(&hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>());
    }
    count(hosts.len(), "host")
}

/// `a`, `a and b`, `a, b and c`.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

fn verb(number: usize, one: &'static str, many: &'static str) -> &'static str {
    if number == 1 { one } else { many }
}
