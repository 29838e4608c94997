//! Stages a new password of a login: has the hosts asked first, then makes it, stores it, labels it AWSPENDING.
//!
//! It may die anywhere, run twice or late. The version is the same however often the step is run, so that a password is
//! stored once; and until it is AWSPENDING nobody has learned of it.

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::access_key::SecretValue;
use rotation::contracts::{StageInput, StageOutcome, Staged};
use rotation::deed::Deed;
use rotation::fleet::Roster;
use rotation::login::labels::Made;
use rotation::login::plan::{LoginFacts, LoginStage, plan};
use rotation::login::value::LoginValue;
use rotation::names::{AWSPENDING, VersionId};
use rotation::plan::Settling;
use rotation::secret::SecretFacts;
use rotation::settings::LoginSettings;
use uuid::Uuid;

const SERVICE: &str = "secretsmanager";

/// Seconds until a run that was held up looks again: tags become visible within seconds.
const HELD_UP_SECONDS: u32 = 5;

/// The step with its client.
pub struct RotateLoginPassword {
    environment: Environment,
    secretsmanager: Client,
}

impl RotateLoginPassword {
    /// Builds the client, once for the life of the process.
    pub fn new(environment: Environment) -> RotateLoginPassword {
        let secretsmanager = Client::new(&environment.sdk_config("SECRETS_MANAGER"));
        RotateLoginPassword { environment, secretsmanager }
    }

    /// Looks, plans, and does the next thing.
    pub async fn run(&self, input: StageInput) -> Result<Staged, StepError> {
        let settings = &input.settings;
        let login = settings.login()?;
        let look = login_passwords::look(&self.secretsmanager, settings).await?;
        require_visible(&input, &look.secret)?;
        let roster = self.roster(&input, login, &look.secret).await?;
        let facts = LoginFacts {
            token: token_of(&input.execution, input.previous.attempts),
            inspections: if was_asked(&input) { &input.places } else { &[] },
            refused: input.promoted.version.as_ref().filter(|_| input.promoted.password_refused),
            made: input.previous.attempts,
            ..look.into_facts(input.now, &input.request, settings, roster.as_ref())?
        };
        let plan = plan(&facts)?;
        let mut secret = facts.secret.clone();
        secret::settle(&self.secretsmanager, &mut secret, &plan.settle).await?;
        match plan.stage {
            LoginStage::NotAsked => Ok(Staged::new(StageOutcome::NotAsked, "")),
            LoginStage::Pending(made) => Ok(pending(&input, made)),
            LoginStage::Inspect => Ok(Staged::new(StageOutcome::Inspecting, "")),
            LoginStage::Make { token, login: name, replaces } => {
                let made = Made { at: input.now, version: token, login: name };
                self.store(&input, login, &secret, &made).await?;
                note(&input, "stored", &made);
                self.label(&input, secret, made, replaces).await
            }
            LoginStage::Label { made, replaces } => self.label(&input, secret, made, replaces).await,
            LoginStage::Abandon { version } => self.abandon(&input, secret, version).await,
            LoginStage::Rollback(made) => self.label(&input, secret, made, None).await,
            LoginStage::HeldUp(why) => {
                Ok(Staged { wait_seconds: HELD_UP_SECONDS, ..Staged::new(StageOutcome::HeldUp, &why) })
            }
            LoginStage::Refused(refusal) => Err(refusal),
        }
    }

    /// The hosts, where a new version depends on who has proved the current one.
    async fn roster(
        &self,
        input: &StageInput,
        login: &LoginSettings,
        secret: &SecretFacts,
    ) -> Result<Option<Roster>, StepError> {
        let is_needed = login.is_alternating() && secret.only_pending().is_none();
        match secret.target().filter(|_| is_needed) {
            Some(target) => {
                fleet::roster(&self.environment, &input.settings, &input.request, Some(&target)).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// Makes a password by the rules and stores it with its private label and no other.
    async fn store(
        &self,
        input: &StageInput,
        login: &LoginSettings,
        secret: &SecretFacts,
        made: &Made,
    ) -> Result<(), StepError> {
        let password = self.random_password(login).await?;
        let value = match secret.current() {
            Some(current) => {
                let held = secret::value(&self.secretsmanager, &secret.arn, current).await?;
                let held = held.and_then(|value| LoginValue::parse(&value, &login.names).ok());
                held.map_or_else(
                    || LoginValue::first(&made.login, password.clone()),
                    |held| held.with(&made.login, password.clone()),
                )
            }
            None => LoginValue::first(&made.login, password.clone()),
        };
        let call = self
            .secretsmanager
            .put_secret_value()
            .secret_id(&secret.arn)
            .client_request_token(made.version.as_str())
            .secret_string(value.write(input.settings.secret.format).reveal())
            .version_stages(made.label())
            .send()
            .await;
        match call.named(SERVICE, "PutSecretValue") {
            Ok(_) => Ok(()),
            // An earlier try has stored its password under this token, and the look did not show it yet.
            Err(failure) if failure.code() == "ResourceExistsException" => {
                Err(StepError::NotVisibleYet { what: format!("version {}, which an earlier try stored", made.version) })
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn random_password(&self, login: &LoginSettings) -> Result<SecretValue, StepError> {
        let rules = login.password.clone().settled().map_err(|problem| StepError::InvalidSettings {
            path: "login.password".to_owned(),
            problem: problem.to_string(),
        })?;
        let call = self
            .secretsmanager
            .get_random_password()
            .password_length(i64::from(rules.length))
            .exclude_characters(rules.exclude_characters)
            .exclude_uppercase(rules.exclude_uppercase)
            .exclude_lowercase(rules.exclude_lowercase)
            .exclude_numbers(rules.exclude_numbers)
            .exclude_punctuation(rules.exclude_punctuation)
            .require_each_included_type(rules.require_each_included_type)
            .include_space(false)
            .send()
            .await;
        let answer = call.named(SERVICE, "GetRandomPassword")?;
        answer.random_password.map(SecretValue::new).ok_or_else(|| StepError::NotVisibleYet {
            what: "a password of GetRandomPassword, which answered without one".to_owned(),
        })
    }

    /// Labels a stored version AWSPENDING by compare-and-swap, from nobody or from the one that it replaces. From here on
    /// hosts learn of it.
    async fn label(
        &self,
        input: &StageInput,
        mut secret: SecretFacts,
        made: Made,
        replaces: Option<VersionId>,
    ) -> Result<Staged, StepError> {
        let (from, to) = (replaces.as_ref(), Some(&made.version));
        secret::move_label(&self.secretsmanager, &secret.arn, AWSPENDING, from, to).await?;
        secret.labels.insert(AWSPENDING.to_owned(), made.version.clone());
        note(input, "staged", &made);
        let standing = secret.standing_at(input.now);
        secret::settle(&self.secretsmanager, &mut secret, &[Settling::RecordStanding { standing }]).await?;
        let attempts = input.previous.attempts + 1;
        Ok(Staged { attempts, ..pending(input, made) })
    }

    async fn abandon(
        &self,
        input: &StageInput,
        mut secret: SecretFacts,
        version: VersionId,
    ) -> Result<Staged, StepError> {
        if let Some(made) = secret.made_of(&version) {
            note(input, "abandoned", &made);
        }
        let message = format!("Version {version} is abandoned: the hosts are brought back to the current one.");
        secret::settle(&self.secretsmanager, &mut secret, &[Settling::AbandonPending { version }]).await?;
        let standing = secret.standing_at(input.now);
        secret::settle(&self.secretsmanager, &mut secret, &[Settling::RecordStanding { standing }]).await?;
        Ok(Staged::new(StageOutcome::NotAsked, &message))
    }
}

/// Whether what the places say is the answer to this execution's inspection.
fn was_asked(input: &StageInput) -> bool {
    input.previous.outcome == StageOutcome::Inspecting
}

/// What this execution has labelled must be seen before anything is concluded from what is seen.
fn require_visible(input: &StageInput, secret: &SecretFacts) -> Result<(), StepError> {
    let labelled = input.previous.version.as_ref().filter(|_| input.previous.outcome == StageOutcome::Pending);
    match labelled {
        Some(version) if ![secret.pending(), secret.current()].contains(&Some(version)) => {
            Err(StepError::NotVisibleYet {
                what: format!("AWSPENDING on version {version}; if that lasts, somebody took it"),
            })
        }
        _ => Ok(()),
    }
}

/// The version that an execution stores its passwords as, by their number: the same however often its step is run.
pub fn token_of(execution: &str, number: u32) -> VersionId {
    let name = if number == 0 { execution.to_owned() } else { format!("{execution}#{number}") };
    VersionId(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string())
}

fn pending(input: &StageInput, made: Made) -> Staged {
    let message = format!("A password of {} is staged as version {}.", made.login, made.version);
    Staged {
        version: Some(made.version),
        login: Some(made.login),
        attempts: input.previous.attempts,
        ..Staged::new(StageOutcome::Pending, &message)
    }
}

fn note(input: &StageInput, did: &'static str, made: &Made) {
    let (settings, execution, at): (_, _, Timestamp) = (&input.settings, &input.execution, input.now);
    let (login, version) = (Some(made.login.as_str()), Some(&made.version));
    lambda::evidence::note(&Deed { settings, execution, at, did, key: None, login, version });
}
