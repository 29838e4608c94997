//! `setSecret`: the database takes the pending value.
//!
//! The pending password is tried first, always: where it works, an earlier try has set it and nobody is asked to set it
//! again. Then, as the user itself, with whichever older password works; or as an administrator, who need not know
//! any, so that a password that somebody changed by hand is put right.

use rotation::access_key::SecretValue;
use rotation::database_secret::DatabaseSecret;
use serde_json::{Map, Value};

use crate::engine::{Administrator, ConnectError, Engine, Login, NewPassword, OldPassword, Session};
use crate::error::RotationError;
use crate::settings::Strategy;
use crate::steps::login;
use crate::versions::{Versions, master_value};
use crate::{Done, RotateDatabaseUser, guard};

/// The member of a secret's value that lets the rotation create a user who does not exist.
const CREATE_USER: &str = "createUser";

impl RotateDatabaseUser {
    pub(crate) async fn set(
        &self,
        versions: &Versions,
        strategy: Strategy,
        pending: &DatabaseSecret,
        base: &DatabaseSecret,
    ) -> Result<Done, RotationError> {
        let engine = self.engine(pending.engine());
        let new = login(pending);
        let works = enter(engine.as_ref(), &new, "AWSPENDING").await?.is_ok();
        let is_alone = engine.has_one_user_a_name() || strategy == Strategy::DualPassword || base.master().is_none();
        if works && is_alone && strategy != Strategy::Alternating {
            return Ok(vec![format!("{} has the pending password already", new.username)]);
        }
        match base.master() {
            None => self.as_itself(engine.as_ref(), versions, strategy, pending, base).await,
            Some(master) => {
                let master = self.administrator(versions, base, master).await?;
                as_administrator(engine.as_ref(), &master, strategy, (pending, base), versions, works).await
            }
        }
    }

    /// With the current or the previous password, whichever works.
    async fn as_itself(
        &self,
        engine: &dyn Engine,
        versions: &Versions,
        strategy: Strategy,
        pending: &DatabaseSecret,
        base: &DatabaseSecret,
    ) -> Result<Done, RotationError> {
        let new = login(pending);
        let mut tried = vec!["AWSPENDING"];
        let mut refusal = String::new();
        for which in ["AWSCURRENT", "AWSPREVIOUS"] {
            let secret = match which {
                "AWSCURRENT" => Some(base.clone()),
                _ => self.previous(versions).await?,
            };
            // A password of another server is not shown to this one, and no password is none.
            let same = |secret: &DatabaseSecret| {
                secret.password().is_some() && guard::same(pending, secret, &versions.arn, strategy).is_ok()
            };
            let Some(old) = secret.filter(same).map(|secret| login(&secret)) else { continue };
            tried.push(which);
            match enter(engine, &old, which).await? {
                Err(words) => refusal = words,
                Ok(mut session) => {
                    refuse_replica(engine, session.as_mut(), &new, &old.username).await?;
                    engine
                        .set_own_password(session.as_mut(), new_password(&new, strategy, Some(&old.password)))
                        .await
                        .map_err(|error| RotationError::stating(&new.server(), &new.username, &new.username, error))?;
                    return Ok(vec![format!("{} has set its own password, let in by {which}", new.username)]);
                }
            }
        }
        let (server, username, tried) = (new.server(), new.username.clone(), tried.join(", "));
        Err(RotationError::WrongPassword { server, username, tried, cause: refusal })
    }

    async fn previous(&self, versions: &Versions) -> Result<Option<DatabaseSecret>, RotationError> {
        match versions.previous() {
            Some(previous) => versions.value(&self.secretsmanager, previous, "AWSPREVIOUS").await,
            None => Ok(None),
        }
    }

    /// The administrator of the secret's own server, and of no other.
    async fn administrator(
        &self,
        versions: &Versions,
        secret: &DatabaseSecret,
        master: &str,
    ) -> Result<Login, RotationError> {
        let unreadable = |problem| RotationError::SecretValueUnreadable {
            secret: master.to_owned(),
            which: "the administrator's, AWSCURRENT".to_owned(),
            problem,
        };
        use rotation::database_secret::DatabaseSecretError::{Member, NotJson};
        let value = master_value(&self.secretsmanager, master).await?;
        let value = value.ok_or_else(|| RotationError::NoValueYet { secret: master.to_owned() })?;
        let members: Map<String, Value> = serde_json::from_str(value.reveal()).map_err(|_| unreadable(NotJson))?;
        // Only the tags of a secret that names no host are asked for: RDS's own.
        let names_host = members.get("host").and_then(Value::as_str).is_some_and(|host| !host.is_empty());
        let tags = if names_host { None } else { Some(Versions::look(&self.secretsmanager, master).await?) };
        let tag = |key: &str| tags.as_ref().and_then(|tags| tags.tag(key)).map(str::to_owned);
        guard::same_server(&members, tag, master, secret, &versions.arn)?;
        let text =
            |name: &'static str| members.get(name).and_then(Value::as_str).ok_or_else(|| unreadable(Member(name)));
        Ok(Login {
            username: text("username")?.to_owned(),
            password: SecretValue::new(text("password")?.to_owned()),
            ..login(secret)
        })
    }
}

async fn as_administrator(
    engine: &dyn Engine,
    master: &Login,
    strategy: Strategy,
    (pending, base): (&DatabaseSecret, &DatabaseSecret),
    versions: &Versions,
    works: bool,
) -> Result<Done, RotationError> {
    let new = login(pending);
    let failed = |error| RotationError::stating(&new.server(), &master.username, &new.username, error);
    let session = engine.connector().connect(master).await.map_err(|error| {
        RotationError::connecting(&master.server(), &master.username, "the administrator's AWSCURRENT", error)
    })?;
    let mut administrator = Administrator { session, login: master };
    refuse_replica(engine, administrator.session.as_mut(), &new, &master.username).await?;
    let pair = match strategy {
        Strategy::Alternating => Some(guard::pair(base, &versions.arn)?),
        Strategy::Single | Strategy::DualPassword => None,
    };
    let mut done = Vec::new();
    // The one whose rights count must be there; the twin is made like it.
    let must_exist = pair.as_ref().map_or(new.username.as_str(), |pair| &pair.original);
    if !engine.knows(&mut administrator, must_exist).await.map_err(failed)? {
        if !may_create(base) {
            return Err(RotationError::UserMissing { username: must_exist.to_owned(), server: new.server() });
        }
        let first = NewPassword { username: must_exist, ..new_password(&new, Strategy::Single, None) };
        engine.create_user(&mut administrator, first).await.map_err(failed)?;
        done.push(format!("created {must_exist}"));
    }
    if let Some(pair) = &pair {
        let is_twin = new.username == pair.twin;
        if is_twin || engine.knows(&mut administrator, &pair.twin).await.map_err(failed)? {
            done.extend(engine.equalise(&mut administrator, pair, &new.password).await.map_err(failed)?);
        }
    }
    if !works || !engine.has_one_user_a_name() {
        engine.set_password(&mut administrator, new_password(&new, strategy, None)).await.map_err(failed)?;
        done.push(format!("set the password of {} as {}", new.username, master.username));
    }
    Ok(done)
}

fn new_password<'a>(new: &'a Login, strategy: Strategy, let_in_by: Option<&'a SecretValue>) -> NewPassword<'a> {
    let old = match strategy {
        Strategy::Single | Strategy::Alternating => OldPassword::Ends,
        Strategy::DualPassword => OldPassword::Stays,
    };
    NewPassword { username: &new.username, password: &new.password, old, let_in_by }
}

fn may_create(secret: &DatabaseSecret) -> bool {
    match secret.member(CREATE_USER) {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(word)) => word == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

/// A session, or the server's words where it refuses the password; whatever else went wrong is an error at once, since
/// another password would not mend it.
async fn enter(
    engine: &dyn Engine,
    login: &Login,
    which: &str,
) -> Result<Result<Box<dyn Session>, String>, RotationError> {
    match engine.connector().connect(login).await {
        Ok(session) => Ok(Ok(session)),
        Err(ConnectError::WrongPassword(words)) => Ok(Err(words)),
        Err(error @ ConnectError::CannotConnect(_)) => {
            Err(RotationError::connecting(&login.server(), &login.username, which, error))
        }
    }
}

async fn refuse_replica(
    engine: &dyn Engine,
    session: &mut dyn Session,
    new: &Login,
    who: &str,
) -> Result<(), RotationError> {
    let failed = |error| RotationError::stating(&new.server(), who, &new.username, error);
    if engine.only_reads(session).await.map_err(failed)? {
        return Err(RotationError::ReadOnlyServer { server: new.server() });
    }
    Ok(())
}
