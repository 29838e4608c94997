//! A rotation's settings, as the state machine's first state carries them.
//!
//! Architecture invariant: no default stands here. `statemachine/settings.schema.json` holds every default with its
//! reason and is applied at deploy, so that the console shows what is in force. What a schema cannot say, that
//! settings hold together, is said by [`Settings::check`].

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::StepError;

/// Characters of the lists that a command carries: what SSM's 64 KB leave beside the document.
pub const LISTS_OF_A_COMMAND: usize = 1_500;

/// Accounts and regions of one rotation: what they report together has to fit a state's 256 KiB.
pub const PLACES: usize = 20;

/// Everything a rotation is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The rotation's short name: part of the ledger's tag and of file names on the hosts.
    pub rotation: String,
    /// Where the credential is kept.
    pub secret: SecretSettings,
    /// The IAM user whose key is rotated.
    pub user: String,
    /// SQL Server credentials that hold the key: S3 URLs.
    pub credentials: Vec<String>,
    /// `S3 Access Key` credentials on the hosts that are none of this rotation's business.
    pub foreign_credentials: Vec<String>,
    /// Which instances hold it.
    pub fleet: FleetSettings,
    /// What SSM runs on them.
    pub document: DocumentSettings,
    /// What SSM runs on them to look and change nothing.
    pub inspect_document: InspectDocumentSettings,
    /// How the hosts' SQL Server is reached.
    pub sql_server: SqlServerSettings,
    /// What counts as a proof.
    pub proof: ProofSettings,
    /// When things happen.
    pub schedule: ScheduleSettings,
    /// Share of the online hosts that must have proved a version before it is promoted, 0 to 1.
    pub promote_share: f64,
    /// What stopped hosts mean for retirement.
    pub stopped_hosts: StoppedHosts,
    /// How commands are sent.
    pub waves: WaveSettings,
    /// How a new key is checked before any host learns of it.
    pub key_check: KeyCheckSettings,
    /// Where people are told: an SNS topic's ARN.
    pub topic: String,
}

/// Where the credential is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretSettings {
    /// Name or ARN, in the region of the functions.
    pub id: String,
    /// How a new value is written; either form is read.
    pub format: ValueFormat,
}

/// How the value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueFormat {
    /// `AKID:SECRET`, as the published solution stores it.
    Plain,
    /// `{"accessKeyId": …, "secretAccessKey": …}`.
    Json,
}

/// Which instances hold the credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetSettings {
    /// One to five conditions that must all hold (FACTS C: SSM takes at most five targets).
    pub tags: Vec<TagCondition>,
    /// The accounts and regions to look in.
    pub targets: Vec<AccountTarget>,
}

/// One tag condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagCondition {
    /// The tag's key.
    pub key: String,
    /// Any of these values.
    pub values: Vec<String>,
}

/// One account to look in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountTarget {
    /// The account's id.
    pub account: String,
    /// The role to assume there; none for the functions' own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The regions.
    pub regions: Vec<String>,
}

/// What SSM runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentSettings {
    /// The document's name.
    pub name: String,
    /// The pinned version, a number: a new document never reaches a fleet by itself.
    pub version: String,
    /// The CloudWatch log group of the commands' output.
    pub log_group: String,
}

/// What SSM runs for a plan with `inspectHosts`; its output goes where the other document's goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InspectDocumentSettings {
    /// The document's name.
    pub name: String,
    /// The pinned version, a number.
    pub version: String,
}

/// How the hosts' SQL Server is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlServerSettings {
    /// ARN of a secret with `username` and `password`; none where Windows authentication serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administrator_secret: Option<String>,
    /// Endpoints on Linux hosts, `host` or `host,port`.
    pub endpoints: Vec<String>,
    /// Whether a certificate that no authority vouches for is accepted.
    pub trust_server_certificate: bool,
    /// Whether a credential that an instance lacks is created.
    pub create_missing_credential: bool,
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

/// When things happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Days between rotations.
    pub rotate_every_days: u32,
    /// The policy: no key may be older, in days.
    pub maximum_age_days: u32,
    /// Days both keys stay Active after a promotion.
    pub overlap_days: u32,
    /// Hours since the last use of a key before it is made Inactive.
    pub quiet_period_hours: u32,
    /// Days between Inactive and deleted.
    pub delete_after_days: u32,
    /// Days after which a host that has proved the target is asked to prove it again.
    pub reprove_every_days: u32,
    /// Whether the schedules and the start of `converge` when a host starts are stopped; runs by hand are not.
    pub paused: bool,
}

impl ScheduleSettings {
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
    /// Proofs from before this are asked for again.
    pub fn reprove_before(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(days(self.reprove_every_days)).unwrap_or(Timestamp::MIN)
    }
    /// The interval as a duration.
    pub fn rotate_every(&self) -> SignedDuration {
        days(self.rotate_every_days)
    }
}

fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(count))
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

/// How commands are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaveSettings {
    /// Hosts of each region's first wave.
    pub canary_hosts: u32,
    /// SSM's MaxConcurrency.
    pub concurrency: u32,
    /// Waves that a failing host takes part in.
    pub attempts: u32,
    /// Seconds in which a host must start the command (SSM's TimeoutSeconds, at least 30).
    pub delivery_timeout_seconds: u32,
    /// Seconds in which it must finish.
    pub execution_timeout_seconds: u32,
    /// Seconds after which a wave is judged as it stands and what is pending is cancelled.
    pub wave_timeout_seconds: u32,
    /// Seconds before the first look at a command.
    pub poll_seconds: u32,
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

impl Settings {
    /// Reads settings and refuses those that do not hold together, with their JSON path.
    pub fn parse(value: &serde_json::Value) -> Result<Settings, StepError> {
        let settings: Settings = serde_path_to_error::deserialize(value).map_err(|error| {
            StepError::InvalidSettings { path: error.path().to_string(), problem: error.inner().to_string() }
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// What no schema can say: that the settings hold together.
    pub fn check(&self) -> Result<(), StepError> {
        let schedule = &self.schedule;
        let needs_slot_after =
            schedule.overlap_days + schedule.delete_after_days + schedule.quiet_period_hours.div_ceil(24);
        refuse(schedule.rotate_every_days <= needs_slot_after, "schedule.rotateEveryDays", || {
            format!(
                "a rotation every {} days needs a free key slot before the last key is gone: overlapDays + deleteAfterDays + quietPeriodHours are {needs_slot_after} days",
                schedule.rotate_every_days
            )
        })?;
        refuse(schedule.maximum_age_days <= schedule.rotate_every_days, "schedule.maximumAgeDays", || {
            format!(
                "a key may be {} days old and is rotated every {}: leave a margin",
                schedule.maximum_age_days, schedule.rotate_every_days
            )
        })?;
        let waves = &self.waves;
        let shortest = waves.delivery_timeout_seconds + waves.execution_timeout_seconds;
        refuse(waves.wave_timeout_seconds < shortest, "waves.waveTimeoutSeconds", || {
            format!(
                "a wave of {} s would be judged before deliveryTimeoutSeconds + executionTimeoutSeconds ({shortest} s) have passed",
                waves.wave_timeout_seconds
            )
        })?;
        // The canary's waves and the others', each to its end, within the state machine's own limit of 12 hours.
        let longest = u64::from(waves.wave_timeout_seconds) * 2 * u64::from(waves.attempts);
        refuse(longest > 40_000, "waves.waveTimeoutSeconds", || {
            format!("2 x attempts waves of {} s do not fit the state machine's 12 hours", waves.wave_timeout_seconds)
        })?;
        self.check_overlap_exceeds_waits()?;
        self.check_credentials()?;
        self.check_documents()?;
        self.check_parameters_fit()?;
        self.check_targets()
    }

    /// DESIGN section 5: the waits exceed every time-out, so that nothing late can surprise a retirement.
    fn check_overlap_exceeds_waits(&self) -> Result<(), StepError> {
        let overlap_seconds = self.schedule.overlap_days.saturating_mul(86_400);
        let quiet_seconds = self.schedule.quiet_period_hours.saturating_mul(3_600);
        let longest = self.waves.wave_timeout_seconds;
        refuse(overlap_seconds <= longest, "schedule.overlapDays", || {
            format!("the overlap must be longer than waves.waveTimeoutSeconds ({longest} s)")
        })?;
        refuse(quiet_seconds <= longest, "schedule.quietPeriodHours", || {
            format!("the quiet period must be longer than waves.waveTimeoutSeconds ({longest} s)")
        })
    }

    /// A plan must be able to change nothing, and only the document that it sends can promise that.
    fn check_documents(&self) -> Result<(), StepError> {
        refuse(self.inspect_document.name == self.document.name, "inspectDocument.name", || {
            "it is the document that alters credentials (document.name); a plan needs one that only reads".to_owned()
        })
    }

    /// SSM's 64 KB are for the document together with the parameters of a command (FACTS C), and the document takes
    /// most of them.
    fn check_parameters_fit(&self) -> Result<(), StepError> {
        let lists = [&self.credentials, &self.foreign_credentials, &self.sql_server.endpoints];
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

    fn check_targets(&self) -> Result<(), StepError> {
        let places = self.places().len();
        refuse(places > PLACES, "fleet.targets", || {
            format!(
                "{places} accounts and regions are more than one execution can report on ({PLACES}): make a second rotation"
            )
        })?;
        let mut seen = std::collections::BTreeSet::new();
        for (index, place) in self.places().iter().enumerate() {
            refuse(!seen.insert((place.account.clone(), place.region.clone())), "fleet.targets", || {
                format!("{} in {} is named twice (place {index})", place.region, place.account)
            })?;
        }
        Ok(())
    }

    /// Every account and region of the fleet, in the settings' order.
    pub fn places(&self) -> Vec<Place> {
        let of_target = |target: &AccountTarget| {
            let (account, role) = (target.account.clone(), target.role.clone());
            let place =
                move |region: &String| Place { account: account.clone(), role: role.clone(), region: region.clone() };
            target.regions.iter().map(place).collect::<Vec<_>>()
        };
        self.fleet.targets.iter().flat_map(of_target).collect()
    }
}

fn refuse(is_wrong: bool, path: &str, problem: impl FnOnce() -> String) -> Result<(), StepError> {
    if is_wrong {
        return Err(StepError::InvalidSettings { path: path.to_owned(), problem: problem() });
    }
    Ok(())
}

/// One account and region: the unit that one Map iteration works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// The account's id.
    pub account: String,
    /// The role to assume there, if it is not our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The region.
    pub region: String,
}

impl Place {
    /// Region and account, for people.
    pub fn describe(&self) -> String {
        format!("{} of {}", self.region, self.account)
    }
}

#[cfg(test)]
impl Settings {
    /// Settings for tests: the defaults, and one bucket, tag and region.
    pub(crate) fn example() -> Settings {
        use serde_json::json;
        Settings::parse(&json!({
            "rotation": "r", "secret": {"id": "s", "format": "plain"}, "user": "u",
            "credentials": ["s3://bucket.s3.eu-west-1.amazonaws.com"], "foreignCredentials": [],
            "fleet": {"tags": [{"key": "SQL", "values": ["2022"]}], "targets": [{"account": "111122223333", "regions": ["eu-west-1"]}]},
            "document": {"name": "apply-s3-credential", "version": "1", "logGroup": "/l"},
            "inspectDocument": {"name": "inspect-s3-credential", "version": "1"},
            "sqlServer": {"endpoints": ["localhost"], "trustServerCertificate": false, "createMissingCredential": false},
            "proof": {"kind": "backup", "prefix": ".credential-rotation"},
            "schedule": {"rotateEveryDays": 85, "maximumAgeDays": 90, "overlapDays": 7, "quietPeriodHours": 24, "deleteAfterDays": 7, "reproveEveryDays": 30, "paused": false},
            "promoteShare": 0.9, "stoppedHosts": "release",
            "waves": {"canaryHosts": 1, "concurrency": 50, "attempts": 3, "deliveryTimeoutSeconds": 120,
                      "executionTimeoutSeconds": 300, "waveTimeoutSeconds": 3600, "pollSeconds": 5},
            "keyCheck": {"successes": 3, "attempts": 24, "secondsBetween": 5},
            "topic": "arn:aws:sns:eu-west-1:111122223333:t"
        }))
        .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_may_not_send_the_document_that_alters_credentials() {
        let mut settings = Settings::example();
        settings.inspect_document.name = settings.document.name.clone();
        let refused = settings.check().unwrap_err();
        assert!(refused.to_string().contains("inspectDocument.name"), "{refused}");
    }
}
