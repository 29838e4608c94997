//! A clustered instance is installed on several nodes and runs on one of them. The node that runs it proves it; the
//! others say who they wait for, and the workflow believes them only beside the owner's proof (DESIGN.md section 2).
//!
//! Windows only: on Linux, Pacemaker's virtual name is an endpoint like any other, which every node reaches over the
//! network, so every node proves it.

use rotation::cluster::VirtualNames;
use rotation::host_answer::HostError;
use sandbox::host::windows::{Cluster, Group};
use sandbox::host::{Platform, SqlServer};

use crate::cloud::{NEW_KEY, OLD_KEY};
use crate::situation::{Answer, Row, Situation, altered, proved, rows};
use crate::stage::{DEFAULT, PROD, URL, sql_server};

const PACEMAKER: &str = "on Linux every node reaches Pacemaker's virtual name over the network, and proves it";

pub const ROWS: &[Row] = rows![
    the_node_that_runs_a_clustered_instance_proves_it_as_its_owner,
    a_passive_node_names_who_it_waits_for_and_proves_nothing,
    a_node_may_own_one_instance_and_be_passive_for_another,
    an_owner_that_fails_vouches_for_nobody,
    a_clustered_group_that_is_offline_is_a_failure,
    a_group_that_is_online_here_while_its_service_does_not_run_is_a_failure,
    a_cluster_that_does_not_answer_is_a_failure,
    after_a_failover_the_new_owner_proves_what_the_cluster_holds,
    twenty_five_clustered_instances_fit_the_answer,
];

/// An instance whose group is at a node, in a state; it runs here if its service does.
fn clustered(virtual_name: &str, group: Option<(&str, &str)>, runs_here: bool) -> SqlServer {
    let mut server = sql_server(16);
    let group = group.map(|(node, state)| Group { node: node.to_owned(), state: state.to_owned() });
    server.installation.cluster = Some(Cluster { virtual_name: virtual_name.to_owned(), group });
    server.running = runs_here;
    server
}

/// This host's name is localhost, so that what it asks for leads to the stand-ins.
const HERE: Option<(&str, &str)> = Some(("LOCALHOST", "Online"));
const ELSEWHERE: Option<(&str, &str)> = Some(("NODE2", "Online"));
/// SHA-256 of `<cluster id>/sqlprod` and of `<cluster id>/sqltest`, the first six digits (checked with sha256sum).
const SQLPROD: &str = "034569";
const SQLTEST: &str = "da50aa";

fn names(hashes: &str) -> VirtualNames {
    if hashes.is_empty() { VirtualNames::default() } else { hashes.parse().unwrap() }
}

fn the_node_that_runs_a_clustered_instance_proves_it_as_its_owner() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| stage.has(&[(DEFAULT, clustered("SQLPROD", HERE, true))]))
        .answers(altered(1))
        .and(|stage| {
            assert_eq!((&stage.said().owner, &stage.said().passive), (&names(SQLPROD), &names("")));
            stage.was_asked_at("tcp:SQLPROD,1433");
            let held = stage.at("sqlprod", |server| server.credentials[URL].access_key_id().map(str::to_owned));
            assert_eq!(held.as_deref(), Some(NEW_KEY.0));
        })
}

fn a_passive_node_names_who_it_waits_for_and_proves_nothing() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| stage.has(&[(DEFAULT, clustered("SQLPROD", ELSEWHERE, false))]))
        .answers(Answer::default())
        .and(|stage| {
            assert_eq!((&stage.said().owner, &stage.said().passive), (&names(""), &names(SQLPROD)));
            let held = stage.at("sqlprod", |server| server.credentials[URL].access_key_id().map(str::to_owned));
            assert_eq!(held.as_deref(), Some(OLD_KEY.0));
        })
}

fn a_node_may_own_one_instance_and_be_passive_for_another() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| {
            let instances = [
                (DEFAULT, clustered("SQLPROD", HERE, true)),
                ("TEST", clustered("SQLTEST", ELSEWHERE, false)),
                (PROD, sql_server(16)),
            ];
            stage.has(&instances);
        })
        .answers(altered(2))
        .and(|stage| assert_eq!((&stage.said().owner, &stage.said().passive), (&names(SQLPROD), &names(SQLTEST))))
}

fn an_owner_that_fails_vouches_for_nobody() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| {
            stage.has(&[(DEFAULT, clustered("SQLPROD", HERE, true))]);
            stage.at("sqlprod", |server| server.faults.refused_backups = 1);
        })
        .answers(Answer::default().failing(DEFAULT, HostError::ProofFailed))
        .and(|stage| assert_eq!((&stage.said().owner, &stage.said().passive), (&names(""), &names(""))))
}

fn a_clustered_group_that_is_offline_is_a_failure() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| stage.has(&[(DEFAULT, clustered("SQLPROD", Some(("NODE2", "Offline")), false))]))
        .answers(Answer::default().failing(DEFAULT, HostError::ConnectFailed))
        .and(|stage| assert!(stage.said().passive.is_empty()))
}

/// A node must not wait for itself.
fn a_group_that_is_online_here_while_its_service_does_not_run_is_a_failure() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| stage.has(&[(DEFAULT, clustered("SQLPROD", HERE, false))]))
        .answers(Answer::default().failing(DEFAULT, HostError::ConnectFailed))
        .and(|stage| assert!(stage.said().passive.is_empty()))
}

fn a_cluster_that_does_not_answer_is_a_failure() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| stage.has(&[(DEFAULT, clustered("SQLPROD", None, false))]))
        .answers(Answer::default().failing(DEFAULT, HostError::ConnectFailed))
        .and(|stage| assert!(stage.said().passive.is_empty()))
}

/// The cluster's disk came over with the new key in it, and this node's own marker knows nothing of it.
fn after_a_failover_the_new_owner_proves_what_the_cluster_holds() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| stage.has(&[(DEFAULT, clustered("SQLPROD", ELSEWHERE, false))]))
        .answers(Answer::default())
        .so(|stage| stage.has(&[(DEFAULT, clustered("SQLPROD", HERE, true))]))
        .answers(altered(1))
        .and(|stage| assert_eq!(stage.said().owner, names(SQLPROD)))
        .answers(proved(1))
        .and(|stage| assert_eq!(stage.said().owner, names(SQLPROD)))
}

/// The most that one cluster takes.
fn twenty_five_clustered_instances_fit_the_answer() -> Situation {
    Situation::new()
        .only(Platform::Windows, PACEMAKER)
        .so(|stage| {
            let name = |number: u32| (format!("SQL{}", 1500 + number), format!("SQLVIRTUAL{number}"));
            let instances: Vec<_> = (0..25)
                .map(name)
                .map(|(name, virtual_name)| (name, clustered(&virtual_name, ELSEWHERE, false)))
                .collect();
            let instances: Vec<_> = instances.iter().map(|(name, server)| (name.as_str(), server.clone())).collect();
            stage.has(&instances);
        })
        .answers(Answer::default())
        .and(|stage| assert_eq!(stage.said().passive.iter().count(), 25))
}
