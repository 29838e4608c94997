//! Logins where the host's own ways matter: Windows' accounts, clusters and stopped services, and how a command line
//! takes the label of a login with anything in its name.

use rotation::cluster::VirtualNames;
use rotation::host_answer::HostError;
use sandbox::host::sqlcmd::LOCAL_SYSTEM;
use sandbox::host::windows::{Cluster, Group};
use sandbox::host::{Login, Platform, SqlServer};

use crate::cloud::{NEW_PASSWORD, OLD, OLD_PASSWORD};
use crate::logins::{APP, with_a_login};
use crate::situation::{Answer, Row, Situation, altered, failed, nothing_to_hold, rows, seen};
use crate::stage::{DEFAULT, PROD, empty_sql_server};

pub const ROWS: &[Row] = rows![
    the_label_of_a_login_with_anything_in_its_name_reaches_aws_unharmed,
    without_an_administrator_the_agents_own_account_changes_logins,
    of_a_clustered_instance_only_the_node_that_runs_it_changes_a_login,
    a_stopped_instance_may_have_the_login_unless_it_is_too_old_for_one_of_ours,
];

const OF_WINDOWS: &str = "Linux has neither such an account nor such a cluster, nor a registry";

fn the_label_of_a_login_with_anything_in_its_name_reaches_aws_unharmed() -> Situation {
    let names: [(&str, &str); 3] = [
        ("a \"b\" \\", "login:a \"b\" \\"),
        ("back\\\\\"slashes\\", "login:back\\\\\"slashes\\"),
        ("it's %PATH% $(x) na\u{ef}ve", "login:it's %PATH% $(x) na\u{ef}ve"),
    ];
    names.into_iter().fold(Situation::of_a_login(), |situation, (name, label)| {
        situation
            .so(move |stage| {
                stage.rotates(&[name, APP]);
                stage.cloud().rotates_logins(name, APP);
                stage.cloud().labels.insert(label, OLD);
                stage.has(&[(DEFAULT, with_a_login().with_login(name, "Another-9999"))]);
            })
            .answers(altered(1))
            .and(move |stage| {
                stage.has_password(APP, NEW_PASSWORD);
                stage.has_password(name, OLD_PASSWORD);
            })
    })
}

fn without_an_administrator_the_agents_own_account_changes_logins() -> Situation {
    Situation::of_a_login()
        .only(Platform::Windows, OF_WINDOWS)
        .so(|stage| {
            stage.set("administratorSecretArn", "");
            stage.cloud().administrator = None;
        })
        .answers(failed(HostError::LoginFailed))
        .so(|stage| {
            stage.instance(DEFAULT, |server| {
                server.logins.insert(LOCAL_SYSTEM.to_owned(), Login::of_windows(LOCAL_SYSTEM));
            });
        })
        .shows(seen(1))
        .answers(altered(1))
        .and(|stage| stage.has_password(APP, NEW_PASSWORD))
}

fn clustered(virtual_name: &str, node: &str, runs_here: bool) -> SqlServer {
    let mut server = with_a_login();
    let group = Some(Group { node: node.to_owned(), state: "Online".to_owned() });
    server.installation.cluster = Some(Cluster { virtual_name: virtual_name.to_owned(), group });
    server.running = runs_here;
    server
}

fn of_a_clustered_instance_only_the_node_that_runs_it_changes_a_login() -> Situation {
    Situation::of_a_login()
        .only(Platform::Windows, OF_WINDOWS)
        .so(|stage| {
            stage.has(&[
                (DEFAULT, clustered("SQLPROD", "LOCALHOST", true)),
                ("TEST", clustered("SQLTEST", "NODE2", false)),
            ]);
        })
        .answers(altered(1))
        .and(|stage| {
            let names = |hash: &str| -> VirtualNames { hash.parse().unwrap() };
            // As in the rows of clusters.
            assert_eq!((&stage.said().owner, &stage.said().passive), (&names("034569"), &names("da50aa")));
            stage.at("sqlprod", |server| assert!(server.logins[APP].password == NEW_PASSWORD));
            stage.at("sqltest", |server| assert!(server.logins[APP].password == OLD_PASSWORD));
        })
}

fn a_stopped_instance_may_have_the_login_unless_it_is_too_old_for_one_of_ours() -> Situation {
    let stopped = |mut server: SqlServer| {
        server.running = false;
        server
    };
    let mut express = with_a_login();
    express.engine_edition = 4;
    Situation::of_a_login()
        .only(Platform::Windows, OF_WINDOWS)
        .so(move |stage| stage.has(&[(DEFAULT, stopped(express)), (PROD, stopped(empty_sql_server(12)))]))
        .answers(Answer { nothing_to_hold: 1, ..failed(HostError::ConnectFailed) })
        .so(move |stage| stage.has(&[(PROD, stopped(empty_sql_server(12)))]))
        .answers(nothing_to_hold(1))
}
