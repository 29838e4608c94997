//! The sandbox's own instances on the wire: what a client does over TDS happens to the same state that the scripts'
//! `sqlcmd` works on.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::catalog::Statement;
use super::{Certificate, Instance, LogIn, Request, RowSet, Server, Spid};
use crate::host::sql_server::{Connection, OpenSession, Principal, SqlMessage};
use crate::host::{BackupObject, Endpoint, Host, endpoint};

/// The first number that a client's session has; SQL Server keeps those below for itself.
const FIRST_SPID: Spid = 51;

/// An instance of a host's, as clients on the wire find it.
struct Served {
    host: Arc<Host>,
    at: Endpoint,
    sessions: Mutex<BTreeMap<Spid, (Connection, OpenSession)>>,
}

impl Host {
    /// Serves the instance at `host` or `host,port` on a port of loopback, until the server is dropped.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn serve_tds(self: &Arc<Host>, at: &str, certificate: Certificate) -> io::Result<Server> {
        let served = Served { host: Arc::clone(self), at: endpoint(at), sessions: Mutex::default() };
        Server::start(Arc::new(served), certificate).await
    }
}

impl Served {
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<Spid, (Connection, OpenSession)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port is ours and stays; the instance may be gone with its host's disks.
    fn gone(&self) -> Vec<SqlMessage> {
        let text = "SQL Server is terminating this process.".to_owned();
        vec![SqlMessage { number: 596, severity: 21, text }]
    }
}

impl Instance for Served {
    fn is_running(&self) -> bool {
        self.host.lock().sql_servers.get(&self.at).is_some_and(|server| server.running)
    }

    fn version(&self) -> [u8; 4] {
        let major = self.host.lock().sql_servers.get(&self.at).map_or(0, |server| server.major_version);
        let [high, low] = 1000u16.to_be_bytes();
        [u8::try_from(major).unwrap_or_default(), 0, high, low]
    }

    fn log_in(&self, log_in: &LogIn) -> Result<Spid, Vec<SqlMessage>> {
        let _busy = self.host.clock.busy();
        let open = self.host.change(&self.at, |server| {
            let connection = server.log_in(&log_in.user_name, &log_in.password, log_in.database.as_deref())?;
            let session = session_of(&connection, log_in);
            server.sessions.push(session.clone());
            Ok((connection, session))
        });
        let open = open.ok_or_else(|| self.gone())?.map_err(|message| vec![message])?;
        let mut sessions = self.sessions();
        let free = (FIRST_SPID..).find(|spid| !sessions.contains_key(spid)).unwrap_or(Spid::MAX);
        sessions.insert(free, open);
        Ok(free)
    }

    fn execute(&self, spid: Spid, request: &Request) -> Result<Vec<RowSet>, Vec<SqlMessage>> {
        let _busy = self.host.clock.busy();
        let (mut connection, _) = self.sessions().get(&spid).cloned().ok_or_else(|| self.gone())?;
        let now = self.host.clock.now();
        let store = |object: BackupObject<'_>| self.host.store(object);
        let answer = self.host.change(&self.at, |server| {
            Statement { server, connection: &mut connection, request, now, store: &store }.run()
        });
        // USE is for the statements to come.
        if let Some((kept, _)) = self.sessions().get_mut(&spid) {
            *kept = connection;
        }
        answer.ok_or_else(|| self.gone())?
    }

    fn log_out(&self, spid: Spid) {
        let Some((_, session)) = self.sessions().remove(&spid) else { return };
        self.host.change(&self.at, |server| {
            let ended = server.sessions.iter().position(|open| *open == session);
            ended.map(|at| server.sessions.remove(at))
        });
    }
}

/// What sys.dm_exec_sessions shows of a client.
fn session_of(connection: &Connection, log_in: &LogIn) -> OpenSession {
    let (login, authenticated_by) = match &connection.principal {
        Principal::Login(name) => (name.clone(), None),
        Principal::ContainedUser(name) => (name.clone(), Some(connection.database.clone())),
    };
    let (host, program) = (log_in.host_name.clone(), log_in.program_name.clone());
    OpenSession { login, authenticated_by, host, program }
}
