//! What a plan says, line by line, from facts that a person would ask about.

use super::*;
use crate::error::StepError;
use crate::fleet::HostState;
use crate::host_answer::{HostAnswer, HostError, HostFailure, Inspection, SeenInstance};
use crate::keys::{KeyFacts, KeyStatus};
use crate::ledger::LedgerEntry;
use crate::names::{AWSCURRENT, VersionId};
use crate::plan::{Plan, Stage};
use crate::request::Mode;

const CURRENT: &str = "AKIACURRENTCURRENT01";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A fleet of `running` hosts that have proved v1, and a stopped one that has never proved anything.
fn outlook(running: usize) -> PlaceOutlook {
    let host = |index: usize, state, ledger: Option<&str>| Host {
        id: format!("i-{index}").as_str().into(),
        name: None,
        state,
        renewed: at("2026-01-01T00:00:00Z"),
        ledger: ledger.and_then(LedgerEntry::parse),
        matches: true,
        tag_count: 1,
    };
    let proof = Some("v1 2026-11-20T00:00:00Z");
    let mut hosts: Vec<Host> = (0..running).map(|index| host(index, HostState::Running, proof)).collect();
    hosts.push(host(running, HostState::Stopped, None));
    let target = secret().target();
    let online: Vec<InstanceId> = (1..running).map(|index| format!("i-{index}").as_str().into()).collect();
    PlaceOutlook {
        place: Settings::example().places().remove(0),
        roster: Roster::new(hosts, target.as_ref()),
        nodes: Nodes { registered: online.clone(), online },
        asked_of_all: running <= 50,
    }
}

fn secret() -> SecretFacts {
    let mut secret = SecretFacts { arn: "arn".to_owned(), ..SecretFacts::default() };
    secret.labels.insert(AWSCURRENT.to_owned(), "v1".into());
    secret.labels.insert(CURRENT.to_owned(), "v1".into());
    secret.standing = Some(secret.standing_at(at("2026-09-01T00:00:00Z")));
    secret
}

fn plan(stage: Stage) -> Plan {
    Plan {
        settle: Vec::new(),
        stage,
        retire: Vec::new(),
        breaks: None,
        warnings: Vec::new(),
        next_rotation: Some(at("2026-11-25T00:00:00Z")),
        current_key_created: Some(at("2026-08-27T00:00:00Z")),
        is_old_key_used: false,
        unknown: Vec::new(),
    }
}

fn told(plan: Option<&Plan>, outlook: PlaceOutlook, inspections: &[PlaceSummary], refusals: &[String]) -> String {
    told_about(&Settings::example(), &Request::for_mode(Mode::Plan), plan, &[outlook], inspections, refusals)
}

fn told_about(
    settings: &Settings,
    request: &Request,
    plan: Option<&Plan>,
    places: &[PlaceOutlook],
    inspections: &[PlaceSummary],
    refusals: &[String],
) -> String {
    let keys = [KeyFacts {
        id: CURRENT.into(),
        status: KeyStatus::Active,
        created: at("2026-09-01T00:00:00Z"),
        last_use: None,
    }];
    let preview = Preview {
        settings,
        execution: "arn:aws:states:eu-west-1:111122223333:execution:m:e",
        now: at("2026-11-24T06:00:00Z"),
        request,
        secret: &secret(),
        prospect: Prospect::AccessKey(KeyProspect {
            settings: settings.access_key().unwrap(),
            keys: Some(&keys),
            plan,
        }),
        places,
        inspections,
        simulation: &Simulation::default(),
        refusals,
    };
    preview.report().message
}

fn make() -> Plan {
    plan(Stage::Make { token: VersionId("v2".to_owned()) })
}

#[test]
fn a_new_key_is_told_with_every_host_that_would_be_commanded_and_when_the_old_one_goes() {
    let text = told(Some(&make()), outlook(6), &[], &[]);
    for line in [
        "A new access key would be made, stored as a new version, checked with STS and labelled AWSPENDING.",
        "Key AKIACURRENTCURRENT01 (Active, made 2026-09-01T00:00:00Z, never used): current.",
        "Running: 6. Version v1 last proved by all of them.",
        "Stopped: 1. No proof by i-6. They are brought in when they start.",
        "eu-west-1 of 111122223333: first the canary i-1, then 5 hosts in one command (by name), 50 at a time, with apply-s3-credential version 1. Not online in SSM now: i-0.",
        "Key AKIACURRENTCURRENT01 would stay Active until 2026-12-01 at the earliest and until every running host has proved the new version, and be deleted on 2026-12-08 at the earliest.",
        "Nothing forbids it.",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}\n\n{text}");
    }
}

#[test]
fn more_than_fifty_hosts_are_one_command_to_all_that_match_the_tags() {
    let text = told(Some(&make()), outlook(60), &[], &[]);
    assert!(text.contains("then 59 hosts in one command (all that match the tags)"), "{text}");
}

#[test]
fn all_that_forbids_a_rotation_is_told_at_once_and_nothing_twice() {
    let refusal = StepError::NoFreeKeySlot { user: "u".to_owned(), holders: "both".to_owned() };
    let refused = plan(Stage::Refused(refusal.clone()));
    let refusals = ["the document is missing".to_owned(), refusal.to_string()];
    let text = told(Some(&refused), outlook(6), &[], &refusals);
    assert_eq!(text.matches("What forbids it").count(), 2, "{text}");
    assert!(text.contains("Nothing would be staged.") && text.contains("no host would be commanded"), "{text}");
    assert!(!text.contains("Nothing forbids it"), "{text}");
}

#[test]
fn a_fleet_of_which_nothing_can_be_planned_is_told_all_the_same() {
    let text = told(None, outlook(3), &[], &["the user has unknown keys".to_owned()]);
    assert!(text.contains("Running: 3.") && text.contains("What forbids it: the user has unknown keys."), "{text}");
}

#[test]
fn an_inspection_is_told_in_numbers_and_what_stands_in_the_way_by_name() {
    let answer = |failures: Vec<HostFailure>| HostAnswer {
        rotation: "r".to_owned(),
        version: Some("v1".to_owned()),
        found: None,
        proved: 0,
        changed: 0,
        nothing_to_hold: 0,
        owner: Default::default(),
        passive: Default::default(),
        failed: u32::try_from(failures.len()).unwrap(),
        failures,
        blocking: Vec::new(),
        inspected: Some(Inspection {
            instances: 1,
            seen: vec![SeenInstance {
                instance: "localhost".to_owned(),
                product: "16.0.4165.4".to_owned(),
                holds: Some("v1".to_owned()),
                replica: None,
            }],
        }),
    };
    let missing = HostFailure {
        instance: "localhost".to_owned(),
        error: HostError::BackupNotPermitted,
        message: "the login may not back up model".to_owned(),
    };
    let mut inspection = PlaceInspection::default();
    let mut found = inspection.take(&"i-1".into(), &answer(Vec::new()));
    found.extend(inspection.take(&"i-2".into(), &answer(vec![missing])));
    let place = Settings::example().places().remove(0);
    let summary = PlaceSummary { running: 3, ..PlaceSummary::of_inspection(&place, inspection, &found) };
    let text = told(Some(&make()), outlook(3), &[summary], &[]);
    assert!(text.contains("2 of 3 running hosts answered the inspection"), "{text}");
    assert!(text.contains("SQL Server 16.x on 2; they hold version v1 on 2."), "{text}");
    assert!(
        text.contains("i-2 at localhost: BackupNotPermitted: the login may not back up model → run grants.sql"),
        "{text}"
    );
}

/// Hosts of which only the last lacks a proof, and those that have proved had nothing to hold.
fn one_lacking() -> PlaceOutlook {
    let mut outlook = outlook(3);
    let mut hosts: Vec<Host> = outlook.roster.all().cloned().collect();
    hosts.iter_mut().for_each(|host| host.ledger = LedgerEntry::parse("v1 2026-11-20T00:00:00Z nothing"));
    hosts[2].ledger = None;
    outlook.roster = Roster::new(hosts, secret().target().as_ref());
    outlook
}

#[test]
fn the_canary_is_one_of_those_that_would_be_commanded() {
    let mut settings = Settings::example();
    settings.waves.canary_hosts = 2;
    let pending = plan(Stage::Pending { version: "v1".into(), key: CURRENT.into() });
    let request = Request::for_mode(Mode::Plan);
    let text = told_about(&settings, &request, Some(&pending), &[one_lacking()], &[], &[]);
    assert!(text.contains("eu-west-1 of 111122223333: the canary i-2 alone, with"), "{text}");
}

#[test]
fn a_place_where_nobody_is_online_forbids_the_rotation() {
    let mut silent = outlook(3);
    silent.nodes = Nodes::default();
    let text = told(Some(&make()), silent, &[], &[]);
    assert!(text.contains("without one nobody else is commanded"), "{text}");
    assert!(text.contains("What forbids it: SSM sees no host of eu-west-1 of 111122223333 online"), "{text}");
}

#[test]
fn hosts_that_a_rotation_would_go_on_without_are_in_no_wave() {
    let request = Request { without: ["i-1".into()].into(), ..Request::for_mode(Mode::Plan) };
    let text = told_about(&Settings::example(), &request, Some(&make()), &[outlook(3)], &[], &[]);
    assert!(text.contains("first the canary i-2, then 1 host in one command"), "{text}");
}

#[test]
fn a_place_that_could_not_be_read_is_named() {
    let request = Request::for_mode(Mode::Plan);
    let text = told_about(&Settings::example(), &request, Some(&make()), &[], &[], &[]);
    assert!(text.contains("eu-west-1 of 111122223333: could not be read"), "{text}");
}
