//! STS: who am I, and sessions in another account.

use std::time::Duration;

use serde_json::{Value, json};

use super::caller::{assumed_role_arn, assumed_role_id};
use super::request::{Turn, iso_8601};
use super::state::State;
use super::{Caller, ServiceError};

const SESSION_LENGTH: Duration = Duration::from_secs(3600);

pub(super) fn answer(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    match turn.action {
        "GetCallerIdentity" => Ok(get_caller_identity(state, turn)),
        "AssumeRole" => assume_role(state, turn),
        _ => Err(turn.unknown_action()),
    }
}

fn get_caller_identity(state: &State, turn: &Turn<'_>) -> Value {
    let user_id = |caller: &Caller| {
        let Caller::AccessKey { access_key_id } = caller else { return None };
        let key = state.keys.get(access_key_id)?;
        state.users.get(&(key.account.clone(), key.user_name.clone())).map(|user| user.user_id.clone())
    };
    let user_id = match state.role_session(turn.caller) {
        Some((role_arn, session_name)) => assumed_role_id(&role_arn, &session_name),
        None => user_id(turn.caller).unwrap_or_default(),
    };
    json!({ "UserId": user_id, "Account": turn.account, "Arn": state.caller_arn(turn.caller) })
}

/// The session is the role's, in the role's account, and still the function's: a denial of either holds in it. A role
/// that does not exist is denied like one that trusts nobody.
fn assume_role(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let role_arn = turn.text("RoleArn")?;
    let session_name = turn.text("RoleSessionName")?;
    let name = match turn.caller {
        Caller::Function { name, .. } => name.clone(),
        Caller::InstanceRole { .. } | Caller::AccessKey { .. } => return Err(untrusted(state, turn, &role_arn)),
        Caller::Person | Caller::Aws => "operator".to_owned(),
    };
    if !state.roles.contains(&role_arn) {
        return Err(untrusted(state, turn, &role_arn));
    }
    let assumed = json!({
        "AssumedRoleId": assumed_role_id(&role_arn, &session_name),
        "Arn": assumed_role_arn(&role_arn, &session_name),
    });
    let credentials = state.open_session(Caller::Function { name, role_arn, session_name });
    let expires = turn.now.saturating_add(SESSION_LENGTH).unwrap_or(turn.now);
    Ok(json!({
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
            "Expiration": iso_8601(expires),
        },
        "AssumedRoleUser": assumed,
    }))
}

fn untrusted(state: &State, turn: &Turn<'_>, role_arn: &str) -> ServiceError {
    let arn = state.caller_arn(turn.caller);
    let message = format!("User: {arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}");
    ServiceError::new(403, "AccessDenied", message)
}
