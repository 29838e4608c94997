//! Hosts that are not what one expects: no agent, nothing to hold, a server that nobody trusts, somebody else's
//! credential; and regions that cannot be commanded at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use integration_tests::*;
use sandbox::cloud::{InstanceSetUp, KeyStatus};
use sandbox::host::Credential;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_an_agent_stops_nobody_else_and_keeps_the_old_key_alive() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    let mut unmanaged = InstanceSetUp::running(&id(7), ACCOUNT, HOME, &[("SQL", "2022")]);
    unmanaged.agent = None;
    world.cloud.add_instance(unmanaged);
    let report = succeed(&mut world, "rotate").await;
    assert_ne!(key_of(&world, "AWSCURRENT").unwrap(), OLD_KEY);
    assert!(report.contains(&format!("{}: Unreachable", id(7))), "{report}");
    world.pass_days(20).await;
    let report = succeed(&mut world, "converge").await;
    assert_eq!(keys(&world)[OLD_KEY], KeyStatus::Active, "a running host has proved nothing");
    assert!(report.contains(&id(7)), "{report}");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_which_nobody_is_a_managed_node_promotes_nothing_and_says_who() {
    let mut world = world(fleet([]), settings()).await;
    let mut unmanaged = InstanceSetUp::running(&id(7), ACCOUNT, HOME, &[("SQL", "2022")]);
    unmanaged.agent = None;
    world.cloud.add_instance(unmanaged);
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(said.contains("no host is online") && said.contains(&id(7)), "{said}");
    assert_eq!(key_of(&world, "AWSCURRENT").as_deref(), Some(OLD_KEY));
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_nothing_to_hold_is_no_canary() {
    let nothing = with(host(1), json!({ "sqlServers": [] }));
    let broken = with(host(2), json!({ "sqlServers": [{ "neverWorks": true }] }));
    let mut world = world(fleet([nothing, broken, host(3), host(4)]), settings()).await;
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(said.contains(&id(2)), "the canary is the first host that can prove: {said}");
    for untouched in [3, 4] {
        assert_eq!(held_by(&world, &id(untouched)), [OLD_KEY], "nobody is commanded after a canary that failed");
    }
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_certificate_is_not_trusted_is_not_taken_for_no_server() {
    let optional = with(settings(), json!({ "sqlServer": { "endpoints": ["localhost", "localhost,1434?"] } }));
    let two = with(host(1), json!({ "sqlServers": [{}, { "endpoint": "localhost,1434" }] }));
    let mut world = world(fleet([two, host(2), host(3)]), optional).await;
    let container = world.fleet.host(&id(1)).unwrap();
    container.with_sql_server("localhost,1434", |server| server.certificate_trusted = false).unwrap();
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(said.contains("ConnectFailed") && said.contains("localhost,1434"), "{said}");
    assert_eq!(key_of(&world, "AWSCURRENT").as_deref(), Some(OLD_KEY));
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_nobody_declared_is_named_holds_up_retirement_and_is_looked_for_again() {
    const STRANGE: &str = "s3://reports.s3.eu-west-1.amazonaws.com";
    let odd = with(host(1), json!({ "sqlServers": [{ "furtherCredentials": [STRANGE] }] }));
    let mut world = world(fleet([odd, host(2)]), settings()).await;
    let report = succeed(&mut world, "rotate").await;
    assert!(report.contains("CredentialInTheWay") && report.contains(STRANGE), "{report}");
    for _ in 0..10 {
        world.pass_days(1).await;
        succeed(&mut world, "converge").await;
    }
    assert_eq!(keys(&world)[OLD_KEY], KeyStatus::Active, "it may be the key that the other credential holds");

    let forget = |credentials: &mut std::collections::BTreeMap<String, Credential>| credentials.remove(STRANGE);
    let host = world.fleet.host(&id(1)).unwrap();
    host.with_sql_server("localhost", |server| forget(&mut server.credentials)).unwrap();
    world.pass_days(1).await;
    succeed(&mut world, "converge").await;
    assert_eq!(keys(&world)[OLD_KEY], KeyStatus::Inactive, "it is gone, and nobody had to remove a tag");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_cannot_be_commanded_is_loud_even_when_nothing_was_to_be_promoted() {
    let mut world = world(fleet([host(1), host(2)]), settings()).await;
    world.cloud.deny("send-command", "ssm:SendCommand");
    let said = fail(&mut world, json!({ "mode": "converge" }), "PlacesNotCommanded").await;
    assert!(said.contains(HOME) && said.contains("ssm:SendCommand"), "{said}");
    assert_eq!(world.cloud.notices().len(), 1, "a person was told");
    world.cloud.allow("send-command", "ssm:SendCommand");
    succeed(&mut world, "converge").await;
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_region_that_cannot_be_commanded_stops_no_other_and_holds_up_the_promotion() {
    let elsewhere = with(host(2), json!({ "region": "us-east-1" }));
    let targets = json!({ "fleet": { "targets": [{ "account": ACCOUNT, "regions": [HOME, "us-east-1"] }] } });
    let mut world = world(fleet([host(1), elsewhere]), with(settings(), targets)).await;
    // The first DescribeInstances of us-east-1 is the enumeration's; the wave's own look is refused.
    world.cloud.deny("send-command", "ec2:DescribeInstances");
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(said.contains("could not be commanded") && said.contains("ec2:DescribeInstances"), "{said}");
    assert_eq!(key_of(&world, "AWSCURRENT").as_deref(), Some(OLD_KEY));
    world.cloud.allow("send-command", "ec2:DescribeInstances");
    succeed(&mut world, "rotate").await;
    assert_ne!(key_of(&world, "AWSCURRENT").unwrap(), OLD_KEY);
    conclude(&world).await;
}
