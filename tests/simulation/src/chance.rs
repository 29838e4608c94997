//! Histories by chance: what hosts, people and AWS do to a rotation, drawn from a number; and a failing one made short.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::acts::{Act, Change, Lie};
use crate::beginning::id;
use crate::hand::{Hand, Which};
use crate::wire::Fault;

/// How many hosts a history begins with.
pub const HOSTS: u32 = 4;
/// How many it has at most, those that are launched and copied among them.
const MOST_HOSTS: u32 = 7;
/// Calls of a run, roughly: a fault at a later one never comes to pass.
const CALLS: usize = 70;
/// How long a run takes, in milliseconds: its first calls; a quick one; one with silent hosts.
const SPANS: [u64; 3] = [2_000, 40_000, 400_000];

/// One history to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Tale {
    /// The number that it was drawn from; times and the order of things are drawn from it too.
    pub seed: u64,
    /// What happens, in order.
    pub chapters: Vec<Chapter>,
    /// Whether AWS shows changes late.
    pub late: bool,
    /// Whether hosts hold a second bucket's credential, declared foreign at first.
    pub archive: bool,
}

/// A run, and what comes before, beside and during it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chapter {
    /// Days that pass first.
    pub days: u32,
    /// What people deploy then.
    pub change: Option<Change>,
    /// What happens then.
    pub before: Vec<Act>,
    /// What somebody starts.
    pub run: Value,
    /// What somebody else starts so many milliseconds later.
    pub beside: Option<(u64, Value)>,
    /// What happens so many milliseconds after the start.
    pub during: Vec<(u64, Act)>,
    /// What goes wrong on the wire, by the number of the call from the start.
    pub faults: BTreeMap<usize, Fault>,
}

impl Tale {
    /// The history of a number.
    pub fn draw(seed: u64) -> Tale {
        let mut random = fastrand::Rng::with_seed(seed);
        let (late, archive) = (random.bool(), random.u32(0..4) == 0);
        // Most histories have one subject, so that what they find is not hidden by everything else.
        let subject =
            Subject { faults: random.u32(0..3) < 2, hosts: random.u32(0..4) < 3, hand: random.u32(0..3) == 0 };
        let chapters = random.usize(2..6);
        let chapters = (0..chapters).map(|_| chapter(&mut random, subject, archive)).collect();
        Tale { seed, chapters, late, archive }
    }

    /// Tales that are this one without one of its parts.
    pub fn shorter(&self) -> Vec<Tale> {
        let mut shorter = Vec::new();
        for index in 0..self.chapters.len() {
            let mut tale = self.clone();
            tale.chapters.remove(index);
            shorter.push(tale);
            let with = |chapter: Chapter| {
                let mut tale = self.clone();
                tale.chapters[index] = chapter;
                tale
            };
            shorter.extend(self.chapters[index].shorter().into_iter().map(with));
        }
        if self.late {
            shorter.push(Tale { late: false, ..self.clone() });
        }
        if self.archive && !self.changes().any(|change| matches!(change, Change::ArchiveIsOurs(_))) {
            shorter.push(Tale { archive: false, ..self.clone() });
        }
        shorter
    }

    fn changes(&self) -> impl Iterator<Item = Change> {
        self.chapters.iter().filter_map(|chapter| chapter.change)
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

impl Chapter {
    /// Chapters that are this one without one of its parts.
    fn shorter(&self) -> Vec<Chapter> {
        let mut shorter = Vec::new();
        let mut without = |part: &dyn Fn(&mut Chapter)| {
            let mut chapter = self.clone();
            part(&mut chapter);
            if chapter != *self {
                shorter.push(chapter);
            }
        };
        without(&|chapter| chapter.beside = None);
        without(&|chapter| chapter.change = None);
        for index in 0..self.before.len() {
            without(&|chapter| {
                chapter.before.remove(index);
            });
        }
        for index in 0..self.during.len() {
            without(&|chapter| {
                chapter.during.remove(index);
            });
        }
        for call in self.faults.keys() {
            without(&|chapter| {
                chapter.faults.remove(call);
            });
        }
        without(&|chapter| chapter.days = 0);
        without(&|chapter| chapter.run = json!({ "mode": "converge" }));
        shorter
    }
}

/// What a history is about.
#[derive(Clone, Copy)]
struct Subject {
    faults: bool,
    hosts: bool,
    hand: bool,
}

fn chapter(random: &mut fastrand::Rng, subject: Subject, archive: bool) -> Chapter {
    let mut chapter = Chapter { days: random.u32(0..10), run: input(random), ..Chapter::default() };
    if random.u32(0..4) == 0 {
        // A late function of before acts within minutes, by the settings of before.
        chapter.days = chapter.days.max(1);
        chapter.change = Some(change(random, archive));
    }
    let before = random.usize(0..3);
    chapter.before = (0..before).filter_map(|_| act(random, subject)).collect();
    if random.u32(0..5) == 0 {
        chapter.beside = Some((moment(random), input(random)));
    }
    let meanwhile = random.usize(0..3);
    chapter.during = (0..meanwhile).filter_map(|_| act(random, subject).map(|act| (moment(random), act))).collect();
    chapter.during.sort_by_key(|(at, _)| *at);
    if subject.faults {
        let faults = random.usize(0..3);
        chapter.faults =
            (0..faults).map(|_| (random.usize(0..CALLS), Fault::ALL[random.usize(0..Fault::ALL.len())])).collect();
    }
    chapter
}

/// Some time of a run.
fn moment(random: &mut fastrand::Rng) -> u64 {
    let span = SPANS[random.usize(0..SPANS.len())];
    random.u64(0..span)
}

fn act(random: &mut fastrand::Rng, subject: Subject) -> Option<Act> {
    match (subject.hosts, subject.hand) {
        (true, false) => Some(of_host(random)),
        (false, true) => Some(Act::By(by_hand(random))),
        (true, true) => Some(if random.bool() { of_host(random) } else { Act::By(by_hand(random)) }),
        (false, false) => None,
    }
}

fn of_host(random: &mut fastrand::Rng) -> Act {
    let host = random.u32(1..=HOSTS);
    let further = random.u32(HOSTS + 1..=MOST_HOSTS);
    let any = random.u32(1..=MOST_HOSTS);
    match random.u32(0..20) {
        0 => Act::Stop(any),
        1 | 2 => Act::Start(any),
        3 => Act::Terminate(any),
        4 | 5 => Act::Reboot(host),
        6 => Act::Silence(host),
        7 => Act::Answer(host),
        8 | 9 => Act::Restore(any),
        10 => Act::Untag(host),
        11 => Act::Tag(host),
        12 => Act::Launch(further),
        13 => Act::Copy { to: further, of: host },
        14 => Act::Slow(host, [2, 20, 100, 290, 400][random.usize(0..5)]),
        15 => Act::Refused(host, [1, 2, 5, u32::MAX][random.usize(0..4)]),
        16 => Act::Unaltered(host, random.u32(1..4)),
        17 => Act::Lie(host, [Lie::Silence, Lie::OtherVersion, Lie::Target][random.usize(0..3)]),
        _ => Act::Cure(host),
    }
}

fn by_hand(random: &mut fastrand::Rng) -> Hand {
    let which = [Which::Current, Which::Pending, Which::Another][random.usize(0..3)];
    match random.u32(0..14) {
        0 | 1 => Hand::AddKey,
        2 => Hand::DeleteKey(which),
        3 => Hand::Deactivate(which),
        4 => Hand::Activate(which),
        5 => Hand::CurrentToAnother,
        6 => Hand::PendingOff,
        7 => Hand::PendingToAnother,
        8 => Hand::StoreNewKey,
        9 => Hand::StagesNewKey,
        10 => Hand::StoreAgain,
        11 => Hand::StoreGarbage,
        12 => Hand::StageGarbage,
        _ => Hand::PrivateLabelOff(which),
    }
}

fn change(random: &mut fastrand::Rng, archive: bool) -> Change {
    match random.u32(0..if archive { 10 } else { 8 }) {
        0 => Change::OverlapDays([1, 7, 20][random.usize(0..3)]),
        1 => Change::DeleteAfterDays([1, 7, 20][random.usize(0..3)]),
        2 => Change::ReproveEveryDays([1, 30][random.usize(0..2)]),
        3 => Change::PromoteShare([0.5, 0.9, 1.0][random.usize(0..3)]),
        4 => Change::StoppedHostsHold(random.bool()),
        5 | 6 => Change::Waves(random.u32(1..3), [1, 2, 50][random.usize(0..3)], random.u32(1..4)),
        7 => Change::ProvesByBackup(random.bool()),
        _ => Change::ArchiveIsOurs(random.bool()),
    }
}

/// What somebody starts.
fn input(random: &mut fastrand::Rng) -> Value {
    let host = id(random.u32(1..=HOSTS));
    match random.u32(0..16) {
        0..5 => json!({ "mode": "converge" }),
        5..8 => json!({ "mode": "rotate" }),
        8 | 9 => json!({ "mode": "abandon" }),
        10 | 11 => json!({ "mode": "rollback" }),
        12 => json!({ "mode": "plan", "inspectHosts": random.bool() }),
        13 => {
            let key = ["{{current key}}", "{{pending key}}", "{{previous key}}"][random.usize(0..3)];
            json!({ "mode": "rotate", "compromised": key })
        }
        14 => json!({ "mode": (["rotate", "converge"][random.usize(0..2)]), "without": [host] }),
        _ => json!({ "mode": "converge", "instanceIds": [host] }),
    }
}
