//! Says what `rotate` would do now. It reads only, and its role allows nothing else; what would end a rotation at the
//! first refusal is collected, so that a person sees all of it at once.

mod credential;
mod simulation;

use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::contracts::{PlanInput, Planned};
use rotation::fleet::Roster;
use rotation::names::InstanceId;
use rotation::permissions::{Resources, Simulation};
use rotation::preview::{PlaceOutlook, Preview};
use rotation::secret::{SecretFacts, Target};
use rotation::settings::{Credential, Place, Settings};

use credential::{Look, Outlook};
use rotation::waves::INSTANCE_IDS_OF_A_COMMAND;

/// The step with its clients.
pub struct PlanRotation {
    environment: Environment,
    secretsmanager: aws_sdk_secretsmanager::Client,
    iam: aws_sdk_iam::Client,
}

/// The credential as it is, and the plan for it, as far as either could be had.
struct Seen {
    secret: SecretFacts,
    look: Option<Look>,
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
        let Seen { mut secret, look, mut refusals } = self.look(&input).await?;
        // Hosts are told apart by the target that there will be once the records are in order.
        let in_order = look.as_ref().and_then(|look| look.plan(&input, None).ok());
        in_order.iter().flat_map(Outlook::settle).for_each(|settling| settling.apply_to(&mut secret));
        let places = Box::pin(self.look_at_places(&input, secret.target().as_ref(), &mut refusals)).await?;
        let mut fleet = Roster::default();
        places.iter().for_each(|outlook| fleet.merge(outlook.roster.clone()));
        let plan = look.as_ref().and_then(|look| match look.plan(&input, Some(&fleet)) {
            Ok(plan) => Some(plan),
            Err(refusal) => {
                refusals.push(refusal.to_string());
                None
            }
        });
        // Boxed: the compiler's limit is on the depth of futures within futures, and the SDK's go deep.
        let simulation = Box::pin(self.simulate(&input, &secret, &places)).await?;
        let preview = Preview {
            settings: &input.settings,
            execution: &input.execution,
            now: input.now,
            request: &input.request,
            secret: &secret,
            prospect: credential::prospect(&input.settings, look.as_ref(), plan.as_ref()),
            places: &places,
            inspections: &input.places,
            simulation: &simulation,
            refusals: &refusals,
        };
        let report = preview.report();
        lambda::evidence::keep_plan(&report);
        Ok(Planned { report })
    }

    async fn look(&self, input: &PlanInput) -> Result<Seen, StepError> {
        let mut refusals = input.refusals.clone();
        match Box::pin(Look::at(&self.secretsmanager, &self.iam, &input.settings)).await {
            Ok(look) => Ok(Seen { secret: look.secret().clone(), look: Some(look), refusals }),
            Err(refusal) if refusal.is_passing() => Err(refusal),
            // Without the keys there is still the secret's target, by which the hosts are told apart.
            Err(refusal) => {
                refusals.push(refusal.to_string());
                let secret = secret::look(&self.secretsmanager, &input.settings).await?;
                Ok(Seen { secret, look: None, refusals })
            }
        }
    }

    async fn look_at_places(
        &self,
        input: &PlanInput,
        target: Option<&Target>,
        refusals: &mut Vec<String>,
    ) -> Result<Vec<PlaceOutlook>, StepError> {
        let mut places = Vec::new();
        for place in input.settings.places() {
            match self.look_at(input, &place, target).await {
                Ok(outlook) => places.push(outlook),
                Err(refusal) if refusal.is_passing() => return Err(refusal),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
        Ok(places)
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
        let asked_of_all = running.len() <= INSTANCE_IDS_OF_A_COMMAND;
        let nodes = match asked_of_all {
            true => fleet::nodes(&clients, &running).await?,
            false => fleet::nodes_for_a_canary(&clients, &running).await?,
        };
        Ok(PlaceOutlook { place: place.clone(), roster, nodes, asked_of_all })
    }

    /// The ARN of the user whose key is rotated, which alone tells its path; a login has none. The inner error says why it
    /// could not be read.
    async fn user_arn(&self, settings: &Settings) -> Result<Result<String, String>, StepError> {
        let Credential::AccessKey(key) = &settings.credential else { return Ok(Ok(String::new())) };
        match self.iam.get_user().user_name(&key.user).send().await.named("iam", "GetUser") {
            Ok(answer) => Ok(Ok(answer.user.map(|user| user.arn).unwrap_or_default())),
            Err(failure) if failure.is_transient() => Err(failure.into()),
            Err(failure) => Ok(Err(format!("the user's ARN could not be read ({})", failure.refusal))),
        }
    }

    /// Has IAM simulate what every function's role is to be allowed.
    async fn simulate(
        &self,
        input: &PlanInput,
        secret: &SecretFacts,
        places: &[PlaceOutlook],
    ) -> Result<Simulation, StepError> {
        let user = match self.user_arn(&input.settings).await? {
            Ok(user) => user,
            Err(why) => return Ok(Simulation { not_asked: vec![why], ..Simulation::default() }),
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
