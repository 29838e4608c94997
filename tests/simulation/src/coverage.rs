//! What histories have covered: the points at which something went wrong, the acts that happened, what was started, and
//! how runs ended. A simulation that is said to meet everything says here what it has met.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::chance::Tale;
use crate::history::History;
use crate::wire::{Fault, Point};

/// What was covered, and how often.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    histories: usize,
    /// Functions' calls that went well, by function, service and operation.
    calls: BTreeSet<String>,
    /// The faults that came to pass, at which call of which function.
    faults: BTreeSet<(String, Fault)>,
    acts: BTreeMap<String, usize>,
    changes: BTreeSet<String>,
    inputs: BTreeMap<String, usize>,
    at_once: usize,
    errors: BTreeMap<String, usize>,
    remedies: BTreeMap<String, usize>,
}

impl Coverage {
    /// What one history covers.
    pub fn of(tale: &Tale, history: &History) -> Coverage {
        let mut coverage = Coverage { histories: 1, ..Coverage::default() };
        let points = history.wire.points();
        let name = |point: &Point| format!("{} {}:{}", point.function, point.service.name(), point.operation);
        coverage.calls.extend(points.iter().map(name));
        let struck = history.wire.struck().into_iter();
        coverage.faults.extend(struck.filter_map(|(call, fault)| Some((name(points.get(call)?), fault))));
        for chapter in &tale.chapters {
            coverage.changes.extend(chapter.change.map(|change| kind(&format!("{change:?}"))));
            coverage.at_once += usize::from(chapter.beside.is_some());
            let during = chapter.during.iter().map(|(_, act)| (act, " during a run"));
            for (act, when) in chapter.before.iter().map(|act| (act, "")).chain(during) {
                count(&mut coverage.acts, act.kind() + when);
            }
            for input in std::iter::once(&chapter.run).chain(chapter.beside.iter().map(|(_, input)| input)) {
                let members =
                    input.as_object().into_iter().flatten().map(|(name, _)| name).filter(|name| *name != "mode");
                let mode = input["mode"].as_str().unwrap_or_default().to_owned();
                count(&mut coverage.inputs, members.fold(mode, |text, name| format!("{text} {name}")));
            }
        }
        history.errors.iter().for_each(|error| count(&mut coverage.errors, error.clone()));
        history.remedies.iter().for_each(|remedy| count(&mut coverage.remedies, remedy.clone()));
        coverage
    }

    /// What both cover.
    #[must_use]
    pub fn and(mut self, other: Coverage) -> Coverage {
        self.histories += other.histories;
        self.calls.extend(other.calls);
        self.faults.extend(other.faults);
        self.changes.extend(other.changes);
        self.at_once += other.at_once;
        for (mine, theirs) in [
            (&mut self.acts, other.acts),
            (&mut self.inputs, other.inputs),
            (&mut self.errors, other.errors),
            (&mut self.remedies, other.remedies),
        ] {
            theirs.into_iter().for_each(|(name, times)| *mine.entry(name).or_default() += times);
        }
        self
    }
}

fn count(counts: &mut BTreeMap<String, usize>, name: String) {
    *counts.entry(name).or_default() += 1;
}

/// An act's or a change's name without what it is about.
fn kind(text: &str) -> String {
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |counts: &BTreeMap<String, usize>| {
            let mut counts: Vec<_> = counts.iter().collect();
            counts.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
            counts.into_iter().map(|(name, times)| format!("{name} {times}")).collect::<Vec<_>>().join(", ")
        };
        let possible = self.calls.len() * Fault::ALL.len();
        writeln!(
            formatter,
            "{} calls of functions, {} of {possible} faults at them",
            self.calls.len(),
            self.faults.len()
        )?;
        writeln!(formatter, "acts: {}", counted(&self.acts))?;
        writeln!(formatter, "settings changed: {}", self.changes.iter().cloned().collect::<Vec<_>>().join(", "))?;
        writeln!(formatter, "inputs: {}; {} times two at once", counted(&self.inputs), self.at_once)?;
        writeln!(formatter, "errors: {}", counted(&self.errors))?;
        write!(formatter, "what people did about them: {}", counted(&self.remedies))
    }
}
