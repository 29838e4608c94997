//! SQL Server logins on EC2: one login that is changed everywhere and promoted at once, two that take turns, and an
//! application that reads AWSCURRENT and logs in all the time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use integration_tests::*;
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::World;
use serde_json::json;

fn said_by(execution: &Execution) -> String {
    format!("{} {:?} {:?}", execution.status, execution.error, execution.cause)
}

fn report(execution: &Execution) -> String {
    execution.output.as_ref().map(ToString::to_string).unwrap_or_default()
}

async fn rotate(world: &mut World) -> Execution {
    let execution = world.run(json!({})).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{}", said_by(&execution));
    execution
}

fn current(world: &World) -> (String, String) {
    let secret = world.cloud.secret(LOGIN_SECRET).unwrap();
    let version = secret.labels["AWSCURRENT"].clone();
    let login = secret
        .labels
        .iter()
        .find_map(|(label, holder)| label.strip_prefix("login:").filter(|_| *holder == version).map(str::to_owned));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_keeps_every_password_as_it_is_until_the_run_goes_on_without_it() {
    let mut silent = host(3);
    silent["unreachable"] = json!(true);
    let mut world = world(fleet([host(1), host(2), silent]), login_settings(&["app"])).await;
    let before = current(&world);
    let said = fail(&mut world, json!({}), "HostsNotReady").await;
    assert!(said.contains(&id(3)) && said.contains("without"), "{said}");
    assert_eq!(current(&world).0, before.0);
    assert_eq!(world.cloud.secret(LOGIN_SECRET).unwrap().labels.get("AWSPENDING"), None);
    let execution = world.run(json!({ "mode": "rotate", "without": [id(3)] })).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "{}", said_by(&execution));
    assert_ne!(current(&world).0, before.0);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_would_break_out_of_a_script_or_a_statement_are_only_names() {
    let names = ["o'brien] --", "$(touch x) \"y\" `z`"];
    let mut world = with_application(2, login_settings(&names)).await;
    rotate(&mut world).await;
    assert_eq!(current(&world).1, names[1]);
    rotate(&mut world).await;
    assert_eq!(current(&world).1, names[0]);
    assert_eq!(world.application.as_ref().unwrap().failed_log_ins(), 0);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_an_instance_lacks_is_an_error_before_anything_changes_and_not_a_new_login() {
    let mut lacking = host(2);
    lacking["sqlServers"][0]["withoutLogin"] = json!(true);
    let mut world = world(fleet([host(1), lacking]), login_settings(&["app"])).await;
    let said = fail(&mut world, json!({}), "HostsNotReady").await;
    assert!(said.contains("LoginMissing"), "{said}");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandonment_of_nothing_is_nothing() {
    let mut one = world(fleet([host(1)]), login_settings(&["app"])).await;
    let execution = one.run(json!({ "mode": "abandon" })).await;
    assert_eq!(execution.status, ExecutionStatus::Succeeded, "nothing is pending: {}", said_by(&execution));
    conclude(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_a_login_that_the_settings_do_not_name_is_refused_by_both_names() {
    let mut world = world(fleet([host(1)]), login_settings(&["app"])).await;
    let value = json!({ "engine": "sqlserver", "username": "sales", "password": "of somebody else" }).to_string();
    world.cloud.put_secret_value(LOGIN_SECRET, &value, &["AWSCURRENT"]).unwrap();
    let said = fail(&mut world, json!({}), "LoginOfAnotherName").await;
    assert!(said.contains("sales") && said.contains("app"), "{said}");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_a_hosts_policy_refuses_is_made_anew_three_times_and_then_a_person_is_asked() {
    let mut world = world(fleet([host(1), host(2)]), login_settings(&["app"])).await;
    let longer_than_any = |world: &World, length| {
        for number in [1, 2] {
            let host = world.fleet.host(&id(number)).unwrap();
            host.with_sql_server("localhost", |server| server.policy.minimum_length = length);
        }
    };
    longer_than_any(&world, 64);
    let before = current(&world).0;
    let said = fail(&mut world, json!({}), "PasswordRefused").await;
    assert!(said.contains("3 passwords") && said.contains("login.password"), "{said}");
    assert_eq!(current(&world).0, before);
    longer_than_any(&world, 8);
    succeed(&mut world, "converge").await;
    assert_ne!(current(&world).0, before, "the pending version goes on once the policy takes it");
    conclude(&world).await;
}
