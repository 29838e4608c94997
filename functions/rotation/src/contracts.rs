//! What the states of the machine say to each other: the input and output of every function.
//!
//! Ids, counts and a few named failures; never a roster of ids (10,000 do not fit 256 KiB), never a secret. An unknown
//! field is refused, so that a state machine and functions of different versions find out at once.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StepError;
use crate::names::{AccessKeyId, VersionId};
use crate::plan::Retirement;
use crate::request::Request;
use crate::secret::Target;
use crate::settings::{Place, Settings};
use crate::summary::PlaceSummary;
use crate::waves::Progress;

/// A function's input: what its state passes as `Parameters`.
pub trait StateInput: DeserializeOwned {
    /// Reads it; settings that do not hold together are refused under their own name.
    fn parse(value: &Value) -> Result<Self, StepError> {
        if let Some(settings) = value.get("settings") {
            Settings::parse(settings)?;
        }
        serde_path_to_error::deserialize(value).map_err(|error| StepError::InvalidStateInput {
            path: error.path().to_string(),
            problem: error.inner().to_string(),
        })
    }
}

macro_rules! contract {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)+ })+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name { $($(#[$attribute])* pub $field: $type,)+ }
    )+};
}

contract! {
    /// Input of `enumerate-instances`.
    EnumerateInput {
        /// The rotation's settings.
        settings: Settings,
        /// The execution's input, as somebody wrote it.
        input: Value,
        /// The execution's ARN.
        execution: String,
        /// When the execution began.
        started: Timestamp,
        /// When the state was entered.
        now: Timestamp,
    }

    /// Output of `enumerate-instances`: the fleet in numbers.
    Fleet {
        /// What is next.
        outcome: FleetOutcome,
        /// Seconds until the next look, where an agent is waited for.
        wait_seconds: u32,
        /// What the run is to do.
        request: Request,
        /// The secret's ARN.
        secret_arn: String,
        /// The version that every host ought to hold; absent while the secret has none.
        target: Option<Target>,
        /// Accounts and regions, one Map iteration each.
        places: Vec<Place>,
        /// Hosts that run.
        running: u32,
        /// Of these, those to be commanded: without a believed proof of the target, or with one that a credential taints.
        lacking: u32,
        /// Hosts that are stopped.
        stopped: u32,
        /// Of these, those without a believed proof.
        stopped_lacking: u32,
        /// Hosts that no longer match and bear our ledger.
        left: u32,
        /// Mode `plan`: what would end a rotation here, each with its remedy; any other run ends at the first.
        refusals: Vec<String>,
        /// What people are told where nothing is to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Report>,
    }

    /// Input of `plan-rotation`.
    PlanInput {
        /// The rotation's settings.
        settings: Settings,
        /// What the run is to do.
        request: Request,
        /// The execution's ARN.
        execution: String,
        /// When the execution began.
        started: Timestamp,
        /// When the state was entered.
        now: Timestamp,
        /// What the look at the fleet refused.
        refusals: Vec<String>,
        /// What the hosts of each place said, where they were inspected.
        places: Vec<PlaceSummary>,
    }

    /// Output of `plan-rotation`.
    Planned {
        /// What people are told.
        report: Report,
    }

    /// Input of `rotate-iam-key` and of `rotate-login-password`.
    StageInput {
        /// The rotation's settings.
        settings: Settings,
        /// What the run is to do.
        request: Request,
        /// The execution's ARN.
        execution: String,
        /// When the execution began.
        started: Timestamp,
        /// When the state was entered.
        now: Timestamp,
        /// How often the state machine has tried this since then.
        retries: u32,
        /// What this function answered last time in this execution.
        previous: Staged,
        /// How each place stands, where hosts were asked or commanded.
        places: Vec<PlaceSummary>,
        /// What became of the promotion, where one was tried.
        promoted: Promoted,
    }

    /// Output of `rotate-iam-key` and of `rotate-login-password`.
    Staged {
        /// How it stands.
        outcome: StageOutcome,
        /// The version, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<VersionId>,
        /// Its key, where it holds one. The machine reads it by a path, so that it is there even when it is null.
        #[serde(default)]
        key: Option<AccessKeyId>,
        /// The login whose password it holds, where it holds one.
        #[serde(default)]
        login: Option<String>,
        /// Successful checks in a row.
        successes: u32,
        /// Checks in all.
        attempts: u32,
        /// Seconds until this function is to be called again.
        wait_seconds: u32,
        /// What is so, for people.
        message: String,
    }

    /// Input of `send-command`.
    SendInput {
        /// The rotation's settings.
        settings: Settings,
        /// The execution's ARN.
        execution: String,
        /// When the state was entered.
        now: Timestamp,
        /// What the run is to do.
        request: Request,
        /// When the execution began.
        started: Timestamp,
        /// The account and region.
        place: Place,
        /// What this execution has staged.
        staged: Staged,
        /// The wave to send.
        progress: Progress,
    }

    /// Input of `poll-command`.
    PollInput {
        /// The rotation's settings.
        settings: Settings,
        /// When the state was entered.
        now: Timestamp,
        /// What the run is to do.
        request: Request,
        /// When the execution began.
        started: Timestamp,
        /// The account and region.
        place: Place,
        /// What this execution has staged.
        staged: Staged,
        /// The command under way.
        command: Command,
    }

    /// Output of `send-command` and `poll-command`.
    Command {
        /// What is next.
        outcome: CommandOutcome,
        /// The wave that is under way, or the next one.
        progress: Progress,
        /// The command's id, while one is under way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command_id: Option<String>,
        /// The target when it was sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<VersionId>,
        /// Seconds until the next look.
        wait_seconds: u32,
        /// How the place stands, when it is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<PlaceSummary>,
    }

    /// Input of `promote-stage`.
    PromoteInput {
        /// The rotation's settings.
        settings: Settings,
        /// The execution's ARN.
        execution: String,
        /// When the state was entered.
        now: Timestamp,
        /// The version that this execution brought the fleet to.
        version: VersionId,
        /// How each place stands.
        places: Vec<PlaceSummary>,
    }

    /// Output of `promote-stage`.
    Promoted {
        /// Whether AWSCURRENT was moved by this run.
        promoted: bool,
        /// Whether hosts' own policies refuse the version's password, so that another has to be made.
        password_refused: bool,
        /// When it was moved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
        /// The current version, or the one that was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<VersionId>,
    }

    /// Input of `retire-iam-key` and of `retire-login-password`.
    RetireInput {
        /// The rotation's settings.
        settings: Settings,
        /// What the run is to do.
        request: Request,
        /// The execution's ARN.
        execution: String,
        /// When the execution began.
        started: Timestamp,
        /// When the state was entered.
        now: Timestamp,
        /// What was staged.
        staged: Staged,
        /// How each place stands, where hosts were commanded.
        places: Vec<PlaceSummary>,
        /// What was promoted.
        promoted: Promoted,
        /// Of whom people were warned before.
        warned: Option<String>,
    }

    /// The record of a run as people are told of it: the execution's output, and the SNS message.
    Report {
        /// Whether anything happened or waits for somebody; a quiet daily run sends nothing.
        worth_telling: bool,
        /// The message's subject: SNS takes fewer than 100 characters.
        subject: String,
        /// A few lines: who is on which version, what is late, what comes next.
        message: String,
        /// The same for an auditor.
        evidence: Value,
    }

    /// Output of `retire-iam-key` and of `retire-login-password`: the last word of a run.
    Retired {
        /// Whom people must be warned of before this is called again; nothing was retired yet. The machine reads it by a
        /// path, so that it is there even when it is null.
        warning: Option<String>,
        /// What became of each key that is not needed any more.
        keys: Vec<Retirement>,
        /// Whether one of them went Inactive or was deleted.
        any_key_retired: bool,
        /// Whether the staging that was held up for a slot can go on now.
        can_stage_now: bool,
        /// What people are told.
        report: Report,
    }
}

impl SendInput {
    /// Whether hosts are asked to look and to change nothing: for a plan, or before a password is made.
    pub fn is_inspection(&self) -> bool {
        self.request.inspect_hosts || self.staged.outcome == StageOutcome::Inspecting
    }
}

impl PollInput {
    /// Whether hosts were asked to look and to change nothing.
    pub fn is_inspection(&self) -> bool {
        self.request.inspect_hosts || self.staged.outcome == StageOutcome::Inspecting
    }
}

impl Promoted {
    /// Nothing was promoted.
    pub fn none() -> Promoted {
        Promoted { promoted: false, password_refused: false, at: None, version: None }
    }
}

impl StateInput for EnumerateInput {}
impl StateInput for PlanInput {}
impl StateInput for StageInput {}
impl StateInput for SendInput {}
impl StateInput for PollInput {}
impl StateInput for PromoteInput {}
impl StateInput for RetireInput {}

impl Staged {
    /// How the staging stands, with no version and nothing to wait for.
    pub fn new(outcome: StageOutcome, message: &str) -> Staged {
        Staged {
            outcome,
            version: None,
            key: None,
            login: None,
            successes: 0,
            attempts: 0,
            wait_seconds: 0,
            message: message.to_owned(),
        }
    }
}

/// What is next after a look at the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FleetOutcome {
    /// There is something to do.
    Proceed,
    /// The agent of a host that was named has not come online yet: look again after `waitSeconds`.
    Wait,
    /// There is nothing to do: the run ends here, having changed nothing.
    Nothing,
}

/// How the staging stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StageOutcome {
    /// The function was not called yet in this execution.
    NotYet,
    /// Nobody asked, and nothing is overdue.
    NotAsked,
    /// Call again after `waitSeconds`: a new key is being checked, or an earlier call's window has to close.
    Checking,
    /// Every running host is asked whether it could take a new password; then call again with what they said.
    Inspecting,
    /// A version is pending: hosts are to be brought to it.
    Pending,
    /// People must be warned before this is called again; the message says of what.
    Warning,
    /// Both key slots are taken, or an earlier run is not resolved: the run goes on without a new version.
    HeldUp,
}

/// What is next in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandOutcome {
    /// Look at the command after `waitSeconds`.
    Wait,
    /// Send the next wave.
    NextWave,
    /// The place is done.
    Done,
}
