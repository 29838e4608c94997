//! What a rotation does when all is as it should be, or nearly: the published set-up, the story of `make try`, several
//! accounts, late views, hosts that lie, two executions at once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeMap;

use integration_tests::*;
use sandbox::cloud::{Caller, Effect, Fault, FaultKind, KeyStatus, Service};
use sandbox::fleet_file::FleetFile;
use sandbox::host::Credential;
use sandbox::machine::ExecutionStatus;
use sandbox::settings_file::read_json;
use sandbox::world::{World, repository};
use serde_json::{Value, json};

async fn two_hosts() -> World {
    world(fleet([host(1), host(2)]), settings()).await
}

/// Whether a reader of `AKID:SECRET` gets a key that S3 accepts.
fn works_for_a_plain_reader(world: &World, value: &str) -> bool {
    let Some((key, secret)) = value.split_once(':') else { return false };
    world.cloud.s3_put(HOME, "sql-backups", "reader/test.bak", key, secret).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_value_stays_readable_by_what_reads_it() {
    let mut world =
        world(fleet([host(1), host(2)]), with(settings(), json!({ "secret": { "format": "plain" } }))).await;
    assert!(works_for_a_plain_reader(&world, &value_of(&world, "AWSCURRENT")), "the published set-up works before");
    succeed(&mut world, "rotate").await;
    assert!(works_for_a_plain_reader(&world, &value_of(&world, "AWSCURRENT")));
    live_through_the_overlap(&mut world).await;
    let value = value_of(&world, "AWSCURRENT");
    assert!(works_for_a_plain_reader(&world, &value), "and after the old key is gone");
    assert!(value.starts_with(&key_of(&world, "AWSCURRENT").unwrap()));
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_value_is_json_unless_the_settings_say_otherwise() {
    let mut world = two_hosts().await;
    succeed(&mut world, "rotate").await;
    let value: Value = serde_json::from_str(&value_of(&world, "AWSCURRENT")).unwrap();
    assert_eq!(value["accessKeyId"].as_str(), key_of(&world, "AWSCURRENT").as_deref());
    let pair = format!("{}:{}", value["accessKeyId"].as_str().unwrap(), value["secretAccessKey"].as_str().unwrap());
    assert!(works_for_a_plain_reader(&world, &pair));
    conclude(&world).await;
}

/// The world of `make try`, and the chapters of its story.
async fn world_of_make_try() -> (World, FleetFile) {
    let examples = repository().join("tests/sandbox/examples");
    let file = FleetFile::read(&examples.join("fleet.json")).unwrap();
    let settings = read_json(&examples.join("settings.json")).unwrap();
    let world = World::new(&file, settings, std::sync::Arc::new(|_| {})).await.unwrap();
    (world, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_make_try_goes_as_the_readme_tells_it() {
    const UNREACHABLE: &str = "i-00000000000000009";
    const STOPPED: &str = "i-00000000000000007";
    let (mut world, file) = world_of_make_try().await;
    assert_eq!(file.hosts.len(), 12);
    let report = succeed(&mut world, "rotate").await;
    let current = key_of(&world, "AWSCURRENT").unwrap();
    assert_ne!(current, OLD_KEY, "the key is promoted");
    assert_eq!(active_keys(&world).len(), 2, "both keys stay Active");
    assert!(report.contains(UNREACHABLE), "the unreachable host is named as the reason: {report}");
    for host in file.hosts.iter().filter(|host| ![UNREACHABLE, STOPPED].contains(&host.id.as_str())) {
        let held = held_by(&world, &host.id);
        assert_eq!(held.len(), host.sql_servers.len(), "{}", host.id);
        assert!(held.iter().all(|key| *key == current), "{} holds {held:?}", host.id);
    }
    assert_eq!(held_by(&world, UNREACHABLE), [OLD_KEY]);
    let mut statuses = Vec::new();
    for chapter in &file.story {
        world.pass_days(chapter.days).await;
        chapter.reachable.iter().for_each(|host| world.cloud.set_agent_online(host, true));
        succeed(&mut world, "converge").await;
        statuses.push(keys(&world).get(OLD_KEY).copied());
    }
    assert_eq!(statuses, [Some(KeyStatus::Active), Some(KeyStatus::Inactive), None], "converge, overlap, deletion");
    assert_eq!(held_by(&world, UNREACHABLE), [current], "it was brought in");
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_be_done_and_does_nothing() {
    let mut world = two_hosts().await;
    let report = succeed(&mut world, "plan").await;
    assert!(report.contains("A new access key would be made"), "{report}");
    let effects = effects_of_functions(&world);
    assert!(effects.is_empty(), "{effects:#?}");
    succeed(&mut world, "rotate").await;
    world.pass_days(1).await;
    succeed(&mut world, "converge").await;
    world.pass_days(8).await;
    let before = effects_of_functions(&world).len();
    let report = succeed(&mut world, "plan").await;
    assert!(report.contains(&format!("Key {OLD_KEY} would be made Inactive")), "{report}");
    assert_eq!(effects_of_functions(&world).len(), before, "still nothing is done");
    assert_eq!(active_keys(&world).len(), 2);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_other_accounts_are_reached_through_their_role() {
    const OTHER: &str = "444455556666";
    let role = format!("arn:aws:iam::{OTHER}:role/credential-rotation");
    let abroad = with(host(2), json!({ "account": OTHER, "region": "us-east-1" }));
    let targets = json!([
        { "account": ACCOUNT, "regions": [HOME] },
        { "account": OTHER, "role": role, "regions": ["us-east-1"] }
    ]);
    let mut world = world(fleet([host(1), abroad]), with(settings(), json!({ "fleet": { "targets": targets } }))).await;
    succeed(&mut world, "rotate").await;
    let current = key_of(&world, "AWSCURRENT").unwrap();
    assert_eq!(held_by(&world, &id(2)), [current], "the host of the other account holds it");
    assert!(world.cloud.commands().iter().any(|command| command.account == OTHER), "commanded in its own account");
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rotate_while_a_version_is_pending_goes_on_with_it() {
    let broken = json!({ "sqlServers": [{ "neverWorks": true }] });
    let mut world = world(fleet([host(1), with(host(2), broken)]), settings()).await;
    fail(&mut world, json!({}), "ProofsMissing").await;
    let pending = version_of(&world, "AWSPENDING").expect("the version stays pending");
    world.fleet.host(&id(2)).unwrap().with_sql_server("localhost", |server| server.faults.refused_backups = 0).unwrap();
    succeed(&mut world, "rotate").await;
    assert_eq!(version_of(&world, "AWSCURRENT"), Some(pending), "the same version, no other");
    assert_eq!(keys(&world).len(), 2, "no third key was asked for");
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_legal_ends_of_a_rotations_labels_are_understood() {
    for takes in [true, false] {
        let mut world = two_hosts().await;
        world.cloud.set_promotion_takes_pending_off(takes);
        succeed(&mut world, "rotate").await;
        assert_eq!(version_of(&world, "AWSPENDING"), None, "taken off by Secrets Manager: {takes}");
        live_through_the_overlap(&mut world).await;
        assert_rotated(&world, &[1, 2]);
        conclude(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_that_shows_everything_late_is_rotated_all_the_same() {
    let hosts = (1..=4).map(host);
    let mut world = world(with(fleet(hosts), json!({ "lateVisibility": true })), settings()).await;
    succeed(&mut world, "rotate").await;
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2, 3, 4]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rotations_in_a_row_are_refused_with_both_keys_and_their_dates() {
    let mut world = two_hosts().await;
    succeed(&mut world, "rotate").await;
    let current = key_of(&world, "AWSCURRENT").unwrap();
    let said = fail(&mut world, json!({}), "NoFreeKeySlot").await;
    assert!(said.contains(&format!("{current} (Active")) && said.contains("is current"), "{said}");
    assert!(said.contains(OLD_KEY) && said.contains("until 2026-12-01"), "seven days of overlap: {said}");
    assert!(said.contains("converge"), "it says what stages next: {said}");
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_lies_proves_nothing() {
    let version = "11111111-2222-4333-8444-555555555555";
    let of_another = json!({
        "rotation": "sql-backups", "version": version, "proved": 1, "changed": 1, "nothingToHold": 0,
        "failed": 0, "failures": [], "blocking": []
    });
    for lie in ["PASSWORDUPDATESUCCESSFUL".to_owned(), String::new(), "{}".to_owned(), of_another.to_string()] {
        let mut world = world(fleet([host(1), with(host(2), json!({ "lies": lie }))]), settings()).await;
        let said = fail(&mut world, json!({}), "ProofsMissing").await;
        assert!(said.contains(&id(2)), "`{lie}`: {said}");
        assert_eq!(key_of(&world, "AWSCURRENT").as_deref(), Some(OLD_KEY), "`{lie}`");
        assert!(!world.cloud.instance(&id(2)).unwrap().tags.keys().any(|tag| tag.starts_with("credential-rotation")));
        conclude(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_executions_at_once_are_harmless() {
    let mut world = two_hosts().await;
    let both = ["one", "other"].map(|name| world.start(name, json!({})));
    let ends = world.clock.join_all(both.into()).await;
    for end in &ends {
        println!("{}: {} {}", end.name, end.status, failure(end));
    }
    let succeeded = ends.iter().filter(|end| end.status == ExecutionStatus::Succeeded).count();
    assert!(succeeded >= 1, "one of them rotates");
    let made =
        effects_of_functions(&world).into_iter().filter(|(_, effect)| matches!(effect, Effect::KeyCreated { .. }));
    assert_eq!(made.count(), 1, "together they make one key");
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_restored_is_not_believed_whatever_its_tag_says() {
    let mut world = two_hosts().await;
    let old = value_of(&world, "AWSCURRENT");
    succeed(&mut world, "rotate").await;
    world.pass_days(1).await;
    succeed(&mut world, "converge").await;
    // A restored disk brings the old credential back, and the ledger's tag still names the new version.
    world.cloud.restore_volumes(&id(2));
    let now = world.clock.now();
    let host = world.fleet.host(&id(2)).unwrap();
    host.with_sql_server("localhost", |server| {
        for held in server.credentials.values_mut() {
            *held = Credential { secret: Some(old.clone()), modify_date: now, ..held.clone() };
        }
    });
    std::fs::remove_dir_all(host.root().join("state")).unwrap();
    std::fs::create_dir(host.root().join("state")).unwrap();
    assert_eq!(held_by(&world, &id(2)), [OLD_KEY]);
    world.pass_days(8).await;
    succeed(&mut world, "converge").await;
    assert_eq!(held_by(&world, &id(2)), [key_of(&world, "AWSCURRENT").unwrap()], "it was brought to the target first");
    world.pass_days(9).await;
    succeed(&mut world, "converge").await;
    world.pass_days(8).await;
    succeed(&mut world, "converge").await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

/// A person takes a tag away.
fn untag(world: &World, number: u32, key: &str) {
    let input = json!({ "Resources": [id(number)], "Tags": [{ "Key": key }] });
    world.cloud.call(&Caller::Person, HOME, Service::Ec2, "DeleteTags", input).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_left_the_fleet_is_named_and_holds_up_the_retirement_until_a_person_takes_its_tag_away() {
    let mut world = world(fleet([host(1), host(2), host(3)]), settings()).await;
    succeed(&mut world, "rotate").await;
    untag(&world, 3, "SQL");
    for _ in 0..2 {
        world.pass_days(9).await;
        let report = succeed(&mut world, "converge").await;
        assert!(report.contains(&id(3)) && report.contains("No longer in the fleet"), "{report}");
        assert_eq!(keys(&world).get(OLD_KEY), Some(&KeyStatus::Active));
    }
    untag(&world, 3, "credential-rotation:sql-backups");
    for _ in 0..2 {
        world.pass_days(8).await;
        succeed(&mut world, "converge").await;
    }
    assert_eq!(keys(&world), BTreeMap::from([(key_of(&world, "AWSCURRENT").unwrap(), KeyStatus::Active)]));
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_is_deleted_at_once_and_made_again() {
    let mut world = two_hosts().await;
    world.cloud.make_unfit_keys(2);
    succeed(&mut world, "rotate").await;
    assert_eq!(active_keys(&world).len(), 2, "the unfit keys are gone, and the third is current");
    live_through_the_overlap(&mut world).await;
    assert_rotated(&world, &[1, 2]);
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_keys_that_do_not_fit_end_the_run_by_name_and_leave_nothing() {
    let mut world = two_hosts().await;
    world.cloud.make_unfit_keys(3);
    let said = fail(&mut world, json!({}), "KeyUnsuitable").await;
    assert!(said.contains(USER), "{said}");
    assert_eq!(active_keys(&world), [OLD_KEY]);
    assert_eq!(version_of(&world, "AWSPENDING"), None);
    succeed(&mut world, "rotate").await;
    conclude(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_throttled_without_end_ends_the_run_and_the_next_one_goes_on() {
    let mut world = two_hosts().await;
    for nth in 1..=200 {
        let action = "CreateAccessKey".to_owned();
        world.cloud.inject(Fault { service: Service::Iam, action, nth, kind: FaultKind::ThrottleBefore });
    }
    fail(&mut world, json!({}), "ServiceUnavailable").await;
    assert_eq!(active_keys(&world), [OLD_KEY]);
    let left = 200 - calls_of(&world, "CreateAccessKey");
    assert!(left > 0, "the run ended by itself and not because AWS gave in");
    for _ in 0..left {
        // The faults that are left over are used up by a person.
        let _ = world.cloud.create_access_key(USER);
    }
    succeed(&mut world, "rotate").await;
    conclude(&world).await;
}

fn calls_of(world: &World, action: &str) -> usize {
    world.cloud.journal().iter().filter(|event| event.action == action).count()
}
