//! What happens on a host, for whoever watches: the auditor and the display.

use std::sync::Arc;

use jiff::Timestamp;

use super::Host;
use super::sql_server::{Login, SqlServer};

/// Something that happened on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEvent {
    /// When, in simulated time.
    pub time: Timestamp,
    /// On which host.
    pub instance_id: String,
    /// What.
    pub happening: HostHappening,
}

/// What can happen on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHappening {
    /// The agent took a command.
    CommandStarted {
        /// The command.
        command_id: String,
    },
    /// A credential was created, altered or dropped.
    CredentialChanged {
        /// The instance.
        endpoint: String,
        /// The credential's name.
        credential: String,
        /// The access key that it holds now; none where it was dropped.
        access_key_id: Option<String>,
    },
    /// A login was created, or got another password, or was enabled, disabled, locked or unlocked.
    LoginChanged {
        /// The instance.
        endpoint: String,
        /// The login's name.
        login: String,
    },
    /// The agent ended a command.
    CommandEnded {
        /// The command.
        command_id: String,
        /// Whether SSM will call it a success.
        succeeded: bool,
    },
    /// The host went down in the middle of a command: what was done is done, and nobody answers.
    CommandDied {
        /// The command.
        command_id: String,
    },
}

/// An access key that an instance holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    /// The instance, `host,port`.
    pub endpoint: String,
    /// The credential's name.
    pub credential: String,
    /// The key.
    pub access_key_id: String,
}

pub(super) type HostObserver = Arc<dyn Fn(&HostEvent) + Send + Sync>;

impl Host {
    /// Calls `observer` for everything that happens from now on. It may look at this host: no lock is held.
    pub fn subscribe(&self, observer: Arc<dyn Fn(&HostEvent) + Send + Sync>) {
        self.lock().observers.push(observer);
    }

    /// The keys that the host's instances hold now, in all their S3 credentials. What a cluster runs on another node is
    /// held there: its credentials lie on the disk that the nodes share.
    pub fn held_keys(&self) -> Vec<HeldKey> {
        let state = self.lock();
        let mut held = Vec::new();
        for ((host, port), server) in state.sql_servers.iter().filter(|(_, server)| !server.is_elsewhere()) {
            for (name, credential) in &server.credentials {
                let Some(access_key_id) = credential.access_key_id() else { continue };
                let endpoint = format!("{host},{port}");
                held.push(HeldKey { endpoint, credential: name.clone(), access_key_id: access_key_id.to_owned() });
            }
        }
        held
    }

    pub(super) fn tell(&self, happening: HostHappening) {
        let event = HostEvent { time: self.clock.now(), instance_id: self.instance_id.clone(), happening };
        let observers = self.lock().observers.clone();
        observers.iter().for_each(|observer| observer(&event));
    }
}

/// What differs between two looks at an instance.
pub(super) fn changes(endpoint: &str, before: &SqlServer, after: &SqlServer) -> Vec<HostHappening> {
    let mut changes = changes_of_credentials(endpoint, before, after);
    changes.extend(changes_of_logins(endpoint, before, after));
    changes
}

/// Whoever logs in is let in or not by these; what a login may do is another matter.
fn changes_of_logins(endpoint: &str, before: &SqlServer, after: &SqlServer) -> Vec<HostHappening> {
    let door = |login: &Login| (login.password.clone(), login.password_last_set, login.disabled, login.locked);
    let changed = after.logins.iter().filter(|(name, login)| before.logins.get(*name).map(door) != Some(door(login)));
    let happening = |name: &String| HostHappening::LoginChanged { endpoint: endpoint.to_owned(), login: name.clone() };
    changed.map(|(name, _)| happening(name)).collect()
}

fn changes_of_credentials(endpoint: &str, before: &SqlServer, after: &SqlServer) -> Vec<HostHappening> {
    let names = before
        .credentials
        .keys()
        .chain(after.credentials.keys().filter(|name| !before.credentials.contains_key(*name)));
    names
        .filter(|name| {
            let dates = |server: &SqlServer| server.credentials.get(*name).map(|credential| credential.modify_date);
            dates(before) != dates(after)
        })
        .map(|name| HostHappening::CredentialChanged {
            endpoint: endpoint.to_owned(),
            credential: name.clone(),
            access_key_id: after
                .credentials
                .get(name)
                .and_then(|credential| credential.access_key_id())
                .map(str::to_owned),
        })
        .collect()
}
