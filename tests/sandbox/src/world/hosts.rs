//! Makes hosts: those that a fleet file begins with, and those that are launched later from an image of that time.

use super::*;
use crate::cloud::InstanceSetUp;
use crate::fleet_file::{HostEntry, SqlServerEntry};
use crate::host::{HostFaults, HostSetUp, Runs};

/// What hosts have in common.
pub(super) struct Origin<'a> {
    /// The account of those that name none.
    pub(super) account: &'a str,
    pub(super) settings: &'a Settings,
    /// The key that their credentials hold.
    pub(super) key: &'a (String, String),
    /// When they were launched; now where absent.
    pub(super) launched: Option<jiff::Timestamp>,
    /// What runs on them.
    pub(super) runs: Runs,
}

impl Origin<'_> {
    /// Adds the host before its instance, so that whoever sees the instance come finds what is on its disks.
    pub(super) fn add(&self, cloud: &Cloud, fleet: &Fleet, entry: &HostEntry) -> Result<(), WorldError> {
        entry.check_engine().map_err(|source| WorldError::Engine { host: entry.id.clone(), source })?;
        fleet.add(self.host(entry))?;
        cloud.add_instance(self.instance(entry));
        if entry.unreachable {
            cloud.set_agent_online(&entry.id, false);
        }
        Ok(())
    }

    fn instance(&self, entry: &HostEntry) -> InstanceSetUp {
        let account = entry.account.as_deref().unwrap_or(self.account);
        let mut instance = InstanceSetUp::running(&entry.id, account, &entry.region, &[]);
        instance.tags.clone_from(&entry.tags);
        instance.tags.extend(entry.name.iter().map(|name| ("Name".to_owned(), name.clone())));
        instance.launch_time = self.launched;
        if entry.stopped {
            instance.state = InstanceState::Stopped;
        }
        if let Some(agent) = &mut instance.agent {
            agent.platform_type = entry.platform.name().to_owned();
            // No agent answers as soon as its instance runs.
            agent.online = self.launched.is_some();
        }
        instance
    }

    fn host(&self, entry: &HostEntry) -> HostSetUp {
        let sql_servers = entry.sql_servers.iter().map(|server| (server.address(), self.sql_server(server)));
        HostSetUp {
            instance_id: entry.id.clone(),
            region: entry.region.clone(),
            platform: entry.platform,
            sql_servers: sql_servers.collect(),
            faults: HostFaults {
                slow: Duration::from_secs(entry.slow_seconds),
                lie: entry.lies.clone(),
                disk_full: entry.disk_full,
                ..HostFaults::default()
            },
            ..self.runs.set_up()
        }
    }

    fn sql_server(&self, entry: &SqlServerEntry) -> SqlServer {
        let (key, secret) = self.key;
        let mut server = SqlServer::new(entry.major_version, ADMINISTRATOR, &keys::secret_text("administrator"));
        server.engine_edition = if entry.express { 4 } else { 3 };
        server.running = entry.runs_here();
        server.installation = entry.installation();
        server.faults.refused_backups = if entry.never_works { u32::MAX } else { entry.refused_backups };
        let ours = self.settings.credentials().iter().filter(|_| !entry.without_credential);
        for url in ours.chain(&entry.further_credentials) {
            server = server.with_credential(url, key, secret);
        }
        if let Credential::Login(login) = &self.settings.credential {
            for name in login.names.iter().filter(|_| !entry.without_login) {
                server = server.with_login(name, &logins::first_password(name));
            }
        }
        server
    }
}
