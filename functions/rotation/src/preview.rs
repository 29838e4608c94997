//! What `rotate` would do now, told beforehand: which key, which hosts in which waves, what comes after, what forbids it.
//!
//! A plan changes nothing, so what would end a rotation at its first refusal is collected here, and all of it is told.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::contracts::Report;
use crate::fleet::{Host, Roster, name_by_version, name_hosts};
use crate::keys::{KeyFacts, KeyStatus};
use crate::names::{AccessKeyId, InstanceId};
use crate::permissions::Simulation;
use crate::plan::{Plan, Retirement, Stage, after};
use crate::promotion::name_failures;
use crate::request::Request;
use crate::secret::SecretFacts;
use crate::settings::{Place, Settings};
use crate::summary::{PlaceInspection, PlaceSummary};
use crate::waves::{INSTANCE_IDS_OF_A_COMMAND, Nodes};

#[cfg(test)]
mod tests;

/// Everything that a plan tells of.
pub struct Preview<'a> {
    /// The rotation's settings.
    pub settings: &'a Settings,
    /// The execution's ARN.
    pub execution: &'a str,
    /// When this is written.
    pub now: Timestamp,
    /// What was asked.
    pub request: &'a Request,
    /// The secret, its records put in order in thought.
    pub secret: &'a SecretFacts,
    /// The user's keys, where they could be read.
    pub keys: Option<&'a [KeyFacts]>,
    /// The plan, where one can be made.
    pub plan: Option<&'a Plan>,
    /// The hosts of every account and region that could be read.
    pub places: &'a [PlaceOutlook],
    /// What the hosts said, where they were inspected.
    pub inspections: &'a [PlaceSummary],
    /// What IAM's simulation came to.
    pub simulation: &'a Simulation,
    /// What would end a rotation, each with its remedy.
    pub refusals: &'a [String],
}

/// One account and region beforehand.
pub struct PlaceOutlook {
    /// Which.
    pub place: Place,
    /// Its hosts.
    pub roster: Roster,
    /// What SSM says of those that may be commanded, or of as many of them as it took to find a canary.
    pub nodes: Nodes,
    /// Whether SSM was asked about every running host.
    pub asked_of_all: bool,
}

impl Preview<'_> {
    /// Writes it.
    pub fn report(&self) -> Report {
        let fleet = self.fleet();
        let forbidden = self.forbidden();
        let lines = [
            self.staging(),
            self.holders(),
            hosts(&fleet),
            self.places.iter().map(|outlook| self.waves(outlook)).collect(),
            self.unread(),
            self.afterwards(),
            self.inspected(),
            self.simulation.lines(),
            self.plan.map(|plan| plan.warnings.clone()).unwrap_or_default(),
            if forbidden.is_empty() { vec!["Nothing forbids it.".to_owned()] } else { forbidden },
        ];
        Report {
            worth_telling: true,
            subject: format!("credential-rotation {}: plan", self.settings.rotation),
            message: lines.into_iter().flatten().collect::<Vec<_>>().join("\n"),
            evidence: self.evidence(&fleet),
        }
    }

    fn fleet(&self) -> Roster {
        let mut fleet = Roster::default();
        self.places.iter().for_each(|outlook| fleet.merge(outlook.roster.clone()));
        fleet
    }

    /// Whether `rotate` would bring hosts to a version that none of them knows yet.
    fn is_new(&self) -> bool {
        match self.plan.map(|plan| &plan.stage) {
            Some(Stage::Make { .. } | Stage::Check { .. } | Stage::Wait { .. } | Stage::FreeSlot { .. }) => true,
            Some(
                Stage::NotAsked | Stage::Pending { .. } | Stage::Announced { .. } | Stage::Turn(_) | Stage::Refused(_),
            )
            | None => false,
        }
    }

    fn staging(&self) -> Vec<String> {
        if self.keys.is_none() {
            return vec!["What would be staged is unknown: the user's keys could not be read.".to_owned()];
        }
        let Some(plan) = self.plan else { return vec!["Nothing would be staged.".to_owned()] };
        let staged = "stored as a new version, checked with STS and labelled AWSPENDING";
        let line = match &plan.stage {
            Stage::NotAsked => "Nothing would be staged: the leaked key is not the current one.".to_owned(),
            Stage::Pending { version, key } => {
                format!("The run would go on with the pending version {version} (key {key}).")
            }
            Stage::Check { version, key } => {
                format!("The stored key {key} (version {version}) would be checked with STS and labelled AWSPENDING.")
            }
            Stage::Make { .. } => format!("A new access key would be made, {staged}."),
            Stage::Wait { until, execution } => format!(
                "The run would wait until {until} for the key that {execution} may have made; then a key would be {staged}."
            ),
            Stage::Announced { .. } | Stage::Turn(_) => "AWSPENDING would be moved back.".to_owned(),
            Stage::FreeSlot { key, .. } => format!(
                "The Inactive key {key} would be deleted at once, since the leaked key needs its slot; then a new access key would be made, {staged}."
            ),
            Stage::Refused(_) => "Nothing would be staged.".to_owned(),
        };
        vec![line]
    }

    /// The user's keys and what each is now.
    fn holders(&self) -> Vec<String> {
        let of = |key: &KeyFacts| {
            let holds =
                |version: Option<&_>| version.and_then(|version| self.secret.key_of(version)).as_ref() == Some(&key.id);
            let what = match () {
                () if holds(self.secret.pending()) => "pending",
                () if holds(self.secret.current()) => "current",
                () if self.is_stored_only(&key.id) => "stored, and not pending yet",
                () if !self.secret.labels.contains_key(key.id.as_str()) => "in no version of the secret",
                () if key.status == KeyStatus::Active => "of an earlier version; hosts may hold it",
                () => "of an earlier version",
            };
            format!("Key {}: {what}.", key.describe())
        };
        self.keys.into_iter().flatten().map(of).collect()
    }

    /// Whether a run has stored a key that no host knows yet.
    fn is_stored_only(&self, id: &AccessKeyId) -> bool {
        matches!(self.plan.map(|plan| &plan.stage), Some(Stage::Check { key, .. }) if key == id)
    }

    /// Accounts and regions that could not be read: what is told of hosts is not about them.
    fn unread(&self) -> Vec<String> {
        let mut unread = self.settings.places();
        unread.retain(|place| !self.places.iter().any(|outlook| outlook.place == *place));
        unread
            .iter()
            .map(|place| format!("{}: could not be read, and is in no number above.", place.describe()))
            .collect()
    }

    /// Whom a place's commands would reach, and in which waves.
    fn waves(&self, outlook: &PlaceOutlook) -> String {
        let PlaceOutlook { place, roster, nodes, .. } = outlook;
        let commanded = self.commanded(roster);
        let place = place.describe();
        if commanded.is_empty() {
            return format!("{place}: no host would be commanded.");
        }
        let named = |ids: &[InstanceId]| name_hosts(roster.all().filter(|host| ids.contains(&host.id)));
        let online: Vec<InstanceId> = nodes.online.iter().filter(|id| commanded.contains(id)).cloned().collect();
        let needs_canary = self.needs_canary(roster);
        if self.lacks_canary(outlook) {
            return format!(
                "{place}: nobody is online in SSM to be the canary, and without one nobody else is commanded."
            );
        }
        let canaries = if needs_canary { online.len().min(self.settings.waves.canary_hosts as usize) } else { 0 };
        let canaries = &online[..canaries];
        let rest = commanded.len() - canaries.len();
        let how = if rest > INSTANCE_IDS_OF_A_COMMAND { "all that match the tags" } else { "by name" };
        let at_a_time = self.settings.waves.concurrency;
        let rest = format!("{} in one command ({how}), {at_a_time} at a time", count_hosts(rest));
        let waves = match canaries.len() {
            0 => rest,
            count if count == commanded.len() => format!("the canary {} alone", named(canaries)),
            _ => format!("first the canary {}, then {rest}", named(canaries)),
        };
        let silent: Vec<InstanceId> =
            commanded.iter().filter(|id| outlook.asked_of_all && !online.contains(id)).cloned().collect();
        let silent =
            if silent.is_empty() { String::new() } else { format!(" Not online in SSM now: {}.", named(&silent)) };
        let document = &self.settings.document;
        format!("{place}: {waves}, with {} version {}.{silent}", document.name, document.version)
    }

    fn needs_canary(&self, roster: &Roster) -> bool {
        self.is_new() || !roster.has_real_proof()
    }

    /// Whether a place needs a canary and SSM sees nobody online who could be it.
    fn lacks_canary(&self, outlook: &PlaceOutlook) -> bool {
        let commanded = self.commanded(&outlook.roster);
        let is_online = outlook.nodes.online.iter().any(|id| commanded.contains(id));
        !commanded.is_empty() && !is_online && self.needs_canary(&outlook.roster)
    }

    fn commanded(&self, roster: &Roster) -> Vec<InstanceId> {
        let running = roster.proved.iter().chain(&roster.lacking).map(|host| &host.id);
        match self.is_new() {
            true => running.filter(|id| !self.request.without.contains(*id)).cloned().collect(),
            false => roster.to_command(self.request),
        }
    }

    /// What becomes of AWSCURRENT and of the keys, and when.
    fn afterwards(&self) -> Vec<String> {
        let Some(plan) = self.plan else { return Vec::new() };
        let schedule = &self.settings.schedule;
        let mut lines = Vec::new();
        if self.is_new() || matches!(plan.stage, Stage::Pending { .. }) {
            lines.push(format!(
                "AWSCURRENT would move once {} % of the online hosts have proved the new version, the canary of every region with hosts among them.",
                (self.settings.promote_share * 1000.0).round() / 10.0
            ));
            lines.extend(self.current_key().map(|key| self.retirement_of(&key)));
        }
        lines.extend(plan.retire.iter().map(|retirement| match retirement {
            Retirement::Deactivate { key } => format!("Key {key} would be made Inactive."),
            Retirement::RecordInactive { key } => format!("Key {key} is Inactive; the time would be recorded."),
            Retirement::Delete { key, .. } => format!("Key {key} would be deleted."),
            Retirement::NotYet { key, obstacles, earliest } => {
                let when = earliest.map(|time| format!(" (earliest {time})")).unwrap_or_default();
                format!("Key {key} would stay as it is{when}: {}.", obstacles.join("; "))
            }
        }));
        lines.extend(plan.breaks.iter().map(|breaks| format!("Before that, people would be told: {breaks}")));
        lines.extend(plan.next_rotation.map(|due| {
            let paused = if schedule.paused { ", and the schedules are paused (schedule.paused)" } else { "" };
            format!("By its age the current key is due on {}{paused}.", due.strftime("%Y-%m-%d"))
        }));
        lines
    }

    fn current_key(&self) -> Option<AccessKeyId> {
        self.secret.key_of(self.secret.current()?)
    }

    /// What becomes of the key that is current now, once another is.
    fn retirement_of(&self, key: &AccessKeyId) -> String {
        if self.request.compromised.as_ref() == Some(key) {
            return format!(
                "Key {key} would be made Inactive in the same run, after every host that it breaks was named; it is deleted {} days later.",
                self.settings.schedule.delete_after_days
            );
        }
        let schedule = &self.settings.schedule;
        let inactive = after(self.now, schedule.overlap());
        format!(
            "Key {key} would stay Active until {} at the earliest and until every running host has proved the new version, and be deleted on {} at the earliest.",
            inactive.strftime("%Y-%m-%d"),
            after(inactive, schedule.delete_after()).strftime("%Y-%m-%d")
        )
    }

    fn inspected(&self) -> Vec<String> {
        let seen = self.inspections.iter().filter_map(|place| Some((place, place.inspection.as_ref()?)));
        let mut lines: Vec<String> = seen.map(|(place, inspection)| describe_inspection(place, inspection)).collect();
        if self.request.inspect_hosts && lines.is_empty() {
            lines.push("The hosts were not inspected: there is no version yet that they could hold.".to_owned());
        }
        let named = name_failures(self.inspections);
        lines.extend(Some(named).filter(|named| !named.is_empty()));
        let found: u32 = self.inspections.iter().filter_map(|place| Some(place.inspection.as_ref()?.findings)).sum();
        let named: usize = self.inspections.iter().map(|place| place.failures.len()).sum();
        let more = usize::try_from(found).unwrap_or(usize::MAX).saturating_sub(named);
        let group = &self.settings.document.log_group;
        lines.extend((more > 0).then(|| format!("And {more} more; each host's answer is in the log group {group}.")));
        lines
    }

    fn forbidden(&self) -> Vec<String> {
        let refused = self.plan.and_then(|plan| match &plan.stage {
            Stage::Refused(refusal) => Some(refusal.to_string()),
            Stage::NotAsked
            | Stage::Pending { .. }
            | Stage::Check { .. }
            | Stage::Make { .. }
            | Stage::Wait { .. }
            | Stage::Announced { .. }
            | Stage::Turn(_)
            | Stage::FreeSlot { .. } => None,
        });
        let mut lines: Vec<String> = Vec::new();
        for refusal in self.refusals.iter().cloned().chain(refused).chain(self.nobody_online()) {
            let line = format!("What forbids it: {refusal}.");
            // Two functions that read the same are refused alike.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// Places whose hosts would be commanded and of which SSM sees none.
    fn nobody_online(&self) -> Vec<String> {
        let silent = self.places.iter().filter(|outlook| self.lacks_canary(outlook));
        let told = |outlook: &PlaceOutlook| {
            format!(
                "SSM sees no host of {} online that could prove a version. Look at their agents",
                outlook.place.describe()
            )
        };
        silent.map(told).collect()
    }

    fn evidence(&self, fleet: &Roster) -> Value {
        json!({
            "rotation": self.settings.rotation,
            "user": self.settings.user,
            "execution": self.execution,
            "ended": self.now,
            "request": self.request,
            "hosts": {
                "running": fleet.running(),
                "proved": fleet.proved.len(),
                "stopped": fleet.stopped(),
                "left": fleet.left.len(),
            },
            "forbidden": self.forbidden(),
            "missingPermissions": self.simulation.missing,
        })
    }
}

fn count_hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

/// The fleet by state and by the version that each host last proved.
fn hosts(fleet: &Roster) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |what: &str, hosts: Vec<&Host>, then: &str| {
        if !hosts.is_empty() {
            lines.push(format!("{what}: {}. {}{then}", hosts.len(), name_by_version(hosts)));
        }
    };
    add("Running", fleet.proved.iter().chain(&fleet.lacking).collect(), "");
    add(
        "Stopped",
        fleet.stopped_proved.iter().chain(&fleet.stopped_lacking).collect(),
        " They are brought in when they start.",
    );
    add("No longer in the fleet, with our ledger tag", fleet.left.iter().collect(), " The old key stays for them.");
    lines
}

fn describe_inspection(place: &PlaceSummary, inspection: &PlaceInspection) -> String {
    let list = |counts: &std::collections::BTreeMap<String, u32>, name: &dyn Fn(&str) -> String| {
        counts.iter().map(|(of, count)| format!("{} on {count}", name(of))).collect::<Vec<_>>().join(", ")
    };
    let products = list(&inspection.products, &|major| format!("SQL Server {major}.x"));
    let holds = list(&inspection.holds, &|version| match version {
        "" => "a version that nobody proved".to_owned(),
        version => format!("version {version}"),
    });
    let instances = match products.as_str() {
        "" => String::new(),
        products => format!(" Instances: {products}; they hold {holds}."),
    };
    format!(
        "{} of {}: {} of {} running hosts answered the inspection, {} of them with nothing to hold; findings: {}.{instances}",
        place.region,
        place.account,
        inspection.answered,
        place.running,
        inspection.nothing_to_hold,
        inspection.findings
    )
}
