//! DESIGN guarantee 6: a secret value is seen by no one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use sandbox::auditor::secrecy;
use sandbox::fleet_file::FleetFile;
use sandbox::settings_file::read_json;
use sandbox::world::{World, repository};
use serde_json::json;
use std::sync::Arc;

/// The world of `make try`, with a host on which the new key never works and one that has no disk left.
async fn troubled_world() -> World {
    let examples = repository().join("tests/sandbox/examples");
    let mut file = FleetFile::read(&examples.join("fleet.json")).unwrap();
    file.hosts[1].sql_servers[0].never_works = true;
    file.hosts[2].disk_full = true;
    let settings = read_json(&examples.join("settings.json")).unwrap();
    World::new(&file, settings, Arc::new(|_| {})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_that_a_run_leaves_anywhere_holds_a_secret_value() {
    let mut world = troubled_world().await;
    world.run(json!({})).await;
    world.run(json!({"mode": "no such mode"})).await;
    world.pass_days(8).await;
    world.run(json!({"mode": "converge"})).await;
    world.shut_down().await;

    let texts = world.texts();
    let places = |what: &str| texts.iter().filter(|(place, _)| place.contains(what)).count();
    for what in ["log of", "execution-1", "event", "notice", "command", "process on", ".log", ".marker", "_script.sh"] {
        assert!(places(what) > 0, "nothing was searched at {what}");
    }
    let leaks = secrecy::search(&world.cloud, texts.into_iter());
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_finds_a_secret_in_every_form_in_which_it_could_hide() {
    let world = troubled_world().await;
    let secret = world.cloud.secret_access_keys().remove(0);
    let percent = secret.replace('/', "%2F").replace('+', "%2B");
    for hidden in [secret.clone(), format!("{{\"x\":\"{secret}\"}}"), percent] {
        let leaks =
            secrecy::search(&world.cloud, [("planted".to_owned(), format!("before {hidden} after"))].into_iter());
        assert_eq!(leaks.len(), 1, "it was not found in one of its forms");
    }
}
