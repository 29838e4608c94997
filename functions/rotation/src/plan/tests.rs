//! The key protocol, over every combination of what may be so: whatever the facts, no plan breaks a guarantee; and
//! the histories worth reading, each with its exact plan.

use super::*;
use crate::fleet::{Host, HostState};
use crate::keys::LastUse;
use crate::ledger::LedgerEntry;
use crate::names::{AWSCURRENT, AWSPENDING};
use crate::request::Mode;
use crate::secret::{Intent, Standing};
use crate::settings::{Credential, StoppedHosts};

const OLD: &str = "AKIAOLDOLDOLDOLDOLD1";
const NEW: &str = "AKIANEWNEWNEWNEWNEW2";
const STRANGE: &str = "AKIASTRANGERSTRANGE3";
/// The label that Secrets Manager itself moves along.
const AWSPREVIOUS: &str = "AWSPREVIOUS";
const NOW: &str = "2026-11-24T06:00:00Z";
/// When the execution began that looks at NOW.
const STARTED: &str = "2026-11-24T05:56:00Z";
static ROTATE: Request = Request::for_mode(Mode::Rotate);
static CONVERGE: Request = Request::for_mode(Mode::Converge);
static PLAN: Request = Request::for_mode(Mode::Plan);
static ABANDON: Request = Request::for_mode(Mode::Abandon);
static ROLLBACK: Request = Request::for_mode(Mode::Rollback);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn settings() -> Settings {
    Settings::example()
}

fn key(id: &str, status: KeyStatus, created: &str, used: Option<&str>) -> KeyFacts {
    let last_use = used.map(|time| LastUse { at: at(time), service: "s3".to_owned(), region: "eu-west-1".to_owned() });
    KeyFacts { id: id.into(), status, created: at(created), last_use }
}

fn old_key() -> KeyFacts {
    key(OLD, KeyStatus::Active, "2026-08-20T00:00:00Z", Some("2026-11-10T00:00:00Z"))
}

fn new_key() -> KeyFacts {
    key(NEW, KeyStatus::Active, "2026-11-10T00:00:00Z", Some("2026-11-24T05:00:00Z"))
}

fn secret(labels: &[(&str, &str)], since: Option<&str>) -> SecretFacts {
    let mut secret = SecretFacts { arn: "arn".to_owned(), ..SecretFacts::default() };
    secret.labels = labels.iter().map(|(label, version)| ((*label).to_owned(), (*version).into())).collect();
    secret.standing = since.map(|since| secret.standing_at(at(since)));
    secret
}

fn facts(settings: &Settings, secret: SecretFacts, keys: Vec<KeyFacts>) -> Facts<'_> {
    Facts {
        now: at(NOW),
        started: at(STARTED),
        request: &ROTATE,
        settings,
        access_key: settings.access_key().unwrap(),
        execution: "arn:aws:states:eu-west-1:111122223333:execution:m:e",
        token: "v-new".into(),
        secret,
        readings: BTreeMap::new(),
        keys,
        owner_of_current: None,
        intent_runs_elsewhere: false,
        roster: None,
    }
}

fn host(id: &str, state: HostState, ledger: Option<&str>) -> Host {
    Host {
        id: id.into(),
        name: None,
        state,
        renewed: at("2026-01-01T00:00:00Z"),
        ledger: ledger.and_then(LedgerEntry::parse),
        matches: true,
        tag_count: 1,
    }
}

/// A fleet that has proved `version`, freshly.
fn proved(secret: &SecretFacts) -> Roster {
    let target = secret.target();
    let entry = target.as_ref().map(|target| format!("{} 2026-11-24T05:59:00Z", target.version));
    Roster::new(vec![host("i-1", HostState::Running, entry.as_deref())], target.as_ref())
}

fn intent(recorded: &str, seen: &[&str]) -> Option<Intent> {
    Some(Intent {
        token: "v-new".into(),
        recorded: at(recorded),
        execution: "arn:aws:states:eu-west-1:111122223333:execution:m:dead".to_owned(),
        keys_seen: seen.iter().map(|key| AccessKeyId::from(*key)).collect(),
    })
}

/// Labels after a finished rotation: OLD is no longer needed.
const ROTATED: [(&str, &str); 3] = [(AWSCURRENT, "v2"), (NEW, "v2"), (OLD, "v1")];
/// Labels of a settled secret with one key.
const SETTLED: [(&str, &str); 2] = [(AWSCURRENT, "v1"), (OLD, "v1")];

// ---------------------------------------------------------------------------------------------------------------------
// Every combination.

/// What a safe plan may never say, whatever is so.
fn assert_safe(facts: &Facts<'_>, plan: &Plan) {
    let mut settled = facts.secret.clone();
    plan.settle.iter().for_each(|settling| settling.apply_to(&mut settled));
    let after = Facts { secret: settled.clone(), ..facts.clone() };
    let told = || format!("{facts:#?}\n{plan:#?}");

    if let Stage::Make { .. } = plan.stage {
        assert!(facts.keys.len() < 2, "a third key: {}", told());
        assert!(plan.unknown.is_empty(), "a key beside one that nobody explains: {}", told());
        assert!(settled.pending().is_none(), "a second pending version: {}", told());
        let is_due = facts.current_key().is_none_or(|key| is_due(facts, &key));
        let is_asked = match facts.request.mode {
            Mode::Rotate | Mode::Plan => {
                facts.request.compromised.is_none() || after.current_key() == facts.request.compromised
            }
            Mode::Converge => is_due,
            Mode::Abandon | Mode::Rollback | Mode::Provision => false,
        };
        let may_resume = facts.secret.intent.is_some() && facts.request.mode != Mode::Abandon;
        assert!(is_asked || may_resume, "nobody asked: {}", told());
    }
    if let Stage::Pending { key, .. } | Stage::Check { key, .. } = &plan.stage {
        assert!(facts.is_active(key) && !facts.has_leaked(key), "a dead key goes on: {}", told());
    }
    if let Stage::Turn(turn) = &plan.stage {
        let since = facts.secret.standing.as_ref().expect("a way back was announced").since;
        assert!(since >= facts.started && facts.now >= since + turn::TURN_WAIT, "unannounced: {}", told());
        let remains = match turn {
            Turn::Abandon { .. } => facts.current_key(),
            Turn::Rollback { version, key } => {
                assert!(settled.pending().is_none() && settled.current() != Some(version), "{}", told());
                Some(key.clone())
            }
        };
        assert!(remains.is_some_and(|key| facts.is_active(&key)), "back to a dead key: {}", told());
    }
    if let Stage::FreeSlot { key, .. } = &plan.stage {
        assert!(facts.current_key().is_some_and(|current| facts.has_leaked(&current)), "{}", told());
        assert!(!facts.is_active(key) && !plan.unknown.iter().any(|unknown| unknown.id == *key), "{}", told());
    }
    let in_use: Vec<AccessKeyId> = [settled.current(), settled.pending()]
        .into_iter()
        .flatten()
        .filter_map(|version| after.key_of(version))
        .collect();
    for retirement in &plan.retire {
        let key = facts.key(retirement.key()).expect("only keys of the user are retired");
        assert!(!plan.unknown.contains(key), "a key that nobody accounts for: {}", told());
        let is_orphan = !after.secret.private_labels().any(|(label, _)| label == key.id)
            && !facts.readings.values().any(|reading| *reading == Reading::Key(key.id.clone()));
        match retirement {
            Retirement::Deactivate { .. } => {
                assert!(!in_use.contains(&key.id), "the key in use goes: {}", told());
                let may_go = is_orphan || facts.has_leaked(&key.id) || is_retirement_due(&after, key);
                assert!(may_go, "too early: {}", told());
            }
            Retirement::Delete { .. } => {
                assert!(!in_use.contains(&key.id), "the key in use goes: {}", told());
                assert_ne!(key.status, KeyStatus::Active, "deleted without Inactive: {}", told());
                let since = facts.secret.inactive_since[&key.id];
                let wait = if is_orphan { 24 } else { 7 * 24 };
                assert!(facts.now >= since + SignedDuration::from_hours(wait), "too early: {}", told());
            }
            Retirement::RecordInactive { .. } => assert_ne!(key.status, KeyStatus::Active),
            Retirement::NotYet { obstacles, .. } => assert!(!obstacles.is_empty(), "no reason: {}", told()),
        }
    }
    for settling in &plan.settle {
        match settling {
            Settling::Sweep { key, version } => {
                assert!(facts.key(key).is_none(), "a live key's label: {}", told());
                assert!(![settled.current(), settled.pending()].contains(&Some(version)), "{}", told());
            }
            Settling::AbandonPending { version } => {
                let key = facts.key_of(version);
                assert!(!key.is_some_and(|key| facts.is_active(&key) && !facts.has_leaked(&key)), "{}", told());
            }
            Settling::Adopt { key, .. } => assert!(facts.key(key).is_some(), "another user's key: {}", told()),
            Settling::FinishPending { .. }
            | Settling::Label { .. }
            | Settling::CloseIntent
            | Settling::ForgetInactive { .. }
            | Settling::RecordStanding { .. } => {}
        }
    }
    assert!(settled.is_standing_recorded(), "commands would count from nowhere: {}", told());
}

fn is_due(facts: &Facts<'_>, key: &AccessKeyId) -> bool {
    !facts.is_active(key)
        || facts.key(key).is_some_and(|key| facts.now >= key.created + SignedDuration::from_hours(24 * 86))
}

fn is_retirement_due(facts: &Facts<'_>, key: &KeyFacts) -> bool {
    let roster = facts.roster.unwrap();
    let since = facts.secret.standing.as_ref().unwrap().since;
    roster.lacking.is_empty()
        && roster.left.is_empty()
        && facts.now >= since + SignedDuration::from_hours(7 * 24)
        && key.last_use.as_ref().is_none_or(|last| facts.now >= last.at + SignedDuration::from_hours(24))
}

/// The user's keys, in every number and state.
fn key_sets() -> Vec<Vec<KeyFacts>> {
    let states = [KeyStatus::Active, KeyStatus::Inactive, KeyStatus::Expired];
    let uses = [None, Some("2026-11-10T00:00:00Z"), Some("2026-11-24T05:00:00Z")];
    let created = ["2026-08-20T00:00:00Z", "2026-11-24T05:50:10Z"];
    let mut singles = Vec::new();
    for id in [OLD, NEW, STRANGE] {
        for status in states {
            for used in uses {
                // To every plan an Expired key is an Inactive one, so that one of them stands for all.
                let made = if status == KeyStatus::Expired && used.is_some() { &[] } else { &created[..] };
                for made in made {
                    singles.push(key(id, status, made, used));
                }
            }
        }
    }
    let mut sets = vec![Vec::new()];
    sets.extend(singles.iter().map(|one| vec![one.clone()]));
    for one in &singles {
        sets.extend(singles.iter().filter(|two| two.id > one.id).map(|two| vec![one.clone(), two.clone()]));
    }
    sets
}

/// The labels of a secret, in every constellation that a rotation, a person or Secrets Manager leaves behind.
fn label_sets() -> Vec<Vec<(&'static str, &'static str)>> {
    let currents: [&[(&str, &str)]; 4] = [
        &[],
        &[(AWSCURRENT, "v1")],
        &[(AWSCURRENT, "v1"), (OLD, "v1")],
        &[(AWSCURRENT, "v2"), (NEW, "v2"), (OLD, "v1")],
    ];
    let pendings: [&[(&str, &str)]; 6] = [
        &[],
        &[(NEW, "v-new")],
        &[(AWSPENDING, "v2"), (NEW, "v2")],
        &[(AWSPENDING, "v1")],
        &[(AWSPENDING, "v-empty")],
        &[(AWSPREVIOUS, "v0")],
    ];
    let mut sets = Vec::new();
    for current in currents {
        for pending in pendings {
            let mut labels = current.to_vec();
            labels.extend(pending);
            sets.push(labels);
        }
    }
    sets
}

#[test]
fn no_combination_of_facts_leads_to_an_unsafe_plan() {
    let settings = settings();
    let sinces = [None, Some("2026-11-10T00:00:00Z"), Some("2026-11-24T05:56:30Z")];
    let intents = [None, intent("2026-11-24T05:58:00Z", &[OLD]), intent("2026-11-24T05:50:00Z", &[OLD])];
    let leaked = |key: &str| Request { compromised: Some(key.into()), ..ROTATE.clone() };
    let (old_leaked, new_leaked) = (leaked(OLD), leaked(NEW));
    let asked = [&ROTATE, &CONVERGE, &PLAN, &ABANDON, &ROLLBACK, &old_leaked, &new_leaked];
    let (mut planned, mut refused, mut stages) = (0, 0, BTreeSet::new());
    for labels in label_sets() {
        for keys in key_sets() {
            for since in sinces {
                for intent in &intents {
                    for inactive in [None, Some("2026-11-16T00:00:00Z"), Some("2026-11-23T00:00:00Z")] {
                        let mut secret = secret(&labels, since);
                        secret.intent.clone_from(intent);
                        if let Some(time) = inactive {
                            secret.inactive_since = keys.iter().map(|key| (key.id.clone(), at(time))).collect();
                        }
                        let rosters = [proved(&secret), lacking(&secret)];
                        for (roster, request) in rosters.iter().flat_map(|roster| asked.map(|one| (roster, one))) {
                            // How long a key has been Inactive is nothing to a way back.
                            let turns_back = [Mode::Abandon, Mode::Rollback].contains(&request.mode);
                            if turns_back && inactive == Some("2026-11-23T00:00:00Z") {
                                continue;
                            }
                            let mut facts = facts(&settings, secret.clone(), keys.clone());
                            facts.request = request;
                            facts.roster = Some(roster);
                            facts.readings = read_unadopted(&facts.secret);
                            match plan(&facts) {
                                Ok(plan) => {
                                    assert_safe(&facts, &plan);
                                    stages.insert(name_of(&plan.stage));
                                    planned += 1;
                                }
                                Err(_) => refused += 1,
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(planned > 100_000 && refused > 10_000, "{planned} planned, {refused} refused");
    let every =
        ["abandon", "announced", "check", "free slot", "make", "not asked", "pending", "refused", "rollback", "wait"];
    assert_eq!(stages.into_iter().collect::<Vec<_>>(), every, "a combination is missing");
}

fn name_of(stage: &Stage) -> &'static str {
    match stage {
        Stage::NotAsked => "not asked",
        Stage::Pending { .. } => "pending",
        Stage::Check { .. } => "check",
        Stage::Make { .. } => "make",
        Stage::Wait { .. } => "wait",
        Stage::Announced { .. } => "announced",
        Stage::Turn(Turn::Abandon { .. }) => "abandon",
        Stage::Turn(Turn::Rollback { .. }) => "rollback",
        Stage::FreeSlot { .. } => "free slot",
        Stage::Refused(_) => "refused",
    }
}

fn lacking(secret: &SecretFacts) -> Roster {
    Roster::new(vec![host("i-1", HostState::Running, None)], secret.target().as_ref())
}

/// What the value of each version without a private label turns out to hold: v0 and v1 the old key, v-empty nothing.
fn read_unadopted(secret: &SecretFacts) -> BTreeMap<VersionId, Reading> {
    let reading = |version: &VersionId| match version.as_str() {
        "v-empty" => Reading::NoValue,
        _ => Reading::Key(OLD.into()),
    };
    let readable = |version: &VersionId| secret.pending() != Some(version) || secret.current() == Some(version);
    secret.unadopted().into_iter().filter(readable).map(|version| (version.clone(), reading(&version))).collect()
}

// ---------------------------------------------------------------------------------------------------------------------
// Histories worth reading.

fn planned(facts: &Facts<'_>) -> Plan {
    let plan = plan(facts).unwrap();
    if facts.roster.is_some() {
        assert_safe(facts, &plan);
    }
    plan
}

fn refusal(facts: &Facts<'_>) -> StepError {
    match plan(facts) {
        Err(error) | Ok(Plan { stage: Stage::Refused(error), .. }) => error,
        Ok(plan) => panic!("nothing was refused: {plan:?}"),
    }
}

#[test]
fn one_key_and_a_wish_make_a_second_key() {
    let settings = settings();
    let facts = facts(&settings, secret(&SETTLED, Some("2026-09-01T00:00:00Z")), vec![old_key()]);
    assert_eq!(
        planned(&facts),
        Plan {
            settle: vec![],
            stage: Stage::Make { token: "v-new".into() },
            retire: vec![],
            breaks: None,
            warnings: vec![],
            next_rotation: Some(at("2026-11-13T00:00:00Z")),
            current_key_created: Some(at("2026-08-20T00:00:00Z")),
            is_old_key_used: false,
            unknown: vec![]
        }
    );
}

#[test]
fn converge_makes_a_key_only_when_the_rotation_is_overdue() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&SETTLED, Some("2026-09-01T00:00:00Z")), vec![old_key()]);
    facts.request = &CONVERGE;
    facts.now = at("2026-11-13T12:00:00Z");
    assert_eq!(planned(&facts).stage, Stage::NotAsked, "85 days: the schedule's own run has this day");
    facts.now = at("2026-11-14T00:00:00Z");
    assert_eq!(planned(&facts).stage, Stage::Make { token: "v-new".into() });
}

#[test]
fn a_user_that_already_has_two_keys_is_adopted() {
    let settings = settings();
    // The published solution leaves the key before the last in AWSPREVIOUS.
    let labels = [(AWSCURRENT, "v2"), (AWSPREVIOUS, "v1")];
    let mut facts = facts(&settings, secret(&labels, None), vec![old_key(), new_key()]);
    facts.readings = BTreeMap::from([("v2".into(), Reading::Key(NEW.into())), ("v1".into(), Reading::Key(OLD.into()))]);
    let roster = proved(&facts.secret);
    facts.roster = Some(&roster);
    let plan = planned(&facts);
    assert_eq!(
        plan.settle[..2],
        [
            Settling::Adopt { key: NEW.into(), version: "v2".into(), from: None },
            Settling::Adopt { key: OLD.into(), version: "v1".into(), from: None }
        ]
    );
    assert!(
        matches!(&plan.settle[2..], [Settling::RecordStanding { standing: Standing { since, .. } }] if *since == at(NOW))
    );
    assert!(matches!(&plan.retire[..], [Retirement::NotYet { key, .. }] if key.as_str() == OLD), "{plan:?}");
    let Stage::Refused(StepError::NoFreeKeySlot { holders, .. }) = plan.stage else { panic!("{plan:?}") };
    assert!(holders.contains(OLD) && holders.contains(NEW) && holders.contains("2026-12-01"), "{holders}");
}

#[test]
fn a_key_that_nobody_accounts_for_stops_the_rotation_and_is_never_touched() {
    let settings = settings();
    let strange = key(STRANGE, KeyStatus::Active, "2025-01-01T00:00:00Z", None);
    let mut facts = facts(&settings, secret(&SETTLED, Some("2026-09-01T00:00:00Z")), vec![old_key(), strange.clone()]);
    let roster = proved(&facts.secret);
    facts.roster = Some(&roster);
    let error = refusal(&facts);
    assert_eq!(error.name(), "UnknownAccessKey");
    assert!(error.to_string().contains(STRANGE), "{error}");
    let plan = planned(&facts);
    assert_eq!((plan.retire, plan.unknown), (vec![], vec![strange]));
}

#[test]
fn a_key_of_another_user_is_refused() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&[(AWSCURRENT, "v1")], None), vec![]);
    facts.readings = BTreeMap::from([("v1".into(), Reading::Key(OLD.into()))]);
    facts.owner_of_current = Some(KeyOwner::OtherUser("bob".to_owned()));
    assert_eq!(refusal(&facts).name(), "KeyOfAnotherUser");
    facts.owner_of_current = Some(KeyOwner::NotListedYet);
    assert_eq!(refusal(&facts).name(), "NotVisibleYet");
    facts.owner_of_current = Some(KeyOwner::Nobody);
    assert_eq!(planned(&facts).stage, Stage::Make { token: "v-new".into() }, "a deleted key is replaced");
}

#[test]
fn a_value_that_is_no_key_is_refused_with_its_version() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&[(AWSCURRENT, "v1")], None), vec![old_key()]);
    facts.readings = BTreeMap::from([("v1".into(), Reading::NotAKey(NotAnAccessKey::Empty))]);
    let error = refusal(&facts);
    assert_eq!(error.name(), "SecretValueUnreadable");
    assert!(error.to_string().contains("v1") && error.to_string().contains("empty"), "{error}");
}

#[test]
fn a_secret_without_a_value_is_bootstrapped() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&[], None), vec![]);
    facts.request = &CONVERGE;
    assert_eq!(planned(&facts).stage, Stage::Make { token: "v-new".into() });
}

#[test]
fn a_crash_between_create_and_store_leaves_an_orphan_that_goes_inactive_and_then_away() {
    let settings = settings();
    let orphan = key(NEW, KeyStatus::Active, "2026-11-24T05:50:10Z", None);
    let mut crashed = secret(&SETTLED, Some("2026-09-01T00:00:00Z"));
    crashed.intent = intent("2026-11-24T05:50:00Z", &[OLD]);
    let roster = proved(&crashed);
    let mut facts = facts(&settings, crashed, vec![old_key(), orphan]);
    facts.roster = Some(&roster);

    facts.now = at("2026-11-24T05:54:00Z");
    let plan = planned(&facts);
    assert!(matches!(plan.stage, Stage::Wait { .. }), "its window is open: {plan:?}");
    assert_eq!(plan.retire, vec![], "nothing is declared before the window has closed");

    facts.now = at(NOW);
    let plan = planned(&facts);
    assert_eq!(plan.retire, vec![Retirement::Deactivate { key: NEW.into() }]);
    assert!(matches!(plan.stage, Stage::Refused(StepError::EarlierRunUnresolved { .. })));

    facts.keys[1].status = KeyStatus::Inactive;
    facts.secret.inactive_since.insert(NEW.into(), at(NOW));
    facts.now = at("2026-11-25T05:00:00Z");
    assert!(matches!(planned(&facts).retire[..], [Retirement::NotYet { .. }]), "the quiet period runs");
    facts.now = at("2026-11-25T06:00:00Z");
    assert_eq!(planned(&facts).retire, vec![Retirement::Delete { key: NEW.into(), version: None }]);

    facts.keys.pop();
    assert_eq!(planned(&facts).stage, Stage::Make { token: "v-new".into() }, "the intent is resumed");
}

#[test]
fn a_crash_after_the_store_is_resumed_with_the_stored_key() {
    let settings = settings();
    let mut crashed = secret(&[(AWSCURRENT, "v1"), (OLD, "v1"), (NEW, "v-new")], Some("2026-09-01T00:00:00Z"));
    crashed.intent = intent("2026-11-24T05:58:00Z", &[OLD]);
    let mut facts = facts(&settings, crashed, vec![old_key(), new_key()]);
    let check = Stage::Check { version: "v-new".into(), key: NEW.into() };
    assert_eq!(planned(&facts).stage, check);
    facts.request = &CONVERGE;
    assert_eq!(planned(&facts).stage, check, "an open intent is finished by any run");
    facts.intent_runs_elsewhere = true;
    assert_eq!(planned(&facts).stage, check, "what this execution has stored is its own to finish");
    facts.token = "v-other".into();
    assert_eq!(refusal(&facts).name(), "AnotherExecutionStages");
}

#[test]
fn a_pending_version_is_finished_the_target_or_abandoned() {
    let settings = settings();
    let labels = [(AWSCURRENT, "v1"), (OLD, "v1"), (AWSPENDING, "v2"), (NEW, "v2")];
    let mut facts = facts(&settings, secret(&labels, Some("2026-11-24T05:00:00Z")), vec![old_key(), new_key()]);
    assert_eq!(planned(&facts).stage, Stage::Pending { version: "v2".into(), key: NEW.into() });

    facts.keys[1].status = KeyStatus::Inactive;
    assert_eq!(planned(&facts).settle[0], Settling::AbandonPending { version: "v2".into() });

    facts.keys.pop();
    facts.secret.standing.as_mut().unwrap().since = at("2026-11-24T05:59:00Z");
    assert_eq!(refusal(&facts).name(), "NotVisibleYet", "a key that was just made may not be listed yet");

    let finished = [(AWSCURRENT, "v2"), (AWSPENDING, "v2"), (NEW, "v2")];
    facts.secret = secret(&finished, Some("2026-11-24T05:00:00Z"));
    facts.keys = vec![new_key()];
    assert_eq!(planned(&facts).settle[0], Settling::FinishPending { version: "v2".into() });

    facts.secret = secret(&[(AWSCURRENT, "v1"), (OLD, "v1"), (AWSPENDING, "v-foreign")], Some(NOW));
    facts.keys = vec![old_key()];
    assert_eq!(refusal(&facts).name(), "PendingVersionNotOurs");
}

#[test]
fn secrets_managers_own_rotation_is_refused() {
    let settings = settings();
    let mut rotating = secret(&SETTLED, Some(NOW));
    rotating.rotates_itself = true;
    assert_eq!(refusal(&facts(&settings, rotating, vec![old_key()])).name(), "SecretRotatesItself");
}

#[test]
fn the_old_key_goes_inactive_only_when_every_wait_is_over_and_every_running_host_has_proved() {
    let settings = settings();
    let rotated = secret(&ROTATED, Some("2026-11-10T00:00:00Z"));
    let (everyone, nobody) = (proved(&rotated), lacking(&rotated));
    let mut facts = facts(&settings, rotated.clone(), vec![old_key(), new_key()]);
    facts.request = &CONVERGE;

    facts.roster = Some(&nobody);
    let Retirement::NotYet { obstacles, .. } = &planned(&facts).retire[0] else {
        panic!("a running host has no proof")
    };
    assert!(obstacles[0].contains("i-1"), "{obstacles:?}");

    facts.roster = Some(&everyone);
    assert_eq!(planned(&facts).retire, vec![Retirement::Deactivate { key: OLD.into() }]);

    facts.now = at("2026-11-16T23:59:59Z");
    assert!(
        matches!(&planned(&facts).retire[..], [Retirement::NotYet { earliest: Some(time), .. }] if *time == at("2026-11-17T00:00:00Z"))
    );

    facts.now = at(NOW);
    facts.keys[0].last_use.as_mut().unwrap().at = at("2026-11-23T12:00:00Z");
    assert!(matches!(planned(&facts).retire[..], [Retirement::NotYet { .. }]), "it was used yesterday");

    facts.keys[0] = old_key();
    facts.keys[1].status = KeyStatus::Inactive;
    assert!(
        matches!(planned(&facts).retire[..], [Retirement::NotYet { .. }]),
        "nothing goes while the target's key is dead"
    );
}

#[test]
fn a_stopped_host_holds_retirement_only_where_the_settings_say_so() {
    let mut settings = settings();
    let rotated = secret(&ROTATED, Some("2026-11-10T00:00:00Z"));
    let stopped = Roster::new(vec![host("i-9", HostState::Stopped, None)], rotated.target().as_ref());
    for (policy, goes) in [(StoppedHosts::Release, true), (StoppedHosts::Hold, false)] {
        let Credential::AccessKey(key) = &mut settings.credential else { panic!("it rotates a key") };
        key.retirement.stopped_hosts = policy;
        let mut facts = facts(&settings, rotated.clone(), vec![old_key(), new_key()]);
        facts.request = &CONVERGE;
        facts.roster = Some(&stopped);
        assert_eq!(planned(&facts).retire == vec![Retirement::Deactivate { key: OLD.into() }], goes);
    }
}

#[test]
fn a_host_that_left_or_has_a_shadowing_credential_holds_retirement_and_is_named() {
    let settings = settings();
    let rotated = secret(&ROTATED, Some("2026-11-10T00:00:00Z"));
    let mut left = host("i-7", HostState::Running, Some("v1 2026-09-01T00:00:00Z"));
    left.matches = false;
    let shadowed = host("i-8", HostState::Running, Some("v2 2026-11-24T05:59:00Z blocked"));
    let roster = Roster::new(vec![left, shadowed], rotated.target().as_ref());
    let mut facts = facts(&settings, rotated, vec![old_key(), new_key()]);
    facts.roster = Some(&roster);
    let Retirement::NotYet { obstacles, .. } = &planned(&facts).retire[0] else { panic!("it went") };
    assert!(
        obstacles.iter().any(|text| text.contains("i-7")) && obstacles.iter().any(|text| text.contains("i-8")),
        "{obstacles:?}"
    );
}

#[test]
fn an_inactive_key_is_deleted_after_its_time_and_not_before() {
    let settings = settings();
    let rotated = secret(&ROTATED, Some("2026-11-10T00:00:00Z"));
    let roster = proved(&rotated);
    let mut facts = facts(&settings, rotated, vec![old_key(), new_key()]);
    facts.roster = Some(&roster);
    facts.keys[0].status = KeyStatus::Inactive;
    assert_eq!(planned(&facts).retire, vec![Retirement::RecordInactive { key: OLD.into() }]);
    facts.secret.inactive_since.insert(OLD.into(), at("2026-11-17T06:00:01Z"));
    assert!(matches!(planned(&facts).retire[..], [Retirement::NotYet { .. }]));
    facts.now = at("2026-11-24T06:00:01Z");
    assert_eq!(planned(&facts).retire, vec![Retirement::Delete { key: OLD.into(), version: Some("v1".into()) }]);
}

#[test]
fn a_key_that_a_person_made_active_again_gets_its_whole_overlap_back() {
    let settings = settings();
    let mut rotated = secret(&ROTATED, Some("2026-11-10T00:00:00Z"));
    rotated.inactive_since.insert(OLD.into(), at("2026-11-20T00:00:00Z"));
    let roster = proved(&rotated);
    let mut facts = facts(&settings, rotated, vec![old_key(), new_key()]);
    facts.roster = Some(&roster);
    let plan = planned(&facts);
    assert_eq!(plan.settle[0], Settling::ForgetInactive { key: OLD.into() });
    assert!(matches!(plan.retire[..], [Retirement::NotYet { .. }]), "{plan:?}");
}

#[test]
fn labels_that_a_person_moved_start_every_wait_anew() {
    let settings = settings();
    let mut moved = secret(&ROTATED, Some("2026-11-10T00:00:00Z"));
    moved.labels.insert(AWSCURRENT.to_owned(), "v1".into());
    let mut facts = facts(&settings, moved.clone(), vec![old_key(), new_key()]);
    let roster = lacking(&moved);
    facts.roster = Some(&roster);
    let plan = planned(&facts);
    assert_eq!(plan.settle, vec![Settling::RecordStanding { standing: moved.standing_at(at(NOW)) }]);
    assert!(matches!(&plan.retire[..], [Retirement::NotYet { key, .. }] if key.as_str() == NEW), "{plan:?}");
}

#[test]
fn labels_of_keys_that_are_gone_are_swept() {
    let settings = settings();
    let labels = [(AWSCURRENT, "v2"), (NEW, "v2"), (OLD, "v1")];
    let facts = facts(&settings, secret(&labels, Some("2026-11-10T00:00:00Z")), vec![new_key()]);
    assert_eq!(planned(&facts).settle, vec![Settling::Sweep { key: OLD.into(), version: "v1".into() }]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Ways back.

/// The secret of a rotation that is under way from OLD to NEW.
fn under_way(since: &str) -> SecretFacts {
    secret(&[(AWSCURRENT, "v1"), (OLD, "v1"), (AWSPENDING, "v2"), (NEW, "v2")], Some(since))
}

#[test]
fn an_abandonment_announces_itself_waits_and_only_then_moves_the_label() {
    let settings = settings();
    let mut facts = facts(&settings, under_way("2026-11-24T05:00:00Z"), vec![old_key(), new_key()]);
    facts.request = &ABANDON;
    let plan = planned(&facts);
    let announced = Settling::RecordStanding { standing: facts.secret.standing_at(at(NOW)) };
    assert_eq!(plan.settle, [announced], "since is written first");
    assert_eq!(plan.stage, Stage::Announced { until: at("2026-11-24T06:03:00Z") });

    facts.secret.standing = Some(facts.secret.standing_at(at(NOW)));
    facts.now = at("2026-11-24T06:02:59Z");
    assert!(matches!(planned(&facts).stage, Stage::Announced { .. }));
    facts.now = at("2026-11-24T06:03:00Z");
    assert_eq!(planned(&facts).stage, Stage::Turn(Turn::Abandon { version: "v2".into() }));

    facts.secret.labels.remove(AWSPENDING);
    let roster = lacking(&facts.secret);
    facts.roster = Some(&roster);
    let plan = planned(&facts);
    assert_eq!(plan.stage, Stage::NotAsked, "an abandonment stages nothing");
    assert!(matches!(&plan.retire[..], [Retirement::NotYet { key, .. }] if key.as_str() == NEW), "{plan:?}");
}

#[test]
fn an_abandonment_is_refused_where_nothing_is_left_to_go_back_to() {
    let settings = settings();
    let gone = key(OLD, KeyStatus::Inactive, "2026-08-20T00:00:00Z", None);
    let mut facts = facts(&settings, under_way("2026-11-24T05:00:00Z"), vec![gone, new_key()]);
    facts.request = &ABANDON;
    let error = refusal(&facts);
    assert_eq!(error.name(), "NoWayBack");
    assert!(error.to_string().contains("converge"), "{error}");
}

#[test]
fn an_abandonment_gives_up_a_key_that_was_stored_and_never_labelled() {
    let settings = settings();
    let mut stored = secret(&[(AWSCURRENT, "v1"), (OLD, "v1"), (NEW, "v-new")], Some("2026-11-24T05:00:00Z"));
    stored.intent = intent("2026-11-24T05:50:00Z", &[OLD]);
    let mut facts = facts(&settings, stored, vec![old_key(), new_key()]);
    facts.request = &ABANDON;
    let plan = planned(&facts);
    assert_eq!((plan.settle, plan.stage), (vec![Settling::CloseIntent], Stage::NotAsked));
    facts.now = at("2026-11-24T05:54:00Z");
    assert!(matches!(planned(&facts).stage, Stage::Wait { .. }), "its maker may be about to label it");
}

#[test]
fn a_rollback_goes_to_the_version_that_was_current_before_while_its_key_works() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&ROTATED, Some("2026-11-24T05:56:30Z")), vec![old_key(), new_key()]);
    facts.request = &ROLLBACK;
    assert_eq!(planned(&facts).stage, Stage::Turn(Turn::Rollback { version: "v1".into(), key: OLD.into() }));

    facts.secret.labels.insert(AWSPENDING.to_owned(), "v1".into());
    facts.secret.standing = Some(facts.secret.standing_at(at(NOW)));
    let pending = Stage::Pending { version: "v1".into(), key: OLD.into() };
    assert_eq!(planned(&facts).stage, pending, "one that died is gone on with");
    facts.keys[0].status = KeyStatus::Inactive;
    facts.secret.labels.remove(AWSPENDING);
    assert_eq!(refusal(&facts).name(), "NoWayBack");
}

#[test]
fn where_the_current_key_does_not_work_a_full_house_names_the_way_back_and_a_rollback_takes_it() {
    let settings = settings();
    let inactive = KeyFacts { status: KeyStatus::Inactive, ..old_key() };
    let labels = [(AWSCURRENT, "v1"), (OLD, "v1"), (NEW, "v2")];
    let mut facts = facts(&settings, secret(&labels, Some("2026-11-01T00:00:00Z")), vec![inactive, new_key()]);
    let Stage::Refused(refusal) = plan(&facts).unwrap().stage else { panic!("both slots are taken") };
    for words in ["{\"mode\": \"rollback\"}", &format!("--access-key-id {OLD} --status Active")] {
        assert!(refusal.to_string().contains(words), "{refusal}");
    }
    facts.request = &ROLLBACK;
    facts.started = at("2026-10-31T00:00:00Z");
    let stage = plan(&facts).unwrap().stage;
    assert_eq!(stage, Stage::Turn(Turn::Rollback { version: "v2".into(), key: NEW.into() }));
    // Of a key that is gone nobody is told to make it Active.
    facts.request = &ROTATE;
    facts.keys = vec![new_key(), key("AKIATHIRDTHIRDTHIRD3", KeyStatus::Active, "2026-11-11T00:00:00Z", None)];
    facts.secret.labels.insert("AKIATHIRDTHIRDTHIRD3".to_owned(), "v3".into());
    let Stage::Refused(refusal) = plan(&facts).unwrap().stage else { panic!("both slots are taken") };
    assert!(refusal.to_string().contains("rollback") && !refusal.to_string().contains("--status Active"), "{refusal}");
}

#[test]
fn a_rollback_never_promotes_what_was_abandoned() {
    let settings = settings();
    let mut facts = facts(&settings, under_way("2026-11-24T05:00:00Z"), vec![old_key(), new_key()]);
    facts.request = &ROLLBACK;
    assert!(refusal(&facts).to_string().contains("abandon"), "one at a time");
    facts.secret.labels.remove(AWSPENDING);
    assert_eq!(refusal(&facts).name(), "NoWayBack");
}

// ---------------------------------------------------------------------------------------------------------------------
// A leaked key.

fn leaked(key: &str) -> Request {
    Request { compromised: Some(key.into()), ..ROTATE.clone() }
}

#[test]
fn a_leaked_current_key_is_replaced_and_goes_as_soon_as_it_is_not_current() {
    let (settings, request) = (settings(), leaked(OLD));
    let mut facts = facts(&settings, secret(&SETTLED, Some("2026-09-01T00:00:00Z")), vec![old_key()]);
    facts.request = &request;
    assert_eq!(planned(&facts).stage, Stage::Make { token: "v-new".into() });

    facts.secret = secret(&ROTATED, Some(NOW));
    facts.keys.push(new_key());
    let roster = Roster::new(
        vec![
            host("i-1", HostState::Running, Some("v2 2026-11-24T05:59:00Z")),
            host("i-2", HostState::Running, Some("v1 2026-11-24T05:00:00Z")),
        ],
        facts.secret.target().as_ref(),
    );
    facts.roster = Some(&roster);
    let plan = planned(&facts);
    assert_eq!(plan.retire, [Retirement::Deactivate { key: OLD.into() }], "no overlap, no quiet period");
    assert_eq!(plan.stage, Stage::NotAsked, "started twice, it does nothing more");
    let breaks = plan.breaks.unwrap();
    assert!(breaks.contains("i-2") && !breaks.contains("i-1"), "who lacks the new version is named: {breaks}");
}

#[test]
fn a_leaked_pending_key_is_abandoned_and_a_leaked_key_takes_the_slot_of_an_inactive_one() {
    let settings = settings();
    let request = leaked(NEW);
    let mut facts = facts(&settings, under_way("2026-11-24T05:00:00Z"), vec![old_key(), new_key()]);
    facts.request = &request;
    let roster = lacking(&facts.secret);
    facts.roster = Some(&roster);
    let plan = planned(&facts);
    assert!(plan.settle.contains(&Settling::AbandonPending { version: "v2".into() }), "{plan:?}");
    assert_eq!(plan.retire, [Retirement::Deactivate { key: NEW.into() }]);

    let inactive = key(OLD, KeyStatus::Inactive, "2026-08-20T00:00:00Z", None);
    facts.secret = secret(&ROTATED, Some("2026-11-10T00:00:00Z"));
    facts.keys = vec![inactive, new_key()];
    assert_eq!(planned(&facts).stage, Stage::FreeSlot { key: OLD.into(), version: Some("v1".into()) });
    facts.keys[0].status = KeyStatus::Active;
    assert_eq!(refusal(&facts).name(), "NoFreeKeySlot", "hosts that were late may still hold it");
}

#[test]
fn a_leaked_key_that_the_user_does_not_have_is_worth_a_word() {
    let (settings, request) = (settings(), leaked(STRANGE));
    let mut facts = facts(&settings, secret(&SETTLED, Some("2026-09-01T00:00:00Z")), vec![old_key()]);
    facts.request = &request;
    assert!(refusal(&facts).to_string().contains(STRANGE));
}

// ---------------------------------------------------------------------------------------------------------------------
// Some hosts only.

#[test]
fn going_on_without_a_host_names_it_before_the_old_key_goes() {
    let settings = settings();
    let request = Request { without: BTreeSet::from(["i-2".into()]), ..CONVERGE.clone() };
    let mut facts = facts(&settings, secret(&ROTATED, Some("2026-11-10T00:00:00Z")), vec![old_key(), new_key()]);
    let fleet = vec![
        host("i-1", HostState::Running, Some("v2 2026-11-24T05:59:00Z")),
        host("i-2", HostState::Running, Some("v1 2026-11-24T05:00:00Z")),
    ];
    let all = Roster::new(fleet, facts.secret.target().as_ref());
    facts.roster = Some(&all);
    facts.request = &request;
    assert!(matches!(planned(&facts).retire[..], [Retirement::NotYet { .. }]), "it holds the key");
    let fewer = all.clone().seen_by(&request, Timestamp::MIN);
    facts.roster = Some(&fewer);
    let plan = planned(&facts);
    assert_eq!(plan.retire, [Retirement::Deactivate { key: OLD.into() }]);
    assert!(plan.breaks.unwrap().contains("i-2"));
}

#[test]
fn a_run_for_a_few_hosts_leaves_keys_and_labels_alone() {
    let settings = settings();
    let request = Request { instance_ids: BTreeSet::from(["i-1".into()]), ..CONVERGE.clone() };
    let mut facts = facts(&settings, under_way("2026-11-24T05:00:00Z"), vec![old_key(), new_key()]);
    let roster = lacking(&facts.secret);
    (facts.request, facts.roster) = (&request, Some(&roster));
    let plan = planned(&facts);
    assert_eq!((plan.settle, plan.stage, plan.retire), (vec![], Stage::NotAsked, vec![]));
}

// ---------------------------------------------------------------------------------------------------------------------
// What people should know in time.

#[test]
fn a_use_that_no_host_makes_is_named_with_its_service_and_region() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&SETTLED, Some("2026-09-01T00:00:00Z")), vec![old_key()]);
    facts.request = &CONVERGE;
    assert_eq!(planned(&facts).warnings, Vec::<String>::new(), "s3 in the fleet's region is the hosts' own");
    for (service, region) in [("ec2", "eu-west-1"), ("s3", "ap-southeast-2")] {
        let used = LastUse { at: at(NOW), service: service.to_owned(), region: region.to_owned() };
        facts.keys[0].last_use = Some(used);
        let warning = planned(&facts).warnings.concat();
        assert!(warning.contains(OLD) && warning.contains(&format!("{service} in {region}")), "{warning}");
    }
}

#[test]
fn an_old_key_is_used_by_a_stranger_only_where_every_host_had_moved_over_before() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&ROTATED, Some("2026-11-12T00:00:00Z")), vec![old_key(), new_key()]);
    let target = facts.secret.target();
    let hosts = |entry: Option<&str>| {
        let late = host("i-2", HostState::Running, entry);
        vec![host("i-1", HostState::Running, Some("v2 2026-11-13T00:00:00Z")), late]
    };
    let moved_over = Roster::new(hosts(Some("v2 2026-11-14T00:00:00Z")), target.as_ref());
    let one_is_late = Roster::new(hosts(None), target.as_ref());
    for (used, roster, is_strange) in [
        ("2026-11-11T00:00:00Z", &moved_over, false),
        ("2026-11-14T01:00:00Z", &moved_over, false),
        ("2026-11-14T01:00:01Z", &moved_over, true),
        ("2026-11-20T00:00:00Z", &one_is_late, false),
    ] {
        facts.keys[0] = key(OLD, KeyStatus::Active, "2026-08-20T00:00:00Z", Some(used));
        facts.roster = Some(roster);
        assert_eq!(planned(&facts).is_old_key_used, is_strange, "{used}");
    }
}

#[test]
fn a_slot_that_the_next_rotation_needs_and_a_host_holds_is_named_a_week_before() {
    let settings = settings();
    let keys = vec![old_key(), key(NEW, KeyStatus::Active, "2026-09-04T00:00:00Z", None)];
    let mut facts = facts(&settings, secret(&ROTATED, Some("2026-09-05T00:00:00Z")), keys);
    let roster = lacking(&facts.secret);
    (facts.request, facts.roster) = (&CONVERGE, Some(&roster));
    facts.now = at("2026-11-20T23:59:59Z");
    assert_eq!(planned(&facts).warnings, Vec::<String>::new(), "85 days after the 4th of September less a week");
    facts.now = at("2026-11-21T00:00:00Z");
    let warning = planned(&facts).warnings.concat();
    assert!(warning.contains("2026-11-28") && warning.contains("i-1") && warning.contains(OLD), "{warning}");
}

#[test]
fn a_slot_whose_inactive_key_is_deleted_before_the_next_rotation_is_no_warning() {
    let settings = settings();
    let keys = vec![
        key(OLD, KeyStatus::Inactive, "2026-08-20T00:00:00Z", None),
        key(NEW, KeyStatus::Active, "2026-09-04T00:00:00Z", None),
    ];
    let mut facts = facts(&settings, secret(&ROTATED, Some("2026-09-05T00:00:00Z")), keys);
    // Deleted on the 27th, a day before the rotation is due.
    facts.secret.inactive_since.insert(OLD.into(), at("2026-11-20T00:00:00Z"));
    let roster = proved(&facts.secret);
    (facts.request, facts.roster) = (&CONVERGE, Some(&roster));
    facts.now = at("2026-11-23T00:00:00Z");
    assert_eq!(planned(&facts).warnings, Vec::<String>::new());
    facts.secret.inactive_since.insert(OLD.into(), at("2026-11-22T00:00:00Z"));
    let warning = planned(&facts).warnings.concat();
    assert!(warning.contains(OLD) && !warning.contains("without"), "only time keeps it: {warning}");
}

#[test]
fn the_record_of_an_inactive_key_goes_with_the_key_whoever_died_in_between() {
    let settings = settings();
    let mut facts = facts(&settings, secret(&SETTLED, Some("2026-11-01T00:00:00Z")), vec![old_key()]);
    facts.request = &CONVERGE;
    facts.secret.inactive_since.insert(NEW.into(), at("2026-11-10T00:00:00Z"));
    assert_eq!(planned(&facts).settle, [Settling::ForgetInactive { key: NEW.into() }]);
    // IAM's list may not show a key yet that was made Inactive a minute ago.
    facts.secret.inactive_since.insert(NEW.into(), at("2026-11-24T05:59:00Z"));
    assert_eq!(planned(&facts).settle, []);
}
