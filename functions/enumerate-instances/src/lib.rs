//! Looks at the fleet before anything is done, and ends the run where the fleet cannot take what is to come.
//!
//! It reads only, so that bad settings, an empty fleet or a missing document change nothing.

use jiff::{SignedDuration, Timestamp};
use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::contracts::{EnumerateInput, Fleet, FleetOutcome, Promoted, Report, StageOutcome, Staged};
use rotation::fleet::Roster;
use rotation::login;
use rotation::plan::{Retirement, plan};
use rotation::report::Record;
use rotation::request::{Mode, Request};
use rotation::secret::Target;
use rotation::settings::{Credential, Place, Settings};

/// How long the agent of a host that has just started is waited for; EC2 says "running" before it has booted.
const AGENT_DEADLINE: SignedDuration = SignedDuration::from_mins(10);
/// How long a host that has just started is left as it is while the password of an only login is on its way: applications
/// still read the last one, which the host's disk holds.
const PROMOTION_DEADLINE: SignedDuration = SignedDuration::from_mins(30);
/// How often it is looked for.
const AGENT_POLL_SECONDS: u32 = 30;

/// The step with its clients.
pub struct EnumerateInstances {
    environment: Environment,
    iam: aws_sdk_iam::Client,
    secretsmanager: aws_sdk_secretsmanager::Client,
}

impl EnumerateInstances {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: Environment) -> EnumerateInstances {
        let secretsmanager = aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER"));
        let iam = aws_sdk_iam::Client::new(&environment.sdk_config("IAM"));
        EnumerateInstances { environment, iam, secretsmanager }
    }

    /// Looks, refuses a fleet that cannot be rotated, and says whether there is anything to do.
    pub async fn run(&self, input: EnumerateInput) -> Result<Fleet, StepError> {
        let settings = &input.settings;
        let request = Request::parse(&input.input)?;
        let secret = secret::look(&self.secretsmanager, settings).await?;
        // A plan is refused that by its own function, which tells the rest as well.
        if secret.rotates_itself && request.mode != Mode::Plan {
            return Err(StepError::SecretRotatesItself { secret: settings.secret.id.clone() });
        }
        let target = secret.target();
        let mut roster = Roster::default();
        let mut starting = false;
        let mut refusals = Vec::new();
        for place in settings.places() {
            match self.look_at(&input, &request, &place, target.as_ref()).await {
                Ok((here, is_awaited)) => {
                    starting |= is_awaited;
                    roster.merge(here);
                }
                // A plan tells everything that would end a rotation, and not only the first.
                Err(refusal) if request.mode == Mode::Plan && !refusal.is_passing() => {
                    refusals.push(refusal.to_string());
                }
                Err(refusal) => return Err(refusal),
            }
        }
        // A fleet of which a part could not be read may be fit for all that is known.
        match roster.unfit(settings).filter(|_| refusals.is_empty()) {
            Some(refusal) if request.mode == Mode::Plan => refusals.push(refusal.to_string()),
            Some(refusal) if !request.is_narrowed() => return Err(refusal),
            Some(_) | None => {}
        }
        starting |= awaits_promotion(&input, &request, target.as_ref());
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let lacking = roster.to_command(&request).len();
        let mut fleet = Fleet {
            outcome: if starting { FleetOutcome::Wait } else { FleetOutcome::Proceed },
            wait_seconds: AGENT_POLL_SECONDS,
            secret_arn: secret.arn,
            target,
            places: settings.places(),
            running: count(roster.running()),
            lacking: count(lacking),
            stopped: count(roster.stopped()),
            stopped_lacking: count(roster.stopped_lacking.len()),
            left: count(roster.left.len()),
            refusals,
            report: None,
            request,
        };
        if lacking == 0 {
            fleet.report = self.nothing_to_do(&input, &fleet, &roster).await?;
        }
        if fleet.report.is_some() {
            fleet.outcome = FleetOutcome::Nothing;
        }
        Ok(fleet)
    }

    /// One account and region: its hosts, and whether one of them has an agent that is waited for.
    async fn look_at(
        &self,
        input: &EnumerateInput,
        request: &Request,
        place: &Place,
        target: Option<&Target>,
    ) -> Result<(Roster, bool), StepError> {
        let settings = &input.settings;
        let clients = fleet::open(&self.environment, place).await?;
        require_document(&clients, settings, place).await?;
        let fresh_since = request.fresh_since(settings, input.started, input.now);
        let roster = Roster::new(fleet::hosts(&clients, settings).await?, target).seen_by(request, fresh_since);
        let is_awaited = self.is_awaited(input, request, &clients, &roster).await?;
        Ok((roster, is_awaited))
    }

    /// Whether a host that was named, since it has just started, runs without an agent that answers. The agent comes
    /// online a minute or two later; it is waited for, and not for ever.
    async fn is_awaited(
        &self,
        input: &EnumerateInput,
        request: &Request,
        clients: &fleet::PlaceClients,
        roster: &Roster,
    ) -> Result<bool, StepError> {
        let commanded = roster.to_command(request);
        let deadline = input.started.checked_add(AGENT_DEADLINE).unwrap_or(input.started);
        if !request.is_narrowed() || commanded.is_empty() || input.now >= deadline {
            return Ok(false);
        }
        let online = fleet::nodes(clients, &commanded).await?.online;
        Ok(commanded.iter().any(|host| !online.contains(host)))
    }

    /// The report of a run with nothing to do, or none: a converge of a fleet that has proved the target, with no key
    /// to make or to retire and no record to put in order. Such a run ends here and has changed nothing.
    async fn nothing_to_do(
        &self,
        input: &EnumerateInput,
        fleet: &Fleet,
        roster: &Roster,
    ) -> Result<Option<Report>, StepError> {
        if fleet.request.mode != Mode::Converge {
            return Ok(None);
        }
        if fleet.request.is_narrowed() {
            return Ok(Some(tell(input, fleet, roster, &Seen::default())));
        }
        match &input.settings.credential {
            Credential::AccessKey(_) => self.no_key_to_do(input, fleet, roster).await,
            Credential::Login(_) => self.no_password_to_do(input, fleet, roster).await,
        }
    }

    async fn no_key_to_do(
        &self,
        input: &EnumerateInput,
        fleet: &Fleet,
        roster: &Roster,
    ) -> Result<Option<Report>, StepError> {
        let look = access_keys::look(&self.secretsmanager, &self.iam, &input.settings).await?;
        let (when, settings) = ((input.started, input.now), &input.settings);
        let facts = look.into_facts(when, &fleet.request, settings, &input.execution, Some(roster))?;
        // What makes a plan impossible is raised, with its own name, by the step whose business it is.
        let Ok(plan) = plan(&facts) else { return Ok(None) };
        let credential = Seen {
            retired: &plan.retire,
            warnings: &plan.warnings,
            next_rotation: plan.next_rotation,
            current_created: plan.current_key_created,
            is_old_key_used: plan.is_old_key_used,
        };
        Ok(plan.is_nothing().then(|| tell(input, fleet, roster, &credential)))
    }

    async fn no_password_to_do(
        &self,
        input: &EnumerateInput,
        fleet: &Fleet,
        roster: &Roster,
    ) -> Result<Option<Report>, StepError> {
        let look = login_passwords::look(&self.secretsmanager, &input.settings).await?;
        let facts = look.into_facts(input.now, &fleet.request, &input.settings, Some(roster))?;
        let Ok(plan) = login::plan::plan(&facts) else { return Ok(None) };
        let (next_rotation, current_created) = (plan.next_rotation, plan.current_made);
        let credential = Seen { next_rotation, current_created, ..Seen::default() };
        Ok(plan.is_nothing().then(|| tell(input, fleet, roster, &credential)))
    }
}

/// Whether a host that was named, since it has just started, would be given a password that nobody reads yet. The run that
/// staged it promotes it in a moment; where that run is dead, the host goes on after the deadline.
fn awaits_promotion(input: &EnumerateInput, request: &Request, target: Option<&Target>) -> bool {
    let is_only = matches!(&input.settings.credential, Credential::Login(login) if !login.is_alternating());
    let deadline = input.started.checked_add(PROMOTION_DEADLINE).unwrap_or(input.started);
    is_only && request.is_narrowed() && target.is_some_and(|target| target.pending) && input.now < deadline
}

/// What a look at the credential told, where there was one.
#[derive(Default)]
struct Seen<'a> {
    retired: &'a [Retirement],
    warnings: &'a [String],
    next_rotation: Option<Timestamp>,
    current_created: Option<Timestamp>,
    is_old_key_used: bool,
}

fn tell(input: &EnumerateInput, fleet: &Fleet, roster: &Roster, seen: &Seen<'_>) -> Report {
    let (staged, promoted) = (Staged::new(StageOutcome::NotAsked, ""), Promoted::none());
    let record = Record {
        settings: &input.settings,
        execution: &input.execution,
        started: input.started,
        now: input.now,
        request: &fleet.request,
        staged: &staged,
        promoted: &promoted,
        places: &[],
        target: fleet.target.as_ref(),
        target_key: None,
        target_login: None,
        roster,
        retired: seen.retired,
        warnings: seen.warnings,
        next_rotation: seen.next_rotation,
        current_key_created: seen.current_created,
        is_old_key_used: seen.is_old_key_used,
    };
    lambda::evidence::keep(&record);
    record.report()
}

/// The pinned version of the document exists where it is to run.
async fn require_document(clients: &fleet::PlaceClients, settings: &Settings, place: &Place) -> Result<(), StepError> {
    let document = &settings.document;
    let call = clients.ssm.describe_document().name(&document.name).document_version(&document.version).send().await;
    call.named("ssm", "DescribeDocument")
        .map_err(|failure| fleet::document_refused(&document.name, &document.version, place, failure))?;
    Ok(())
}
