//! The services of the local AWS: what is so, who may ask, and a journal of everything that happened.
//!
//! [`Cloud::call`] is the one door: the SDK's HTTP client ([`client`]), the server on loopback ([`serve`]) and the
//! stand-ins on the hosts all come through it, so a fault, a permission or a late view acts on all of them alike.
//! No emulator has all the semantics that a rotation leans on (EMULATORS.md); each service here cites the fact that
//! it obeys.
//!
//! Read in this order: [`event`] (what the journal holds), [`caller`] (who asks), [`visibility`] (late views), then
//! one file a service.

#![allow(clippy::expect_used, reason = "what a set-up or a hand asks for is refused by no rule of AWS's")]

pub mod caller;
pub mod calls;
pub mod client;
mod ec2;
pub mod event;
mod event_bus;
pub mod faults;
pub mod hand;
pub mod http;
mod iam;
mod logs;
mod pages;
mod permissions;
mod random;
mod request;
mod s3;
mod secret_labels;
mod secretsmanager;
pub mod serve;
pub mod set_up;
mod signature;
mod sns;
mod ssm;
mod state;
mod states;
mod sts;
pub mod views;
pub mod visibility;
mod wildcards;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use serde_json::Value;

pub use caller::{Caller, SessionCredentials, role_of_function};
pub use calls::ApiCall;
pub use ec2::{InstanceState, Volume};
pub use event::{Effect, Event, Outcome};
pub use event_bus::BusEvent;
pub use faults::{Fault, FaultKind};
pub use http::HttpOutcome;
pub use iam::KeyStatus;
pub use set_up::{AgentSetUp, InstanceSetUp};
pub use sns::Notice;
pub use ssm::{Delivery, InvocationStatus, InvocationUpdate, PluginResult};
pub use visibility::Visibility;

use crate::clock::Clock;
use request::{FollowUp, Turn};
use state::State;

/// How much simulated time one API call takes.
const CALL_DURATION: Duration = Duration::from_millis(40);

/// One AWS service of those that a rotation calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// AWS Secrets Manager.
    SecretsManager,
    /// AWS Identity and Access Management.
    Iam,
    /// AWS Security Token Service.
    Sts,
    /// Amazon EC2.
    Ec2,
    /// AWS Systems Manager.
    Ssm,
    /// AWS Step Functions.
    States,
    /// Amazon SNS.
    Sns,
    /// Amazon EventBridge.
    Events,
    /// Amazon S3.
    S3,
    /// Amazon CloudWatch Logs.
    Logs,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 10] = [
        Service::SecretsManager,
        Service::Iam,
        Service::Sts,
        Service::Ec2,
        Service::Ssm,
        Service::States,
        Service::Sns,
        Service::Events,
        Service::S3,
        Service::Logs,
    ];

    /// The name in credential scopes, IAM actions and ARNs.
    pub fn name(self) -> &'static str {
        match self {
            Service::SecretsManager => "secretsmanager",
            Service::Iam => "iam",
            Service::Sts => "sts",
            Service::Ec2 => "ec2",
            Service::Ssm => "ssm",
            Service::States => "states",
            Service::Sns => "sns",
            Service::Events => "events",
            Service::S3 => "s3",
            Service::Logs => "logs",
        }
    }

    /// The service of a credential scope.
    pub fn by_name(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.name() == name)
    }
}

/// An error as AWS answers it: the wire code, the message and the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ServiceError {
    /// The code on the wire, for example `LimitExceeded`.
    pub code: String,
    /// AWS's own wording where it is known.
    pub message: String,
    /// The HTTP status; 0 where no answer came because the connection dropped.
    pub status: u16,
}

impl ServiceError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> ServiceError {
        ServiceError { code: code.to_owned(), message: message.into(), status }
    }

    fn connection_dropped() -> ServiceError {
        ServiceError::new(0, "ConnectionDropped", "the connection was dropped before the reply arrived")
    }
}

/// One call on its way in.
pub(crate) struct Call {
    caller: Caller,
    region: String,
    service: Service,
    action: String,
    input: Value,
    /// Whether the signature is the one that the named key's secret makes; only a user's own is ever checked.
    signature_matches: bool,
}

type Observer = Arc<dyn Fn(&Event) + Send + Sync>;
type CommandSink = Arc<dyn Fn(Delivery) + Send + Sync>;

/// The local AWS. Share it as the `Arc` that [`Cloud::new`] gives; every method takes `&self`.
pub struct Cloud {
    me: Weak<Cloud>,
    clock: Clock,
    state: Mutex<State>,
    observers: Mutex<Vec<Observer>>,
    outbox: Mutex<VecDeque<Event>>,
    /// Held by the one thread that hands events to the observers, so that they see them in order.
    notifying: Mutex<()>,
    command_sink: Mutex<Option<CommandSink>>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cloud").finish_non_exhaustive()
    }
}

impl Cloud {
    /// An AWS with one account, the home account, in which nothing exists yet.
    pub fn new(clock: Clock, account: &str, home_region: &str) -> Arc<Cloud> {
        Arc::new_cyclic(|me| Cloud {
            me: me.clone(),
            clock,
            state: Mutex::new(State::new(account, home_region)),
            observers: Mutex::default(),
            outbox: Mutex::default(),
            notifying: Mutex::default(),
            command_sink: Mutex::default(),
        })
    }

    /// One AWS call, already parsed: the ground truth beneath HTTP, the SDK client and the stand-ins.
    ///
    /// Where a fault swallows the reply, the error's status is 0 and its code `ConnectionDropped`.
    /// SendCommand and CancelCommand need a tokio runtime, since deliveries happen later.
    ///
    /// # Errors
    /// AWS's own error for the action.
    pub fn call(
        &self,
        caller: &Caller,
        region: &str,
        service: Service,
        action: &str,
        input: Value,
    ) -> Result<Value, ServiceError> {
        let call = Call {
            caller: caller.clone(),
            region: region.to_owned(),
            service,
            action: action.to_owned(),
            input,
            signature_matches: true,
        };
        self.perform(call).unwrap_or_else(|| Err(ServiceError::connection_dropped()))
    }

    /// The call with its faults; `None` where the reply is lost.
    fn perform(&self, call: Call) -> Option<Result<Value, ServiceError>> {
        self.clock.tick(CALL_DURATION);
        let (reply, follow_ups) = {
            let mut state = self.state();
            let fault = state.faults.take(call.service, &call.action);
            let account = state.account_of(&call.caller);
            let mut turn = Turn::of(&call, &account, self.clock.now());
            let answer = match fault.as_ref().and_then(|kind| kind.refusal(call.service)) {
                Some(refusal) => Err(refusal),
                None => state.answer(&mut turn),
            };
            let lost = matches!(fault, Some(FaultKind::LoseReplyAfterEffect));
            let (event, follow_ups) = turn.into_event(&answer, lost);
            self.record(&mut state, Event { is_call: true, ..event });
            ((!lost).then_some(answer), follow_ups)
        };
        self.notify();
        follow_ups.into_iter().for_each(|follow_up| self.follow_up(follow_up));
        reply
    }

    /// Whether this AWS has an action of a service.
    pub fn serves(service: Service, action: &str) -> bool {
        state::serves(service, action)
    }

    /// What a person or AWS does without an API call, journalled under a word of ours.
    fn alter<T>(
        &self,
        caller: Caller,
        service: Service,
        (region, word): (&str, &str),
        input: Value,
        change: impl FnOnce(&mut State, &mut Turn<'_>) -> T,
    ) -> T {
        let action = word.to_owned();
        let call = Call { caller, region: region.to_owned(), service, action, input, signature_matches: true };
        let (result, follow_ups) = {
            let mut state = self.state();
            let account = state.account_of(&call.caller);
            let mut turn = Turn::of(&call, &account, self.clock.now());
            let result = change(&mut state, &mut turn);
            let (event, follow_ups) = turn.into_event(&Ok(Value::Null), false);
            self.record(&mut state, event);
            (result, follow_ups)
        };
        self.notify();
        follow_ups.into_iter().for_each(|follow_up| self.follow_up(follow_up));
        result
    }

    fn follow_up(&self, follow_up: FollowUp) {
        let Some(cloud) = self.me.upgrade() else { return };
        match follow_up {
            FollowUp::DispatchCommand(command_id) => ssm::dispatch::start(&cloud, command_id),
            FollowUp::DeliverTo(instance_id) => ssm::dispatch::deliver_waiting(&cloud, &instance_id),
            FollowUp::DriveExecution { execution_arn, machine, begun } => {
                states::drive(&cloud, execution_arn, machine, begun);
            }
            FollowUp::StopExecution { machine, name, error, cause } => {
                machine.stop(&name, &error, &cause);
            }
        }
    }

    /// SSM hands each invocation to this sink at its delivery time, when the node is online.
    pub fn set_command_sink(&self, sink: Arc<dyn Fn(Delivery) + Send + Sync>) {
        *whole(&self.command_sink) = Some(sink);
    }

    /// What a host reports about an invocation: progress and, once, its result.
    pub fn record_output(&self, command_id: &str, instance_id: &str, update: InvocationUpdate) {
        ssm::dispatch::record_output(self, command_id, instance_id, update);
    }

    /// Every event so far, in order.
    pub fn journal(&self) -> Vec<Event> {
        self.state().journal.clone()
    }

    /// Calls `observer` for every later event, in order, after its effects can be read.
    pub fn subscribe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        whole(&self.observers).push(observer);
    }

    /// The clock of this AWS.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        whole(&self.state)
    }

    fn record(&self, state: &mut State, mut event: Event) {
        event.number = state.journal.len() as u64 + 1;
        state.journal.push(event.clone());
        whole(&self.outbox).push_back(event);
    }

    /// Hands waiting events to the observers, outside the state's lock so that an observer may read the cloud.
    /// Whoever comes while another thread (or an observer of this one) does so leaves its events to that thread.
    fn notify(&self) {
        let next = || whole(&self.outbox).pop_front();
        loop {
            {
                let _notifying = match self.notifying.try_lock() {
                    Ok(notifying) => notifying,
                    Err(TryLockError::Poisoned(left)) => left.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                };
                while let Some(event) = next() {
                    let observers = whole(&self.observers).clone();
                    observers.iter().for_each(|observer| observer(&event));
                }
            }
            if whole(&self.outbox).is_empty() {
                return;
            }
        }
    }

    fn sink(&self) -> Option<CommandSink> {
        whole(&self.command_sink).clone()
    }
}

/// A call that panics ends with its connection. What it left is still the truth: the next caller goes on with it, and
/// this AWS does not answer everybody after it with the same panic.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
