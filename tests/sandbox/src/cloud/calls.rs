//! Every API call that was made, reads as well: what CloudTrail would show of a run.
//!
//! A journal says what changed; what a run *asked* for, and with whose rights, is read here.

use jiff::Timestamp;

use super::permissions::action_of;
use super::{Caller, Cloud, Effect, Event, Outcome};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCall {
    /// The number of its event in the journal; calls have gaps between them.
    pub number: u64,
    /// Simulated time.
    pub time: Timestamp,
    /// Who asked.
    pub caller: Caller,
    /// The account that the caller acted in.
    pub account: String,
    /// The endpoint's region.
    pub region: String,
    /// The action that a policy grants for it: `secretsmanager:DescribeSecret`, `s3:ListBucket`.
    pub action: String,
    /// What the caller was told.
    pub outcome: Outcome,
    /// Whether anything changed by it; that a key was used is no change.
    pub changed: bool,
}

impl ApiCall {
    fn of(event: &Event) -> ApiCall {
        ApiCall {
            number: event.number,
            time: event.time,
            caller: event.caller.clone(),
            account: event.account.clone(),
            region: event.region.clone(),
            action: action_of(event.service, &event.action),
            outcome: event.outcome.clone(),
            changed: event.effects.iter().any(|effect| !matches!(effect, Effect::KeyUsed { .. })),
        }
    }
}

impl Cloud {
    /// How many events the journal has: a place from which [`Cloud::calls_since`] counts.
    pub fn events_so_far(&self) -> u64 {
        self.state().journal.len() as u64
    }

    /// The calls after so many events, in order, whoever made them, refused ones too.
    pub fn calls_since(&self, events: u64) -> Vec<ApiCall> {
        let state = self.state();
        state.journal.iter().filter(|event| event.is_call && event.number > events).map(ApiCall::of).collect()
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<ApiCall> {
        self.calls_since(0)
    }
}
