//! What people are told: the execution's output and the SNS message are views of one record of the run.

use crate::contracts::{Promoted, Report, StageOutcome, Staged};
use crate::fleet::{Roster, name_hosts};
use crate::plan::Retirement;
use crate::promotion::name_failures;
use crate::request::Mode;
use crate::secret::Target;
use crate::summary::PlaceSummary;
use crate::verdict::UNREACHABLE;

/// Everything that a report tells of.
pub struct Record<'a> {
    /// The rotation's name.
    pub rotation: &'a str,
    /// The IAM user.
    pub user: &'a str,
    /// What the run was to do.
    pub mode: Mode,
    /// What was staged.
    pub staged: &'a Staged,
    /// What was promoted.
    pub promoted: &'a Promoted,
    /// How each place stands, where hosts were commanded.
    pub places: &'a [PlaceSummary],
    /// The target at the end.
    pub target: Option<&'a Target>,
    /// The hosts at the end.
    pub roster: &'a Roster,
    /// What became of old keys.
    pub retired: &'a [Retirement],
}

impl Record<'_> {
    /// Writes the report.
    pub fn report(&self) -> Report {
        let lines = [self.staging(), self.fleet(), self.late(), self.failures(), self.keys()];
        Report {
            worth_telling: self.is_worth_telling(),
            subject: self.subject(),
            message: lines.into_iter().flatten().collect::<Vec<_>>().join("\n"),
        }
    }

    fn subject(&self) -> String {
        let what = match (self.mode, self.promoted.promoted) {
            (Mode::Plan, _) => "plan",
            (_, true) => "rotated",
            (Mode::Rotate | Mode::Converge, false) if self.has_failures() => "hosts need attention",
            (Mode::Rotate | Mode::Converge, false) => "converged",
        };
        format!("credential-rotation {}: {what}", self.rotation).chars().take(99).collect()
    }

    fn has_failures(&self) -> bool {
        self.places.iter().any(|place| place.error.is_some() || !place.failures.is_empty())
    }

    fn is_worth_telling(&self) -> bool {
        let key_changed = self.retired.iter().any(|retirement| !matches!(retirement, Retirement::NotYet { .. }));
        self.mode == Mode::Plan
            || self.promoted.promoted
            || key_changed
            || self.staged.outcome == StageOutcome::HeldUp
            || self.has_failures()
            || self.places.iter().any(|place| place.proved > 0)
    }

    fn staging(&self) -> Vec<String> {
        let promoted = self.promoted.version.as_ref().filter(|_| self.promoted.promoted);
        let promotion = promoted.map(|version| format!("Version {version} is now AWSCURRENT; both keys stay Active."));
        let message = Some(self.staged.message.clone()).filter(|message| !message.is_empty());
        message.into_iter().chain(promotion).collect()
    }

    fn fleet(&self) -> Vec<String> {
        let Some(target) = self.target else { return vec!["The secret has no version to hold yet.".to_owned()] };
        let (proved, running) = (self.roster.proved.len(), self.roster.running());
        // Belief starts anew with every promotion; what this run's hosts proved just before it is said as well.
        let commanded: u32 = self.places.iter().map(|place| place.proved).sum();
        let mut lines = Vec::new();
        if self.promoted.promoted {
            lines.push(format!(
                "{commanded} of {running} running hosts proved it; the next converge proves them once more."
            ));
        } else {
            lines.push(format!(
                "{proved} of {running} running hosts hold a believed proof of version {}.",
                target.version
            ));
        }
        lines
    }

    fn late(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let unreachable: u32 = self.places.iter().map(|place| place.unreachable).sum();
        if unreachable > 0 {
            lines.push(format!(
                "{} gave no answer; converge brings them in as soon as their agents answer.",
                running_hosts(unreachable)
            ));
        }
        if !self.roster.stopped_lacking.is_empty() {
            let names = name_hosts(&self.roster.stopped_lacking);
            lines.push(format!("Stopped, and brought in when they start: {names}."));
        }
        if !self.roster.left.is_empty() {
            let names = name_hosts(&self.roster.left);
            lines.push(format!("No longer in the fleet, with our ledger tag: {names}."));
        }
        lines
    }

    fn failures(&self) -> Vec<String> {
        Some(name_failures(self.places)).filter(|text| !text.is_empty()).into_iter().collect()
    }

    /// The hosts that gave no answer, by name.
    fn unreachable(&self) -> Option<String> {
        let reports = self.places.iter().flat_map(|place| &place.failures);
        let names: Vec<&str> =
            reports.filter(|report| report.error == UNREACHABLE).map(|report| report.host.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn keys(&self) -> Vec<String> {
        let would = if self.mode == Mode::Plan { "would be" } else { "was" };
        let line = |retirement: &Retirement| match retirement {
            Retirement::Deactivate { key } => format!(
                "Key {key} {would} made Inactive. To undo: aws iam update-access-key --user-name {} --access-key-id {key} --status Active",
                self.user
            ),
            Retirement::RecordInactive { key } => format!("Key {key} is Inactive; the time {would} recorded."),
            Retirement::Delete { key, .. } => format!("Key {key} {would} deleted."),
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
}

fn running_hosts(count: u32) -> String {
    if count == 1 { "1 running host".to_owned() } else { format!("{count} running hosts") }
}
