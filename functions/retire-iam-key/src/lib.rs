//! Takes keys that nothing needs any more out of use, Inactive first and deleted later, and tells what the run did.
//!
//! It looks at everything anew, since hours may have passed since the run began: the hosts first, the labels last.

use lambda::Environment;
use rotation::StepError;
use rotation::contracts::{Report, RetireInput, Retired, StageOutcome};
use rotation::deed::Deed;
use rotation::fleet::Roster;
use rotation::names::{AccessKeyId, VersionId};
use rotation::plan::{Facts, Plan, Retirement, Stage, describe_keys, plan};
use rotation::promotion::name_failures;
use rotation::report::Record;
use rotation::request::Mode;
use rotation::secret::SecretFacts;
use serde_json::Value;

/// The step with its clients.
pub struct RetireIamKey {
    environment: Environment,
    secretsmanager: aws_sdk_secretsmanager::Client,
    iam: aws_sdk_iam::Client,
}

impl RetireIamKey {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: Environment) -> RetireIamKey {
        RetireIamKey {
            secretsmanager: aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER")),
            iam: aws_sdk_iam::Client::new(&environment.sdk_config("IAM")),
            environment,
        }
    }

    /// Looks, plans, retires, reports.
    pub async fn run(&self, input: RetireInput) -> Result<Retired, StepError> {
        let settings = &input.settings;
        let before = secret::look(&self.secretsmanager, settings).await?;
        let roster = fleet::roster(&self.environment, settings, &input.request, before.target().as_ref()).await?;
        let (secret, plan) = self.plan(&input, &roster, &before).await?;
        if let Some(warning) = plan.breaks.clone().filter(|warning| must_warn(&input, warning)) {
            return Ok(warn(&input, warning));
        }
        for retirement in &plan.retire {
            self.apply(&input, &secret, retirement).await?;
        }
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
            target_key: target.as_ref().and_then(|target| secret.key_of(&target.version)),
            target_login: None,
            roster: &roster,
            retired: &plan.retire,
            warnings: &plan.warnings,
            next_rotation: plan.next_rotation,
            current_key_created: plan.current_key_created,
            is_old_key_used: plan.is_old_key_used,
        };
        lambda::evidence::keep(&record);
        raise_what_needs_a_person(&input, &plan, &record)?;
        let report = record.report();
        let any_key_retired = plan.retire.iter().any(Retirement::is_change);
        let can_stage_now = can_stage_now(&input, &plan);
        Ok(Retired { warning: None, can_stage_now, any_key_retired, keys: plan.retire, report })
    }

    /// Plans on labels that are read after the hosts were; where they moved meanwhile, the hosts' proofs were judged
    /// against a target that is none any more, and nothing is retired by this run.
    async fn plan(
        &self,
        input: &RetireInput,
        roster: &Roster,
        before: &SecretFacts,
    ) -> Result<(SecretFacts, Plan), StepError> {
        let look = access_keys::look(&self.secretsmanager, &self.iam, &input.settings).await?;
        let request = input.request.once_turned();
        let has_moved = look.secret.target() != before.target();
        let roster = Some(roster).filter(|_| !has_moved);
        let (when, settings) = ((input.started, input.now), &input.settings);
        let facts = look.into_facts(when, &request, settings, &input.execution, roster)?;
        let facts = Facts { token: input.staged.version.clone().unwrap_or_else(|| "none".into()), ..facts };
        let plan = plan(&facts)?;
        let mut secret = facts.secret.clone();
        secret::settle(&self.secretsmanager, &mut secret, &plan.settle).await?;
        Ok((secret, plan))
    }

    async fn apply(&self, input: &RetireInput, secret: &SecretFacts, what: &Retirement) -> Result<(), StepError> {
        match what {
            Retirement::Deactivate { key } => {
                access_keys::deactivate(&self.iam, &input.settings.access_key()?.user, key).await?;
                note(input, "madeInactive", key, None);
                self.record_inactive(input, secret, key).await
            }
            Retirement::RecordInactive { key } => self.record_inactive(input, secret, key).await,
            Retirement::Delete { key, version } => {
                let user = &input.settings.access_key()?.user;
                access_keys::forget(&self.secretsmanager, &self.iam, user, secret, key, version.as_ref()).await?;
                note(input, "deleted", key, version.as_ref());
                Ok(())
            }
            Retirement::NotYet { .. } => Ok(()),
        }
    }

    /// Records when a key was made Inactive, after it was: a record that is late only delays.
    async fn record_inactive(
        &self,
        input: &RetireInput,
        secret: &SecretFacts,
        key: &AccessKeyId,
    ) -> Result<(), StepError> {
        let tag = secret::inactive_tag(key.as_str());
        secret::record(&self.secretsmanager, &secret.arn, [(tag.as_str(), input.now.to_string())]).await
    }
}

fn note(input: &RetireInput, did: &'static str, key: &AccessKeyId, version: Option<&VersionId>) {
    let RetireInput { settings, execution, now, .. } = input;
    lambda::evidence::note(&Deed { settings, execution, at: *now, did, key: Some(key), login: None, version });
}

/// Whether people have not been told yet whom this retirement breaks.
fn must_warn(input: &RetireInput, warning: &str) -> bool {
    input.warned.as_deref() != Some(warning)
}

/// Nothing is retired before the warning is out.
fn warn(input: &RetireInput, warning: String) -> Retired {
    let subject = format!("credential-rotation {}: hosts lose their key now", input.settings.rotation);
    Retired {
        report: Report {
            worth_telling: true,
            subject: subject.chars().take(100).collect(),
            message: warning.clone(),
            evidence: Value::Null,
        },
        warning: Some(warning),
        keys: Vec::new(),
        any_key_retired: false,
        can_stage_now: false,
    }
}

/// Whether the staging that was held up has its slot now.
fn can_stage_now(input: &RetireInput, plan: &Plan) -> bool {
    let has_deleted = plan.retire.iter().any(|retirement| matches!(retirement, Retirement::Delete { .. }));
    input.staged.outcome == StageOutcome::HeldUp && (has_deleted || matches!(plan.stage, Stage::Make { .. }))
}

/// All that is safe has been done; what a person must know ends the run loudly.
fn raise_what_needs_a_person(input: &RetireInput, plan: &Plan, record: &Record<'_>) -> Result<(), StepError> {
    if input.places.iter().any(|place| place.error.is_some()) {
        let named = [vec![name_failures(&input.places)], record.keys()].concat().join("\n");
        return Err(StepError::PlacesNotCommanded { named });
    }
    if !plan.unknown.is_empty() {
        let keys = describe_keys(&plan.unknown);
        return Err(StepError::UnknownAccessKey { user: input.settings.subject(), keys });
    }
    let is_held_up = input.staged.outcome == StageOutcome::HeldUp && !can_stage_now(input, plan);
    let Stage::Refused(refusal) = &plan.stage else { return Ok(()) };
    if is_held_up && input.request.mode == Mode::Rotate { Err(refusal.clone()) } else { Ok(()) }
}
