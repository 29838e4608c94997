//! Looks at the fleet before anything is done, and ends the run where the fleet cannot take what is to come.
//!
//! It reads only, so that bad settings, an empty fleet or a missing document change nothing.

use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::contracts::{EnumerateInput, Fleet};
use rotation::fleet::{Roster, name_hosts};
use rotation::request::Request;
use rotation::settings::{Place, Settings};

/// The step with its clients.
pub struct EnumerateInstances {
    environment: Environment,
    secretsmanager: aws_sdk_secretsmanager::Client,
}

impl EnumerateInstances {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: Environment) -> EnumerateInstances {
        let secretsmanager = aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER"));
        EnumerateInstances { environment, secretsmanager }
    }

    /// Looks, and refuses a fleet that cannot be rotated.
    pub async fn run(&self, input: EnumerateInput) -> Result<Fleet, StepError> {
        let settings = &input.settings;
        let request = Request::parse(&input.input)?;
        let secret = secret::look(&self.secretsmanager, &settings.secret.id).await?;
        if secret.rotates_itself {
            return Err(StepError::SecretRotatesItself { secret: settings.secret.id.clone() });
        }
        let target = secret.target();
        let mut roster = Roster::default();
        for place in settings.places() {
            let clients = fleet::open(&self.environment, &place).await?;
            require_document(&clients, settings, &place).await?;
            roster.merge(Roster::new(fleet::hosts(&clients, settings).await?, target.as_ref()));
        }
        refuse_unfit(settings, &roster)?;
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Ok(Fleet {
            mode: request.mode,
            secret_arn: secret.arn,
            target,
            places: settings.places(),
            running: count(roster.running()),
            lacking: count(roster.to_command().len()),
            stopped: count(roster.stopped()),
            stopped_lacking: count(roster.stopped_lacking.len()),
            left: count(roster.left.len()),
        })
    }
}

/// The pinned version of the document exists where it is to run.
async fn require_document(clients: &fleet::PlaceClients, settings: &Settings, place: &Place) -> Result<(), StepError> {
    let document = &settings.document;
    let call = clients.ssm.describe_document().name(&document.name).document_version(&document.version).send().await;
    call.named("ssm", "DescribeDocument").map_err(|failure| fleet::document_refused(settings, place, failure))?;
    Ok(())
}

fn refuse_unfit(settings: &Settings, roster: &Roster) -> Result<(), StepError> {
    let conditions = settings.fleet.tags.iter().map(|tag| format!("{}={}", tag.key, tag.values.join("|")));
    let conditions = conditions.collect::<Vec<_>>().join(" and ");
    if roster.running() == 0 && roster.stopped() == 0 {
        let places =
            settings.places().iter().map(|place| format!("{} of {}", place.region, place.account)).collect::<Vec<_>>();
        return Err(StepError::EmptyFleet { conditions, places: places.join(", ") });
    }
    if roster.running() == 0 {
        let stopped = u32::try_from(roster.stopped()).unwrap_or(u32::MAX);
        return Err(StepError::NoRunningHost { conditions, stopped });
    }
    let full = roster.without_tag_room();
    if !full.is_empty() {
        return Err(StepError::NoTagRoom { hosts: name_hosts(full) });
    }
    Ok(())
}
