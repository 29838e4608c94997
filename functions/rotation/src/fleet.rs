//! What is so about the hosts, and which of their proofs are believed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cluster::VirtualNameHash;
use crate::error::StepError;
use crate::ledger::LedgerEntry;
use crate::names::{InstanceId, VersionId};
use crate::request::Request;
use crate::secret::Target;
use crate::settings::{Place, Settings};

/// The most tags that an EC2 resource takes; those of AWS itself do not count.
const TAGS_OF_AN_INSTANCE: usize = 50;

/// One instance as DescribeInstances shows it. One without tags or without a name is ordinary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its id.
    pub id: InstanceId,
    /// Its Name tag.
    pub name: Option<String>,
    /// Whether it runs or can be started.
    pub state: HostState,
    /// Its last start, or the last attachment of one of its volumes if that was later: a restored disk holds an old
    /// credential and may bear a copied ledger (FACTS C).
    pub renewed: Timestamp,
    /// Its last proof.
    pub ledger: Option<LedgerEntry>,
    /// Whether it matches the rotation's tag conditions; one that does not is here for its ledger alone.
    pub matches: bool,
    /// How many tags of its own it bears.
    pub tag_count: usize,
}

/// The states of an instance that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// Running.
    Running,
    /// Pending: it will run within the minute, and holds whatever its disk holds.
    Starting,
    /// Stopped or stopping: it may start again.
    Stopped,
}

impl Host {
    /// Whether it counts as running: its credential is in use now, or will be before anyone looks again.
    pub fn is_up(&self) -> bool {
        matches!(self.state, HostState::Running | HostState::Starting)
    }

    /// Whether a proof of it could be recorded.
    pub fn has_tag_room(&self) -> bool {
        self.ledger.is_some() || self.tag_count < TAGS_OF_AN_INSTANCE
    }

    /// Id and name, for people.
    pub fn describe(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.id),
            None => self.id.to_string(),
        }
    }

    /// Whether it holds the target as far as anyone knows, though its proof may not be fresh enough to be believed: it
    /// was commanded before the target became the target of now, such as just before a promotion.
    pub fn has_ever_proved(&self, target: &Target) -> bool {
        let of_all = |entry: &&LedgerEntry| target.scoped.is_none_or(|scoped| entry.commanded > scoped);
        self.last_proof(target).filter(of_all).is_some()
    }

    /// Whether its entry, taken by itself, proves the target: proved after the target became the target.
    fn proves(&self, target: &Target) -> Option<&LedgerEntry> {
        self.last_proof(target).filter(|entry| entry.commanded > target.since)
    }

    /// Its entry, if it is about the target's version, was not taken back, and is later than the host's or its disks'
    /// last renewal.
    fn last_proof(&self, target: &Target) -> Option<&LedgerEntry> {
        let entry = self.ledger.as_ref()?;
        (entry.version == target.version && !entry.failed && entry.commanded > self.renewed).then_some(entry)
    }
}

/// The hosts whose proof of the target is believed.
///
/// A passive cluster node's entry is believed only beside other hosts' entries that own each of its virtual names: a
/// passive node by itself has proved nothing.
pub fn believed(hosts: &[Host], target: &Target) -> BTreeSet<InstanceId> {
    let proving: Vec<(&Host, &LedgerEntry)> =
        hosts.iter().filter_map(|host| Some((host, host.proves(target)?))).collect();
    let is_owned = |passive: &Host, name: &VirtualNameHash| {
        proving.iter().any(|(host, entry)| host.id != passive.id && entry.owner.contains(name))
    };
    proving
        .iter()
        .filter(|(host, entry)| entry.passive.iter().all(|name| is_owned(host, name)))
        .map(|(host, _)| host.id.clone())
        .collect()
}

/// Hosts of one place, sorted by what they mean for a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Running, with a believed proof of the target.
    pub proved: Vec<Host>,
    /// Running, without one.
    pub lacking: Vec<Host>,
    /// Stopped, with a believed proof.
    pub stopped_proved: Vec<Host>,
    /// Stopped, without one.
    pub stopped_lacking: Vec<Host>,
    /// No longer matching the conditions, and bearing our ledger: they may hold a credential of ours.
    pub left: Vec<Host>,
    /// Of all these, those with a credential that stands in the way of retirement.
    pub blocked: Vec<Host>,
    /// Hosts without which promotion and retirement go on, and which lack a believed proof.
    pub let_go: Vec<Host>,
    /// Of the running hosts with a believed proof, those whose proof is so old that they are asked for another.
    pub stale: Vec<InstanceId>,
}

impl Roster {
    /// Sorts hosts. Without a target nobody can have proved it.
    pub fn new(hosts: Vec<Host>, target: Option<&Target>) -> Roster {
        let believed = target.map(|target| believed(&hosts, target)).unwrap_or_default();
        let mut roster = Roster::default();
        for host in hosts {
            let has_proved = believed.contains(&host.id);
            if has_proved && host.ledger.as_ref().is_some_and(|entry| entry.blocked) {
                roster.blocked.push(host.clone());
            }
            let list = match (host.matches, host.is_up(), has_proved) {
                (false, _, _) => &mut roster.left,
                (true, true, true) => &mut roster.proved,
                (true, true, false) => &mut roster.lacking,
                (true, false, true) => &mut roster.stopped_proved,
                (true, false, false) => &mut roster.stopped_lacking,
            };
            list.push(host);
        }
        roster
    }

    /// The roster as a request sees it: hosts that it goes on without hold nothing up and are left alone, and believed
    /// proofs from before `fresh_since` are asked for once more.
    #[must_use]
    pub fn seen_by(mut self, request: &Request, fresh_since: Timestamp) -> Roster {
        let is_stale = |host: &&Host| host.ledger.as_ref().is_some_and(|entry| entry.commanded < fresh_since);
        self.stale = self.proved.iter().filter(is_stale).map(|host| host.id.clone()).collect();
        let mut let_go = Vec::new();
        for list in [&mut self.lacking, &mut self.stopped_lacking, &mut self.left, &mut self.blocked] {
            let (gone, stay): (Vec<Host>, Vec<Host>) =
                std::mem::take(list).into_iter().partition(|host| request.without.contains(&host.id));
            let_go.extend(gone);
            *list = stay;
        }
        // One that proved and is blocked stands in two lists.
        let_go.retain(|host| !self.proved.iter().chain(&self.stopped_proved).any(|proved| proved.id == host.id));
        self.let_go = let_go;
        self
    }

    /// Running hosts that are to be commanded: those without a proof, those whose proof is old, and those whose proof came
    /// with a credential that blocks retirement, since it may be gone by now. A narrowed request commands nobody else
    /// than the hosts that it names.
    pub fn to_command(&self, request: &Request) -> Vec<InstanceId> {
        let blocked = self.blocked.iter().filter(|host| host.matches && host.is_up());
        let unproved = self.lacking.iter().chain(blocked).map(|host| &host.id);
        let hosts: BTreeSet<&InstanceId> = unproved.chain(&self.stale).filter(|host| request.is_about(host)).collect();
        hosts.into_iter().cloned().collect()
    }

    /// Every host that may hold a credential of ours, proved or not.
    pub fn all(&self) -> impl Iterator<Item = &Host> {
        let running = self.proved.iter().chain(&self.lacking);
        let stopped = self.stopped_proved.iter().chain(&self.stopped_lacking);
        running.chain(stopped).chain(&self.left).chain(&self.let_go)
    }

    /// Whether a host with a SQL Server instance has proved the target: what a canary is for.
    pub fn has_real_proof(&self) -> bool {
        self.proved.iter().any(|host| host.ledger.as_ref().is_some_and(|entry| !entry.nothing))
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.proved.len() + self.lacking.len()
    }

    /// How many are stopped.
    pub fn stopped(&self) -> usize {
        self.stopped_proved.len() + self.stopped_lacking.len()
    }

    /// The matching hosts without room for one more tag.
    pub fn without_tag_room(&self) -> Vec<&Host> {
        let matching = self.proved.iter().chain(&self.lacking).chain(&self.stopped_proved).chain(&self.stopped_lacking);
        matching.filter(|host| !host.has_tag_room()).collect()
    }

    /// Why no rotation can begin with this fleet, if none can: nothing is staged that nobody could prove or record.
    pub fn unfit(&self, settings: &Settings) -> Option<StepError> {
        let conditions = settings.fleet.tags.iter().map(|tag| format!("{}={}", tag.key, tag.values.join("|")));
        let conditions = conditions.collect::<Vec<_>>().join(" and ");
        if self.running() == 0 && self.stopped() == 0 {
            let places = settings.places().iter().map(Place::describe).collect::<Vec<_>>().join(", ");
            return Some(StepError::EmptyFleet { conditions, places });
        }
        if self.running() == 0 {
            let stopped = u32::try_from(self.stopped()).unwrap_or(u32::MAX);
            return Some(StepError::NoRunningHost { conditions, stopped });
        }
        let full = self.without_tag_room();
        (!full.is_empty()).then(|| StepError::NoTagRoom { hosts: name_hosts(full) })
    }

    /// Takes another place's hosts in.
    pub fn merge(&mut self, other: Roster) {
        self.proved.extend(other.proved);
        self.lacking.extend(other.lacking);
        self.stopped_proved.extend(other.stopped_proved);
        self.stopped_lacking.extend(other.stopped_lacking);
        self.left.extend(other.left);
        self.blocked.extend(other.blocked);
        self.let_go.extend(other.let_go);
        self.stale.extend(other.stale);
    }
}

/// Names hosts for people: the first few, and how many more there are.
pub fn name_hosts<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> String {
    name_up_to(10, hosts)
}

/// Names hosts that something is done to: as many as a message holds.
pub fn name_all_hosts<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> String {
    name_up_to(500, hosts)
}

/// Hosts by the version that each last proved, for people.
pub fn name_by_version<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> String {
    let mut by_version: BTreeMap<Option<&VersionId>, Vec<&Host>> = BTreeMap::new();
    for host in hosts {
        let version = host.ledger.as_ref().filter(|entry| !entry.failed).map(|entry| &entry.version);
        by_version.entry(version).or_default().push(host);
    }
    let of = |(version, hosts): (&Option<&VersionId>, &Vec<&Host>)| {
        let named = name_hosts(hosts.iter().copied());
        match version {
            Some(version) => format!("Version {version} last proved by {named}."),
            None => format!("No proof by {named}."),
        }
    };
    // Names matter where hosts differ.
    if let [(Some(version), hosts)] = by_version.iter().collect::<Vec<_>>()[..]
        && hosts.len() > 1
    {
        return format!("Version {version} last proved by all of them.");
    }
    by_version.iter().map(of).collect::<Vec<_>>().join(" ")
}

fn name_up_to<'a>(most: usize, hosts: impl IntoIterator<Item = &'a Host>) -> String {
    let all: Vec<String> = hosts.into_iter().map(Host::describe).collect();
    let named = all.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > most { format!("{named} and {} more", all.len() - most) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str, ledger: Option<&str>) -> Host {
        Host {
            id: id.into(),
            name: None,
            state: HostState::Running,
            renewed: "2026-11-01T00:00:00Z".parse().unwrap(),
            ledger: ledger.map(|text| LedgerEntry::parse(text).unwrap()),
            matches: true,
            tag_count: 3,
        }
    }

    fn target() -> Target {
        Target { version: "v2".into(), pending: true, since: "2026-11-20T00:00:00Z".parse().unwrap(), scoped: None }
    }

    fn believes(hosts: &[Host]) -> Vec<String> {
        believed(hosts, &target()).into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn a_proof_of_another_version_or_from_before_the_target_was_the_target_is_not_believed() {
        assert_eq!(believes(&[host("i-1", Some("v2 2026-11-20T00:00:01Z"))]), ["i-1"]);
        assert!(believes(&[host("i-1", Some("v1 2026-11-20T00:00:01Z"))]).is_empty());
        assert!(believes(&[host("i-1", Some("v2 2026-11-20T00:00:00Z"))]).is_empty());
        assert!(believes(&[host("i-1", None)]).is_empty());
    }

    #[test]
    fn a_proof_from_before_the_last_start_or_the_last_attached_disk_is_not_believed() {
        let mut restored = host("i-1", Some("v2 2026-11-20T00:00:01Z"));
        restored.renewed = "2026-11-21T00:00:00Z".parse().unwrap();
        assert!(believes(&[restored]).is_empty());
    }

    #[test]
    fn a_passive_node_is_believed_only_beside_its_owner() {
        let owner = host("i-1", Some("v2 2026-11-20T00:00:01Z owner:0000ab"));
        let passive = host("i-2", Some("v2 2026-11-20T00:00:01Z passive:0000ab"));
        let of_another = host("i-3", Some("v2 2026-11-20T00:00:01Z passive:0000cd"));
        assert_eq!(believes(&[owner, passive.clone(), of_another]), ["i-1", "i-2"]);
        assert!(believes(&[passive]).is_empty());
        let alone = host("i-4", Some("v2 2026-11-20T00:00:01Z owner:0000ab passive:0000ab"));
        assert!(believes(&[alone]).is_empty(), "nobody vouches for himself");
    }

    #[test]
    fn a_host_that_no_longer_matches_is_left_whatever_it_proved() {
        let mut host = host("i-1", Some("v2 2026-11-20T00:00:01Z"));
        host.matches = false;
        let roster = Roster::new(vec![host], Some(&target()));
        assert_eq!((roster.left.len(), roster.running()), (1, 0));
    }

    #[test]
    fn fifty_tags_leave_room_only_where_the_ledger_is_one_of_them() {
        let mut full = host("i-1", None);
        full.tag_count = 50;
        assert!(!full.has_tag_room());
        full.ledger = LedgerEntry::parse("v1 2026-11-20T00:00:01Z");
        assert!(full.has_tag_room());
    }
}
