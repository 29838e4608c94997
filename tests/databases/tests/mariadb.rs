//! MariaDB, a real server: both strategies, five rotations in a row; an application that is never refused; rights that
//! follow; what is refused, by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use database_tests::application::Application;
use database_tests::case::{Case, value, with_administrator};
use database_tests::server::{ADMINISTRATOR, Server};
use rotate_database_user::engine::Statement;
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::mariadb);

/// A database of a test's own and a user of the same name, who may read and write there.
async fn shop(name: &str) -> Value {
    SERVER
        .prepare(
            None,
            &[
                &format!("CREATE DATABASE {name}"),
                &format!("CREATE TABLE {name}.orders (id INT PRIMARY KEY)"),
                &format!("CREATE USER {name}@'%' IDENTIFIED BY 'first-password'"),
                &format!("GRANT SELECT, INSERT, CREATE ON {name}.* TO {name}@'%'"),
                &format!("GRANT ALL PRIVILEGES ON {name}.* TO {ADMINISTRATOR}@'%' WITH GRANT OPTION"),
            ],
        )
        .await;
    value(&SERVER, name, "first-password")
}

/// What somebody with the current value may do.
async fn may(case: &Case, statement: &str) -> Result<Vec<String>, String> {
    SERVER.ask(&case.login(&case.current()), statement).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_user_has_only_the_newest_password_after_each_of_five_rotations() {
    let case = Case::new(&SERVER, &shop("single").await);
    for _ in 0..5 {
        let old = case.current();
        case.rotate().await;
        let new = case.current();
        assert_eq!(new["username"], old["username"]);
        assert_ne!(new["password"], old["password"]);
        assert_eq!(new["team"], "kept", "members that we do not know are kept");
        assert!(case.lets_in(&new).await, "the new password opens");
        assert!(!case.lets_in(&old).await, "the old one does not");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_take_turns_five_times_and_an_application_is_never_refused() {
    let case = Arc::new(Case::new(&SERVER, &with_administrator(shop("turns").await)));
    let application = Application::start(&case, "SELECT COUNT(*) FROM turns.orders");
    let mut users = Vec::new();
    for _ in 0..5 {
        let old = case.current();
        case.rotate().await;
        let new = case.current();
        assert!(case.lets_in(&new).await && case.lets_in(&old).await, "who read the secret before goes on");
        users.push(new["username"].as_str().unwrap().to_owned());
    }
    let tally = application.stop().await;
    assert_eq!(users, ["turns_clone", "turns", "turns_clone", "turns", "turns_clone"]);
    assert_eq!(tally.failures, Vec::<String>::new());
    assert!(tally.successes > 20, "it asked all the time: {tally:?}");
}

/// Complaint 1: the clone of AWS's own function misses what is granted later, WITH GRANT OPTION and default roles.
#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_given_and_taken_between_rotations_follow_on_the_twin() {
    let case = Case::new(&SERVER, &with_administrator(shop("rights").await));
    case.rotate().await;
    assert!(may(&case, "DELETE FROM rights.orders").await.is_err());
    SERVER
        .prepare(
            None,
            &[
                "GRANT DELETE ON rights.* TO rights@'%' WITH GRANT OPTION",
                "REVOKE CREATE ON rights.* FROM rights@'%'",
                "CREATE ROLE auditor",
                &format!("GRANT auditor TO {ADMINISTRATOR}@'%' WITH ADMIN OPTION"),
                "CREATE DATABASE ledger",
                "CREATE TABLE ledger.entries (id INT)",
                "GRANT SELECT ON ledger.* TO auditor",
                "GRANT auditor TO rights@'%'",
                "SET DEFAULT ROLE auditor FOR rights@'%'",
            ],
        )
        .await;
    case.rotate().await;
    case.rotate().await;
    assert_eq!(case.current()["username"], "rights_clone");
    may(&case, "DELETE FROM rights.orders").await.expect("granted to the original, so to the twin");
    assert!(may(&case, "CREATE TABLE rights.more (id INT)").await.is_err(), "taken from the original");
    may(&case, "SELECT * FROM ledger.entries").await.expect("the role is active from the login on");
    let grants = may(&case, "SHOW GRANTS FOR CURRENT_USER").await.unwrap().join("\n");
    assert!(grants.contains("WITH GRANT OPTION"), "{grants}");
    SERVER.prepare(None, &["REVOKE auditor FROM rights@'%'", "REVOKE GRANT OPTION ON rights.* FROM rights@'%'"]).await;
    case.rotate().await;
    case.rotate().await;
    let grants = may(&case, "SHOW GRANTS FOR CURRENT_USER").await.unwrap().join("\n");
    assert!(!grants.contains("WITH GRANT OPTION") && !grants.contains("GRANT `auditor`"), "{grants}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twin_never_has_more_than_the_original() {
    let case = Case::new(&SERVER, &with_administrator(shop("more").await));
    case.rotate().await;
    SERVER.prepare(None, &["GRANT ALL PRIVILEGES ON more.* TO more_clone@'%' WITH GRANT OPTION"]).await;
    let did = case.rotate().await.join("\n");
    assert!(did.contains("REVOKE"), "it is told: {did}");
    case.rotate().await;
    assert_eq!(case.current()["username"], "more_clone");
    assert!(may(&case, "DROP TABLE more.orders").await.is_err());
    may(&case, "SELECT * FROM more.orders").await.expect("what the original may, the twin may");
}

/// Complaint 25: MySQL's users are a name and a host, and the clone had only the host %.
#[tokio::test(flavor = "multi_thread")]
async fn every_host_of_a_user_is_a_user_and_the_twin_has_the_same() {
    let base = shop("hosts").await;
    SERVER
        .prepare(
            None,
            &[
                "CREATE USER hosts@'127.0.0.1' IDENTIFIED BY 'first-password' REQUIRE SSL WITH MAX_USER_CONNECTIONS 50",
                "GRANT SELECT ON hosts.* TO hosts@'127.0.0.1'",
                "CREATE USER hosts@'10.%' IDENTIFIED BY 'first-password'",
            ],
        )
        .await;
    let case = Case::new(&SERVER, &with_administrator(base));
    case.rotate().await;
    assert!(may(&case, "INSERT INTO hosts.orders VALUES (1)").await.is_err(), "from 127.0.0.1 it may only read");
    may(&case, "SELECT * FROM hosts.orders").await.unwrap();
    let list = "SELECT GROUP_CONCAT(Host ORDER BY Host) FROM mysql.user WHERE User = 'hosts_clone'";
    let owner = SERVER.login("owner", database_tests::server::ADMINISTRATORS_PASSWORD, None);
    assert_eq!(SERVER.ask(&owner, list).await.unwrap(), ["%,10.%,127.0.0.1"]);
    let shown = SERVER.ask(&owner, "SHOW CREATE USER hosts_clone@'127.0.0.1'").await.unwrap().join("");
    assert!(shown.contains("REQUIRE SSL WITH MAX_USER_CONNECTIONS 50"), "{shown}");
    SERVER.prepare(None, &["DROP USER hosts@'10.%'"]).await;
    case.rotate().await;
    assert_eq!(
        SERVER.ask(&owner, list).await.unwrap(),
        ["%,127.0.0.1"],
        "where the original may not come from any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_one_twin_makes_is_the_others_as_well() {
    let case = Case::new(&SERVER, &with_administrator(shop("tables").await));
    case.rotate().await;
    may(&case, "CREATE TABLE tables.made (id INT)").await.unwrap();
    case.rotate().await;
    may(&case, "INSERT INTO tables.made VALUES (1)").await.expect("made by the twin, used by the original");
    may(&case, "CREATE TABLE tables.again (id INT)").await.unwrap();
    case.rotate().await;
    may(&case, "INSERT INTO tables.again VALUES (1)").await.expect("made by the original, used by the twin");
}

/// Complaint 7: the current password must be right. Not where there is an administrator.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_somebody_changed_by_hand_is_put_right_by_the_administrator() {
    let mut base = with_administrator(shop("drifted").await);
    base["rotationStrategy"] = json!("single");
    let case = Case::new(&SERVER, &base);
    SERVER.prepare(None, &["ALTER USER drifted@'%' IDENTIFIED BY 'by-hand-and-told-nobody'"]).await;
    assert!(!case.lets_in(&case.current()).await);
    case.rotate().await;
    assert_eq!(case.current()["username"], "drifted");
    assert!(case.lets_in(&case.current()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_administrator_a_changed_password_is_an_error_that_says_so_and_the_previous_one_is_tried() {
    let case = Case::new(&SERVER, &shop("byhand").await);
    case.rotate().await;
    let previous = case.labelled("AWSPREVIOUS").unwrap()["password"].as_str().unwrap().to_owned();
    SERVER.prepare(None, &[&format!("ALTER USER byhand@'%' IDENTIFIED BY '{previous}'")]).await;
    let did = case.rotate().await.join("; ");
    assert!(did.contains("let in by AWSPREVIOUS"), "{did}");
    SERVER.prepare(None, &["ALTER USER byhand@'%' IDENTIFIED BY 'by-hand-and-told-nobody'"]).await;
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "WrongPassword");
    let said = error.to_string();
    assert!(said.contains("AWSPENDING, AWSCURRENT, AWSPREVIOUS") && said.contains("masterarn"), "{said}");
    assert!(said.contains(&format!("localhost:{}", SERVER.port)) && said.contains("byhand"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_may_hold_any_character() {
    let mut base = shop("characters").await;
    base["passwordRules"] = json!({ "ExcludeCharacters": "", "PasswordLength": 120 });
    let case = Case::new(&SERVER, &base);
    for _ in 0..3 {
        case.rotate().await;
        let password = case.current()["password"].as_str().unwrap().to_owned();
        assert_eq!(password.len(), 120);
        assert!(case.lets_in(&case.current()).await, "{password}");
    }
}

/// Complaint 24: AWS's functions fall back to plaintext, and hide the cause.
#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_another_error_than_a_wrong_password_and_names_its_cause() {
    let base = shop("closed").await;
    let cause_of = async |case: &Case| {
        let token = case.begin();
        let error = case.go_on(&token).await.unwrap_err();
        assert_eq!(error.name(), "CannotConnect", "{error}");
        error.to_string()
    };
    let mut elsewhere = base.clone();
    elsewhere["port"] = json!(database_tests::server::free_port());
    let refused = cause_of(&Case::new(&SERVER, &elsewhere)).await;
    assert!(refused.contains("refused"), "{refused}");
    let mut other_name = base.clone();
    other_name["host"] = json!("127.0.0.1");
    let wrong_name = cause_of(&Case::new(&SERVER, &other_name)).await;
    assert!(wrong_name.to_lowercase().contains("certificate"), "{wrong_name}");
    let untrusting = Case { trusts_the_server: false, ..Case::new(&SERVER, &base) };
    let untrusted = cause_of(&untrusting).await;
    assert!(untrusted.to_lowercase().contains("certificate"), "{untrusted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_not_talked_to() {
    static PLAIN: LazyLock<Server> = LazyLock::new(Server::mariadb_without_tls);
    let case = Case::new(&PLAIN, &value(&PLAIN, "app", "first-password"));
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "CannotConnect", "{error}");
    assert!(error.to_string().contains("SSL"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_refused_by_name() {
    static REPLICA: LazyLock<Server> = LazyLock::new(Server::mariadb);
    REPLICA.prepare(None, &["CREATE USER app@'%' IDENTIFIED BY 'first-password'", "SET GLOBAL read_only = ON"]).await;
    for base in [value(&REPLICA, "app", "first-password"), with_administrator(value(&REPLICA, "app", "first-password"))]
    {
        let case = Case::new(&REPLICA, &base);
        let token = case.begin();
        assert_eq!(case.go_on(&token).await.unwrap_err().name(), "ReadOnlyServer");
        assert!(case.lets_in(&base).await, "nothing was changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_the_administrator_lacks_is_named() {
    let base = with_administrator(shop("lacking").await);
    SERVER.prepare(None, &["CREATE DATABASE vault", "GRANT SELECT ON vault.* TO lacking@'%'"]).await;
    let case = Case::new(&SERVER, &base);
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "NotPermitted");
    let said = error.to_string();
    assert!(said.contains("GRANT SELECT ON `vault`.*") && said.contains(ADMINISTRATOR), "{said}");
    assert!(case.lets_in(&case.current()).await, "the application goes on");
    SERVER.prepare(None, &[&format!("GRANT SELECT ON vault.* TO {ADMINISTRATOR}@'%' WITH GRANT OPTION")]).await;
    case.go_on(&token).await.expect("Secrets Manager tries again, and now it may");
}

#[tokio::test(flavor = "multi_thread")]
async fn dual_passwords_are_refused_since_mariadb_has_none() {
    let mut base = with_administrator(shop("doubled").await);
    base["rotationStrategy"] = json!("dual-password");
    let case = Case::new(&SERVER, &base);
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "NotPossible");
    assert!(error.to_string().contains("8.0.14") && error.to_string().contains("MariaDB"), "{error}");
    assert!(case.lets_in(&base).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_has_no_password_is_refused_by_name() {
    let base = shop("socket").await;
    SERVER.prepare(None, &["ALTER USER socket@'%' IDENTIFIED VIA unix_socket"]).await;
    let case = Case::new(&SERVER, &with_administrator(base));
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "NotPossible");
    assert!(error.to_string().contains("unix_socket"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_running_session_of_the_old_user_goes_on() {
    let case = Case::new(&SERVER, &with_administrator(shop("sessions").await));
    let mut session = SERVER.enter(&case.login(&case.current())).await.unwrap();
    case.rotate().await;
    session.run(&Statement::new("SELECT * FROM sessions.orders")).await.expect("it is not thrown out");
}
