//! A whole world to rotate in: the cloud, its hosts, the real function binaries, the real state machine, the auditor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use rotation::Settings;
use rotation::settings::Credential;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::application::{Application, Subscription};
use crate::auditor::{Auditor, Rules};
use crate::clock::Clock;
use crate::cloud::{Caller, Cloud, InstanceState, KeyStatus, Service, Visibility, role_of_function, serve};
use crate::fleet_file::placeholders::Unfilled;
use crate::fleet_file::{ApplicationEntry, FleetFile, FleetFileError, SecondKey, StartValue};
use crate::functions_folder::{FUNCTIONS, functions_folder, functions_for, token_of};
use crate::host::fleet::Fleet;
use crate::host::windows::NoEngine;
use crate::host::{Runs, SqlServer, document};
use crate::integrations;
use crate::machine::{Definition, Execution, Machine, Observer, TaskFailure, Tasks, substitute};
use crate::report::Unwritten;
use crate::runtime_api::{FunctionConfig, LOG_STREAM, Lambda, log_group};
use crate::settings_file::{self, SettingsError};

mod acts;
mod backups;
mod deployment;
mod evidence;
mod hosts;
mod images;
mod keys;
mod logins;

pub use backups::FailedBackup;
use deployment::{define, definition};
use hosts::Origin;
pub(crate) use images::{Image, Images};

/// The login by which the hosts' SQL Server is administered, and the name of the secret that holds it.
const ADMINISTRATOR: &str = "credential-rotation";
const ADMINISTRATOR_SECRET: &str = "sql-administrator";
/// The function that asks what the others' roles may do.
const PLANNER: &str = "plan-rotation";

/// Everything, and who watches it.
pub struct World {
    /// Simulated time.
    pub clock: Clock,
    /// AWS.
    pub cloud: Arc<Cloud>,
    /// The hosts.
    pub fleet: Arc<Fleet>,
    /// The functions.
    pub lambda: Arc<Lambda>,
    /// The state machine.
    pub machine: Arc<Machine>,
    /// Who checks the guarantees at every event.
    pub auditor: Arc<Auditor>,
    /// Who reads the secret and logs in, where the fleet file has an application.
    pub application: Option<Arc<Application>>,
    /// The settings.
    pub settings: Settings,
    /// The settings as the definition carries them: every default filled in.
    completed_settings: Value,
    failed_backups: Mutex<Vec<FailedBackup>>,
    started: AtomicU32,
    /// The key that the hosts held at the start, and old images hold for ever; it is never shown.
    first_key: (String, String),
    /// The hosts' disks as they were.
    pub(crate) images: Images,
    /// What runs on hosts that are launched later.
    runs: Runs,
    folder: PathBuf,
}

/// Why a world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The fleet file.
    #[error(transparent)]
    FleetFile(#[from] FleetFileError),
    /// The functions' binaries.
    #[error("{0}")]
    Functions(String),
    /// The definition.
    #[error("statemachine/rotation.asl.json: {0}")]
    Definition(String),
    /// The document.
    #[error("the document cannot be built: {0}")]
    Document(String),
    /// A Windows host, and nothing that runs its script.
    #[error("host {host}: {source}")]
    Engine {
        /// Which host.
        host: String,
        /// Why.
        source: NoEngine,
    },
    /// An application, and settings that rotate nothing that it could read.
    #[error("the fleet file has an application: {0}")]
    Application(String),
    /// A placeholder in a run's input.
    #[error("the input {input}: {source}")]
    Placeholder {
        /// The input.
        input: Value,
        /// Why not.
        source: Unfilled,
    },
    /// The report.
    #[error(transparent)]
    Report(#[from] Unwritten),
    /// The port that it was to be served on.
    #[error("port {port} of 127.0.0.1: {cause}; choose another with --port, or 0 for any")]
    Port {
        /// Which port.
        port: u16,
        /// Why not.
        cause: std::io::Error,
    },
    /// The machine that all this runs on.
    #[error("this machine refused: {0}")]
    Machine(#[from] std::io::Error),
}

/// The repository's own files.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl World {
    /// Makes a world from a fleet file and settings, with the functions' binaries; `observer` sees every event of every
    /// execution.
    ///
    /// # Errors
    /// Says which part could not be made, and why.
    pub async fn new(file: &FleetFile, settings: Value, observer: Observer) -> Result<World, WorldError> {
        let stage = Stage::set(file, settings, Runs::Script)?;
        let lambda = deploy_functions(&stage.cloud, file).await?;
        let tasks = Resources { lambda: Arc::clone(&lambda), cloud: Arc::clone(&stage.cloud) };
        stage.open(lambda, Arc::new(tasks), observer)
    }

    /// The same world with other functions behind the state machine, and hosts that are models: what a simulation of
    /// thousands of histories is made of.
    ///
    /// # Errors
    /// Says which part could not be made, and why.
    pub fn of_models(
        file: &FleetFile,
        settings: Value,
        functions: impl FnOnce(&Arc<Cloud>) -> Arc<dyn Tasks>,
        observer: Observer,
    ) -> Result<World, WorldError> {
        let stage = Stage::set(file, settings, Runs::Model)?;
        let lambda = Arc::new(Lambda::new(&file.account, &file.region));
        let tasks = functions(&stage.cloud);
        stage.open(lambda, tasks, observer)
    }

    /// Starts an execution and waits for its end.
    pub async fn run(&mut self, input: Value) -> Execution {
        let name = format!("execution-{}", self.started.fetch_add(1, Ordering::Relaxed) + 1);
        self.start(&name, input).await
    }

    /// An execution under a name that no other has; it begins when it is first waited for, and may go on beside others.
    pub fn start(&self, name: &str, input: Value) -> impl Future<Output = Execution> + Send + use<> {
        let (machine, cloud, auditor) = (Arc::clone(&self.machine), Arc::clone(&self.cloud), Arc::clone(&self.auditor));
        let name = name.to_owned();
        async move {
            auditor.hear(&input);
            let arn = format!("{}:{name}", machine.arn().replacen(":stateMachine:", ":execution:", 1));
            cloud.set_execution_status(&arn, "RUNNING");
            #[allow(clippy::expect_used, reason = "whoever starts it names it, and no two alike")]
            let execution = machine.start(&name, input).await.expect("a fresh name is free");
            cloud.set_execution_status(&arn, &execution.status.to_string());
            execution
        }
    }

    /// Lets days pass. Every night every running host backs up with the key that it holds.
    pub async fn pass_days(&mut self, days: u32) {
        self.let_days_pass(days).await;
    }

    /// The same while others use the world as well.
    pub(crate) async fn let_days_pass(&self, days: u32) {
        for _ in 0..days {
            self.clock.sleep(Duration::from_secs(24 * 3600)).await;
            let failed = backups::back_up_every_host(&self.cloud, &self.fleet, &self.settings, self.clock.now());
            self.failed_backups.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
        }
    }

    /// Every execution so far, in the order of their starts.
    pub fn executions(&self) -> Vec<Execution> {
        self.machine.executions()
    }

    /// Backups of the nights that failed.
    pub fn failed_backups(&self) -> Vec<FailedBackup> {
        self.failed_backups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Deploys other settings: executions that run go on by those that they began with.
    ///
    /// # Errors
    /// Says what is wrong with the settings.
    pub fn deploy_settings(&mut self, settings: Value) -> Result<(), WorldError> {
        let administrator = self.settings.sql_server.administrator_secret.clone().unwrap_or_default();
        let (completed, settings) = deployment::check(with_administrator(settings, &administrator))?;
        let (text, definition) = define(&completed, &settings, &self.lambda)?;
        self.machine = Arc::new(self.machine.updated(definition, text));
        self.cloud.deploy_state_machine(&self.machine);
        let arn =
            self.cloud.secret(&settings.secret.id).map_or_else(|| settings.secret.id.clone(), |secret| secret.arn);
        self.auditor.follow(Rules::new(&settings, &arn));
        (self.completed_settings, self.settings) = (completed, settings);
        Ok(())
    }

    /// The definition with other functions behind it: `arn_of` gives a function's ARN.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub fn definition(&self, arn_of: impl Fn(&str) -> String) -> Result<String, WorldError> {
        definition(&self.completed_settings, &self.settings, arn_of)
    }

    /// Ends the functions' processes, so that their last log lines are certain.
    pub async fn shut_down(&self) {
        self.lambda.shut_down().await;
    }
}

/// A world without functions: AWS as it is at the start, the hosts, their disks.
struct Stage {
    clock: Clock,
    cloud: Arc<Cloud>,
    fleet: Arc<Fleet>,
    settings: Settings,
    completed_settings: Value,
    first_key: (String, String),
    images: Images,
    runs: Runs,
    application: Option<ApplicationEntry>,
    folder: PathBuf,
}

impl Stage {
    fn set(file: &FleetFile, settings: Value, runs: Runs) -> Result<Stage, WorldError> {
        let clock = Clock::starting_at(file.starts_at);
        let cloud = Cloud::new(clock.clone(), &file.account, &file.region);
        let administrator = cloud.add_secret(ADMINISTRATOR_SECRET, Some(&administrator_value()));
        let settings = with_administrator(settings, &administrator);
        let (completed_settings, settings) = deployment::check(settings)?;
        set_up_aws(&cloud, file, &settings)?;
        let folder = keys::temporary_folder()?;
        let fleet = Fleet::attach(&cloud, &folder);
        let first_key = match &settings.credential {
            Credential::AccessKey(key) => keys::set_up(&cloud, file, &settings, &key.user),
            Credential::Login(login) => logins::set_up(&cloud, &settings, login),
        };
        let long_ago = file.starts_at.checked_sub(SignedDuration::from_hours(24 * 100)).ok();
        let origin = Origin { account: &file.account, settings: &settings, key: &first_key, launched: long_ago, runs };
        for host in &file.hosts {
            origin.add(&cloud, &fleet, host)?;
        }
        let images = Images::of(&fleet);
        let application = file.application;
        Ok(Stage { clock, cloud, fleet, settings, completed_settings, first_key, images, runs, application, folder })
    }

    /// The world, once functions stand behind the state machine.
    fn open(self, lambda: Arc<Lambda>, tasks: Arc<dyn Tasks>, observer: Observer) -> Result<World, WorldError> {
        let Stage { clock, cloud, fleet, settings, completed_settings, first_key, images, runs, application, folder } =
            self;
        let (text, definition) = define(&completed_settings, &settings, &lambda)?;
        let (account, region) = cloud.home();
        let arn = format!("arn:aws:states:{region}:{account}:stateMachine:credential-rotation-{}", settings.rotation);
        let machine = Machine::new(definition, clock.clone(), tasks).with_arn(&arn).with_text(text).observed(observer);
        let machine = Arc::new(machine);
        cloud.deploy_state_machine(&machine);
        let arn = cloud.secret(&settings.secret.id).map_or_else(|| settings.secret.id.clone(), |secret| secret.arn);
        let auditor = Auditor::watch(&cloud, &fleet, Rules::new(&settings, &arn));
        let application =
            application.map(|entry| start_application(entry, &arn, (&cloud, &fleet), &settings)).transpose()?;
        let (failed_backups, started) = (Mutex::default(), AtomicU32::new(0));
        Ok(World {
            clock,
            cloud,
            fleet,
            lambda,
            machine,
            auditor,
            application,
            settings,
            completed_settings,
            failed_backups,
            started,
            first_key,
            images,
            runs,
            folder,
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Left behind, a folder costs only space.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn start_application(
    entry: ApplicationEntry,
    secret_arn: &str,
    (cloud, fleet): (&Arc<Cloud>, &Arc<Fleet>),
    settings: &Settings,
) -> Result<Arc<Application>, WorldError> {
    let logins = settings.login().map_err(|error| WorldError::Application(error.to_string()))?.names.clone();
    let refresh = Duration::from_secs(entry.refresh_seconds.get().into());
    let subscription = Subscription { secret_arn: secret_arn.to_owned(), refresh, logins };
    Ok(Application::start(cloud, fleet, subscription))
}

fn administrator_value() -> String {
    json!({ "username": ADMINISTRATOR, "password": keys::secret_text("administrator") }).to_string()
}

/// Linux hosts need an administrator's secret; a fleet file cannot know its ARN.
fn with_administrator(mut settings: Value, arn: &str) -> Value {
    if let Some(members) = settings.as_object_mut() {
        let sql_server = members.entry("sqlServer").or_insert_with(|| json!({}));
        if let Some(sql_server) = sql_server.as_object_mut() {
            sql_server.entry("administratorSecret").or_insert_with(|| json!(arn));
        }
    }
    settings
}

fn set_up_aws(cloud: &Cloud, file: &FleetFile, settings: &Settings) -> Result<(), WorldError> {
    if file.late_visibility {
        cloud.set_visibility(Visibility::usual());
    }
    if let Credential::AccessKey(key) = &settings.credential {
        cloud.add_user(&key.user);
    }
    if let Some(topic) = settings.topic.rsplit(':').next() {
        cloud.add_topic(topic);
    }
    for url in settings.credentials().iter().chain(settings.foreign_credentials()) {
        if let Some(url) = crate::host::s3_url::S3Url::parse(&format!("{url}/probe")) {
            cloud.add_bucket(url.region.as_deref().unwrap_or(&file.region), &url.bucket);
        }
    }
    for (name, built) in deployment::documents()? {
        for place in settings.places() {
            // The sandbox's own documents under their own names; settings that name another one do not find it.
            cloud.add_document(&place.account, &place.region, name, built.clone());
        }
    }
    for place in settings.places() {
        place.role.iter().for_each(|role| cloud.add_role(role));
    }
    Ok(())
}

/// Starts the services on loopback and tells each function where they are, as Lambda tells it its region and role.
async fn deploy_functions(cloud: &Arc<Cloud>, file: &FleetFile) -> Result<Arc<Lambda>, WorldError> {
    let folder = functions_folder().map_err(WorldError::Functions)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    tokio::spawn(serve::serve(Arc::clone(cloud), listener));
    let lambda = Lambda::new(&file.account, &file.region);
    let logs = Arc::downgrade(cloud);
    lambda.observe_lines(Arc::new(move |line| {
        if let Some(cloud) = logs.upgrade() {
            let (account, region) = cloud.home();
            cloud.put_log_event((&account, &region), &log_group(&line.function), LOG_STREAM, &line.text);
        }
    }));
    for function in FUNCTIONS {
        let credentials = cloud.credentials_for(Caller::function(function, &file.account));
        let mut environment = BTreeMap::from([
            ("AWS_REGION".to_owned(), file.region.clone()),
            ("AWS_ACCESS_KEY_ID".to_owned(), credentials.access_key_id),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), credentials.secret_access_key),
            ("AWS_SESSION_TOKEN".to_owned(), credentials.session_token),
            ("AWS_ENDPOINT_URL".to_owned(), endpoint.clone()),
        ]);
        if function == PLANNER {
            environment.insert("FUNCTION_ROLES".to_owned(), function_roles(&file.account));
        }
        let binary = folder.join(function);
        lambda.add_function(function, FunctionConfig { binary, environment, timeout: Duration::from_secs(60) });
    }
    Ok(Arc::new(lambda))
}

/// Every function's role, by its name: what a plan has IAM simulate.
fn function_roles(account: &str) -> String {
    let roles = FUNCTIONS.map(|function| (function, role_of_function(account, function)));
    json!(BTreeMap::from(roles)).to_string()
}

/// What the machine's Tasks call: functions, and AWS through the service integrations.
struct Resources {
    lambda: Arc<Lambda>,
    cloud: Arc<Cloud>,
}

impl Tasks for Resources {
    fn invoke(
        &self,
        resource: &str,
        payload: Value,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Value, TaskFailure>> + Send + '_>> {
        let resource = resource.to_owned();
        Box::pin(async move {
            match integrations::call(&self.cloud, &resource, &payload) {
                Some(answer) => answer,
                None => self.lambda.invoke(&resource, payload).await,
            }
        })
    }
}
