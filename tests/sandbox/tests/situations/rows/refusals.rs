//! What SQL Server may refuse, each by a name of its own: the remedies differ.

use rotation::host_answer::HostError;
use sandbox::host::{Login, SqlServer};

use crate::cloud::{NEW_KEY, OLD_KEY};
use crate::situation::{Row, Situation, altered, failed, rows};
use crate::stage::{DEFAULT, URL};

pub const ROWS: &[Row] = rows![
    a_login_that_is_refused_is_named,
    without_the_right_to_alter_credentials_nothing_is_touched,
    without_the_right_to_back_up_model_nothing_is_altered,
    a_backup_of_model_that_runs_already_is_waited_for,
    a_backup_of_model_that_never_ends_is_a_failure_of_its_own,
    an_alter_that_fails_leaves_the_credential_as_it_was,
    a_certificate_that_nobody_vouches_for_is_not_trusted,
    a_self_signed_certificate_is_accepted_only_when_the_settings_say_so,
];

/// The default instance refuses, and keeps what it holds.
fn refusing(refuse: fn(&mut SqlServer), error: HostError) -> Situation {
    Situation::new()
        .so(move |stage| stage.instance(DEFAULT, refuse))
        .answers(failed(error))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
}

fn administrator(server: &mut SqlServer) -> &mut Login {
    server.logins.get_mut("rotator").unwrap()
}

fn a_login_that_is_refused_is_named() -> Situation {
    refusing(|server| server.logins.clear(), HostError::LoginFailed)
}

/// Without the right sys.credentials looks empty: a script that did not ask would take every credential for missing.
fn without_the_right_to_alter_credentials_nothing_is_touched() -> Situation {
    refusing(|server| administrator(server).may_alter_any_credential = false, HostError::AlterNotPermitted)
        .so(|stage| stage.set("createMissing", "true"))
        .answers(failed(HostError::AlterNotPermitted))
}

fn without_the_right_to_back_up_model_nothing_is_altered() -> Situation {
    refusing(|server| administrator(server).may_back_up_model = false, HostError::BackupNotPermitted)
}

fn a_backup_of_model_that_runs_already_is_waited_for() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has_patience();
            stage.instance(DEFAULT, |server| server.faults.busy_backups = 1);
        })
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_backup_of_model_that_never_ends_is_a_failure_of_its_own() -> Situation {
    refusing(|server| server.faults.busy_backups = u32::MAX, HostError::ModelBusy)
}

fn an_alter_that_fails_leaves_the_credential_as_it_was() -> Situation {
    refusing(|server| server.faults.failed_alters = 1, HostError::AlterFailed)
}

fn a_certificate_that_nobody_vouches_for_is_not_trusted() -> Situation {
    refusing(|server| server.certificate_trusted = false, HostError::ConnectFailed)
}

fn a_self_signed_certificate_is_accepted_only_when_the_settings_say_so() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.instance(DEFAULT, |server| server.certificate_trusted = false);
            stage.set("trustServerCertificate", "true");
        })
        .answers(altered(1))
}
