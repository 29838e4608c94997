//! The settings as JSON has them: one flat object, in which `kind` says which members there are.
//!
//! The schema refuses a member of the other kind already at deploy, with its path; this is the same rule once more, so
//! that the functions' own types hold nothing that has no meaning.

use serde::{Deserialize, Serialize};

use super::{
    AccessKeySettings, Credential, DocumentSettings, FleetSettings, InspectDocumentSettings, KeyCheckSettings,
    LoginSettings, ProofSettings, RetirementSettings, ScheduleSettings, SecretSettings, Settings, SqlServerSettings,
    StoppedHosts, WaveSettings,
};

/// Which credential is rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    #[default]
    IamAccessKey,
    SqlServerLogin,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Written {
    rotation: String,
    #[serde(default)]
    kind: Kind,
    secret: SecretSettings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credentials: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    foreign_credentials: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<LoginSettings>,
    fleet: FleetSettings,
    document: DocumentSettings,
    inspect_document: InspectDocumentSettings,
    sql_server: WrittenSqlServer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<ProofSettings>,
    schedule: WrittenSchedule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promote_share: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_hosts: Option<StoppedHosts>,
    waves: WaveSettings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_check: Option<KeyCheckSettings>,
    topic: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenSqlServer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    administrator_secret: Option<String>,
    endpoints: Vec<String>,
    trust_server_certificate: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    create_missing_credential: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenSchedule {
    rotate_every_days: u32,
    maximum_age_days: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlap_days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quiet_period_hours: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delete_after_days: Option<u32>,
    reprove_every_days: u32,
    paused: bool,
}

/// A member that the kind needs and that is not there, or one that it has no use for.
#[derive(Debug, thiserror::Error)]
pub(super) enum WrongMember {
    #[error("the kind {kind} needs `{member}`")]
    Missing { kind: &'static str, member: &'static str },
    #[error("`{member}` has no meaning for the kind {kind}")]
    Strange { kind: &'static str, member: &'static str },
}

impl TryFrom<Written> for Settings {
    type Error = WrongMember;

    fn try_from(written: Written) -> Result<Settings, WrongMember> {
        let credential = match written.kind {
            Kind::IamAccessKey => Credential::AccessKey(Box::new(written.access_key()?)),
            Kind::SqlServerLogin => Credential::Login(Box::new(written.login()?)),
        };
        Ok(Settings {
            rotation: written.rotation,
            secret: written.secret,
            credential,
            fleet: written.fleet,
            document: written.document,
            inspect_document: written.inspect_document,
            sql_server: SqlServerSettings {
                administrator_secret: written.sql_server.administrator_secret,
                endpoints: written.sql_server.endpoints,
                trust_server_certificate: written.sql_server.trust_server_certificate,
            },
            schedule: ScheduleSettings {
                rotate_every_days: written.schedule.rotate_every_days,
                maximum_age_days: written.schedule.maximum_age_days,
                reprove_every_days: written.schedule.reprove_every_days,
                paused: written.schedule.paused,
            },
            waves: written.waves,
            topic: written.topic,
        })
    }
}

impl Written {
    fn access_key(&self) -> Result<AccessKeySettings, WrongMember> {
        fn needed<T: Clone>(value: &Option<T>, member: &'static str) -> Result<T, WrongMember> {
            value.clone().ok_or(WrongMember::Missing { kind: "iamAccessKey", member })
        }
        if self.login.is_some() {
            return Err(WrongMember::Strange { kind: "iamAccessKey", member: "login" });
        }
        Ok(AccessKeySettings {
            user: needed(&self.user, "user")?,
            credentials: needed(&self.credentials, "credentials")?,
            foreign_credentials: needed(&self.foreign_credentials, "foreignCredentials")?,
            create_missing_credential: needed(
                &self.sql_server.create_missing_credential,
                "sqlServer.createMissingCredential",
            )?,
            proof: needed(&self.proof, "proof")?,
            key_check: needed(&self.key_check, "keyCheck")?,
            promote_share: needed(&self.promote_share, "promoteShare")?,
            retirement: RetirementSettings {
                overlap_days: needed(&self.schedule.overlap_days, "schedule.overlapDays")?,
                quiet_period_hours: needed(&self.schedule.quiet_period_hours, "schedule.quietPeriodHours")?,
                delete_after_days: needed(&self.schedule.delete_after_days, "schedule.deleteAfterDays")?,
                stopped_hosts: needed(&self.stopped_hosts, "stoppedHosts")?,
            },
        })
    }

    fn login(&self) -> Result<LoginSettings, WrongMember> {
        let kind = "sqlServerLogin";
        let of_keys = [
            (self.user.is_some(), "user"),
            (self.credentials.is_some(), "credentials"),
            (self.foreign_credentials.is_some(), "foreignCredentials"),
            (self.sql_server.create_missing_credential.is_some(), "sqlServer.createMissingCredential"),
            (self.proof.is_some(), "proof"),
            (self.key_check.is_some(), "keyCheck"),
            (self.promote_share.is_some(), "promoteShare"),
            (self.stopped_hosts.is_some(), "stoppedHosts"),
            (self.schedule.overlap_days.is_some(), "schedule.overlapDays"),
            (self.schedule.quiet_period_hours.is_some(), "schedule.quietPeriodHours"),
            (self.schedule.delete_after_days.is_some(), "schedule.deleteAfterDays"),
        ];
        if let Some((_, member)) = of_keys.into_iter().find(|(is_there, _)| *is_there) {
            return Err(WrongMember::Strange { kind, member });
        }
        self.login.clone().ok_or(WrongMember::Missing { kind, member: "login" })
    }
}

impl From<Settings> for Written {
    fn from(settings: Settings) -> Written {
        let (key, login) = match settings.credential {
            Credential::AccessKey(key) => (Some(*key), None),
            Credential::Login(login) => (None, Some(*login)),
        };
        let retirement = key.as_ref().map(|key| key.retirement.clone());
        Written {
            rotation: settings.rotation,
            kind: if login.is_some() { Kind::SqlServerLogin } else { Kind::IamAccessKey },
            secret: settings.secret,
            user: key.as_ref().map(|key| key.user.clone()),
            credentials: key.as_ref().map(|key| key.credentials.clone()),
            foreign_credentials: key.as_ref().map(|key| key.foreign_credentials.clone()),
            login,
            fleet: settings.fleet,
            document: settings.document,
            inspect_document: settings.inspect_document,
            sql_server: WrittenSqlServer {
                administrator_secret: settings.sql_server.administrator_secret,
                endpoints: settings.sql_server.endpoints,
                trust_server_certificate: settings.sql_server.trust_server_certificate,
                create_missing_credential: key.as_ref().map(|key| key.create_missing_credential),
            },
            schedule: WrittenSchedule {
                rotate_every_days: settings.schedule.rotate_every_days,
                maximum_age_days: settings.schedule.maximum_age_days,
                overlap_days: retirement.as_ref().map(|retirement| retirement.overlap_days),
                quiet_period_hours: retirement.as_ref().map(|retirement| retirement.quiet_period_hours),
                delete_after_days: retirement.as_ref().map(|retirement| retirement.delete_after_days),
                reprove_every_days: settings.schedule.reprove_every_days,
                paused: settings.schedule.paused,
            },
            promote_share: key.as_ref().map(|key| key.promote_share),
            stopped_hosts: retirement.map(|retirement| retirement.stopped_hosts),
            proof: key.as_ref().map(|key| key.proof.clone()),
            waves: settings.waves,
            key_check: key.map(|key| key.key_check),
            topic: settings.topic,
        }
    }
}
