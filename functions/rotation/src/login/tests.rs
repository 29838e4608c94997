//! What is done with logins, from facts that a person would ask about.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::labels::{Made, login_label};
use super::plan::{Adopted, LoginFacts, LoginPlan, LoginStage, plan};
use super::value::{LoginValue, NotALogin};
use crate::StepError;
use crate::access_key::SecretValue;
use crate::fleet::{Host, HostState, Roster};
use crate::ledger::LedgerEntry;
use crate::names::VersionId;
use crate::plan::Settling;
use crate::request::{Mode, Request};
use crate::secret::SecretFacts;
use crate::settings::{Settings, ValueFormat};
use crate::summary::{PlaceInspection, PlaceSummary, SeenReplicas};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-24T06:00:00Z")
}

fn settings(names: &[&str]) -> Settings {
    Settings::example_of_login(json!(names))
}

fn made(version: &str, login: &str, day: u32) -> Made {
    Made { at: at(&format!("2026-11-{day:02}T00:00:00Z")), version: version.into(), login: login.to_owned() }
}

/// A secret of which every version is ours, with labels by name.
fn secret(versions: &[Made], labels: &[(&str, &str)]) -> SecretFacts {
    let mut secret = SecretFacts { arn: "arn".to_owned(), ..SecretFacts::default() };
    secret.labels.extend(versions.iter().map(|made| (made.label(), made.version.clone())));
    secret.labels.extend(labels.iter().map(|(label, version)| ((*label).to_owned(), VersionId::from(*version))));
    secret.standing = Some(secret.standing_at(at("2026-11-21T00:00:00Z")));
    secret
}

fn current_of(login: &str) -> SecretFacts {
    secret(&[made("v1", login, 20)], &[("AWSCURRENT", "v1"), (&login_label(login), "v1")])
}

struct Asked {
    settings: Settings,
    request: Request,
    secret: SecretFacts,
    current: Option<Result<Adopted, NotALogin>>,
    roster: Option<Roster>,
    inspections: Vec<PlaceSummary>,
    refused: Option<VersionId>,
    made: u32,
}

impl Asked {
    fn of(names: &[&str], mode: Mode, secret: SecretFacts) -> Asked {
        Asked {
            settings: settings(names),
            request: Request::for_mode(mode),
            secret,
            current: None,
            roster: Some(roster(&[Some("v1 2026-11-22T00:00:00Z")])),
            inspections: Vec::new(),
            refused: None,
            made: 0,
        }
    }

    fn plan(&self) -> Result<LoginPlan, StepError> {
        plan(&LoginFacts {
            now: now(),
            request: &self.request,
            settings: &self.settings,
            login: self.settings.login().unwrap(),
            secret: self.secret.clone(),
            current: self.current.clone(),
            token: "token".into(),
            roster: self.roster.as_ref(),
            inspections: &self.inspections,
            refused: self.refused.as_ref(),
            made: self.made,
        })
    }

    fn stage(&self) -> LoginStage {
        self.plan().unwrap().stage
    }
}

/// Running hosts with these ledgers, after a target that is v1 since the 21st.
fn roster(ledgers: &[Option<&str>]) -> Roster {
    let host = |(index, ledger): (usize, &Option<&str>)| Host {
        id: format!("i-{index}").as_str().into(),
        name: None,
        state: HostState::Running,
        renewed: at("2026-01-01T00:00:00Z"),
        ledger: ledger.and_then(LedgerEntry::parse),
        matches: true,
        tag_count: 1,
    };
    let target = current_of("app").target();
    Roster::new(ledgers.iter().enumerate().map(host).collect(), target.as_ref())
}

fn inspected(findings: u32, unreachable: u32) -> PlaceSummary {
    let inspection = PlaceInspection { answered: 3, findings, ..PlaceInspection::default() };
    PlaceSummary { running: 3, unreachable, inspection: Some(inspection), ..PlaceSummary::default() }
}

#[test]
fn a_label_tells_when_a_password_was_made_and_whose_it_is_whatever_the_name_holds() {
    let longest = "n".repeat(128);
    for login in ["app", "a:b", "o'brien [x] $y z", "Ω", longest.as_str()] {
        let made = Made { at: now(), version: VersionId("v".repeat(64)), login: login.to_owned() };
        assert_eq!(Made::parse(&made.label()), Some(made.clone()));
        assert!(made.label().chars().count() <= 256, "{} characters", made.label().chars().count());
    }
    for other in ["AWSCURRENT", "made:", "made:x:v:l", "login:app", "AKIAIOSFODNN7EXAMPLE"] {
        assert_eq!(Made::parse(other), None, "{other}");
    }
}

#[test]
fn a_label_that_somebody_moved_to_another_version_says_nothing() {
    let mut secret = current_of("app");
    secret.labels.insert(made("v1", "app", 20).label(), "v9".into());
    assert_eq!(secret.made(), []);
}

#[test]
fn hosts_are_asked_before_a_password_is_made_and_all_must_have_answered() {
    let mut asked = Asked::of(&["app"], Mode::Rotate, current_of("app"));
    assert_eq!(asked.stage(), LoginStage::Inspect);
    for unfit in [inspected(1, 0), inspected(0, 1), PlaceSummary::default()] {
        asked.inspections = vec![inspected(0, 0), unfit];
        assert!(matches!(asked.stage(), LoginStage::Refused(StepError::HostsNotReady { .. })));
    }
    asked.inspections = vec![inspected(0, 0)];
    let make = LoginStage::Make { token: "token".into(), login: "app".to_owned(), replaces: None };
    assert_eq!(asked.stage(), make);
}

#[test]
fn two_logins_take_turns_and_no_turn_begins_before_every_running_host_has_proved_the_last() {
    let mut asked = Asked::of(&["app_a", "app_b"], Mode::Rotate, current_of("app_a"));
    asked.inspections = vec![inspected(0, 0)];
    assert!(matches!(asked.stage(), LoginStage::Make { login, .. } if login == "app_b"));
    asked.secret = current_of("app_b");
    assert!(matches!(asked.stage(), LoginStage::Make { login, .. } if login == "app_a"));
    asked.roster = Some(roster(&[Some("v1 2026-11-22T00:00:00Z"), None]));
    assert!(matches!(asked.stage(), LoginStage::HeldUp(why) if why.contains("i-1")));
}

#[test]
fn a_replica_group_is_one_unit_of_which_every_replica_answers_and_knows_the_login_by_one_sid() {
    let mut asked = Asked::of(&["app"], Mode::Rotate, current_of("app"));
    let Ok(login) = asked.settings.login() else { panic!("it rotates a login") };
    let mut login = login.clone();
    login.replica_groups = vec!["ag1".to_owned()];
    asked.settings.credential = crate::settings::Credential::Login(Box::new(login));
    let with = |members, answered, sids: &[&str]| {
        let mut place = inspected(0, 0);
        let sids = sids.iter().map(|sid| (*sid).to_owned()).collect();
        let seen = SeenReplicas { members, answered, primaries: ["i-1".into()].into(), sids };
        place.inspection.as_mut().unwrap().replicas.insert("ag1".to_owned(), seen);
        vec![place]
    };
    asked.inspections = vec![inspected(0, 0)];
    let refusal = |asked: &Asked| match asked.stage() {
        LoginStage::Refused(refusal) => refusal.to_string(),
        other @ (LoginStage::NotAsked
        | LoginStage::Pending(_)
        | LoginStage::Inspect
        | LoginStage::Make { .. }
        | LoginStage::Label { .. }
        | LoginStage::Abandon { .. }
        | LoginStage::Rollback(_)
        | LoginStage::HeldUp(_)) => panic!("{other:?}"),
    };
    assert!(refusal(&asked).contains("No host answered for the replica group ag1"));
    asked.inspections = with(3, 2, &["aa"]);
    assert!(refusal(&asked).contains("2 of 3 replicas"));
    asked.inspections = with(2, 2, &["aa", "bb"]);
    assert!(refusal(&asked).contains("different SIDs"));
    asked.inspections = with(2, 2, &["aa"]);
    assert!(matches!(asked.stage(), LoginStage::Make { .. }));
}

#[test]
fn a_pending_version_is_gone_on_with_and_one_that_is_not_ours_is_refused() {
    let labels = [("AWSCURRENT", "v1"), ("login:app", "v1"), ("AWSPENDING", "v2")];
    let versions = [made("v1", "app", 20), made("v2", "app", 23)];
    let asked = Asked::of(&["app"], Mode::Rotate, secret(&versions, &labels));
    assert_eq!(asked.stage(), LoginStage::Pending(made("v2", "app", 23)));
    let strange = Asked::of(&["app"], Mode::Rotate, secret(&versions[..1], &labels));
    assert!(matches!(strange.plan(), Err(StepError::PendingVersionNotOurs { .. })));
}

#[test]
fn a_password_that_a_policy_refuses_is_replaced_a_few_times_and_then_a_person_is_asked() {
    let labels = [("AWSCURRENT", "v1"), ("login:app", "v1"), ("AWSPENDING", "v2")];
    let versions = [made("v1", "app", 20), made("v2", "app", 23)];
    let mut asked = Asked::of(&["app"], Mode::Rotate, secret(&versions, &labels));
    asked.refused = Some("v2".into());
    asked.made = 1;
    let replaces = Some("v2".into());
    assert_eq!(asked.stage(), LoginStage::Make { token: "token".into(), login: "app".to_owned(), replaces });
    asked.made = 3;
    assert!(matches!(asked.stage(), LoginStage::Refused(StepError::PasswordRefused { passwords: 3, .. })));
    asked.refused = Some("v0".into());
    assert!(matches!(asked.stage(), LoginStage::Pending(_)), "what was refused before is not what is pending now");
}

#[test]
fn one_login_goes_only_forward_and_two_can_go_back() {
    let versions = [made("v1", "app_a", 20), made("v2", "app_b", 23)];
    let labels = [("AWSCURRENT", "v1"), ("login:app_a", "v1"), ("AWSPENDING", "v2")];
    let two = Asked::of(&["app_a", "app_b"], Mode::Abandon, secret(&versions, &labels));
    assert_eq!(two.stage(), LoginStage::Abandon { version: "v2".into() });
    let versions = [made("v1", "app", 20), made("v2", "app", 23)];
    let labels = [("AWSCURRENT", "v1"), ("login:app", "v1"), ("AWSPENDING", "v2")];
    let one = Asked::of(&["app"], Mode::Abandon, secret(&versions, &labels));
    assert!(matches!(one.stage(), LoginStage::Refused(StepError::NoWayBack { .. })));
}

#[test]
fn a_rollback_goes_to_the_version_that_was_current_before() {
    let versions = [made("v1", "app_a", 20), made("v2", "app_b", 23)];
    let labels = [("AWSCURRENT", "v2"), ("AWSPREVIOUS", "v1"), ("login:app_a", "v1"), ("login:app_b", "v2")];
    let asked = Asked::of(&["app_a", "app_b"], Mode::Rollback, secret(&versions, &labels));
    assert_eq!(asked.stage(), LoginStage::Rollback(made("v1", "app_a", 20)));
    let nowhere = Asked::of(&["app"], Mode::Rollback, current_of("app"));
    assert!(matches!(nowhere.stage(), LoginStage::Refused(StepError::NoWayBack { .. })));
}

#[test]
fn a_daily_converge_stages_only_what_is_overdue() {
    let asked = Asked::of(&["app"], Mode::Converge, current_of("app"));
    let plan = asked.plan().unwrap();
    assert!(plan.is_nothing(), "{plan:?}");
    let old = Made { at: now() - SignedDuration::from_hours(24 * 90), ..made("v1", "app", 1) };
    let overdue = secret(&[old], &[("AWSCURRENT", "v1"), ("login:app", "v1")]);
    assert_eq!(Asked::of(&["app"], Mode::Converge, overdue).stage(), LoginStage::Inspect);
}

#[test]
fn a_value_that_a_person_stored_is_adopted_and_one_of_another_login_is_refused() {
    let stored = at("2026-10-01T00:00:00Z");
    let strange = secret(&[], &[("AWSCURRENT", "v1")]);
    let mut asked = Asked::of(&["app"], Mode::Converge, strange);
    asked.current = Some(Ok(Adopted { login: "app".to_owned(), stored }));
    let label = Made { at: stored, version: "v1".into(), login: "app".to_owned() }.label();
    let settle = asked.plan().unwrap().settle;
    assert!(settle.contains(&Settling::Label { label, from: None, to: Some("v1".into()) }));
    assert!(settle.contains(&Settling::Label { label: login_label("app"), from: None, to: Some("v1".into()) }));
    asked.current = Some(Ok(Adopted { login: "sales".to_owned(), stored }));
    assert!(matches!(asked.plan(), Err(StepError::LoginOfAnotherName { .. })));
    asked.current = Some(Err(NotALogin::Empty));
    assert!(matches!(asked.plan(), Err(StepError::SecretValueUnreadable { .. })));
}

#[test]
fn whoever_died_after_the_promotion_is_finished_by_the_next_run() {
    let versions = [made("v1", "app", 20), made("v2", "app", 23)];
    let labels = [("AWSCURRENT", "v2"), ("AWSPENDING", "v2"), ("login:app", "v1")];
    let settle = Asked::of(&["app"], Mode::Converge, secret(&versions, &labels)).plan().unwrap().settle;
    let moved = Settling::Label { label: login_label("app"), from: Some("v1".into()), to: Some("v2".into()) };
    assert_eq!(settle[..2], [moved, Settling::FinishPending { version: "v2".into() }]);
}

#[test]
fn a_label_is_swept_when_no_host_may_hold_its_version_any_more() {
    let versions = [made("v0", "app", 1), made("v1", "app", 20)];
    let labels = [("AWSCURRENT", "v1"), ("login:app", "v1")];
    let mut asked = Asked::of(&["app"], Mode::Converge, secret(&versions, &labels));
    let gone = Settling::Label { label: versions[0].label(), from: Some("v0".into()), to: None };
    assert_eq!(asked.plan().unwrap().sweep, [gone]);
    asked.roster = Some(roster(&[None]));
    assert_eq!(asked.plan().unwrap().sweep, [], "a host may hold it");
    asked.roster = None;
    assert_eq!(asked.plan().unwrap().sweep, [], "nobody has looked");
}

#[test]
fn a_secret_has_room_for_labels_however_long_a_host_is_off() {
    let versions: Vec<Made> = (1..=15).map(|day| made(&format!("v{day:02}"), "app", day)).collect();
    let labels = [("AWSCURRENT", "v15"), ("AWSPREVIOUS", "v14"), ("login:app", "v15")];
    let mut asked = Asked::of(&["app"], Mode::Converge, secret(&versions, &labels));
    asked.roster = Some(roster(&[None]));
    let swept = asked.plan().unwrap().sweep;
    assert_eq!(swept.len(), 3, "the oldest go, and ten stay: {swept:?}");
}

#[test]
fn a_leaked_password_is_replaced_by_a_rotation_and_is_no_access_key() {
    let mut asked = Asked::of(&["app"], Mode::Rotate, current_of("app"));
    asked.request.compromised = Some("AKIAIOSFODNN7EXAMPLE".into());
    assert!(matches!(asked.plan(), Err(StepError::InvalidInput { path, .. }) if path == "compromised"));
}

#[test]
fn a_value_keeps_what_applications_put_beside_the_password() {
    let names = ["app".to_owned()];
    let text = r#"{"engine":"sqlserver","host":"db","port":1433,"username":"app","password":"old","pool":{"max":5}}"#;
    let value = LoginValue::parse(&SecretValue::new(text.to_owned()), &names).unwrap();
    let written = value.with("app_b", SecretValue::new("new".to_owned())).write(ValueFormat::Json);
    let written: serde_json::Value = serde_json::from_str(written.reveal()).unwrap();
    assert_eq!(
        written,
        json!({ "engine": "sqlserver", "host": "db", "port": 1433, "username": "app_b", "password": "new", "pool": {"max": 5} })
    );
    assert_eq!(value.write(ValueFormat::Plain).reveal(), "old");
    assert!(!format!("{value:?}").contains("old"), "no password in Debug");
}

#[test]
fn a_password_alone_is_that_of_the_one_login_and_of_two_it_is_nobodys() {
    let value = SecretValue::new("only a password".to_owned());
    assert_eq!(LoginValue::parse(&value, &["app".to_owned()]).unwrap().login, "app");
    let two = ["app_a".to_owned(), "app_b".to_owned()];
    assert_eq!(LoginValue::parse(&value, &two).unwrap_err(), NotALogin::WhoseLogin);
    let mysql = SecretValue::new(r#"{"engine":"mysql","username":"app","password":"p"}"#.to_owned());
    assert_eq!(LoginValue::parse(&mysql, &two).unwrap_err(), NotALogin::Engine);
}
