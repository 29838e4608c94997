//! Which version a host applies: the command's is a hint, and labels may move at any time.

use std::collections::BTreeMap;

use rotation::host_answer::HostError;
use sandbox::host::Platform;

use crate::cloud::{NEW, NEW_KEY, OLD, OLD_KEY};
use crate::situation::{Row, Situation, altered, host_failed, proved, rows};
use crate::stage::URL;

pub const ROWS: &[Row] = rows![
    a_hint_that_is_not_the_target_is_never_applied,
    a_label_that_becomes_visible_meanwhile_is_waited_for,
    a_version_that_rotate_secret_left_empty_is_no_target,
    a_pending_version_that_cannot_be_read_now_is_not_taken_for_none,
    a_target_that_moves_meanwhile_is_applied_instead,
    a_target_that_keeps_moving_ends_the_command,
    an_old_command_that_comes_late_does_no_harm,
    an_old_agent_comes_to_the_same_answer,
    a_parameter_that_the_document_would_refuse_is_refused_again,
    a_credential_with_a_name_that_no_sql_server_takes_is_refused_before_anything_is_touched,
    a_url_that_would_leave_its_quotes_is_refused_before_anything_is_touched,
    on_linux_an_administrator_is_needed,
];

fn a_hint_that_is_not_the_target_is_never_applied() -> Situation {
    Situation::new()
        .so(|stage| stage.cloud().nothing_is_pending())
        .answers(host_failed(HostError::VersionNotVisibleYet))
        .and(|stage| {
            assert_eq!(stage.said().version.as_deref(), Some(OLD));
            stage.holds(&[(URL, OLD_KEY)]);
        })
}

/// Secrets Manager is eventually consistent: the first look shows the labels of before.
fn a_label_that_becomes_visible_meanwhile_is_waited_for() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has_patience();
            stage.cloud().nothing_is_pending();
            // A look is two reads: AWSPENDING, which is not there, then AWSCURRENT.
            stage.cloud().label_changes.insert(3, ("AWSPENDING", Some(NEW)));
        })
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

/// Both a label without a version and a version without a value answer ResourceNotFoundException (FACTS D).
fn a_version_that_rotate_secret_left_empty_is_no_target() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.cloud().values.remove(NEW);
            stage.set("versionId", OLD);
        })
        .answers(altered(1))
        .and(|stage| {
            assert_eq!(stage.said().version.as_deref(), Some(OLD));
            stage.holds(&[(URL, OLD_KEY)]);
        })
}

/// Only ResourceNotFoundException says that nothing is pending; anything else leaves the host without a target.
fn a_pending_version_that_cannot_be_read_now_is_not_taken_for_none() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.cloud().failing_label = Some(("AWSPENDING", "InternalServiceError"));
            stage.set("versionId", OLD);
        })
        .answers(host_failed(HostError::SecretNotReadable))
        .and(|stage| {
            assert!(stage.message().contains("InternalServiceError"), "{}", stage.message());
            stage.holds(&[(URL, OLD_KEY)]);
        })
        .so(|stage| {
            stage.cloud().failing_label = None;
            stage.set("versionId", NEW);
        })
        .answers(altered(1))
}

/// The pending version is abandoned between the first look and the last.
fn a_target_that_moves_meanwhile_is_applied_instead() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.cloud().label_changes.insert(2, ("AWSPENDING", None));
        })
        .answers(altered(1))
        .and(|stage| {
            assert_eq!(stage.said().version.as_deref(), Some(OLD));
            stage.holds(&[(URL, OLD_KEY)]);
        })
}

fn a_target_that_keeps_moving_ends_the_command() -> Situation {
    let mut expected = host_failed(HostError::TargetKeepsChanging);
    (expected.exit_code, expected.proved, expected.changed) = (1, 1, 1);
    Situation::new()
        .so(|stage| {
            stage.cloud().label_changes = BTreeMap::from([
                (2, ("AWSPENDING", Some(OLD))),
                (3, ("AWSPENDING", Some(NEW))),
                (4, ("AWSPENDING", Some(OLD))),
            ]);
        })
        .answers(expected)
}

/// It names a version that was the target once; the host looks for itself.
fn an_old_command_that_comes_late_does_no_harm() -> Situation {
    Situation::new()
        .answers(altered(1))
        .so(|stage| stage.set("versionId", OLD))
        .answers(host_failed(HostError::VersionNotVisibleYet))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
        .so(|stage| stage.set("versionId", NEW))
        .answers(proved(1))
}

fn an_old_agent_comes_to_the_same_answer() -> Situation {
    Situation::new()
        .so(|stage| stage.has_an_old_agent())
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

/// The script trusts no document: somebody may have made a laxer one.
fn a_parameter_that_the_document_would_refuse_is_refused_again() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has_documents_without_patterns();
            stage.set("proofPrefix", "x' OR 1=1");
        })
        .answers(host_failed(HostError::InvalidParameter))
        .and(|stage| {
            assert!(stage.message().contains("proofPrefix"), "{}", stage.message());
            stage.holds(&[(URL, OLD_KEY)]);
        })
}

/// SQL Server takes 128 characters, and no pattern of a document counts so far.
fn a_credential_with_a_name_that_no_sql_server_takes_is_refused_before_anything_is_touched() -> Situation {
    Situation::new()
        .so(|stage| stage.set("credentials", &format!("{URL}/{}", "x".repeat(128 - URL.len()))))
        .answers(host_failed(HostError::InvalidParameter))
        .and(|stage| {
            assert!(stage.message().contains("credentials"), "{}", stage.message());
            stage.holds(&[(URL, OLD_KEY)]);
        })
}

fn a_url_that_would_leave_its_quotes_is_refused_before_anything_is_touched() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has_documents_without_patterns();
            stage.set("foreignCredentials", "s3://bucket/x'];DROP");
        })
        .answers(host_failed(HostError::InvalidParameter))
        .and(|stage| assert!(stage.message().contains("foreignCredentials"), "{}", stage.message()))
}

fn on_linux_an_administrator_is_needed() -> Situation {
    Situation::new()
        .only(Platform::Linux, "on Windows the agent's own account may log in")
        .so(|stage| stage.set("administratorSecretArn", ""))
        .answers(host_failed(HostError::InvalidParameter))
        .and(|stage| assert!(stage.message().contains("administratorSecretArn"), "{}", stage.message()))
}
