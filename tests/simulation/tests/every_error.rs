//! Every name that a run can fail with: a history that ends with it, and what people are told then. The message says
//! what failed and what to do; the notice of the failed run says the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rotation::StepError;
use sandbox::cloud::{Service, Visibility};
use sandbox::machine::{Definition, Execution};
use serde_json::{Value, json};
use simulation::acts::Act;
use simulation::beginning::{ACCOUNT, REGION, SECRET, fleet_of, host, id, settings};
use simulation::hand::Hand;
use simulation::history::{History, in_its_own_time};
use simulation::remedy::message;
use simulation::wire::Fault;

/// A call's event bears the time of its end, some 40 ms after AWS took it up; before that it was on the wire for 5 ms at
/// least.
const BEFORE_IT: Duration = Duration::from_millis(43);

/// What is other than usual when a history begins, and what is started.
struct Case {
    hosts: Vec<Value>,
    settings: Value,
    file: Value,
    /// Runs before the one that fails, each with the days before it.
    earlier: Vec<(u32, Value)>,
    /// What happens just before the run.
    before: Box<dyn Fn(&mut History)>,
    input: Value,
    /// An execution that is started a second before.
    beside: Option<Value>,
    /// What a person does just before a function's call takes effect.
    race: Option<(&'static str, &'static str, Act)>,
}

impl Default for Case {
    fn default() -> Case {
        Case {
            hosts: vec![host(1), host(2)],
            settings: settings(),
            file: json!({}),
            earlier: Vec::new(),
            before: Box::new(|_| {}),
            input: json!({ "mode": "rotate" }),
            beside: None,
            race: None,
        }
    }
}

fn when(before: impl Fn(&mut History) + 'static) -> Case {
    Case { before: Box::new(before), ..Case::default() }
}

fn with_settings(change: impl Fn(&mut Value)) -> Case {
    let mut case = Case::default();
    change(&mut case.settings);
    case
}

/// The definition with another text in the place of one that it has: what a wrong deployment is.
fn redefine(history: &mut History, from: &str, to: &str) {
    let text = history.world.machine.text();
    assert!(text.contains(from), "{from} is not in the definition");
    let text = text.replacen(from, to, 1);
    let machine = history.world.machine.updated(Arc::new(Definition::parse(&text).unwrap()), text);
    history.world.machine = Arc::new(machine);
    history.world.cloud.deploy_state_machine(&history.world.machine);
}

fn lasting(function: &'static str, operation: &'static str, fault: Fault) -> Case {
    when(move |history| history.wire.strike_every(function, operation, fault))
}

/// Each name, the history that ends with it, and the words of the remedy that people must find in the message.
fn cases() -> Vec<(&'static str, Case, &'static str)> {
    let role = "arn:aws:iam::444455556666:role/credential-rotation";
    let abroad = json!([
        { "account": ACCOUNT, "regions": [REGION] }, { "account": "444455556666", "role": role, "regions": [REGION] },
    ]);
    let mut full = host(2);
    (1..50).for_each(|number| full["tags"][format!("tag-{number}")] = json!("x"));
    let mut broken = host(1);
    broken["sqlServers"][0]["neverWorks"] = json!(true);
    let rotate = || json!({ "mode": "rotate" });
    vec![
        ("InvalidInput", Case { input: json!({ "mode": "rotat" }), ..Case::default() }, "Start again with"),
        (
            "InvalidSettings",
            when(|history| redefine(history, "\"rotateEveryDays\":85", "\"rotateEveryDays\":10")),
            "Correct them and deploy again",
        ),
        (
            "InvalidStateInput",
            when(|history| redefine(history, "\"now.$\"", "\"then.$\"")),
            "Deploy state machine and functions together",
        ),
        (
            "EmptyFleet",
            when(|history| [1, 2].map(Act::Untag).iter().for_each(|act| history.happens(act))),
            "Tag the hosts",
        ),
        (
            "NoRunningHost",
            when(|history| [1, 2].map(Act::Stop).iter().for_each(|act| history.happens(act))),
            "Start at least one",
        ),
        ("NoTagRoom", Case { hosts: vec![host(1), full], ..Case::default() }, "Remove a tag from each"),
        (
            "PlaceNotAccessible",
            Case {
                before: Box::new(|history| history.world.cloud.deny("enumerate-instances", "sts:AssumeRole")),
                ..with_settings(move |settings| settings["fleet"]["targets"] = abroad.clone())
            },
            "Let it trust the functions' roles",
        ),
        ("SecretNotFound", Case { file: json!({ "value": "noSecret" }), ..Case::default() }, "Create or restore it"),
        (
            "SecretRotatesItself",
            when(|history| history.world.cloud.set_rotation_enabled(SECRET, true)),
            "aws secretsmanager cancel-rotate-secret",
        ),
        (
            "SecretValueUnreadable",
            when(|history| history.happens(&Act::By(Hand::StoreGarbage))),
            "Store the access key in use",
        ),
        (
            "PendingVersionNotOurs",
            when(|history| history.happens(&Act::By(Hand::StageGarbage))),
            "--remove-from-version-id",
        ),
        (
            "LabelMoved",
            Case {
                race: Some(("rotate-iam-key", "UpdateSecretVersionStage", Act::By(Hand::StageGarbage))),
                ..Case::default()
            },
            "the next run goes on from what is so then",
        ),
        (
            "UserNotFound",
            when(|history| {
                let mut settings = settings();
                settings["user"] = json!("nobody");
                history.deploy(settings, "another user").unwrap();
            }),
            "Correct user in the settings",
        ),
        (
            "KeyOfAnotherUser",
            when(|history| {
                let cloud = &history.world.cloud;
                cloud.add_user("bob");
                let (key, secret) = cloud.create_access_key("bob").unwrap();
                cloud.put_secret_value(SECRET, &format!("{key}:{secret}"), &[]).unwrap();
            }),
            "Correct user in the settings, or store a key of",
        ),
        (
            "UnknownAccessKey",
            when(|history| history.happens(&Act::By(Hand::AddKey))),
            "deactivate it, and delete it later",
        ),
        (
            "NoFreeKeySlot",
            Case { earlier: vec![(0, rotate()), (1, rotate())], ..Case::default() },
            "start the same input again when a slot is free",
        ),
        (
            "EarlierRunUnresolved",
            lasting("rotate-iam-key", "CreateAccessKey", Fault::DiesAfter),
            "It is looked for again after",
        ),
        (
            "AnotherExecutionStages",
            Case { beside: Some(rotate()), ..Case::default() },
            "Let it end; nothing needs to be done",
        ),
        ("KeyUnsuitable", when(|history| history.world.cloud.make_unfit_keys(9)), "Start the execution again"),
        ("KeyNotStored", lasting("rotate-iam-key", "PutSecretValue", Fault::Denied), "Remove the cause"),
        (
            "KeyNotAccepted",
            when(|history| history.world.cloud.let_iam_reach(Service::Sts, false)),
            "the next run goes on with it",
        ),
        ("NoWayBack", Case { input: json!({ "mode": "rollback" }), ..Case::default() }, "start {\"mode\": \"rotate\"}"),
        (
            "DocumentNotFound",
            with_settings(|settings| settings["document"] = json!({ "name": "apply-something-else" })),
            "Deploy the document there",
        ),
        ("ProofsMissing", Case { hosts: vec![broken, host(2)], ..Case::default() }, "check the bucket's policy"),
        (
            "PlacesNotCommanded",
            Case {
                before: Box::new(|history| history.world.cloud.deny("send-command", "ssm:SendCommand")),
                earlier: vec![(0, rotate())],
                input: json!({ "mode": "converge", "instanceIds": [id(1)] }),
                ..Case::default()
            },
            "Remove the cause; the next run goes on",
        ),
        (
            "NotVisibleYet",
            when(|history| {
                let mut visibility = Visibility::immediate();
                visibility.secret = Duration::from_secs(24 * 3600);
                history.world.cloud.set_visibility(visibility);
            }),
            "not visible yet",
        ),
        (
            "ServiceUnavailable",
            lasting("enumerate-instances", "DescribeInstances", Fault::Throttled),
            "look at the AWS Health Dashboard",
        ),
        (
            "AccessDenied",
            lasting("enumerate-instances", "DescribeInstances", Fault::Denied),
            "Grant it to the function's role",
        ),
        ("AwsRefused", lasting("enumerate-instances", "DescribeInstances", Fault::NotFound), "report it"),
    ]
}

/// Tells a case; how its run ended.
async fn told(case: &Case) -> (History, Execution) {
    let mut file = serde_json::to_value(json!({
        "account": ACCOUNT, "region": REGION, "startsAt": "2026-11-24T06:00:00Z", "hosts": case.hosts,
    }))
    .unwrap();
    case.file.as_object().unwrap().iter().for_each(|(name, value)| file[name] = value.clone());
    let file = serde_json::from_value(file).unwrap();
    let mut history = History::begin(1, &file, case.settings.clone(), [].into()).unwrap();
    for (days, input) in &case.earlier {
        history.world.pass_days(*days).await;
        history.run(input.clone()).await;
    }
    (case.before)(&mut history);
    let race = case.race.as_ref().map(|(function, operation, act)| (moment_of(function, operation), act));
    let clock = history.world.clock.clone();
    let beside = async {
        if let Some(input) = &case.beside {
            history.start("beside".to_owned(), input).await;
        }
        None
    };
    let itself = async {
        if case.beside.is_some() {
            clock.sleep(Duration::from_secs(2)).await;
        }
        history.start("itself".to_owned(), &case.input).await
    };
    let person = async {
        if let Some((moment, act)) = race {
            clock.sleep(moment).await;
            history.happens(act);
        }
        None
    };
    let parts: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Execution>>>>> =
        vec![Box::pin(beside), Box::pin(itself), Box::pin(person)];
    let ended = clock.join_all(parts).await.into_iter().flatten().next();
    (history, ended.unwrap())
}

/// How long after its start a quiet rotation is about to move a label for the second time: AWSPENDING, after adoption.
fn moment_of(function: &str, operation: &str) -> Duration {
    std::thread::scope(|scope| scope.spawn(|| quiet_moment_of(function, operation)).join().unwrap())
}

fn quiet_moment_of(function: &str, operation: &str) -> Duration {
    in_its_own_time(1, async {
        let history = History::begin(1, &fleet_of(vec![host(1), host(2)]).unwrap(), settings(), [].into()).unwrap();
        let started = history.world.clock.now();
        history.start("itself".to_owned(), &json!({ "mode": "rotate" })).await;
        let journal = history.world.cloud.journal();
        let is_it = |event: &&sandbox::cloud::Event| {
            event.action == operation
                && matches!(&event.caller, sandbox::cloud::Caller::Function { name, .. } if name == function)
        };
        let moved = journal.iter().filter(is_it).nth(1).unwrap().time;
        Duration::try_from(moved.duration_since(started)).unwrap() - BEFORE_IT
    })
    .unwrap()
}

/// Hosts of logins have no model: what only they lead to is told by `tests/logins.rs`, on the real scripts.
const OF_LOGINS: [&str; 3] = ["LoginOfAnotherName", "HostsNotReady", "PasswordRefused"];

#[test]
fn every_error_ends_some_history_and_tells_people_what_to_do() {
    let cases = cases();
    let told_of: BTreeSet<&str> = cases.iter().map(|(name, ..)| *name).collect();
    let of_keys = StepError::NAMES.iter().copied().filter(|name| !OF_LOGINS.contains(name));
    assert_eq!(told_of, of_keys.collect(), "every name has its history, and no other");
    let mut wrong = Vec::new();
    for (name, case, remedy) in &cases {
        let (history, execution) = in_its_own_time(1, told(case)).unwrap();
        let (ended, said) = (execution.error.clone().unwrap_or_default(), message(&execution));
        if ended != *name || !said.contains(remedy) {
            wrong.push(format!("{name}: it ended with `{ended}`, and `{remedy}` is looked for in: {said}"));
            println!("{}", history.trace.text());
        }
        let notices = history.world.cloud.notices();
        let tells = |text: &str| notices.iter().any(|notice| notice.message.contains(text));
        if !tells(name) || !tells(remedy) {
            wrong.push(format!("{name}: no notice tells `{remedy}`: {notices:#?}"));
        }
        let findings = history.world.auditor.findings();
        wrong.extend(findings.iter().map(|finding| format!("{name}: {finding}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
