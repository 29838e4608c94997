//! Shows a run as it happens: states, hosts, keys; and at the end who holds what, what is late, what comes next.

#![allow(clippy::wildcard_enum_match_arm, reason = "what is not worth a line on the screen is passed over")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::Timestamp;
use serde_json::Value;

use crate::cloud::{Caller, Cloud, Effect, Event, InstanceState, KeyStatus};
use crate::host::{HostEvent, HostHappening};
use crate::machine::{EventType, Execution, ExecutionStatus, HistoryEvent, Observer};
use crate::serve::Running;
use crate::world::World;

/// Writes a line to the screen. Who closes the screen early, as `head` does, has seen enough.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Prints every state that is entered, every retry and every error of an execution.
pub fn states() -> Observer {
    let warning = AtomicU64::new(0);
    Arc::new(move |event: &HistoryEvent| {
        let name = event.details.name.as_deref().unwrap_or_default();
        match event.kind {
            EventType::TaskStateEntered | EventType::WaitStateEntered | EventType::MapStateEntered => {
                line(event.timestamp, "", name);
                if name.starts_with("WarnBefore") {
                    warning.store(event.id, Ordering::Relaxed);
                }
            }
            // What people are told before a deed; what they are told at the end, `ending` prints.
            EventType::TaskScheduled if event.previous_event_id == warning.load(Ordering::Relaxed) => {
                let message = event.details.input.as_ref().and_then(|input| input["Message"].as_str());
                message.unwrap_or_default().lines().for_each(|text| line(event.timestamp, "    ", text));
            }
            EventType::LambdaFunctionFailed | EventType::TaskFailed => {
                let error = event.details.error.as_deref().unwrap_or_default();
                line(event.timestamp, "  ", &format!("{error}: {}", message_of(event.details.cause.as_deref())));
            }
            _ => {}
        }
    })
}

/// Prints what happens to keys, labels and hosts.
pub fn watch(world: &World) {
    let names = Arc::new(Names { cloud: Arc::downgrade(&world.cloud), known: Mutex::default() });
    let said = Arc::clone(&names);
    world.cloud.subscribe(Arc::new(move |event| show_event(event, &said)));
    let failed: Mutex<BTreeMap<String, u32>> = Mutex::default();
    world.fleet.subscribe(Arc::new(move |event| show_host(event, &names, &failed)));
}

/// How hosts are called on the screen, those to come included.
struct Names {
    cloud: Weak<Cloud>,
    known: Mutex<BTreeMap<String, String>>,
}

impl Names {
    fn of(&self, instance_id: &str) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(instance_id) {
            return name.clone();
        }
        let tags = self.cloud.upgrade().and_then(|cloud| cloud.instance(instance_id)).map(|instance| instance.tags);
        let name = tags.as_ref().and_then(|tags| tags.get("Name")).map(|name| format!(" ({name})"));
        let name = format!("{instance_id}{}", name.unwrap_or_default());
        known.insert(instance_id.to_owned(), name.clone());
        name
    }
}

fn show_event(event: &Event, names: &Names) {
    let by_function = matches!(event.caller, Caller::Function { .. });
    for effect in &event.effects {
        let text = match effect {
            Effect::KeyCreated { access_key_id, .. } => format!("key {access_key_id} is made"),
            Effect::KeyStatusChanged { access_key_id, to, .. } => format!("key {access_key_id} is {to:?} now"),
            Effect::KeyDeleted { access_key_id, .. } => format!("key {access_key_id} is deleted"),
            Effect::VersionStored { version_id, .. } if by_function => format!("version {version_id} is stored"),
            Effect::LabelMoved { label, to: Some(to), .. } if label.starts_with("AWS") => format!("{label} is on {to}"),
            Effect::CommandSent { instance_ids, comment, .. } => {
                format!("SSM command \"{comment}\" to {} in {}", hosts(instance_ids.len()), event.region)
            }
            Effect::AgentChanged { instance_id, online } => {
                let verb = if *online { "answers" } else { "does not answer" };
                format!("the agent of {} {verb}", names.of(instance_id))
            }
            Effect::InstanceChanged { instance_id, from, to } => {
                let Some(verb) = change_of_state(*from, *to) else { continue };
                format!("{} {verb}", names.of(instance_id))
            }
            Effect::InstanceRestored { instance_id } => {
                format!("{} comes back from an image, with the disks of its time", names.of(instance_id))
            }
            Effect::TagsChanged { resource, set, removed } if event.caller == Caller::Person => {
                format!("{} {}", names.of(resource), change_of_tags(set, removed))
            }
            Effect::NoticePublished { subject, .. } => format!("SNS: {subject}"),
            _ => continue,
        };
        line(event.time, "    ", &text);
    }
}

/// What a person sees of a change: the states on the way are no news.
fn change_of_state(from: Option<InstanceState>, to: InstanceState) -> Option<&'static str> {
    match (from, to) {
        (None, InstanceState::Running) => Some("is launched"),
        (Some(_), InstanceState::Running) => Some("starts"),
        (Some(_), InstanceState::Stopped) => Some("stops"),
        (Some(_), InstanceState::Terminated) => Some("is terminated"),
        _ => None,
    }
}

fn change_of_tags(set: &BTreeMap<String, String>, removed: &[String]) -> String {
    let put = set.iter().map(|(key, value)| format!("bears the tag {key}={value} now"));
    let taken = removed.iter().map(|key| format!("lost the tag {key}"));
    put.chain(taken).collect::<Vec<_>>().join(" and ")
}

fn show_host(event: &HostEvent, names: &Names, failed: &Mutex<BTreeMap<String, u32>>) {
    let name = names.of(&event.instance_id);
    let text = match &event.happening {
        HostHappening::CredentialChanged { endpoint, credential, access_key_id: Some(key) }
            if !credential.contains("/.") =>
        {
            format!("{name} at {endpoint} holds {key}")
        }
        HostHappening::LoginChanged { endpoint, login } => format!("{name} at {endpoint} changes the login {login}"),
        HostHappening::CommandEnded { succeeded: true, .. } => format!("{name} answered"),
        HostHappening::CommandEnded { succeeded: false, .. } => {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            let times = failed.entry(event.instance_id.clone()).or_default();
            *times += 1;
            format!("{name} answered: failed ({times})")
        }
        HostHappening::CommandDied { .. } => format!("{name} went down in the middle of its command"),
        HostHappening::CredentialChanged { .. } | HostHappening::CommandStarted { .. } => return,
    };
    line(event.time, "      ", &text);
}

fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

fn line(time: Timestamp, indent: &str, text: &str) {
    say!("{}  {indent}{text}", time.strftime("%d %b %H:%M:%S"));
}

/// Lambda's cause is JSON with the message inside.
fn message_of(cause: Option<&str>) -> String {
    let cause = cause.unwrap_or_default();
    let parsed: Option<Value> = serde_json::from_str(cause).ok();
    parsed.and_then(|value| Some(value.get("errorMessage")?.as_str()?.to_owned())).unwrap_or_else(|| cause.to_owned())
}

/// Prints how an execution ended and what it tells people.
pub fn ending(execution: &Execution) {
    say!("\n{} {}", execution.name, execution.status);
    match execution.status {
        ExecutionStatus::Succeeded => {
            let report = execution.output.as_ref().and_then(|output| output.get("message")).and_then(Value::as_str);
            say!("{}", report.unwrap_or_default());
        }
        _ => {
            say!("{}", execution.error.as_deref().unwrap_or_default());
            say!("{}", message_of(execution.cause.as_deref()));
        }
    }
}

/// Says where the report is.
pub fn report(path: &Path) {
    say!("\nreport: file://{}", path.display());
}

/// Prints the fleet and the keys as they are.
pub fn fleet(world: &World) {
    say!("\n{:<22} {:<12} {:<10} {:<24} last proof (ledger)", "host", "region", "state", "holds");
    let tag = rotation::names::ledger_tag(&world.settings.rotation);
    for instance in world.cloud.instances() {
        let held = world.fleet.host(&instance.instance_id).map(|host| host.held_keys()).unwrap_or_default();
        let mut keys: Vec<&str> = held.iter().map(|held| held.access_key_id.as_str()).collect();
        keys.dedup();
        let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(" ") };
        let state = if instance.online { "online".to_owned() } else { format!("{:?}", instance.state).to_lowercase() };
        let state = if state == "running" { "silent".to_owned() } else { state };
        let ledger = instance.tags.get(&tag).map_or("none", String::as_str);
        let name = instance.tags.get("Name").unwrap_or(&instance.instance_id);
        say!("{name:<22} {:<12} {state:<10} {keys:<24} {ledger}", instance.region);
    }
    say!();
    for key in world.cloud.access_keys(&world.settings.subject()) {
        let status = match key.status {
            KeyStatus::Active => "Active",
            KeyStatus::Inactive => "Inactive",
            KeyStatus::Expired => "Expired",
        };
        say!("key {} {status}, made {}", key.access_key_id, key.created.strftime("%d %b %Y"));
    }
    let (failed, findings) = (world.failed_backups().len(), world.auditor.findings());
    say!("nightly backups that failed: {failed}");
    if let Some(application) = &world.application {
        say!("log-ins of the application that failed: {}", application.failed_log_ins());
        application.gaps().iter().for_each(|gap| say!("  {gap}"));
    }
    say!("guarantees broken at any instant: {}", findings.len());
    findings.iter().for_each(|finding| say!("  {finding}"));
}

/// Tells the next chapter of a fleet file's story.
pub fn chapter(title: &str) {
    say!("\n— {title}\n");
}

/// Says what a run is started with, and whom it declares leaked.
pub fn beginning(time: Timestamp, input: &Value) {
    if let Some(key) = input["compromised"].as_str() {
        line(time, "", &format!("key {key} is declared leaked"));
    }
    line(time, "", &format!("a run starts with {input}"));
}

/// Says that the story ends early: a run did not end as its chapter says.
pub fn ended_otherwise(execution: &Execution, expected: Option<&str>) {
    let ended = execution.error.as_deref().unwrap_or("success");
    say!(
        "\nThe story ends here: {} was to end with {}, and ended with {ended}.",
        execution.name,
        expected.unwrap_or("success")
    );
}

/// Prints where a world is served, and what a person may do with it.
pub fn served(running: &Running) {
    let (url, world) = (running.url(), running.world());
    let (_, region) = world.cloud.home();
    let machine = world.machine.arn();
    say!("listening on {url}");
    say!("state machine {machine}");
    say!("topic {}", world.settings.topic);
    say!("\nAny key pair is a person with all rights in the home account:\n");
    say!("  export AWS_ACCESS_KEY_ID=person AWS_SECRET_ACCESS_KEY=person AWS_DEFAULT_REGION={region}");
    say!("  aws --endpoint-url {url} stepfunctions start-execution --state-machine-arn {machine} --name first");
    say!("  aws --endpoint-url {url} stepfunctions list-executions --state-machine-arn {machine}");
    say!("  aws --endpoint-url {url} secretsmanager describe-secret --secret-id {}", world.settings.secret.id);
    say!("  aws --endpoint-url {url} iam list-access-keys --user-name {}", world.settings.subject());
    say!("  curl {url}/sandbox/fleet");
    say!("  {url}/sandbox/report is the report, for a browser");
    say!("  curl {url}/sandbox/clock --json '{{\"days\": 8}}'\n");
}
