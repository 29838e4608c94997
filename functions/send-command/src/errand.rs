//! One command as SSM is asked for it: a document, its parameters, and how it is found again.
//!
//! SendCommand has no client token (FACTS C), so a command whose reply was lost is found again by its Comment, which
//! names the execution and the wave.

use std::collections::HashMap;

use aws_sdk_ssm::types::{CloudWatchOutputConfig, Command as SsmCommand, CommandFilter, CommandFilterKey, Target};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use lambda::{AwsFailure, AwsResult};
use rotation::StepError;
use rotation::contracts::SendInput;
use rotation::names::VersionId;
use rotation::request::{Mode, Request};
use rotation::secret::SecretFacts;
use rotation::settings::{AccessKeySettings, Credential, LoginSettings, ProofKind, Settings, WhileInUse};
use rotation::waves::{self, Addressees, Progress};

/// What hosts are asked to do.
pub(crate) struct Errand<'a> {
    document: &'a str,
    version: &'a str,
    parameters: Vec<(&'static str, String)>,
}

impl<'a> Errand<'a> {
    /// Bring every SQL Server instance to the target, and prove it.
    pub(crate) fn apply(
        settings: &'a Settings,
        request: &Request,
        secret: &SecretFacts,
        version: &VersionId,
    ) -> Errand<'a> {
        let mut parameters = parameters(settings, request, secret, version);
        if let Credential::AccessKey(key) = &settings.credential {
            parameters.push(("proof", proof(key).to_owned()));
        }
        Errand { document: &settings.document.name, version: &settings.document.version, parameters }
    }

    /// Look, and change nothing.
    pub(crate) fn inspect(
        settings: &'a Settings,
        request: &Request,
        secret: &SecretFacts,
        version: &VersionId,
    ) -> Errand<'a> {
        let document = &settings.inspect_document;
        let parameters = parameters(settings, request, secret, version);
        Errand { document: &document.name, version: &document.version, parameters }
    }

    /// Sends it, unless an earlier try of this state has; the command's id.
    pub(crate) async fn send_once(
        &self,
        clients: &fleet::PlaceClients,
        input: &SendInput,
        progress: &Progress,
        addressees: &Addressees,
    ) -> Result<String, StepError> {
        let comment = waves::comment(&input.execution, progress.number);
        match self.find(clients, input, &comment).await? {
            Some(command_id) => Ok(command_id),
            None => self.send(clients, input, comment, addressees).await,
        }
    }

    /// The command that an earlier try of this state sent, if SSM shows one.
    async fn find(
        &self,
        clients: &fleet::PlaceClients,
        input: &SendInput,
        comment: &str,
    ) -> Result<Option<String>, StepError> {
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
            .filters(filter(CommandFilterKey::DocumentName, self.document.to_owned())?)
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

    async fn send(
        &self,
        clients: &fleet::PlaceClients,
        input: &SendInput,
        comment: String,
        addressees: &Addressees,
    ) -> Result<String, StepError> {
        let settings = &input.settings;
        let waves = &settings.waves;
        let output = CloudWatchOutputConfig::builder()
            .cloud_watch_log_group_name(&settings.document.log_group)
            .cloud_watch_output_enabled(true)
            .build();
        let mut call = clients
            .ssm_once
            .send_command()
            .document_name(self.document)
            .document_version(self.version)
            .comment(comment)
            .timeout_seconds(i32::try_from(waves.delivery_timeout_seconds).unwrap_or(i32::MAX))
            .max_concurrency(waves.concurrency.to_string())
            // FACTS C: with the default of 0 the first failing host would stop the rest.
            .max_errors("100%")
            .cloud_watch_output_config(output)
            .set_parameters(Some(self.given()));
        call = match addressees {
            Addressees::Instances(ids) => call.set_instance_ids(Some(ids.iter().map(|id| id.0.clone()).collect())),
            Addressees::WholeFleet => call.set_targets(Some(targets(settings))),
        };
        let answer = call.send().await.named("ssm", "SendCommand").map_err(|failure| self.refused(input, failure))?;
        let command_id = answer.command.and_then(|command| command.command_id);
        command_id.ok_or_else(|| StepError::NotVisibleYet { what: "the id of the command".to_owned() })
    }

    fn refused(&self, input: &SendInput, failure: AwsFailure) -> StepError {
        match failure.code() {
            // A named instance stopped or went since SSM was asked: look again.
            "InvalidInstanceId" => {
                StepError::NotVisibleYet { what: format!("a managed node ({})", failure.refusal.message) }
            }
            _ => fleet::document_refused(self.document, self.version, &input.place, failure),
        }
    }

    /// The parameters that are set: what is empty is left to the document's default.
    fn given(&self) -> HashMap<String, Vec<String>> {
        let given = self.parameters.iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| ((*name).to_owned(), vec![value.clone()])).collect()
    }
}

fn parameter<'a>(command: &'a SsmCommand, name: &str) -> Option<&'a String> {
    command.parameters()?.get(name)?.first()
}

/// A time as SSM's filter wants it: seconds, no fraction.
fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn targets(settings: &Settings) -> Vec<Target> {
    let target = |tag: &rotation::settings::TagCondition| {
        Target::builder().key(format!("tag:{}", tag.key)).set_values(Some(tag.values.clone())).build()
    };
    settings.fleet.tags.iter().map(target).collect()
}

fn proof(key: &AccessKeySettings) -> &'static str {
    match key.proof.kind {
        ProofKind::Backup => "backup",
        ProofKind::None => "none",
    }
}

/// What both documents of a kind take. Names and ARNs only: parameters are seen by everyone who may read CloudTrail (FACTS C).
fn parameters(
    settings: &Settings,
    request: &Request,
    secret: &SecretFacts,
    version: &VersionId,
) -> Vec<(&'static str, String)> {
    let sql_server = &settings.sql_server;
    let mut parameters = vec![
        ("rotation", settings.rotation.clone()),
        ("secretArn", secret.arn.clone()),
        ("versionId", version.0.clone()),
        ("endpoints", sql_server.endpoints.join(" ")),
        ("administratorSecretArn", sql_server.administrator_secret.clone().unwrap_or_default()),
        ("trustServerCertificate", sql_server.trust_server_certificate.to_string()),
        ("executionTimeout", settings.waves.execution_timeout_seconds.to_string()),
    ];
    parameters.extend(match &settings.credential {
        Credential::AccessKey(key) => of_access_key(key),
        Credential::Login(login) => of_login(login, request),
    });
    parameters
}

fn of_access_key(key: &AccessKeySettings) -> Vec<(&'static str, String)> {
    vec![
        ("credentials", key.credentials.join(" ")),
        ("foreignCredentials", key.foreign_credentials.join(" ")),
        ("proofPrefix", key.proof.prefix.clone()),
        ("createMissing", key.create_missing_credential.to_string()),
    ]
}

/// Names of logins and databases may hold any character, and SSM replaces parameters in the text of a script: they travel
/// as base64 of JSON, in which no shell reads anything.
fn of_login(login: &LoginSettings, request: &Request) -> Vec<(&'static str, String)> {
    let encoded = |names: &[String]| BASE64.encode(serde_json::json!(names).to_string());
    let while_in_use = match login.while_in_use {
        WhileInUse::Refuse => "refuse",
        WhileInUse::Change => "change",
    };
    vec![
        ("logins", encoded(&login.names)),
        ("instances", encoded(&login.instances)),
        ("containedDatabases", encoded(&login.contained_databases)),
        ("replicaGroups", encoded(&login.replica_groups)),
        ("whileInUse", while_in_use.to_owned()),
        ("createMissing", login.create_missing.to_string()),
        ("unlock", login.unlock.to_string()),
        ("provision", (request.mode == Mode::Provision).to_string()),
    ]
}
