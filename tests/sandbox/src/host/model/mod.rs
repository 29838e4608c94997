//! A model of the two scripts for Linux, for those who need hosts by the thousand and no bash: the simulation.
//!
//! It is a second telling of `host/linux.sh`, `apply.sh` and `inspect.sh`, function by function, in their order and
//! under their names. Everything outside the script stays what it is: the model starts the same stand-ins with the same
//! arguments, so that statements, rights, messages, faults, S3 and Secrets Manager are one and the same. Where the two
//! tellings differ, the model is wrong: `tests/situations` plays every row of Linux on both, and compares what they
//! say, which calls they make and what they leave.
//!
//! What a process has and the model has not: other tools of the host than those that the script itself asks for, files'
//! permissions, and bash's own reading of JSON (here it is serde_json's). A Windows host has no model.
//!
//! Between any two calls simulated time may pass ([`super::HostSetUp::step_time`]): labels move, another command comes,
//! the host reboots. Whoever drops a run there leaves the host as one that died: what was done is done, the lock is
//! free, and nobody answers.

mod answer;
mod apply;
mod asked;
mod inspect;
mod instances;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rotation::host_answer::HostError;

use super::disk::HeldLock;
use super::protocol::{Call, Reply};
use super::script::End;
use super::service::Interruption;
use super::{Host, endpoint};
use asked::Asked;
use instances::Credentials;
use target::AccessKey;

const SUCCEEDED: i32 = 0;
const INSTANCE_FAILED: i32 = 1;
const HOST_FAILED: i32 = 2;
const NOT_VISIBLE_YET: i32 = 3;

/// A log that is longer is put aside when the next command begins.
const LOG_LIMIT_BYTES: usize = 262_144;
/// How often a command that waits for the target or for another backup of model looks again.
const LOOKS_AGAIN: Duration = Duration::from_secs(1);
/// How soon a command notices that the lock is free.
const LOCK_LOOKS_AGAIN: Duration = Duration::from_millis(100);

/// Which document's script is played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Document {
    Apply,
    Inspect,
}

/// Why a function of the script does not come to its end.
enum Halt {
    /// The instance failed, which is recorded; the next one is looked at.
    Instance,
    /// The script answered and exited.
    Exited(i32),
    /// The agent was stopped, and signals the script.
    Stopped,
    /// The script was killed at its time-out.
    Killed,
}

/// What sqlcmd printed, where it succeeded and where it did not.
type Sql = Result<String, String>;

/// Plays one step of a document on a Linux host, for no longer than `limit`; the error says that no model knows it.
pub(super) async fn play(
    host: &Arc<Host>,
    step: &str,
    parameters: &BTreeMap<String, String>,
    limit: Duration,
) -> Result<End, String> {
    let document = match step {
        "applyOnLinux" => Document::Apply,
        "inspectOnLinux" => Document::Inspect,
        other => return Err(format!("no model knows {other}: let the host run the script")),
    };
    let mut run = Run::new(host, document, parameters, limit);
    let ended = match run.main().await {
        Err(Halt::Stopped) => run.fail_host(HostError::Interrupted, "stopped by a signal"),
        Err(ended) => ended,
        Ok(()) => run.answer_and_exit(),
    };
    Ok(match ended {
        Halt::Exited(code) => run.end(code),
        Halt::Killed | Halt::Stopped | Halt::Instance => End::killed(),
    })
}

/// The script's variables.
struct Run {
    host: Arc<Host>,
    document: Document,
    asked: Asked,
    /// When the agent kills the script.
    deadline: Timestamp,
    /// Whether the host had an `sqlservr` when the command began.
    has_sql_server: bool,
    lock: Option<HeldLock>,
    log_is_open: bool,
    marker: BTreeMap<String, String>,
    version: String,
    found: String,
    target_value: String,
    key: AccessKey,
    administrator: String,
    administrator_password: String,
    touched: bool,
    proved: u32,
    nothing_to_hold: u32,
    failed: u32,
    failures: Vec<String>,
    blocking: Vec<String>,
    changed: BTreeSet<String>,
    signed_call: String,
    instances: u32,
    seen: Vec<String>,
    credentials: Credentials,
    /// The modify dates that our credentials had when the instance was last looked at, or altered by us.
    seen_dates: BTreeMap<String, String>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn new(host: &Arc<Host>, document: Document, parameters: &BTreeMap<String, String>, limit: Duration) -> Run {
        let now = host.clock.now();
        let has_sql_server = {
            let mut state = host.lock();
            let is_full = state.faults.disk_full;
            state.disk.set_full(is_full);
            state.sql_servers.contains_key(&endpoint("localhost"))
        };
        Run {
            host: Arc::clone(host),
            document,
            asked: Asked::read(parameters),
            deadline: now.saturating_add(limit).unwrap_or(Timestamp::MAX),
            has_sql_server,
            lock: None,
            log_is_open: false,
            marker: BTreeMap::new(),
            version: String::new(),
            found: String::new(),
            target_value: String::new(),
            key: AccessKey::default(),
            administrator: String::new(),
            administrator_password: String::new(),
            touched: false,
            proved: 0,
            nothing_to_hold: 0,
            failed: 0,
            failures: Vec::new(),
            blocking: Vec::new(),
            changed: BTreeSet::new(),
            signed_call: String::new(),
            instances: 0,
            seen: Vec::new(),
            credentials: Credentials::default(),
            seen_dates: BTreeMap::new(),
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    async fn main(&mut self) -> Result<(), Halt> {
        self.check_parameters()?;
        self.check_tools()?;
        self.open_state_directory();
        self.take_lock().await?;
        match self.document {
            Document::Apply => self.apply().await,
            Document::Inspect => self.inspect().await,
        }
    }

    fn check_parameters(&mut self) -> Result<(), Halt> {
        let refused = self.asked.check(&self.host.instance_id, self.document);
        refused.map_err(|parameter| {
            self.fail_host(HostError::InvalidParameter, &format!("the parameter {parameter} is missing or malformed"))
        })
    }

    fn check_tools(&mut self) -> Result<(), Halt> {
        let missing = self.host.lock().faults.missing_tools.clone();
        match ["aws", "sqlcmd", "flock"].into_iter().find(|tool| missing.iter().any(|missing| missing == tool)) {
            Some(tool) => Err(self.fail_host(HostError::ToolMissing, &format!("{tool} is not installed"))),
            None => Ok(()),
        }
    }

    // ---- What the host keeps: lock, log, marker ----

    fn file(&self, extension: &str) -> String {
        format!("{}.{extension}", self.asked.rotation)
    }

    /// A file's name as the script spells it on a real host.
    fn path(&self, extension: &str) -> String {
        format!("/var/lib/credential-rotation/{}", self.file(extension))
    }

    fn open_state_directory(&mut self) {
        self.log_is_open = true;
        let log = self.file("log");
        let disk = &mut self.host.lock().disk;
        if disk.length(&log) > LOG_LIMIT_BYTES {
            disk.rename(&log, &format!("{log}.1"));
        }
    }

    async fn take_lock(&mut self) -> Result<(), Halt> {
        let patience = self.patience();
        loop {
            // In memory nothing can fail to be opened.
            self.lock = self.host.hold_lock(&self.asked.rotation).ok().flatten();
            if self.lock.is_some() {
                return Ok(());
            }
            if self.host.clock.now() >= patience {
                let seconds = self.host.patience_seconds;
                let why = format!("another command held the lock for {seconds} s");
                return Err(self.fail_host(HostError::LockTimeout, &why));
            }
            self.sleep(LOCK_LOOKS_AGAIN).await?;
        }
    }

    /// Until when a command that begins to wait now goes on waiting.
    fn patience(&self) -> Timestamp {
        let patience = SignedDuration::from_secs(self.host.patience_seconds.into());
        self.host.clock.now().saturating_add(patience).unwrap_or(Timestamp::MAX)
    }

    fn read_marker(&mut self) {
        let text = self.host.lock().disk.read(&self.file("marker"));
        // What follows the last newline is half a line, and bash's read drops it.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let (endpoint, rest) = word(line);
            let (held, rest) = word(rest);
            if !asked::is_version(held) || !is_listed(endpoint, &self.asked.endpoints) {
                continue;
            }
            self.marker.insert(endpoint.to_owned(), format!("{held} {rest}"));
            if self.found.is_empty() || held != self.asked.hint {
                self.found = held.to_owned();
            }
        }
    }

    /// The version that the instance's line of the marker names, where the credentials have the dates of then.
    fn believed_version(&self, endpoint: &str) -> String {
        let line = self.marker.get(endpoint).map(String::as_str).unwrap_or_default();
        let (held, rest) = word(line);
        let (_, dates) = word(rest);
        if dates == self.credentials.modify_dates { held.to_owned() } else { String::new() }
    }

    // ---- The seam ----

    /// Starts a tool. Before it does, time passes, and with it anything may happen.
    async fn call(&mut self, call: Call) -> Result<Reply, Halt> {
        self.sleep(self.host.step_time).await?;
        match self.host.interruption(&call) {
            None => Ok(self.host.answer(call)),
            Some(Interruption::Stopped) => Err(Halt::Stopped),
            Some(Interruption::TimeOut) => self.sleep(Duration::MAX).await.and(Err(Halt::Killed)),
        }
    }

    async fn sleep(&self, duration: Duration) -> Result<(), Halt> {
        if duration.is_zero() {
            return Ok(());
        }
        let left = self.deadline.duration_since(self.host.clock.now());
        let left = Duration::try_from(left).unwrap_or_default();
        self.host.clock.sleep(duration.min(left)).await;
        if duration < left { Ok(()) } else { Err(Halt::Killed) }
    }
}

/// A line's first word and what follows it, as bash's read takes them apart.
fn word(line: &str) -> (&str, &str) {
    let is_blank = |character| character == ' ' || character == '\t';
    let line = line.trim_matches(is_blank);
    let (first, rest) = line.split_once(is_blank).unwrap_or((line, ""));
    (first, rest.trim_start_matches(is_blank))
}

/// Whether a name is among others, without case.
fn is_listed(name: &str, listed: &[String]) -> bool {
    listed.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
