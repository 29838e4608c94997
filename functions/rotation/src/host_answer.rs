//! What a host says after a command: one JSON object on stdout, the only thing about a host that is ever believed.
//!
//! Both scripts (`linux.sh`, `windows.ps1`) write it and `poll-command` reads it. It stays under 2,000 bytes,
//! since SSM keeps 2,500 characters of an output in lists (FACTS C).

use serde::{Deserialize, Serialize};

use crate::cluster::VirtualNames;

/// The whole answer of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostAnswer {
    /// The rotation that the command named.
    pub rotation: String,
    /// The version that the host read as its target and worked on; absent when it could read none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version that the host's marker named before anything was changed; absent where there was no marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// SQL Server instances that hold the version and proved it.
    pub proved: u32,
    /// SQL Server instances whose credential this command altered or created.
    pub changed: u32,
    /// SQL Server instances that cannot hold a credential: Express, or older than 16.x. A host with no SQL Server at
    /// all answers with every count at zero and no failure.
    pub nothing_to_hold: u32,
    /// The virtual names of the clustered instances that ran on this host, and proved.
    #[serde(default, skip_serializing_if = "VirtualNames::is_empty")]
    pub owner: VirtualNames,
    /// The virtual names of the clustered instances that ran on another node.
    #[serde(default, skip_serializing_if = "VirtualNames::is_empty")]
    pub passive: VirtualNames,
    /// How many things failed: instances, or 1 for the host as a whole.
    pub failed: u32,
    /// As many of the failures as fit.
    pub failures: Vec<HostFailure>,
    /// Credentials that stand in the way of retirement, as many as fit.
    pub blocking: Vec<BlockingCredential>,
    /// What an inspection saw; absent in the answer to a command that applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspected: Option<Inspection>,
}

/// What a host saw when it was asked to look and to change nothing. What would stand in the way of a rotation is among
/// the answer's failures, by the names that a rotation would give it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inspection {
    /// SQL Server instances that can hold the credential.
    pub instances: u32,
    /// As many of them as fit.
    pub seen: Vec<SeenInstance>,
}

/// One SQL Server instance that can hold the credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenInstance {
    /// The SQL Server instance.
    pub instance: String,
    /// Its ProductVersion, such as `16.0.4165.4`.
    pub product: String,
    /// The version of the secret that the host's marker names for it, where the marker is to be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// The availability group that it is a replica of, where the settings name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<SeenReplica>,
}

/// What an instance says of itself as a replica of an availability group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenReplica {
    /// The group.
    pub group: String,
    /// Its role at that moment.
    pub role: ReplicaRole,
    /// How many replicas the group has.
    pub replicas: u32,
    /// A short hash of the logins' SIDs, which is the same on every replica.
    pub sids: String,
}

/// The roles of a replica (sys.dm_hadr_availability_replica_states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReplicaRole {
    /// It takes the writes.
    Primary,
    /// It follows.
    Secondary,
    /// Neither: the group is failing over, or has lost its quorum.
    Resolving,
}

/// One failure on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostFailure {
    /// The SQL Server instance (endpoint or instance name); empty for the host as a whole.
    pub instance: String,
    /// What failed.
    pub error: HostError,
    /// The message of the tool that failed, shortened; never a secret.
    pub message: String,
}

/// A credential on an instance that shadows ours or belongs to nobody that the settings name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockingCredential {
    /// The SQL Server instance.
    pub instance: String,
    /// The credential's name, a URL.
    pub credential: String,
    /// Why it stands in the way.
    pub why: Blocking,
}

/// Why a credential blocks the retirement of the old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Blocking {
    /// It is more specific than one of ours, so SQL Server uses it in our place (FACTS B, most specific wins).
    Shadows,
    /// An `S3 Access Key` credential that the settings neither list nor declare foreign.
    Undeclared,
}

macro_rules! host_errors {
    ($($(#[doc = $meaning:literal])+ $name:ident => $remedy:literal,)+) => {
        /// Everything that can fail on a host. The scripts spell these names; a test holds the three lists together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum HostError { $($(#[doc = $meaning])+ $name,)+ }

        impl HostError {
            /// Every host error, in the order of the README's table.
            pub const ALL: &'static [HostError] = &[$(HostError::$name,)+];

            /// The name as the scripts write it.
            pub fn name(self) -> &'static str {
                match self { $(HostError::$name => stringify!($name),)+ }
            }

            /// What a person does about it.
            pub fn remedy(self) -> &'static str {
                match self { $(HostError::$name => $remedy,)+ }
            }
        }
    };
}

host_errors! {
    /// A tool is not installed: the AWS CLI (or on Windows the AWS Tools for PowerShell), sqlcmd or flock.
    ToolMissing => "install the AWS CLI v2 on the host, and on Linux mssql-tools18 and util-linux",
    /// A parameter of the command was empty or contradicts another one.
    InvalidParameter => "correct the rotation's settings and deploy them",
    /// The host's instance role may not read the secret or decrypt its key, or Secrets Manager cannot be reached.
    SecretNotReadable => "give the host's instance role secretsmanager:GetSecretValue and kms:Decrypt, and a route to Secrets Manager",
    /// The secret's value is no access key, or the administrator's secret has no username and password.
    SecretValueInvalid => "store the value as AKID:SECRET or as JSON with accessKeyId and secretAccessKey",
    /// The host does not see the hinted version as its target yet.
    VersionNotVisibleYet => "nothing: the next attempt or the next run finds it",
    /// The target changed again and again while the host worked.
    TargetKeepsChanging => "let the other execution end, then start converge",
    /// Another command of this rotation held the host's lock too long.
    LockTimeout => "look for a hanging backup or sqlcmd on the host",
    /// The host's disk is full or its state directory cannot be written.
    StateNotWritable => "free disk space below /var/lib/credential-rotation or %ProgramData%\\credential-rotation",
    /// A SQL Server instance that is installed does not run or does not answer.
    ConnectFailed => "start the SQL Server service, or correct endpoints in the settings",
    /// The administrator's login was refused.
    LoginFailed => "correct the administrator's secret",
    /// The administrator lacks ALTER ANY CREDENTIAL.
    AlterNotPermitted => "run grants.sql on the instance",
    /// The administrator may not back up the model database.
    BackupNotPermitted => "run grants.sql on the instance",
    /// The instance lacks the credential, and the settings do not allow creating it.
    CredentialMissing => "create the credential once by hand, or set createMissingCredential",
    /// The credential exists with another identity than S3 Access Key.
    CredentialNotS3 => "correct the credential's name in the settings",
    /// S3 did not accept the new key for a backup from this instance; the working credential was not touched.
    ProofFailed => "check the bucket's policy, the user's rights, the URL's region and the host's clock",
    /// Another backup of model was running; the working credential was not touched.
    ModelBusy => "nothing: the next attempt or the next run finds it free",
    /// ALTER CREDENTIAL failed; the credential is as it was.
    AlterFailed => "read the message and the instance's error log",
    /// The proof through the altered credential failed and the credential that was there before was put back.
    ProofFailedRestored => "look for a credential that shadows ours on the instance",
    /// The proof through the altered credential failed and what was there before could not be put back.
    ProofFailedNotRestored => "set the credential by hand from the secret's current version, at once",
    /// SQL Server takes Windows accounts only, so that no login with a password can log in.
    WindowsAuthenticationOnly => "set the instance to SQL Server and Windows Authentication mode and restart it, or take it out of login.instances",
    /// An instance lacks the login, and the settings do not allow creating it.
    LoginMissing => "create the login once by hand, or start provision (the twin of two), or set login.createMissing",
    /// The login is disabled.
    LoginDisabled => "enable it: ALTER LOGIN … ENABLE",
    /// The login is locked out after failed logins.
    LoginLocked => "find who logs in with an old password; then unlock it, or set login.unlock",
    /// The password policy of the host or of its domain refused the new password; the login is as it was.
    PasswordRefused => "nothing: another password is made a few times; then make login.password stricter",
    /// The login was changed and does not log in with its new password.
    LoginProofFailed => "read the message and the instance's error log; the next run tries again with the same version",
    /// The two logins that take turns have not the same rights.
    RightsDiffer => "grant what is listed, or start provision, which makes the rights equal",
    /// The login whose turn it is still has sessions.
    LoginInUse => "restart the programs that are named, which hold connections of two rotations ago, or set login.whileInUse to change",
    /// A replica of the availability group does not take part: it is disconnected or neither primary nor secondary.
    ReplicaNotReady => "bring the replica back (sys.dm_hadr_availability_replica_states), then start converge",
    /// A distributed or contained availability group, which is not rotated.
    GroupNotSupported => "rotate the logins of each group of a distributed one by itself; those of a contained one by hand",
    /// A contained database lacks the user.
    ContainedUserMissing => "correct login.containedDatabases, or create the user with its rights",
    /// Somebody else altered or dropped a credential while it was being proved, so that the proof says nothing.
    AlteredMeanwhile => "nothing: the next attempt proves again; if it recurs, find who alters credentials at the same time",
    /// The command was stopped by its time-out in the middle.
    Interrupted => "raise executionTimeoutSeconds, or look for a slow instance",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_round_trips_exactly() {
        let text = r#"{"rotation":"sql-backups","version":"11111111-1111-1111-1111-111111111111","proved":1,"changed":1,"nothingToHold":0,"failed":1,"failures":[{"instance":"localhost,1434","error":"ProofFailed","message":"Msg 3201"}],"blocking":[{"instance":"localhost","credential":"s3://b/x","why":"shadows"}]}"#;
        let answer: HostAnswer = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), text);
    }

    #[test]
    fn every_host_error_says_what_a_person_does() {
        for error in HostError::ALL {
            assert!(error.remedy().len() > 10, "{}", error.name());
        }
    }
}
