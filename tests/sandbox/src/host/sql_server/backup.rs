//! What a backup comes to: which credential covers its URL, and what SQL Server makes of S3's answer.

use super::credentials::S3_ACCESS_KEY;
use super::{Credential, Login, SqlMessage, SqlServer, message, take};
use crate::host::s3_url::S3Url;

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
    pub(super) fn back_up(
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
            if let Some(known) = self.credential_name(name) {
                return self.credentials.get(&known).filter(|credential| credential.identity == S3_ACCESS_KEY);
            }
            name = name.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| parent.len() > "s3://".len())?;
        }
    }
}

const MODEL_BUSY: &str = "Backup, file manipulation operations (such as ALTER DATABASE ADD FILE) and encryption changes \
                          on a database must be serialized. Reissue the statement after the current backup or file \
                          manipulation operation is completed.";
