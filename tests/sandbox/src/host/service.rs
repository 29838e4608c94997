//! The service on loopback that a host's stand-ins ask while a script runs.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::protocol::{Call, Reply};
use super::script::Signals;
use super::sql_server::{BackupObject, OperatingSystemError, S3Answer, SqlServer};
use super::{Host, Process, aws_cli, event, sqlcmd};

/// How a script ends in the middle of a call.
pub(super) enum Interruption {
    /// The call hangs until the time-out has come.
    TimeOut,
    /// The agent is stopped, and the script with it.
    Stopped,
}

/// Answers until it is aborted, each call in a task of its own: a hanging statement holds up nobody else.
pub(super) async fn serve(host: Arc<Host>, listener: TcpListener, signals: Arc<Signals>) {
    let mut calls = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (host, signals) = (Arc::clone(&host), Arc::clone(&signals));
        // A script that was killed leaves a connection that nobody reads; that is no error of the sandbox.
        calls.spawn(async move { answer(&host, stream, &signals).await.ok() });
    }
}

async fn answer(host: &Host, mut stream: TcpStream, signals: &Signals) -> io::Result<()> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let call = Call::read(&mut bytes.as_slice())?;
    let interruption = host.interruption(&call);
    let end = interruption.map(|interruption| match interruption {
        Interruption::TimeOut => &signals.time_out,
        Interruption::Stopped => &signals.terminate,
    });
    if let Some(end) = end {
        // The script's end comes now, in real time: nobody waits for the minutes that it would take.
        end.notify_one();
        // Nothing answers: the stand-in dies with the script, and the service ends after it.
        std::future::pending::<()>().await;
    }
    let mut reply = Vec::new();
    host.answer(call).write(&mut reply)?;
    stream.write_all(&reply).await
}

impl Host {
    /// How the script ends while this call runs, if it does.
    pub(super) fn interruption(&self, call: &Call) -> Option<Interruption> {
        let state = self.lock();
        let runs = |statement: &Option<String>| {
            statement.as_ref().is_some_and(|statement| call.stdin.starts_with(statement.as_bytes()))
        };
        let time_out = runs(&state.faults.hanging_statement).then_some(Interruption::TimeOut);
        time_out.or_else(|| runs(&state.faults.stopped_during).then_some(Interruption::Stopped))
    }

    /// What a tool prints, and how it ends.
    pub(super) fn answer(&self, call: Call) -> Reply {
        self.lock().processes.push(Process {
            program: call.program.clone(),
            arguments: call.arguments.clone(),
            environment_names: call.environment_names.clone(),
        });
        match call.program.as_str() {
            "sqlcmd" => {
                let batches = sqlcmd::batches(&String::from_utf8_lossy(&call.stdin));
                self.lock().batches.extend(batches);
                let store = |object: BackupObject<'_>| self.store(object);
                let mut servers = |host: &str, port: u16, work: &mut sqlcmd::Session<'_>| {
                    self.at_endpoint(&(host.to_owned(), port), work)
                };
                sqlcmd::run(&call, self.clock.now(), &mut servers, &store)
            }
            "aws" => aws_cli::run(&call, &self.instance_id, self.cloud.as_ref()),
            other => Reply { exit_code: 127, stdout: Vec::new(), stderr: format!("{other}: not found\n").into_bytes() },
        }
    }

    /// The key of the running instance that a client reaches by TCP, or by its name in shared memory; there the default
    /// instance may go without.
    fn listening_at(&self, at: &(String, u16)) -> Option<(String, u16)> {
        let state = self.lock();
        let reached = state.sql_servers.iter().find(|((host, port), server)| {
            let name = server.installation.name_at(*port).to_ascii_lowercase();
            let by_tcp = !server.installation.without_tcp && (host, port) == (&at.0, &at.1);
            let in_memory = match at.0.strip_prefix("lpc:.") {
                Some("") => name == "mssqlserver",
                Some(named) => named.strip_prefix('\\') == Some(name.as_str()),
                None => false,
            };
            server.running && (by_tcp || in_memory)
        });
        reached.map(|(key, _)| key.clone())
    }

    fn at_endpoint(&self, at: &(String, u16), work: &mut sqlcmd::Session<'_>) -> Option<Reply> {
        let at = self.listening_at(at)?;
        self.change(&at, work)
    }

    /// Works on a copy of the instance and puts it back, so that an observer of the cloud may look at this host while a
    /// backup asks S3. One at a time: a script's statements and those of clients on the wire come at any moment.
    pub(crate) fn change<T>(&self, at: &(String, u16), work: impl FnOnce(&mut SqlServer) -> T) -> Option<T> {
        let (result, changes) = {
            let _alone = self.statements.lock().expect("no statement has failed");
            let before = self.lock().sql_servers.get(at).cloned()?;
            let mut after = before.clone();
            let result = work(&mut after);
            let changes = event::changes(&format!("{},{}", at.0, at.1), &before, &after);
            self.lock().sql_servers.insert(at.clone(), after);
            (result, changes)
        };
        changes.into_iter().for_each(|change| self.tell(change));
        Some(result)
    }

    /// SQL Server makes one of two operating system errors of all that S3 says (FACTS B).
    pub(super) fn store(&self, object: BackupObject<'_>) -> S3Answer {
        self.cloud.put_object(object).map_err(|error| match error.code.as_str() {
            "NoSuchBucket" => OperatingSystemError::NotSupported,
            _ => OperatingSystemError::AccessDenied,
        })
    }
}
