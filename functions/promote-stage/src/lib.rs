//! Moves AWSCURRENT to the pending version, by compare-and-swap, when the proofs suffice.
//!
//! Done twice it is nothing; a lost race is an error that says who won.

use jiff::Timestamp;
use lambda::Environment;
use rotation::StepError;
use rotation::contracts::{PromoteInput, Promoted};
use rotation::deed::Deed;
use rotation::login::labels::login_label;
use rotation::names::{AWSCURRENT, VersionId};
use rotation::plan::Settling;
use rotation::promotion;
use rotation::secret::SecretFacts;

/// The step with its client.
pub struct PromoteStage {
    secretsmanager: aws_sdk_secretsmanager::Client,
}

impl PromoteStage {
    /// Builds the client, once for the life of the process.
    pub fn new(environment: Environment) -> PromoteStage {
        PromoteStage { secretsmanager: aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER")) }
    }

    /// Looks again, judges, promotes.
    pub async fn run(&self, input: PromoteInput) -> Result<Promoted, StepError> {
        let settings = &input.settings;
        let mut secret = secret::look(&self.secretsmanager, settings).await?;
        let version = input.version;
        if secret.current() == Some(&version) {
            return self.finish(input.now, secret, false).await;
        }
        if secret.pending() != Some(&version) {
            let holder = secret.pending().map_or("no version", VersionId::as_str);
            let what =
                format!("AWSPENDING on version {version}; it is on {holder}, and if that lasts, somebody took it");
            return Err(StepError::NotVisibleYet { what });
        }
        if !secret.is_ours(&version) {
            return Err(StepError::PendingVersionNotOurs { secret: settings.secret.id.clone(), version });
        }
        if promotion::is_password_refused(&input.places) {
            return Ok(Promoted { password_refused: true, version: Some(version), ..Promoted::none() });
        }
        promotion::judge(&version, settings.promote_share(), &input.places)?;
        let from = secret.current().cloned();
        secret::move_label(&self.secretsmanager, &secret.arn, AWSCURRENT, from.as_ref(), Some(&version)).await?;
        let (execution, at, key) = (&input.execution, input.now, secret.key_of(&version));
        let login = secret.made_of(&version).map(|made| made.login);
        let (key, login) = (key.as_ref(), login.as_deref());
        let deed = Deed { settings, execution, at, did: "promoted", key, login, version: Some(&version) };
        lambda::evidence::note(&deed);
        secret.labels.insert(AWSCURRENT.to_owned(), version);
        self.finish(input.now, secret, true).await
    }

    /// Says of which login the current version is the last promoted one, takes AWSPENDING off it, and records since when
    /// things are so. The labels come first: whoever finds them without the record writes a later one.
    async fn finish(&self, now: Timestamp, mut secret: SecretFacts, promoted: bool) -> Result<Promoted, StepError> {
        let current = secret.current().cloned();
        if let Some(made) = current.as_ref().and_then(|version| secret.made_of(version)) {
            let from = secret.promoted_of(&made.login).cloned();
            let (label, to) = (login_label(&made.login), current.clone());
            if from != to {
                secret::settle(&self.secretsmanager, &mut secret, &[Settling::Label { label, from, to }]).await?;
            }
        }
        if let Some(version) = current.clone().filter(|current| secret.pending() == Some(current)) {
            secret::settle(&self.secretsmanager, &mut secret, &[Settling::FinishPending { version }]).await?;
        }
        if promoted || !secret.is_standing_recorded() {
            let standing = secret.standing_at(now);
            secret::settle(&self.secretsmanager, &mut secret, &[Settling::RecordStanding { standing }]).await?;
        }
        Ok(Promoted { promoted, at: promoted.then_some(now), version: current, ..Promoted::none() })
    }
}
