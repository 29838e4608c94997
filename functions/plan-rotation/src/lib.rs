//! Says what `rotate` would do now. It reads only, and its role allows nothing else; what would end a rotation at the
//! first refusal is collected, so that a person sees all of it at once.

mod simulation;

use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::contracts::{PlanInput, Planned};
use rotation::fleet::Roster;
use rotation::names::InstanceId;
use rotation::permissions::{Resources, Simulation};
use rotation::plan::{Facts, Plan, plan};
use rotation::preview::{PlaceOutlook, Preview};
use rotation::secret::{SecretFacts, Target};
use rotation::settings::Place;

/// The step with its clients.
pub struct PlanRotation {
    environment: Environment,
    secretsmanager: aws_sdk_secretsmanager::Client,
    iam: aws_sdk_iam::Client,
}

/// What could be read, and what refused to be.
struct Seen {
    look: access_keys::Look,
    places: Vec<PlaceOutlook>,
    refusals: Vec<String>,
}

impl PlanRotation {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: Environment) -> PlanRotation {
        PlanRotation {
            secretsmanager: aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER")),
            iam: aws_sdk_iam::Client::new(&environment.sdk_config("IAM")),
            environment,
        }
    }

    /// Looks at everything, plans, and tells.
    pub async fn run(&self, input: PlanInput) -> Result<Planned, StepError> {
        // Boxed: the compiler's limit is on the depth of futures within futures, and the SDK's go deep.
        let mut seen = Box::pin(self.look(&input)).await?;
        let mut secret = seen.look.secret.clone();
        let mut fleet = Roster::default();
        seen.places.iter().for_each(|outlook| fleet.merge(outlook.roster.clone()));
        let plan = match self.plan(&input, &seen.look, &fleet) {
            Ok(plan) => Some(plan),
            Err(refusal) => {
                seen.refusals.push(refusal.to_string());
                None
            }
        };
        plan.iter().flat_map(|plan| &plan.settle).for_each(|settling| settling.apply_to(&mut secret));
        let simulation = Box::pin(self.simulate(&input, &secret, &seen.places)).await?;
        let preview = Preview {
            settings: &input.settings,
            execution: &input.execution,
            now: input.now,
            request: &input.request,
            secret: &secret,
            keys: &seen.look.keys,
            plan: plan.as_ref(),
            places: &seen.places,
            inspections: &input.places,
            simulation: &simulation,
            refusals: &seen.refusals,
        };
        Ok(Planned { report: preview.report() })
    }

    async fn look(&self, input: &PlanInput) -> Result<Seen, StepError> {
        let mut refusals = input.refusals.clone();
        let look = match access_keys::look(&self.secretsmanager, &self.iam, &input.settings).await {
            Ok(look) => look,
            Err(refusal) if refusal.is_passing() => return Err(refusal),
            // Without the keys there is still the secret's target, by which the hosts are told apart.
            Err(refusal) => {
                refusals.push(refusal.to_string());
                let secret = secret::look(&self.secretsmanager, &input.settings.secret.id).await?;
                access_keys::Look::of_secret(secret)
            }
        };
        let target = look.secret.target();
        let mut places = Vec::new();
        for place in input.settings.places() {
            match self.look_at(input, &place, target.as_ref()).await {
                Ok(outlook) => places.push(outlook),
                Err(refusal) if refusal.is_passing() => return Err(refusal),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
        Ok(Seen { look, places, refusals })
    }

    async fn look_at(
        &self,
        input: &PlanInput,
        place: &Place,
        target: Option<&Target>,
    ) -> Result<PlaceOutlook, StepError> {
        let clients = fleet::open(&self.environment, place).await?;
        let fresh_since = input.request.fresh_since(&input.settings, input.started, input.now);
        let hosts = fleet::hosts(&clients, &input.settings).await?;
        let roster = Roster::new(hosts, target).seen_by(&input.request, fresh_since);
        let running: Vec<InstanceId> =
            roster.proved.iter().chain(&roster.lacking).map(|host| host.id.clone()).collect();
        let nodes = fleet::nodes_for_a_canary(&clients, &running).await?;
        Ok(PlaceOutlook { place: place.clone(), roster, nodes })
    }

    fn plan(&self, input: &PlanInput, look: &access_keys::Look, fleet: &Roster) -> Result<Plan, StepError> {
        let look = look.clone();
        plan(&Facts {
            now: input.now,
            started: input.started,
            request: &input.request,
            settings: &input.settings,
            execution: &input.execution,
            token: "none".into(),
            secret: look.secret,
            readings: look.readings,
            keys: look.keys,
            owner_of_current: look.owner_of_current,
            intent_runs_elsewhere: false,
            roster: Some(fleet),
        })
    }

    /// Has IAM simulate what every function's role is to be allowed.
    async fn simulate(
        &self,
        input: &PlanInput,
        secret: &SecretFacts,
        places: &[PlaceOutlook],
    ) -> Result<Simulation, StepError> {
        let user = &input.settings.user;
        let call = self.iam.get_user().user_name(user).send().await.named("iam", "GetUser");
        let user = match call {
            Ok(answer) => answer.user.map(|user| user.arn).unwrap_or_default(),
            Err(failure) if failure.is_transient() => return Err(failure.into()),
            Err(failure) => {
                let not_asked = vec![format!("the user's ARN could not be read ({})", failure.refusal)];
                return Ok(Simulation { not_asked, ..Simulation::default() });
            }
        };
        let of_place = |outlook: &PlaceOutlook| {
            let host = outlook.roster.proved.iter().chain(&outlook.roster.lacking).next()?;
            Some((outlook.place.clone(), host.id.clone()))
        };
        let hosts: Vec<(Place, InstanceId)> = places.iter().filter_map(of_place).collect();
        // arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME
        let executions =
            input.execution.rsplit_once(':').map(|(machine, _)| format!("{machine}:*")).unwrap_or_default();
        let resources = Resources {
            settings: &input.settings,
            secret: &secret.arn,
            user: &user,
            executions: &executions,
            hosts: &hosts,
        };
        simulation::simulate(&self.environment, &self.iam, &input.settings, &resources.needs()).await
    }
}
