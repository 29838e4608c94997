//! Which keys that are no longer needed may go, and what keeps the others.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Account, Facts, after};
use crate::fleet::{Host, Roster, name_all_hosts, name_hosts};
use crate::keys::{KeyFacts, KeyStatus};
use crate::names::{AccessKeyId, VersionId};
use crate::settings::StoppedHosts;

/// What becomes of one key that is neither target nor current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Retirement {
    /// Make it Inactive, and record when.
    Deactivate {
        /// The key.
        key: AccessKeyId,
    },
    /// It is Inactive and nobody recorded since when: record the present time, which only delays.
    RecordInactive {
        /// The key.
        key: AccessKeyId,
    },
    /// Delete it, then take its label and its record away.
    Delete {
        /// The key.
        key: AccessKeyId,
        /// The version that bears its private label; an orphan has none.
        version: Option<VersionId>,
    },
    /// It stays for now.
    NotYet {
        /// The key.
        key: AccessKeyId,
        /// Everything that keeps it, each with what ends it.
        obstacles: Vec<String>,
        /// The earliest time at which the waits are over; absent where something else must happen.
        earliest: Option<Timestamp>,
    },
}

impl Retirement {
    /// The key that it is about.
    pub fn key(&self) -> &AccessKeyId {
        match self {
            Retirement::Deactivate { key }
            | Retirement::RecordInactive { key }
            | Retirement::Delete { key, .. }
            | Retirement::NotYet { key, .. } => key,
        }
    }

    /// Whether anything becomes of the key.
    pub fn is_change(&self) -> bool {
        !matches!(self, Retirement::NotYet { .. })
    }
}

/// Plans the retirement on a settled secret. Keys that nobody accounts for are never part of it.
pub(super) fn retire(facts: &Facts<'_>, account: &Account, roster: &Roster) -> Vec<Retirement> {
    let in_use =
        [facts.secret.pending(), facts.secret.current(), facts.secret.intent.as_ref().map(|intent| &intent.token)];
    let is_candidate = |key: &&KeyFacts| match account.versions.get(&key.id) {
        Some(version) => !in_use.contains(&Some(version)) && facts.current_key().as_ref() != Some(&key.id),
        None => account.orphans.contains(&key.id),
    };
    facts
        .keys
        .iter()
        .filter(is_candidate)
        .map(|key| {
            let is_orphan = account.orphans.contains(&key.id);
            match key.status {
                KeyStatus::Active if facts.has_leaked(&key.id) => deactivate_leaked(facts, key),
                KeyStatus::Active if is_orphan => Retirement::Deactivate { key: key.id.clone() },
                KeyStatus::Active => deactivate(facts, roster, key),
                KeyStatus::Inactive | KeyStatus::Expired => delete(facts, account, key, is_orphan),
            }
        })
        .collect()
}

/// A leaked key goes at once: whoever lacks the target loses its backups, and was named.
fn deactivate_leaked(facts: &Facts<'_>, key: &KeyFacts) -> Retirement {
    match target_obstacle(facts) {
        None => Retirement::Deactivate { key: key.id.clone() },
        Some(obstacle) => Retirement::NotYet { key: key.id.clone(), obstacles: vec![obstacle], earliest: None },
    }
}

/// Whom the retirement takes a working credential from, since the request says so: for a leaked key every host that has
/// not proved the target at all, else the hosts that the run goes on without.
pub(super) fn breaks(facts: &Facts<'_>, retire: &[Retirement], roster: &Roster) -> Option<String> {
    let deactivated = retire.iter().filter(|retirement| matches!(retirement, Retirement::Deactivate { .. }));
    let keys: Vec<&AccessKeyId> = deactivated.map(Retirement::key).filter(|key| !is_orphan_key(facts, key)).collect();
    let target = facts.secret.target()?;
    let is_leak = keys.iter().any(|key| facts.has_leaked(key));
    let all = roster.all().filter(|host| !host.has_ever_proved(&target));
    let broken: Vec<&Host> = all.filter(|host| is_leak || roster.let_go.contains(host)).collect();
    if keys.is_empty() || broken.is_empty() {
        return None;
    }
    let keys = keys.into_iter().map(AccessKeyId::as_str).collect::<Vec<_>>().join(", ");
    Some(format!(
        "Key {keys} is made Inactive now, as asked. These hosts have not proved version {} and lose their backups unless they hold it: {}",
        target.version,
        name_all_hosts(broken)
    ))
}

/// Nobody can hold a key that was never stored.
fn is_orphan_key(facts: &Facts<'_>, key: &AccessKeyId) -> bool {
    !facts.secret.labels.contains_key(key.as_str())
}

/// An Active key goes Inactive when every running host has proved the target and every wait is over.
fn deactivate(facts: &Facts<'_>, roster: &Roster, key: &KeyFacts) -> Retirement {
    let mut waits = Waits { now: facts.now, obstacles: Vec::new(), earliest: None };
    let retirement = &facts.access_key.retirement;
    if let Some(standing) = &facts.secret.standing {
        waits.until(
            after(standing.since, retirement.overlap()),
            &format!("the overlap of {} days", retirement.overlap_days),
        );
    }
    // Hosts that the run goes on without use the key every night, and are named before it goes.
    if let Some(last) = key.last_use.as_ref().filter(|_| roster.let_go.is_empty()) {
        let what = format!(
            "its last use at {} for {} in {}, and the quiet period of {} hours",
            last.at, last.service, last.region, retirement.quiet_period_hours
        );
        waits.until(after(last.at, retirement.quiet_period()), &what);
    }
    let (dates, mut obstacles) = (waits.obstacles, host_obstacles(facts, roster));
    obstacles.extend(target_obstacle(facts));
    let earliest = waits.earliest.filter(|_| obstacles.is_empty());
    obstacles.splice(0..0, dates);
    if obstacles.is_empty() {
        return Retirement::Deactivate { key: key.id.clone() };
    }
    Retirement::NotYet { key: key.id.clone(), obstacles, earliest }
}

/// An Inactive key is deleted when it has been left alone for long enough.
fn delete(facts: &Facts<'_>, account: &Account, key: &KeyFacts, is_orphan: bool) -> Retirement {
    let Some(since) = facts.secret.inactive_since.get(&key.id) else {
        return Retirement::RecordInactive { key: key.id.clone() };
    };
    let retirement = &facts.access_key.retirement;
    // Nobody can hold an orphan's value, so that the quiet period is wait enough.
    let wait = if is_orphan { retirement.quiet_period() } else { retirement.delete_after() };
    let due = after(*since, wait);
    if facts.now >= due {
        return Retirement::Delete { key: key.id.clone(), version: account.versions.get(&key.id).cloned() };
    }
    let obstacles = vec![format!("it is Inactive since {since} and is deleted after {due}")];
    Retirement::NotYet { key: key.id.clone(), obstacles, earliest: Some(due) }
}

struct Waits {
    now: Timestamp,
    obstacles: Vec<String>,
    earliest: Option<Timestamp>,
}

impl Waits {
    fn until(&mut self, due: Timestamp, what: &str) {
        if self.now < due {
            self.obstacles.push(format!("{what}, until {due}"));
            self.earliest = self.earliest.max(Some(due));
        }
    }
}

/// What the hosts have against it, each named with what ends it.
fn host_obstacles(facts: &Facts<'_>, roster: &Roster) -> Vec<String> {
    let mut obstacles = Vec::new();
    let mut name = |hosts: &[crate::fleet::Host], what: &str| {
        if !hosts.is_empty() {
            obstacles.push(format!("{} {what}", name_hosts(hosts)));
        }
    };
    name(
        &roster.lacking,
        "run without a fresh proof of the target: converge proves them as soon as their agents answer",
    );
    name(
        &roster.left,
        "no longer match the fleet's tags and may still hold a key: remove the ledger tag when they hold none",
    );
    name(
        &roster.blocked,
        "have a credential that shadows ours or that the settings neither list nor declare foreign: see the commands' log",
    );
    if facts.access_key.retirement.stopped_hosts == StoppedHosts::Hold {
        name(
            &roster.stopped_lacking,
            "are stopped without a proof, and stoppedHosts is `hold`: start or terminate them",
        );
    }
    obstacles
}

/// Nothing goes while the key that everyone is meant to hold is not known to work.
fn target_obstacle(facts: &Facts<'_>) -> Option<String> {
    let target = facts.secret.target().map(|target| target.version);
    let key = target.as_ref().and_then(|version| facts.key_of(version));
    match key {
        Some(key) if facts.is_active(&key) => None,
        Some(key) => {
            Some(format!("the target's key {key} is not Active: nothing may go before it works or is replaced"))
        }
        None => Some("the secret has no target yet".to_owned()),
    }
}
