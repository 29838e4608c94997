//! PostgreSQL, a real server: both strategies, five rotations in a row; an application that is never refused; objects
//! that belong to both users; what is refused, by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use database_tests::application::Application;
use database_tests::case::{Case, value, with_administrator};
use database_tests::server::{ADMINISTRATOR, ADMINISTRATORS_PASSWORD, OWNER, Server};
use rotate_database_user::engine::Login;
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::postgresql);

/// A database of a test's own and a user of the same name, who may read and write there.
async fn shop(name: &str) -> Value {
    let statements = [
        format!("CREATE ROLE {name} LOGIN PASSWORD 'first-password'"),
        format!("CREATE DATABASE {name}"),
        format!("GRANT CREATE, CONNECT ON DATABASE {name} TO {name}"),
    ];
    SERVER.prepare(None, &statements.each_ref().map(String::as_str)).await;
    let statements = [
        format!("CREATE SCHEMA shop; GRANT USAGE, CREATE ON SCHEMA shop TO {name}"),
        format!("CREATE TABLE shop.orders (id INT PRIMARY KEY); GRANT SELECT, INSERT ON shop.orders TO {name}"),
    ];
    SERVER.prepare(Some(name), &statements.each_ref().map(String::as_str)).await;
    let mut value = value(&SERVER, name, "first-password");
    value["dbname"] = json!(name);
    value
}

/// What somebody with the current value may do.
async fn may(case: &Case, statement: &str) -> Result<Vec<String>, String> {
    SERVER.ask(&case.login(&case.current()), statement).await
}

fn owner(database: &str) -> Login {
    SERVER.login(OWNER, ADMINISTRATORS_PASSWORD, Some(database))
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
        assert!(case.lets_in(&new).await, "the new password opens");
        assert!(!case.lets_in(&old).await, "the old one does not");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_take_turns_five_times_and_an_application_is_never_refused() {
    let case = Arc::new(Case::new(&SERVER, &with_administrator(shop("turns").await)));
    let application = Application::start(&case, "SELECT COUNT(*) FROM shop.orders");
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

/// Complaint 2: what the clone of AWS's own function makes belongs to the clone, and the other user cannot use it.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_either_twin_makes_belongs_to_the_original_and_both_can_change_it() {
    let case = Case::new(&SERVER, &with_administrator(shop("tables").await));
    case.rotate().await;
    assert_eq!(may(&case, "SELECT session_user || ' as ' || current_user").await.unwrap(), ["tables_clone as tables"]);
    may(&case, "CREATE TABLE shop.made (id INT)").await.unwrap();
    case.rotate().await;
    may(&case, "ALTER TABLE shop.made ADD COLUMN more INT").await.expect("made by the twin, the original's own");
    may(&case, "CREATE TABLE shop.again (id INT)").await.unwrap();
    case.rotate().await;
    may(&case, "DROP TABLE shop.again").await.expect("made by the original, the twin's own");
    let owners = SERVER.ask(&owner("tables"), "SELECT tableowner FROM pg_tables WHERE tablename = 'made'").await;
    assert_eq!(owners.unwrap(), ["tables"]);
}

/// Complaint 1: the clone misses what is granted later.
#[tokio::test(flavor = "multi_thread")]
async fn rights_and_settings_that_change_between_rotations_follow_on_the_twin() {
    let case = Case::new(&SERVER, &with_administrator(shop("rights").await));
    case.rotate().await;
    assert!(may(&case, "DELETE FROM shop.orders").await.is_err());
    SERVER
        .prepare(
            Some("rights"),
            &[
                "GRANT DELETE ON shop.orders TO rights",
                "REVOKE CREATE ON SCHEMA shop FROM rights",
                "ALTER ROLE rights SET search_path TO shop, \"Odd, name\"",
                "ALTER ROLE rights IN DATABASE rights SET statement_timeout TO '54321'",
                "ALTER ROLE rights CONNECTION LIMIT 77 VALID UNTIL '2031-01-01'",
            ],
        )
        .await;
    case.rotate().await;
    case.rotate().await;
    assert_eq!(case.current()["username"], "rights_clone");
    may(&case, "DELETE FROM orders").await.expect("granted to the original, so to the twin, and on its path");
    assert!(may(&case, "CREATE TABLE shop.more (id INT)").await.is_err(), "taken from the original");
    let path = "SELECT current_setting('search_path') || ' ' || current_setting('statement_timeout')";
    assert_eq!(may(&case, path).await.unwrap(), ["shop, \"Odd, name\" 54321ms"]);
    let limits = "SELECT rolconnlimit || ' ' || rolvaliduntil::date FROM pg_roles WHERE rolname = 'rights_clone'";
    assert_eq!(may(&case, limits).await.unwrap(), ["77 2031-01-01"]);
    SERVER.prepare(Some("rights"), &["ALTER ROLE rights RESET ALL", "ALTER ROLE rights VALID UNTIL 'infinity'"]).await;
    case.rotate().await;
    case.rotate().await;
    assert_eq!(may(&case, "SELECT current_setting('search_path')").await.unwrap(), ["\"$user\", public"]);
    let settings = "SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole \
                    WHERE rolname = 'rights_clone' AND setdatabase = 0";
    assert_eq!(may(&case, settings).await.unwrap(), ["role=rights"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twin_never_has_more_than_the_original() {
    let case = Case::new(&SERVER, &with_administrator(shop("more").await));
    case.rotate().await;
    SERVER
        .prepare(
            Some("more"),
            &["CREATE ROLE powers CREATEDB", "GRANT powers TO more_clone", "ALTER ROLE more_clone CREATEDB"],
        )
        .await;
    let did = case.rotate().await.join("\n");
    assert!(did.contains("REVOKE powers FROM more_clone") && did.contains("NOCREATEDB"), "it is told: {did}");
    SERVER.prepare(Some("more"), &["GRANT DELETE ON shop.orders TO more_clone"]).await;
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "NotPermitted", "what somebody else has granted, only they can take away: {error}");
    assert!(error.to_string().contains("REVOKE ALL ON TABLE shop.orders FROM more_clone"), "{error}");
    SERVER.prepare(Some("more"), &["REVOKE DELETE ON shop.orders FROM more_clone"]).await;
    case.go_on(&token).await.expect("and then it goes on");
}

/// Clones that AWS's function made own what they have made; they go on with this one.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_clone_of_awss_function_owns_is_handed_over() {
    let base = shop("moved").await;
    let prepared = [
        "CREATE ROLE moved_clone LOGIN PASSWORD 'second-password'; GRANT moved TO moved_clone",
        &format!("GRANT moved, moved_clone TO {ADMINISTRATOR}"),
        "SET ROLE moved_clone; CREATE TABLE shop.of_the_clone (id INT)",
    ];
    SERVER.prepare(Some("moved"), &prepared).await;
    let case = Case::new(&SERVER, &with_administrator(base));
    let did = case.rotate().await.join("\n");
    assert!(did.contains("REASSIGN OWNED"), "{did}");
    case.rotate().await;
    assert_eq!(case.current()["username"], "moved");
    may(&case, "ALTER TABLE shop.of_the_clone ADD COLUMN more INT").await.expect("it is the original's now");
}

/// Complaint 7: the current password must be right. Not where there is an administrator.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_somebody_changed_by_hand_is_put_right_by_the_administrator() {
    let mut base = with_administrator(shop("drifted").await);
    base["rotationStrategy"] = json!("single");
    let case = Case::new(&SERVER, &base);
    SERVER.prepare(None, &["ALTER ROLE drifted PASSWORD 'by-hand-and-told-nobody'"]).await;
    assert!(!case.lets_in(&case.current()).await);
    case.rotate().await;
    assert!(case.lets_in(&case.current()).await);
}

/// The servers log statements as they are; AWS's function sends the password itself.
#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_in_the_servers_log_although_it_logs_every_statement() {
    let case = Case::new(&SERVER, &with_administrator(shop("logged").await));
    let mut passwords = Vec::new();
    for _ in 0..3 {
        case.rotate().await;
        passwords.push(case.current()["password"].as_str().unwrap().to_owned());
    }
    SERVER.prepare(None, &["SELECT 'the end of the log'"]).await;
    let log = SERVER.log_up_to("the end of the log");
    assert!(log.contains("ALTER ROLE \"logged_clone\" PASSWORD 'SCRAM-SHA-256$"), "the log has the statement");
    assert!(passwords.iter().all(|password| !log.contains(password)), "and not the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_may_hold_any_character() {
    let mut base = shop("characters").await;
    base["passwordRules"] = json!({ "ExcludeCharacters": "", "PasswordLength": 120 });
    let case = Case::new(&SERVER, &base);
    for _ in 0..3 {
        case.rotate().await;
        assert!(case.lets_in(&case.current()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_quoted() {
    let name = "Odd \"name\"; DROP";
    let quoted = "\"Odd \"\"name\"\"; DROP\"";
    SERVER.prepare(None, &[&format!("CREATE ROLE {quoted} LOGIN PASSWORD 'first-password'")]).await;
    let case = Case::new(&SERVER, &with_administrator(value(&SERVER, name, "first-password")));
    case.rotate().await;
    assert_eq!(may(&case, "SELECT current_user").await.unwrap(), [name]);
    case.rotate().await;
    assert_eq!(case.current()["username"], name);
}

/// Complaint 24: AWS's functions fall back to plaintext, and hide the cause.
#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_another_error_than_a_wrong_password_and_names_its_cause() {
    let base = shop("closed").await;
    let failure = async |case: &Case| {
        let token = case.begin();
        let error = case.go_on(&token).await.unwrap_err();
        (error.name(), error.to_string())
    };
    let mut elsewhere = base.clone();
    elsewhere["port"] = json!(database_tests::server::free_port());
    let (name, said) = failure(&Case::new(&SERVER, &elsewhere)).await;
    assert!(name == "CannotConnect" && said.contains("refused"), "{said}");
    let mut other_name = base.clone();
    other_name["host"] = json!("127.0.0.1");
    let (name, said) = failure(&Case::new(&SERVER, &other_name)).await;
    assert!(name == "CannotConnect" && said.to_lowercase().contains("certificate"), "{said}");
    let untrusting = Case { trusts_the_server: false, ..Case::new(&SERVER, &base) };
    let (name, said) = failure(&untrusting).await;
    assert!(name == "CannotConnect" && said.to_lowercase().contains("certificate"), "{said}");
    SERVER.prepare(None, &["ALTER ROLE closed PASSWORD 'by-hand-and-told-nobody'"]).await;
    let (name, said) = failure(&Case::new(&SERVER, &base)).await;
    assert!(name == "WrongPassword" && said.contains("28P01"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dual_passwords_are_refused_since_postgresql_has_none() {
    let mut base = shop("doubled").await;
    base["rotationStrategy"] = json!("dual-password");
    let case = Case::new(&SERVER, &base);
    let token = case.begin();
    assert_eq!(case.go_on(&token).await.unwrap_err().name(), "NotPossible");
    assert!(case.lets_in(&base).await);
}
