//! What `rotate` would do now, told beforehand: which key, which hosts in which waves, what comes after, what forbids it.
//!
//! A plan changes nothing, so what would end a rotation at its first refusal is collected here, and all of it is told.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::contracts::Report;
use crate::fleet::{Host, Roster, name_by_version, name_hosts};
use crate::names::InstanceId;
use crate::permissions::Simulation;
use crate::promotion::name_failures;
use crate::request::Request;
use crate::secret::SecretFacts;
use crate::settings::{Place, Settings};
use crate::summary::{PlaceInspection, PlaceSummary};
use crate::waves::{INSTANCE_IDS_OF_A_COMMAND, Nodes};

mod access_key;
mod login;
#[cfg(test)]
mod tests;

pub use access_key::KeyProspect;
pub use login::LoginProspect;

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
    /// What would become of the credential.
    pub prospect: Prospect<'a>,
    /// The hosts of every account and region that could be read.
    pub places: &'a [PlaceOutlook],
    /// What the hosts said, where they were inspected.
    pub inspections: &'a [PlaceSummary],
    /// What IAM's simulation came to.
    pub simulation: &'a Simulation,
    /// What would end a rotation, each with its remedy.
    pub refusals: &'a [String],
}

/// What would become of the credential, by its kind.
pub enum Prospect<'a> {
    /// An access key.
    AccessKey(KeyProspect<'a>),
    /// A login's password.
    Login(LoginProspect<'a>),
}

impl Prospect<'_> {
    /// Whether `rotate` would bring hosts to a version that none of them knows yet.
    fn is_new(&self) -> bool {
        match self {
            Prospect::AccessKey(key) => key.is_new(),
            Prospect::Login(login) => login.is_new(),
        }
    }

    fn staging(&self) -> Vec<String> {
        match self {
            Prospect::AccessKey(key) => key.staging(),
            Prospect::Login(login) => login.staging(),
        }
    }

    fn holders(&self, preview: &Preview<'_>) -> Vec<String> {
        match self {
            Prospect::AccessKey(key) => key.holders(preview.secret),
            Prospect::Login(login) => login.holders(preview.secret),
        }
    }

    fn afterwards(&self, preview: &Preview<'_>) -> Vec<String> {
        match self {
            Prospect::AccessKey(key) => key.afterwards(preview),
            Prospect::Login(login) => login.afterwards(preview),
        }
    }

    fn warnings(&self) -> Vec<String> {
        match self {
            Prospect::AccessKey(key) => key.plan.map(|plan| plan.warnings.clone()).unwrap_or_default(),
            Prospect::Login(_) => Vec::new(),
        }
    }

    fn refused(&self) -> Option<String> {
        match self {
            Prospect::AccessKey(key) => key.refused(),
            Prospect::Login(login) => login.refused(),
        }
    }
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
            self.prospect.staging(),
            self.prospect.holders(self),
            hosts(&fleet),
            self.places.iter().map(|outlook| self.waves(outlook)).collect(),
            self.unread(),
            self.prospect.afterwards(self),
            self.inspected(),
            self.simulation.lines(),
            self.prospect.warnings(),
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
        self.prospect.is_new() || !roster.has_real_proof()
    }

    /// Whether a place needs a canary and SSM sees nobody online who could be it.
    fn lacks_canary(&self, outlook: &PlaceOutlook) -> bool {
        let commanded = self.commanded(&outlook.roster);
        let is_online = outlook.nodes.online.iter().any(|id| commanded.contains(id));
        !commanded.is_empty() && !is_online && self.needs_canary(&outlook.roster)
    }

    fn commanded(&self, roster: &Roster) -> Vec<InstanceId> {
        let running = roster.proved.iter().chain(&roster.lacking).map(|host| &host.id);
        match self.prospect.is_new() {
            true => running.filter(|id| !self.request.without.contains(*id)).cloned().collect(),
            false => roster.to_command(self.request),
        }
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
        let refused = self.prospect.refused();
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
            self.settings.credential.member(): self.settings.subject(),
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
