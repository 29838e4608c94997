//! Sends the next wave of one account and region, or says that nobody there lacks a proof.

mod errand;
mod inspection;

use lambda::Environment;
use rotation::StepError;
use rotation::contracts::{Command, CommandOutcome, SendInput, StageOutcome};
use rotation::fleet::Roster;
use rotation::names::InstanceId;
use rotation::secret::Target;
use rotation::summary::PlaceSummary;
use rotation::verdict::{HostReport, UNREACHABLE};
use rotation::waves::{self, INSTANCE_IDS_OF_A_COMMAND, Nodes, Progress, Wave};

use errand::Errand;

/// The step with its clients.
pub struct SendCommand {
    environment: Environment,
    secretsmanager: aws_sdk_secretsmanager::Client,
}

impl SendCommand {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: Environment) -> SendCommand {
        let secretsmanager = aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER"));
        SendCommand { environment, secretsmanager }
    }

    /// Looks at the place, chooses a wave, sends it.
    pub async fn run(&self, input: SendInput) -> Result<Command, StepError> {
        let settings = &input.settings;
        let secret = secret::look(&self.secretsmanager, settings).await?;
        let Some(labelled) = secret.pending().or(secret.current()) else { return Ok(nothing_to_hold_yet(&input)) };
        // A secret that no run has adopted yet has no target, and hosts that can be asked all the same.
        if input.is_inspection() {
            return inspection::send(&self.environment, &input, &secret, labelled).await;
        }
        let staged = input.staged.version.as_ref().filter(|_| input.staged.outcome == StageOutcome::Pending);
        let target = secret.expected_target(staged)?;
        let fresh_since = input.request.fresh_since(settings, input.started, input.now);
        let clients = fleet::open(&self.environment, &input.place).await?;
        let roster =
            Roster::new(fleet::hosts(&clients, settings).await?, Some(&target)).seen_by(&input.request, fresh_since);
        let progress = skip_needless_canary(&input.progress, &roster);
        let to_command = roster.to_command(&input.request);
        let nodes = ask_ssm(&clients, &progress, &to_command).await?;
        let Some(addressees) = waves::choose(&progress, &to_command, &nodes, &settings.waves) else {
            // Nobody lacks a proof, or SSM knows none of those who do.
            let unknown = roster.lacking.iter().map(|host| {
                HostReport::new(
                    host.id.clone(),
                    "",
                    UNREACHABLE,
                    "SSM does not see it online, or does not know it as a managed node",
                )
            });
            let (count, reports) = (roster.lacking.len(), unknown.collect::<Vec<_>>());
            return Ok(done(
                progress,
                &target,
                PlaceSummary::new(&input.place, &target.version, &roster, count, &reports),
            ));
        };
        let errand = Errand::apply(settings, &input.request, &secret, &target.version);
        let command_id = errand.send_once(&clients, &input, &progress, &addressees).await?;
        Ok(Command {
            outcome: CommandOutcome::Wait,
            progress,
            command_id: Some(command_id),
            version: Some(target.version),
            wait_seconds: settings.waves.poll_seconds,
            summary: None,
        })
    }
}

/// A secret without a version: there is nothing that a host could be brought to.
fn nothing_to_hold_yet(input: &SendInput) -> Command {
    Command {
        outcome: CommandOutcome::Done,
        progress: input.progress.clone(),
        command_id: None,
        version: None,
        wait_seconds: 0,
        summary: Some(PlaceSummary {
            account: input.place.account.clone(),
            region: input.place.region.clone(),
            ..PlaceSummary::default()
        }),
    }
}

fn done(progress: Progress, target: &Target, summary: PlaceSummary) -> Command {
    Command {
        outcome: CommandOutcome::Done,
        progress,
        command_id: None,
        version: Some(target.version.clone()),
        wait_seconds: 0,
        summary: Some(summary),
    }
}

/// Where a host with SQL Server has proved the target already, no canary is needed.
fn skip_needless_canary(progress: &Progress, roster: &Roster) -> Progress {
    match progress.wave {
        Wave::Canary if roster.has_real_proof() => Progress { wave: Wave::Rest, ..progress.clone() },
        Wave::Canary | Wave::Rest | Wave::Stragglers => progress.clone(),
    }
}

/// Asks SSM about hosts that may be named: for a canary until one is online, else all of them if they are few. A wave over
/// the whole fleet names nobody.
async fn ask_ssm(
    clients: &fleet::PlaceClients,
    progress: &Progress,
    to_command: &[InstanceId],
) -> Result<Nodes, StepError> {
    if progress.wave == Wave::Canary {
        return fleet::nodes_for_a_canary(clients, to_command).await;
    }
    let few = Some(to_command).filter(|hosts| hosts.len() <= INSTANCE_IDS_OF_A_COMMAND);
    fleet::nodes(clients, few.unwrap_or_default()).await
}
