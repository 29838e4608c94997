//! SQL Server logins on EC2: one login that is changed everywhere and promoted at once, two that take turns, and an
//! application that reads AWSCURRENT and logs in all the time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use integration_tests::*;
use sandbox::fleet_file::FleetFile;
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::World;
use serde_json::{Value, json};

const LOGIN_SECRET: &str = "app/sql-login";

fn login_settings(names: &[&str]) -> Value {
    json!({
        "rotation": "app-login",
        "kind": "sqlServerLogin",
        "secret": { "id": LOGIN_SECRET },
        "login": { "names": names },
        "fleet": {
            "tags": [{ "key": "SQL", "values": ["2022"] }],
            "targets": [{ "account": ACCOUNT, "regions": [HOME] }]
        },
        "topic": "arn:aws:sns:eu-west-1:111122223333:credential-rotation"
    })
}

/// A world with an application that reads the secret every ten seconds.
async fn with_application(hosts: u32, settings: Value) -> World {
    let mut file = fleet((1..=hosts).map(host));
    file["application"] = json!({ "refreshSeconds": 10 });
    let file: FleetFile = serde_json::from_value(file).expect("the test's fleet is a fleet file");
    World::new(&file, settings, std::sync::Arc::new(|_| {})).await.expect("the world can be made")
}

fn said(execution: &Execution) -> String {
    format!("{} {:?} {:?}", execution.status, execution.error, execution.cause)
}

fn report(execution: &Execution) -> String {
    execution.output.as_ref().map(ToString::to_string).unwrap_or_default()
}

async fn rotate(world: &mut World) -> Execution {
    let execution = world.run(json!({})).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{}", said(&execution));
    execution
}

fn current(world: &World) -> (String, String) {
    let secret = world.cloud.secret(LOGIN_SECRET).unwrap();
    let version = secret.labels["AWSCURRENT"].clone();
    let login = secret.labels.iter().find_map(|(label, holder)| {
        label.strip_prefix("login:").filter(|_| *holder == version).map(str::to_owned)
    });
    (version, login.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_login_is_changed_on_every_host_and_promoted_and_the_application_is_refused_only_in_between() {
    let mut world = with_application(3, login_settings(&["app"])).await;
    let before = current(&world).0;
    let execution = rotate(&mut world).await;
    let (version, login) = current(&world);
    assert_ne!(version, before, "{}", report(&execution));
    assert_eq!(login, "app");
    assert_eq!(world.cloud.secret(LOGIN_SECRET).unwrap().labels.get("AWSPENDING"), None);
    assert!(report(&execution).contains("refused applications"), "the gap is told: {}", report(&execution));
    world.pass_days(1).await;
    let application = world.application.as_ref().unwrap();
    assert_eq!(application.holds(), Some((version, "app".to_owned())));
    assert!(application.gaps().iter().all(|gap| gap.ended.is_some()), "{:?}", application.gaps());
    assert!(!application.gaps().is_empty(), "one login has one password");
    assert!(world.auditor.findings().is_empty(), "{:?}", world.auditor.findings());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logins_take_turns_and_no_application_is_ever_refused() {
    let mut world = with_application(3, login_settings(&["app_a", "app_b"])).await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        rotate(&mut world).await;
        turns.push(current(&world).1);
        world.pass_days(30).await;
    }
    assert_eq!(turns, ["app_b", "app_a", "app_b", "app_a"]);
    let application = world.application.as_ref().unwrap();
    assert_eq!(application.failed_log_ins(), 0, "{:?}", application.gaps());
    assert!(world.auditor.findings().is_empty(), "{:?}", world.auditor.findings());
}
