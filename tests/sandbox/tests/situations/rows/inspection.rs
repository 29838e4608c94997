//! The document that looks and changes nothing: what it shows of an instance, and that it foresees each thing in which a
//! rotation would fail, by the name that the rotation would give it.
//!
//! After each inspection the stage compares the host's credentials and files, and what is in S3, with those of before.

use rotation::host_answer::{Blocking, HostError};
use sandbox::host::sqlcmd::LOCAL_SYSTEM;
use sandbox::host::windows::{Cluster, Group};
use sandbox::host::{Login, Platform, SqlServer};

use crate::cloud::{NEW, OLD, OLD_KEY};
use crate::situation::{Answer, Row, Situation, altered, host_failed, nothing_to_hold, proved, rows, seen};
use crate::stage::{DEFAULT, PROD, Stage, URL, empty_sql_server, sql_server};

pub const ROWS: &[Row] = rows![
    an_inspection_shows_each_instance_and_its_product,
    an_inspection_believes_a_marker_of_the_dates_of_today,
    an_inspection_believes_no_marker_of_a_credential_that_somebody_altered,
    an_inspection_takes_nothing_from_the_rotation_after_it,
    an_inspection_foresees_a_missing_right_to_alter,
    an_inspection_foresees_a_missing_right_to_back_up,
    an_inspection_names_all_that_an_instance_lacks_at_once,
    an_inspection_foresees_a_missing_credential_unless_it_would_be_created,
    an_inspection_foresees_a_credential_of_another_identity,
    an_inspection_tells_what_the_marker_says_of_an_unfit_credential_too,
    an_inspection_shows_what_blocks_retirement,
    an_inspection_counts_what_can_hold_nothing,
    an_inspection_foresees_a_stopped_service,
    an_inspection_foresees_a_refused_login,
    an_inspection_foresees_a_certificate_that_nobody_vouches_for,
    an_inspection_foresees_a_secret_that_cannot_be_read,
    an_inspection_foresees_a_value_that_is_no_key,
    an_inspection_foresees_an_administrator_that_cannot_be_read,
    an_inspection_foresees_a_label_that_is_not_visible,
    an_inspection_foresees_a_full_disk,
    an_inspection_foresees_a_missing_tool,
    an_inspection_does_not_look_at_a_command_half_done,
    an_inspection_drops_no_leftover,
    an_inspection_refuses_what_its_document_would_refuse,
    an_inspection_by_an_old_agent_comes_to_the_same_answer,
    an_inspection_that_is_stopped_with_the_agent_answers_all_the_same,
    an_inspection_logs_in_as_the_agent_where_there_is_no_administrator,
    an_inspection_does_not_see_what_runs_on_another_node,
    fifty_seen_instances_fit_the_answer,
    of_fifty_seen_instances_failures_come_first,
];

/// What the last answer shows: instance, product and the version held.
fn shown(stage: &Stage) -> Vec<(&str, &str, Option<&str>)> {
    let seen = &stage.said().inspected.as_ref().expect("an inspection").seen;
    seen.iter().map(|seen| (seen.instance.as_str(), seen.product.as_str(), seen.holds.as_deref())).collect()
}

fn an_inspection_shows_each_instance_and_its_product() -> Situation {
    Situation::new().so(|stage| stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(17))])).shows(seen(2)).and(
        |stage| {
            let [default, prod] = match stage.platform() {
                Platform::Linux => ["localhost", "localhost,1434"],
                Platform::Windows => [DEFAULT, PROD],
            };
            assert_eq!(shown(stage), [(default, "16.0.1000.6", None), (prod, "17.0.1000.6", None)]);
            assert_eq!((stage.said().version.as_deref(), stage.said().found.as_deref()), (Some(NEW), None));
            assert!(stage.said().blocking.is_empty());
        },
    )
}

/// The version that the default instance is said to hold.
fn held(stage: &Stage) -> Option<&str> {
    let [(_, _, held)] = shown(stage)[..] else { panic!("one instance: {:?}", stage.said()) };
    held
}

/// The rotation before this one has been here.
fn holding_the_old_version() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.cloud().nothing_is_pending();
            stage.set("versionId", OLD);
        })
        .answers(altered(1))
        .so(|stage| {
            stage.cloud().labels.insert("AWSPENDING", NEW);
            stage.set("versionId", NEW);
        })
}

fn an_inspection_believes_a_marker_of_the_dates_of_today() -> Situation {
    holding_the_old_version()
        .shows(seen(1))
        .and(|stage| assert_eq!((held(stage), stage.said().found.as_deref()), (Some(OLD), Some(OLD))))
        .answers(altered(1))
        .shows(seen(1))
        .and(|stage| assert_eq!(held(stage), Some(NEW)))
}

fn an_inspection_believes_no_marker_of_a_credential_that_somebody_altered() -> Situation {
    holding_the_old_version()
        .so(|stage| stage.instance(DEFAULT, |server| *server = sql_server(16)))
        .shows(seen(1))
        .and(|stage| assert_eq!((held(stage), stage.said().found.as_deref()), (None, Some(OLD))))
}

/// The marker stays believed: a rotation could still put the old version back, and so proves the new one once only.
fn an_inspection_takes_nothing_from_the_rotation_after_it() -> Situation {
    holding_the_old_version()
        .so(|stage| stage.cloud().objects.clear())
        .shows(seen(1))
        .answers(altered(1))
        .and(|stage| stage.backed_up(&["i-0abc/proof.bak", "held/i-0abc/proof.bak"]))
        .shows(seen(1))
        .answers(proved(1))
}

fn administrator(server: &mut SqlServer) -> &mut Login {
    server.logins.get_mut("rotator").unwrap()
}

fn may_not_alter(server: &mut SqlServer) {
    administrator(server).may_alter_any_credential = false;
}

fn may_not_back_up(server: &mut SqlServer) {
    administrator(server).may_back_up_model = false;
}

/// The default instance is seen, with what a rotation would fail in; and the rotation then fails in it.
fn foreseeing(obstacle: fn(&mut SqlServer), error: HostError) -> Situation {
    let failing = |answer: Answer| answer.failing(DEFAULT, error);
    Situation::new()
        .so(move |stage| stage.instance(DEFAULT, obstacle))
        .shows(failing(seen(1)))
        .answers(failing(Answer::default()))
}

fn an_inspection_foresees_a_missing_right_to_alter() -> Situation {
    foreseeing(may_not_alter, HostError::AlterNotPermitted)
}

fn an_inspection_foresees_a_missing_right_to_back_up() -> Situation {
    foreseeing(may_not_back_up, HostError::BackupNotPermitted)
}

/// A rotation would stop at the first one, and a person would come back for the second.
fn an_inspection_names_all_that_an_instance_lacks_at_once() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.instance(DEFAULT, may_not_alter);
            stage.instance(DEFAULT, may_not_back_up);
        })
        .shows(seen(1).failing(DEFAULT, HostError::AlterNotPermitted).failing(DEFAULT, HostError::BackupNotPermitted))
}

fn an_inspection_foresees_a_missing_credential_unless_it_would_be_created() -> Situation {
    Situation::new()
        .so(|stage| stage.has(&[(DEFAULT, empty_sql_server(16))]))
        .shows(seen(1).failing(DEFAULT, HostError::CredentialMissing))
        .so(|stage| stage.set("createMissing", "true"))
        .shows(seen(1))
        .answers(altered(1))
}

fn an_inspection_foresees_a_credential_of_another_identity() -> Situation {
    foreseeing(
        |server| server.credentials.get_mut(URL).unwrap().identity = "Managed Identity".to_owned(),
        HostError::CredentialNotS3,
    )
}

fn an_inspection_tells_what_the_marker_says_of_an_unfit_credential_too() -> Situation {
    holding_the_old_version()
        .so(|stage| {
            stage.instance(DEFAULT, |server| {
                server.credentials.get_mut(URL).unwrap().identity = "Managed Identity".to_owned();
            });
        })
        .shows(seen(1).failing(DEFAULT, HostError::CredentialNotS3))
        .and(|stage| assert_eq!(held(stage), Some(OLD)))
}

fn an_inspection_shows_what_blocks_retirement() -> Situation {
    const SHADOW: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod/daily";
    const OTHERS: &str = "s3://reports.s3.eu-west-1.amazonaws.com";
    let blocking = |stage: &Stage| -> Vec<(String, Blocking)> {
        stage.said().blocking.iter().map(|blocking| (blocking.credential.clone(), blocking.why)).collect()
    };
    Situation::new()
        .so(|stage| {
            let server = sql_server(16).with_credential(SHADOW, OLD_KEY.0, OLD_KEY.1);
            stage.has(&[(DEFAULT, server.with_credential(OTHERS, OLD_KEY.0, OLD_KEY.1))]);
        })
        .shows(seen(1))
        .and(move |stage| {
            let both = [(OTHERS.to_owned(), Blocking::Undeclared), (SHADOW.to_owned(), Blocking::Shadows)];
            assert_eq!(blocking(stage), both);
        })
        .so(|stage| stage.set("foreignCredentials", OTHERS))
        .shows(seen(1))
        .and(move |stage| assert_eq!(blocking(stage), [(SHADOW.to_owned(), Blocking::Shadows)]))
}

fn an_inspection_counts_what_can_hold_nothing() -> Situation {
    Situation::new()
        .so(|stage| {
            let mut express = sql_server(16);
            express.engine_edition = 4;
            stage.has(&[(DEFAULT, express), (PROD, sql_server(15)), ("SQL1501", sql_server(16))]);
        })
        .shows(Answer { inspected: Some(1), ..nothing_to_hold(2) })
        .so(|stage| stage.has(&[]))
        .shows(seen(0))
}

/// Nobody can ask it what it is, so it is a failure and not seen.
fn unseen(obstacle: fn(&mut SqlServer), error: HostError) -> Situation {
    Situation::new()
        .so(move |stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.instance(PROD, obstacle);
        })
        .shows(seen(1).failing(PROD, error))
}

fn an_inspection_foresees_a_stopped_service() -> Situation {
    unseen(|server| server.running = false, HostError::ConnectFailed)
}

fn an_inspection_foresees_a_refused_login() -> Situation {
    unseen(|server| server.logins.clear(), HostError::LoginFailed)
}

fn an_inspection_foresees_a_certificate_that_nobody_vouches_for() -> Situation {
    unseen(|server| server.certificate_trusted = false, HostError::ConnectFailed)
}

/// What ends a rotation before any instance is touched ends an inspection.
fn ending(arrange: fn(&mut Stage), error: HostError) -> Situation {
    Situation::new().so(arrange).shows(host_failed(error)).answers(host_failed(error))
}

fn an_inspection_foresees_a_secret_that_cannot_be_read() -> Situation {
    ending(|stage| stage.cloud().readable = false, HostError::SecretNotReadable)
}

fn an_inspection_foresees_a_value_that_is_no_key() -> Situation {
    ending(
        |stage| {
            stage.cloud().values.insert(NEW, "AKIANEW0000000000000".to_owned());
        },
        HostError::SecretValueInvalid,
    )
}

fn an_inspection_foresees_an_administrator_that_cannot_be_read() -> Situation {
    ending(|stage| stage.cloud().administrator = None, HostError::SecretNotReadable)
}

fn an_inspection_foresees_a_label_that_is_not_visible() -> Situation {
    ending(|stage| stage.cloud().nothing_is_pending(), HostError::VersionNotVisibleYet)
}

fn an_inspection_foresees_a_full_disk() -> Situation {
    ending(|stage| stage.faults(|faults| faults.disk_full = true), HostError::StateNotWritable)
        .so(|stage| stage.faults(|faults| faults.disk_full = false))
        .shows(seen(1))
}

fn an_inspection_foresees_a_missing_tool() -> Situation {
    ending(|stage| stage.faults(|faults| faults.missing_tools = vec!["aws".to_owned()]), HostError::ToolMissing)
}

fn an_inspection_does_not_look_at_a_command_half_done() -> Situation {
    ending(Stage::hold_the_lock, HostError::LockTimeout).so(Stage::let_go_of_the_lock).shows(seen(1))
}

/// It covers nobody's backups and blocks nothing; a rotation drops it.
fn an_inspection_drops_no_leftover() -> Situation {
    const TEMPORARY: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod/.credential-rotation/i-0abc";
    Situation::new()
        .so(|stage| stage.has(&[(DEFAULT, sql_server(16).with_credential(TEMPORARY, OLD_KEY.0, OLD_KEY.1))]))
        .shows(seen(1))
        .and(|stage| {
            stage.holds(&[(URL, OLD_KEY), (TEMPORARY, OLD_KEY)]);
            assert!(stage.said().blocking.is_empty());
        })
}

fn an_inspection_refuses_what_its_document_would_refuse() -> Situation {
    ending(
        |stage| {
            stage.has_documents_without_patterns();
            stage.set("foreignCredentials", "s3://bucket/x'];DROP");
        },
        HostError::InvalidParameter,
    )
}

fn an_inspection_by_an_old_agent_comes_to_the_same_answer() -> Situation {
    Situation::new().so(|stage| stage.has_an_old_agent()).shows(seen(1))
}

fn an_inspection_that_is_stopped_with_the_agent_answers_all_the_same() -> Situation {
    Situation::new()
        .only(Platform::Linux, "Windows kills without a warning")
        .so(|stage| stage.faults(|faults| faults.stopped_during = Some("SELECT N'~backup~".to_owned())))
        .shows_that(|said| {
            assert_eq!(said.answer.failures[0].error, HostError::Interrupted);
            // The signal may kill the agent's own sh before it hands on the script's exit code.
            assert_ne!(said.exit_code, 0);
        })
}

fn an_inspection_logs_in_as_the_agent_where_there_is_no_administrator() -> Situation {
    Situation::new()
        .only(Platform::Windows, "SQL Server on Linux does not know the agent's account")
        .so(|stage| {
            stage.set("administratorSecretArn", "");
            stage.instance(DEFAULT, |server| {
                let login = Login { may_back_up_model: false, ..Login::of_windows(LOCAL_SYSTEM) };
                server.logins.insert(LOCAL_SYSTEM.to_owned(), login);
            });
        })
        .shows(seen(1).failing(DEFAULT, HostError::BackupNotPermitted))
}

fn an_inspection_does_not_see_what_runs_on_another_node() -> Situation {
    fn on(node: &str, virtual_name: &str) -> SqlServer {
        let mut server = sql_server(16);
        let group = Some(Group { node: node.to_owned(), state: "Online".to_owned() });
        server.installation.cluster = Some(Cluster { virtual_name: virtual_name.to_owned(), group });
        server.running = node == "LOCALHOST";
        server
    }
    Situation::new()
        .only(Platform::Windows, "on Linux every node reaches Pacemaker's virtual name over the network")
        .so(|stage| stage.has(&[(DEFAULT, on("LOCALHOST", "SQLPROD")), ("TEST", on("NODE2", "SQLTEST"))]))
        .shows(seen(1))
        .and(|stage| {
            assert_eq!(shown(stage), [(DEFAULT, "16.0.1000.6", None)]);
            assert_eq!(stage.said().passive.iter().count(), 1);
            assert!(stage.said().owner.is_empty(), "nothing was proved");
        })
}

fn fifty(stage: &mut Stage) {
    let names: Vec<String> = (0..50).map(|number| format!("SQL{}", 1500 + number)).collect();
    let instances: Vec<_> = names.iter().map(|name| (name.as_str(), sql_server(16))).collect();
    stage.has(&instances);
}

fn fifty_seen_instances_fit_the_answer() -> Situation {
    Situation::new().so(fifty).shows(seen(50)).and(|stage| {
        let shown = shown(stage).len();
        assert!((20..50).contains(&shown), "as many as fit: {shown}");
    })
}

fn of_fifty_seen_instances_failures_come_first() -> Situation {
    Situation::new()
        .so(|stage| {
            fifty(stage);
            for number in 0..4 {
                stage.instance(&format!("SQL{}", 1540 + number), |server| server.running = false);
            }
        })
        .shows_that(|said| {
            let inspected = said.answer.inspected.as_ref().unwrap();
            assert_eq!((said.exit_code, inspected.instances, said.answer.failed), (1, 46, 4));
            assert_eq!(said.answer.failures.len(), 4);
        })
}
