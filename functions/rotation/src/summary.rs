//! How one account and region stands when it is done: counts, and the few failures that are named.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fleet::Roster;
use crate::host_answer::{HostAnswer, ReplicaRole, SeenInstance};
use crate::names::{InstanceId, VersionId};
use crate::settings::Place;
use crate::verdict::HostReport;

/// Failures that one place names; there may be 20 places, and a state's payload is to stay small.
pub const NAMED_FAILURES: usize = 10;

/// How one account and region stands when it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PlaceSummary {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The target that the proofs are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// Hosts that run.
    pub running: u32,
    /// Of these, those with a believed proof of the target.
    pub proved: u32,
    /// Of these, those whose agent gave no answer within the deadline.
    pub unreachable: u32,
    /// Hosts that are stopped.
    pub stopped: u32,
    /// Of these, those without a believed proof.
    pub stopped_lacking: u32,
    /// The first few hosts that failed or gave no answer.
    pub failures: Vec<HostReport>,
    /// What the hosts said that were asked to look and change nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspection: Option<PlaceInspection>,
    /// Why the place could not be commanded at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<PlaceError>,
}

/// What the hosts of a place said that were asked to look and change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceInspection {
    /// Hosts that answered.
    pub answered: u32,
    /// Of these, those without an instance that could hold the credential, or with a passive one only.
    pub nothing_to_hold: u32,
    /// Instances by SQL Server's major version, such as 16.
    pub products: BTreeMap<String, u32>,
    /// Instances by the version of the secret that their host's marker names; empty for those that it says nothing of.
    pub holds: BTreeMap<String, u32>,
    /// The replica groups that instances belong to, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<String, SeenReplicas>,
    /// Everything that was found: failures, credentials in the way, silent hosts; those that are named and those that
    /// are not.
    pub findings: u32,
}

/// What the replicas of one availability group said of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenReplicas {
    /// Replicas that the group has, by the most that one of them knows of.
    pub members: u32,
    /// Replicas that answered.
    pub answered: u32,
    /// The hosts that held the primary role.
    pub primaries: BTreeSet<InstanceId>,
    /// Short hashes of the logins' SIDs; more than one means that replicas differ.
    pub sids: BTreeSet<String>,
}

impl PlaceInspection {
    /// Takes a host's answer in, and says what people must know of that host.
    pub fn take(&mut self, host: &InstanceId, answer: &HostAnswer) -> Vec<HostReport> {
        self.answered += 1;
        let inspected = answer.inspected.as_ref();
        if inspected.is_some_and(|inspected| inspected.instances == 0) && answer.failed == 0 {
            self.nothing_to_hold += 1;
        }
        let seen = inspected.map(|inspected| inspected.seen.as_slice()).unwrap_or_default();
        for instance in seen {
            let major = instance.product.split('.').next().unwrap_or_default().to_owned();
            *self.products.entry(major).or_default() += 1;
            *self.holds.entry(instance.holds.clone().unwrap_or_default()).or_default() += 1;
            self.replicas_of(host, instance);
        }
        let failures = answer.failures.iter();
        let failures = failures
            .map(|failure| HostReport::new(host.clone(), &failure.instance, failure.error.name(), &failure.message));
        let blocking = answer.blocking.iter().map(|credential| HostReport::in_the_way(host, credential));
        failures.chain(blocking).collect()
    }
}

impl PlaceInspection {
    fn replicas_of(&mut self, host: &InstanceId, instance: &SeenInstance) {
        let Some(replica) = &instance.replica else { return };
        let seen = self.replicas.entry(replica.group.clone()).or_default();
        seen.members = seen.members.max(replica.replicas);
        seen.answered += 1;
        seen.sids.insert(replica.sids.clone());
        if replica.role == ReplicaRole::Primary {
            seen.primaries.insert(host.clone());
        }
    }
}

impl PlaceSummary {
    /// Sums a place up. Of the failures the first few are named.
    pub fn new(
        place: &Place,
        version: &VersionId,
        roster: &Roster,
        unreachable: usize,
        failures: &[HostReport],
    ) -> Self {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        PlaceSummary {
            account: place.account.clone(),
            region: place.region.clone(),
            version: Some(version.clone()),
            running: count(roster.running()),
            proved: count(roster.proved.len()),
            unreachable: count(unreachable),
            stopped: count(roster.stopped()),
            stopped_lacking: count(roster.stopped_lacking.len()),
            failures: failures.iter().take(NAMED_FAILURES).cloned().collect(),
            inspection: None,
            error: None,
        }
    }

    /// Sums up an inspection. Of what was found the first few are named.
    pub fn of_inspection(place: &Place, mut inspection: PlaceInspection, found: &[HostReport]) -> Self {
        inspection.findings = u32::try_from(found.len()).unwrap_or(u32::MAX);
        PlaceSummary {
            account: place.account.clone(),
            region: place.region.clone(),
            failures: found.iter().take(NAMED_FAILURES).cloned().collect(),
            inspection: Some(inspection),
            ..PlaceSummary::default()
        }
    }

    /// Running hosts whose agent answered.
    pub fn online(&self) -> u32 {
        self.running.saturating_sub(self.unreachable)
    }
}

impl PlaceError {
    /// The message inside: Lambda's cause is JSON.
    pub fn message(&self) -> String {
        let parsed: Option<Value> = serde_json::from_str(&self.cause).ok();
        let message = parsed.as_ref().and_then(|cause| cause.get("errorMessage")).and_then(Value::as_str);
        message.unwrap_or(&self.cause).to_owned()
    }
}

/// A place's error as the state machine's Catch hands it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct PlaceError {
    /// The error's name.
    pub error: String,
    /// Lambda's text, or ours.
    pub cause: String,
}
