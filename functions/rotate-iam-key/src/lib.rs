//! Stages a new access key: records the intent, makes the key, stores it, checks it, labels it AWSPENDING.
//!
//! One invocation does one of these; what is so in AWS says which. It may die anywhere, run twice or late: the order
//! is such that a key is stored before anything learns of it, and that a key that could not be stored is found again.

mod make;

use jiff::Timestamp;
use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::access_key::AccessKey;
use rotation::contracts::{StageInput, StageOutcome, Staged};
use rotation::deed::Deed;
use rotation::names::{AWSPENDING, AccessKeyId, VersionId};
use rotation::plan::{Facts, INTENT_WINDOW, Settling, Stage, Turn, plan};
use rotation::secret::{Intent, SecretFacts};
use rotation::settings::AccessKeySettings;
use uuid::Uuid;

/// The step with its clients.
pub struct RotateIamKey {
    environment: Environment,
    secretsmanager: aws_sdk_secretsmanager::Client,
    iam: aws_sdk_iam::Client,
    /// Without retries: CreateAccessKey has no client token (FACTS A).
    iam_once: aws_sdk_iam::Client,
    sfn: aws_sdk_sfn::Client,
}

impl RotateIamKey {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: Environment) -> RotateIamKey {
        RotateIamKey {
            secretsmanager: aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER")),
            iam: aws_sdk_iam::Client::new(&environment.sdk_config("IAM")),
            iam_once: aws_sdk_iam::Client::new(&environment.sdk_config_without_retries("IAM")),
            sfn: aws_sdk_sfn::Client::new(&environment.sdk_config("SFN")),
            environment,
        }
    }

    /// Looks, plans, and does the next thing.
    pub async fn run(&self, input: StageInput) -> Result<Staged, StepError> {
        let look = access_keys::look(&self.secretsmanager, &self.iam, &input.settings).await?;
        let intent_runs_elsewhere = self.runs_elsewhere(look.secret.intent.as_ref(), &input).await;
        let (when, settings) = ((input.started, input.now), &input.settings);
        let facts = look.into_facts(when, &input.request, settings, &input.execution, None)?;
        let facts = Facts { token: token_of(&input.execution), intent_runs_elsewhere, ..facts };
        let plan = plan(&facts)?;
        require_visible(&input, &facts, &plan.stage)?;
        let mut secret = facts.secret.clone();
        secret::settle(&self.secretsmanager, &mut secret, &plan.settle).await?;
        match plan.stage {
            Stage::NotAsked => Ok(Staged::new(StageOutcome::NotAsked, "")),
            Stage::Pending { version, key } => Ok(pending(version, key)),
            // The time in the input is when the state was entered, and a retry may come minutes later; so a retry has
            // the state entered anew before a key is made, that its intent's window begins when the key is made.
            Stage::Make { .. } if is_late(&input, facts.access_key) => Ok(Staged {
                attempts: input.previous.attempts + 1,
                wait_seconds: 1,
                ..Staged::new(StageOutcome::Checking, "")
            }),
            Stage::Make { token } => {
                let made = self.make(&facts, &secret.arn, token).await?;
                note(&input, "stored", made.key.as_ref(), made.version.as_ref());
                Ok(made)
            }
            Stage::Check { version, key } => self.check(&input, secret, version, key).await,
            Stage::Wait { until, execution } => {
                let why = format!("The execution {execution} may have made a key; it is looked for after {until}.");
                Ok(wait(input.now, until, &why))
            }
            Stage::Announced { until } => Ok(wait(input.now, until, "Every step that is under way ends first.")),
            Stage::Turn(turn) => self.turn(&input, secret, turn).await,
            Stage::FreeSlot { key, version } => self.free_slot(&input, &secret, key, version).await,
            Stage::Refused(refusal @ (StepError::NoFreeKeySlot { .. } | StepError::EarlierRunUnresolved { .. })) => {
                Ok(Staged { wait_seconds: 5, ..Staged::new(StageOutcome::HeldUp, &refusal.to_string()) })
            }
            Stage::Refused(refusal) => Err(refusal),
        }
    }

    /// Whether another execution recorded the intent and still runs. A courtesy: labels and keys alone decide what is
    /// safe. One that does not exist any more is dead; where Step Functions does not say, the window decides.
    async fn runs_elsewhere(&self, intent: Option<&Intent>, input: &StageInput) -> bool {
        let Some(intent) = intent.filter(|intent| intent.execution != input.execution) else { return false };
        let call = self.sfn.describe_execution().execution_arn(&intent.execution).send().await;
        match call.named("states", "DescribeExecution") {
            Ok(execution) => execution.status == aws_sdk_sfn::types::ExecutionStatus::Running,
            Err(failure) if failure.code() == "ExecutionDoesNotExist" => false,
            Err(_) => intent.recorded.checked_add(INTENT_WINDOW).is_ok_and(|closes| input.now < closes),
        }
    }

    /// One check of a stored key; after enough successes in a row it becomes the pending version.
    async fn check(
        &self,
        input: &StageInput,
        secret: SecretFacts,
        version: VersionId,
        key: AccessKeyId,
    ) -> Result<Staged, StepError> {
        let settings = &input.settings.access_key()?.key_check;
        let before = Some(&input.previous).filter(|previous| previous.version.as_ref() == Some(&version));
        let refusal = self.ask_sts(&secret, &version).await?;
        let attempts = before.map_or(0, |previous| previous.attempts) + 1;
        let successes = if refusal.is_none() { before.map_or(0, |previous| previous.successes) + 1 } else { 0 };
        if successes >= settings.successes {
            return self.label(input, secret, version, key).await;
        }
        if attempts >= settings.attempts {
            let cause = refusal.unwrap_or_else(|| "the last checks succeeded, too few in a row".to_owned());
            return Err(StepError::KeyNotAccepted { key, successes: settings.successes, attempts, cause });
        }
        Ok(Staged {
            version: Some(version),
            key: Some(key),
            successes,
            attempts,
            wait_seconds: settings.seconds_between,
            ..Staged::new(StageOutcome::Checking, "")
        })
    }

    /// What STS has against the key of a version, if anything: a new key is not valid everywhere at once.
    async fn ask_sts(&self, secret: &SecretFacts, version: &VersionId) -> Result<Option<String>, StepError> {
        let unreadable = |problem: String| StepError::SecretValueUnreadable {
            secret: secret.arn.clone(),
            version: version.clone(),
            label: secret.label_of(version),
            problem,
        };
        let value = secret::value(&self.secretsmanager, &secret.arn, version).await?;
        let value = value.ok_or_else(|| unreadable("it has no value".to_owned()))?;
        let key = AccessKey::parse(&value).map_err(|why| unreadable(why.to_string()))?;
        let credentials =
            aws_credential_types::Credentials::new(key.id.as_str(), key.secret.reveal(), None, None, "new access key");
        let sts = aws_sdk_sts::Client::new(&self.environment.with_credentials(credentials).sdk_config("STS"));
        let call = sts.get_caller_identity().send().await.named("sts", "GetCallerIdentity");
        Ok(call.err().map(|failure| failure.refusal.to_string()))
    }

    /// Moves AWSPENDING back, by compare-and-swap from the holder that was seen; the settings' hosts follow.
    async fn turn(&self, input: &StageInput, mut secret: SecretFacts, turn: Turn) -> Result<Staged, StepError> {
        match turn {
            Turn::Abandon { version } => {
                note(input, "abandoned", None, Some(&version));
                let message = format!("Version {version} is abandoned: the hosts are brought back to the current one.");
                secret::settle(&self.secretsmanager, &mut secret, &[Settling::AbandonPending { version }]).await?;
                let standing = secret.standing_at(input.now);
                secret::settle(&self.secretsmanager, &mut secret, &[Settling::RecordStanding { standing }]).await?;
                Ok(Staged::new(StageOutcome::NotAsked, &message))
            }
            Turn::Rollback { version, key } => self.label(input, secret, version, key).await,
        }
    }

    /// Deletes an Inactive key before its time, of which people are warned first.
    async fn free_slot(
        &self,
        input: &StageInput,
        secret: &SecretFacts,
        key: AccessKeyId,
        version: Option<VersionId>,
    ) -> Result<Staged, StepError> {
        let access_key = input.settings.access_key()?;
        let warning = format!(
            "Key {key}, which is Inactive, is deleted now and not after {} days: the leaked key needs its slot.",
            access_key.retirement.delete_after_days
        );
        if input.previous.message != warning {
            return Ok(Staged::new(StageOutcome::Warning, &warning));
        }
        access_keys::forget(&self.secretsmanager, &self.iam, &access_key.user, secret, &key, version.as_ref()).await?;
        note(input, "deleted", Some(&key), version.as_ref());
        Ok(Staged { wait_seconds: 5, ..Staged::new(StageOutcome::Checking, "") })
    }

    /// Labels a checked version AWSPENDING, by compare-and-swap from nobody: PutSecretValue would take the label from
    /// anyone (FACTS D). From here on hosts learn of it.
    async fn label(
        &self,
        input: &StageInput,
        mut secret: SecretFacts,
        version: VersionId,
        key: AccessKeyId,
    ) -> Result<Staged, StepError> {
        secret::move_label(&self.secretsmanager, &secret.arn, AWSPENDING, None, Some(&version)).await?;
        secret.labels.insert(AWSPENDING.to_owned(), version.clone());
        note(input, "staged", Some(&key), Some(&version));
        let standing = secret.standing_at(input.now);
        let record = Settling::RecordStanding { standing };
        let close = secret.intent.is_some().then_some(Settling::CloseIntent);
        let settlings: Vec<Settling> = std::iter::once(record).chain(close).collect();
        secret::settle(&self.secretsmanager, &mut secret, &settlings).await?;
        Ok(pending(version, key))
    }
}

fn note(input: &StageInput, did: &'static str, key: Option<&AccessKeyId>, version: Option<&VersionId>) {
    let StageInput { settings, execution, now, .. } = input;
    lambda::evidence::note(&Deed { settings, execution, at: *now, did, key, login: None, version });
}

/// Whether this is a retry that may still be turned into a first try; not for ever, so that what fails again and again
/// ends the run.
fn is_late(input: &StageInput, key: &AccessKeySettings) -> bool {
    input.retries > 0 && input.previous.attempts < key.key_check.attempts
}

/// What this execution has stored must be seen before anything is concluded from what is seen.
fn require_visible(input: &StageInput, facts: &Facts<'_>, stage: &Stage) -> Result<(), StepError> {
    let made = input.previous.version.as_ref().filter(|_| input.previous.outcome == StageOutcome::Checking);
    let Some(made) = made else { return Ok(()) };
    let is_seen = match stage {
        Stage::Check { version, .. } | Stage::Pending { version, .. } => version == made,
        Stage::NotAsked
        | Stage::Make { .. }
        | Stage::Wait { .. }
        | Stage::Announced { .. }
        | Stage::Turn(_)
        | Stage::FreeSlot { .. }
        | Stage::Refused(_) => facts.secret.current() == Some(made),
    };
    if is_seen {
        return Ok(());
    }
    Err(StepError::NotVisibleYet { what: format!("version {made}, which this execution has stored") })
}

/// The version that an execution stores a new key as: the same however often its step is run.
pub fn token_of(execution: &str) -> VersionId {
    VersionId(Uuid::new_v5(&Uuid::NAMESPACE_URL, execution.as_bytes()).to_string())
}

fn pending(version: VersionId, key: AccessKeyId) -> Staged {
    let message = format!("Key {key} is staged as version {version}.");
    Staged { version: Some(version), key: Some(key), ..Staged::new(StageOutcome::Pending, &message) }
}

fn wait(now: Timestamp, until: Timestamp, why: &str) -> Staged {
    let seconds = until.duration_since(now).as_secs().clamp(1, 600);
    Staged { wait_seconds: u32::try_from(seconds).unwrap_or(600), ..Staged::new(StageOutcome::Checking, why) }
}
