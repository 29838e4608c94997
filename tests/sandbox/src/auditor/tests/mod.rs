//! For each guarantee: what is legal is no finding, and each way to break it is one. The breaches are committed through
//! the cloud's own API as a function, or by a script that really runs on a host.

mod hosts;
mod keys;
mod labels;
mod secrecy;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rotation::names::{INTENT_KEYS_TAG, INTENT_TAG};
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::cloud::{InstanceSetUp, KeyStatus, Service, ServiceError};
use crate::host::{HostCommand, HostSetUp, SqlServer, StepStatus};
use crate::settings_file;

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const USER: &str = "sql-backups-user";
const URL: &str = "s3://s3.eu-west-1.amazonaws.com/sql-backups/prod";
const OLD: (&str, &str) = ("AKIAOLD0000000000000", "old+Secret/0000000000000000000000000000");
const HOSTS: [&str; 3] = ["i-0aaa", "i-0bbb", "i-0ccc"];
const TOKEN: &str = "22222222-2222-2222-2222-222222222222";
const DAY: u64 = 86_400;

/// Three hosts that hold the key of the current version, and an auditor that watches them.
struct Watched {
    cloud: Arc<Cloud>,
    fleet: Arc<Fleet>,
    auditor: Arc<Auditor>,
    secret_arn: String,
    first_version: String,
    folder: PathBuf,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An access key with both halves.
type Key = (String, String);

fn watched(name: &str) -> Watched {
    watched_with(name, &json!({}))
}

/// The settings' defaults, but for what is named.
fn watched_with(name: &str, changes: &Value) -> Watched {
    let cloud = Cloud::new(Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap()), ACCOUNT, REGION);
    cloud.add_user(USER);
    cloud.add_access_key(USER, OLD, KeyStatus::Active, "2026-01-01T00:00:00Z".parse().unwrap());
    cloud.add_bucket(REGION, "sql-backups");
    let secret_arn = cloud.add_secret("sqlcredential", Some(&format!("{}:{}", OLD.0, OLD.1)));
    let first_version = cloud.secret(&secret_arn).unwrap().labels["AWSCURRENT"].clone();
    let folder = std::env::temp_dir().join(format!("sandbox-auditor-{}-{name}", std::process::id()));
    let fleet = Fleet::attach(&cloud, &folder);
    for id in HOSTS {
        add_host(&cloud, &fleet, id);
    }
    let auditor = Auditor::watch(&cloud, &fleet, Rules::new(&settings(changes), &secret_arn));
    Watched { cloud, fleet, auditor, secret_arn, first_version, folder }
}

fn add_host(cloud: &Arc<Cloud>, fleet: &Fleet, instance_id: &str) {
    cloud.add_instance(InstanceSetUp::running(instance_id, ACCOUNT, REGION, &[("SQL", "2022")]));
    let server = SqlServer::new(16, "rotator", "p").with_credential(URL, OLD.0, OLD.1);
    let set_up = HostSetUp {
        instance_id: instance_id.to_owned(),
        region: REGION.to_owned(),
        sql_servers: vec![("localhost".to_owned(), server)],
        ..HostSetUp::default()
    };
    fleet.add(set_up).unwrap();
}

fn settings(changes: &Value) -> rotation::Settings {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/settings.schema.json");
    let schema = settings_file::read_json(&schema).unwrap();
    let mut given = json!({
        "rotation": "sql-backups",
        "secret": { "id": "sqlcredential" },
        "user": USER,
        "credentials": [URL],
        "fleet": {
            "tags": [{ "key": "SQL", "values": ["2022"] }],
            "targets": [{ "account": ACCOUNT, "regions": [REGION] }],
        },
        "document": { "version": "1", "logGroup": "/rotation" },
        "topic": format!("arn:aws:sns:{REGION}:{ACCOUNT}:rotation"),
    });
    for (name, value) in changes.as_object().unwrap() {
        given[name] = value.clone();
    }
    settings_file::complete(&schema, given).unwrap().1
}

impl Watched {
    /// A call of one of our functions.
    fn call(&self, function: &str, service: Service, action: &str, input: Value) -> Result<Value, ServiceError> {
        self.cloud.call(&Caller::function(function, ACCOUNT), REGION, service, action, input)
    }

    fn must(&self, function: &str, service: Service, action: &str, input: Value) -> Value {
        self.call(function, service, action, input).unwrap()
    }

    fn record_intent(&self) {
        let keys: Vec<String> = self.cloud.access_keys(USER).into_iter().map(|key| key.access_key_id).collect();
        let intent = format!("token={TOKEN} recorded={}", self.cloud.clock().now());
        self.tag_secret(&[(INTENT_TAG, &intent), (INTENT_KEYS_TAG, &keys.join(" "))]);
    }

    fn close_intent(&self) {
        let input = json!({ "SecretId": self.secret_arn, "TagKeys": [INTENT_TAG, INTENT_KEYS_TAG] });
        self.must("rotate-iam-key", Service::SecretsManager, "UntagResource", input);
    }

    fn tag_secret(&self, tags: &[(&str, &str)]) {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let input = json!({ "SecretId": self.secret_arn, "Tags": tags });
        self.must("rotate-iam-key", Service::SecretsManager, "TagResource", input);
    }

    fn make_key(&self) -> Key {
        let made = self.must("rotate-iam-key", Service::Iam, "CreateAccessKey", json!({ "UserName": USER }));
        let text = |member: &str| made["AccessKey"][member].as_str().unwrap().to_owned();
        (text("AccessKeyId"), text("SecretAccessKey"))
    }

    fn store(&self, key: &Key, labels: &[&str]) -> Value {
        let input = json!({
            "SecretId": self.secret_arn,
            "ClientRequestToken": TOKEN,
            "SecretString": format!("{}:{}", key.0, key.1),
            "VersionStages": labels,
        });
        self.must("rotate-iam-key", Service::SecretsManager, "PutSecretValue", input)
    }

    fn move_label(&self, function: &str, label: &str, from: Option<&str>, to: Option<&str>) {
        let input = json!({
            "SecretId": self.secret_arn,
            "VersionStage": label,
            "RemoveFromVersionId": from,
            "MoveToVersionId": to,
        });
        self.must(function, Service::SecretsManager, "UpdateSecretVersionStage", input);
    }

    /// Everything up to AWSPENDING, as it should be.
    fn stage(&self) -> Key {
        self.record_intent();
        let key = self.make_key();
        self.store(&key, &[&key.0]);
        self.move_label("rotate-iam-key", "AWSPENDING", None, Some(TOKEN));
        self.close_intent();
        key
    }

    fn promote(&self) {
        self.move_label("promote-stage", "AWSCURRENT", Some(&self.first_version), Some(TOKEN));
    }

    fn set_status(&self, key: &str, status: KeyStatus) {
        let input = json!({ "UserName": USER, "AccessKeyId": key, "Status": status.to_string() });
        self.must("retire-iam-key", Service::Iam, "UpdateAccessKey", input);
    }

    fn delete(&self, key: &str) {
        self.must("retire-iam-key", Service::Iam, "DeleteAccessKey", json!({ "UserName": USER, "AccessKeyId": key }));
    }

    fn describe_instances(&self, function: &str) {
        self.must(function, Service::Ec2, "DescribeInstances", json!({}));
    }

    fn write_ledger(&self, instance_id: &str, version: &str) {
        let value = format!("{version} {}", self.cloud.clock().now());
        let input = json!({
            "Resources": [instance_id],
            "Tags": [{ "Key": "credential-rotation:sql-backups", "Value": value }],
        });
        self.must("poll-command", Service::Ec2, "CreateTags", input);
    }

    /// Brings a host to a key without a command, as the end of one leaves it.
    fn hold(&self, instance_id: &str, key: &Key) {
        let host = self.fleet.host(instance_id).unwrap();
        host.with_sql_server("localhost", |server| {
            *server = server.clone().with_credential(URL, &key.0, &key.1);
        });
    }

    /// Runs statements on a host in one command of ours, through the real agent, bash and sqlcmd.
    async fn command(&self, instance_id: &str, statements: &[String]) {
        let statement = |sql: &String| {
            let sql = sql.replace('\'', r"'\''");
            format!(
                "printf '%s\\nGO\\n' '{sql}' | SQLCMDPASSWORD=p sqlcmd -S tcp:localhost -U rotator -b -x -C -i /dev/stdin"
            )
        };
        let lines: Vec<String> = statements.iter().map(statement).collect();
        let document = json!({
            "schemaVersion": "2.2",
            "parameters": {},
            "mainSteps": [{
                "action": "aws:runShellScript",
                "name": "act",
                "inputs": { "runCommand": [format!("set -e\n{}", lines.join("\n"))], "timeoutSeconds": "60" },
            }],
        });
        let command = HostCommand { command_id: "a-command".to_owned(), document, parameters: Default::default() };
        let steps = self.fleet.host(instance_id).unwrap().run(&command).await;
        assert!(steps.iter().all(|step| step.status == StepStatus::Success), "{steps:?}");
    }

    async fn after(&self, seconds: u64) {
        self.cloud.clock().sleep(Duration::from_secs(seconds)).await;
    }

    /// The one finding that there is, by its guarantee.
    #[track_caller]
    fn assert_found(&self, guarantee: u8, words: &[&str]) {
        let findings = self.auditor.findings();
        let [finding] = findings.as_slice() else { panic!("one finding is expected: {findings:?}") };
        assert_eq!(finding.guarantee, guarantee, "{finding}");
        words.iter().for_each(|word| assert!(finding.what.contains(word), "{word} is missing in: {finding}"));
    }
}

fn alter(key: &Key) -> String {
    format!("ALTER CREDENTIAL [{URL}] WITH IDENTITY = 'S3 Access Key', SECRET = N'{}:{}';", key.0, key.1)
}

/// Proof through a temporary credential, as the real script does it.
fn prove(instance_id: &str, key: &Key) -> [String; 3] {
    let name = format!("{URL}/.credential-rotation/{instance_id}");
    [
        format!("CREATE CREDENTIAL [{name}] WITH IDENTITY = 'S3 Access Key', SECRET = N'{}:{}';", key.0, key.1),
        format!(
            "BACKUP DATABASE [model] TO URL = N'{name}/proof.bak' WITH COPY_ONLY, FORMAT, \
             BACKUP_OPTIONS = N'{{\"s3\": {{\"region\":\"{REGION}\"}}}}';"
        ),
        format!("DROP CREDENTIAL [{name}];"),
    ]
}

fn old_key() -> Key {
    (OLD.0.to_owned(), OLD.1.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_legal_rotation_yields_no_finding() {
    let world = watched("legal");
    let key = world.stage();
    for id in HOSTS {
        world.command(id, &[prove(id, &key).as_slice(), &[alter(&key)]].concat()).await;
        world.write_ledger(id, TOKEN);
    }
    world.promote();
    world.move_label("promote-stage", "AWSPENDING", Some(TOKEN), None);
    world.after(8 * DAY).await;
    world.describe_instances("retire-iam-key");
    world.move_label("retire-iam-key", OLD.0, None, Some(&world.first_version));
    world.set_status(OLD.0, KeyStatus::Inactive);
    world.after(30 * DAY).await;
    world.delete(OLD.0);
    world.move_label("retire-iam-key", OLD.0, Some(&world.first_version), None);
    world.auditor.assert_clean();
}

#[test]
fn a_finding_is_a_sentence_with_its_guarantee_its_time_and_its_event() {
    let world = watched("sentence");
    world.set_status(OLD.0, KeyStatus::Inactive);
    let finding = &world.auditor.findings()[0];
    let said = finding.to_string();
    assert!(said.starts_with("guarantee 1 is broken at 2026-11-24T12:00:00"), "{said}");
    assert!(said.contains("retire-iam-key made the key AKIAOLD0000000000000 Inactive"), "{said}");
    assert_eq!(world.cloud.journal().last().unwrap().number, finding.event_number);
}

#[test]
#[should_panic(expected = "guarantee 1 is broken")]
fn a_breach_ends_a_test_that_asserts_none() {
    let world = watched("panic");
    world.set_status(OLD.0, KeyStatus::Inactive);
    world.auditor.assert_clean();
}

#[test]
fn what_was_so_before_the_watch_began_is_no_finding() {
    let world = watched("before");
    let orphan = world.make_key();
    world.tag_secret(&[("team", "databases")]);
    assert_eq!(world.auditor.findings().len(), 1, "the first auditor saw it");
    let rules = Rules::new(&settings(&json!({})), &world.secret_arn);
    let second = Auditor::watch(&world.cloud, &world.fleet, rules);
    world.tag_secret(&[("team", "backups")]);
    second.assert_clean();
    world.delete(&orphan.0);
    second.assert_clean();
}
