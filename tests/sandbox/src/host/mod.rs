//! Hosts that really run the document's script: a SQL Server host is a folder, a few instances and an SSM agent.
//!
//! The script is the real one, under bash or PowerShell, with `sqlcmd` and the AWS CLI replaced by a stand-in that asks
//! this module. What an instance holds is kept in [`SqlServer`]; what it backs up is signed with the key that it holds.
//!
//! Read in this order: [`document`] (how a document is built), [`agent`] (how SSM runs it), [`sql_server`] and [`tsql`]
//! (what an instance does), [`sqlcmd`] and [`aws_cli`] (the tools), [`windows`] (what a Windows host has besides),
//! [`fleet`] (all hosts of a cloud), [`model`] (a host without bash, for those who need thousands). Every situation of a
//! host, with both scripts and the model: `tests/situations`.

#![allow(clippy::expect_used, reason = "a poisoned mutex means that a test has failed already")]

pub mod agent;
pub mod aws_cli;
mod disk;
pub mod document;
pub mod event;
pub mod fleet;
mod furnish;
mod model;
pub mod protocol;
pub mod s3_url;
mod script;
mod service;
pub mod sql_server;
pub mod sqlcmd;
pub mod tds;
pub mod tsql;
pub mod windows;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;

pub use agent::{Agent, Platform, StepResult, StepStatus};
pub use disk::HeldLock;
pub use event::{HeldKey, HostEvent, HostHappening};
pub use furnish::is_tool;
pub use sql_server::{
    AvailabilityGroup, BackupObject, Connection, Credential, Database, DatabaseUser, Login, OpenSession,
    PasswordPolicy, Permission, Principal, Role, Sid, SqlMessage, SqlServer, SqlServerFaults,
};

use crate::clock::Clock;
use script::Signals;
use windows::Engine;

/// A test must end, even where a script does not. Every script ends by itself in a fraction of this.
const REAL_TIME_LIMIT: Duration = Duration::from_secs(300);

/// The part of AWS that a host itself calls.
pub trait HostCloud: Send + Sync {
    /// GetSecretValue with the instance's role.
    ///
    /// # Errors
    /// The service's error.
    fn secret_value(&self, instance_id: &str, region: &str, input: Value) -> Result<Value, CloudError>;

    /// GetCallerIdentity, signed with a user's key.
    ///
    /// # Errors
    /// The service's error.
    fn caller_identity(&self, region: &str, access_key_id: &str, secret: &str) -> Result<Value, CloudError>;

    /// PutObject, signed with the key that a credential holds.
    ///
    /// # Errors
    /// S3's error.
    fn put_object(&self, object: BackupObject<'_>) -> Result<(), CloudError>;
}

/// An error of a service, as a tool on a host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudError {
    /// The code.
    pub code: String,
    /// The message.
    pub message: String,
}

impl CloudError {
    /// An error with a code and a message.
    pub fn new(code: &str, message: &str) -> CloudError {
        CloudError { code: code.to_owned(), message: message.to_owned() }
    }
}

/// What plays a host's part when a command comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runs {
    /// The document's real script, as a process.
    #[default]
    Script,
    /// The model of it: no process, no socket and no file is made, and thousands of commands take a second. Linux only.
    Model,
}

/// A tool's call of a model's: a second or so in all for a command, as on a real host, and time for others to come in
/// between.
const MODEL_STEP_TIME: Duration = Duration::from_millis(100);
/// The script's own patience, which a model can afford: it waits in simulated time.
const MODEL_PATIENCE_SECONDS: u32 = 30;

impl Runs {
    /// A host that is played so, and has nothing yet.
    pub fn set_up(self) -> HostSetUp {
        match self {
            Runs::Script => HostSetUp::default(),
            Runs::Model => HostSetUp {
                runs: self,
                patience_seconds: MODEL_PATIENCE_SECONDS,
                step_time: MODEL_STEP_TIME,
                ..HostSetUp::default()
            },
        }
    }
}

/// What a host is made of.
#[derive(Clone, Debug, Default)]
pub struct HostSetUp {
    /// The EC2 instance.
    pub instance_id: String,
    /// Its region.
    pub region: String,
    /// Its operating system.
    pub platform: Platform,
    /// What plays its part.
    pub runs: Runs,
    /// Its SSM agent.
    pub agent: Agent,
    /// Its SQL Server instances by endpoint, `host` or `host,port`.
    pub sql_servers: Vec<(String, SqlServer)>,
    /// How many real seconds its script waits for the lock, for the hinted version and for another backup of model.
    /// Simulated time stands still meanwhile, so that it would mostly wait in vain: none is the default.
    /// A model waits in simulated time.
    pub patience_seconds: u32,
    /// The simulated time that passes before each call that a model makes; the script takes none.
    pub step_time: Duration,
    /// What goes wrong.
    pub faults: HostFaults,
}

/// What goes wrong on a host as a whole; what goes wrong on one instance is [`SqlServerFaults`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFaults {
    /// Simulated time that every script takes.
    pub slow: Duration,
    /// Said with exit code 0 in place of running the script.
    pub lie: Option<String>,
    /// Nothing can be written to the state directory.
    pub disk_full: bool,
    /// Programs that are not installed.
    pub missing_tools: Vec<String>,
    /// Statements that begin so never come back, as a hanging backup does; the script dies at its time-out.
    pub hanging_statement: Option<String>,
    /// While a statement that begins so runs, the agent is stopped, and the script with it (SIGTERM).
    pub stopped_during: Option<String>,
}

/// A command that SSM hands to a host.
#[derive(Clone, Debug)]
pub struct HostCommand {
    /// The command.
    pub command_id: String,
    /// The document's content.
    pub document: Value,
    /// The parameters as given.
    pub parameters: BTreeMap<String, String>,
}

/// One start of a stand-in, kept so that a test can look for secrets where other users of a host can see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The program.
    pub program: String,
    /// Its arguments, which anyone on the host can read.
    pub arguments: Vec<String>,
    /// The names of its variables.
    pub environment_names: Vec<String>,
}

/// One host.
pub struct Host {
    instance_id: String,
    region: String,
    platform: Platform,
    runs: Runs,
    agent: Agent,
    engine: Option<Engine>,
    patience_seconds: u32,
    step_time: Duration,
    root: PathBuf,
    clock: Clock,
    cloud: Arc<dyn HostCloud>,
    state: Mutex<HostState>,
    /// Held while a statement runs.
    statements: Mutex<()>,
}

#[derive(Default)]
struct HostState {
    sql_servers: BTreeMap<Endpoint, SqlServer>,
    faults: HostFaults,
    processes: Vec<Process>,
    batches: Vec<String>,
    disk: disk::Disk,
    observers: Vec<event::HostObserver>,
}

/// A host name in lower case and a port.
type Endpoint = (String, u16);

impl Host {
    /// Makes a host in a folder of its own below `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(set_up: HostSetUp, clock: Clock, cloud: Arc<dyn HostCloud>, folder: &Path) -> io::Result<Arc<Host>> {
        let root = folder.join(&set_up.instance_id);
        if set_up.runs == Runs::Script {
            for part in ["bin", "state", "orchestration"] {
                fs::create_dir_all(root.join(part))?;
            }
            fs::set_permissions(root.join("state"), fs::Permissions::from_mode(0o700))?;
        }
        let sql_servers = set_up.sql_servers.into_iter().map(|(name, server)| (endpoint(&name), server)).collect();
        let state = HostState { sql_servers, faults: set_up.faults, ..HostState::default() };
        Ok(Arc::new(Host {
            instance_id: set_up.instance_id,
            region: set_up.region,
            platform: set_up.platform,
            runs: set_up.runs,
            agent: set_up.agent,
            engine: Some(set_up.platform)
                .filter(|on| *on == Platform::Windows)
                .and_then(|_| Engine::from_environment().ok()),
            patience_seconds: set_up.patience_seconds,
            step_time: set_up.step_time,
            root,
            clock,
            cloud,
            state: Mutex::new(state),
            statements: Mutex::default(),
        }))
    }

    /// The EC2 instance's id.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// Its operating system.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// What plays its part.
    pub fn runs(&self) -> Runs {
        self.runs
    }

    /// The host's folder: its state directory, and what the agent left on the disk. A model has none.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs a command as the agent does.
    pub async fn run(self: &Arc<Host>, command: &HostCommand) -> Vec<StepResult> {
        self.tell(HostHappening::CommandStarted { command_id: command.command_id.clone() });
        let lie = self.lock().faults.lie.clone();
        let results = match lie {
            Some(lie) => vec![lying(command, self.platform, lie)],
            None => {
                let broken = |error| vec![broken(command, self.platform, &error)];
                self.run_document(command).await.unwrap_or_else(broken)
            }
        };
        let succeeded = agent::succeeded(&results);
        self.tell(HostHappening::CommandEnded { command_id: command.command_id.clone(), succeeded });
        results
    }

    async fn run_document(self: &Arc<Host>, command: &HostCommand) -> io::Result<Vec<StepResult>> {
        if self.runs == Runs::Model {
            let machine = agent::Machine { model: Some(Arc::clone(self)), ..self.machine(command) };
            return Ok(agent::run_document(&command.document, &command.parameters, &machine).await);
        }
        self.furnish(command)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let variables = self.variables(&listener.local_addr()?.to_string());
        let machine = agent::Machine { variables, ..self.machine(command) };
        let service = tokio::spawn(service::serve(Arc::clone(self), listener, Arc::clone(&machine.signals)));
        let results = agent::run_document(&command.document, &command.parameters, &machine).await;
        service.abort();
        Ok(results)
    }

    /// Where and as what a command's document runs.
    fn machine(&self, command: &HostCommand) -> agent::Machine {
        agent::Machine {
            agent: self.agent,
            platform: self.platform,
            instance_id: self.instance_id.clone(),
            region: self.region.clone(),
            command_id: command.command_id.clone(),
            folder: self.root.join("orchestration").join(&command.command_id),
            variables: Vec::new(),
            real_time_limit: REAL_TIME_LIMIT,
            signals: Arc::new(Signals::default()),
            model: None,
            engine: self.engine.clone(),
            slow: self.lock().faults.slow,
            clock: self.clock.clone(),
        }
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut HostFaults)) {
        change(&mut self.lock().faults);
    }

    /// Looks at an instance, or changes it as a person would; `None` where nothing listens at the endpoint.
    pub fn with_sql_server<T>(&self, at: &str, work: impl FnOnce(&mut SqlServer) -> T) -> Option<T> {
        self.lock().sql_servers.get_mut(&endpoint(at)).map(work)
    }

    /// Every instance as it is now, by endpoint.
    pub fn sql_servers(&self) -> Vec<(String, SqlServer)> {
        let state = self.lock();
        state.sql_servers.iter().map(|((host, port), server)| (format!("{host},{port}"), server.clone())).collect()
    }

    fn is_slow(&self) -> bool {
        !self.lock().faults.slow.is_zero()
    }

    /// Every start of a tool so far.
    pub fn processes(&self) -> Vec<Process> {
        self.lock().processes.clone()
    }

    /// Every batch of T-SQL that reached an instance so far, in order. Some hold a secret.
    pub fn batches(&self) -> Vec<String> {
        self.lock().batches.clone()
    }

    /// Every file that the host has now, but for its tools; a model has none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        if self.runs == Runs::Model {
            return Ok(files);
        }
        let mut folders = vec![self.root.join("state"), self.root.join("orchestration")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                // Not the link to /dev/full, which never ends.
                if kind.is_dir() {
                    folders.push(entry.path())
                } else if kind.is_file() {
                    files.push(entry.path())
                }
            }
        }
        Ok(files)
    }

    fn lock(&self) -> MutexGuard<'_, HostState> {
        self.state.lock().expect("no host's holder has failed")
    }
}

/// `host` or `host,port`; 1433 is the default instance's port.
fn endpoint(name: &str) -> Endpoint {
    match name.split_once(',') {
        Some((host, port)) => (host.to_ascii_lowercase(), port.parse().unwrap_or(1433)),
        None => (name.to_ascii_lowercase(), 1433),
    }
}

/// The step of a host's platform, that never ran.
fn unrun(command: &HostCommand, platform: Platform) -> StepResult {
    let steps = command.document["mainSteps"].as_array();
    let step = steps.into_iter().flatten().find(|step| step["precondition"]["StringEquals"][1] == platform.name());
    let text = |member: &str| step.and_then(|step| step[member].as_str()).unwrap_or_default().to_owned();
    let (stdout, stderr) = (String::new(), String::new());
    let (status, exit_code) = (StepStatus::Failed, 1);
    StepResult { name: text("name"), action: text("action"), status, exit_code, stdout, stderr }
}

fn lying(command: &HostCommand, platform: Platform, lie: String) -> StepResult {
    StepResult { status: StepStatus::Success, exit_code: 0, stdout: lie, ..unrun(command, platform) }
}

fn broken(command: &HostCommand, platform: Platform, error: &io::Error) -> StepResult {
    StepResult { stderr: format!("the sandbox could not run the script: {error}"), ..unrun(command, platform) }
}
