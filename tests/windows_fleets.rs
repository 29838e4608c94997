//! Whole rotations of fleets with Windows hosts and a failover cluster, where the variable PWSH names a PowerShell
//! engine. Without one they are reported as ignored, so that nobody believes that they ran.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by failing")]

use integration_tests::*;
use libtest_mimic::{Arguments, Failed, Trial};
use sandbox::host::windows::{Engine, NoEngine};
use serde_json::{Value, json};

fn main() {
    // One that is named and does not run makes them fail: somebody meant them to be run.
    let is_named = !matches!(Engine::from_environment(), Err(NoEngine::NotNamed));
    let trial = |name: &str, run: fn() -> Result<(), Failed>| Trial::test(name, run).with_ignored_flag(!is_named);
    let trials = vec![
        trial("a_fleet_of_both_platforms_with_a_cluster_is_rotated_whole", || within(a_fleet_of_both_platforms())),
        trial("a_passive_node_proves_nothing_while_its_owner_fails", || within(a_failing_owner())),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn within(test: impl Future<Output = ()>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(test);
    Ok(())
}

fn windows(number: u32, sql_servers: Value) -> Value {
    with(host(number), json!({ "platform": "windows", "sqlServers": sql_servers }))
}

/// A node of the cluster SQLCLU; the instance runs on it, or on another one.
fn node(number: u32, instance: Value) -> Value {
    let clustered = json!({ "endpoint": "localhost,1500", "instance": "CLU", "virtualName": "SQLCLU" });
    windows(number, json!([with(clustered, instance)]))
}

fn elsewhere() -> Value {
    json!({ "runsOn": "NODE1" })
}

fn ledger(world: &sandbox::world::World, number: u32) -> String {
    world.cloud.instance(&id(number)).unwrap().tags.get("credential-rotation:sql-backups").cloned().unwrap_or_default()
}

async fn a_fleet_of_both_platforms() {
    let named = json!([{}, { "endpoint": "localhost,1435", "instance": "PROD" }]);
    let hosts = [windows(1, named), node(2, json!({})), node(3, elsewhere()), host(4)];
    let mut world = world(fleet(hosts), settings()).await;
    succeed(&mut world, "rotate").await;
    let (owner, passive) = (ledger(&world, 2), ledger(&world, 3));
    let name = owner.split_once("owner:").map(|(_, name)| name.to_owned()).unwrap_or_else(|| panic!("{owner}"));
    assert!(passive.ends_with(&format!("passive:{name}")), "{passive}");
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2, 4]);
    conclude(&world).await;
}

async fn a_failing_owner() {
    let hosts = [node(1, json!({ "neverWorks": true })), node(2, elsewhere()), host(3)];
    let mut world = world(fleet(hosts), settings()).await;
    let said = fail(&mut world, json!({}), "ProofsMissing").await;
    assert!(said.contains(&id(1)), "the owner is named: {said}");
    world.shut_down().await;
    world.auditor.assert_clean();
}
