//! What is so, for those who judge: the auditor, the tests and the screen. No delay and no permission applies.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ec2::{Instance, InstanceState, Volume};
use super::event_bus::BusEvent;
use super::sns::Notice;
use super::ssm::InvocationStatus;
use super::{Cloud, KeyStatus, Service};

/// An access key that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyView {
    /// Its id.
    pub access_key_id: String,
    /// Its status.
    pub status: KeyStatus,
    /// When it was made.
    pub created: Timestamp,
    /// When, at which service and in which region it last signed a request.
    pub last_use: Option<(Timestamp, Service, String)>,
}

/// A secret's labels and tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretView {
    /// Its ARN.
    pub arn: String,
    /// The holder of each label.
    pub labels: BTreeMap<String, String>,
    /// Every version that still exists, and the IAM key that its value names.
    pub versions: BTreeMap<String, Option<String>>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// Its id.
    pub instance_id: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its state.
    pub state: InstanceState,
    /// Its last start.
    pub launch_time: Timestamp,
    /// Its disks.
    pub volumes: Vec<Volume>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it runs and its SSM agent answers.
    pub online: bool,
}

impl InstanceView {
    fn of(id: &str, instance: &Instance) -> InstanceView {
        InstanceView {
            instance_id: id.to_owned(),
            account: instance.account.clone(),
            region: instance.region.clone(),
            state: instance.state,
            launch_time: instance.launch_time,
            volumes: instance.volumes.clone(),
            tags: instance.tags.truth().clone(),
            online: instance.state == InstanceState::Running
                && instance.agent.as_ref().is_some_and(|agent| agent.online),
        }
    }
}

/// A command and what became of it on each host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandView {
    /// Its id.
    pub command_id: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// The document and its version.
    pub document: (String, String),
    /// What it ran with.
    pub parameters: BTreeMap<String, String>,
    /// Its comment.
    pub comment: String,
    /// When SSM was asked.
    pub requested: Timestamp,
    /// Each invocation's status and details.
    pub invocations: BTreeMap<String, (InvocationStatus, String)>,
}

impl Cloud {
    /// The keys of a user of the home account.
    pub fn access_keys(&self, user_name: &str) -> Vec<AccessKeyView> {
        let state = self.state();
        let mut keys: Vec<AccessKeyView> = state
            .keys_of(&state.home_account, user_name)
            .filter_map(|(id, key)| {
                Some(AccessKeyView {
                    access_key_id: id.clone(),
                    status: (*key.status.truth())?,
                    created: key.created,
                    last_use: key.last_use.truth().clone().map(|used| (used.date, used.service, used.region)),
                })
            })
            .collect();
        keys.sort_by_key(|key| (key.created, key.access_key_id.clone()));
        keys
    }

    /// A secret of the home account and region, by name or ARN.
    pub fn secret(&self, secret_id: &str) -> Option<SecretView> {
        let (account, region) = self.home();
        let state = self.state();
        let arn = state.secret_arn_of(&account, &region, secret_id)?;
        let contents = state.secrets.get(&arn)?.contents.truth();
        let names_key = |value: &super::state::SecretText| state.key_named_in(value.expose());
        let versions = contents
            .versions
            .iter()
            .map(|(id, version)| (id.clone(), version.value.as_ref().and_then(names_key)))
            .collect();
        Some(SecretView { arn, labels: contents.labels.clone(), versions, tags: contents.tags.clone() })
    }

    /// The value of one version, for a test that must know it.
    pub fn secret_value(&self, secret_id: &str, version_id: &str) -> Option<String> {
        let (account, region) = self.home();
        let state = self.state();
        let arn = state.secret_arn_of(&account, &region, secret_id)?;
        let version = state.secrets.get(&arn)?.contents.truth().versions.get(version_id)?;
        version.value.as_ref().map(|value| value.expose().to_owned())
    }

    /// Every secret access key that was ever made here, for the search that must not find one (guarantee 6).
    pub fn secret_access_keys(&self) -> Vec<String> {
        let state = self.state();
        let keys = state.keys.values().map(|key| &key.secret);
        keys.chain(state.sessions.values().map(|session| &session.secret))
            .map(|secret| secret.expose().to_owned())
            .collect()
    }

    /// Every instance, in every account.
    pub fn instances(&self) -> Vec<InstanceView> {
        self.state().instances.iter().map(|(id, instance)| InstanceView::of(id, instance)).collect()
    }

    /// One instance.
    pub fn instance(&self, instance_id: &str) -> Option<InstanceView> {
        self.state().instances.get(instance_id).map(|instance| InstanceView::of(instance_id, instance))
    }

    /// Every command, in the order of sending.
    pub fn commands(&self) -> Vec<CommandView> {
        let state = self.state();
        state
            .commands
            .iter()
            .map(|command| CommandView {
                command_id: command.command_id.clone(),
                account: command.account.clone(),
                region: command.region.clone(),
                document: (command.document_name.clone(), command.document_version.clone()),
                parameters: command.parameters.clone(),
                comment: command.comment.clone(),
                requested: command.requested,
                invocations: command
                    .invocations
                    .iter()
                    .map(|invocation| {
                        (invocation.instance_id.clone(), (invocation.status, invocation.status_details.clone()))
                    })
                    .collect(),
            })
            .collect()
    }

    /// Every notice that was published.
    pub fn notices(&self) -> Vec<Notice> {
        self.state().topics.notices.clone()
    }

    /// Every event on the default bus of the home region.
    pub fn bus_events(&self) -> Vec<BusEvent> {
        self.state().bus_events.clone()
    }

    /// Every object, `bucket/key`, and the access key that wrote it.
    pub fn objects(&self) -> BTreeMap<String, String> {
        self.state().buckets.objects.clone()
    }
}
