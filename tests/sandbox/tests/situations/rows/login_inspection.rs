//! What an inspection of logins foresees, and that it changes nothing and locks nobody; the stage sees to that as well.

use rotation::host_answer::HostError;
use sandbox::host::{OpenSession, SqlServer};

use crate::cloud::{NEW, OLD, OLD_PASSWORD};
use crate::logins::{APP, APP_A, APP_B, with_a_login};
use crate::situation::{Row, Situation, altered, host_failed, rows, seen};
use crate::stage::{DEFAULT, PROD, Stage, empty_sql_server};

pub const ROWS: &[Row] = rows![
    an_inspection_of_logins_sees_each_instance_and_logs_in_by_none_of_them,
    an_inspection_says_which_version_a_login_holds,
    an_inspection_foresees_what_a_rotation_would_fail_in,
    an_inspection_foresees_a_login_that_no_instance_has,
    before_anything_is_pending_the_login_whose_turn_comes_is_looked_at,
    an_inspection_with_provision_does_not_miss_the_twin,
    an_inspection_needs_the_lock_as_well,
];

fn an_inspection_of_logins_sees_each_instance_and_logs_in_by_none_of_them() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.has(&[(DEFAULT, with_a_login()), (PROD, empty_sql_server(16))]);
            stage.instance(DEFAULT, |server| server.policy.lockout_threshold = 1);
        })
        .shows(crate::situation::Answer { nothing_to_hold: 1, ..seen(1) })
        .and(|stage| stage.login(APP, |login| assert_eq!(login.failed_attempts, 0)))
}

fn an_inspection_says_which_version_a_login_holds() -> Situation {
    fn held(stage: &Stage) -> Option<&str> {
        stage.said().inspected.as_ref().unwrap().seen[0].holds.as_deref()
    }
    Situation::of_a_login()
        .shows(seen(1))
        .and(|stage| assert_eq!(held(stage), None))
        .answers(altered(1))
        .shows(seen(1))
        .and(|stage| assert_eq!(held(stage), Some(NEW)))
        .so(|stage| stage.login(APP, |login| login.password_last_set = "2026-11-25T00:00:00Z".parse().unwrap()))
        .shows(seen(1))
        .and(|stage| assert_eq!(held(stage), None, "somebody set another password"))
}

fn foreseeing(situation: Situation, obstacle: fn(&mut SqlServer), error: HostError) -> Situation {
    situation
        .so(move |stage| {
            stage.has(&[(DEFAULT, with_a_login())]);
            stage.instance(DEFAULT, obstacle);
        })
        .shows(seen(1).failing(DEFAULT, error))
}

fn an_inspection_foresees_what_a_rotation_would_fail_in() -> Situation {
    type Obstacle = (fn(&mut SqlServer), HostError);
    let obstacles: [Obstacle; 4] = [
        (|server| server.logins.get_mut(APP).unwrap().disabled = true, HostError::LoginDisabled),
        (|server| server.logins.get_mut(APP).unwrap().locked = true, HostError::LoginLocked),
        (|server| server.logins.get_mut("rotator").unwrap().revoke("ALTER ANY LOGIN"), HostError::AlterNotPermitted),
        (
            |server| {
                server.integrated_security_only = true;
                server.logins.get_mut("rotator").unwrap().is_windows = true;
            },
            HostError::WindowsAuthenticationOnly,
        ),
    ];
    obstacles
        .into_iter()
        .fold(Situation::of_a_login(), |situation, (obstacle, error)| foreseeing(situation, obstacle, error))
}

fn an_inspection_foresees_a_login_that_no_instance_has() -> Situation {
    Situation::of_a_login()
        .so(|stage| stage.has(&[(DEFAULT, empty_sql_server(16))]))
        .shows(seen(0).failing("", HostError::LoginMissing))
}

/// As a rotation begins: nothing is staged before every host was looked at.
fn before_anything_is_pending_the_login_whose_turn_comes_is_looked_at() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.has_two_logins();
            stage.cloud().nothing_is_pending();
            stage.set("versionId", OLD);
            stage.instance(DEFAULT, |server| {
                let session = |login: &str| OpenSession {
                    login: login.to_owned(),
                    authenticated_by: None,
                    host: "web-1".to_owned(),
                    program: "shop".to_owned(),
                };
                server.sessions = vec![session(APP_A)];
            });
        })
        .shows(seen(1))
        .so(|stage| stage.instance(DEFAULT, |server| server.sessions[0].login = APP_B.to_owned()))
        .shows(seen(1).failing(DEFAULT, HostError::LoginInUse))
        .so(|stage| {
            stage.instance(DEFAULT, |server| {
                server.sessions.clear();
                server.logins.get_mut(APP_B).unwrap().server_roles.insert("bulkadmin".to_owned());
            });
        })
        .shows(seen(1).failing(DEFAULT, HostError::RightsDiffer))
}

fn an_inspection_with_provision_does_not_miss_the_twin() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.has_two_logins();
            stage.cloud().nothing_is_pending();
            stage.set("versionId", OLD);
            stage.has(&[(DEFAULT, empty_sql_server(16).with_login(APP_A, OLD_PASSWORD))]);
        })
        .shows(seen(1).failing(DEFAULT, HostError::LoginMissing))
        .so(|stage| stage.set("provision", "true"))
        .shows(seen(1))
}

fn an_inspection_needs_the_lock_as_well() -> Situation {
    Situation::of_a_login().so(Stage::hold_the_lock).shows(host_failed(HostError::LockTimeout))
}
