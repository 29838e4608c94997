//! The ledger is written in batches, and one instance that is gone or full takes nobody else's proof with it.
//!
//! The step's own code runs here with the SDK's real clients, over an HTTP client that is the local AWS itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use integration_tests::{ACCOUNT, HOME, id};
use lambda::Environment;
use rotation::ledger::LedgerEntry;
use rotation::names::{InstanceId, ledger_tag};
use rotation::settings::Place;
use sandbox::clock::Clock;
use sandbox::cloud::{Caller, Cloud, InstanceSetUp};

fn cloud_of(hosts: u32) -> Arc<Cloud> {
    let cloud = Cloud::new(Clock::starting_at("2026-11-24T06:00:00Z".parse().unwrap()), ACCOUNT, HOME);
    for number in 1..=hosts {
        cloud.add_instance(InstanceSetUp::running(&id(number), ACCOUNT, HOME, &[("SQL", "2022")]));
    }
    cloud
}

async fn clients(cloud: &Arc<Cloud>) -> fleet::PlaceClients {
    let session = cloud.credentials_for(Caller::function("poll-command", ACCOUNT));
    let variables = [
        ("AWS_REGION", HOME.to_owned()),
        ("AWS_ACCESS_KEY_ID", session.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", session.secret_access_key),
        ("AWS_SESSION_TOKEN", session.session_token),
    ];
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let environment = Environment::from_variables(variables, cloud.http_client()).unwrap();
    let place = Place { account: ACCOUNT.to_owned(), role: None, region: HOME.to_owned() };
    fleet::open(&environment, &place).await.unwrap()
}

fn entries(hosts: impl IntoIterator<Item = u32>) -> BTreeMap<InstanceId, LedgerEntry> {
    let entry = LedgerEntry::parse("0f1e2d3c-0000-0000-0000-000000000000 2026-11-24T06:00:00Z").unwrap();
    hosts.into_iter().map(|number| (InstanceId(id(number)), entry.clone())).collect()
}

fn bearers(cloud: &Cloud) -> usize {
    let tag = ledger_tag("sql-backups");
    cloud.instances().iter().filter(|instance| instance.tags.contains_key(&tag)).count()
}

fn calls(cloud: &Cloud) -> usize {
    cloud.journal().iter().filter(|event| event.action == "CreateTags").count()
}

#[tokio::test]
async fn twelve_hundred_proofs_are_two_calls() {
    let cloud = cloud_of(1200);
    let unwritten = fleet::write_ledger(&clients(&cloud).await, "sql-backups", &entries(1..=1200)).await.unwrap();
    assert_eq!((unwritten.len(), bearers(&cloud), calls(&cloud)), (0, 1200, 2));
}

#[tokio::test]
async fn a_host_that_is_gone_and_one_that_is_full_are_named_and_everybody_else_is_recorded() {
    let cloud = cloud_of(99);
    let mut full = InstanceSetUp::running(&id(100), ACCOUNT, HOME, &[]);
    full.tags = (0..50).map(|number| (format!("tag-{number}"), "x".to_owned())).collect();
    cloud.add_instance(full);
    // Number 101 was terminated and forgotten between the proof and the record.
    let unwritten = fleet::write_ledger(&clients(&cloud).await, "sql-backups", &entries(1..=101)).await.unwrap();
    let mut named: Vec<&str> = unwritten.iter().map(InstanceId::as_str).collect();
    named.sort_unstable();
    assert_eq!(named, [id(100), id(101)]);
    assert_eq!(bearers(&cloud), 99);
    assert!(calls(&cloud) < 40, "halving finds two of a hundred in {} calls", calls(&cloud));
}
