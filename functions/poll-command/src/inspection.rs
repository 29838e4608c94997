//! Sums up what the hosts of a place said that were asked to look and to change nothing. No ledger is written: an
//! inspection proves nothing.

use std::collections::BTreeSet;

use aws_sdk_ssm::types::Command as SsmCommand;
use rotation::StepError;
use rotation::contracts::{Command, CommandOutcome, PollInput};
use rotation::fleet::Host;
use rotation::host_answer::HostError;
use rotation::names::InstanceId;
use rotation::settings::{Credential, ProofKind};
use rotation::summary::{PlaceInspection, PlaceSummary};
use rotation::verdict::{Heard, HostReport, NO_ANSWER, UNREACHABLE, hear};
use rotation::waves;

use crate::{answers, look_again, timestamp};

/// Reads every answer of an inspection that is over.
pub(crate) async fn sum_up(
    input: PollInput,
    clients: &fleet::PlaceClients,
    command: &SsmCommand,
) -> Result<Command, StepError> {
    let asked = timestamp(command);
    let invocations = answers::invocations(clients, command).await?;
    let expected = usize::try_from(command.target_count).unwrap_or_default();
    if invocations.len() < expected && input.now < waves::answers_deadline(&input.settings.waves, asked) {
        // Fewer invocations than targets: the others are not visible yet (FACTS C).
        return Ok(look_again(input, asked));
    }
    let mut inspection = PlaceInspection::default();
    let backs_up = match &input.settings.credential {
        Credential::AccessKey(key) => key.proof.kind == ProofKind::Backup,
        Credential::Login(_) => false,
    };
    let (mut reports, mut heard) = (Vec::new(), BTreeSet::new());
    for invocation in &invocations {
        let host = InstanceId(invocation.instance.clone());
        // Gone on without, as asked: what it says stands in nobody's way.
        if input.request.without.contains(&host) {
            continue;
        }
        match hear(invocation, &input.settings.rotation) {
            Heard::Answer(mut answer) => {
                // Where no backup is asked for as a proof, nobody misses the right to it.
                answer.failures.retain(|failure| backs_up || failure.error != HostError::BackupNotPermitted);
                match answer.inspected.is_some() {
                    true => reports.extend(inspection.take(&host, &answer)),
                    false => reports.push(HostReport::new(
                        host.clone(),
                        "",
                        NO_ANSWER,
                        "it answered as a host does that was told to apply: the document does not inspect",
                    )),
                }
            }
            Heard::NoAnswer(report) => reports.push(report),
            Heard::Silent | Heard::Running => continue,
        }
        heard.insert(host);
    }
    let hosts = fleet::hosts(clients, &input.settings).await?;
    let is_asked = |host: &&Host| host.matches && host.is_up() && !input.request.without.contains(&host.id);
    let running: Vec<&Host> = hosts.iter().filter(is_asked).collect();
    let silent: Vec<InstanceId> =
        running.iter().filter(|host| !heard.contains(&host.id)).map(|host| host.id.clone()).collect();
    let online = fleet::nodes(clients, &silent).await?.online;
    reports.extend(silent.iter().map(|host| match online.contains(host) {
        true => HostReport::new(host.clone(), "", NO_ANSWER, "SSM sees it online, and it gave no answer in time"),
        false => HostReport::new(host.clone(), "", UNREACHABLE, "SSM does not see it online"),
    }));
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    Ok(Command {
        outcome: CommandOutcome::Done,
        progress: input.command.progress.clone(),
        command_id: None,
        version: input.command.version.clone(),
        wait_seconds: 0,
        summary: Some(PlaceSummary {
            running: count(running.len()),
            unreachable: count(silent.len()),
            ..PlaceSummary::of_inspection(&input.place, inspection, &reports)
        }),
    })
}
