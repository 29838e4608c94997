//! The four steps. Each looks first, and does only what is not so yet; so it may come twice or late, and a step that
//! comes before the one that it needs says so and changes nothing.

use rotation::database_secret::{DatabaseSecret, DatabaseSecretError};
use rotation::password::{PasswordRules, PasswordWishes};
use serde_json::Value;

use crate::engine::{ConnectError, Login};
use crate::error::RotationError;
use crate::event::{RotationEvent, Step};
use crate::settings::Strategy;
use crate::versions::{Standing, Versions, random_password};
use crate::{Done, RotateDatabaseUser, guard};

/// The member of a secret's value, and the tag, that names its strategy.
const STRATEGY: &str = "rotationStrategy";
/// The member with the password rules.
const PASSWORD_RULES: &str = "passwordRules";

impl RotateDatabaseUser {
    /// Makes up a password and stores it, labelled AWSPENDING; no database is asked.
    pub(crate) async fn create_secret(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        let versions = Versions::look(&self.secretsmanager, &event.secret_id).await?;
        if versions.standing(event)? == Standing::Finished {
            return Ok(done("the version is current already"));
        }
        if versions.value(&self.secretsmanager, &event.version, "AWSPENDING").await?.is_some() {
            return Ok(done("the version has a value already"));
        }
        let base = self.base(&versions, event).await?;
        let strategy = self.strategy(&versions, &base)?;
        guard::no_proxy(&base)?;
        let username = guard::next_user(&base, &versions.arn, strategy)?;
        let password = random_password(&self.secretsmanager, &self.password_rules(&versions, &base)?).await?;
        versions.store(&self.secretsmanager, event, &base.with(&username, &password)).await?;
        Ok(done(&format!("stored a new password of {username}")))
    }

    /// Makes the database take the pending value.
    pub(crate) async fn set_secret(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        let versions = Versions::look(&self.secretsmanager, &event.secret_id).await?;
        if versions.standing(event)? == Standing::Finished {
            return Ok(done("the version is current already"));
        }
        let pending = self.pending(&versions, event).await?;
        let base = self.base(&versions, event).await?;
        let strategy = self.strategy(&versions, &base)?;
        guard::no_proxy(&pending)?;
        guard::same(&pending, &base, &versions.arn, strategy)?;
        self.set(&versions, strategy, &pending, &base).await
    }

    /// Logs in with the pending value. Where rotation was switched on without a rotation, the pending version is empty
    /// and this step comes alone (FACTS D): the current value shows that the database can be reached.
    pub(crate) async fn test_secret(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        let versions = Versions::look(&self.secretsmanager, &event.secret_id).await?;
        versions.standing(event)?;
        if versions.value(&self.secretsmanager, &event.version, "AWSPENDING").await?.is_some() {
            return self.try_login(&self.pending(&versions, event).await?, "AWSPENDING").await;
        }
        match self.current(&versions, event).await? {
            Some(current) if current.password().is_some() => self.try_login(&current, "AWSCURRENT").await,
            Some(_) | None => Ok(done("neither the pending nor the current version has a password yet")),
        }
    }

    /// Moves AWSCURRENT onto the pending version, if its password works.
    pub(crate) async fn finish_secret(&self, event: &RotationEvent) -> Result<Done, RotationError> {
        let versions = Versions::look(&self.secretsmanager, &event.secret_id).await?;
        if versions.standing(event)? == Standing::Finished {
            return Ok(done("the version is current already"));
        }
        let pending = self.pending(&versions, event).await?;
        match self.try_login(&pending, "AWSPENDING").await {
            Err(RotationError::WrongPassword { server, username, .. }) => {
                let missing = format!("{server} does not let {username} in with its password yet");
                Err(too_early(&versions, event, missing))
            }
            Err(other) => Err(other),
            Ok(_) => {
                versions.promote(&self.secretsmanager, event).await?;
                Ok(done("the version is current now"))
            }
        }
    }

    /// The pending value, which must be there, and with a password: an empty one would open the account to everybody.
    async fn pending(&self, versions: &Versions, event: &RotationEvent) -> Result<DatabaseSecret, RotationError> {
        let value = versions.value(&self.secretsmanager, &event.version, "AWSPENDING").await?;
        let missing = || too_early(versions, event, "it has no value yet, which createSecret stores".to_owned());
        let value = value.ok_or_else(missing)?;
        match value.password() {
            Some(_) => Ok(value),
            None => Err(RotationError::SecretValueUnreadable {
                secret: versions.arn.clone(),
                which: "AWSPENDING".to_owned(),
                problem: DatabaseSecretError::Member("password"),
            }),
        }
    }

    /// The current value; none where the event's own version is the first there is.
    pub(crate) async fn current(
        &self,
        versions: &Versions,
        event: &RotationEvent,
    ) -> Result<Option<DatabaseSecret>, RotationError> {
        match versions.current().filter(|current| **current != event.version) {
            Some(current) => versions.value(&self.secretsmanager, current, "AWSCURRENT").await,
            None => Ok(None),
        }
    }

    /// What the pending value is made from: the current one, or the tags that say what the first one shall be.
    async fn base(&self, versions: &Versions, event: &RotationEvent) -> Result<DatabaseSecret, RotationError> {
        match self.current(versions, event).await? {
            Some(current) => Ok(current),
            None => versions.first_value(),
        }
    }

    /// The secret's own strategy, the function's, or the one that AWS's functions would have.
    fn strategy(&self, versions: &Versions, secret: &DatabaseSecret) -> Result<Strategy, RotationError> {
        let own = secret.member(STRATEGY).and_then(Value::as_str).or_else(|| versions.tag(STRATEGY));
        let strategy = match own {
            Some(name) => Strategy::parse(name).ok_or_else(|| RotationError::InvalidSettings {
                variable: format!("{STRATEGY} of {}", versions.arn),
                problem: "it is single, alternating or dual-password".to_owned(),
            })?,
            None => self.settings.strategy.unwrap_or(match secret.master() {
                Some(_) => Strategy::Alternating,
                None => Strategy::Single,
            }),
        };
        let needs_administrator = strategy == Strategy::Alternating || secret.password().is_none();
        if needs_administrator && secret.master().is_none() {
            let strategy = if secret.password().is_none() { "a first password" } else { strategy.name() };
            return Err(RotationError::NoAdministrator { secret: versions.arn.clone(), strategy });
        }
        Ok(strategy)
    }

    fn password_rules(&self, versions: &Versions, secret: &DatabaseSecret) -> Result<PasswordRules, RotationError> {
        let own = secret.member(PASSWORD_RULES).map(PasswordWishes::from_json).transpose();
        let rules = own.and_then(|own| {
            PasswordRules::default().with(&self.settings.password).with(&own.unwrap_or_default()).settled()
        });
        rules.map_err(|problem| RotationError::PasswordRules { secret: versions.arn.clone(), problem })
    }

    /// A login with a value, and a statement as its user.
    async fn try_login(&self, secret: &DatabaseSecret, which: &str) -> Result<Done, RotationError> {
        let login = login(secret);
        let engine = self.engine(secret.engine());
        let refused = |error: ConnectError| RotationError::connecting(&login.server(), &login.username, which, error);
        let mut session = engine.connector().connect(&login).await.map_err(refused)?;
        engine
            .only_reads(session.as_mut())
            .await
            .map_err(|error| RotationError::stating(&login.server(), &login.username, &login.username, error))?;
        Ok(done(&format!("{} lets {} in with the password of {which}", login.server(), login.username)))
    }
}

/// The login of a value that has a password.
pub(crate) fn login(secret: &DatabaseSecret) -> Login {
    Login {
        host: secret.host().to_owned(),
        port: secret.port(),
        database: secret.database().map(str::to_owned),
        username: secret.username().to_owned(),
        password: secret.password().unwrap_or_else(|| rotation::access_key::SecretValue::new(String::new())),
    }
}

fn too_early(versions: &Versions, event: &RotationEvent, missing: String) -> RotationError {
    let (secret, version, step): (_, _, Step) = (versions.arn.clone(), event.version.clone(), event.step);
    RotationError::TooEarly { secret, version, step, missing }
}

fn done(what: &str) -> Done {
    vec![what.to_owned()]
}
