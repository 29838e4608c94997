//! The real `linux.sh` under bash, against the model of a host, one situation a test.

mod failure;
mod proof;
mod target;

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::json;

use super::*;
use rotation::host_answer::{Blocking, HostAnswer, HostError};

const SECRET_ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sqlcredential-AbCdEf";
const ADMINISTRATOR_ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sql-administrator-GhIjKl";
const URL: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod";
const OLD: &str = "00000000-0000-0000-0000-00000000000a";
const NEW: &str = "00000000-0000-0000-0000-00000000000b";
const OLD_KEY: (&str, &str) = ("AKIAOLD0000000000000", "old+Secret/0000000000000000000000000000'");
const NEW_KEY: (&str, &str) = ("AKIANEW0000000000000", "new+Secret/1111111111111111111111111111'");
/// Everything in it that JSON escapes and a shell, sqlcmd or T-SQL would read.
const PASSWORD: &str = "p\"a\\s'é😀$(x)`y`";

/// One secret, the keys that S3 knows, and the administrator's secret.
struct FakeCloud(Mutex<FakeState>);

struct FakeState {
    labels: BTreeMap<&'static str, &'static str>,
    values: BTreeMap<&'static str, String>,
    known_keys: Vec<(&'static str, &'static str)>,
    readable: bool,
    /// Label changes that happen after so many reads of the secret.
    label_changes: BTreeMap<u32, (&'static str, Option<&'static str>)>,
    reads: u32,
    objects: Vec<String>,
}

impl HostCloud for FakeCloud {
    fn secret_value(&self, _: &str, region: &str, input: Value) -> Result<Value, CloudError> {
        assert_eq!(region, "eu-west-1", "the secret is read in its home region");
        let mut state = self.0.lock().unwrap();
        if input["SecretId"] == ADMINISTRATOR_ARN {
            let value = "{\n\t\"engine\": \"sqlserver\", \"port\": 1433,\n\t\"username\": \"rotator\", \
                         \"password\": \"p\\\"a\\\\s'\\u00e9\\uD83D\\uDE00$(x)`y`\"\n}";
            return Ok(json!({ "VersionId": "administrator", "SecretString": value }));
        }
        if !state.readable {
            return Err(CloudError::new("AccessDeniedException", "User is not authorized to perform: GetSecretValue"));
        }
        state.reads += 1;
        let reads = state.reads;
        if let Some((label, version)) = state.label_changes.remove(&reads) {
            state.labels.remove(label);
            state.labels.extend(version.map(|version| (label, version)));
        }
        let by_label = input["VersionStage"].as_str().and_then(|label| state.labels.get(label).copied());
        let version = input["VersionId"].as_str().or(by_label);
        version
            .and_then(|version| Some(json!({ "VersionId": version, "SecretString": state.values.get(version)? })))
            .ok_or_else(|| CloudError::new("ResourceNotFoundException", "can't find the specified secret value"))
    }

    fn caller_identity(&self, _: &str, access_key_id: &str, secret: &str) -> Result<Value, CloudError> {
        let known = self.0.lock().unwrap().known_keys.contains(&(access_key_id, secret));
        let invalid = CloudError::new("InvalidClientTokenId", "The security token included in the request is invalid.");
        known.then(|| json!({ "Arn": "arn:aws:iam::111122223333:user/sql-backups-user" })).ok_or(invalid)
    }

    fn put_object(&self, object: BackupObject<'_>) -> Result<(), CloudError> {
        let mut state = self.0.lock().unwrap();
        assert_eq!((object.url.bucket.as_str(), object.signing_region.as_str()), ("sql-backups", "eu-west-1"));
        if !state.known_keys.contains(&(object.access_key_id, object.secret_access_key)) {
            return Err(CloudError::new("InvalidAccessKeyId", "The AWS Access Key Id does not exist in our records."));
        }
        state.objects.push(object.url.key);
        Ok(())
    }
}

/// One host of which a test changes what it is about.
struct World {
    cloud: Arc<FakeCloud>,
    host: Arc<Host>,
    parameters: BTreeMap<String, String>,
    folder: PathBuf,
    commands: u32,
}

/// What a command came to.
struct Outcome {
    exit_code: i32,
    answer: HostAnswer,
}

impl Outcome {
    fn errors(&self) -> Vec<(HostError, &str)> {
        self.answer.failures.iter().map(|failure| (failure.error, failure.instance.as_str())).collect()
    }

    fn counts(&self) -> (u32, u32, u32, u32) {
        (self.answer.proved, self.answer.changed, self.answer.nothing_to_hold, self.answer.failed)
    }
}

fn sql_server(major_version: u32) -> SqlServer {
    SqlServer::new(major_version, "rotator", PASSWORD).with_credential(URL, OLD_KEY.0, OLD_KEY.1)
}

fn world(name: &str, sql_servers: Vec<(&str, SqlServer)>) -> World {
    let plain = |key: (&str, &str)| format!("{}:{}", key.0, key.1);
    let json = json!({ "accessKeyId": NEW_KEY.0, "secretAccessKey": NEW_KEY.1 }).to_string();
    let cloud = Arc::new(FakeCloud(Mutex::new(FakeState {
        labels: BTreeMap::from([("AWSCURRENT", OLD), ("AWSPENDING", NEW)]),
        values: BTreeMap::from([(OLD, plain(OLD_KEY)), (NEW, json)]),
        known_keys: vec![OLD_KEY, NEW_KEY],
        readable: true,
        label_changes: BTreeMap::new(),
        reads: 0,
        objects: Vec::new(),
    })));
    let folder = std::env::temp_dir().join(format!("sandbox-host-{}-{name}", std::process::id()));
    let endpoints = sql_servers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
    let set_up = HostSetUp {
        instance_id: "i-0abc".to_owned(),
        region: "us-east-1".to_owned(),
        sql_servers: sql_servers.into_iter().map(|(name, server)| (name.to_owned(), server)).collect(),
        ..HostSetUp::default()
    };
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    let host = Host::new(set_up, clock, Arc::clone(&cloud) as Arc<dyn HostCloud>, &folder).unwrap();
    let parameters = [
        ("rotation", "sql-backups"),
        ("secretArn", SECRET_ARN),
        ("versionId", NEW),
        ("credentials", URL),
        ("endpoints", if endpoints.is_empty() { "localhost" } else { &endpoints }),
        ("administratorSecretArn", ADMINISTRATOR_ARN),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    World { cloud, host, parameters, folder, commands: 0 }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl World {
    fn set(&mut self, parameter: &str, value: &str) {
        self.parameters.insert(parameter.to_owned(), value.to_owned());
    }

    fn cloud(&self) -> MutexGuard<'_, FakeState> {
        self.cloud.0.lock().unwrap()
    }

    fn instance<T>(&self, endpoint: &str, work: impl FnOnce(&mut SqlServer) -> T) -> T {
        self.host.with_sql_server(endpoint, work).unwrap()
    }

    fn held(&self, endpoint: &str) -> Vec<(String, String)> {
        self.instance(endpoint, |server| {
            let key = |credential: &Credential| credential.access_key_id().unwrap_or_default().to_owned();
            server.credentials.iter().map(|(name, credential)| (name.clone(), key(credential))).collect()
        })
    }

    async fn steps(&mut self) -> Vec<StepResult> {
        self.commands += 1;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
        let command = HostCommand {
            command_id: format!("command-{}", self.commands),
            document: document::build(&folder).unwrap(),
            parameters: self.parameters.clone(),
        };
        self.host.run(&command).await
    }

    async fn run(&mut self) -> Outcome {
        let steps = self.steps().await;
        let [step] = steps.as_slice() else { panic!("{steps:?}") };
        assert!(step.stdout.len() < 2_000, "{} bytes", step.stdout.len());
        let answer = serde_json::from_str(&step.stdout);
        let outcome =
            Outcome { exit_code: step.exit_code, answer: answer.unwrap_or_else(|error| panic!("{error}: {step:?}")) };
        self.assert_no_secret_is_seen(step);
        outcome
    }

    /// Guarantee 6, on every run of every test.
    fn assert_no_secret_is_seen(&self, step: &StepResult) {
        let mut seen = format!("{} {} {:?}", step.stdout, step.stderr, self.host.processes());
        for file in self.host.files().unwrap() {
            seen.push_str(&String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()));
        }
        for secret in [OLD_KEY.1, NEW_KEY.1, PASSWORD] {
            let core = secret.trim_end_matches('\'');
            assert!(!seen.contains(core), "a secret is seen in {seen}");
        }
    }
}

const DOCUMENT: &str = "../../statemachine/documents/apply-s3-credential";

fn one_credential(key: (&str, &str)) -> Vec<(String, String)> {
    vec![(URL.to_owned(), key.0.to_owned())]
}
