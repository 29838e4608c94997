//! A history as a person reads it: who did what and when, what went wrong, what changed.
//!
//! Every line is a change, an error, or the end of an execution; reads are left out, since a reader asks what happened.

#![allow(clippy::wildcard_enum_match_arm, reason = "what changes nothing that a reader asks about is passed over")]

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sandbox::cloud::{Caller, Effect, Event, Outcome};
use sandbox::host::{HostEvent, HostHappening};
use sandbox::machine::{EventType, HistoryEvent, Observer};
use sandbox::world::World;

/// The lines so far.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    /// Who watches the executions: give it to the world.
    pub fn observer(&self) -> Observer {
        let trace = self.clone();
        Arc::new(move |event: &HistoryEvent| trace.of_execution(event))
    }

    /// Watches the cloud and the hosts of a world from now on.
    pub fn watch(&self, world: &World) {
        let of_cloud = self.clone();
        world.cloud.subscribe(Arc::new(move |event| of_cloud.of_cloud(event)));
        let of_hosts = self.clone();
        world.fleet.subscribe(Arc::new(move |event| of_hosts.of_host(event)));
    }

    /// A line of the history's own.
    pub fn say(&self, time: Timestamp, text: &str) {
        let line = format!("{}  {text}", time.strftime("%d %b %H:%M:%S%.3f"));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// The whole.
    pub fn text(&self) -> String {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        text.push('\n');
        text
    }

    fn of_execution(&self, event: &HistoryEvent) {
        let details = &event.details;
        let name = details.name.as_deref().unwrap_or_default();
        let text = match event.kind {
            EventType::TaskStateEntered | EventType::MapStateEntered => name.to_owned(),
            EventType::LambdaFunctionFailed | EventType::TaskFailed | EventType::ExecutionFailed => {
                format!("  failed: {}", details.error.as_deref().unwrap_or_default())
            }
            EventType::ExecutionSucceeded => "the execution succeeded".to_owned(),
            _ => return,
        };
        self.say(event.timestamp, &text);
    }

    fn of_cloud(&self, event: &Event) {
        let who = match &event.caller {
            Caller::Function { name, .. } => name.clone(),
            Caller::InstanceRole { instance_id } => instance_id.clone(),
            Caller::AccessKey { access_key_id } => access_key_id.clone(),
            Caller::Person => "a person".to_owned(),
            Caller::Aws => "AWS".to_owned(),
        };
        let refused = match &event.outcome {
            Outcome::Refused(error) => Some(error.code.as_str()),
            Outcome::ReplyLost => Some("the reply is lost"),
            Outcome::Done => None,
        };
        let is_function = matches!(event.caller, Caller::Function { .. });
        if let Some(how) = refused.filter(|_| is_function) {
            self.say(event.time, &format!("    {who}: {}: {how}", event.action));
        }
        for text in event.effects.iter().filter_map(effect) {
            self.say(event.time, &format!("    {who}: {text}"));
        }
    }

    fn of_host(&self, event: &HostEvent) {
        let text = match &event.happening {
            HostHappening::CredentialChanged { endpoint, credential, access_key_id } if !credential.contains("/.") => {
                let key = access_key_id.as_deref().unwrap_or("nothing");
                format!("{endpoint} holds {key}")
            }
            HostHappening::CommandEnded { succeeded, .. } => {
                if *succeeded {
                    "answers".to_owned()
                } else {
                    "answers that it failed".to_owned()
                }
            }
            HostHappening::CommandDied { .. } => "goes down in the middle of its command".to_owned(),
            _ => return,
        };
        self.say(event.time, &format!("      {}: {text}", event.instance_id));
    }
}

/// A change in words; none where no reader asks about it.
fn effect(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::KeyCreated { access_key_id, .. } => format!("makes the key {access_key_id}"),
        Effect::KeyStatusChanged { access_key_id, to, .. } => format!("makes the key {access_key_id} {to:?}"),
        Effect::KeyDeleted { access_key_id, .. } => format!("deletes the key {access_key_id}"),
        Effect::VersionStored { version_id, access_key_id, .. } => {
            format!("stores version {version_id} with {}", access_key_id.as_deref().unwrap_or("no key"))
        }
        Effect::LabelMoved { label, from, to, .. } => {
            let place = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".to_owned());
            format!("moves {label} from {} to {}", place(from), place(to))
        }
        Effect::TagsChanged { resource, set, removed } => {
            let set = set.iter().map(|(key, value)| format!("{key}={value}"));
            let removed = removed.iter().map(|key| format!("{key} removed"));
            let resource = resource.rsplit(':').next().unwrap_or_default();
            format!("tags {resource}: {}", set.chain(removed).collect::<Vec<_>>().join(", "))
        }
        Effect::CommandSent { document_name, instance_ids, .. } => {
            format!("sends {document_name} to {}", instance_ids.join(", "))
        }
        Effect::InstanceChanged { instance_id, to, .. } => format!("{instance_id} is {to:?}").to_lowercase(),
        Effect::InstanceRestored { instance_id } => format!("restores the disks of {instance_id}"),
        Effect::AgentChanged { instance_id, online } => {
            format!("the agent of {instance_id} {}", if *online { "answers" } else { "does not answer" })
        }
        Effect::NoticePublished { subject, .. } => format!("publishes \"{subject}\""),
        _ => return None,
    })
}
