//! Secrets Manager's contract: every step twice and late, too early and for the wrong version; both ends that labels
//! may come to; first values; and what is refused before anything is changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use database_tests::case::{Case, MASTER, SECRET, STEPS, value, with_administrator};
use database_tests::server::{ADMINISTRATORS_PASSWORD, Server};
use sandbox::cloud::Effect;
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::mariadb);

/// A user who may log in.
async fn user(name: &str) -> Value {
    SERVER.prepare(None, &[&format!("CREATE USER {name}@'%' IDENTIFIED BY 'first-password'")]).await;
    value(&SERVER, name, "first-password")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_may_come_again_and_changes_nothing_then() {
    for base in [user("again").await, with_administrator(user("again2").await)] {
        let case = Case::new(&SERVER, &base);
        let token = case.begin();
        for (number, step) in STEPS.into_iter().enumerate() {
            case.step(step, &token).await.unwrap();
            let pending = case.labelled(if number < 3 { "AWSPENDING" } else { "AWSCURRENT" });
            for earlier in &STEPS[..=number] {
                case.step(earlier, &token).await.unwrap_or_else(|error| panic!("{earlier} after {step}: {error}"));
            }
            let still = case.labelled(if number < 3 { "AWSPENDING" } else { "AWSCURRENT" });
            assert_eq!(still, pending, "the value is the one that was stored first");
        }
        assert!(case.lets_in(&case.current()).await);
        assert_eq!(case.labelled("AWSPREVIOUS").unwrap()["password"], "first-password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_taken_in_the_spelling_of_the_documentation_too() {
    let case = Case::new(&SERVER, &user("spelling").await);
    let token = case.begin();
    for step in ["create_secret", "set_secret", "test_secret", "finish_secret"] {
        case.step(step, &token).await.unwrap();
    }
    assert!(case.labels_of(&token).contains(&"AWSCURRENT".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_comes_too_early_says_so_and_changes_nothing() {
    let base = user("early").await;
    let case = Case::new(&SERVER, &base);
    let token = case.begin();
    for step in ["setSecret", "finishSecret"] {
        let error = case.step(step, &token).await.unwrap_err();
        assert_eq!(error.name(), "TooEarly");
        assert!(error.to_string().contains(step) && error.to_string().contains("createSecret"), "{error}");
    }
    case.step("createSecret", &token).await.unwrap();
    assert_eq!(case.step("testSecret", &token).await.unwrap_err().name(), "WrongPassword");
    let error = case.step("finishSecret", &token).await.unwrap_err();
    assert_eq!(error.name(), "TooEarly", "AWSCURRENT never moves onto a password that does not work: {error}");
    assert!(case.lets_in(&case.current()).await && case.current() == base);
    case.go_on(&token).await.expect("the rotation goes on from there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_not_pending_is_refused_and_an_old_one_as_well() {
    let case = Case::new(&SERVER, &user("notpending").await);
    let old = case.begin();
    case.go_on(&old).await.unwrap();
    case.rotate().await;
    for version in ["00000000-0000-0000-0000-000000000000", old.as_str()] {
        for step in STEPS {
            let error = case.step(step, version).await.unwrap_err();
            assert_eq!(error.name(), "VersionNotPending", "{step}: {error}");
        }
    }
    assert!(case.lets_in(&case.current()).await);
}

/// RotateImmediately=false: AWS makes a pending version without a value and calls testSecret alone (FACTS D).
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_pending_version_is_tested_with_the_current_value() {
    let case = Case::new(&SERVER, &user("empty").await);
    let token = case.begin();
    let did = case.step("testSecret", &token).await.unwrap();
    assert!(did[0].contains("AWSCURRENT"), "{did:?}");
    SERVER.prepare(None, &["ALTER USER empty@'%' IDENTIFIED BY 'by-hand-and-told-nobody'"]).await;
    assert_eq!(case.step("testSecret", &token).await.unwrap_err().name(), "WrongPassword");
}

/// Complaints 3 and 4: AWS leaves AWSPENDING on the new version, or takes it off; rotations go on from both.
#[tokio::test(flavor = "multi_thread")]
async fn both_ends_that_aws_leaves_labels_in_are_a_good_start() {
    for (takes_off, name) in [(true, "takenoff"), (false, "leftthere")] {
        let case = Case::new(&SERVER, &user(name).await);
        case.cloud.set_promotion_takes_pending_off(takes_off);
        for _ in 0..3 {
            let token = case.begin();
            case.go_on(&token).await.unwrap();
            let labels = if takes_off { vec!["AWSCURRENT"] } else { vec!["AWSCURRENT", "AWSPENDING"] };
            assert_eq!(case.labels_of(&token), labels);
            case.go_on(&token).await.expect("and all four come again");
        }
        // A call of ours that takes AWSPENDING off would tell AWS that the rotation did not complete.
        let calls = case.cloud.journal();
        let ours = calls.iter().filter(|event| event.is_call && event.action == "UpdateSecretVersionStage");
        let took = ours.filter(|event| {
            event
                .effects
                .iter()
                .all(|effect| matches!(effect, Effect::LabelMoved { label, .. } if label == "AWSPENDING"))
                && !event.effects.is_empty()
        });
        assert_eq!(took.count(), 0);
    }
}

/// Complaint 5: a rotation before the secret has a value.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_without_a_value_is_refused_until_its_tags_say_what_the_first_shall_be() {
    let case = Case::without_value(&SERVER);
    case.cloud.add_secret(SECRET, None);
    let token = case.begin();
    for step in ["createSecret", "setSecret", "finishSecret"] {
        let name = case.step(step, &token).await.unwrap_err().name();
        assert_eq!(name, if step == "createSecret" { "NoValueYet" } else { "TooEarly" });
    }
    case.step("testSecret", &token).await.expect("there is nothing to log in with yet, and that is no error");
    SERVER.prepare(None, &["CREATE USER firstvalue@'%' IDENTIFIED BY 'nobody-knows-this'"]).await;
    let tags = [
        ("engine", "mariadb"),
        ("host", "localhost"),
        ("port", &SERVER.port.to_string()),
        ("username", "firstvalue"),
        ("masterarn", MASTER),
    ];
    let tags = tags.map(|(key, value)| json!({ "Key": format!("database:{key}"), "Value": value }));
    case.call("TagResource", json!({ "SecretId": SECRET, "Tags": tags })).unwrap();
    case.go_on(&token).await.unwrap();
    assert_eq!(case.current()["username"], "firstvalue");
    assert!(case.lets_in(&case.current()).await);
    case.rotate().await;
    assert_eq!(case.current()["username"], "firstvalue_clone", "and from then on users take turns");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_a_password_gets_its_first_one_from_the_administrator() {
    let mut base = with_administrator(user("nopassword").await);
    base.as_object_mut().unwrap().remove("password");
    let case = Case::new(&SERVER, &base);
    case.rotate().await;
    assert_eq!(case.current()["username"], "nopassword");
    assert!(case.lets_in(&case.current()).await);
    base.as_object_mut().unwrap().remove("masterarn");
    let case = Case::new(&SERVER, &base);
    let token = case.begin();
    assert_eq!(case.go_on(&token).await.unwrap_err().name(), "NoAdministrator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_does_not_exist_is_created_only_where_the_secret_says_so() {
    let mut base = with_administrator(value(&SERVER, "newcomer", "first-password"));
    let case = Case::new(&SERVER, &base);
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "UserMissing", "a mistyped name makes no user: {error}");
    base["createUser"] = json!(true);
    base["rotationStrategy"] = json!("single");
    let case = Case::new(&SERVER, &base);
    case.rotate().await;
    assert!(case.lets_in(&case.current()).await);
}

/// Complaints 6 and 8: members that are missing, rules that cannot be obeyed; said before a database is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_rotated_is_refused_by_the_first_step() {
    let good = value(&SERVER, "refused", "first-password");
    let changed = |member: &str, to: Value| {
        let mut base = good.clone();
        base[member] = to;
        base
    };
    let rules = json!({ "PasswordLength": 5 });
    for (base, name) in [
        (changed("engine", Value::Null), "SecretValueUnreadable"),
        (changed("engine", json!("oracle-ee")), "SecretValueUnreadable"),
        (changed("engine", json!("db2-se")), "SecretValueUnreadable"),
        (changed("host", Value::Null), "SecretValueUnreadable"),
        (changed("port", json!("x")), "SecretValueUnreadable"),
        (changed("passwordRules", rules), "PasswordRules"),
        (changed("rotationStrategy", json!("both")), "InvalidSettings"),
        (changed("rotationStrategy", json!("alternating")), "NoAdministrator"),
        (changed("host", json!("shop.proxy-abc.eu-west-1.rds.amazonaws.com")), "BehindProxy"),
        (with_administrator(changed("username", json!("a".repeat(30)))), "NameTooLong"),
    ] {
        let case = Case::new(&SERVER, &base);
        let token = case.begin();
        let error = case.step("createSecret", &token).await.unwrap_err();
        assert_eq!(error.name(), name, "{error}");
        assert!(!error.to_string().contains("first-password"));
        assert_eq!(case.labelled("AWSPENDING"), None, "nothing was stored");
    }
}

/// Who may write the secret could else send a session of the administrator's wherever they like.
#[tokio::test(flavor = "multi_thread")]
async fn a_pending_value_that_means_something_else_is_refused() {
    let base = user("deputy").await;
    for (member, other) in [("host", json!("127.0.0.1")), ("username", json!("root")), ("engine", json!("postgres"))] {
        let case = Case::new(&SERVER, &base);
        let token = case.begin();
        let mut pending = base.clone();
        pending[member] = other;
        let put = json!({
            "SecretId": SECRET, "ClientRequestToken": token, "VersionStages": ["AWSPENDING"],
            "SecretString": pending.to_string(),
        });
        case.call("PutSecretValue", put).unwrap();
        let error = case.step("setSecret", &token).await.unwrap_err();
        assert_eq!(error.name(), "DifferentInPending", "{error}");
        assert!(case.lets_in(&base).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_value_without_a_password_opens_no_account() {
    for password in [Value::Null, json!("")] {
        let base = user(if password.is_null() { "nopending" } else { "emptypending" }).await;
        let case = Case::new(&SERVER, &base);
        let token = case.begin();
        let mut pending = base.clone();
        pending["password"] = password;
        let put = json!({
            "SecretId": SECRET, "ClientRequestToken": token, "VersionStages": ["AWSPENDING"],
            "SecretString": pending.to_string(),
        });
        case.call("PutSecretValue", put).unwrap();
        for step in ["setSecret", "testSecret", "finishSecret"] {
            assert_eq!(case.step(step, &token).await.unwrap_err().name(), "SecretValueUnreadable", "{step}");
        }
        assert!(case.lets_in(&base).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_another_server_is_refused_and_rdss_own_is_known_by_its_tag() {
    let base = with_administrator(user("masters").await);
    let store = |case: &Case, value: Value| {
        case.call("PutSecretValue", json!({ "SecretId": MASTER, "SecretString": value.to_string() })).unwrap();
    };
    let case = Case::new(&SERVER, &base);
    let token = case.begin();
    store(&case, json!({ "host": "other.example", "username": "administrator", "password": ADMINISTRATORS_PASSWORD }));
    assert_eq!(case.go_on(&token).await.unwrap_err().name(), "MasterOfAnotherServer");
    // RDS's own have no host (complaint 6), and a tag that says whose they are; here there is none.
    store(&case, json!({ "username": "administrator", "password": ADMINISTRATORS_PASSWORD }));
    let error = case.go_on(&token).await.unwrap_err();
    assert!(error.name() == "MasterOfAnotherServer" && error.to_string().contains("no tag of RDS's"), "{error}");
    store(&case, json!({ "host": "LOCALHOST", "username": "administrator", "password": "wrong-password" }));
    let error = case.go_on(&token).await.unwrap_err();
    assert_eq!(error.name(), "WrongPassword");
    assert!(error.to_string().contains("administrator's"), "{error}");
    store(&case, json!({ "host": "LOCALHOST", "username": "administrator", "password": ADMINISTRATORS_PASSWORD }));
    case.go_on(&token).await.expect("the same server, in capital letters");
}

/// The ways in which a step's failure is told to Secrets Manager, to the log and to people hold no password.
#[tokio::test(flavor = "multi_thread")]
async fn no_step_tells_a_password() {
    let case = Case::new(&SERVER, &with_administrator(user("quiet").await));
    let token = case.begin();
    let mut told = case.go_on(&token).await.unwrap();
    SERVER.prepare(None, &["DROP USER quiet_clone@'%'", "DROP USER quiet@'%'"]).await;
    let token = case.begin();
    told.push(case.go_on(&token).await.unwrap_err().to_string());
    let secrets: Vec<String> = ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"]
        .iter()
        .filter_map(|label| Some(case.labelled(label)?["password"].as_str()?.to_owned()))
        .chain([ADMINISTRATORS_PASSWORD.to_owned()])
        .collect();
    assert_eq!(secrets.len(), 4);
    for line in &told {
        assert!(secrets.iter().all(|secret| !line.contains(secret)), "{line}");
    }
}

/// What is written is seen late: a step that does not see it yet fails, and the rotation as a whole converges.
#[tokio::test(flavor = "multi_thread")]
async fn a_secrets_manager_that_shows_things_late_only_delays() {
    let case = Case::new(&SERVER, &user("late").await);
    let usual = sandbox::cloud::Visibility::usual();
    case.cloud.set_visibility(usual);
    for _ in 0..3 {
        let token = case.begin();
        let mut tries = 0;
        while let Err(error) = case.go_on(&token).await {
            tries += 1;
            assert!(tries < 20, "{error}");
        }
        case.cloud.clock().sleep(std::time::Duration::from_secs(1)).await;
        assert!(case.lets_in(&case.current()).await);
    }
}
