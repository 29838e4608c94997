//! Death after (and so before) every call of AWS, every login and every statement of a rotation; then Secrets Manager
//! tries the whole rotation again. It always converges, and no database ever has a password that no version holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use database_tests::case::{Case, value, with_administrator};
use database_tests::server::{ADMINISTRATOR, Server};
use serde_json::{Value, json};

static MARIADB: LazyLock<Server> = LazyLock::new(Server::mariadb);
static POSTGRESQL: LazyLock<Server> = LazyLock::new(Server::postgresql);

/// Whether the current value's user is let in at every instant, or only with the pending password meanwhile.
#[derive(Clone, Copy, PartialEq)]
enum Gap {
    None,
    UntilTheEnd,
}

/// The users whom a test prepares anew for every death.
fn prepared(server: &Server, name: &str) -> Vec<String> {
    match server.engine_name {
        "mariadb" => vec![
            format!("DROP USER IF EXISTS {name}_clone@'%'"),
            format!("CREATE OR REPLACE USER {name}@'%' IDENTIFIED BY 'first-password'"),
            format!("GRANT SELECT, INSERT ON {name}.* TO {name}@'%' WITH GRANT OPTION"),
        ],
        _ => vec![
            format!("DROP ROLE IF EXISTS {name}_clone"),
            format!("DROP ROLE IF EXISTS {name}"),
            format!("CREATE ROLE {name} LOGIN PASSWORD 'first-password'"),
            format!("ALTER ROLE {name} SET work_mem TO '5MB'"),
        ],
    }
}

async fn prepare(server: &Server, name: &str) {
    let statements = prepared(server, name);
    server.prepare(None, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// A rotation that dies at an instant, or ends before it comes; after what it died.
async fn until_death(case: &Case, token: &str, instant: usize) -> Option<String> {
    case.mortality.die_at(instant);
    let died = tokio::select! {
        biased;
        () = case.mortality.died() => true,
        ended = case.go_on(token) => {
            ended.expect("what does not die succeeds");
            false
        }
    };
    let last = case.mortality.passed().pop().filter(|_| died);
    case.mortality.live();
    last
}

/// Every user who was given a password by the rotation, or had one, is let in by a version that has a label.
async fn nobody_is_locked_out(case: &Case, gap: Gap, at: &str) {
    let works = case.lets_in(&case.current()).await;
    let pending = case.labelled("AWSPENDING");
    match (gap, pending) {
        (Gap::UntilTheEnd, Some(pending)) if !works => {
            assert!(case.lets_in(&pending).await, "the current or the pending value works; neither did after {at}");
        }
        _ => assert!(works, "the current value works at every instant; it did not after {at}"),
    }
}

/// One rotation that dies and is tried again; whether it died.
async fn one_death(case: &Case, instant: usize, gap: Gap) -> bool {
    let token = case.begin();
    let died = until_death(case, &token, instant).await;
    let at = format!("instant {instant}: {died:?}");
    nobody_is_locked_out(case, gap, &at).await;
    if died.is_some() {
        case.go_on(&token).await.unwrap_or_else(|error| panic!("the retry after {at} converges: {error}"));
        nobody_is_locked_out(case, Gap::None, &at).await;
    }
    assert!(case.labels_of(&token).contains(&"AWSCURRENT".to_owned()), "after {at}");
    died.is_some()
}

/// Every instant of the first rotation, each time of a new user; then every instant of the rotations that follow each
/// other, of either user where two take turns.
async fn every_death(server: &'static Server, name: &str, gap: Gap, secret: impl Fn() -> Value) {
    let mut deaths = 0;
    loop {
        prepare(server, name).await;
        if !one_death(&Case::new(server, &secret()), deaths, gap).await {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 20, "the first rotation died at {deaths} instants");
    let case = Case::new(server, &case_with(server, name, &secret).await);
    for instant in 0.. {
        let (one, other) = (one_death(&case, instant, gap).await, one_death(&case, instant, gap).await);
        if !one && !other {
            break;
        }
    }
}

/// A secret whose users are both there.
async fn case_with(server: &'static Server, name: &str, secret: &impl Fn() -> Value) -> Value {
    prepare(server, name).await;
    let case = Case::new(server, &secret());
    case.rotate().await;
    case.current()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_user_of_mariadb() {
    MARIADB.prepare(None, &["CREATE DATABASE alone"]).await;
    every_death(&MARIADB, "alone", Gap::UntilTheEnd, || value(&MARIADB, "alone", "first-password")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_user_of_mariadb_with_an_administrator() {
    MARIADB.prepare(None, &["CREATE DATABASE managed"]).await;
    every_death(&MARIADB, "managed", Gap::UntilTheEnd, || {
        let mut secret = with_administrator(value(&MARIADB, "managed", "first-password"));
        secret["rotationStrategy"] = json!("single");
        secret
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_of_mariadb() {
    let grant = format!("GRANT SELECT, INSERT ON turns.* TO {ADMINISTRATOR}@'%' WITH GRANT OPTION");
    MARIADB.prepare(None, &["CREATE DATABASE turns", &grant]).await;
    every_death(&MARIADB, "turns", Gap::None, || with_administrator(value(&MARIADB, "turns", "first-password"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_user_of_postgresql() {
    every_death(&POSTGRESQL, "alone", Gap::UntilTheEnd, || value(&POSTGRESQL, "alone", "first-password")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_of_postgresql() {
    every_death(&POSTGRESQL, "turns", Gap::None, || with_administrator(value(&POSTGRESQL, "turns", "first-password")))
        .await;
}
