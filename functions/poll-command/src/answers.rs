//! What the hosts of a wave have said, read once at its end.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ssm::types::{Command as SsmCommand, CommandInvocation};
use jiff::Timestamp;
use lambda::AwsResult;
use rotation::StepError;
use rotation::fleet::{Host, Roster};
use rotation::host_answer::{HostAnswer, HostError};
use rotation::ledger::LedgerEntry;
use rotation::names::InstanceId;
use rotation::secret::Target;
use rotation::verdict::{
    CANCELLED, HostReport, Invocation, LEDGER_NOT_WRITTEN, NO_ANSWER, UNREACHABLE, Verdict, judge,
};

/// The answers, judged.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    proved: BTreeMap<InstanceId, HostAnswer>,
    failed: Vec<HostReport>,
    silent: BTreeSet<InstanceId>,
    heard: BTreeSet<InstanceId>,
}

/// Reads every invocation of a command and judges it.
pub(crate) async fn read(
    clients: &fleet::PlaceClients,
    command: &SsmCommand,
    rotation: &str,
    target: &Target,
) -> Result<Answers, StepError> {
    let mut answers = Answers::default();
    for invocation in invocations(clients, command).await? {
        answers.take(&invocation, rotation, target);
    }
    Ok(answers)
}

/// Every invocation of a command, read 50 a page.
pub(crate) async fn invocations(
    clients: &fleet::PlaceClients,
    command: &SsmCommand,
) -> Result<Vec<Invocation>, StepError> {
    let mut invocations = Vec::new();
    let mut token = None;
    loop {
        let call = clients
            .ssm
            .list_command_invocations()
            .set_command_id(command.command_id.clone())
            .details(true)
            .max_results(50)
            .set_next_token(token);
        // SSM may know a command in one list and not yet in the other (FACTS C).
        let page =
            call.send().await.named("ssm", "ListCommandInvocations").map_err(|failure| match failure.code() {
                "InvalidCommandId" => StepError::NotVisibleYet { what: "the command's invocations".to_owned() },
                _ => failure.into(),
            })?;
        invocations.extend(page.command_invocations.unwrap_or_default().into_iter().map(understand));
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(invocations);
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
                self.heard.insert(host.clone());
                self.proved.insert(host, answer);
            }
            Verdict::Failed(report) => {
                self.heard.insert(host);
                self.failed.push(report);
            }
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
        self.heard.contains(host)
    }

    /// Hosts whose proof could not be recorded.
    pub(crate) fn not_written(&mut self, hosts: &[InstanceId]) {
        let report = |host: &InstanceId| {
            HostReport::new(host.clone(), "", LEDGER_NOT_WRITTEN, "the instance's tags could not be written")
        };
        self.failed.extend(hosts.iter().map(report));
    }

    /// Everything that a person must know of the place's hosts. One that failed and has gone since is nobody's concern.
    pub(crate) fn reports(&self, roster: &Roster, slow: &[InstanceId], unreachable: &[InstanceId]) -> Vec<HostReport> {
        let lacking: BTreeSet<&InstanceId> = roster.lacking.iter().map(|host| &host.id).collect();
        let failed = self.failed.iter().filter(|report| lacking.contains(&report.host)).cloned();
        let slow = slow.iter().map(|host| {
            HostReport::new(
                host.clone(),
                "",
                NO_ANSWER,
                "SSM sees it online, and it gave no answer within the deadline",
            )
        });
        let unreachable = unreachable.iter().map(|host| {
            HostReport::new(host.clone(), "", UNREACHABLE, "its agent gave no answer, and SSM does not see it online")
        });
        failed.chain(slow).chain(unreachable).chain(self.blocking()).collect()
    }

    /// Credentials that hold up the retirement, on hosts that proved.
    fn blocking(&self) -> impl Iterator<Item = HostReport> {
        self.proved.iter().flat_map(|(host, answer)| {
            answer.blocking.iter().map(|credential| HostReport::in_the_way(host, credential))
        })
    }

    /// The entries of hosts that had proved the target and now failed to: their earlier proof is worth nothing. A host
    /// that says nothing of its credential takes nothing back.
    pub(crate) fn revoked(
        &self,
        hosts: &[Host],
        target: &Target,
        commanded: Timestamp,
    ) -> BTreeMap<InstanceId, LedgerEntry> {
        let says_nothing = |report: &&HostReport| {
            let silent = [
                HostError::VersionNotVisibleYet,
                HostError::LockTimeout,
                HostError::TargetKeepsChanging,
                HostError::ModelBusy,
            ];
            report.error == NO_ANSWER
                || report.error == CANCELLED
                || silent.iter().any(|error| error.name() == report.error)
        };
        let failed: BTreeSet<&InstanceId> =
            self.failed.iter().filter(|report| !says_nothing(report)).map(|report| &report.host).collect();
        let entry = |host: &Host| {
            let entry =
                host.ledger.as_ref().filter(|entry| entry.version == target.version && failed.contains(&host.id))?;
            Some((host.id.clone(), LedgerEntry { commanded, failed: true, ..entry.clone() }))
        };
        hosts.iter().filter_map(entry).collect()
    }

    /// The entries of the hosts that proved; their time is when SSM was asked.
    pub(crate) fn ledger_entries(&self, target: &Target, commanded: Timestamp) -> BTreeMap<InstanceId, LedgerEntry> {
        let entry = |answer: &HostAnswer| LedgerEntry {
            version: target.version.clone(),
            commanded,
            owner: answer.owner.clone(),
            passive: answer.passive.clone(),
            nothing: answer.proved == 0 && answer.passive.is_empty(),
            blocked: !answer.blocking.is_empty(),
            drifted: answer.changed > 0 && answer.found.as_deref() == Some(target.version.as_str()),
            failed: false,
        };
        self.proved.iter().map(|(host, answer)| (host.clone(), entry(answer))).collect()
    }
}
