//! What people are told: the execution's output, the SNS message, the evidence and the metrics ([`crate::metrics`]) are
//! views of one record of the run.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::contracts::{Promoted, Report, StageOutcome, Staged};
use crate::fleet::{Host, Roster, name_by_version, name_hosts};
use crate::names::{AccessKeyId, InstanceId, ledger_tag};
use crate::plan::Retirement;
use crate::promotion::name_failures;
use crate::request::{Mode, Request};
use crate::secret::Target;
use crate::settings::{Credential, Settings};
use crate::summary::PlaceSummary;
use crate::verdict::{CREDENTIAL_IN_THE_WAY, UNREACHABLE};

/// Hosts whose proofs one line of evidence holds: well below the 256 KiB of a CloudWatch log event.
const HOSTS_OF_A_PART: usize = 500;

/// Everything that a report tells of.
pub struct Record<'a> {
    /// The rotation's settings.
    pub settings: &'a Settings,
    /// The execution's ARN.
    pub execution: &'a str,
    /// When it began.
    pub started: Timestamp,
    /// When this is written.
    pub now: Timestamp,
    /// What the run was to do.
    pub request: &'a Request,
    /// What was staged.
    pub staged: &'a Staged,
    /// What was promoted.
    pub promoted: &'a Promoted,
    /// How each place stands, where hosts were commanded.
    pub places: &'a [PlaceSummary],
    /// The target at the end.
    pub target: Option<&'a Target>,
    /// Its key, where it holds one.
    pub target_key: Option<AccessKeyId>,
    /// The login whose password it holds, where it holds one.
    pub target_login: Option<String>,
    /// The hosts at the end.
    pub roster: &'a Roster,
    /// What became of old keys.
    pub retired: &'a [Retirement],
    /// What people should know in time.
    pub warnings: &'a [String],
    /// When the next rotation is due.
    pub next_rotation: Option<Timestamp>,
    /// When the current key was made, where the run looked at keys.
    pub current_key_created: Option<Timestamp>,
    /// Whether something that is no host of the fleet uses an old key.
    pub is_old_key_used: bool,
}

impl Record<'_> {
    /// Writes the report.
    pub fn report(&self) -> Report {
        let lines = [
            self.staging(),
            self.fleet(),
            self.late(),
            self.failures(),
            self.after_repair(),
            self.keys(),
            self.next(),
            self.warnings.to_vec(),
        ];
        Report {
            worth_telling: self.is_worth_telling(),
            subject: self.subject(),
            message: lines.into_iter().flatten().collect::<Vec<_>>().join("\n"),
            evidence: self.evidence(),
        }
    }

    fn subject(&self) -> String {
        let what = match (self.request.mode, self.promoted.promoted) {
            (Mode::Rollback, true) => "rolled back",
            (_, true) => "rotated",
            (_, false) if self.has_failures() => "hosts need attention",
            (_, false) if !self.warnings.is_empty() => "a warning",
            (Mode::Abandon, false) => "abandoned",
            (Mode::Rotate | Mode::Converge | Mode::Plan | Mode::Rollback | Mode::Provision, false) => "converged",
        };
        format!("credential-rotation {}: {what}", self.settings.rotation).chars().take(99).collect()
    }

    fn has_failures(&self) -> bool {
        self.places.iter().any(|place| place.error.is_some() || !place.failures.is_empty())
    }

    fn is_worth_telling(&self) -> bool {
        let key_changed = self.retired.iter().any(Retirement::is_change);
        self.promoted.promoted
            || key_changed
            || self.staged.outcome == StageOutcome::HeldUp
            || self.has_failures()
            || !self.warnings.is_empty()
            || self.places.iter().any(|place| place.proved > 0)
    }

    fn staging(&self) -> Vec<String> {
        let promoted = self.promoted.version.as_ref().filter(|_| self.promoted.promoted);
        let others = match &self.settings.credential {
            Credential::AccessKey(_) if self.request.compromised.is_none() => "; both keys stay Active",
            Credential::AccessKey(_) | Credential::Login(_) => "",
        };
        let promotion = promoted.map(|version| format!("Version {version} is now AWSCURRENT{others}."));
        let message = Some(self.staged.message.clone()).filter(|message| !message.is_empty());
        message.into_iter().chain(promotion).chain(self.gap()).collect()
    }

    /// How long applications could be refused that had read the last password of a login that is the only one.
    fn gap(&self) -> Option<String> {
        let gaps = self.gaps();
        let (host, longest) = gaps.iter().max_by_key(|(_, gap)| *gap)?;
        Some(format!(
            "Between the change and the promotion a host refused applications that had read the last password: at most {} s on {} hosts, the longest on {}.",
            longest.as_secs(),
            gaps.len(),
            host.describe()
        ))
    }

    /// For each host that proved the promoted password of an only login: from when its command was asked for, which is
    /// before it changed anything, until the promotion. Where two logins take turns nobody waits for anything.
    fn gaps(&self) -> Vec<(&Host, SignedDuration)> {
        let (Credential::Login(login), Some(promoted)) = (&self.settings.credential, self.promoted.at) else {
            return Vec::new();
        };
        if login.is_alternating() {
            return Vec::new();
        }
        let of = |host: &Host| {
            let entry = host.ledger.as_ref()?;
            let is_of_this = Some(&entry.version) == self.promoted.version.as_ref() && entry.commanded <= promoted;
            is_of_this.then(|| promoted.duration_since(entry.commanded))
        };
        self.roster.all().filter_map(|host| Some((host, of(host)?))).collect()
    }

    fn fleet(&self) -> Vec<String> {
        let Some(target) = self.target else { return vec!["The secret has no version to hold yet.".to_owned()] };
        let (proved, running) = (self.proved(), self.roster.running());
        if self.promoted.promoted {
            return vec![format!(
                "{proved} of {running} running hosts proved it; the next converge proves them once more."
            )];
        }
        let key = self.target_key.as_ref().map(|key| format!(" (key {key})"));
        let login = self.target_login.as_ref().map(|login| format!(" (a password of {login})"));
        let what = key.or(login).unwrap_or_default();
        vec![format!("{proved} of {running} running hosts hold a believed proof of version {}{what}.", target.version)]
    }

    /// Running hosts that have proved the target. Belief starts anew with every promotion, so that after one it is those
    /// that this run's commands brought to it just before.
    pub(crate) fn proved(&self) -> usize {
        if !self.promoted.promoted {
            return self.roster.proved.len();
        }
        let proved: u32 = self.places.iter().map(|place| place.proved).sum();
        usize::try_from(proved).unwrap_or(usize::MAX)
    }

    fn late(&self) -> Vec<String> {
        let unreachable: u32 = self.places.iter().map(|place| place.unreachable).sum();
        let silent = (unreachable > 0).then(|| {
            format!(
                "{} gave no answer; converge brings them in as soon as their agents answer.",
                running_hosts(unreachable)
            )
        });
        let strangers = self.strangers();
        let named = |hosts: &[Host], what: &str, then: &str| {
            (!hosts.is_empty()).then(|| format!("{what}: {}.{then}", name_hosts(hosts)))
        };
        let (again, behind): (Vec<Host>, Vec<Host>) =
            self.roster.lacking.iter().cloned().partition(|host| self.has_held_the_target(host));
        // Every proof counts anew since a promotion; to name every host would hide the one that matters.
        let again = if self.promoted.promoted { Vec::new() } else { again };
        let in_the_way = format!(
            " Drop the credential, or list it in credentials or foreignCredentials; until then the old key stays ({CREDENTIAL_IN_THE_WAY})."
        );
        let to_let_go = format!(
            " They keep the old key: when nothing on them needs it any more, take the tag {} off, or tag them into the fleet again.",
            ledger_tag(&self.settings.rotation)
        );
        [
            silent,
            (!behind.is_empty()).then(|| format!("Behind: {}", name_by_version(&behind))),
            named(&again, "To prove it once more (they have started, got another disk, or failed since)", ""),
            (!strangers.is_empty()).then(|| format!("Not running, or no host of this fleet: {strangers}.")),
            named(&self.drifted(), "Drifted (somebody had altered or dropped the credential; it is right again)", ""),
            named(&self.roster.blocked, "With a credential in the way", &in_the_way),
            named(&self.roster.stopped_lacking, "Stopped, and brought in when they start", ""),
            named(&self.roster.left, "No longer in the fleet, with our ledger tag", &to_let_go),
            named(&self.roster.let_go, "Gone on without, as asked", ""),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether a host's last proof was of the target's version, though it is not believed any more.
    fn has_held_the_target(&self, host: &Host) -> bool {
        let version = self.target.map(|target| &target.version);
        host.ledger.as_ref().is_some_and(|entry| Some(&entry.version) == version)
    }

    /// Hosts that the request names and that are not there.
    fn strangers(&self) -> String {
        let running = || self.roster.lacking.iter().chain(&self.roster.proved);
        let named = self.request.instance_ids.iter().filter(|id| !running().any(|host| host.id == **id));
        named.map(InstanceId::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Hosts that this run found drifted, by what their ledger says since.
    fn drifted(&self) -> Vec<Host> {
        let of_this_run =
            |host: &&Host| host.ledger.as_ref().is_some_and(|entry| entry.drifted && entry.commanded >= self.started);
        self.roster.proved.iter().filter(of_this_run).cloned().collect()
    }

    fn failures(&self) -> Vec<String> {
        Some(name_failures(self.places)).filter(|text| !text.is_empty()).into_iter().collect()
    }

    /// The input to start once the hosts that failed are repaired.
    fn after_repair(&self) -> Vec<String> {
        let is_repaired = |error: &str| error != UNREACHABLE && error != CREDENTIAL_IN_THE_WAY;
        let failures = self.places.iter().flat_map(|place| &place.failures);
        let mut hosts: Vec<&InstanceId> =
            failures.filter(|report| is_repaired(&report.error)).map(|report| &report.host).collect();
        hosts.dedup();
        let input = json!({ "mode": "converge", "instanceIds": hosts });
        let line = || format!("Once that is repaired start {input}; the daily converge does it, too.");
        (!hosts.is_empty()).then(line).into_iter().collect()
    }

    /// The hosts that gave no answer, by name.
    fn unreachable(&self) -> Option<String> {
        let reports = self.places.iter().flat_map(|place| &place.failures);
        let names: Vec<&str> =
            reports.filter(|report| report.error == UNREACHABLE).map(|report| report.host.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// What became of old keys.
    pub fn keys(&self) -> Vec<String> {
        let line = |retirement: &Retirement| match retirement {
            Retirement::Deactivate { key } if self.request.compromised.as_ref() == Some(key) => {
                format!("Key {key}, which leaked, was made Inactive.")
            }
            Retirement::Deactivate { key } => format!(
                "Key {key} was made Inactive. To undo: aws iam update-access-key --user-name {} --access-key-id {key} --status Active",
                self.settings.subject()
            ),
            Retirement::RecordInactive { key } => format!("Key {key} is Inactive; the time was recorded."),
            Retirement::Delete { key, .. } => format!("Key {key} was deleted."),
            // Every proof counts anew since the promotion; to name every host would hide the one that matters.
            Retirement::NotYet { key, obstacles, .. } if self.promoted.promoted => format!(
                "Key {key} stays Active: {}; and until every running host has proved the new version once more{}.",
                obstacles.first().map(String::as_str).unwrap_or_default(),
                self.unreachable().map(|names| format!(" ({names} gave no answer yet)")).unwrap_or_default()
            ),
            Retirement::NotYet { key, obstacles, earliest } => {
                let when = earliest.map(|time| format!(" (earliest {time})")).unwrap_or_default();
                format!("Key {key} stays as it is{when}: {}.", obstacles.join("; "))
            }
        };
        self.retired.iter().map(line).collect()
    }

    fn next(&self) -> Vec<String> {
        let paused = "The schedules are paused (schedule.paused): nothing starts by itself.";
        let paused = self.settings.schedule.paused.then(|| paused.to_owned());
        let due = self.next_rotation.map(|due| format!("The next rotation is due on {}.", due.strftime("%Y-%m-%d")));
        due.into_iter().chain(paused).collect()
    }

    /// The evidence as it is logged: the record, then each host's last proof, in as many lines as it takes. A state's
    /// payload has no room for the proofs of thousands of hosts.
    pub fn evidence_lines(&self) -> Vec<serde_json::Value> {
        let believed = self.roster.proved.iter().chain(&self.roster.stopped_proved);
        let believed: BTreeSet<&InstanceId> = believed.map(|host| &host.id).collect();
        let hosts: Vec<&Host> = self.roster.all().collect();
        let parts = hosts.chunks(HOSTS_OF_A_PART);
        let count = parts.len();
        let line = |(index, hosts): (usize, &[&Host])| {
            json!({
                "rotation": self.settings.rotation,
                "execution": self.execution,
                "part": index + 1,
                "parts": count,
                "proofs": hosts.iter().map(|host| proof_of(host, &believed, self.started)).collect::<Vec<_>>(),
            })
        };
        std::iter::once(self.evidence()).chain(parts.enumerate().map(line)).collect()
    }

    /// The record as an auditor keeps it, in one line of JSON.
    fn evidence(&self) -> serde_json::Value {
        let of = |retirement: &Retirement| {
            let what = match retirement {
                Retirement::Deactivate { .. } => "madeInactive",
                Retirement::RecordInactive { .. } => "inactive",
                Retirement::Delete { .. } => "deleted",
                Retirement::NotYet { .. } => "kept",
            };
            json!({ "key": retirement.key(), "what": what })
        };
        json!({
            "rotation": self.settings.rotation,
            self.settings.credential.member(): self.settings.subject(),
            "execution": self.execution,
            "started": self.started,
            "ended": self.now,
            "request": self.request,
            "version": self.target.map(|target| &target.version),
            "key": self.target_key,
            "login": self.target_login,
            "gapSeconds": self.gaps().iter().map(|(_, gap)| gap.as_secs()).max(),
            "since": self.target.map(|target| target.since),
            "promoted": self.promoted.promoted,
            "hosts": {
                "running": self.roster.running(),
                "proved": self.proved(),
                "stopped": self.roster.stopped(),
                "stoppedProved": self.roster.stopped_proved.len(),
                "left": self.roster.left.len(),
                "without": self.roster.let_go.iter().map(|host| &host.id).collect::<Vec<_>>(),
            },
            "keys": self.retired.iter().map(of).collect::<Vec<_>>(),
        })
    }
}

/// A host's last proof, as its ledger has it, and whether it is believed.
fn proof_of(host: &Host, believed: &BTreeSet<&InstanceId>, started: Timestamp) -> serde_json::Value {
    json!({
        "host": host.id,
        "running": host.is_up(),
        "inFleet": host.matches,
        "proof": host.ledger.as_ref().map(ToString::to_string),
        "believed": believed.contains(&host.id),
        "provedInThisRun": host.ledger.as_ref().is_some_and(|entry| !entry.failed && entry.commanded >= started),
    })
}

fn running_hosts(count: u32) -> String {
    if count == 1 { "1 running host".to_owned() } else { format!("{count} running hosts") }
}
