//! How one account and region stands when it is done: counts, and the few failures that are named.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fleet::Roster;
use crate::names::VersionId;
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
    /// Why the place could not be commanded at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<PlaceError>,
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
            error: None,
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
