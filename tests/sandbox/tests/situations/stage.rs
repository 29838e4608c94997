//! One host on one platform, of which a row changes what it is about.
//!
//! A row calls an instance by the name that Windows gives it. On Linux, where instances have no names, the answer calls
//! it by its endpoint; the stage knows both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, Once};

use rotation::host_answer::HostAnswer;
use sandbox::clock::Clock;
use sandbox::host::{
    Agent, Credential, Database, HeldLock, Host, HostCloud, HostCommand, HostFaults, HostHappening, HostSetUp, Login,
    Platform, Runs, SqlServer, StepResult, StepStatus, document,
};
use serde_json::Value;

use crate::cloud::{
    ADMINISTRATOR_ARN, FakeCloud, Key, NEW, NEW_KEY, NEW_PASSWORD, NEWER_PASSWORD, OLD_KEY, OLD_PASSWORD, PASSWORD,
    SECRET_ARN, Says,
};
use crate::situation::{Answer, Kind};
use crate::transcript::{Calls, Transcript};

/// What a host has before and after a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    pub credentials: Vec<(String, BTreeMap<String, Credential>)>,
    pub logins: Vec<(BTreeMap<String, Login>, BTreeMap<String, Database>)>,
    /// The state directory, but for the log, the lock and what the AWS CLI complained of.
    pub files: BTreeMap<String, Vec<u8>>,
    pub objects: Vec<String>,
    pub signed_calls: u32,
}

pub const URL: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod";
/// The default instance, on port 1433, and a named one on another port.
pub const DEFAULT: &str = "MSSQLSERVER";
pub const PROD: &str = "PROD";
pub const HOST: &str = "i-0abc";

/// A host, its cloud, and the command that it gets.
pub struct Stage {
    cloud: Arc<FakeCloud>,
    set_up: HostSetUp,
    host: Arc<Host>,
    parameters: BTreeMap<String, String>,
    apply: Value,
    inspect: Value,
    folder: PathBuf,
    commands: u32,
    said: Option<HostAnswer>,
    lock: Option<HeldLock>,
    batches: BTreeSet<String>,
    transcript: Transcript,
}

/// What a command came to.
pub struct Said {
    pub exit_code: i32,
    pub answer: HostAnswer,
    log: String,
}

/// A healthy instance that holds the old key.
pub fn sql_server(major_version: u32) -> SqlServer {
    empty_sql_server(major_version).with_credential(URL, OLD_KEY.0, OLD_KEY.1)
}

/// A healthy instance without any credential.
pub fn empty_sql_server(major_version: u32) -> SqlServer {
    SqlServer::new(major_version, "rotator", PASSWORD)
}

/// Where an instance listens; a clustered one listens at its virtual name.
pub fn endpoint_of(instance: &str) -> String {
    match instance {
        DEFAULT => "localhost".to_owned(),
        PROD => "localhost,1434".to_owned(),
        // SQL1501 is the one on port 1501.
        other => format!("localhost,{}", other.trim_start_matches("SQL")),
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Left behind, a folder costs only space.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    pub fn new(row: &str, platform: Platform, runs: Runs, kind: Kind) -> Stage {
        let name = format!("situation-{}-{}-{runs:?}-{row}", std::process::id(), platform.name());
        let folder = std::env::temp_dir().join(name);
        let set_up = HostSetUp {
            instance_id: HOST.to_owned(),
            region: "us-east-1".to_owned(),
            platform,
            runs,
            ..HostSetUp::default()
        };
        let cloud = Arc::new(FakeCloud::in_a_rotation());
        let host = host(&set_up, &cloud, &folder);
        let parameters = [
            ("rotation", "sql-backups"),
            ("secretArn", SECRET_ARN),
            ("versionId", NEW),
            ("administratorSecretArn", ADMINISTRATOR_ARN),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/documents");
        let names = match kind {
            Kind::AccessKey => document::OF_S3_CREDENTIALS,
            Kind::Login if platform == Platform::Windows => document::OF_SQL_LOGINS_ON_WINDOWS,
            Kind::Login => document::OF_SQL_LOGINS,
        };
        let [apply, inspect] = names.map(|name| document::build(&source.join(name)).unwrap());
        let mut stage = Stage {
            cloud,
            set_up,
            host,
            parameters,
            apply,
            inspect,
            folder,
            commands: 0,
            said: None,
            lock: None,
            batches: BTreeSet::new(),
            transcript: Transcript::default(),
        };
        match kind {
            Kind::AccessKey => {
                stage.set("credentials", URL);
                stage.has(&[(DEFAULT, sql_server(16))]);
            }
            Kind::Login => stage.has_a_login(),
        }
        stage
    }

    // ---- What is so ----

    pub fn platform(&self) -> Platform {
        self.set_up.platform
    }

    /// The host has these instances and no other; `endpoints` lists them.
    pub fn has(&mut self, instances: &[(&str, SqlServer)]) {
        let at = |(name, server): &(&str, SqlServer)| {
            let mut server = server.clone();
            server.installation.name.get_or_insert_with(|| (*name).to_owned());
            let cluster = server.installation.cluster.as_ref();
            (cluster.map_or_else(|| endpoint_of(name), |cluster| cluster.virtual_name.clone()), server)
        };
        let instances: Vec<_> = instances.iter().map(at).collect();
        let endpoints: Vec<&str> = instances.iter().map(|(endpoint, _)| endpoint.as_str()).collect();
        let endpoints = if endpoints.is_empty() { "localhost".to_owned() } else { endpoints.join(" ") };
        self.set("endpoints", &endpoints);
        self.rebuild(|set_up| set_up.sql_servers = instances);
    }

    /// The host with something else about it, its disk as it was.
    pub fn rebuild(&mut self, change: impl FnOnce(&mut HostSetUp)) {
        self.batches.extend(self.host.batches());
        self.set_up.sql_servers = self.host.sql_servers();
        change(&mut self.set_up);
        let files = self.host.state_files().unwrap();
        self.host = host(&self.set_up, &self.cloud, &self.folder);
        self.host.put_state_files(files).unwrap();
    }

    /// The host runs an agent that replaces parameters in the script's text.
    pub fn has_an_old_agent(&mut self) {
        self.rebuild(|set_up| set_up.agent = Agent::Old);
    }

    /// The documents let every value through, as those that a person made might.
    pub fn has_documents_without_patterns(&mut self) {
        for document in [&mut self.apply, &mut self.inspect] {
            for parameter in document["parameters"].as_object_mut().unwrap().values_mut() {
                parameter["allowedPattern"] = Value::from("");
            }
        }
    }

    /// The script waits for what it may wait for; without this it looks once.
    pub fn has_patience(&mut self) {
        self.rebuild(|set_up| set_up.patience_seconds = 20);
    }

    pub fn set(&mut self, parameter: &str, value: &str) {
        self.parameters.insert(parameter.to_owned(), value.to_owned());
    }

    /// The secret and its labels, and what S3 accepts.
    pub fn cloud(&self) -> MutexGuard<'_, Says> {
        self.cloud.says()
    }

    pub fn faults(&self, change: impl FnOnce(&mut HostFaults)) {
        self.host.set_faults(change);
    }

    /// What happens at the moment in which the first credential of the table was altered.
    pub fn once_altered(&self, happens: fn(&Host)) {
        self.once_changed(URL, happens);
    }

    /// What happens at the moment in which a credential was made or altered.
    pub fn once_changed(&self, name: &'static str, happens: fn(&Host)) {
        let (host, has_happened) = (Arc::downgrade(&self.host), Once::new());
        self.host.subscribe(Arc::new(move |event| {
            let altered =
                matches!(&event.happening, HostHappening::CredentialChanged { credential, .. } if credential == name);
            if let (true, Some(host)) = (altered, host.upgrade()) {
                has_happened.call_once(|| happens(&host));
            }
        }));
    }

    /// Looks at an instance, or changes it as a person would.
    pub fn instance<T>(&self, name: &str, work: impl FnOnce(&mut SqlServer) -> T) -> T {
        self.at(&endpoint_of(name), work)
    }

    pub fn at<T>(&self, endpoint: &str, work: impl FnOnce(&mut SqlServer) -> T) -> T {
        self.host.with_sql_server(endpoint, work).unwrap()
    }

    /// A file of the host's state directory.
    pub fn state_file(&self, name: &str) -> String {
        let mut files = self.host.state_files().unwrap();
        String::from_utf8(files.remove(name).unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()))).unwrap()
    }

    pub fn write_state_file(&self, name: &str, content: &str) {
        let mut files = self.host.state_files().unwrap();
        files.insert(name.to_owned(), content.as_bytes().to_vec());
        self.host.put_state_files(files).unwrap();
    }

    /// Who may do what with a file, where files have such a mode: a model has none, and Windows has access lists.
    pub fn mode(&self, name: &str) -> Option<u32> {
        let has_modes = (self.platform(), self.set_up.runs) == (Platform::Linux, Runs::Script);
        let file = self.host.root().join("state").join(name);
        has_modes.then(|| fs::metadata(file).unwrap().permissions().mode() & 0o777)
    }

    /// Another command is at work.
    pub fn hold_the_lock(&mut self) {
        self.lock = self.host.hold_lock("sql-backups").unwrap();
        assert!(self.lock.is_some(), "nobody else holds it");
    }

    pub fn let_go_of_the_lock(&mut self) {
        self.lock = None;
    }

    // ---- What the host came to ----

    /// The last answer.
    pub fn said(&self) -> &HostAnswer {
        self.said.as_ref().expect("a command answered")
    }

    /// The message of the last answer's first failure.
    pub fn message(&self) -> &str {
        &self.said().failures[0].message
    }

    /// The default instance's credentials and the ids of the keys in them.
    pub fn holds(&self, expected: &[(&str, Key)]) {
        self.instance_holds(DEFAULT, expected);
    }

    pub fn instance_holds(&self, name: &str, expected: &[(&str, Key)]) {
        let held: BTreeMap<String, Option<String>> = self.instance(name, |server| {
            server.credentials.iter().map(|(name, held)| (name.clone(), held.secret.clone())).collect()
        });
        let expected = expected.iter().map(|(name, (id, secret))| ((*name).to_owned(), Some(format!("{id}:{secret}"))));
        assert_eq!(held, expected.collect(), "what {name} holds");
    }

    /// Everything that was backed up, in order, below the prefix of the table's own URL.
    pub fn backed_up(&self, expected: &[&str]) {
        let objects = self.cloud().objects.clone();
        let below = |object: &String| object.replace("eu-west-1 sql-backups/prod/.credential-rotation/", "");
        assert_eq!(objects.iter().map(below).collect::<Vec<_>>(), expected);
    }

    /// Every statement so far went to this data source; a script that finds no port would fall back on shared memory.
    pub fn was_asked_at(&self, data_source: &str) {
        let processes = self.host.processes();
        let mut asked = processes.iter().filter(|process| process.program == "sqlcmd");
        assert!(asked.all(|process| process.arguments.iter().any(|argument| argument == data_source)), "{processes:?}");
    }

    /// How the answer calls an instance.
    pub fn called(&self, name: &str) -> String {
        match (self.platform(), name) {
            (_, "") => String::new(),
            (Platform::Windows, name) => name.to_owned(),
            (Platform::Linux, name) => endpoint_of(name),
        }
    }

    pub fn batches(&self) -> BTreeSet<String> {
        self.batches.iter().cloned().chain(self.host.batches()).collect()
    }

    // ---- Commands ----

    /// Runs the document that changes nothing, and sees to it that it has not.
    pub async fn inspect(&mut self) -> Said {
        let (before, sent) = (self.left(), self.host.batches().len());
        let step = self.play(&self.inspect.clone()).await;
        let said = self.listen(&step);
        assert_eq!(self.left(), before, "an inspection changes nothing");
        for batch in &self.host.batches()[sent..] {
            let asks = ["SELECT N'~", "SELECT TOP (3) N'~"].iter().any(|question| batch.starts_with(question));
            assert!(asks, "an inspection asks and does nothing else: {batch}");
        }
        self.said = Some(said.answer.clone());
        said
    }

    fn left(&self) -> Left {
        let mut files = self.host.state_files().unwrap();
        files.retain(|name, _| ![".log", ".1", ".lock", ".message"].iter().any(|end| name.ends_with(end)));
        let credentials = self.host.sql_servers().into_iter().map(|(endpoint, server)| (endpoint, server.credentials));
        let logins = self.host.sql_servers().into_iter().map(|(_, server)| (server.logins, server.databases));
        let cloud = self.cloud();
        Left {
            credentials: credentials.collect(),
            logins: logins.collect(),
            files,
            objects: cloud.objects.clone(),
            signed_calls: cloud.signed_calls,
        }
    }

    pub async fn run(&mut self) -> Said {
        let step = self.play(&self.apply.clone()).await;
        let said = self.listen(&step);
        self.said = Some(said.answer.clone());
        said
    }

    /// One command, and what it came to in the transcript.
    async fn play(&mut self, document: &Value) -> StepResult {
        let before = Calls::of(&self.host);
        let command = self.command(document);
        let step = only_step(self.host.run(&command).await);
        self.enter(vec![step.clone()], &before);
        step
    }

    fn enter(&mut self, steps: Vec<StepResult>, before: &Calls) {
        let made = Calls::of(&self.host).since(before);
        let left = self.left();
        self.transcript.enter(steps, made, left, &self.host.root().join("state"));
    }

    /// All that happened so far.
    pub fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    /// No second JSON object and no secret, whatever the row is about.
    fn listen(&self, step: &StepResult) -> Said {
        self.assert_no_secret_is_seen(step);
        assert!(step.stdout.len() < 2_000, "an answer of {} bytes", step.stdout.len());
        let answer: HostAnswer =
            serde_json::from_str(&step.stdout).unwrap_or_else(|error| panic!("{error}: {step:#?}"));
        assert_eq!(answer.rotation, "sql-backups");
        Said { exit_code: step.exit_code, answer, log: step.stderr.clone() }
    }

    pub async fn run_to_its_time_out(&mut self) {
        let step = self.play(&self.apply.clone()).await;
        self.assert_no_secret_is_seen(&step);
        assert_eq!((step.status, step.exit_code, step.stdout.as_str()), (StepStatus::TimedOut, 137, ""), "{step:#?}");
    }

    pub async fn run_twice_at_once(&mut self) -> (Said, Said) {
        let before = Calls::of(&self.host);
        let (first, second) = (self.command(&self.apply.clone()), self.command(&self.apply.clone()));
        let (first, second) = tokio::join!(self.host.run(&first), self.host.run(&second));
        let (first, second) = (only_step(first), only_step(second));
        self.enter(vec![first.clone(), second.clone()], &before);
        (self.listen(&first), self.listen(&second))
    }

    fn command(&mut self, document: &Value) -> HostCommand {
        self.commands += 1;
        HostCommand {
            command_id: format!("command-{}", self.commands),
            document: document.clone(),
            parameters: self.parameters.clone(),
        }
    }

    /// Guarantee 6, after every command of every row.
    fn assert_no_secret_is_seen(&self, step: &StepResult) {
        let mut seen = format!("{} {} {:?}", step.stdout, step.stderr, self.host.processes());
        for file in self.host.files().unwrap() {
            seen.push_str(&String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()));
        }
        for content in self.host.state_files().unwrap().values() {
            seen.push_str(&String::from_utf8_lossy(content));
        }
        for secret in [OLD_KEY.1, NEW_KEY.1, PASSWORD, OLD_PASSWORD, NEW_PASSWORD, NEWER_PASSWORD] {
            // What follows a quote or a blank may be spelt in another way.
            let core = secret.split([' ', '\'']).next().unwrap();
            assert!(!seen.contains(core), "a secret is seen in {seen}");
        }
    }
}

impl Said {
    /// Compares with what a row expects.
    pub fn assert_is(&self, expected: &Answer, stage: &Stage) {
        let HostAnswer { proved, changed, nothing_to_hold, .. } = self.answer;
        let failures = self.answer.failures.iter().map(|failure| (failure.error, failure.instance.clone())).collect();
        let inspected = self.answer.inspected.as_ref().map(|inspection| inspection.instances);
        let came_to = Answer { exit_code: self.exit_code, proved, changed, nothing_to_hold, failures, inspected };
        let mut expected = expected.clone();
        expected.failures.iter_mut().for_each(|(_, instance)| *instance = stage.called(instance));
        // Most rows name every failure; those with more than an answer can name look at the count themselves.
        if expected.failures.len() < 4 {
            assert_eq!(self.answer.failed as usize, expected.failures.len(), "{}", self.log);
        }
        assert_eq!(came_to, expected, "{:#?}\n{}", self.answer, self.log);
    }
}

fn host(set_up: &HostSetUp, cloud: &Arc<FakeCloud>, folder: &Path) -> Arc<Host> {
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    Host::new(set_up.clone(), clock, Arc::clone(cloud) as Arc<dyn HostCloud>, folder).unwrap()
}

/// The step of the host's platform; the other one is skipped.
fn only_step(steps: Vec<StepResult>) -> StepResult {
    let mut ran = steps.into_iter().filter(|step| step.status != StepStatus::Skipped);
    let step = ran.next().expect("a step for this platform");
    assert!(ran.next().is_none(), "one step for a platform");
    step
}
