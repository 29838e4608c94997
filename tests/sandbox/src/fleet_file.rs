//! A fleet described in a file: hosts with their SQL Server instances, the credential that they hold, what goes wrong,
//! and what happens to them after the rotation.

mod check;
mod check_story;
pub mod placeholders;
mod story;

use std::num::NonZeroU32;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use crate::host::Platform;
use crate::host::windows::{Cluster, Engine, Group, Installation, NoEngine};
use crate::settings_file::{SettingsError, read_json};
pub(crate) use check::is_instance_id;
use check::{Flaw, check};
pub use story::{Chapter, PutTag, TakenTag};

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
    /// An application that reads the secret and logs in to every instance; only where logins are rotated.
    #[serde(default)]
    pub application: Option<ApplicationEntry>,
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

/// An application.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplicationEntry {
    /// Every how many seconds it reads AWSCURRENT.
    #[serde(default = "ten")]
    pub refresh_seconds: NonZeroU32,
}

fn ten() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(9)
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
    /// Its operating system; a Windows host needs a PowerShell here, which PWSH names.
    #[serde(default)]
    pub platform: Platform,
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
    /// Windows: its name, where it is not what its port suggests.
    #[serde(default)]
    pub instance: Option<String>,
    /// Windows: the virtual network name of a clustered instance, which is then where it listens, too.
    #[serde(default)]
    pub virtual_name: Option<String>,
    /// Windows: the node that runs a clustered instance, where it is another one than this host.
    #[serde(default)]
    pub runs_on: Option<String>,
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
    /// Whether it lacks the login, or both.
    #[serde(default)]
    pub without_login: bool,
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

impl HostEntry {
    /// What runs the host's script, where this machine does not by itself.
    ///
    /// # Errors
    /// For a Windows host without a PowerShell.
    pub fn check_engine(&self) -> Result<(), NoEngine> {
        match self.platform {
            Platform::Linux => Ok(()),
            Platform::Windows => Engine::from_environment().map(|_| ()),
        }
    }
}

impl SqlServerEntry {
    /// Where clients find the instance: a clustered one at its virtual name.
    pub fn address(&self) -> String {
        match (&self.virtual_name, self.endpoint.split_once(',')) {
            (Some(virtual_name), Some((_, port))) => format!("{virtual_name},{port}"),
            (Some(virtual_name), None) => virtual_name.clone(),
            (None, _) => self.endpoint.clone(),
        }
    }

    /// Whether its service runs on this host.
    pub fn runs_here(&self) -> bool {
        !self.stopped && self.runs_on.is_none()
    }

    /// How Windows knows the instance. The group of a clustered one is online unless its service is stopped.
    pub fn installation(&self) -> Installation {
        let node = self.runs_on.clone().unwrap_or_else(|| "localhost".to_owned());
        let state = if self.stopped { "Offline" } else { "Online" };
        let group = Some(Group { node, state: state.to_owned() });
        let cluster = self.virtual_name.clone().map(|virtual_name| Cluster { virtual_name, group });
        Installation { name: self.instance.clone(), cluster, ..Installation::default() }
    }
}

impl FleetFile {
    /// Reads a fleet file.
    ///
    /// # Errors
    /// When it cannot be read or is not understood, with the place.
    pub fn read(path: &Path) -> Result<FleetFile, FleetFileError> {
        let value = read_json(path)?;
        let wrong = |place, problem| FleetFileError::Wrong { path: path.display().to_string(), place, problem };
        let file = serde_path_to_error::deserialize(value)
            .map_err(|error| wrong(error.path().to_string(), error.inner().to_string()))?;
        check(&file).map_err(|Flaw { place, problem }| wrong(place, problem))?;
        Ok(file)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(entry: serde_json::Value) -> SqlServerEntry {
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_windows_host_needs_a_powershell_here_and_a_linux_host_does_not() {
        let host = |platform: &str| json!({ "id": "i-1", "region": "eu-west-1", "platform": platform });
        let check = |platform| serde_json::from_value::<HostEntry>(host(platform)).unwrap().check_engine();
        assert!(check("linux").is_ok());
        match (check("windows"), Engine::from_environment()) {
            (Err(refused), Err(_)) => assert!(refused.to_string().contains("PWSH"), "{refused}"),
            (checked, engine) => assert_eq!(checked.is_ok(), engine.is_ok()),
        }
        assert!(serde_json::from_value::<HostEntry>(host("macos")).is_err());
    }

    #[test]
    fn a_clustered_instance_listens_at_its_virtual_name_and_runs_on_one_node() {
        let passive = server(json!({ "endpoint": "localhost,1434", "virtualName": "SQLPROD", "runsOn": "sql-02" }));
        assert_eq!((passive.address().as_str(), passive.runs_here()), ("SQLPROD,1434", false));
        let group = passive.installation().cluster.unwrap().group.unwrap();
        assert_eq!((group.node.as_str(), group.state.as_str()), ("sql-02", "Online"));
        assert_eq!(server(json!({ "virtualName": "SQLPROD" })).address(), "SQLPROD");
        assert!(server(json!({})).runs_here() && server(json!({})).installation().cluster.is_none());
    }
}
