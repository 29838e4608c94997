//! A fleet described in a file: hosts with their SQL Server instances, the credential that they hold, what goes wrong,
//! and what happens to them after the rotation.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::settings_file::{SettingsError, read_json};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetFile {
    /// The account that the functions and the secret live in.
    pub account: String,
    /// Their region.
    pub region: String,
    /// The simulated time at the start.
    pub starts_at: Timestamp,
    /// What the secret holds at the start.
    #[serde(default)]
    pub value: StartValue,
    /// How old the key in use is, in days.
    #[serde(default = "eighty_five")]
    pub key_age_days: i64,
    /// A second key that the user has already.
    #[serde(default)]
    pub second_key: SecondKey,
    /// Whether AWS shows changes late, as it really does.
    #[serde(default)]
    pub late_visibility: bool,
    /// What the first run is started with; `{}` is a rotation.
    #[serde(default = "rotation")]
    pub input: serde_json::Value,
    /// The hosts.
    pub hosts: Vec<HostEntry>,
    /// What happens after the first run.
    #[serde(default)]
    pub story: Vec<Chapter>,
}

fn rotation() -> serde_json::Value {
    serde_json::json!({})
}

fn eighty_five() -> i64 {
    85
}

/// What the secret holds at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartValue {
    /// The key in use, `AKID:SECRET`.
    #[default]
    Plain,
    /// The key in use, as JSON.
    Json,
    /// A text that is no key.
    NotAKey,
    /// The empty string.
    Empty,
    /// The secret has no version.
    NoVersion,
    /// There is no such secret.
    NoSecret,
}

/// A second key of the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecondKey {
    /// There is none.
    #[default]
    None,
    /// An older one that AWSPREVIOUS holds: the usual state of the published solution.
    Previous,
    /// One that nothing explains.
    Unknown,
}

/// One host.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostEntry {
    /// `i-…`
    pub id: String,
    /// Its Name tag; a host without one is ordinary.
    #[serde(default)]
    pub name: Option<String>,
    /// Its region.
    pub region: String,
    /// Its account, where it is another one.
    #[serde(default)]
    pub account: Option<String>,
    /// Its tags but for the name.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Whether it is stopped.
    #[serde(default)]
    pub stopped: bool,
    /// Whether its SSM agent does not answer.
    #[serde(default)]
    pub unreachable: bool,
    /// Its SQL Server instances.
    #[serde(default)]
    pub sql_servers: Vec<SqlServerEntry>,
    /// Simulated seconds that a command takes on it.
    #[serde(default)]
    pub slow_seconds: u64,
    /// What it says instead of running the script.
    #[serde(default)]
    pub lies: Option<String>,
    /// Whether its disk is full.
    #[serde(default)]
    pub disk_full: bool,
}

/// One SQL Server instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlServerEntry {
    /// Where it listens.
    #[serde(default = "localhost")]
    pub endpoint: String,
    /// 15 is 2019, 16 is 2022, 17 is 2025.
    #[serde(default = "sixteen")]
    pub major_version: u32,
    /// Whether it is an Express edition.
    #[serde(default)]
    pub express: bool,
    /// Whether its service is stopped.
    #[serde(default)]
    pub stopped: bool,
    /// Whether it lacks the credential.
    #[serde(default)]
    pub without_credential: bool,
    /// Further S3 credentials that hold the same key.
    #[serde(default)]
    pub further_credentials: Vec<String>,
    /// How many of its next backups S3 refuses.
    #[serde(default)]
    pub refused_backups: u32,
    /// Whether the new key never works from it.
    #[serde(default)]
    pub never_works: bool,
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn sixteen() -> u32 {
    16
}

/// Something that happens later, and the run that follows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chapter {
    /// What a reader is told.
    pub say: String,
    /// Days that pass first. Every night every running host backs up.
    #[serde(default)]
    pub days: u32,
    /// Hosts whose agents answer again.
    #[serde(default)]
    pub reachable: Vec<String>,
    /// Hosts that start.
    #[serde(default)]
    pub start: Vec<String>,
    /// The input of the run that follows.
    pub run: serde_json::Value,
}

impl FleetFile {
    /// Reads a fleet file.
    ///
    /// # Errors
    /// When it cannot be read or is not understood, with the place.
    pub fn read(path: &Path) -> Result<FleetFile, FleetFileError> {
        let value = read_json(path)?;
        serde_path_to_error::deserialize(value).map_err(|error| FleetFileError::Wrong {
            path: path.display().to_string(),
            place: error.path().to_string(),
            problem: error.inner().to_string(),
        })
    }
}

/// Why a fleet file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FleetFileError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] SettingsError),
    /// It is not understood.
    #[error("{path} is not understood at `{place}`: {problem}. See tests/sandbox/examples for a file that is")]
    Wrong {
        /// The file.
        path: String,
        /// The JSON path.
        place: String,
        /// What is wrong.
        problem: String,
    },
}
