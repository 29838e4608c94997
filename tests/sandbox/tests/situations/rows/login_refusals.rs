//! What stands in the way of one login's new password, each by a name of its own, and nearly all of it before any change.

use rotation::host_answer::HostError;
use sandbox::host::{Permission, Platform, SqlServer};

use crate::cloud::{NEW_PASSWORD, OLD_PASSWORD};
use crate::logins::APP;
use crate::situation::{Row, Situation, altered, failed, proved, rows};
use crate::stage::DEFAULT;

pub const ROWS: &[Row] = rows![
    an_instance_of_windows_accounts_only_is_named,
    an_instance_of_windows_accounts_only_lets_no_administrator_in,
    without_the_right_to_alter_logins_nothing_is_touched,
    a_login_that_controls_the_server_needs_an_administrator_who_does,
    a_disabled_login_is_named,
    a_locked_login_is_named_and_unlocked_where_the_settings_say_so,
    a_password_that_is_too_short_is_refused,
    a_password_that_was_there_before_is_refused,
    a_password_that_a_filter_refuses_leaves_the_login_as_it_was,
    a_change_that_fails_leaves_the_login_as_it_was,
    a_login_that_a_trigger_keeps_out_is_not_proved,
    an_administrator_who_is_refused_is_named,
    a_certificate_that_nobody_vouches_for_is_not_trusted_with_a_login,
];

/// The default instance refuses, and its login is as it was.
fn refusing(refuse: fn(&mut SqlServer), error: HostError) -> Situation {
    Situation::of_a_login()
        .so(move |stage| stage.instance(DEFAULT, refuse))
        .answers(failed(error))
        .and(|stage| stage.has_password(APP, OLD_PASSWORD))
}

/// An administrator whom Windows vouches for gets in and is told.
fn an_instance_of_windows_accounts_only_is_named() -> Situation {
    refusing(
        |server| {
            server.integrated_security_only = true;
            server.logins.get_mut("rotator").unwrap().is_windows = true;
        },
        HostError::WindowsAuthenticationOnly,
    )
}

fn an_instance_of_windows_accounts_only_lets_no_administrator_in() -> Situation {
    refusing(|server| server.integrated_security_only = true, HostError::LoginFailed)
        .only(Platform::Linux, "on Windows the agent's own account gets in")
}

fn without_the_right_to_alter_logins_nothing_is_touched() -> Situation {
    refusing(|server| server.logins.get_mut("rotator").unwrap().revoke("ALTER ANY LOGIN"), HostError::AlterNotPermitted)
}

fn a_login_that_controls_the_server_needs_an_administrator_who_does() -> Situation {
    refusing(
        |server| {
            server.logins.get_mut(APP).unwrap().server_roles.insert("sysadmin".to_owned());
        },
        HostError::AlterNotPermitted,
    )
    .and(|stage| assert!(stage.message().contains("CONTROL SERVER"), "{}", stage.message()))
    .so(|stage| {
        stage.login("rotator", |login| {
            login.permissions.insert(Permission::grant("CONTROL SERVER"));
        });
    })
    .answers(altered(1))
}

fn a_disabled_login_is_named() -> Situation {
    refusing(|server| server.logins.get_mut(APP).unwrap().disabled = true, HostError::LoginDisabled)
}

fn a_locked_login_is_named_and_unlocked_where_the_settings_say_so() -> Situation {
    refusing(|server| server.logins.get_mut(APP).unwrap().locked = true, HostError::LoginLocked)
        .so(|stage| stage.set("unlock", "true"))
        .answers(altered(1))
        .and(|stage| {
            stage.has_password(APP, NEW_PASSWORD);
            stage.login(APP, |login| assert!(!login.locked));
        })
}

fn a_password_that_is_too_short_is_refused() -> Situation {
    refusing(|server| server.policy.minimum_length = 120, HostError::PasswordRefused)
        .and(|stage| assert!(stage.message().contains("Msg 15116"), "{}", stage.message()))
}

fn a_password_that_was_there_before_is_refused() -> Situation {
    refusing(
        |server| server.logins.get_mut(APP).unwrap().password_history.push(NEW_PASSWORD.to_owned()),
        HostError::PasswordRefused,
    )
}

fn a_password_that_a_filter_refuses_leaves_the_login_as_it_was() -> Situation {
    refusing(|server| server.faults.filtered_passwords = 1, HostError::PasswordRefused).answers(altered(1))
}

fn a_change_that_fails_leaves_the_login_as_it_was() -> Situation {
    refusing(|server| server.faults.failed_login_alters = 1, HostError::AlterFailed).answers(altered(1))
}

/// There is no way back from a changed password; the next command finds it right.
fn a_login_that_a_trigger_keeps_out_is_not_proved() -> Situation {
    Situation::of_a_login()
        .so(|stage| stage.instance(DEFAULT, |server| server.faults.refused_logons = 1))
        .answers(failed(HostError::LoginProofFailed).having_changed(1))
        .and(|stage| stage.has_password(APP, NEW_PASSWORD))
        .answers(proved(1))
}

fn an_administrator_who_is_refused_is_named() -> Situation {
    refusing(|server| server.logins.get_mut("rotator").unwrap().password = "another".to_owned(), HostError::LoginFailed)
}

fn a_certificate_that_nobody_vouches_for_is_not_trusted_with_a_login() -> Situation {
    refusing(|server| server.certificate_trusted = false, HostError::ConnectFailed)
        .so(|stage| stage.set("trustServerCertificate", "true"))
        .answers(altered(1))
}
