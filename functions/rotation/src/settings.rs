//! A rotation's settings, as the state machine's first state carries them.
//!
//! Architecture invariant: no default stands here. `statemachine/settings.schema.json` holds every default with its
//! reason and is applied at deploy, so that the console shows what is in force. What a schema cannot say, that
//! settings hold together, is said by [`Settings::check`].
//!
//! What every rotation is told stands in [`Settings`]; what only one kind of credential needs, in
//! [`AccessKeySettings`] and [`LoginSettings`]. How both are written as one object is the business of `written`.

mod access_key;
mod login;
mod written;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::StepError;

pub use access_key::{
    AccessKeySettings, KeyCheckSettings, LISTS_OF_A_COMMAND, ProofKind, ProofSettings, RetirementSettings, StoppedHosts,
};
pub use login::{LoginSettings, NAMES_OF_A_COMMAND, WhileInUse};
use written::Written;

/// Accounts and regions of one rotation: what they report together has to fit a state's 256 KiB.
pub const PLACES: usize = 20;

/// Everything a rotation is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Settings {
    /// The rotation's short name: part of the ledger's tag and of file names on the hosts.
    pub rotation: String,
    /// Where the credential is kept.
    pub secret: SecretSettings,
    /// What is rotated.
    pub credential: Credential,
    /// Which instances hold it.
    pub fleet: FleetSettings,
    /// What SSM runs on them.
    pub document: DocumentSettings,
    /// What SSM runs on them to look and change nothing.
    pub inspect_document: InspectDocumentSettings,
    /// How the hosts' SQL Server is reached.
    pub sql_server: SqlServerSettings,
    /// When things happen.
    pub schedule: ScheduleSettings,
    /// How commands are sent.
    pub waves: WaveSettings,
    /// Where people are told: an SNS topic's ARN.
    pub topic: String,
}

/// What is rotated: the kinds that one set of functions serves.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// `iamAccessKey`: the key with which SQL Server backs up to S3.
    AccessKey(Box<AccessKeySettings>),
    /// `sqlServerLogin`: a login of the hosts' SQL Server, or two that take turns.
    Login(Box<LoginSettings>),
}

impl Credential {
    /// The member of evidence that says whose credential it is.
    pub fn member(&self) -> &'static str {
        match self {
            Credential::AccessKey(_) => "user",
            Credential::Login(_) => "logins",
        }
    }
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
    /// `AKID:SECRET`, as the published solution stores it; a login's password alone.
    Plain,
    /// `{"accessKeyId": …, "secretAccessKey": …}`; a login in the shape of AWS's own database secrets.
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
}

/// When things happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Days between rotations.
    pub rotate_every_days: u32,
    /// The policy: no credential may be older, in days.
    pub maximum_age_days: u32,
    /// Days after which a host that has proved the target is asked to prove it again.
    pub reprove_every_days: u32,
    /// Whether the schedules and the start of `converge` when a host starts are stopped; runs by hand are not.
    pub paused: bool,
}

impl ScheduleSettings {
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
        refuse(schedule.maximum_age_days <= schedule.rotate_every_days, "schedule.maximumAgeDays", || {
            format!(
                "a credential may be {} days old and is rotated every {}: leave a margin",
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
        match &self.credential {
            Credential::AccessKey(key) => key.check(self)?,
            Credential::Login(login) => login.check()?,
        }
        self.check_documents()?;
        self.check_targets()
    }

    /// A plan must be able to change nothing, and only the document that it sends can promise that.
    fn check_documents(&self) -> Result<(), StepError> {
        refuse(self.inspect_document.name == self.document.name, "inspectDocument.name", || {
            "it is the document that changes hosts (document.name); a plan needs one that only reads".to_owned()
        })
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

    /// What a rotation of an access key is told; the settings of another kind are refused by who can only rotate keys.
    pub fn access_key(&self) -> Result<&AccessKeySettings, StepError> {
        match &self.credential {
            Credential::AccessKey(key) => Ok(key),
            Credential::Login(_) => Err(wrong_kind("iamAccessKey")),
        }
    }

    /// What a rotation of a login is told; the settings of another kind are refused by who can only rotate logins.
    pub fn login(&self) -> Result<&LoginSettings, StepError> {
        match &self.credential {
            Credential::Login(login) => Ok(login),
            Credential::AccessKey(_) => Err(wrong_kind("sqlServerLogin")),
        }
    }

    /// The SQL Server credentials that hold it, S3 URLs; a login's password is held under none.
    pub fn credentials(&self) -> &[String] {
        match &self.credential {
            Credential::AccessKey(key) => &key.credentials,
            Credential::Login(_) => &[],
        }
    }

    /// `S3 Access Key` credentials on the hosts that are none of this rotation's business.
    pub fn foreign_credentials(&self) -> &[String] {
        match &self.credential {
            Credential::AccessKey(key) => &key.foreign_credentials,
            Credential::Login(_) => &[],
        }
    }

    /// Share of the online hosts that must have proved a version before it is promoted. Applications read a login's
    /// password for every host at once, so of logins it is always all.
    pub fn promote_share(&self) -> f64 {
        match &self.credential {
            Credential::AccessKey(key) => key.promote_share,
            Credential::Login(_) => 1.0,
        }
    }

    /// Whose credential it is, for people and for evidence: the IAM user, or the logins.
    pub fn subject(&self) -> String {
        match &self.credential {
            Credential::AccessKey(key) => key.user.clone(),
            Credential::Login(login) => login.names.join(" and "),
        }
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

/// A function stands behind a state machine whose settings it cannot serve.
fn wrong_kind(needed: &str) -> StepError {
    StepError::InvalidSettings {
        path: "kind".to_owned(),
        problem: format!(
            "this function serves {needed} only: deploy the state machine again, with the functions of its kind"
        ),
    }
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
impl Settings {
    /// Settings of a rotation of these logins.
    pub(crate) fn example_of_login(names: serde_json::Value) -> Settings {
        use serde_json::json;
        let mut value = json!(Settings::example());
        for member in ["user", "credentials", "foreignCredentials", "proof", "keyCheck", "promoteShare", "stoppedHosts"]
        {
            value[member].take();
        }
        value["kind"] = json!("sqlServerLogin");
        value["document"]["name"] = json!("apply-sql-login");
        value["inspectDocument"]["name"] = json!("inspect-sql-login");
        value["sqlServer"] = json!({ "endpoints": ["localhost"], "trustServerCertificate": false });
        value["schedule"] =
            json!({ "rotateEveryDays": 85, "maximumAgeDays": 90, "reproveEveryDays": 30, "paused": false });
        value["login"] = json!({
            "names": names, "instances": [], "createMissing": false, "unlock": false, "whileInUse": "refuse",
            "containedDatabases": [], "replicaGroups": [], "password": crate::password::PasswordRules::default()
        });
        Settings::parse(&value).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_the_other_kind_is_refused_by_name() {
        let mut value = serde_json::to_value(Settings::example()).unwrap();
        value["login"] =
            serde_json::to_value(Settings::example_of_login(serde_json::json!(["app"])).login().unwrap()).unwrap();
        let refused = Settings::parse(&value).unwrap_err().to_string();
        assert!(refused.contains("`login` has no meaning for the kind iamAccessKey"), "{refused}");
        let mut value = serde_json::to_value(Settings::example_of_login(serde_json::json!(["app"]))).unwrap();
        value["user"] = serde_json::json!("bob");
        assert!(Settings::parse(&value).unwrap_err().to_string().contains("`user`"));
    }

    #[test]
    fn names_that_are_no_logins_are_refused_with_their_place() {
        let refused = |names: serde_json::Value| {
            let mut settings = Settings::example_of_login(serde_json::json!(["app"]));
            let Credential::Login(login) = &mut settings.credential else { panic!("it rotates a login") };
            login.names = serde_json::from_value(names).unwrap();
            settings.check().unwrap_err().to_string()
        };
        assert!(refused(serde_json::json!(["CORP\\app"])).contains("Windows account"));
        assert!(refused(serde_json::json!(["sa"])).contains("administrator"));
        assert!(refused(serde_json::json!(["app", "App"])).contains("login.names[1]"));
        assert!(refused(serde_json::json!([])).contains("login.names"));
    }

    #[test]
    fn a_plan_may_not_send_the_document_that_alters_credentials() {
        let mut settings = Settings::example();
        settings.inspect_document.name = settings.document.name.clone();
        let refused = settings.check().unwrap_err();
        assert!(refused.to_string().contains("inspectDocument.name"), "{refused}");
    }
}
