//! One thing that a step did to the credential, as an auditor keeps it.
//!
//! Who started the execution is in CloudTrail (StartExecution), by the execution's ARN.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::names::{AccessKeyId, VersionId};
use crate::settings::Settings;

/// What was done, to which key and version, when, and by which execution.
pub struct Deed<'a> {
    /// The rotation's settings.
    pub settings: &'a Settings,
    /// The execution's ARN.
    pub execution: &'a str,
    /// When the state was entered that did it.
    pub at: Timestamp,
    /// What: `stored`, `staged`, `abandoned`, `promoted`, `madeInactive`, `deleted`.
    pub did: &'static str,
    /// The key, where it is about one.
    pub key: Option<&'a AccessKeyId>,
    /// The login, where it is about one's password.
    pub login: Option<&'a str>,
    /// The version, where it is about one.
    pub version: Option<&'a VersionId>,
}

impl Deed<'_> {
    /// The line of evidence.
    pub fn evidence(&self) -> Value {
        json!({
            "rotation": self.settings.rotation,
            self.settings.credential.member(): self.settings.subject(),
            "execution": self.execution,
            "at": self.at,
            "did": self.did,
            "key": self.key,
            "login": self.login,
            "version": self.version,
        })
    }
}
