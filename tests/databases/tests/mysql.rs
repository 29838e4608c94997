//! What only MySQL has, against the stand-in: dual passwords, and roles as MySQL spells them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use database_tests::application::Application;
use database_tests::case::{Case, value, with_administrator};
use database_tests::mysql_stand_in::MySql;
use database_tests::server::{ADMINISTRATOR, ADMINISTRATORS_PASSWORD, Server};
use serde_json::{Value, json};

/// A server with an administrator and a user `app`, and that user's secret.
async fn mysql(version: &'static str) -> (MySql, &'static Server, Value) {
    let mysql = MySql::new(version);
    mysql.account(ADMINISTRATOR, "%", |account| ADMINISTRATORS_PASSWORD.clone_into(&mut account.password));
    mysql.account("app", "%", |app| {
        "first-password".clone_into(&mut app.password);
        app.privileges.insert("`shop`.*".into(), ["SELECT".into(), "INSERT".into()].into());
        app.privileges.insert("*.*".into(), ["APPLICATION_PASSWORD_ADMIN".into()].into());
    });
    let server: &'static Server = Box::leak(Box::new(Server::stand_in(mysql.clone()).await));
    (mysql, server, value(server, "app", "first-password"))
}

fn dual(mut secret: Value) -> Value {
    secret["rotationStrategy"] = json!("dual-password");
    secret
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_two_passwords_is_never_refused_and_the_one_before_the_last_ends() {
    for administered in [false, true] {
        let (_, server, secret) = mysql("8.0.36").await;
        let secret = if administered { with_administrator(secret) } else { secret };
        let case = Arc::new(Case::new(server, &dual(secret)));
        let application = Application::start(&case, "SELECT CURRENT_USER()");
        let mut before = case.current();
        for _ in 0..5 {
            let old = case.current();
            case.rotate().await;
            assert_eq!(case.current()["username"], "app", "one user");
            assert!(case.lets_in(&case.current()).await && case.lets_in(&old).await, "both passwords open");
            if before != old {
                assert!(!case.lets_in(&before).await, "the one before does not");
            }
            before = old;
        }
        let tally = application.stop().await;
        assert_eq!(tally.failures, Vec::<String>::new());
        assert!(tally.successes > 0);
    }
}

/// RETAIN CURRENT PASSWORD twice would keep the new password and drop the one that applications still have.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_comes_twice_does_not_drop_the_old_password() {
    for administered in [false, true] {
        let (mysql, server, secret) = mysql("9.4.0").await;
        let secret = dual(if administered { with_administrator(secret) } else { secret });
        let case = Case::new(server, &secret);
        let token = case.begin();
        case.step("createSecret", &token).await.unwrap();
        for _ in 0..3 {
            case.step("setSecret", &token).await.unwrap();
        }
        assert_eq!(mysql.account("app", "%", |app| app.retained.clone()).unwrap(), "first-password");
        assert!(case.lets_in(&case.current()).await, "applications go on");
        case.go_on(&token).await.unwrap();
        assert!(case.lets_in(&secret).await, "and after the rotation as well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deaths_of_a_rotation_with_dual_passwords_lose_no_password() {
    for instant in 0..60 {
        let (_, server, secret) = mysql("8.4.0").await;
        let case = Case::new(server, &dual(with_administrator(secret)));
        let token = case.begin();
        case.mortality.die_at(instant);
        let died = tokio::select! {
            biased;
            () = case.mortality.died() => true,
            ended = case.go_on(&token) => { ended.unwrap(); false }
        };
        case.mortality.live();
        let old = case.current();
        assert!(case.lets_in(&old).await, "at instant {instant}");
        case.go_on(&token).await.unwrap();
        assert!(case.lets_in(&case.current()).await && case.lets_in(&old).await, "after instant {instant}");
        if !died {
            assert!(instant > 15, "it died at {instant} instants");
            return;
        }
    }
    panic!("a rotation has an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_mysql_and_a_user_without_the_right_are_refused_by_name() {
    let (_, server, secret) = mysql("8.0.13").await;
    let case = Case::new(server, &dual(secret));
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert!(error.name() == "NotPossible" && error.to_string().contains("8.0.14"), "{error}");
    let (mysql, server, secret) = mysql("8.0.36").await;
    mysql.account("app", "%", |app| app.privileges.remove("*.*"));
    let case = Case::new(server, &dual(secret.clone()));
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert!(error.name() == "NotPermitted" && error.to_string().contains("APPLICATION_PASSWORD_ADMIN"), "{error}");
    let pending = case.labelled("AWSPENDING").unwrap()["password"].as_str().unwrap().to_owned();
    assert!(!error.to_string().contains(&pending), "the statement is shown without its password");
    assert!(case.lets_in(&secret).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn dual_passwords_of_several_hosts_are_refused() {
    let (mysql, server, secret) = mysql("8.0.36").await;
    mysql.account("app", "10.%", |app| "first-password".clone_into(&mut app.password));
    let case = Case::new(server, &dual(with_administrator(secret)));
    let token = case.begin();
    let error = case.go_on(&token).await.unwrap_err();
    assert!(error.name() == "NotPossible" && error.to_string().contains("several users"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_have_the_same_roles_default_roles_options_and_limits() {
    let (mysql, server, secret) = mysql("8.0.36").await;
    let limits = "REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 \
                  MAX_USER_CONNECTIONS 7";
    mysql.account("app", "%", |app| {
        app.roles = [("`reader`@`%`".to_owned(), false), ("`writer`@`%`".to_owned(), true)].into();
        app.default_roles = vec!["`reader`@`%`".into()];
        app.grantable.insert("`shop`.*".into());
        limits.clone_into(&mut app.requirements);
    });
    let case = Case::new(server, &with_administrator(secret));
    case.rotate().await;
    assert_eq!(case.current()["username"], "app_clone");
    let rights = |user: &str| {
        mysql.account(user, "%", |account| {
            let roles = (account.roles.clone(), account.default_roles.clone());
            (account.privileges.clone(), account.grantable.clone(), roles, account.requirements.clone())
        })
    };
    assert_eq!(rights("app_clone"), rights("app"));
    mysql.account("app", "%", |app| {
        app.roles = [("`writer`@`%`".to_owned(), false)].into();
        app.default_roles.clear();
        app.grantable.clear();
        app.requirements.clear();
    });
    let did = case.rotate().await.join("\n");
    assert!(did.contains("REVOKE `reader`@`%`") && did.contains("SET DEFAULT ROLE NONE"), "{did}");
    let (privileges, grantable, roles, _) = rights("app_clone");
    assert_eq!((privileges, grantable, roles), {
        let app = rights("app");
        (app.0, app.1, app.2)
    });
}
