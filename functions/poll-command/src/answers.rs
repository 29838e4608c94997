//! What the hosts of a wave have said, read once at its end.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ssm::types::{Command as SsmCommand, CommandInvocation};
use jiff::Timestamp;
use lambda::AwsResult;
use rotation::StepError;
use rotation::host_answer::HostAnswer;
use rotation::ledger::LedgerEntry;
use rotation::names::InstanceId;
use rotation::secret::Target;
use rotation::verdict::{HostReport, Invocation, Verdict, judge};

/// The answers, judged.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    proved: BTreeMap<InstanceId, HostAnswer>,
    /// Hosts that failed.
    pub failed: Vec<HostReport>,
    silent: BTreeSet<InstanceId>,
}

/// Reads every invocation of a command, 50 a page, and judges it.
pub(crate) async fn read(
    clients: &fleet::PlaceClients,
    command: &SsmCommand,
    rotation: &str,
    target: &Target,
) -> Result<Answers, StepError> {
    let mut answers = Answers::default();
    let mut token = None;
    loop {
        let call = clients
            .ssm
            .list_command_invocations()
            .set_command_id(command.command_id.clone())
            .details(true)
            .max_results(50)
            .set_next_token(token);
        let page = call.send().await.named("ssm", "ListCommandInvocations")?;
        for invocation in page.command_invocations.unwrap_or_default() {
            answers.take(&understand(invocation), rotation, target);
        }
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(answers);
        }
    }
}

fn understand(invocation: CommandInvocation) -> Invocation {
    Invocation {
        status: invocation.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        details: invocation.status_details.unwrap_or_default(),
        instance: invocation.instance_id.unwrap_or_default(),
        outputs: invocation.command_plugins.into_iter().flatten().filter_map(|plugin| plugin.output).collect(),
    }
}

impl Answers {
    fn take(&mut self, invocation: &Invocation, rotation: &str, target: &Target) {
        let host = InstanceId(invocation.instance.clone());
        match judge(invocation, rotation, &target.version) {
            Verdict::Proved(answer) => {
                self.proved.insert(host, answer);
            }
            Verdict::Failed(report) => self.failed.push(report),
            Verdict::Silent | Verdict::Running => {
                self.silent.insert(host);
            }
        }
    }

    /// How many invocations SSM showed.
    pub(crate) fn count(&self) -> usize {
        self.proved.len() + self.failed.len() + self.silent.len()
    }

    /// Whether a host has said anything.
    pub(crate) fn is_heard(&self, host: &InstanceId) -> bool {
        self.proved.contains_key(host) || self.failed.iter().any(|report| report.host == *host)
    }

    /// The entries of the hosts that proved; their time is when SSM was asked.
    pub(crate) fn ledger_entries(&self, target: &Target, commanded: Timestamp) -> BTreeMap<InstanceId, LedgerEntry> {
        let entry = |answer: &HostAnswer| LedgerEntry {
            version: target.version.clone(),
            commanded,
            owner: answer.owner.clone(),
            passive: answer.passive.clone(),
            blocked: !answer.blocking.is_empty(),
        };
        self.proved.iter().map(|(host, answer)| (host.clone(), entry(answer))).collect()
    }
}
