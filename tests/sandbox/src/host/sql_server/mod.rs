//! A SQL Server instance, as far as a rotation can tell: who may log in, which credentials it holds, and what a backup
//! through them comes to.
//!
//! Messages carry SQL Server's own numbers, because the scripts tell failures apart by them. A backup really asks S3,
//! signed with the key that the most specific credential holds (FACTS B).
//!
//! Read in this order: here (an instance, and what it does with a batch), [`connection`] (who is let in), [`login`],
//! [`policy`], [`database`] and [`availability`] (what it keeps), [`credentials`], [`backup`], [`changes`] and [`answers`]
//! (what its statements do).

pub mod answers;
pub mod availability;
pub mod backup;
pub mod changes;
pub mod connection;
pub mod credentials;
pub mod database;
pub mod login;
pub mod policy;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::tsql::{self, Statement};
use super::windows::Installation;

pub use availability::{AvailabilityGroup, Role};
pub use backup::{BackupObject, OperatingSystemError, S3Answer};
pub use connection::{Connection, OpenSession, Principal};
pub use credentials::{Credential, S3_ACCESS_KEY};
pub use database::{Database, DatabaseUser};
pub use login::{Login, Permission, Sid};
pub use policy::PasswordPolicy;

/// One instance.
#[derive(Clone, Debug)]
pub struct SqlServer {
    /// The major version: 15 is 2019, 16 is 2022, 17 is 2025.
    pub major_version: u32,
    /// SERVERPROPERTY('EngineEdition'); 4 is Express.
    pub engine_edition: u32,
    /// Whether the service runs.
    pub running: bool,
    /// Whether a client that validates the server's certificate accepts it.
    pub certificate_trusted: bool,
    /// SERVERPROPERTY('IsIntegratedSecurityOnly'): no login with a password is let in.
    pub integrated_security_only: bool,
    /// What a password has to be, and when a login is locked.
    pub policy: PasswordPolicy,
    /// Who may log in.
    pub logins: BTreeMap<String, Login>,
    /// The databases that a rotation can see something of.
    pub databases: BTreeMap<String, Database>,
    /// Who is logged in now, but for whoever asks.
    pub sessions: Vec<OpenSession>,
    /// The Always On availability groups of which the instance is a replica.
    pub availability_groups: BTreeMap<String, AvailabilityGroup>,
    /// The server's credentials by name.
    pub credentials: BTreeMap<String, Credential>,
    /// How Windows knows the instance; on Linux nobody asks.
    pub installation: Installation,
    /// What goes wrong.
    pub faults: SqlServerFaults,
    /// How often something was created, altered or dropped: makes every date of a change another.
    changes: u32,
}

/// What goes wrong on an instance, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqlServerFaults {
    /// The next backups of any kind that S3 refuses.
    pub refused_backups: u32,
    /// The next backups through the held credential that S3 refuses, after the proof through the temporary one.
    pub refused_held_backups: u32,
    /// The next backups that meet another backup of model.
    pub busy_backups: u32,
    /// The next ALTER CREDENTIAL statements that fail.
    pub failed_alters: u32,
    /// The next DROP CREDENTIAL statements that fail.
    pub failed_drops: u32,
    /// The next passwords that a filter on the host refuses, whatever they are.
    pub filtered_passwords: u32,
    /// The next ALTER LOGIN statements that fail though the password is a good one.
    pub failed_login_alters: u32,
    /// The next times that a login with a right password is refused: a logon trigger rolls back.
    pub refused_logons: u32,
}

/// A message with severity above 10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlMessage {
    /// The number in sys.messages.
    pub number: u32,
    /// The severity.
    pub severity: u8,
    /// The text.
    pub text: String,
}

/// What a batch comes to: the rows of its result, each of one column, or SQL Server's messages in the order in which it
/// sends them.
pub type Outcome = Result<Vec<String>, Vec<SqlMessage>>;

impl SqlServer {
    /// A running instance of a major version with one login that has the rights of both `grants.sql`.
    pub fn new(major_version: u32, login: &str, password: &str) -> SqlServer {
        SqlServer {
            major_version,
            engine_edition: 3,
            running: true,
            certificate_trusted: true,
            integrated_security_only: false,
            policy: PasswordPolicy::default(),
            logins: BTreeMap::from([(login.to_owned(), Login::administrator(login, password))]),
            databases: ["master", "model"].map(|name| (name.to_owned(), Database::default())).into(),
            sessions: Vec::new(),
            availability_groups: BTreeMap::new(),
            credentials: BTreeMap::new(),
            installation: Installation::default(),
            faults: SqlServerFaults::default(),
            changes: 0,
        }
    }

    /// SERVERPROPERTY('ProductVersion') of its first release.
    pub fn product_version(&self) -> String {
        format!("{}.0.1000.6", self.major_version)
    }

    /// Whether a cluster runs it on another node than this one.
    pub fn is_elsewhere(&self) -> bool {
        let group = self.installation.cluster.as_ref().and_then(|cluster| cluster.group.as_ref());
        !self.running && group.is_some_and(|group| group.state == "Online")
    }

    /// The same instance with an S3 credential that a person made.
    pub fn with_credential(mut self, name: &str, access_key_id: &str, secret_access_key: &str) -> SqlServer {
        let secret = Some(format!("{access_key_id}:{secret_access_key}"));
        let credential = Credential { identity: S3_ACCESS_KEY.to_owned(), secret, modify_date: Timestamp::UNIX_EPOCH };
        self.credentials.insert(name.to_owned(), credential);
        self
    }

    /// The same instance with a login that a person made.
    pub fn with_login(mut self, name: &str, password: &str) -> SqlServer {
        self.logins.insert(name.to_owned(), Login::new(name, password));
        self
    }

    /// Executes one batch for whoever was let in. `store` is S3.
    ///
    /// # Errors
    /// SQL Server's messages, in the order in which it sends them.
    pub fn execute(
        &mut self,
        connection: &Connection,
        batch: &str,
        now: Timestamp,
        store: &dyn Fn(BackupObject<'_>) -> S3Answer,
    ) -> Outcome {
        let statement = tsql::parse(batch)
            .map_err(|error| vec![message(102, 15, format!("Incorrect syntax near '{}'.", error.near))])?;
        if let Statement::SelectWho { login, database } = &statement {
            return Ok(vec![connection.who_row(login, database)]);
        }
        // A contained user has no right at the server, and our scripts ask it nothing but who it is.
        let rights = connection.login().and_then(|login| self.logins.get(login)).cloned();
        let Some(rights) = rights else { return Err(vec![no_permission()]) };
        match statement {
            Statement::SelectWho { login, database } => Ok(vec![connection.who_row(&login, &database)]),
            Statement::SelectInstance => Ok(vec![self.instance_row(&rights)]),
            Statement::SelectRightToBackUp => Ok(vec![format!("~backup~{}", u8::from(rights.may_back_up_model))]),
            Statement::SelectCredentials => Ok(self.credential_rows(&rights)),
            Statement::Create(definition) => self.create_credential(&rights, definition, now),
            Statement::Alter(definition) => self.alter_credential(&rights, definition, now),
            Statement::Drop { name } => self.drop_credential(&rights, &name),
            Statement::Backup { database, url, region } => {
                self.back_up(&rights, &database, &url, region.as_deref(), store)
            }
            Statement::OfLogins(statement) => self.answer_of_logins(connection, &rights, &statement, now),
        }
    }

    /// SQL Server's own clock, on which no two changes share a moment.
    fn moment_of_change(&mut self, now: Timestamp) -> Timestamp {
        self.changes += 1;
        now.saturating_add(jiff::SignedDuration::from_millis(self.changes.into())).unwrap_or(now)
    }

    fn instance_row(&self, rights: &Login) -> String {
        format!(
            "~instance~{}~{}~{}",
            self.product_version(),
            self.engine_edition,
            u8::from(rights.may_alter_any_credential)
        )
    }
}

/// Names of logins, databases, users and credentials compare as under the default collation, without case.
fn is_same_name(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

/// Msg 15151.
fn not_found(verb: &str, what: &str, name: &str) -> SqlMessage {
    let text = format!("Cannot {verb} the {what} '{name}', because it does not exist or you do not have permission.");
    message(15151, 16, text)
}

/// Msg 15247.
fn no_permission() -> SqlMessage {
    message(15247, 16, "User does not have permission to perform this action.".to_owned())
}

fn message(number: u32, severity: u8, text: String) -> SqlMessage {
    SqlMessage { number, severity, text }
}

/// Uses up one of a fault's times.
fn take(times: &mut u32) -> bool {
    let left = *times > 0;
    *times -= u32::from(left);
    left
}
