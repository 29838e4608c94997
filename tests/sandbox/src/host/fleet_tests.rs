//! A command's whole way: SendCommand, the agent, the real script, the key really checked by S3, and back to SSM.

use std::path::PathBuf;

use rotation::host_answer::{HostAnswer, HostError};
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::cloud::{InstanceSetUp, KeyStatus, Visibility};
use crate::host::{HostFaults, HostHappening, SqlServer, document};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const URL: &str = "s3://s3.eu-west-1.amazonaws.com/sql-backups/prod";
const KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");

struct World {
    cloud: Arc<Cloud>,
    fleet: Arc<Fleet>,
    secret_arn: String,
    administrator_arn: String,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn world(name: &str, instances: &[(&str, HostFaults)]) -> World {
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    let cloud = Cloud::new(clock.clone(), ACCOUNT, REGION);
    cloud.set_visibility(Visibility::default());
    cloud.add_user("sql-backups-user");
    cloud.add_access_key("sql-backups-user", KEY, KeyStatus::Active, "2026-01-01T00:00:00Z".parse().unwrap());
    cloud.add_bucket(REGION, "sql-backups");
    let secret_arn = cloud.add_secret("sqlcredential", Some(&format!("{}:{}", KEY.0, KEY.1)));
    let administrator = json!({ "username": "rotator", "password": "p" }).to_string();
    let administrator_arn = cloud.add_secret("sql-administrator", Some(&administrator));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/documents/apply-s3-credential");
    cloud.add_document(ACCOUNT, REGION, "apply-s3-credential", document::build(&source).unwrap());
    let folder = std::env::temp_dir().join(format!("sandbox-fleet-{}-{name}", std::process::id()));
    let fleet = Fleet::attach(&cloud, &folder);
    for (instance_id, faults) in instances {
        cloud.add_instance(InstanceSetUp::running(instance_id, ACCOUNT, REGION, &[("SQL", "2022")]));
        let server = SqlServer::new(16, "rotator", "p").with_credential(URL, KEY.0, KEY.1);
        let set_up = HostSetUp {
            instance_id: (*instance_id).to_owned(),
            region: REGION.to_owned(),
            sql_servers: vec![("localhost".to_owned(), server)],
            faults: faults.clone(),
            ..HostSetUp::default()
        };
        fleet.add(set_up).unwrap();
    }
    World { cloud, fleet, secret_arn, administrator_arn, folder }
}

impl World {
    fn call(&self, action: &str, input: Value) -> Value {
        self.cloud.call(&Caller::Person, REGION, Service::Ssm, action, input).unwrap()
    }

    /// Sends the command to every instance with the tag and waits, in simulated time, until SSM has given up on all.
    async fn apply(&self) -> Vec<Value> {
        let sent = self.call(
            "SendCommand",
            json!({
                "DocumentName": "apply-s3-credential",
                "Targets": [{ "Key": "tag:SQL", "Values": ["2022"] }],
                "TimeoutSeconds": 60,
                "MaxConcurrency": "50",
                "MaxErrors": "100%",
                "Parameters": {
                    "rotation": ["sql-backups"],
                    "secretArn": [self.secret_arn],
                    "versionId": [self.current_version()],
                    "credentials": [URL],
                    "administratorSecretArn": [self.administrator_arn],
                },
            }),
        );
        self.cloud.clock().sleep(std::time::Duration::from_secs(900)).await;
        let input = json!({ "CommandId": sent["Command"]["CommandId"], "Details": true });
        self.call("ListCommandInvocations", input)["CommandInvocations"].as_array().unwrap().clone()
    }

    fn current_version(&self) -> String {
        let input = json!({ "SecretId": self.secret_arn });
        let value = self.cloud.call(&Caller::Person, REGION, Service::SecretsManager, "GetSecretValue", input).unwrap();
        value["VersionId"].as_str().unwrap().to_owned()
    }
}

/// The answer is in front of what went to stderr.
fn answer(invocation: &Value) -> Result<HostAnswer, serde_json::Error> {
    let output = invocation["CommandPlugins"][0]["Output"].as_str().unwrap();
    serde_json::from_str(output.lines().next().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_by_tag_comes_back_with_the_proof_of_every_host() {
    let world = world("tag", &[("i-0aaa", HostFaults::default()), ("i-0bbb", HostFaults::default())]);
    let invocations = world.apply().await;
    assert_eq!(invocations.len(), 2);
    for invocation in &invocations {
        assert_eq!(invocation["Status"], "Success", "{invocation}");
        let answer = answer(invocation).unwrap();
        assert_eq!((answer.proved, answer.failed, answer.version), (1, 0, Some(world.current_version())));
    }
    let objects = world.cloud.objects();
    assert!(objects.contains_key("sql-backups/prod/.credential-rotation/held/i-0aaa/proof.bak"), "{objects:?}");
    assert!(objects.values().all(|key| key == KEY.0), "every backup was signed with the key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_sees_every_change_of_a_credential_on_every_host() {
    let world = world("observer", &[("i-0aaa", HostFaults::default()), ("i-0bbb", HostFaults::default())]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (events, fleet) = (Arc::clone(&seen), Arc::downgrade(&world.fleet));
    world.fleet.subscribe(Arc::new(move |event| {
        // An observer may look at the host: no lock is held.
        let held = fleet.upgrade().and_then(|fleet| fleet.host(&event.instance_id)).map(|host| host.held_keys().len());
        events.lock().unwrap().push((event.instance_id.clone(), event.happening.clone(), held));
    }));
    world.apply().await;
    let seen = seen.lock().unwrap();
    for host in ["i-0aaa", "i-0bbb"] {
        let of_host: Vec<_> = seen.iter().filter(|(id, ..)| id == host).collect();
        let altered = HostHappening::CredentialChanged {
            endpoint: "localhost,1433".to_owned(),
            credential: URL.to_owned(),
            access_key_id: Some(KEY.0.to_owned()),
        };
        assert!(of_host.iter().any(|(_, happening, held)| (happening, *held) == (&altered, Some(1))), "{of_host:?}");
        assert!(matches!(of_host.last(), Some((_, HostHappening::CommandEnded { succeeded: true, .. }, _))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_aws_refuses_is_a_failed_proof() {
    let world = world("refused", &[("i-0aaa", HostFaults::default())]);
    world.cloud.update_access_key("sql-backups-user", KEY.0, KeyStatus::Inactive).unwrap();
    world.cloud.clock().sleep(std::time::Duration::from_secs(3_600)).await;
    let invocations = world.apply().await;
    assert_eq!(invocations[0]["Status"], "Failed");
    assert_eq!(answer(&invocations[0]).unwrap().failures[0].error, HostError::ProofFailed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_host_times_out_and_a_lying_one_succeeds_without_an_answer() {
    let slow = HostFaults { slow: std::time::Duration::from_secs(301), ..HostFaults::default() };
    let lying = HostFaults { lie: Some("done".to_owned()), ..HostFaults::default() };
    let world = world("slow", &[("i-0aaa", slow), ("i-0bbb", lying)]);
    let invocations = world.apply().await;
    let of = |id: &str| invocations.iter().find(|invocation| invocation["InstanceId"] == id).unwrap();
    assert_eq!(
        (&of("i-0aaa")["Status"], &of("i-0aaa")["StatusDetails"]),
        (&json!("TimedOut"), &json!("Execution Timed Out"))
    );
    assert_eq!(of("i-0bbb")["Status"], "Success");
    assert!(answer(of("i-0bbb")).is_err());
}
