//! Reads what is so about a login's secret, and what its current version holds where no label of ours says so.
//!
//! Shared by the steps that plan with logins, so that all see alike.

use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use lambda::AwsResult;
use rotation::StepError;
use rotation::fleet::Roster;
use rotation::login::plan::{Adopted, LoginFacts};
use rotation::login::value::{LoginValue, NotALogin};
use rotation::names::VersionId;
use rotation::request::Request;
use rotation::secret::SecretFacts;
use rotation::settings::Settings;

const SERVICE: &str = "secretsmanager";

/// One look at the secret.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its labels and tags.
    pub secret: SecretFacts,
    /// What the current version holds, read where it is not ours.
    pub current: Option<Result<Adopted, NotALogin>>,
}

/// Looks. A value is read only of a current version that nobody has adopted yet.
pub async fn look(client: &Client, settings: &Settings) -> Result<Look, StepError> {
    let names = &settings.login()?.names;
    let secret = secret::look(client, settings).await?;
    let strange = secret.current().filter(|version| secret.made_of(version).is_none()).cloned();
    let mut look = Look { secret, current: None };
    let Some(version) = strange else { return Ok(look) };
    let Some(value) = secret::value(client, &look.secret.arn, &version).await? else { return Ok(look) };
    look.current = Some(match LoginValue::parse(&value, names) {
        Ok(value) => {
            Ok(Adopted { login: value.login.clone(), stored: stored(client, &look.secret.arn, &version).await? })
        }
        Err(why) => Err(why),
    });
    Ok(look)
}

/// When a version was stored: the age of a password that a person stored counts from there. ListSecretVersionIds shows
/// labelled versions on its first pages, of which a secret has at most twenty.
async fn stored(client: &Client, arn: &str, version: &VersionId) -> Result<Timestamp, StepError> {
    let call = client.list_secret_version_ids().secret_id(arn).max_results(100).send().await;
    let versions = call.named(SERVICE, "ListSecretVersionIds")?.versions.unwrap_or_default();
    let entry = versions.iter().find(|entry| entry.version_id() == Some(version.as_str()));
    let created = entry.and_then(|entry| Timestamp::from_second(entry.created_date()?.secs()).ok());
    created
        .ok_or_else(|| StepError::NotVisibleYet { what: format!("version {version} in the list of {arn}'s versions") })
}

impl Look {
    /// The facts of a plan by a step that makes no password.
    pub fn into_facts<'a>(
        self,
        now: Timestamp,
        request: &'a Request,
        settings: &'a Settings,
        roster: Option<&'a Roster>,
    ) -> Result<LoginFacts<'a>, StepError> {
        Ok(LoginFacts {
            now,
            request,
            settings,
            login: settings.login()?,
            secret: self.secret,
            current: self.current,
            token: "none".into(),
            roster,
            inspections: &[],
            refused: None,
            made: 0,
        })
    }
}
