//! What a model has and a script has not: no file, and a host that may die between any two calls.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;

use rotation::host_answer::{HostAnswer, HostError};
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::cloud::{Cloud, InstanceSetUp, KeyStatus};
use crate::host::fleet::Fleet;
use crate::host::{HostCommand, HostSetUp, Runs, SqlServer, StepResult, StepStatus, document};

const REGION: &str = "eu-west-1";
const URL: &str = "s3://s3.eu-west-1.amazonaws.com/sql-backups/prod";
const OLD_KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
const NEW_KEY: (&str, &str) = ("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY");
const STEP: Duration = Duration::from_millis(20);

/// A model in the middle of a rotation, and the command that it gets.
struct World {
    clock: Clock,
    host: Arc<Host>,
    command: HostCommand,
    folder: PathBuf,
    _fleet: Arc<Fleet>,
}

fn world(patience_seconds: u32) -> World {
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    let cloud = Cloud::new(clock.clone(), "111122223333", REGION);
    cloud.add_user("sql-backups-user");
    for key in [OLD_KEY, NEW_KEY] {
        cloud.add_access_key("sql-backups-user", key, KeyStatus::Active, "2026-01-01T00:00:00Z".parse().unwrap());
    }
    cloud.add_bucket(REGION, "sql-backups");
    let value = |key: (&str, &str)| format!("{}:{}", key.0, key.1);
    let secret_arn = cloud.add_secret("sqlcredential", Some(&value(OLD_KEY)));
    let version = cloud.put_secret_value(&secret_arn, &value(NEW_KEY), &["AWSPENDING"]).unwrap();
    let administrator = json!({ "username": "rotator", "password": "p" }).to_string();
    let administrator_arn = cloud.add_secret("sql-administrator", Some(&administrator));
    cloud.add_instance(InstanceSetUp::running("i-0aaa", "111122223333", REGION, &[]));
    let folder = std::env::temp_dir().join(format!("sandbox-model-{}", std::process::id()));
    let fleet = Fleet::attach(&cloud, &folder);
    let set_up = HostSetUp {
        instance_id: "i-0aaa".to_owned(),
        region: REGION.to_owned(),
        runs: Runs::Model,
        sql_servers: vec![(
            "localhost".to_owned(),
            SqlServer::new(16, "rotator", "p").with_credential(URL, OLD_KEY.0, OLD_KEY.1),
        )],
        patience_seconds,
        step_time: STEP,
        ..HostSetUp::default()
    };
    let host = fleet.add(set_up).unwrap();
    let parameters = [
        ("rotation", "sql-backups"),
        ("secretArn", &secret_arn),
        ("versionId", &version),
        ("credentials", URL),
        ("administratorSecretArn", &administrator_arn),
    ];
    let command = HostCommand {
        command_id: "command".to_owned(),
        document: built("apply-s3-credential"),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    World { clock, host, command, folder, _fleet: fleet }
}

fn built(name: &str) -> serde_json::Value {
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/documents");
    document::build(&documents.join(name)).unwrap()
}

impl World {
    async fn run(&self) -> StepResult {
        ran(self.host.run(&self.command).await)
    }

    /// Runs the command and lets the host die before one of its calls; whether the command came to its end before.
    async fn die_before_call(&self, number: usize) -> bool {
        let mut running = pin!(self.host.run(&self.command));
        for _ in 0..=number {
            // While somebody else is busy, time stands still, and the command waits before its next call.
            let busy = self.clock.busy();
            if std::future::poll_fn(|context| Poll::Ready(running.as_mut().poll(context).is_ready())).await {
                return true;
            }
            drop(busy);
        }
        false
    }

    fn held(&self) -> String {
        let held = self.host.held_keys().into_iter().find(|held| held.credential == URL);
        held.expect("the credential is never gone").access_key_id
    }

    fn seconds(&self) -> i64 {
        self.clock.now().as_second() - "2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap().as_second()
    }
}

fn ran(steps: Vec<StepResult>) -> StepResult {
    steps.into_iter().find(|step| step.status != StepStatus::Skipped).unwrap()
}

fn answer(step: &StepResult) -> HostAnswer {
    serde_json::from_str(&step.stdout).unwrap_or_else(|error| panic!("{error}: {step:#?}"))
}

#[tokio::test]
async fn a_model_makes_no_file() {
    let world = world(0);
    assert_eq!(answer(&world.run().await).proved, 1);
    assert!(!world.folder.exists() && world.host.files().unwrap().is_empty());
    let marker = String::from_utf8(world.host.state_files().unwrap()["sql-backups.marker"].clone()).unwrap();
    assert!(marker.lines().any(|line| line.starts_with("localhost ")), "{marker}");
}

#[tokio::test]
async fn what_comes_back_from_an_image_has_the_marker_of_its_time() {
    let world = world(0);
    let image = (world.host.state_files().unwrap(), world.host.sql_servers());
    world.run().await;
    world.host.put_state_files(image.0).unwrap();
    for (endpoint, server) in image.1 {
        world.host.with_sql_server(&endpoint, |present| *present = server.clone());
    }
    let again = answer(&world.run().await);
    assert_eq!((again.found, again.changed, again.proved), (None, 1, 1));
}

#[tokio::test]
async fn a_host_that_dies_before_any_call_is_made_good_by_the_next_command() {
    let mut deaths = 0;
    loop {
        let world = world(0);
        let has_ended = world.die_before_call(deaths).await;
        assert!([OLD_KEY.0, NEW_KEY.0].contains(&world.held().as_str()), "{deaths}: it works either way");
        let next = answer(&world.run().await);
        assert_eq!((next.proved, next.failed, world.held().as_str()), (1, 0, NEW_KEY.0), "{deaths}: {next:?}");
        let credentials = world.host.with_sql_server("localhost", |server| server.credentials.len());
        assert_eq!(credentials, Some(1), "{deaths}: no temporary credential stays");
        if has_ended {
            break;
        }
        deaths += 1;
    }
    // Two secrets, two looks, two proofs of three statements, ALTER, its date, its proof, the last looks.
    assert_eq!(deaths, 15);
}

#[tokio::test]
async fn a_command_waits_for_the_lock_in_simulated_time_and_then_says_so() {
    let world = world(30);
    let lock = world.host.hold_lock("sql-backups").unwrap().expect("nobody else holds it");
    let refused = world.run().await;
    assert_eq!((refused.exit_code, answer(&refused).failures[0].error), (2, HostError::LockTimeout));
    assert_eq!(world.seconds(), 30);
    let sleeper = world.clock.clone();
    world.clock.spawn(async move {
        sleeper.sleep(Duration::from_secs(10)).await;
        drop(lock);
    });
    let waiting = world.clock.join_all(vec![world.run()]).await;
    assert_eq!((answer(&waiting[0]).proved, world.seconds()), (1, 40));
}

#[tokio::test]
async fn of_two_commands_side_by_side_one_alters_and_the_other_finds_it_done() {
    let world = world(30);
    let answers = world.clock.join_all(vec![world.run(), world.run()]).await;
    let changed: Vec<u32> = answers.iter().map(|step| answer(step).changed).collect();
    assert!(answers.iter().all(|step| answer(step).proved == 1) && changed.iter().sum::<u32>() == 1, "{changed:?}");
}

#[tokio::test]
async fn a_hanging_statement_takes_the_whole_time_out() {
    let world = world(0);
    world.host.set_faults(|faults| faults.hanging_statement = Some("BACKUP".to_owned()));
    let killed = world.run().await;
    assert_eq!((killed.status, killed.exit_code, killed.stdout.as_str()), (StepStatus::TimedOut, 137, ""));
    assert_eq!((world.seconds(), world.held().as_str()), (300, OLD_KEY.0));
}

#[tokio::test]
async fn a_document_that_no_model_knows_is_refused_by_name() {
    let mut world = world(0);
    world.command.document["mainSteps"][0]["name"] = json!("somethingElse");
    let refused = world.run().await;
    assert_eq!(refused.status, StepStatus::Failed);
    assert_eq!(refused.stderr, "no model knows somethingElse: let the host run the script");
}
