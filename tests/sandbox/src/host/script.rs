//! A script as a process, the way the SSM agent starts and ends it.
//!
//! On Linux `sh -c <folder>/_script.sh`; on Windows `_script.ps1`, with a byte order mark, by PowerShell. The process
//! group is killed at the time-out. What the agent leaves on the disk (the rendered script and the output) stays there,
//! so that a test can look for secrets in it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use super::agent::KILLED;
use super::windows::Engine;

/// What runs a script.
#[derive(Clone, Copy)]
pub(super) enum Interpreter<'a> {
    /// `aws:runShellScript`.
    Shell,
    /// `aws:runPowerShellScript`.
    PowerShell(&'a Engine),
}

impl Interpreter<'_> {
    /// What it needs for itself.
    fn variables(&self) -> Vec<(String, String)> {
        match self {
            Interpreter::Shell => Vec::new(),
            Interpreter::PowerShell(engine) => engine.variables().to_vec(),
        }
    }
}

/// A rendered script and what it finds around it.
pub(super) struct Script<'a> {
    /// Where it is written.
    pub(super) folder: &'a Path,
    /// What it says.
    pub(super) text: &'a str,
    /// What runs it.
    pub(super) interpreter: Interpreter<'a>,
    /// All that is in its environment.
    pub(super) variables: &'a [(String, String)],
}

/// What can end a running script from outside: each is remembered until the script runs.
#[derive(Default)]
pub struct Signals {
    /// The time-out has come: SIGKILL to the process group.
    pub time_out: Notify,
    /// The agent itself is stopped: SIGTERM to the process group.
    pub terminate: Notify,
}

/// How a process ended; no code means that it was killed at the time-out.
pub(super) struct End {
    pub(super) exit_code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl End {
    pub(super) fn killed() -> End {
        End { exit_code: None, stdout: Vec::new(), stderr: Vec::new() }
    }
}

impl Script<'_> {
    /// Writes the script, runs it, and keeps its output.
    pub(super) async fn run(&self, limit: Duration, signals: &Signals) -> io::Result<End> {
        fs::create_dir_all(self.folder)?;
        let path = self.write()?;
        let mut end = self.run_process(&path, limit, signals).await?;
        // A process that another thread is just starting may still hold the script open for writing (ETXTBSY).
        while end.exit_code == Some(126) && String::from_utf8_lossy(&end.stderr).contains("Text file busy") {
            end = self.run_process(&path, limit, signals).await?;
        }
        fs::write(self.folder.join("stdout"), &end.stdout)?;
        fs::write(self.folder.join("stderr"), &end.stderr)?;
        Ok(end)
    }

    fn write(&self) -> io::Result<PathBuf> {
        let (name, text) = match self.interpreter {
            Interpreter::Shell => ("_script.sh", self.text.to_owned()),
            Interpreter::PowerShell(engine) => {
                ("_script.ps1", format!("\u{feff}{}", engine.with_replacements(self.text)))
            }
        };
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(path)
    }

    fn command(&self, path: &Path) -> Command {
        match self.interpreter {
            Interpreter::Shell => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(path);
                command
            }
            Interpreter::PowerShell(engine) => {
                let mut command = Command::new(engine.program());
                command.args(Engine::SWITCHES).arg(path);
                command
            }
        }
    }

    async fn run_process(&self, path: &Path, limit: Duration, signals: &Signals) -> io::Result<End> {
        let mut child = self
            .command(path)
            .current_dir(self.folder)
            .env_clear()
            .envs(self.interpreter.variables())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id();
        let running = finish(&mut child);
        tokio::pin!(running);
        let time_out = tokio::time::sleep_until(tokio::time::Instant::now() + limit);
        tokio::pin!(time_out);
        loop {
            tokio::select! {
                end = &mut running => return end,
                () = signals.terminate.notified() => signal_group("TERM", group).await?,
                () = signals.time_out.notified() => break,
                () = &mut time_out => break,
            }
        }
        signal_group("KILL", group).await?;
        running.await?;
        Ok(End::killed())
    }
}

async fn finish(child: &mut Child) -> io::Result<End> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (status, stdout, stderr) = tokio::join!(child.wait(), read_all(stdout), read_all(stderr));
    // A process that died of a signal has no code; the shell would say 128 and the signal.
    Ok(End { exit_code: Some(status?.code().unwrap_or(KILLED)), stdout: stdout?, stderr: stderr? })
}

async fn read_all(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut output).await?;
    }
    Ok(output)
}

/// Signals the script and whatever it started; bash's builtin does it without another tool.
async fn signal_group(signal: &str, group: Option<u32>) -> io::Result<()> {
    if let Some(group) = group {
        let kill = format!("kill -{signal} -- -{group}");
        Command::new("bash").args(["-c", &kill]).stderr(Stdio::null()).status().await?;
    }
    Ok(())
}
