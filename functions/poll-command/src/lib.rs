//! Looks at a command: waits for it, or judges every host of the wave by its own answer, writes the ledger for those
//! that proved, and says what is next.
//!
//! The command's own status only tells when to look: SSM calls it Success although hosts were never reached (FACTS C).

mod answers;
mod inspection;

use std::collections::BTreeMap;

use aws_sdk_ssm::types::{Command as SsmCommand, CommandStatus};
use jiff::Timestamp;
use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::contracts::{Command, CommandOutcome, PollInput};
use rotation::fleet::{Host, Roster};
use rotation::ledger::LedgerEntry;
use rotation::names::InstanceId;
use rotation::secret::Target;
use rotation::summary::PlaceSummary;
use rotation::waves::{self, Progress, WaveResult};

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
            return Ok(look_again(input, asked));
        }
        if !is_over {
            cancel(&clients, &command).await?;
        }
        if input.is_inspection() {
            return inspection::sum_up(input, &clients, &command).await;
        }
        let secret = secret::look(&self.secretsmanager, &input.settings).await?;
        let target = secret.expected_target(input.command.version.as_ref())?;
        let answers = answers::read(&clients, &command, &input.settings.rotation, &target).await?;
        let expected_answers = usize::try_from(command.target_count).unwrap_or_default();
        if answers.count() < expected_answers && input.now < waves::answers_deadline(&input.settings.waves, asked) {
            // Fewer invocations than targets: the others are not visible yet (FACTS C).
            return Ok(look_again(input, asked));
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
        let mut entries = answers.ledger_entries(target, timestamp(command));
        entries.extend(answers.revoked(&hosts, target, timestamp(command)));
        let unwritten = fleet::write_ledger(clients, &settings.rotation, &entries).await?;
        enter(&mut hosts, entries, &unwritten);
        answers.not_written(&unwritten);
        let fresh_since = input.request.fresh_since(settings, input.started, input.now);
        let roster = Roster::new(hosts, Some(target)).seen_by(&input.request, fresh_since);
        let wave = Wave { command, asked: timestamp(command), answers: &answers };
        let (silent, uncommanded) = wave.unheard(&roster);
        let online = fleet::nodes(clients, &silent).await?.online;
        let (slow, mut unreachable): (Vec<_>, Vec<_>) = silent.into_iter().partition(|host| online.contains(host));
        let still_lacking = roster.lacking.iter().filter(|host| input.request.is_about(&host.id)).count();
        let result = WaveResult {
            failed: wave.count_lacking(&roster).saturating_sub(unreachable.len()),
            unreachable: unreachable.len(),
            still_lacking: still_lacking.saturating_sub(unreachable.len()),
            has_real_proof: roster.has_real_proof(),
        };
        let next = waves::next(&input.command.progress, result, &settings.waves);
        if next.is_some() {
            return Ok(over(input, target, next, None));
        }
        let known = fleet::nodes(clients, &uncommanded).await?.online;
        unreachable.extend(uncommanded.into_iter().filter(|host| !known.contains(host)));
        let reports = answers.reports(&roster, &slow, &unreachable);
        let summary = PlaceSummary::new(&input.place, &target.version, &roster, unreachable.len(), &reports);
        Ok(over(input, target, None, Some(summary)))
    }
}

/// The command goes on; the longer it has, the longer until the next look.
fn look_again(input: PollInput, asked: Timestamp) -> Command {
    let wait_seconds = waves::poll_pause_seconds(&input.settings.waves, asked, input.now);
    Command { outcome: CommandOutcome::Wait, wait_seconds, ..input.command }
}

/// The wave is over: what is next, or how the place stands.
fn over(input: &PollInput, target: &Target, next: Option<Progress>, summary: Option<PlaceSummary>) -> Command {
    Command {
        outcome: if next.is_some() { CommandOutcome::NextWave } else { CommandOutcome::Done },
        progress: next.unwrap_or_else(|| input.command.progress.clone()),
        command_id: None,
        version: Some(target.version.clone()),
        wait_seconds: 0,
        summary,
    }
}

/// The command as SSM shows it; one that was just sent may not be visible yet.
async fn find(clients: &fleet::PlaceClients, input: &PollInput) -> Result<SsmCommand, StepError> {
    let id = input.command.command_id.as_deref().ok_or_else(|| StepError::InvalidStateInput {
        path: "command.commandId".to_owned(),
        problem: "there is no command to look at".to_owned(),
    })?;
    let not_visible = || StepError::NotVisibleYet { what: format!("the command {id}") };
    match clients.ssm.list_commands().command_id(id).send().await.named("ssm", "ListCommands") {
        Ok(answer) => answer.commands.unwrap_or_default().into_iter().next().ok_or_else(not_visible),
        // SSM's two ways of saying so: an empty list, and an id that it does not know (FACTS C).
        Err(failure) if failure.code() == "InvalidCommandId" => Err(not_visible()),
        Err(failure) => Err(failure.into()),
    }
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

/// A command and what was heard of it.
struct Wave<'a> {
    command: &'a SsmCommand,
    asked: Timestamp,
    answers: &'a Answers,
}

impl Wave<'_> {
    /// Whether the command was meant for a host. One for the whole fleet was not meant for a host that came up later.
    fn is_meant_for(&self, host: &Host) -> bool {
        let named = self.command.instance_ids();
        if named.is_empty() { host.renewed <= self.asked } else { named.contains(&host.id.0) }
    }

    /// Running hosts without a proof of which nothing was heard: those that were commanded, and the others.
    fn unheard(&self, roster: &Roster) -> (Vec<InstanceId>, Vec<InstanceId>) {
        let unheard = roster.lacking.iter().filter(|host| !self.answers.is_heard(&host.id));
        let (commanded, others): (Vec<&Host>, Vec<&Host>) = unheard.partition(|host| self.is_meant_for(host));
        let ids = |hosts: Vec<&Host>| hosts.into_iter().map(|host| host.id.clone()).collect();
        (ids(commanded), ids(others))
    }

    /// Commanded hosts that run and lack a proof.
    fn count_lacking(&self, roster: &Roster) -> usize {
        roster.lacking.iter().filter(|host| self.is_meant_for(host)).count()
    }
}
