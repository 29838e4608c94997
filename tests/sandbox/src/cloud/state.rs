//! All that is so in this AWS, behind one lock, and the way of a call to its service.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Weak;

use jiff::Timestamp;
use serde_json::Value;

use super::caller::{Caller, Session};
use super::ec2::Instance;
use super::event::Event;
use super::event_bus::BusEvent;
use super::faults::Faults;
use super::iam::{AccessKey, User};
use super::logs::LogGroups;
use super::permissions::Denial;
use super::random::Identifiers;
use super::request::Turn;
use super::s3::Buckets;
use super::secretsmanager::Secret;
use super::sns::Topics;
use super::ssm::{Command, Document};
use super::states::Executions;
use super::visibility::Visibility;
use super::{Call, Service, ServiceError, ec2, event_bus, iam, logs, s3, secretsmanager, sns, ssm, states, sts};
use crate::machine::Machine;

/// A value that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SecretText(String);

impl SecretText {
    pub(super) fn new(text: &str) -> SecretText {
        SecretText(text.to_owned())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(redacted)")
    }
}

/// Where something is: account, region and name.
pub(super) type Place = (String, String, String);

/// Everything, in maps by AWS's own ids.
pub(super) struct State {
    pub(super) home_account: String,
    pub(super) home_region: String,
    /// Roles that may be assumed, by ARN.
    pub(super) roles: Vec<String>,
    pub(super) users: BTreeMap<(String, String), User>,
    pub(super) keys: BTreeMap<String, AccessKey>,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) instances: BTreeMap<String, Instance>,
    pub(super) documents: BTreeMap<Place, Document>,
    pub(super) commands: Vec<Command>,
    pub(super) executions: Executions,
    /// Who does what executions ask for; the world keeps it, since it calls this cloud in turn.
    pub(super) machine: Weak<Machine>,
    pub(super) topics: Topics,
    pub(super) bus_events: Vec<BusEvent>,
    pub(super) buckets: Buckets,
    pub(super) log_groups: LogGroups,
    pub(super) sessions: BTreeMap<String, Session>,
    /// Whether a key that nobody here gave out is a person's: see [`super::Cloud::admit_people`].
    pub(super) people_are_admitted: bool,
    pub(super) denials: Vec<Denial>,
    pub(super) faults: Faults,
    pub(super) visibility: Visibility,
    /// Both ends of a rotation's labels are legal (FACTS D, the rule marked [D]).
    pub(super) promotion_takes_pending_off: bool,
    /// How many of the next access keys do not fit `id:secret`.
    pub(super) unfit_keys: u32,
    pub(super) identifiers: Identifiers,
    pub(super) journal: Vec<Event>,
}

impl State {
    pub(super) fn new(account: &str, home_region: &str) -> State {
        State {
            home_account: account.to_owned(),
            home_region: home_region.to_owned(),
            roles: Vec::new(),
            users: BTreeMap::new(),
            keys: BTreeMap::new(),
            secrets: BTreeMap::new(),
            instances: BTreeMap::new(),
            documents: BTreeMap::new(),
            commands: Vec::new(),
            executions: Executions::new(),
            machine: Weak::new(),
            topics: Topics::default(),
            bus_events: Vec::new(),
            buckets: Buckets::default(),
            log_groups: LogGroups::default(),
            sessions: BTreeMap::new(),
            people_are_admitted: false,
            denials: Vec::new(),
            faults: Faults::default(),
            visibility: Visibility::immediate(),
            promotion_takes_pending_off: false,
            unfit_keys: 0,
            identifiers: Identifiers::starting_from(0x5eed),
            journal: Vec::new(),
        }
    }

    /// Serves one call: first who may, then the service.
    pub(super) fn answer(&mut self, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
        self.authorize(turn)?;
        match turn.service {
            Service::SecretsManager => secretsmanager::answer(self, turn),
            Service::Iam => iam::answer(self, turn),
            Service::Sts => sts::answer(self, turn),
            Service::Ec2 => ec2::answer(self, turn),
            Service::Ssm => ssm::answer(self, turn),
            Service::States => states::answer(self, turn),
            Service::Sns => sns::answer(self, turn),
            Service::Events => event_bus::answer(self, turn),
            Service::S3 => s3::answer(self, turn),
            Service::Logs => logs::answer(self, turn),
        }
    }
}

/// Whether this AWS has an action. An empty one refuses every other by name, so no second list can fall behind.
pub(super) fn serves(service: Service, action: &str) -> bool {
    let (caller, region, input) = (Caller::Person, String::new(), Value::Null);
    let call = Call { caller, region, service, action: action.to_owned(), input, signature_matches: true };
    let mut turn = Turn::of(&call, "", Timestamp::UNIX_EPOCH);
    let unknown = turn.unknown_action();
    State::new("", "").answer(&mut turn).err() != Some(unknown)
}
