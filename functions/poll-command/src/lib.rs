//! Looks at a command: waits for it, or judges every host of the wave by its own answer, writes the ledger for those
//! that proved, and says what is next.
//!
//! The command's own status only tells when to look: SSM calls it Success although hosts were never reached (FACTS C).

mod answers;

use std::collections::BTreeMap;

use aws_sdk_ssm::types::{Command as SsmCommand, CommandStatus};
use jiff::Timestamp;
use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::contracts::{Command, CommandOutcome, PlaceSummary, PollInput};
use rotation::fleet::{Host, Roster};
use rotation::ledger::LedgerEntry;
use rotation::names::InstanceId;
use rotation::secret::Target;
use rotation::verdict::{HostReport, LEDGER_NOT_WRITTEN, NO_ANSWER, UNREACHABLE};
use rotation::waves::{self, WaveResult};

use answers::Answers;

/// The step with its clients.
pub struct PollCommand {
    environment: Environment,
    secretsmanager: aws_sdk_secretsmanager::Client,
}

impl PollCommand {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: Environment) -> PollCommand {
        let secretsmanager = aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER"));
        PollCommand { environment, secretsmanager }
    }

    /// Looks once.
    pub async fn run(&self, input: PollInput) -> Result<Command, StepError> {
        let clients = fleet::open(&self.environment, &input.place).await?;
        let command = find(&clients, &input).await?;
        let asked = timestamp(&command);
        let deadline = waves::deadline(&input.settings.waves, asked);
        let is_over = is_over(&command);
        if !is_over && input.now < deadline {
            let pause = waves::poll_pause_seconds(&input.settings.waves, asked, input.now);
            return Ok(Command { outcome: CommandOutcome::Wait, wait_seconds: pause, ..input.command });
        }
        if !is_over {
            cancel(&clients, &command).await?;
        }
        let secret = secret::look(&self.secretsmanager, &input.settings.secret.id).await?;
        let target = secret.expected_target(input.command.version.as_ref())?;
        let answers = answers::read(&clients, &command, &input.settings.rotation, &target).await?;
        let expected_answers = usize::try_from(command.target_count).unwrap_or_default();
        if answers.count() < expected_answers && input.now < deadline {
            let what = format!("{} of {expected_answers} invocations of {}", answers.count(), id_of(&command));
            return Err(StepError::NotVisibleYet { what });
        }
        self.judge(&input, &clients, &command, &target, answers).await
    }

    /// Judges the wave and says what is next.
    async fn judge(
        &self,
        input: &PollInput,
        clients: &fleet::PlaceClients,
        command: &SsmCommand,
        target: &Target,
        mut answers: Answers,
    ) -> Result<Command, StepError> {
        let settings = &input.settings;
        let mut hosts = fleet::hosts(clients, settings).await?;
        let entries = answers.ledger_entries(target, timestamp(command));
        let unwritten = fleet::write_ledger(clients, &settings.rotation, &entries).await?;
        enter(&mut hosts, entries, &unwritten);
        answers.failed.extend(
            unwritten
                .iter()
                .map(|host| HostReport::new(host.clone(), "", LEDGER_NOT_WRITTEN, "its tags could not be written")),
        );
        let roster = Roster::new(hosts, Some(target));
        let silent = silent_hosts(command, &roster, &answers);
        let online = fleet::online(clients, &silent).await?;
        let (slow, unreachable): (Vec<_>, Vec<_>) = silent.into_iter().partition(|host| online.contains(host));
        let mut reports = answers.failed;
        reports.extend(slow.into_iter().map(|host| {
            HostReport::new(host, "", NO_ANSWER, "SSM sees it online, and it gave no answer within the deadline")
        }));
        // A host that failed and has gone since is nobody's concern.
        reports.retain(|report| roster.lacking.iter().any(|host| host.id == report.host));
        let result = WaveResult {
            failed: count_failed(command, &roster, &unreachable),
            unreachable: unreachable.len(),
            still_lacking: roster.lacking.len().saturating_sub(unreachable.len()),
        };
        reports.extend(unreachable.into_iter().map(|host| {
            HostReport::new(host, "", UNREACHABLE, "its agent gave no answer, and SSM does not see it online")
        }));
        let next = waves::next(&input.command.progress, result, &settings.waves);
        let summary = PlaceSummary::new(&input.place, &target.version, &roster, result.unreachable, &reports);
        Ok(Command {
            outcome: if next.is_some() { CommandOutcome::NextWave } else { CommandOutcome::Done },
            summary: next.is_none().then_some(summary),
            progress: next.unwrap_or_else(|| input.command.progress.clone()),
            command_id: None,
            version: Some(target.version.clone()),
            wait_seconds: 0,
        })
    }
}

/// The command as SSM shows it; one that was just sent may not be visible yet.
async fn find(clients: &fleet::PlaceClients, input: &PollInput) -> Result<SsmCommand, StepError> {
    let id = input.command.command_id.as_deref().ok_or_else(|| StepError::InvalidStateInput {
        path: "command.commandId".to_owned(),
        problem: "there is no command to look at".to_owned(),
    })?;
    let answer = clients.ssm.list_commands().command_id(id).send().await.named("ssm", "ListCommands")?;
    let command = answer.commands.unwrap_or_default().into_iter().next();
    command.ok_or_else(|| StepError::NotVisibleYet { what: format!("the command {id}") })
}

/// When SSM was asked, to the millisecond: the only clock that a proof's time is taken from.
fn timestamp(command: &SsmCommand) -> Timestamp {
    let requested = command.requested_date_time().and_then(|time| time.to_millis().ok());
    // A command without a time proves nothing.
    requested.and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or(Timestamp::MIN)
}

fn id_of(command: &SsmCommand) -> &str {
    command.command_id().unwrap_or_default()
}

fn is_over(command: &SsmCommand) -> bool {
    let is_under_way = |status: &CommandStatus| {
        [CommandStatus::Pending, CommandStatus::InProgress, CommandStatus::Cancelling].contains(status)
    };
    !command.status().is_none_or(is_under_way)
}

/// Takes back what has not started. Best effort (FACTS C); a host that runs it all the same only does what is right.
async fn cancel(clients: &fleet::PlaceClients, command: &SsmCommand) -> Result<(), StepError> {
    let call = clients.ssm.cancel_command().command_id(id_of(command)).send().await;
    call.named("ssm", "CancelCommand")?;
    Ok(())
}

/// Enters fresh proofs into what was read before they were written: tags become visible late.
fn enter(hosts: &mut [Host], mut entries: BTreeMap<InstanceId, LedgerEntry>, unwritten: &[InstanceId]) {
    for host in hosts.iter_mut().filter(|host| !unwritten.contains(&host.id)) {
        if let Some(entry) = entries.remove(&host.id) {
            host.ledger = Some(entry);
        }
    }
}

/// Whether the command was meant for a host.
fn is_expected(command: &SsmCommand, host: &InstanceId) -> bool {
    let named = command.instance_ids();
    named.is_empty() || named.contains(&host.0)
}

/// Hosts of the wave that run and of which nothing was heard.
fn silent_hosts(command: &SsmCommand, roster: &Roster, answers: &Answers) -> Vec<InstanceId> {
    let lacking = roster.lacking.iter().map(|host| &host.id);
    lacking.filter(|host| is_expected(command, host) && !answers.is_heard(host)).cloned().collect()
}

/// Hosts of the wave that lack a proof although they are there.
fn count_failed(command: &SsmCommand, roster: &Roster, unreachable: &[InstanceId]) -> usize {
    let lacking = roster.lacking.iter().map(|host| &host.id);
    lacking.filter(|host| is_expected(command, host) && !unreachable.contains(host)).count()
}
