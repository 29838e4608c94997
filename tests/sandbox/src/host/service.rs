//! The service on loopback that a host's stand-ins ask while a script runs.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::protocol::{Call, Reply};
use super::sql_server::{BackupObject, OperatingSystemError, S3Answer};
use super::{Host, Process, aws_cli, event, sqlcmd};

/// Answers until it is aborted, each call in a task of its own: a hanging statement holds up nobody else.
pub(super) async fn serve(host: Arc<Host>, listener: TcpListener) {
    let mut calls = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let host = Arc::clone(&host);
        // A script that was killed leaves a connection that nobody reads; that is no error of the sandbox.
        calls.spawn(async move { answer(&host, stream).await.ok() });
    }
}

async fn answer(host: &Host, mut stream: TcpStream) -> io::Result<()> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let call = Call::read(&mut bytes.as_slice())?;
    if host.hangs(&call) {
        // Nothing answers until the script's time-out kills the stand-in and the service ends with the script.
        std::future::pending::<()>().await;
    }
    let mut reply = Vec::new();
    host.answer(call).write(&mut reply)?;
    stream.write_all(&reply).await
}

impl Host {
    fn hangs(&self, call: &Call) -> bool {
        let hanging = self.lock().faults.hanging_statement.clone();
        hanging.is_some_and(|statement| call.stdin.starts_with(statement.as_bytes()))
    }

    fn answer(&self, call: Call) -> Reply {
        self.lock().processes.push(Process {
            program: call.program.clone(),
            arguments: call.arguments.clone(),
            environment_names: call.environment_names.clone(),
        });
        match call.program.as_str() {
            "sqlcmd" => {
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

    /// Works on a copy of the instance and puts it back, so that an observer of the cloud may look at this host while a
    /// backup asks S3. A host's commands exclude each other by their own lock, and a backup changes no credential.
    fn at_endpoint(&self, at: &(String, u16), work: &mut sqlcmd::Session<'_>) -> Option<Reply> {
        let before = self.lock().sql_servers.get(at).filter(|server| server.running).cloned()?;
        let mut after = before.clone();
        let reply = work(&mut after);
        let changes = event::changes(&format!("{},{}", at.0, at.1), &before, &after);
        self.lock().sql_servers.insert(at.clone(), after);
        changes.into_iter().for_each(|change| self.tell(change));
        Some(reply)
    }

    /// SQL Server makes one of two operating system errors of all that S3 says (FACTS B).
    fn store(&self, object: BackupObject<'_>) -> S3Answer {
        self.cloud.put_object(object).map_err(|error| match error.code.as_str() {
            "NoSuchBucket" => OperatingSystemError::NotSupported,
            _ => OperatingSystemError::AccessDenied,
        })
    }
}
