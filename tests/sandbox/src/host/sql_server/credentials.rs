//! The credentials of an instance, and the four statements that a rotation of access keys has for them.

use jiff::Timestamp;

use super::Login;
use super::{SqlMessage, SqlServer, message, no_permission, not_found, take};
use crate::host::tsql::CredentialDefinition;

/// The identity of every credential for S3 (FACTS B).
pub const S3_ACCESS_KEY: &str = "S3 Access Key";

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

impl SqlServer {
    /// Without ALTER ANY CREDENTIAL the view is empty, as metadata visibility has it.
    pub(super) fn credential_rows(&self, rights: &Login) -> Vec<String> {
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

    pub(super) fn create_credential(
        &mut self,
        rights: &Login,
        definition: CredentialDefinition,
        now: Timestamp,
    ) -> Result<Vec<String>, Vec<SqlMessage>> {
        if !rights.may_alter_any_credential {
            return Err(vec![no_permission()]);
        }
        if self.credential_name(&definition.name).is_some() {
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

    pub(super) fn alter_credential(
        &mut self,
        rights: &Login,
        mut definition: CredentialDefinition,
        now: Timestamp,
    ) -> Result<Vec<String>, Vec<SqlMessage>> {
        let known = self.credential_name(&definition.name).filter(|_| rights.may_alter_any_credential);
        let Some(known) = known else {
            return Err(vec![not_found("alter", "credential", &definition.name)]);
        };
        if take(&mut self.faults.failed_alters) {
            return Err(vec![message(15466, 16, "An error occurred during decryption.".to_owned())]);
        }
        definition.name = known;
        self.store(definition, now);
        Ok(Vec::new())
    }

    pub(super) fn drop_credential(&mut self, rights: &Login, name: &str) -> Result<Vec<String>, Vec<SqlMessage>> {
        let known = self.credential_name(name).filter(|_| rights.may_alter_any_credential);
        let Some(known) = known else {
            return Err(vec![not_found("drop", "credential", name)]);
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

    /// Names compare as under the default collation, without case.
    pub(super) fn credential_name(&self, name: &str) -> Option<String> {
        self.credentials.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned()
    }
}
