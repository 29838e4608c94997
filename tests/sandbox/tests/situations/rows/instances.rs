//! A host runs any number of SQL Server instances; some of them cannot hold a credential, and some do not answer.

use rotation::host_answer::HostError;
use sandbox::host::sqlcmd::LOCAL_SYSTEM;
use sandbox::host::{Login, Platform, SqlServer};

use crate::cloud::{NEW, NEW_KEY, OLD_KEY};
use crate::situation::{Answer, Row, Situation, altered, failed, nothing_to_hold, proved, rows};
use crate::stage::{DEFAULT, PROD, Stage, URL, sql_server};

pub const ROWS: &[Row] = rows![
    every_instance_of_a_host_is_altered_whatever_its_port,
    sql_server_2025_is_rotated_like_2022,
    one_failing_instance_stops_no_other,
    a_stopped_service_is_neither_a_proof_nor_nothing_to_hold,
    a_host_without_sql_server_has_nothing_to_hold,
    express_and_older_versions_have_nothing_to_hold,
    a_stopped_instance_that_could_hold_nothing_is_no_failure,
    a_listed_endpoint_that_is_silent_is_never_nothing_to_hold,
    an_optional_endpoint_may_be_absent_until_it_has_proved_once,
    an_optional_endpoint_whose_certificate_is_not_trusted_is_not_absent,
    a_port_that_windows_gave_at_the_last_start_is_found,
    an_instance_on_one_address_is_asked_at_that_address,
    an_instance_without_tcp_is_reached_by_shared_memory,
    without_an_administrator_the_agents_own_account_logs_in,
    fifty_proved_instances_fit_the_answer,
    fifty_failing_instances_fit_the_answer,
];

fn every_instance_of_a_host_is_altered_whatever_its_port() -> Situation {
    Situation::new()
        .so(|stage| stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16)), ("SQL65535", sql_server(16))]))
        .answers(altered(3))
        .and(|stage| {
            for instance in [DEFAULT, PROD, "SQL65535"] {
                stage.instance_holds(instance, &[(URL, NEW_KEY)]);
            }
        })
}

fn sql_server_2025_is_rotated_like_2022() -> Situation {
    Situation::new().so(|stage| stage.has(&[(DEFAULT, sql_server(17))])).answers(altered(1))
}

fn one_failing_instance_stops_no_other() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.instance(DEFAULT, |server| server.faults.refused_backups = 1);
        })
        .answers(altered(1).failing(DEFAULT, HostError::ProofFailed))
        .and(|stage| {
            stage.holds(&[(URL, OLD_KEY)]);
            stage.instance_holds(PROD, &[(URL, NEW_KEY)]);
        })
}

fn a_stopped_service_is_neither_a_proof_nor_nothing_to_hold() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.instance(PROD, |server| server.running = false);
        })
        .answers(altered(1).failing(PROD, HostError::ConnectFailed))
        .so(|stage| stage.instance(PROD, |server| server.running = true))
        .answers(proved(2).having_changed(1))
}

fn a_host_without_sql_server_has_nothing_to_hold() -> Situation {
    Situation::new()
        .so(|stage| stage.has(&[]))
        .answers(Answer::default())
        .and(|stage| assert_eq!(stage.said().version.as_deref(), Some(NEW)))
}

fn express(major_version: u32) -> SqlServer {
    let mut express = sql_server(major_version);
    express.engine_edition = 4;
    express
}

fn express_and_older_versions_have_nothing_to_hold() -> Situation {
    Situation::new()
        .so(|stage| stage.has(&[(DEFAULT, express(16)), (PROD, sql_server(15))]))
        .answers(nothing_to_hold(2))
        .and(|stage| stage.instance_holds(PROD, &[(URL, OLD_KEY)]))
}

fn a_stopped_instance_that_could_hold_nothing_is_no_failure() -> Situation {
    Situation::new()
        .only(Platform::Windows, "Linux has no registry that tells what a stopped instance is")
        .so(|stage| {
            stage.has(&[(DEFAULT, express(16)), (PROD, sql_server(15))]);
            stage.instance(DEFAULT, |server| server.running = false);
            stage.instance(PROD, |server| server.running = false);
        })
        .answers(nothing_to_hold(2))
}

const LISTED: &str = "Windows finds its instances in the registry, and no endpoints are listed";

fn a_listed_endpoint_that_is_silent_is_never_nothing_to_hold() -> Situation {
    Situation::new()
        .only(Platform::Linux, LISTED)
        .so(|stage| {
            stage.has(&[]);
            stage.set("endpoints", "localhost,1434");
        })
        .answers(Answer::default().failing(PROD, HostError::ConnectFailed))
}

fn an_optional_endpoint_may_be_absent_until_it_has_proved_once() -> Situation {
    Situation::new()
        .only(Platform::Linux, LISTED)
        .so(|stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.set("endpoints", "localhost localhost,1434?");
            stage.instance(PROD, |server| server.running = false);
        })
        .answers(altered(1))
        .so(|stage| stage.instance(PROD, |server| server.running = true))
        .answers(proved(2).having_changed(1))
        .so(|stage| stage.instance(PROD, |server| server.running = false))
        .answers(proved(1).failing(PROD, HostError::ConnectFailed))
}

/// Somebody answers there, and holds a credential that nobody proved.
fn an_optional_endpoint_whose_certificate_is_not_trusted_is_not_absent() -> Situation {
    Situation::new()
        .only(Platform::Linux, LISTED)
        .so(|stage| {
            stage.has(&[(DEFAULT, sql_server(16)), (PROD, sql_server(16))]);
            stage.set("endpoints", "localhost localhost,1434?");
            stage.instance(PROD, |server| server.certificate_trusted = false);
        })
        .answers(altered(1).failing(PROD, HostError::ConnectFailed))
}

const REGISTRY: &str = "Linux is told where its instances listen";

fn a_port_that_windows_gave_at_the_last_start_is_found() -> Situation {
    Situation::new()
        .only(Platform::Windows, REGISTRY)
        .so(|stage| {
            let mut dynamic = sql_server(16);
            dynamic.installation.dynamic_port = true;
            stage.has(&[("SQL51433", dynamic)]);
        })
        .answers(altered(1))
        .and(|stage| stage.was_asked_at("tcp:localhost,51433"))
}

fn an_instance_on_one_address_is_asked_at_that_address() -> Situation {
    Situation::new()
        .only(Platform::Windows, REGISTRY)
        .so(|stage| {
            let mut one_address = sql_server(16);
            one_address.installation.one_address = true;
            stage.has(&[("SQL1500", one_address)]);
        })
        .answers(altered(1))
        .and(|stage| stage.was_asked_at("tcp:localhost,1500"))
}

fn an_instance_without_tcp_is_reached_by_shared_memory() -> Situation {
    Situation::new()
        .only(Platform::Windows, "SQL Server on Linux has no shared memory")
        .so(|stage| {
            let mut without_tcp = sql_server(16);
            without_tcp.installation.without_tcp = true;
            stage.has(&[(DEFAULT, without_tcp.clone()), (PROD, without_tcp)]);
        })
        .answers(altered(2))
        .and(|stage| stage.instance_holds(PROD, &[(URL, NEW_KEY)]))
}

fn without_an_administrator_the_agents_own_account_logs_in() -> Situation {
    Situation::new()
        .only(Platform::Windows, "SQL Server on Linux does not know the agent's account")
        .so(|stage| {
            stage.set("administratorSecretArn", "");
            stage.cloud().administrator = None;
        })
        .answers(failed(HostError::LoginFailed))
        .so(|stage| stage.instance(DEFAULT, knows_the_agents_account))
        .answers(altered(1))
}

fn knows_the_agents_account(server: &mut SqlServer) {
    let login = Login::of_windows(LOCAL_SYSTEM);
    server.logins.insert(LOCAL_SYSTEM.to_owned(), login);
}

fn fifty(stage: &mut Stage) -> Vec<String> {
    let names: Vec<String> = (0..50).map(|number| format!("SQL{}", 1500 + number)).collect();
    let instances: Vec<_> = names.iter().map(|name| (name.as_str(), sql_server(16))).collect();
    stage.has(&instances);
    names
}

fn fifty_proved_instances_fit_the_answer() -> Situation {
    Situation::new()
        .so(|stage| {
            fifty(stage);
            stage.set("proof", "none");
        })
        .answers(altered(50))
}

fn fifty_failing_instances_fit_the_answer() -> Situation {
    Situation::new()
        .so(|stage| {
            for name in fifty(stage) {
                stage.instance(&name, |server| server.running = false);
            }
        })
        .answers_that(|said| {
            assert_eq!((said.exit_code, said.answer.proved, said.answer.failed), (1, 0, 50));
            // As many as fit, and each with what a person needs.
            assert!(said.answer.failures.len() >= 3, "{}", said.answer.failures.len());
            assert!(said.answer.failures.iter().all(|failure| failure.error == HostError::ConnectFailed));
        })
}
