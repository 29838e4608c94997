//! What a host's invocation means. The parent command's status is never believed, and neither is Success without the
//! host's own answer: SSM calls a skipped step a success (FACTS C).

use serde::{Deserialize, Serialize};

use crate::host_answer::{Blocking, BlockingCredential, HostAnswer, HostError};
use crate::names::{InstanceId, VersionId};

/// The longest message of one host that is carried along.
const MESSAGE_CHARACTERS: usize = 200;

/// What we say of a host that does not speak for itself, each with its remedy; the README's table lists these too.
pub const JUDGEMENTS: [(&str, &str); 6] = [
    (UNREACHABLE, "nothing if the host is meant to be off the network; converge brings it in when its agent answers"),
    (NO_ANSWER, "look at the command's output in SSM and in its log group"),
    (CANCELLED, "start converge; if it happens again, raise waveTimeoutSeconds"),
    (LEDGER_NOT_WRITTEN, "remove a tag from the instance: it has 50"),
    (DRIFTED, "find who altered or dropped the credential; it holds the right key again"),
    (CREDENTIAL_IN_THE_WAY, "drop it, or list it in credentials or foreignCredentials; until then the old key stays"),
];
/// Its agent gave no answer within the deadline, and SSM does not see it online.
pub const UNREACHABLE: &str = "Unreachable";
/// It gave no answer that can be believed.
pub const NO_ANSWER: &str = "NoAnswer";
/// Its command was cancelled.
pub const CANCELLED: &str = "Cancelled";
/// It proved, and a credential on it holds up the retirement of the old key.
pub const CREDENTIAL_IN_THE_WAY: &str = "CredentialInTheWay";
/// It proved, and had to be put right before: somebody altered or dropped the credential since its last proof.
pub const DRIFTED: &str = "Drifted";
/// It proved, and its proof could not be recorded.
pub const LEDGER_NOT_WRITTEN: &str = "LedgerNotWritten";

/// One invocation as ListCommandInvocations shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The managed node.
    pub instance: String,
    /// Status, as SSM spells it.
    pub status: String,
    /// StatusDetails, as SSM spells it.
    pub details: String,
    /// The output of every step, standard output before standard error.
    pub outputs: Vec<String>,
}

/// What an invocation comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The host holds the version and proved it (or has nothing to hold it with).
    Proved(HostAnswer),
    /// It answered that it does not, or gave no answer that can be believed.
    Failed(HostReport),
    /// Its agent has not answered; what the host did is unknown.
    Silent,
    /// It is still at work.
    Running,
}

/// One host that needs attention, for people and for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostReport {
    /// The instance.
    pub host: InstanceId,
    /// The SQL Server instance on it, where it is about one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// What failed, by the name in the README's table of hosts' errors, or by SSM's word.
    pub error: String,
    /// The cause, in the failing tool's words.
    pub message: String,
}

impl HostReport {
    /// Makes a report; long messages are cut.
    pub fn new(host: InstanceId, instance: &str, error: &str, message: &str) -> HostReport {
        let one_line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        HostReport {
            host,
            instance: instance.to_owned(),
            error: error.to_owned(),
            message: one_line.chars().take(MESSAGE_CHARACTERS).collect(),
        }
    }

    /// A credential that holds up the retirement of the old key.
    pub fn in_the_way(host: &InstanceId, credential: &BlockingCredential) -> HostReport {
        let why = match credential.why {
            Blocking::Shadows => "is more specific than ours, so that SQL Server uses it in our place",
            Blocking::Undeclared => "holds an S3 access key, and the settings neither list nor declare it",
        };
        let message = format!("the credential {} {why}", credential.credential);
        HostReport::new(host.clone(), &credential.instance, CREDENTIAL_IN_THE_WAY, &message)
    }

    /// Host, cause and remedy in one line.
    pub fn describe(&self) -> String {
        let at = if self.instance.is_empty() { String::new() } else { format!(" at {}", self.instance) };
        let of_host = HostError::ALL.iter().map(|error| (error.name(), error.remedy()));
        let remedy = of_host.chain(JUDGEMENTS).find(|(name, _)| *name == self.error).map_or("", |(_, remedy)| remedy);
        format!("{}{at}: {}: {} → {remedy}", self.host, self.error, self.message)
    }
}

/// Judges an invocation against the version that is the target now.
pub fn judge(invocation: &Invocation, rotation: &str, target: &VersionId) -> Verdict {
    match hear(invocation, rotation) {
        Heard::Running => Verdict::Running,
        Heard::Silent => Verdict::Silent,
        Heard::NoAnswer(report) => Verdict::Failed(report),
        Heard::Answer(answer) => judge_answer(InstanceId(invocation.instance.clone()), answer, target),
    }
}

fn judge_answer(host: InstanceId, answer: HostAnswer, target: &VersionId) -> Verdict {
    let failed = |instance: &str, error: &str, message: &str| {
        Verdict::Failed(HostReport::new(host.clone(), instance, error, message))
    };
    // It counts nothing as proved, as a host does that has nothing to hold.
    if answer.inspected.is_some() {
        return failed("", NO_ANSWER, "the answer is that of an inspection, which proves nothing");
    }
    if let Some(first) = answer.failures.first() {
        return failed(&first.instance, first.error.name(), &first.message);
    }
    if answer.failed > 0 {
        return failed("", NO_ANSWER, "the host counts failures and names none");
    }
    if answer.version.as_deref() != Some(target.as_str()) {
        let found = answer.version.unwrap_or_else(|| "none".to_owned());
        return failed("", HostError::VersionNotVisibleYet.name(), &format!("the host worked on version {found}"));
    }
    Verdict::Proved(answer)
}

/// What is heard of a host, whatever it was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Its answer, about our rotation.
    Answer(HostAnswer),
    /// It ended without an answer that can be believed.
    NoAnswer(HostReport),
    /// Its agent has not answered; what the host did is unknown.
    Silent,
    /// It is still at work.
    Running,
}

/// Hears a host: the only thing that counts is its own answer.
pub fn hear(invocation: &Invocation, rotation: &str) -> Heard {
    let host = InstanceId(invocation.instance.clone());
    let failed = |error: &str, message: &str| Heard::NoAnswer(HostReport::new(host.clone(), "", error, message));
    if !matches!(invocation.status.as_str(), "Success" | "Failed" | "TimedOut" | "Cancelled") {
        return Heard::Running;
    }
    if let Some(answer) = invocation.outputs.iter().find_map(|output| first_json(output)) {
        return match answer.rotation == rotation {
            true => Heard::Answer(answer),
            false => failed(NO_ANSWER, &format!("the answer is about the rotation {}", answer.rotation)),
        };
    }
    // Both spellings: the API writes them together, the console apart.
    let details = invocation.details.replace(' ', "");
    match details.as_str() {
        // Unknown, not undone: an agent that died in the middle looks the same.
        "DeliveryTimedOut" | "Undeliverable" => Heard::Silent,
        "ExecutionTimedOut" => failed(HostError::Interrupted.name(), "the command ran into its time-out"),
        "Success" => {
            failed(NO_ANSWER, "the command succeeded without an answer: no step of the document ran on this platform")
        }
        "Cancelled" | "Terminated" => failed(CANCELLED, "the command was cancelled before the host answered"),
        _ => failed(NO_ANSWER, &format!("{}: {}", invocation.details, said(&invocation.outputs))),
    }
}

/// What the steps said that ran; the other platform's step is skipped, and says only that.
fn said(outputs: &[String]) -> String {
    let ran = outputs.iter().filter(|output| !output.starts_with("Step execution skipped"));
    ran.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The answer at the start of an output; the agent appends standard error to it.
fn first_json(output: &str) -> Option<HostAnswer> {
    serde_json::Deserializer::from_str(output).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: &str, failures: &str) -> String {
        let failed = u32::from(!failures.is_empty());
        format!(
            r#"{{"rotation":"r","version":"{version}","proved":1,"changed":1,"nothingToHold":0,"failed":{failed},"failures":[{failures}],"blocking":[]}}"#
        )
    }

    fn judged(status: &str, details: &str, output: &str) -> Verdict {
        let invocation = Invocation {
            instance: "i-1".to_owned(),
            status: status.to_owned(),
            details: details.to_owned(),
            outputs: vec![String::new(), output.to_owned()],
        };
        judge(&invocation, "r", &"v2".into())
    }

    fn error_of(verdict: Verdict) -> String {
        let Verdict::Failed(report) = verdict else { return format!("{verdict:?}") };
        report.error
    }

    #[test]
    fn only_the_hosts_own_answer_is_a_proof() {
        assert!(matches!(judged("Success", "Success", &answer("v2", "")), Verdict::Proved(_)));
        assert_eq!(error_of(judged("Success", "Success", "")), NO_ANSWER, "a skipped step is a success to SSM");
        assert_eq!(error_of(judged("Success", "Success", "rotated")), NO_ANSWER, "a lie is no answer");
        assert_eq!(error_of(judged("Success", "Success", &answer("v1", ""))), "VersionNotVisibleYet");
    }

    #[test]
    fn an_inspections_answer_is_no_proof() {
        let inspected = answer("v2", "").replace(r#""proved":1,"changed":1"#, r#""proved":0,"changed":0"#);
        let inspected = inspected.replace(r#""blocking":[]"#, r#""blocking":[],"inspected":{"instances":0,"seen":[]}"#);
        assert_eq!(error_of(judged("Success", "Success", &inspected)), NO_ANSWER);
    }

    #[test]
    fn standard_error_after_the_answer_does_not_hide_it() {
        let output = format!("{}\n----------ERROR-------\nwarning: x", answer("v2", ""));
        assert!(matches!(judged("Success", "Success", &output), Verdict::Proved(_)));
    }

    #[test]
    fn a_failure_in_the_answer_outweighs_a_success_of_the_command() {
        let failure = r#"{"instance":"localhost,1434","error":"ProofFailed","message":"Msg 3201"}"#;
        assert_eq!(error_of(judged("Success", "Success", &answer("v2", failure))), "ProofFailed");
    }

    #[test]
    fn delivery_timed_out_means_unknown_and_running_means_wait() {
        assert_eq!(judged("TimedOut", "Delivery Timed Out", ""), Verdict::Silent);
        assert_eq!(judged("TimedOut", "DeliveryTimedOut", ""), Verdict::Silent);
        assert_eq!(judged("InProgress", "InProgress", ""), Verdict::Running);
        assert_eq!(judged("Delayed", "Delayed", ""), Verdict::Running);
        assert_eq!(error_of(judged("TimedOut", "Execution Timed Out", "")), "Interrupted");
    }
}
