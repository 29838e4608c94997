//! Keeps what the journal does not say: how the world stood at the start, and what each host held at every change.
//!
//! A host's credentials change inside SQL Server, where no call of AWS is made; so whoever wants to know later what a
//! host held must have looked at the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rotation::Settings;

use crate::cloud::views::{AccessKeyView, InstanceView};
use crate::cloud::{Cloud, Effect, Event};
use crate::host::HeldKey;
use crate::host::fleet::Fleet;

/// Watches a world from its start.
pub struct Recorder {
    pub(super) start: Timestamp,
    /// The journal's events up to this one are set-up.
    pub(super) set_up_events: u64,
    /// The user's keys as they were at the start.
    pub(super) keys: Vec<AccessKeyView>,
    notes: Mutex<Notes>,
}

/// What was noted so far.
#[derive(Clone, Default)]
pub(super) struct Notes {
    /// Every instance as it was when it came to be.
    pub(super) instances: BTreeMap<String, InstanceView>,
    /// What each host held, and since when.
    pub(super) held: BTreeMap<String, Vec<Holding>>,
    /// The chapter of the story that each execution belongs to.
    pub(super) chapters: BTreeMap<String, ChapterNote>,
}

/// What a chapter says of its execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChapterNote {
    /// Its sentence.
    pub(super) say: String,
    /// The error that the execution was to fail with.
    pub(super) expected: Option<String>,
}

/// What a host held from some time on, in the rotation's own credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) since: Timestamp,
    pub(super) keys: Vec<HeldKey>,
}

impl Recorder {
    /// Begins to watch. Call it when the world is made and nothing has run yet.
    pub fn attach(cloud: &Arc<Cloud>, fleet: &Arc<Fleet>, settings: &Settings) -> Arc<Recorder> {
        let credentials = settings.credentials().to_vec();
        let recorder = Arc::new(Recorder {
            start: cloud.clock().now(),
            set_up_events: cloud.journal().last().map_or(0, |event| event.number),
            keys: cloud.access_keys(&settings.subject()),
            notes: Mutex::default(),
        });
        for instance in cloud.instances() {
            recorder.look(fleet, &credentials, recorder.start, &instance.instance_id);
            recorder.lock().instances.insert(instance.instance_id.clone(), instance);
        }
        recorder.watch_hosts(fleet, credentials.clone());
        recorder.watch_instances(cloud, fleet, credentials);
        recorder
    }

    /// Notes the chapter of a fleet file's story that an execution belongs to, and the error that it is to fail with.
    pub fn note_chapter(&self, execution: &str, say: &str, expected: Option<&str>) {
        let note = ChapterNote { say: say.to_owned(), expected: expected.map(str::to_owned) };
        self.lock().chapters.insert(execution.to_owned(), note);
    }

    fn watch_hosts(self: &Arc<Recorder>, fleet: &Arc<Fleet>, credentials: Vec<String>) {
        // The fleet keeps its observers for ever, so they must not keep the fleet.
        let (me, hosts) = (Arc::downgrade(self), Arc::downgrade(fleet));
        fleet.subscribe(Arc::new(move |event| {
            if let (Some(recorder), Some(fleet)) = (me.upgrade(), hosts.upgrade()) {
                recorder.look(&fleet, &credentials, event.time, &event.instance_id);
            }
        }));
    }

    fn watch_instances(self: &Arc<Recorder>, cloud: &Arc<Cloud>, fleet: &Arc<Fleet>, credentials: Vec<String>) {
        let (me, hosts, aws) = (Arc::downgrade(self), Arc::downgrade(fleet), Arc::downgrade(cloud));
        cloud.subscribe(Arc::new(move |event: &Event| {
            let (Some(recorder), Some(fleet), Some(cloud)) = (me.upgrade(), hosts.upgrade(), aws.upgrade()) else {
                return;
            };
            for effect in &event.effects {
                if let Effect::InstanceChanged { instance_id, from: None, .. } = effect {
                    let instance = cloud.instance(instance_id);
                    recorder.lock().instances.extend(instance.map(|instance| (instance_id.clone(), instance)));
                }
                // A disk that was put back brings the key that it held.
                if let Effect::InstanceRestored { instance_id } | Effect::InstanceChanged { instance_id, .. } = effect {
                    recorder.look(&fleet, &credentials, event.time, instance_id);
                }
            }
        }));
    }

    /// Notes what a host holds, if that is news.
    fn look(&self, fleet: &Fleet, credentials: &[String], since: Timestamp, instance_id: &str) {
        let Some(host) = fleet.host(instance_id) else { return };
        let is_ours = |held: &HeldKey| credentials.iter().any(|ours| ours.eq_ignore_ascii_case(&held.credential));
        let keys: Vec<HeldKey> = host.held_keys().into_iter().filter(is_ours).collect();
        let mut notes = self.lock();
        let holdings = notes.held.entry(instance_id.to_owned()).or_default();
        if holdings.last().is_none_or(|last| last.keys != keys) {
            holdings.push(Holding { since, keys });
        }
    }

    pub(super) fn notes(&self) -> Notes {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
