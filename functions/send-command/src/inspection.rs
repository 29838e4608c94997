//! Asks every running host of a place to look and to change nothing: one command, no canary, no second try.

use lambda::Environment;
use rotation::StepError;
use rotation::contracts::{Command, CommandOutcome, SendInput};
use rotation::names::{InstanceId, VersionId};
use rotation::secret::SecretFacts;
use rotation::summary::{PlaceInspection, PlaceSummary};
use rotation::verdict::{HostReport, UNREACHABLE};
use rotation::waves::{self, INSTANCE_IDS_OF_A_COMMAND, Progress, Wave};

use crate::errand::Errand;

/// Sends the inspection, or says that SSM knows none of the hosts.
pub(crate) async fn send(
    environment: &Environment,
    input: &SendInput,
    secret: &SecretFacts,
    version: &VersionId,
) -> Result<Command, StepError> {
    let settings = &input.settings;
    let clients = fleet::open(environment, &input.place).await?;
    let hosts = fleet::hosts(&clients, settings).await?;
    let running: Vec<InstanceId> =
        hosts.into_iter().filter(|host| host.matches && host.is_up()).map(|host| host.id).collect();
    let few = Some(&running[..]).filter(|hosts| hosts.len() <= INSTANCE_IDS_OF_A_COMMAND);
    let nodes = fleet::nodes(&clients, few.unwrap_or_default()).await?;
    let progress = Progress { wave: Wave::Rest, ..input.progress.clone() };
    let command = Command {
        outcome: CommandOutcome::Wait,
        progress: progress.clone(),
        command_id: None,
        version: Some(version.clone()),
        wait_seconds: settings.waves.poll_seconds,
        summary: None,
    };
    let Some(addressees) = waves::choose(&progress, &running, &nodes, &settings.waves) else {
        return Ok(Command {
            outcome: CommandOutcome::Done,
            wait_seconds: 0,
            summary: Some(unknown(input, &running)),
            ..command
        });
    };
    let errand = Errand::inspect(settings, &input.request, secret, version);
    let command_id = errand.send_once(&clients, input, &progress, &addressees).await?;
    Ok(Command { command_id: Some(command_id), ..command })
}

/// The summary of a place of which SSM knows no host.
fn unknown(input: &SendInput, running: &[InstanceId]) -> PlaceSummary {
    let report =
        |host: &InstanceId| HostReport::new(host.clone(), "", UNREACHABLE, "SSM does not know it as a managed node");
    let reports: Vec<HostReport> = running.iter().map(report).collect();
    let count = u32::try_from(running.len()).unwrap_or(u32::MAX);
    PlaceSummary {
        running: count,
        unreachable: count,
        ..PlaceSummary::of_inspection(&input.place, PlaceInspection::default(), &reports)
    }
}
