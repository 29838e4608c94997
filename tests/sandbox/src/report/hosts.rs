//! The hosts: what each held when, when it proved, when something was wrong with it, and what was done to it.

mod acts;

use std::collections::BTreeMap;

use rotation::host_answer::HostAnswer;
use rotation::ledger::LedgerEntry;
use rotation::names::ledger_tag;
use serde::Serialize;
use serde_json::Value;

use super::recorder::Holding;
use super::story::{Mark, Sources, Span, milliseconds, spans};
use crate::cloud::views::InstanceView;
use crate::cloud::{Caller, Effect, Event, InstanceState, InvocationStatus};

/// One host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostLane {
    /// `i-…`
    pub id: String,
    /// Its Name tag, else its id.
    pub name: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// From its launch, or the story's start, to its termination, or the story's end.
    pub there: Vec<Span<()>>,
    /// What each credential on it held.
    pub strips: Vec<Strip>,
    /// When it was stopped, or its agent did not answer.
    pub outages: Vec<Span<Outage>>,
    /// When it did not match the fleet's tags.
    pub strays: Vec<Span<Stray>>,
    /// Proofs, troubles, and what people and EC2 did to it.
    pub marks: Vec<Mark<HostMoment>>,
}

/// One credential of one SQL Server instance; where nothing is held, there is no stretch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Strip {
    /// The SQL Server instance.
    pub endpoint: String,
    /// The credential's name.
    pub credential: String,
    /// The access keys that it held.
    pub spans: Vec<Span<String>>,
}

/// Why a host could not be commanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outage {
    /// EC2 does not run it.
    Stopped,
    /// It runs, and its SSM agent does not answer.
    Silent,
}

/// How a host stands that does not match the fleet's tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stray {
    /// It bears the ledger's tag: it is named, and holds up retirement.
    Left,
    /// Nothing says that it ever belonged to the fleet.
    Outside,
}

/// What can happen to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HostMoment {
    /// The ledger says that it proved a version.
    Proved,
    /// The ledger says that it has no instance that could hold the credential.
    NothingToHold,
    /// A command on it failed.
    Failed,
    /// A command did not reach it, or was not answered, in time.
    NoAnswer,
    /// A nightly backup failed.
    BackupFailed,
    /// Its disks were replaced by older ones.
    Restored,
    /// It came to be.
    Launched,
    /// It runs after a stop.
    Started,
    /// It was stopped.
    Stopped,
    /// It is gone for good.
    Terminated,
    /// A person put a tag on it.
    Tagged,
    /// A person took a tag off it.
    TagLost,
}

/// A host while the journal is read: EC2's word and the agent's.
struct Course {
    state: InstanceState,
    agent_answers: bool,
    changes: Vec<(i64, Option<Outage>)>,
    there: Vec<(i64, Option<()>)>,
    tags: BTreeMap<String, String>,
    strays: Vec<(i64, Option<Stray>)>,
    marks: Vec<Mark<HostMoment>>,
}

/// A lane for every host that there was at any time, by account, region and name.
pub(super) fn lanes(sources: &Sources<'_>, journal: &[Event], to: i64) -> Vec<HostLane> {
    let notes = sources.recorder.notes();
    let start = milliseconds(sources.recorder.start);
    let mut courses: BTreeMap<&str, Course> =
        notes.instances.iter().map(|(id, instance)| (id.as_str(), Course::of(instance))).collect();
    let tag = ledger_tag(&sources.settings.rotation);
    let mut waves = BTreeMap::new();
    for event in journal {
        let is_set_up = event.number <= sources.recorder.set_up_events;
        let at = if is_set_up { start } else { milliseconds(event.time) };
        for effect in &event.effects {
            read_outage(&mut courses, at, effect);
            acts::read_tags(&mut courses, at, effect, sources.settings);
            if !is_set_up {
                acts::read_act(&mut courses, event, effect);
            }
            read_mark(&mut courses, event, effect, &tag, &mut waves);
        }
    }
    for backup in sources.failed_backups {
        let text = format!("the nightly backup at {} failed: {}", backup.endpoint, backup.cause);
        let mark = Mark { at: milliseconds(backup.time), kind: HostMoment::BackupFailed, text };
        courses.get_mut(backup.host.as_str()).into_iter().for_each(|course| course.marks.push(mark.clone()));
    }
    let lane = |(id, course): (&str, Course)| {
        let instance = notes.instances.get(id)?;
        let held = notes.held.get(id).map_or(&[][..], Vec::as_slice);
        Some(course.into_lane(instance, held, to))
    };
    let mut lanes: Vec<HostLane> = courses.into_iter().filter_map(lane).collect();
    lanes.sort_by(|a, b| (&a.account, &a.region, &a.name, &a.id).cmp(&(&b.account, &b.region, &b.name, &b.id)));
    lanes
}

impl Course {
    /// Before the journal says anything about it. A host whose agent is no managed node at all is silent for ever.
    fn of(instance: &InstanceView) -> Course {
        let agent_answers = instance.online || instance.state != InstanceState::Running;
        Course {
            state: instance.state,
            agent_answers,
            changes: Vec::new(),
            there: Vec::new(),
            tags: instance.tags.clone(),
            strays: Vec::new(),
            marks: Vec::new(),
        }
    }

    fn note(&mut self, at: i64) {
        let is_gone = matches!(self.state, InstanceState::ShuttingDown | InstanceState::Terminated);
        let outage = match self.state {
            InstanceState::Running if self.agent_answers => None,
            InstanceState::Running => Some(Outage::Silent),
            InstanceState::Pending | InstanceState::Stopping | InstanceState::Stopped => Some(Outage::Stopped),
            InstanceState::ShuttingDown | InstanceState::Terminated => None,
        };
        self.changes.push((at, outage));
        self.there.push((at, (!is_gone).then_some(())));
    }

    fn into_lane(self, instance: &InstanceView, held: &[Holding], to: i64) -> HostLane {
        let there = spans(&self.there, to);
        let end = there.last().map_or(to, |last| last.to);
        let mut marks = self.marks;
        marks.sort_by_key(|mark| mark.at);
        HostLane {
            id: instance.instance_id.clone(),
            name: instance.tags.get("Name").unwrap_or(&instance.instance_id).clone(),
            account: instance.account.clone(),
            region: instance.region.clone(),
            strips: strips(held, end),
            outages: spans(&self.changes, end),
            strays: spans(&self.strays, end),
            there,
            marks,
        }
    }
}

/// A strip for every credential that was ever there.
fn strips(held: &[Holding], to: i64) -> Vec<Strip> {
    let places = held.iter().flat_map(|holding| &holding.keys);
    let mut places: Vec<(&str, &str)> = places.map(|key| (key.endpoint.as_str(), key.credential.as_str())).collect();
    places.sort_unstable();
    places.dedup();
    let strip = |(endpoint, credential): (&str, &str)| {
        let key_then = |holding: &Holding| {
            let mut keys = holding.keys.iter();
            let here = keys.find(|key| key.endpoint == endpoint && key.credential == credential);
            (milliseconds(holding.since), here.map(|key| key.access_key_id.clone()))
        };
        let changes: Vec<_> = held.iter().map(key_then).collect();
        Strip { endpoint: endpoint.to_owned(), credential: credential.to_owned(), spans: spans(&changes, to) }
    };
    places.into_iter().map(strip).collect()
}

#[allow(clippy::wildcard_enum_match_arm, reason = "only what concerns a host's presence is read here")]
fn read_outage(courses: &mut BTreeMap<&str, Course>, at: i64, effect: &Effect) {
    let (id, state, agent) = match effect {
        Effect::InstanceChanged { instance_id, to, .. } => (instance_id, Some(*to), None),
        Effect::AgentChanged { instance_id, online } => (instance_id, None, Some(*online)),
        _ => return,
    };
    let Some(course) = courses.get_mut(id.as_str()) else { return };
    course.state = state.unwrap_or(course.state);
    course.agent_answers = agent.unwrap_or(course.agent_answers);
    course.note(at);
}

#[allow(clippy::wildcard_enum_match_arm, reason = "only proofs and troubles are read here")]
fn read_mark<'a>(
    courses: &mut BTreeMap<&str, Course>,
    event: &'a Event,
    effect: &'a Effect,
    ledger_tag: &str,
    waves: &mut BTreeMap<&'a str, &'a str>,
) {
    let (id, kind, text) = match effect {
        Effect::CommandSent { command_id, comment, .. } => {
            waves.insert(command_id, comment);
            return;
        }
        Effect::TagsChanged { resource, set, .. } if matches!(event.caller, Caller::Function { .. }) => {
            let Some(entry) = set.get(ledger_tag).and_then(|entry| LedgerEntry::parse(entry)) else { return };
            let kind = if entry.nothing { HostMoment::NothingToHold } else { HostMoment::Proved };
            (resource, kind, proof(&entry))
        }
        Effect::InvocationEnded { command_id, instance_id, status, status_details } => {
            let wave = waves.get(command_id.as_str()).copied().unwrap_or(command_id);
            let Some((kind, why)) = trouble(*status, status_details, &event.input) else { return };
            (instance_id, kind, format!("{why} ({wave})"))
        }
        _ => return,
    };
    note_mark(courses, event, id, kind, text);
}

fn note_mark(courses: &mut BTreeMap<&str, Course>, event: &Event, id: &str, kind: HostMoment, text: String) {
    let mark = Mark { at: milliseconds(event.time), kind, text };
    courses.get_mut(id).into_iter().for_each(|course| course.marks.push(mark.clone()));
}

fn proof(entry: &LedgerEntry) -> String {
    let version = &entry.version;
    let what = if entry.nothing { "has no instance that could hold" } else { "proved" };
    let blocked = if entry.blocked { "; a credential on it stands in the way of retirement" } else { "" };
    format!("{what} version {version}{blocked}")
}

/// How an invocation went wrong, if it did.
fn trouble(status: InvocationStatus, details: &str, input: &Value) -> Option<(HostMoment, String)> {
    match status {
        InvocationStatus::Failed => Some((HostMoment::Failed, format!("answered failed: {}", causes(input)))),
        InvocationStatus::TimedOut if details == "Delivery Timed Out" => {
            Some((HostMoment::NoAnswer, "the command did not reach it".to_owned()))
        }
        InvocationStatus::TimedOut => {
            Some((HostMoment::NoAnswer, format!("the command ended by its time-out: {details}")))
        }
        InvocationStatus::Cancelled => {
            Some((HostMoment::NoAnswer, "the command was cancelled before it ended".to_owned()))
        }
        // A host is believed by its own answer alone; SSM calls a step that was skipped a success as well.
        InvocationStatus::Success if answer(input).is_none() => {
            Some((HostMoment::Failed, format!("answered nothing that is a proof: {}", causes(input))))
        }
        InvocationStatus::Pending
        | InvocationStatus::InProgress
        | InvocationStatus::Delayed
        | InvocationStatus::Cancelling
        | InvocationStatus::Success => None,
    }
}

/// The host's own words, else the start of what its script printed.
fn causes(input: &Value) -> String {
    let Some(answer) = answer(input) else {
        return outputs(input).collect::<Vec<_>>().join(" ").trim().chars().take(300).collect();
    };
    let named = answer.failures.iter().map(|failure| {
        let place = if failure.instance.is_empty() { String::new() } else { format!(" at {}", failure.instance) };
        format!("{}{place}: {}", failure.error.name(), failure.message)
    });
    named.collect::<Vec<_>>().join("; ")
}

/// What a host answered; nothing where it printed no answer.
fn answer(input: &Value) -> Option<HostAnswer> {
    let parsed = |output: &str| {
        // Behind the answer SSM puts what the script wrote to stderr.
        let mut values = serde_json::Deserializer::from_str(output).into_iter::<HostAnswer>();
        values.next().and_then(Result::ok)
    };
    outputs(input).find_map(parsed)
}

fn outputs(input: &Value) -> impl Iterator<Item = &str> {
    let plugins = input["CommandPlugins"].as_array().map_or(&[][..], Vec::as_slice);
    plugins.iter().filter_map(|plugin| plugin["Output"].as_str())
}
