//! The story as data: all that the page shows, and nothing that it must work out from raw events.

use jiff::Timestamp;
use rotation::Settings;
use serde::Serialize;
use serde_json::Value;

use super::executions::{self, ExecutionStory};
use super::hosts::{self, HostLane};
use super::keys::{self, KeyLane};
use super::payloads::Payloads;
use super::recorder::Recorder;
use super::summary;
use crate::auditor::Finding;
use crate::cloud::{Caller, Cloud, Event};
use crate::machine::Execution;
use crate::world::{FailedBackup, World};

/// Where a story is taken from.
pub struct Sources<'a> {
    /// What was noted from the start.
    pub recorder: &'a Recorder,
    /// AWS, with its journal.
    pub cloud: &'a Cloud,
    /// The rotation's settings.
    pub settings: &'a Settings,
    /// Every execution so far.
    pub executions: &'a [Execution],
    /// The nightly backups that failed.
    pub failed_backups: &'a [FailedBackup],
    /// What the auditor found.
    pub findings: &'a [Finding],
}

/// Everything that the page shows. Times are milliseconds since 1970.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// The rotation's name.
    pub title: String,
    /// Whether no guarantee was broken and no nightly backup failed.
    pub held: bool,
    /// The one line that says so.
    pub verdict: String,
    /// What happened, in sentences.
    pub summary: Vec<String>,
    /// What did not hold: broken guarantees, failed backups.
    pub breaches: Vec<Breach>,
    /// The first moment.
    pub from: i64,
    /// The last moment.
    pub to: i64,
    /// The user's access keys, the oldest first.
    pub keys: Vec<KeyLane>,
    /// The hosts, by account, region and name.
    pub hosts: Vec<HostLane>,
    /// The executions, in the order of their starts.
    pub executions: Vec<ExecutionStory>,
    /// Inputs and outputs, each once; see [`super::payloads`].
    pub payloads: Vec<Value>,
}

/// Something that ought not to have happened.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// When.
    pub at: i64,
    /// What, and where.
    pub text: String,
}

/// A stretch of time in which something was so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span<T> {
    /// Since when.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// What was so.
    pub is: T,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark<K> {
    /// When.
    pub at: i64,
    /// Of which kind.
    pub kind: K,
    /// What happened, in words.
    pub text: String,
}

impl Story {
    /// The story so far.
    pub fn of(sources: &Sources<'_>) -> Story {
        let journal = sources.cloud.journal();
        let to = milliseconds(sources.cloud.clock().now());
        let keys = keys::lanes(sources, &journal, to);
        let hosts = hosts::lanes(sources, &journal, to);
        let mut payloads = Payloads::default();
        let executions = executions::stories(sources.executions, &sources.recorder.notes().chapters, &mut payloads);
        let held = sources.findings.is_empty() && sources.failed_backups.is_empty();
        let verdict = summary::verdict(sources);
        let summary = summary::sentences(sources, &journal, &keys, &hosts);
        let mut breaches = breaches(sources);
        breaches.sort_by_key(|breach| breach.at);
        let (title, from) = (sources.settings.rotation.clone(), milliseconds(sources.recorder.start));
        let payloads = payloads.into_table();
        Story { title, held, verdict, summary, breaches, from, to, keys, hosts, executions, payloads }
    }

    /// The story of a world.
    pub fn of_world(world: &World, recorder: &Recorder) -> Story {
        Story::of(&Sources {
            recorder,
            cloud: &world.cloud,
            settings: &world.settings,
            executions: &world.executions(),
            failed_backups: &world.failed_backups(),
            findings: &world.auditor.findings(),
        })
    }
}

fn breaches(sources: &Sources<'_>) -> Vec<Breach> {
    let broken = sources.findings.iter().map(|finding| Breach {
        at: milliseconds(finding.time),
        text: format!("Guarantee {} is broken: {}", finding.guarantee, finding.what),
    });
    let failed = sources.failed_backups.iter().map(|backup| Breach {
        at: milliseconds(backup.time),
        text: format!("The nightly backup of {} at {} failed: {}", backup.host, backup.endpoint, backup.cause),
    });
    broken.chain(failed).collect()
}

/// A time as the page counts it.
pub(super) fn milliseconds(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// Who did it, as a person would say it.
pub(super) fn who(event: &Event) -> String {
    match &event.caller {
        Caller::Function { name, .. } => name.clone(),
        Caller::InstanceRole { instance_id } => instance_id.clone(),
        Caller::AccessKey { access_key_id } => access_key_id.clone(),
        Caller::Person => "a person".to_owned(),
        Caller::Aws => "AWS".to_owned(),
    }
}

/// Turns changes (since when, and to what; nothing for not there) into the stretches between them. What lasted no time
/// is not shown, and what did not change is not cut.
pub(super) fn spans<T: Clone + PartialEq>(changes: &[(i64, Option<T>)], to: i64) -> Vec<Span<T>> {
    let mut spans: Vec<Span<T>> = Vec::new();
    for (place, (from, is)) in changes.iter().enumerate() {
        let until = changes.get(place + 1).map_or(to, |next| next.0);
        let Some(is) = is.clone().filter(|_| until > *from) else { continue };
        match spans.last_mut().filter(|last| last.to == *from && last.is == is) {
            Some(last) => last.to = until,
            None => spans.push(Span { from: *from, to: until, is }),
        }
    }
    spans
}
