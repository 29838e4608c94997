//! IAM: users, their two access keys, when a key was last used (FACTS A), and what a role may do.

mod simulation;

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event::Effect;
use super::pages::page;
use super::request::{Turn, iso_8601};
use super::state::{SecretText, State};
use super::visibility::Replicated;
use super::{Service, ServiceError};

/// An Inactive key still counts (FACTS A).
const ACCESS_KEYS_PER_USER: usize = 2;

/// The status of an access key. AWS added Expired (FACTS A), so a reader must expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyStatus {
    /// It authenticates.
    Active,
    /// It does not, and can again.
    Inactive,
    /// It does not.
    Expired,
}

impl fmt::Display for KeyStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// An IAM user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) user_id: String,
    pub(super) created: Timestamp,
}

/// One access key. A deleted one stays, with no status, since its deletion is seen late too.
#[derive(Debug)]
pub(super) struct AccessKey {
    pub(super) account: String,
    pub(super) user_name: String,
    pub(super) secret: SecretText,
    pub(super) created: Timestamp,
    pub(super) status: Replicated<Option<KeyStatus>>,
    pub(super) last_use: Replicated<Option<KeyUse>>,
}

/// The most recent use of a key: all that IAM keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyUse {
    pub(super) date: Timestamp,
    pub(super) service: Service,
    pub(super) region: String,
}

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "CreateUser" => create_user(state, turn),
        "GetUser" => get_user(state, turn),
        "ListUsers" => list_users(state, turn),
        "CreateAccessKey" => create_access_key(state, turn),
        "ListAccessKeys" => list_access_keys(state, turn),
        "UpdateAccessKey" => update_access_key(state, turn),
        "DeleteAccessKey" => delete_access_key(state, turn),
        "GetAccessKeyLastUsed" => get_access_key_last_used(state, turn),
        "SimulatePrincipalPolicy" => simulation::simulate_principal_policy(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn create_user(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let user_name = turn.text("UserName")?;
    let valid = |character: char| character.is_ascii_alphanumeric() || "_+=,.@-".contains(character);
    if user_name.is_empty() || user_name.len() > 64 || !user_name.chars().all(valid) {
        return Err(turn.invalid("The specified value for userName is invalid."));
    }
    let place = (turn.account.to_owned(), user_name.clone());
    if state.users.contains_key(&place) {
        let message = format!("User with name {user_name} already exists.");
        return Err(ServiceError::new(409, "EntityAlreadyExists", message));
    }
    let user_id = state.identifiers.access_key_id("AIDA");
    state.users.insert(place, User { user_id, created: turn.now });
    turn.effect(Effect::UserCreated { user_name: user_name.clone() });
    get_user(state, turn)
}

fn get_user(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let user_name = turn
        .optional_text("UserName")
        .ok_or_else(|| turn.invalid("Must specify userName when calling with non-User credentials"))?;
    let user = existing_user(state, turn, &user_name)?;
    Ok(json!({ "User": described(turn, &user_name, user) }))
}

fn described(turn: &Turn<'_>, user_name: &str, user: &User) -> Value {
    json!({
        "Path": "/",
        "UserName": user_name,
        "UserId": user.user_id,
        "Arn": format!("arn:aws:iam::{}:user/{user_name}", turn.account),
        "CreateDate": iso_8601(user.created),
    })
}

fn list_users(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let size = turn.number("MaxItems", 100, 1, 1000)?;
    let users: Vec<_> = state.users.iter().filter(|((account, _), _)| account == turn.account).collect();
    let marker = turn.optional_text("Marker");
    let invalid = || turn.invalid("Invalid Marker.");
    let page = page(users, |((_, name), _)| name.clone(), size, marker.as_deref(), invalid)?;
    let listed: Vec<Value> = page.items.iter().map(|((_, name), user)| described(turn, name, user)).collect();
    let mut answer = json!({ "Users": listed, "IsTruncated": page.next_token.is_some() });
    if let Some(marker) = page.next_token {
        answer["Marker"] = Value::from(marker);
    }
    Ok(answer)
}

fn existing_user<'a>(state: &'a State, turn: &Turn<'_>, user_name: &str) -> Result<&'a User, ServiceError> {
    state
        .users
        .get(&(turn.account.to_owned(), user_name.to_owned()))
        .ok_or_else(|| no_such_entity(format!("The user with name {user_name} cannot be found.")))
}

fn no_such_entity(message: String) -> ServiceError {
    ServiceError::new(404, "NoSuchEntity", message)
}

fn create_access_key(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let user_name = turn.text("UserName")?;
    existing_user(state, turn, &user_name)?;
    if state.keys_of(turn.account, &user_name).count() >= ACCESS_KEYS_PER_USER {
        let message = format!("Cannot exceed quota for AccessKeysPerUser: {ACCESS_KEYS_PER_USER}");
        return Err(ServiceError::new(409, "LimitExceeded", message));
    }
    let access_key_id = state.identifiers.access_key_id("AKIA");
    let mut secret = state.identifiers.secret_access_key();
    if state.unfit_keys > 0 {
        state.unfit_keys -= 1;
        secret.replace_range(7..8, ":");
    }
    let key = AccessKey {
        account: turn.account.to_owned(),
        user_name: user_name.clone(),
        secret: SecretText::new(&secret),
        created: turn.now,
        status: Replicated::new(turn.now, Some(KeyStatus::Active)),
        last_use: Replicated::new(turn.now, None),
    };
    let created = iso_8601(key.created);
    state.keys.insert(access_key_id.clone(), key);
    turn.effect(Effect::KeyCreated { user_name: user_name.clone(), access_key_id: access_key_id.clone() });
    Ok(json!({ "AccessKey": {
        "UserName": user_name,
        "AccessKeyId": access_key_id,
        "Status": "Active",
        "SecretAccessKey": secret,
        "CreateDate": created,
    }}))
}

impl State {
    /// The keys of a user that are so now: Active, Inactive or Expired.
    pub(super) fn keys_of<'a>(
        &'a self,
        account: &'a str,
        user_name: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a AccessKey)> {
        self.keys.iter().filter(move |(_, key)| {
            key.account == account && key.user_name == user_name && key.status.truth().is_some()
        })
    }
}

fn list_access_keys(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let user_name = turn.text("UserName")?;
    existing_user(state, turn, &user_name)?;
    let mut seen: Vec<(&String, &AccessKey, KeyStatus)> = state
        .keys
        .iter()
        .filter(|(_, key)| key.account == turn.account && key.user_name == user_name)
        .filter_map(|(id, key)| {
            let status = key.status.seen(turn.now, state.visibility.access_key_list).copied().flatten()?;
            Some((id, key, status))
        })
        .collect();
    seen.sort_by_key(|(id, key, _)| (key.created, (*id).clone()));
    let listed: Vec<Value> = seen
        .into_iter()
        .map(|(id, key, status)| {
            json!({
                "UserName": user_name,
                "AccessKeyId": id,
                "Status": status.to_string(),
                "CreateDate": iso_8601(key.created),
            })
        })
        .collect();
    Ok(json!({ "AccessKeyMetadata": listed, "IsTruncated": false }))
}

/// The key that a call names, which must belong to the user that it names.
fn existing_key<'a>(
    state: &'a mut State,
    turn: &Turn<'_>,
) -> Result<(String, String, &'a mut AccessKey, KeyStatus), ServiceError> {
    let user_name = turn.text("UserName")?;
    let access_key_id = turn.text("AccessKeyId")?;
    existing_user(state, turn, &user_name)?;
    let missing = no_such_entity(format!("The Access Key with id {access_key_id} cannot be found."));
    let key = state
        .keys
        .get_mut(&access_key_id)
        .filter(|key| key.account == turn.account && key.user_name == user_name)
        .ok_or_else(|| missing.clone())?;
    let status = (*key.status.truth()).ok_or(missing)?;
    Ok((user_name, access_key_id, key, status))
}

fn update_access_key(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let to = match turn.text("Status")?.as_str() {
        "Active" => KeyStatus::Active,
        "Inactive" => KeyStatus::Inactive,
        other => return Err(turn.invalid(format!("Value '{other}' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"))),
    };
    let (user_name, access_key_id, key, from) = existing_key(state, turn)?;
    if from != to {
        key.status.set(turn.now, Some(to));
        turn.effect(Effect::KeyStatusChanged { user_name, access_key_id, from, to });
    }
    Ok(json!({}))
}

fn delete_access_key(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let (user_name, access_key_id, key, _) = existing_key(state, turn)?;
    key.status.set(turn.now, None);
    turn.effect(Effect::KeyDeleted { user_name, access_key_id });
    Ok(json!({}))
}

fn get_access_key_last_used(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let access_key_id = turn.text("AccessKeyId")?;
    let known = state.keys.get(&access_key_id).filter(|key| {
        key.account == turn.account
            && key.status.seen(turn.now, state.visibility.access_key_list).is_some_and(Option::is_some)
    });
    let key =
        known.ok_or_else(|| no_such_entity(format!("The Access Key with id {access_key_id} cannot be found.")))?;
    let last_use = match key.last_use.seen(turn.now, state.visibility.access_key_last_use).cloned().flatten() {
        Some(used) => json!({
            "LastUsedDate": iso_8601(used.date),
            "ServiceName": used.service.name(),
            "Region": used.region,
        }),
        None => json!({ "ServiceName": "N/A", "Region": "N/A" }),
    };
    Ok(json!({ "UserName": key.user_name, "AccessKeyLastUsed": last_use }))
}

/// Accepts a request that this key signed, or refuses it as the service does. A key that is Active but not yet seen
/// at this endpoint is refused exactly like one that does not exist (FACTS A).
pub(super) fn authenticate(state: &mut State, turn: &mut Turn<'_>, access_key_id: &str) -> Result<(), ServiceError> {
    let delay = state.visibility.authenticates_at(turn.service, turn.region, turn.now);
    let key = state.keys.get_mut(access_key_id);
    let active = |key: &&mut AccessKey| key.status.seen(turn.now, delay) == Some(&Some(KeyStatus::Active));
    let Some(key) = key.filter(active) else { return Err(unknown_key(turn.service)) };
    if !turn.signature_matches {
        let message = "The request signature we calculated does not match the signature you provided. \
                       Check your AWS Secret Access Key and signing method.";
        return Err(ServiceError::new(403, "SignatureDoesNotMatch", message));
    }
    let used = KeyUse { date: turn.now, service: turn.service, region: turn.region.to_owned() };
    key.last_use.set(turn.now, Some(used));
    turn.effect(Effect::KeyUsed {
        access_key_id: access_key_id.to_owned(),
        service: turn.service,
        region: turn.region.to_owned(),
    });
    Ok(())
}

/// How each service refuses an access key id that it does not know.
pub(super) fn unknown_key(service: Service) -> ServiceError {
    match service {
        Service::S3 => ServiceError::new(
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Service::Iam | Service::Sts | Service::Sns => {
            ServiceError::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        }
        Service::Ec2 => {
            ServiceError::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        }
        Service::SecretsManager | Service::Ssm | Service::States | Service::Logs | Service::Events => {
            ServiceError::new(
                400,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        }
    }
}
