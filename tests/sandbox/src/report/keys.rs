//! The access keys: made, staged, current, kept through the overlap, Inactive, gone; and who made it so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rotation::names::{AWSCURRENT, AWSPENDING};
use serde::Serialize;

use super::story::{Mark, Sources, Span, milliseconds, spans, who};
use crate::cloud::{Effect, Event, KeyStatus};
use crate::machine::Execution;

/// One access key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyLane {
    /// Its id.
    pub id: String,
    /// When it was made, which may be long before the story.
    pub made: i64,
    /// How it stood, from its making until it was gone.
    pub spans: Vec<Span<KeyPhase>>,
    /// What was done to it, and by whom.
    pub marks: Vec<Mark<KeyMoment>>,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyPhase {
    /// Active, and its version bears no label that anyone follows.
    Made,
    /// Active, and AWSPENDING is on its version: hosts are brought to it.
    Staged,
    /// Active, and AWSCURRENT is on its version: everyone reads it.
    Current,
    /// Active although another key is current, since a host may still need it.
    Kept,
    /// Inactive: it works nowhere, and can be made Active again.
    Inactive,
}

/// What can happen to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum KeyMoment {
    Made,
    Staged,
    Current,
    Abandoned,
    Leaked,
    Active,
    Inactive,
    Gone,
}

/// A key while the journal is read.
struct Course {
    made: i64,
    status: Option<KeyStatus>,
    was_current: bool,
    changes: Vec<(i64, Option<KeyPhase>)>,
    marks: Vec<Mark<KeyMoment>>,
}

/// What the journal has said so far.
struct Reading<'a> {
    user: &'a str,
    secret: Option<String>,
    start: i64,
    set_up_events: u64,
    made_before: BTreeMap<&'a str, Timestamp>,
    key_of_version: BTreeMap<String, String>,
    holder: BTreeMap<&'static str, String>,
    keys: BTreeMap<String, Course>,
}

/// A lane for every key that the user had at any time, the oldest first.
pub(super) fn lanes(sources: &Sources<'_>, journal: &[Event], to: i64) -> Vec<KeyLane> {
    let user = sources.settings.subject();
    let made_before = sources.recorder.keys.iter().map(|key| (key.access_key_id.as_str(), key.created));
    let mut reading = Reading {
        user: &user,
        secret: sources.cloud.secret(&sources.settings.secret.id).map(|secret| secret.arn),
        start: milliseconds(sources.recorder.start),
        set_up_events: sources.recorder.set_up_events,
        made_before: made_before.collect(),
        key_of_version: BTreeMap::new(),
        holder: BTreeMap::new(),
        keys: BTreeMap::new(),
    };
    journal.iter().for_each(|event| event.effects.iter().for_each(|effect| reading.read(event, effect)));
    sources.executions.iter().for_each(|execution| reading.read_leak(execution));
    let lane = |(id, mut course): (String, Course)| {
        course.marks.sort_by_key(|mark| mark.at);
        KeyLane { id, made: course.made, spans: spans(&course.changes, to), marks: course.marks }
    };
    let mut lanes: Vec<KeyLane> = reading.keys.into_iter().map(lane).collect();
    lanes.sort_by_key(|lane| (lane.made, lane.id.clone()));
    lanes
}

impl Reading<'_> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "only what concerns keys is read here")]
    fn read(&mut self, event: &Event, effect: &Effect) {
        match effect {
            Effect::KeyCreated { user_name, access_key_id } if user_name == self.user => {
                let known = self.made_before.get(access_key_id.as_str());
                let made = milliseconds(known.copied().unwrap_or(event.time));
                let course = Course {
                    made,
                    status: Some(KeyStatus::Active),
                    was_current: false,
                    changes: Vec::new(),
                    marks: Vec::new(),
                };
                self.keys.insert(access_key_id.clone(), course);
                self.mark(event, access_key_id, KeyMoment::Made, "made");
            }
            Effect::KeyStatusChanged { access_key_id, to, .. } => {
                self.set_status(access_key_id, Some(*to));
                match to {
                    KeyStatus::Active => self.mark(event, access_key_id, KeyMoment::Active, "made Active"),
                    KeyStatus::Inactive | KeyStatus::Expired => {
                        self.mark(event, access_key_id, KeyMoment::Inactive, "made Inactive");
                    }
                }
            }
            Effect::KeyDeleted { access_key_id, .. } => {
                self.set_status(access_key_id, None);
                self.mark(event, access_key_id, KeyMoment::Gone, "deleted");
            }
            Effect::VersionStored { secret_arn, version_id, access_key_id: Some(key) } if self.is_ours(secret_arn) => {
                self.key_of_version.insert(version_id.clone(), key.clone());
            }
            Effect::LabelMoved { secret_arn, label, to, .. } if self.is_ours(secret_arn) => {
                self.move_label(event, label, to.as_ref());
            }
            _ => return,
        }
        let is_set_up = event.number <= self.set_up_events;
        self.note_phases(if is_set_up { self.start } else { milliseconds(event.time) });
    }

    fn is_ours(&self, secret_arn: &str) -> bool {
        self.secret.as_deref() == Some(secret_arn)
    }

    fn set_status(&mut self, id: &str, status: Option<KeyStatus>) {
        if let Some(course) = self.keys.get_mut(id) {
            course.status = status;
        }
    }

    fn move_label(&mut self, event: &Event, label: &str, to: Option<&String>) {
        let (label, moment, word) = match label {
            AWSCURRENT => (AWSCURRENT, KeyMoment::Current, "AWSCURRENT"),
            AWSPENDING => (AWSPENDING, KeyMoment::Staged, "AWSPENDING"),
            _ => return,
        };
        let Some(version) = to else {
            let from = self.holder.remove(label);
            self.note_abandoned(event, label, from.as_ref());
            return;
        };
        self.holder.insert(label, version.clone());
        let Some(key) = self.key_of_version.get(version).cloned() else { return };
        if let Some(course) = self.keys.get_mut(&key) {
            course.was_current |= label == AWSCURRENT;
        }
        self.mark(event, &key, moment, &format!("{word} put on version {version}"));
    }

    /// AWSPENDING goes off a version that never was current: a rotation is given up. (A promotion moves AWSCURRENT first.)
    fn note_abandoned(&mut self, event: &Event, label: &str, version: Option<&String>) {
        let Some(version) =
            version.filter(|version| label == AWSPENDING && self.holder.get(AWSCURRENT) != Some(version))
        else {
            return;
        };
        if let Some(key) = self.key_of_version.get(version).cloned() {
            self.mark(event, &key, KeyMoment::Abandoned, &format!("AWSPENDING taken off version {version}"));
        }
    }

    /// A person says so in an execution's input.
    fn read_leak(&mut self, execution: &Execution) {
        let Some(course) = execution.input["compromised"].as_str().and_then(|key| self.keys.get_mut(key)) else {
            return;
        };
        let text = format!("declared leaked in the input of {}", execution.name);
        course.marks.push(Mark { at: milliseconds(execution.start_date), kind: KeyMoment::Leaked, text });
    }

    /// What was so before the story began is no moment of it.
    fn mark(&mut self, event: &Event, id: &str, kind: KeyMoment, what: &str) {
        let course = self.keys.get_mut(id).filter(|_| event.number > self.set_up_events);
        let mark = Mark { at: milliseconds(event.time), kind, text: format!("{what} by {}", who(event)) };
        course.into_iter().for_each(|course| course.marks.push(mark.clone()));
    }

    fn note_phases(&mut self, at: i64) {
        let key_of = |label: &str| self.holder.get(label).and_then(|version| self.key_of_version.get(version));
        let (current, pending) = (key_of(AWSCURRENT).cloned(), key_of(AWSPENDING).cloned());
        for (id, course) in &mut self.keys {
            let phase = course.status.map(|status| match status {
                KeyStatus::Inactive | KeyStatus::Expired => KeyPhase::Inactive,
                KeyStatus::Active if current.as_ref() == Some(id) => KeyPhase::Current,
                KeyStatus::Active if pending.as_ref() == Some(id) => KeyPhase::Staged,
                KeyStatus::Active if course.was_current => KeyPhase::Kept,
                KeyStatus::Active => KeyPhase::Made,
            });
            if course.changes.last().is_none_or(|(_, last)| *last != phase) {
                course.changes.push((at, phase));
            }
        }
    }
}
