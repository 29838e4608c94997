//! The auditor: watches every event of the cloud and of the hosts, and checks DESIGN section 3's guarantees at every
//! instant, not only at the end.
//!
//! Architecture invariant: it never asks the product's own judgement (no plan, no roster, no belief in a ledger). It
//! judges from what is so: the key that each SQL Server instance really holds, the keys in IAM, the secret's labels.
//! So a mistake that the product makes twice, in acting and in judging, is still found.
//!
//! A finding bears the number of the guarantee in DESIGN section 3, which the README repeats:
//! 1 a working credential is taken from a running host ([`hosts`]); 2 a credential is lost ([`keys`]); 3 a promotion or
//! a ledger entry without the proof that it claims ([`labels`]); 4 a third key, or one that nobody accounts for, and
//! 5 a deletion that is none of ours or too early ([`keys`]); 6 a secret that can be seen ([`secrecy`]); 7 more than
//! one target, or AWSPENDING moved without compare-and-swap ([`labels`]).
//!
//! Read in this order: [`books`] (what it remembers), then one file a subject.

#![allow(clippy::expect_used, reason = "a poisoned mutex means that a test has failed already")]

mod books;
mod hosts;
mod keys;
mod labels;
mod logins;
mod rules;
pub mod secrecy;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde_json::Value;

pub use rules::Rules;

use crate::cloud::{Caller, Cloud, Event};
use crate::host::HostEvent;
use crate::host::fleet::Fleet;
use books::Books;
use hosts::CommandsUnderWay;
use secrecy::Needles;

/// One breach of a guarantee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The guarantee's number in DESIGN section 3.
    pub guarantee: u8,
    /// When, in simulated time.
    pub time: Timestamp,
    /// The event of the cloud's journal; for something that happened on a host, the last one before it.
    pub event_number: u64,
    /// Who did what to whom.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { guarantee, time, event_number, what } = self;
        write!(formatter, "guarantee {guarantee} is broken at {time} (event {event_number}): {what}")
    }
}

/// A breach before it is dated: the guarantee and the sentence.
type Breach = (u8, String);

/// Watches one rotation for as long as it is kept.
pub struct Auditor {
    cloud: Arc<Cloud>,
    fleet: Arc<Fleet>,
    audit: Mutex<Audit>,
}

/// What the auditor knows and has found.
struct Audit {
    rules: Rules,
    books: Books,
    commands: CommandsUnderWay,
    needles: Needles,
    findings: Vec<Finding>,
}

/// All that a judgement may look at.
#[derive(Clone, Copy)]
struct Scene<'a> {
    cloud: &'a Cloud,
    fleet: &'a Fleet,
    rules: &'a Rules,
    books: &'a Books,
    commands: &'a CommandsUnderWay,
}

impl Auditor {
    /// Begins to watch. What happened before is read from the journal and not judged.
    pub fn watch(cloud: &Arc<Cloud>, fleet: &Arc<Fleet>, rules: Rules) -> Arc<Auditor> {
        let mut books = Books::default();
        cloud.journal().iter().for_each(|event| books.enter(event, cloud, &rules));
        books.open(cloud, &rules);
        let (commands, needles) = (CommandsUnderWay::default(), Needles::default());
        let audit = Mutex::new(Audit { rules, books, commands, needles, findings: Vec::new() });
        let auditor = Arc::new(Auditor { cloud: Arc::clone(cloud), fleet: Arc::clone(fleet), audit });
        auditor.overlook_earlier_losses();
        // The cloud and the hosts keep their observers for ever, so these must not keep the cloud.
        let of_cloud = Arc::downgrade(&auditor);
        cloud.subscribe(Arc::new(move |event| {
            if let Some(auditor) = of_cloud.upgrade() {
                auditor.see(event);
            }
        }));
        let of_hosts = Arc::downgrade(&auditor);
        fleet.subscribe(Arc::new(move |event| {
            if let Some(auditor) = of_hosts.upgrade() {
                auditor.see_on_host(event);
            }
        }));
        auditor
    }

    fn overlook_earlier_losses(&self) {
        let mut audit = self.lock();
        let losses = keys::Losses::now(self.scene(&audit), true);
        audit.books.losses = losses;
    }

    /// Learns what a person starts a run with: what is asked for by name is no breach (guarantee 1's exceptions).
    pub fn hear(&self, input: &Value) {
        let named = input["without"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.lock().books.gone_without.extend(named.map(str::to_owned));
    }

    /// Learns that a deployment has changed the settings: from now on they are what is promised.
    pub fn follow(&self, rules: Rules) {
        self.lock().rules = rules;
    }

    /// Every breach so far, in the order in which they were seen.
    pub fn findings(&self) -> Vec<Finding> {
        self.lock().findings.clone()
    }

    /// Ends a test that broke a guarantee.
    ///
    /// # Panics
    /// With every finding, a line each.
    #[allow(clippy::panic, reason = "an assertion for tests")]
    pub fn assert_clean(&self) {
        let findings = self.findings();
        if !findings.is_empty() {
            let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
            panic!("the auditor found {} breaches:\n{}", findings.len(), lines.join("\n"));
        }
    }

    /// An event is judged twice: against what was so before it, and by what is so after it.
    fn see(&self, event: &Event) {
        if event.action == "StartExecution" {
            let input = event.input["input"].as_str().and_then(|text| serde_json::from_str(text).ok());
            input.iter().for_each(|input| self.hear(input));
        }
        let mut guard = self.lock();
        let audit = &mut *guard;
        let mut breaches = {
            let scene = self.scene(audit);
            let mut breaches = hosts::judge(scene, event);
            breaches.extend(keys::judge_removals(scene, event));
            breaches.extend(labels::judge(scene, event));
            breaches
        };
        audit.books.enter(event, &self.cloud, &audit.rules);
        breaches.extend(keys::judge_count(self.scene(audit), event));
        let losses = keys::Losses::now(self.scene(audit), !event.effects.is_empty());
        breaches.extend(losses.judge_against(&audit.books.losses, event));
        audit.books.losses = losses;
        audit.needles.learn(self.cloud.secret_access_keys());
        breaches.extend(secrecy::judge(&audit.needles, &describe(event), &format!("{event:?}")));
        audit.record(event.time, event.number, breaches);
    }

    fn see_on_host(&self, event: &HostEvent) {
        let mut guard = self.lock();
        let audit = &mut *guard;
        let mut commands = std::mem::take(&mut audit.commands);
        let mut breaches = commands.judge(self.scene(audit), event);
        audit.commands = commands;
        audit.needles.learn(self.cloud.secret_access_keys());
        let place = format!("what happened on {}", event.instance_id);
        breaches.extend(secrecy::judge(&audit.needles, &place, &format!("{event:?}")));
        let number = audit.books.last_event;
        audit.record(event.time, number, breaches);
    }

    fn scene<'a>(&'a self, audit: &'a Audit) -> Scene<'a> {
        Scene {
            cloud: &self.cloud,
            fleet: &self.fleet,
            rules: &audit.rules,
            books: &audit.books,
            commands: &audit.commands,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Audit> {
        self.audit.lock().expect("no judgement has failed")
    }
}

impl Audit {
    fn record(&mut self, time: Timestamp, event_number: u64, breaches: Vec<Breach>) {
        let dated = breaches.into_iter().map(|(guarantee, what)| Finding { guarantee, time, event_number, what });
        self.findings.extend(dated);
    }
}

/// The function that caused an event, if one did.
fn function(event: &Event) -> Option<&str> {
    match &event.caller {
        Caller::Function { name, .. } => Some(name),
        Caller::InstanceRole { .. } | Caller::AccessKey { .. } | Caller::Person | Caller::Aws => None,
    }
}

fn describe(event: &Event) -> String {
    format!("event {}, {}:{}", event.number, event.service.name(), event.action)
}
