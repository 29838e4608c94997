//! A SQL Server instance, as far as a rotation can tell: who may log in, which credentials it holds, and what a backup
//! through them comes to.
//!
//! Messages carry SQL Server's own numbers, because the scripts tell failures apart by them. A backup really asks S3,
//! signed with the key that the most specific credential holds (FACTS B).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::s3_url::S3Url;
use super::tsql::{self, CredentialDefinition, Statement};
use super::windows::Installation;

/// The identity of every credential for S3 (FACTS B).
pub const S3_ACCESS_KEY: &str = "S3 Access Key";

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
    /// Who may log in.
    pub logins: BTreeMap<String, Login>,
    /// The server's credentials by name.
    pub credentials: BTreeMap<String, Credential>,
    /// How Windows knows the instance; on Linux nobody asks.
    pub installation: Installation,
    /// What goes wrong.
    pub faults: SqlServerFaults,
    /// How often a credential was created, altered or dropped: makes every modify_date another.
    changes: u32,
}

/// A login with its password and the two rights that matter here.
#[derive(Clone)]
pub struct Login {
    /// The password.
    pub password: String,
    /// ALTER ANY CREDENTIAL.
    pub may_alter_any_credential: bool,
    /// db_backupoperator in model.
    pub may_back_up_model: bool,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Login").finish_non_exhaustive()
    }
}

/// A row of sys.credentials, with the secret that it does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The identity.
    pub identity: String,
    /// `AKID:SECRET`.
    pub secret: Option<String>,
    /// When it was last created or altered.
    pub modify_date: Timestamp,
}

impl Credential {
    /// The access key id that the credential holds.
    pub fn access_key_id(&self) -> Option<&str> {
        self.secret.as_deref()?.split_once(':').map(|(id, _)| id)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credential").field("access_key_id", &self.access_key_id()).finish_non_exhaustive()
    }
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

/// A backup's object on its way to S3. No Debug: it holds a secret.
pub struct BackupObject<'a> {
    /// Where it goes.
    pub url: S3Url,
    /// The region for which the request is signed.
    pub signing_region: String,
    /// The key's id.
    pub access_key_id: &'a str,
    /// The key's secret.
    pub secret_access_key: &'a str,
}

/// S3's answer to a backup: the operating system error that SQL Server makes of it.
pub type S3Answer = Result<(), OperatingSystemError>;

/// The two operating system errors in which SQL Server wraps all that S3 says (FACTS B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatingSystemError {
    /// 50: no credential, or no such bucket.
    NotSupported,
    /// 5: S3 refused the key, the signature or the action.
    AccessDenied,
}

impl SqlServer {
    /// A running instance of a major version with one login that has the rights of `grants.sql`.
    pub fn new(major_version: u32, login: &str, password: &str) -> SqlServer {
        let login_rights =
            Login { password: password.to_owned(), may_alter_any_credential: true, may_back_up_model: true };
        SqlServer {
            major_version,
            engine_edition: 3,
            running: true,
            certificate_trusted: true,
            logins: BTreeMap::from([(login.to_owned(), login_rights)]),
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

    /// Whether a login is accepted; else Msg 18456.
    pub fn accepts(&self, login: &str, password: &str) -> bool {
        self.logins.get(login).is_some_and(|known| known.password == password)
    }

    /// Executes one batch as a login that was accepted. `store` is S3.
    ///
    /// # Errors
    /// SQL Server's messages, in the order in which it sends them.
    pub fn execute(
        &mut self,
        login: &str,
        batch: &str,
        now: Timestamp,
        store: &dyn Fn(BackupObject<'_>) -> S3Answer,
    ) -> Result<Vec<String>, Vec<SqlMessage>> {
        let statement = tsql::parse(batch)
            .map_err(|error| vec![message(102, 15, format!("Incorrect syntax near '{}'.", error.near))])?;
        let Some(rights) = self.logins.get(login).cloned() else {
            return Err(vec![login_failed(login)]);
        };
        match statement {
            Statement::SelectInstance => Ok(vec![self.instance_row(&rights)]),
            Statement::SelectRightToBackUp => Ok(vec![format!("~backup~{}", u8::from(rights.may_back_up_model))]),
            Statement::SelectCredentials => Ok(self.credential_rows(&rights)),
            Statement::Create(definition) => self.create(&rights, definition, now),
            Statement::Alter(definition) => self.alter(&rights, definition, now),
            Statement::Drop { name } => self.drop_credential(&rights, &name),
            Statement::Backup { database, url, region } => {
                self.back_up(&rights, &database, &url, region.as_deref(), store)
            }
        }
    }

    fn instance_row(&self, rights: &Login) -> String {
        format!(
            "~instance~{}~{}~{}",
            self.product_version(),
            self.engine_edition,
            u8::from(rights.may_alter_any_credential)
        )
    }

    /// Without ALTER ANY CREDENTIAL the view is empty, as metadata visibility has it.
    fn credential_rows(&self, rights: &Login) -> Vec<String> {
        if !rights.may_alter_any_credential {
            return Vec::new();
        }
        self.credentials
            .iter()
            .filter(|(name, _)| name.to_ascii_lowercase().starts_with("s3://"))
            .map(|(name, credential)| {
                let kind = if credential.identity == S3_ACCESS_KEY { "s3" } else { "other" };
                format!("~credential~{}~{kind}~{name}", credential.modify_date.strftime("%Y-%m-%dT%H:%M:%S%.3f"))
            })
            .collect()
    }

    fn create(
        &mut self,
        rights: &Login,
        definition: CredentialDefinition,
        now: Timestamp,
    ) -> Result<Vec<String>, Vec<SqlMessage>> {
        if !rights.may_alter_any_credential {
            return Err(vec![message(15247, 16, "User does not have permission to perform this action.".to_owned())]);
        }
        if self.name_of(&definition.name).is_some() {
            let text = format!("The credential with name \"{}\" already exists.", definition.name);
            return Err(vec![message(15530, 16, text)]);
        }
        // A credential's name is a sysname: 128 characters (FACTS B).
        if definition.name.chars().count() > 128 {
            let text = format!("The identifier that starts with '{}' is too long.", &definition.name[..100]);
            return Err(vec![message(103, 15, text)]);
        }
        self.store(definition, now);
        Ok(Vec::new())
    }

    fn alter(
        &mut self,
        rights: &Login,
        mut definition: CredentialDefinition,
        now: Timestamp,
    ) -> Result<Vec<String>, Vec<SqlMessage>> {
        let known = self.name_of(&definition.name).filter(|_| rights.may_alter_any_credential);
        let Some(known) = known else {
            return Err(vec![not_found("alter", &definition.name)]);
        };
        if take(&mut self.faults.failed_alters) {
            return Err(vec![message(15466, 16, "An error occurred during decryption.".to_owned())]);
        }
        definition.name = known;
        self.store(definition, now);
        Ok(Vec::new())
    }

    fn drop_credential(&mut self, rights: &Login, name: &str) -> Result<Vec<String>, Vec<SqlMessage>> {
        let known = self.name_of(name).filter(|_| rights.may_alter_any_credential);
        let Some(known) = known else {
            return Err(vec![not_found("drop", name)]);
        };
        if take(&mut self.faults.failed_drops) {
            return Err(vec![message(1222, 16, "Lock request time out period exceeded.".to_owned())]);
        }
        self.credentials.remove(&known);
        Ok(Vec::new())
    }

    /// Keeps a definition; modify_date is SQL Server's own clock, on which no two changes share a moment.
    fn store(&mut self, definition: CredentialDefinition, now: Timestamp) {
        self.changes += 1;
        let modify_date = now.saturating_add(jiff::SignedDuration::from_millis(self.changes.into())).unwrap_or(now);
        self.credentials.insert(
            definition.name,
            Credential { identity: definition.identity, secret: definition.secret, modify_date },
        );
    }

    fn back_up(
        &mut self,
        rights: &Login,
        database: &str,
        url: &str,
        region: Option<&str>,
        store: &dyn Fn(BackupObject<'_>) -> S3Answer,
    ) -> Result<Vec<String>, Vec<SqlMessage>> {
        let terminating = || message(3013, 16, "BACKUP DATABASE is terminating abnormally.".to_owned());
        if database != "model" || !rights.may_back_up_model {
            let text = format!("BACKUP DATABASE permission denied in database '{database}'.");
            return Err(vec![message(262, 14, text), terminating()]);
        }
        if take(&mut self.faults.busy_backups) {
            return Err(vec![message(3023, 16, MODEL_BUSY.to_owned()), terminating()]);
        }
        self.put(url, region, store).map_err(|error| {
            let (code, reason) = match error {
                OperatingSystemError::NotSupported => (50, "The request is not supported."),
                OperatingSystemError::AccessDenied => (5, "Access is denied."),
            };
            let text = format!("Cannot open backup device '{url}'. Operating system error {code}({reason}).");
            vec![message(3201, 16, text), terminating()]
        })?;
        Ok(vec![
            "Processed 328 pages for database 'model', file 'modeldev' on file 1.".to_owned(),
            "BACKUP DATABASE successfully processed 330 pages in 0.087 seconds (29.573 MB/sec).".to_owned(),
        ])
    }

    fn put(&mut self, url: &str, region: Option<&str>, store: &dyn Fn(BackupObject<'_>) -> S3Answer) -> S3Answer {
        let held = url.contains("/held/");
        if take(&mut self.faults.refused_backups) || (held && take(&mut self.faults.refused_held_backups)) {
            return Err(OperatingSystemError::AccessDenied);
        }
        let target = S3Url::parse(url).ok_or(OperatingSystemError::NotSupported)?;
        let credential = self.credential_for(url).ok_or(OperatingSystemError::NotSupported)?;
        let (access_key_id, secret_access_key) = credential
            .secret
            .as_deref()
            .and_then(|secret| secret.split_once(':'))
            .ok_or(OperatingSystemError::AccessDenied)?;
        let signing_region = region.unwrap_or("us-east-1").to_owned();
        // S3 refuses a signature for another region than its endpoint's.
        if target.region.as_ref().is_some_and(|endpoint| *endpoint != signing_region) {
            return Err(OperatingSystemError::AccessDenied);
        }
        store(BackupObject { url: target, signing_region, access_key_id, secret_access_key })
    }

    /// The credential that covers a URL: its own name, else each parent folder's down to the bucket (FACTS B).
    pub fn credential_for(&self, url: &str) -> Option<&Credential> {
        let mut name = url;
        loop {
            if let Some(known) = self.name_of(name) {
                return self.credentials.get(&known).filter(|credential| credential.identity == S3_ACCESS_KEY);
            }
            name = name.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| parent.len() > "s3://".len())?;
        }
    }

    /// Names compare as under the default collation, without case.
    fn name_of(&self, name: &str) -> Option<String> {
        self.credentials.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned()
    }
}

const MODEL_BUSY: &str = "Backup, file manipulation operations (such as ALTER DATABASE ADD FILE) and encryption changes \
                          on a database must be serialized. Reissue the statement after the current backup or file \
                          manipulation operation is completed.";

/// Msg 18456.
pub fn login_failed(login: &str) -> SqlMessage {
    message(18456, 14, format!("Login failed for user '{login}'."))
}

fn not_found(verb: &str, name: &str) -> SqlMessage {
    let text =
        format!("Cannot {verb} the credential '{name}', because it does not exist or you do not have permission.");
    message(15151, 16, text)
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
