//! Sends the next wave of one account and region, or says that nobody there lacks a proof.
//!
//! SendCommand has no client token (FACTS C), so a command whose reply was lost is found again by its Comment, which
//! names the execution and the wave.

use std::collections::HashMap;

use aws_sdk_ssm::types::{
    CloudWatchOutputConfig, Command as SsmCommand, CommandFilter, CommandFilterKey, Target as SsmTarget,
};
use jiff::{SignedDuration, Timestamp};
use lambda::{AwsFailure, AwsResult, Environment};
use rotation::StepError;
use rotation::contracts::{Command, CommandOutcome, SendInput, StageOutcome};
use rotation::fleet::Roster;
use rotation::names::InstanceId;
use rotation::secret::{SecretFacts, Target};
use rotation::settings::{ProofKind, Settings};
use rotation::summary::PlaceSummary;
use rotation::verdict::{HostReport, UNREACHABLE};
use rotation::waves::{self, Addressees, INSTANCE_IDS_OF_A_COMMAND, Nodes, Progress, Wave};

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
        let secret = secret::look(&self.secretsmanager, &settings.secret.id).await?;
        if secret.current().is_none() && secret.pending().is_none() {
            return Ok(nothing_to_hold_yet(&input));
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
        let comment = waves::comment(&input.execution, progress.number);
        let command_id = match find(&clients, &input, &comment).await? {
            Some(command_id) => command_id,
            None => send(&clients, &input, &secret, &target, &addressees, comment).await?,
        };
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

/// Asks SSM about hosts that may be named: for a canary page by page until one is online, else all of them if they are
/// few. A wave over the whole fleet names nobody.
async fn ask_ssm(
    clients: &fleet::PlaceClients,
    progress: &Progress,
    to_command: &[InstanceId],
) -> Result<Nodes, StepError> {
    if progress.wave != Wave::Canary {
        let few = Some(to_command).filter(|hosts| hosts.len() <= INSTANCE_IDS_OF_A_COMMAND);
        return fleet::nodes(clients, few.unwrap_or_default()).await;
    }
    let mut last = Nodes::default();
    for page in to_command.chunks(fleet::NODES_OF_A_PAGE) {
        let nodes = fleet::nodes(clients, page).await?;
        if !nodes.online.is_empty() {
            return Ok(nodes);
        }
        last = if nodes.registered.is_empty() { last } else { nodes };
    }
    Ok(last)
}

/// The command that an earlier try of this state sent, if SSM shows one.
async fn find(clients: &fleet::PlaceClients, input: &SendInput, comment: &str) -> Result<Option<String>, StepError> {
    let filter = |key, value: String| {
        CommandFilter::builder()
            .key(key)
            .value(value)
            .build()
            .map_err(|_| StepError::NotVisibleYet { what: "a filter of ListCommands".to_owned() })
    };
    let sent_after = second(input.now.checked_sub(SignedDuration::from_mins(1)).unwrap_or(input.now));
    let call = clients
        .ssm
        .list_commands()
        .filters(filter(CommandFilterKey::DocumentName, input.settings.document.name.clone())?)
        .filters(filter(CommandFilterKey::InvokedAfter, sent_after)?)
        .max_results(50)
        .send()
        .await;
    let answer = call.named("ssm", "ListCommands")?;
    let is_ours = |command: &&SsmCommand| {
        command.comment() == Some(comment) && parameter(command, "rotation") == Some(&input.settings.rotation)
    };
    Ok(answer.commands().iter().find(is_ours).and_then(|command| command.command_id().map(str::to_owned)))
}

fn parameter<'a>(command: &'a SsmCommand, name: &str) -> Option<&'a String> {
    command.parameters()?.get(name)?.first()
}

/// A time as SSM's filter wants it: seconds, no fraction.
fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

async fn send(
    clients: &fleet::PlaceClients,
    input: &SendInput,
    secret: &SecretFacts,
    target: &Target,
    addressees: &Addressees,
    comment: String,
) -> Result<String, StepError> {
    let settings = &input.settings;
    let (document, waves) = (&settings.document, &settings.waves);
    let output = CloudWatchOutputConfig::builder()
        .cloud_watch_log_group_name(&document.log_group)
        .cloud_watch_output_enabled(true)
        .build();
    let mut call = clients
        .ssm_once
        .send_command()
        .document_name(&document.name)
        .document_version(&document.version)
        .comment(comment)
        .timeout_seconds(i32::try_from(waves.delivery_timeout_seconds).unwrap_or(i32::MAX))
        .max_concurrency(waves.concurrency.to_string())
        // FACTS C: with the default of 0 the first failing host would stop the rest.
        .max_errors("100%")
        .cloud_watch_output_config(output)
        .set_parameters(Some(parameters(settings, secret, target)));
    call = match addressees {
        Addressees::Instances(ids) => call.set_instance_ids(Some(ids.iter().map(|id| id.0.clone()).collect())),
        Addressees::WholeFleet => call.set_targets(Some(targets(settings))),
    };
    let answer = call.send().await.named("ssm", "SendCommand").map_err(|failure| refused(input, failure))?;
    let command_id = answer.command.and_then(|command| command.command_id);
    command_id.ok_or_else(|| StepError::NotVisibleYet { what: "the id of the command".to_owned() })
}

fn refused(input: &SendInput, failure: AwsFailure) -> StepError {
    match failure.code() {
        // A named instance stopped or went since SSM was asked: look again.
        "InvalidInstanceId" => {
            StepError::NotVisibleYet { what: format!("a managed node ({})", failure.refusal.message) }
        }
        _ => fleet::document_refused(&input.settings, &input.place, failure),
    }
}

fn targets(settings: &Settings) -> Vec<SsmTarget> {
    let target = |tag: &rotation::settings::TagCondition| {
        SsmTarget::builder().key(format!("tag:{}", tag.key)).set_values(Some(tag.values.clone())).build()
    };
    settings.fleet.tags.iter().map(target).collect()
}

/// Names and ARNs only: parameters are seen by everyone who may read CloudTrail (FACTS C).
fn parameters(settings: &Settings, secret: &SecretFacts, target: &Target) -> HashMap<String, Vec<String>> {
    let sql_server = &settings.sql_server;
    let proof = match settings.proof.kind {
        ProofKind::Backup => "backup",
        ProofKind::None => "none",
    };
    let given = [
        ("rotation", settings.rotation.clone()),
        ("secretArn", secret.arn.clone()),
        ("versionId", target.version.0.clone()),
        ("credentials", settings.credentials.join(" ")),
        ("foreignCredentials", settings.foreign_credentials.join(" ")),
        ("endpoints", sql_server.endpoints.join(" ")),
        ("administratorSecretArn", sql_server.administrator_secret.clone().unwrap_or_default()),
        ("proof", proof.to_owned()),
        ("proofPrefix", settings.proof.prefix.clone()),
        ("createMissing", sql_server.create_missing_credential.to_string()),
        ("trustServerCertificate", sql_server.trust_server_certificate.to_string()),
        ("executionTimeout", settings.waves.execution_timeout_seconds.to_string()),
    ];
    // What is empty is left to the document's default.
    given
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), vec![value]))
        .collect()
}
