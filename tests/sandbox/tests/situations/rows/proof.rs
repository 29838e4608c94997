//! The heart of it: prove, alter, prove again; and what becomes of a working credential when a proof fails.

use rotation::host_answer::HostError;

use crate::cloud::{NEW, NEW_KEY, OLD, OLD_KEY};
use crate::situation::{Row, Situation, altered, failed, proved, rows};
use crate::stage::{DEFAULT, PROD, Stage, URL, empty_sql_server, sql_server};

pub const ROWS: &[Row] = rows![
    a_quiet_host_proves_the_new_key_alters_and_proves_again,
    a_host_that_holds_the_target_is_proved_afresh_and_left_alone,
    a_host_that_holds_the_target_and_fails_its_proof_gets_it_anew,
    the_version_found_is_that_of_the_instance_that_lags,
    a_host_whose_old_version_could_be_put_back_proves_once_before_the_alter,
    a_credential_that_a_person_altered_is_not_taken_for_proved,
    a_host_where_the_new_key_does_not_work_keeps_its_old_one,
    a_key_that_s3_does_not_know_yet_is_a_failure_of_that_command_only,
    a_proof_that_fails_after_the_alter_puts_the_old_version_back,
    after_a_put_back_the_next_instance_still_gets_the_new_key,
    what_cannot_be_put_back_is_said_so,
    a_version_that_cannot_be_read_again_cannot_be_put_back,
    a_credential_that_was_created_is_dropped_when_its_proof_fails,
    of_two_urls_the_one_that_fails_is_put_back_and_the_other_stays_proved,
    an_instance_that_stops_right_after_the_alter_is_not_taken_for_proved,
    a_temporary_credential_that_cannot_be_dropped_undoes_no_proof,
    without_backups_one_signed_call_from_the_host_is_the_proof,
];

fn a_quiet_host_proves_the_new_key_alters_and_proves_again() -> Situation {
    Situation::new().answers(altered(1)).and(|stage| {
        assert_eq!((stage.said().version.as_deref(), stage.said().found.as_deref()), (Some(NEW), None));
        stage.holds(&[(URL, NEW_KEY)]);
        // Without a marker nothing could be put back: so the key is proved twice before the credential is altered.
        stage.backed_up(&["i-0abc/proof.bak", "i-0abc/proof.bak", "held/i-0abc/proof.bak"]);
    })
}

fn a_host_that_holds_the_target_is_proved_afresh_and_left_alone() -> Situation {
    Situation::new().answers(altered(1)).so(|stage| stage.cloud().objects.clear()).answers(proved(1)).and(|stage| {
        assert_eq!(stage.said().found.as_deref(), Some(NEW));
        stage.backed_up(&["held/i-0abc/proof.bak"]);
    })
}

/// The target is no version from before, to which it could be put back: so it is proved twice before the alter.
fn a_host_that_holds_the_target_and_fails_its_proof_gets_it_anew() -> Situation {
    Situation::new()
        .answers(altered(1))
        .so(|stage| {
            stage.instance(DEFAULT, |server| server.faults.refused_held_backups = 1);
            stage.cloud().objects.clear();
        })
        .answers(altered(1))
        .and(|stage| stage.backed_up(&["i-0abc/proof.bak", "i-0abc/proof.bak", "held/i-0abc/proof.bak"]))
}

/// One version stands for the host.
fn the_version_found_is_that_of_the_instance_that_lags() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.cloud().nothing_is_pending();
            stage.set("versionId", OLD);
        })
        .answers(altered(2))
        .so(|stage| {
            stage.cloud().labels.insert("AWSPENDING", NEW);
            stage.set("versionId", NEW);
            stage.instance(PROD, |server| server.running = false);
        })
        .answers(altered(1).failing(PROD, HostError::ConnectFailed))
        .so(|stage| stage.instance(PROD, |server| server.running = true))
        .answers(proved(2).having_changed(1))
        .and(|stage| assert_eq!(stage.said().found.as_deref(), Some(OLD)))
}

/// Most hosts on most days: they hold the version of the rotation before, and their marker says so.
fn holding_the_old_version() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.cloud().nothing_is_pending();
            stage.set("versionId", OLD);
        })
        .answers(altered(1))
        .so(|stage| {
            stage.cloud().labels.insert("AWSPENDING", NEW);
            stage.cloud().objects.clear();
            stage.set("versionId", NEW);
        })
}

fn a_host_whose_old_version_could_be_put_back_proves_once_before_the_alter() -> Situation {
    holding_the_old_version().answers(altered(1)).and(|stage| {
        assert_eq!(stage.said().found.as_deref(), Some(OLD));
        stage.backed_up(&["i-0abc/proof.bak", "held/i-0abc/proof.bak"]);
    })
}

fn a_credential_that_a_person_altered_is_not_taken_for_proved() -> Situation {
    Situation::new()
        .answers(altered(1))
        .so(|stage| stage.instance(DEFAULT, |server| *server = sql_server(16)))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_host_where_the_new_key_does_not_work_keeps_its_old_one() -> Situation {
    Situation::new().so(|stage| stage.cloud().known_keys = vec![OLD_KEY]).answers(failed(HostError::ProofFailed)).and(
        |stage| {
            assert!(stage.message().contains("3201"), "{}", stage.message());
            stage.holds(&[(URL, OLD_KEY)]);
        },
    )
}

fn a_key_that_s3_does_not_know_yet_is_a_failure_of_that_command_only() -> Situation {
    Situation::new()
        .so(|stage| stage.instance(DEFAULT, |server| server.faults.refused_backups = 1))
        .answers(failed(HostError::ProofFailed))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_proof_that_fails_after_the_alter_puts_the_old_version_back() -> Situation {
    holding_the_old_version()
        .so(|stage| stage.instance(DEFAULT, |server| server.faults.refused_held_backups = 1))
        .answers(failed(HostError::ProofFailedRestored).having_changed(1))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn after_a_put_back_the_next_instance_still_gets_the_new_key() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.cloud().nothing_is_pending();
            stage.set("versionId", OLD);
        })
        .answers(altered(2))
        .so(|stage| {
            stage.cloud().labels.insert("AWSPENDING", NEW);
            stage.set("versionId", NEW);
            stage.instance(DEFAULT, |server| server.faults.refused_held_backups = 1);
        })
        .answers(altered(1).failing(DEFAULT, HostError::ProofFailedRestored).having_changed(2))
        .and(|stage| {
            stage.holds(&[(URL, OLD_KEY)]);
            stage.instance_holds(PROD, &[(URL, NEW_KEY)]);
        })
}

/// Without a marker nobody knows what the credential held; it keeps the key that was proved twice.
fn what_cannot_be_put_back_is_said_so() -> Situation {
    Situation::new()
        .so(|stage| stage.instance(DEFAULT, |server| server.faults.refused_held_backups = 1))
        .answers(failed(HostError::ProofFailedNotRestored).having_changed(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_version_that_cannot_be_read_again_cannot_be_put_back() -> Situation {
    holding_the_old_version()
        .so(|stage| {
            stage.cloud().values.remove(OLD);
            stage.instance(DEFAULT, |server| server.faults.refused_held_backups = 1);
        })
        .answers(failed(HostError::ProofFailedNotRestored).having_changed(1))
}

fn a_credential_that_was_created_is_dropped_when_its_proof_fails() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has(&[(DEFAULT, empty_sql_server(16))]);
            stage.set("createMissing", "true");
            stage.instance(DEFAULT, |server| server.faults.refused_held_backups = 1);
        })
        .answers(failed(HostError::ProofFailedRestored).having_changed(1))
        .and(|stage| stage.holds(&[]))
}

fn of_two_urls_the_one_that_fails_is_put_back_and_the_other_stays_proved() -> Situation {
    const SECOND: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/archive";
    let two_urls = |stage: &mut Stage| {
        stage.has(&[(DEFAULT, sql_server(16).with_credential(SECOND, OLD_KEY.0, OLD_KEY.1))]);
        stage.set("credentials", &format!("{URL} {SECOND}"));
        stage.cloud().nothing_is_pending();
        stage.set("versionId", OLD);
    };
    Situation::new()
        .so(two_urls)
        .answers(altered(1))
        .so(|stage| {
            stage.cloud().labels.insert("AWSPENDING", NEW);
            stage.set("versionId", NEW);
            stage.cloud().refuse_once("archive/.credential-rotation/held/");
        })
        .answers(failed(HostError::ProofFailedRestored).having_changed(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY), (SECOND, OLD_KEY)]))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY), (SECOND, NEW_KEY)]))
}

fn an_instance_that_stops_right_after_the_alter_is_not_taken_for_proved() -> Situation {
    Situation::new()
        .so(|stage| stage.once_altered(stop))
        .answers(failed(HostError::ProofFailedNotRestored).having_changed(1))
        .so(|stage| stage.instance(DEFAULT, |server| server.running = true))
        .answers(altered(1))
}

fn stop(host: &sandbox::host::Host) {
    host.with_sql_server("localhost", |server| server.running = false);
}

/// It covers no path that anybody backs up to, and the next command drops it.
fn a_temporary_credential_that_cannot_be_dropped_undoes_no_proof() -> Situation {
    const TEMPORARY: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod/.credential-rotation/i-0abc";
    holding_the_old_version()
        .so(|stage| stage.instance(DEFAULT, |server| server.faults.failed_drops = 1))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY), (TEMPORARY, NEW_KEY)]))
        .answers(proved(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn without_backups_one_signed_call_from_the_host_is_the_proof() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.set("proof", "none");
            stage.cloud().known_keys = vec![OLD_KEY];
        })
        .answers(failed(HostError::ProofFailed).failing(PROD, HostError::ProofFailed))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
        .so(|stage| {
            stage.cloud().known_keys = vec![NEW_KEY];
            stage.cloud().signed_calls = 0;
        })
        .answers(altered(2))
        .and(|stage| {
            let cloud = stage.cloud();
            assert_eq!((cloud.objects.len(), cloud.signed_calls), (0, 1));
        })
}
