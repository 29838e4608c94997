//! Histories by chance: what hosts, people and AWS do to a rotation, drawn from a number; and a failing one made short.

use std::collections::BTreeMap;

use sandbox::fleet_file::Chapter;
use serde_json::{Value, json};

use crate::beginning::id;
use crate::wire::Fault;

/// How many hosts a history begins with.
pub const HOSTS: u32 = 4;

/// One history to be told: its chapters, what goes wrong on the wire, and whether AWS shows everything late.
#[derive(Clone, Debug, PartialEq)]
pub struct Tale {
    /// The number that it was drawn from; times and the order of things are drawn from it too.
    pub seed: u64,
    /// What happens, in order: acts as a fleet file's chapter writes them, and the run that follows.
    pub chapters: Vec<Value>,
    /// What goes wrong, by the number of the call.
    pub faults: BTreeMap<usize, Fault>,
    /// Whether AWS shows changes late.
    pub late: bool,
}

/// What the drawer knows of a host, so that it does what can be done.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Running,
    Silent,
    Stopped,
    Terminated,
    Outside,
}

impl Tale {
    /// The history of a number.
    pub fn draw(seed: u64) -> Tale {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut hosts = vec![Standing::Running; HOSTS as usize];
        let chapters = (0..random.usize(2..7)).map(|_| chapter(&mut random, &mut hosts)).collect();
        let faults = (0..random.usize(0..5))
            .map(|_| (random.usize(0..300), Fault::ALL[random.usize(0..Fault::ALL.len())]))
            .collect();
        Tale { seed, chapters, faults, late: random.bool() }
    }

    /// Tales that are this one without one of its parts: a chapter, an act, a fault.
    pub fn shorter(&self) -> Vec<Tale> {
        let mut shorter = Vec::new();
        for index in 0..self.chapters.len() {
            let mut tale = self.clone();
            tale.chapters.remove(index);
            shorter.push(tale);
            let acts = self.chapters[index].as_object().into_iter().flatten().map(|(name, _)| name.clone());
            for act in acts.filter(|name| name != "run" && name != "say") {
                let mut tale = self.clone();
                if let Some(members) = tale.chapters[index].as_object_mut() {
                    members.remove(&act);
                }
                shorter.push(tale);
            }
        }
        for call in self.faults.keys() {
            let mut tale = self.clone();
            tale.faults.remove(call);
            shorter.push(tale);
        }
        if self.late {
            shorter.push(Tale { late: false, ..self.clone() });
        }
        shorter
    }

    /// The shortest tale that still fails and is this one without some of its parts.
    #[must_use]
    pub fn shortened(self, fails: impl Fn(&Tale) -> bool) -> Tale {
        let mut tale = self;
        while let Some(shorter) = tale.shorter().into_iter().find(&fails) {
            tale = shorter;
        }
        tale
    }
}

/// A chapter: days, an act or two, a run.
fn chapter(random: &mut fastrand::Rng, hosts: &mut [Standing]) -> Value {
    let mut chapter = json!({ "say": "", "days": random.u32(0..10), "run": input(random) });
    for _ in 0..random.usize(0..3) {
        let index = random.usize(0..hosts.len());
        let host = id(u32::try_from(index + 1).unwrap_or(1));
        // The last host that answers is left alone: a fleet without one can prove nothing.
        let is_last = hosts.iter().filter(|standing| **standing == Standing::Running).count() < 2;
        let (act, value, standing) = match (hosts[index], random.u32(0..6)) {
            (Standing::Running, _) if is_last => continue,
            (Standing::Running, 0) => ("stop", json!([host]), Standing::Stopped),
            (Standing::Running, 1) => ("unreachable", json!([host]), Standing::Silent),
            (Standing::Running, 2 | 3) => ("restore", json!([host]), Standing::Running),
            (Standing::Running, 4) => ("untag", json!([{ "id": host, "key": "SQL" }]), Standing::Outside),
            (Standing::Running, _) => ("terminate", json!([host]), Standing::Terminated),
            (Standing::Stopped, _) => ("start", json!([host]), Standing::Running),
            (Standing::Silent, _) => ("reachable", json!([host]), Standing::Running),
            (Standing::Outside, _) => {
                ("tag", json!([{ "id": host, "key": "SQL", "value": "2022" }]), Standing::Running)
            }
            (Standing::Terminated, _) => continue,
        };
        if chapter.get(act).is_none() {
            chapter[act] = value;
            hosts[index] = standing;
        }
    }
    chapter
}

/// What somebody starts.
fn input(random: &mut fastrand::Rng) -> Value {
    match random.u32(0..10) {
        0..4 => json!({ "mode": "converge" }),
        4 | 5 => json!({ "mode": "rotate" }),
        6 => json!({ "mode": "abandon" }),
        7 => json!({ "mode": "rollback" }),
        8 => json!({ "mode": "plan", "inspectHosts": true }),
        _ => json!({ "mode": "rotate", "compromised": "{{current key}}" }),
    }
}

/// The end of every tale: faults have stopped, and whoever is silent, stopped or outside the fleet comes back. A host that
/// stayed outside would go on using the old key every night, which rightly keeps it.
///
/// # Errors
/// None, as long as a chapter's shape is this.
pub fn homecoming(stopped: &[String], silent: &[String], left: &[String]) -> Result<Chapter, serde_json::Error> {
    let tag: Vec<Value> = left.iter().map(|host| json!({ "id": host, "key": "SQL", "value": "2022" })).collect();
    serde_json::from_value(json!({
        "say": "", "start": stopped, "reachable": silent, "tag": tag, "run": { "mode": "converge" },
    }))
}
