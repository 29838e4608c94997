//! Takes the labels off versions that no host holds any more, and tells what the run did.
//!
//! A password that was replaced is gone with the change, so that nothing is deactivated or deleted here. It looks at
//! everything anew, since hours may have passed since the run began: the hosts first, the labels last.

use aws_sdk_secretsmanager::Client;
use lambda::Environment;
use rotation::StepError;
use rotation::contracts::{RetireInput, Retired, StageOutcome};
use rotation::fleet::Roster;
use rotation::login::plan::{LoginPlan, plan};
use rotation::promotion::name_failures;
use rotation::report::Record;
use rotation::secret::SecretFacts;

/// The step with its client.
pub struct RetireLoginPassword {
    environment: Environment,
    secretsmanager: Client,
}

impl RetireLoginPassword {
    /// Builds the client, once for the life of the process.
    pub fn new(environment: Environment) -> RetireLoginPassword {
        let secretsmanager = Client::new(&environment.sdk_config("SECRETS_MANAGER"));
        RetireLoginPassword { environment, secretsmanager }
    }

    /// Looks, plans, sweeps, reports.
    pub async fn run(&self, input: RetireInput) -> Result<Retired, StepError> {
        let settings = &input.settings;
        let before = secret::look(&self.secretsmanager, settings).await?;
        let roster = fleet::roster(&self.environment, settings, &input.request, before.target().as_ref()).await?;
        let (secret, plan) = self.sweep(&input, &roster, &before).await?;
        let target = secret.target();
        let record = Record {
            settings,
            execution: &input.execution,
            started: input.started,
            now: input.now,
            request: &input.request,
            staged: &input.staged,
            promoted: &input.promoted,
            places: &input.places,
            target: target.as_ref(),
            target_key: None,
            target_login: target.as_ref().and_then(|target| secret.made_of(&target.version)).map(|made| made.login),
            roster: &roster,
            retired: &[],
            warnings: &[],
            next_rotation: plan.next_rotation,
            current_key_created: plan.current_made,
            is_old_key_used: false,
        };
        lambda::evidence::keep(&record);
        if input.places.iter().any(|place| place.error.is_some()) {
            return Err(StepError::PlacesNotCommanded { named: name_failures(&input.places) });
        }
        let can_stage_now = input.staged.outcome == StageOutcome::HeldUp && roster.lacking.is_empty();
        let report = record.report();
        Ok(Retired { warning: None, can_stage_now, any_key_retired: false, keys: Vec::new(), report })
    }

    /// Sweeps by labels that are read after the hosts were; where they moved meanwhile, the hosts' proofs were judged
    /// against a target that is none any more, and every label stays.
    async fn sweep(
        &self,
        input: &RetireInput,
        roster: &Roster,
        before: &SecretFacts,
    ) -> Result<(SecretFacts, LoginPlan), StepError> {
        let look = login_passwords::look(&self.secretsmanager, &input.settings).await?;
        let request = input.request.once_turned();
        let roster = Some(roster).filter(|_| look.secret.target() == before.target());
        let plan = plan(&look.clone().into_facts(input.now, &request, &input.settings, roster)?)?;
        let mut secret = look.secret;
        secret::settle(&self.secretsmanager, &mut secret, &plan.settle).await?;
        secret::settle(&self.secretsmanager, &mut secret, &plan.sweep).await?;
        Ok((secret, plan))
    }
}
