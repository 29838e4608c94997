//! Two logins that take turns: the one whose turn it is is changed, the other one is brought to what was promoted for it
//! last, and both have the same rights.

use rotation::host_answer::HostError;
use sandbox::host::{Database, DatabaseUser, OpenSession, Permission, SqlServer};

use crate::cloud::{NEW_PASSWORD, OLD, OLD_PASSWORD};
use crate::logins::{APP_A, APP_B, OLDER_PASSWORD};
use crate::situation::{Answer, Row, Situation, altered, failed, host_failed, proved, rows};
use crate::stage::{DEFAULT, empty_sql_server};

pub const ROWS: &[Row] = rows![
    the_login_whose_turn_it_is_is_changed_and_the_other_one_is_not,
    a_host_that_is_behind_in_both_is_brought_to_both,
    a_login_for_which_nothing_was_promoted_is_passed_over,
    a_twin_that_is_missing_is_named,
    a_login_that_is_still_used_is_not_changed_and_who_uses_it_is_named,
    what_is_promoted_is_brought_to_a_late_host_whoever_is_logged_in,
    a_twin_with_other_rights_is_named_with_what_it_lacks,
    what_is_promoted_is_brought_to_a_late_host_whatever_the_rights,
    provision_makes_the_twin_and_gives_it_the_rights_of_the_other,
    provision_without_the_right_to_grant_is_named,
    provision_takes_nothing_away,
    without_the_right_to_see_rights_nothing_is_touched,
    a_label_on_another_logins_version_touches_nothing,
    the_password_alone_does_not_say_which_of_two_logins_it_is_for,
];

fn two() -> Situation {
    Situation::of_a_login().so(|stage| stage.has_two_logins())
}

/// Nothing was changed.
fn refused(situation: Situation, error: HostError) -> Situation {
    situation.answers(failed(error)).and(|stage| {
        stage.has_password(APP_A, OLD_PASSWORD);
        stage.has_password(APP_B, OLDER_PASSWORD);
    })
}

fn the_login_whose_turn_it_is_is_changed_and_the_other_one_is_not() -> Situation {
    two()
        .answers(altered(1))
        .and(|stage| {
            stage.has_password(APP_A, OLD_PASSWORD);
            stage.has_password(APP_B, NEW_PASSWORD);
            stage.login(APP_A, |login| assert!(login.password_history.is_empty(), "it was right already"));
            let marker = stage.state_file("sql-backups.marker");
            assert!(marker.contains(&format!("={OLD}=")), "the marker knows both: {marker}");
        })
        .answers(proved(1))
}

fn a_host_that_is_behind_in_both_is_brought_to_both() -> Situation {
    two()
        .so(|stage| stage.login(APP_A, |login| login.password = "Ancient-Secret-4".to_owned()))
        .answers(altered(1))
        .and(|stage| {
            stage.has_password(APP_A, OLD_PASSWORD);
            stage.has_password(APP_B, NEW_PASSWORD);
        })
}

/// The first rotation of all: nobody knows the other login's password.
fn a_login_for_which_nothing_was_promoted_is_passed_over() -> Situation {
    two()
        .so(|stage| {
            stage.cloud().labels.remove("login:app_a");
            stage.login(APP_A, |login| login.password = "Unknown-Secret-5".to_owned());
        })
        .answers(altered(1))
        .and(|stage| {
            stage.has_password(APP_A, "Unknown-Secret-5");
            stage.has_password(APP_B, NEW_PASSWORD);
        })
}

fn a_twin_that_is_missing_is_named() -> Situation {
    two()
        .so(|stage| stage.instance(DEFAULT, |server| server.logins.remove(APP_B)).map_or((), drop))
        .answers(failed(HostError::LoginMissing))
        .and(|stage| stage.has_password(APP_A, OLD_PASSWORD))
}

fn is_used(server: &mut SqlServer) {
    let session = |host: &str, program: &str| OpenSession {
        login: APP_B.to_owned(),
        authenticated_by: None,
        host: host.to_owned(),
        program: program.to_owned(),
    };
    server.sessions = vec![session("web-1", "shop"), session("web-2", "shop"), session("web-1", "shop")];
}

fn a_login_that_is_still_used_is_not_changed_and_who_uses_it_is_named() -> Situation {
    refused(two().so(|stage| stage.instance(DEFAULT, is_used)), HostError::LoginInUse)
        .and(|stage| assert!(stage.message().contains("web-1 (shop), web-2 (shop)"), "{}", stage.message()))
        .so(|stage| stage.set("whileInUse", "change"))
        .answers(altered(1))
        .and(|stage| stage.has_password(APP_B, NEW_PASSWORD))
}

fn what_is_promoted_is_brought_to_a_late_host_whoever_is_logged_in() -> Situation {
    two()
        .so(|stage| {
            stage.is_promoted();
            stage.instance(DEFAULT, is_used);
        })
        .answers(altered(1))
        .and(|stage| stage.has_password(APP_B, NEW_PASSWORD))
}

/// In the database shop app_a may read and run what is in one schema; on the server it may see the state.
fn has_rights(server: &mut SqlServer) {
    let login = server.logins.get_mut(APP_A).unwrap();
    login.server_roles.insert("dbcreator".to_owned());
    login.permissions.insert(Permission::grant("VIEW SERVER STATE"));
    login.default_database = "shop".to_owned();
    let mut user = DatabaseUser::of_login(&login.sid);
    user.roles.insert("db_datareader".to_owned());
    user.default_schema = "sales]1".to_owned();
    user.permissions.insert(Permission::grant("EXECUTE").on("SCHEMA::[sales]]1]"));
    let state = "GRANT_WITH_GRANT_OPTION".to_owned();
    user.permissions.insert(Permission { state, ..Permission::grant("SELECT").on("OBJECT::[dbo].[orders] ([id])") });
    user.permissions
        .insert(Permission { state: "DENY".to_owned(), ..Permission::grant("DELETE").on("OBJECT::[dbo].[orders]") });
    server
        .databases
        .insert("shop".to_owned(), Database { users: [(APP_A.to_owned(), user)].into(), ..Database::default() });
}

fn controls_the_server(server: &mut SqlServer) {
    server.logins.get_mut("rotator").unwrap().permissions.insert(Permission::grant("CONTROL SERVER"));
}

fn a_twin_with_other_rights_is_named_with_what_it_lacks() -> Situation {
    refused(two().so(|stage| stage.instance(DEFAULT, has_rights)), HostError::RightsDiffer).and(|stage| {
        let message = stage.message();
        assert!(message.contains("app_b lacks ALTER SERVER ROLE [dbcreator] ADD MEMBER"), "{message}");
        assert!(message.contains("app_a lacks") || message.len() > 200, "{message}");
    })
}

fn what_is_promoted_is_brought_to_a_late_host_whatever_the_rights() -> Situation {
    two()
        .so(|stage| {
            stage.is_promoted();
            stage.instance(DEFAULT, has_rights);
        })
        .answers(altered(1))
}

fn provision_makes_the_twin_and_gives_it_the_rights_of_the_other() -> Situation {
    two()
        .so(|stage| {
            stage.set("provision", "true");
            stage.instance(DEFAULT, |server| {
                server.logins.remove(APP_B);
                has_rights(server);
                controls_the_server(server);
            });
        })
        .answers(altered(1))
        .and(|stage| {
            stage.has_password(APP_B, NEW_PASSWORD);
            stage.instance(DEFAULT, |server| {
                let (a, b) = (&server.logins[APP_A], &server.logins[APP_B]);
                assert_eq!((&a.server_roles, &a.permissions), (&b.server_roles, &b.permissions));
                assert_eq!(a.default_database, b.default_database);
                assert_ne!(a.sid, b.sid);
                let users = &server.databases["shop"].users;
                let (a, b) = (&users[APP_A], &users[APP_B]);
                assert_eq!(
                    (&a.roles, &a.permissions, &a.default_schema),
                    (&b.roles, &b.permissions, &b.default_schema)
                );
            });
        })
        .so(|stage| stage.set("provision", "false"))
        .answers(proved(1))
}

fn provision_without_the_right_to_grant_is_named() -> Situation {
    refused(
        two().so(|stage| {
            stage.set("provision", "true");
            stage.instance(DEFAULT, has_rights);
        }),
        HostError::AlterNotPermitted,
    )
}

fn provision_takes_nothing_away() -> Situation {
    refused(
        two().so(|stage| {
            stage.set("provision", "true");
            stage.instance(DEFAULT, |server| {
                controls_the_server(server);
                server.logins.get_mut(APP_B).unwrap().server_roles.insert("bulkadmin".to_owned());
            });
        }),
        HostError::RightsDiffer,
    )
    .and(|stage| assert!(stage.message().contains("app_a lacks ALTER SERVER ROLE [bulkadmin]"), "{}", stage.message()))
}

fn without_the_right_to_see_rights_nothing_is_touched() -> Situation {
    refused(
        two().so(|stage| stage.login("rotator", |login| login.revoke("VIEW ANY DEFINITION"))),
        HostError::AlterNotPermitted,
    )
}

fn a_label_on_another_logins_version_touches_nothing() -> Situation {
    two()
        .so(|stage| {
            let value = crate::cloud::login_value(APP_B, OLD_PASSWORD);
            stage.cloud().values.insert(OLD, value);
        })
        .answers(host_failed(HostError::SecretValueInvalid))
        .and(|stage| stage.has_password(APP_B, OLDER_PASSWORD))
}

fn the_password_alone_does_not_say_which_of_two_logins_it_is_for() -> Situation {
    two()
        .so(|stage| {
            stage.cloud().values.insert(crate::cloud::NEW, NEW_PASSWORD.to_owned());
            stage.has(&[(DEFAULT, empty_sql_server(16))]);
        })
        .answers(Answer { ..host_failed(HostError::SecretValueInvalid) })
}
