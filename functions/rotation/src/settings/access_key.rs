//! What a rotation of an IAM access key is told beyond what every rotation is.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Settings, days, refuse};
use crate::error::StepError;

/// Characters of the lists that a command carries: what SSM's 64 KB leave beside the document.
pub const LISTS_OF_A_COMMAND: usize = 1_500;

/// The key, where it is held, and how it comes and goes.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessKeySettings {
    /// The IAM user whose key is rotated.
    pub user: String,
    /// SQL Server credentials that hold the key: S3 URLs.
    pub credentials: Vec<String>,
    /// `S3 Access Key` credentials on the hosts that are none of this rotation's business.
    pub foreign_credentials: Vec<String>,
    /// Whether a credential that an instance lacks is created.
    pub create_missing_credential: bool,
    /// What counts as a proof.
    pub proof: ProofSettings,
    /// How a new key is checked before any host learns of it.
    pub key_check: KeyCheckSettings,
    /// Share of the online hosts that must have proved a version before it is promoted, 0 to 1.
    pub promote_share: f64,
    /// When an old key goes.
    pub retirement: RetirementSettings,
}

/// What counts as a proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProofSettings {
    /// The kind.
    pub kind: ProofKind,
    /// The folder below the credential's URL that proofs write to.
    pub prefix: String,
}

/// The kinds of proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProofKind {
    /// A tiny real backup of `model`.
    Backup,
    /// A signed STS call from the host, which says nothing of the bucket.
    None,
}

/// When an old key goes. In the settings' JSON these stand in `schedule`, but for `stoppedHosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetirementSettings {
    /// Days both keys stay Active after a promotion.
    pub overlap_days: u32,
    /// Hours since the last use of a key before it is made Inactive.
    pub quiet_period_hours: u32,
    /// Days between Inactive and deleted.
    pub delete_after_days: u32,
    /// What stopped hosts mean for it.
    pub stopped_hosts: StoppedHosts,
}

impl RetirementSettings {
    /// The overlap as a duration.
    pub fn overlap(&self) -> SignedDuration {
        days(self.overlap_days)
    }
    /// The quiet period as a duration.
    pub fn quiet_period(&self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.quiet_period_hours))
    }
    /// The wait between Inactive and deleted as a duration.
    pub fn delete_after(&self) -> SignedDuration {
        days(self.delete_after_days)
    }
}

/// What stopped hosts mean for retirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoppedHosts {
    /// They do not hold it up: they are brought to the target when they start.
    Release,
    /// They hold it up until they have proved.
    Hold,
}

/// How a new key is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyCheckSettings {
    /// Successes in a row.
    pub successes: u32,
    /// Checks after which the key is given up for this run.
    pub attempts: u32,
    /// Seconds between checks.
    pub seconds_between: u32,
}

impl AccessKeySettings {
    /// That they hold together, among themselves and with the rest.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), StepError> {
        let (schedule, retirement) = (&settings.schedule, &self.retirement);
        let needs_slot_after =
            retirement.overlap_days + retirement.delete_after_days + retirement.quiet_period_hours.div_ceil(24);
        refuse(schedule.rotate_every_days <= needs_slot_after, "schedule.rotateEveryDays", || {
            format!(
                "a rotation every {} days needs a free key slot before the last key is gone: overlapDays + deleteAfterDays + quietPeriodHours are {needs_slot_after} days",
                schedule.rotate_every_days
            )
        })?;
        self.check_overlap_exceeds_waits(settings.waves.wave_timeout_seconds)?;
        self.check_credentials()?;
        self.check_parameters_fit(&settings.sql_server.endpoints)
    }

    /// DESIGN section 5: the waits exceed every time-out, so that nothing late can surprise a retirement.
    fn check_overlap_exceeds_waits(&self, longest: u32) -> Result<(), StepError> {
        let overlap_seconds = self.retirement.overlap_days.saturating_mul(86_400);
        let quiet_seconds = self.retirement.quiet_period_hours.saturating_mul(3_600);
        refuse(overlap_seconds <= longest, "schedule.overlapDays", || {
            format!("the overlap must be longer than waves.waveTimeoutSeconds ({longest} s)")
        })?;
        refuse(quiet_seconds <= longest, "schedule.quietPeriodHours", || {
            format!("the quiet period must be longer than waves.waveTimeoutSeconds ({longest} s)")
        })
    }

    /// SSM's 64 KB are for the document together with the parameters of a command (FACTS C), and the document takes
    /// most of them.
    fn check_parameters_fit(&self, endpoints: &[String]) -> Result<(), StepError> {
        let lists = [self.credentials.as_slice(), &self.foreign_credentials, endpoints];
        let characters: usize = lists.into_iter().flatten().map(|word| word.chars().count() + 1).sum();
        refuse(characters > LISTS_OF_A_COMMAND, "credentials", || {
            format!(
                "credentials, foreignCredentials and sqlServer.endpoints have {characters} characters together, and a command carries {LISTS_OF_A_COMMAND}: make a second rotation"
            )
        })
    }

    fn check_credentials(&self) -> Result<(), StepError> {
        for (index, url) in self.credentials.iter().enumerate() {
            let path = format!("credentials[{index}]");
            // The host's name in the temporary credential is an instance id (19 characters) and two slashes.
            let temporary = url.chars().count() + self.proof.prefix.chars().count() + 21;
            refuse(temporary > 128, &path, || {
                format!(
                    "the temporary credential below it would have a name of {temporary} characters, and SQL Server takes 128"
                )
            })?;
            refuse(url.ends_with('/'), &path, || "a credential's name has no slash at its end".to_owned())?;
            refuse(self.foreign_credentials.contains(url), &path, || {
                "it is declared foreign as well; say which it is".to_owned()
            })?;
            refuse(self.credentials[..index].contains(url), &path, || "it is listed twice".to_owned())?;
        }
        Ok(())
    }
}
