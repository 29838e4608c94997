//! STS: who am I, and sessions in another account.

use std::time::Duration;

use serde_json::{Value, json};

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
    let user_id = match turn.caller {
        Caller::AccessKey { access_key_id } => state
            .keys
            .get(access_key_id)
            .and_then(|key| state.users.get(&(key.account.clone(), key.user_name.clone())))
            .map(|user| user.user_id.clone())
            .unwrap_or_default(),
        Caller::Function { name, .. } => format!("AROA0000000000FUNCTION:{name}"),
        Caller::InstanceRole { instance_id } => format!("AROA0000000000INSTANCE:{instance_id}"),
        Caller::Person | Caller::Aws => "AROA0000000000OPERATOR:person".to_owned(),
    };
    json!({ "UserId": user_id, "Account": turn.account, "Arn": state.caller_arn(turn.caller) })
}

/// The role's account comes from its ARN; what the session may do is what the function's own name may do, so that
/// [`super::Cloud::deny`] covers it there too. A role that does not exist is denied like one that trusts nobody.
fn assume_role(state: &mut State, turn: &mut Turn<'_>) -> Result<Value, ServiceError> {
    let role_arn = turn.text("RoleArn")?;
    let session_name = turn.text("RoleSessionName")?;
    let known = state.roles.contains(&role_arn);
    let account = role_arn.split(':').nth(4).unwrap_or_default().to_owned();
    let name = match turn.caller {
        Caller::Function { name, .. } => name.clone(),
        Caller::InstanceRole { .. } | Caller::AccessKey { .. } => return Err(denied(state, turn, &role_arn)),
        Caller::Person | Caller::Aws => "operator".to_owned(),
    };
    if !known {
        return Err(denied(state, turn, &role_arn));
    }
    let credentials = state.open_session(Caller::Function { name, account: account.clone() });
    let role_name = role_arn.rsplit('/').next().unwrap_or_default();
    let expires = turn.now.saturating_add(SESSION_LENGTH).unwrap_or(turn.now);
    Ok(json!({
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
            "Expiration": iso_8601(expires),
        },
        "AssumedRoleUser": {
            "AssumedRoleId": format!("AROA00000000000ASSUMED:{session_name}"),
            "Arn": format!("arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}"),
        },
    }))
}

fn denied(state: &State, turn: &Turn<'_>, role_arn: &str) -> ServiceError {
    let arn = state.caller_arn(turn.caller);
    let message = format!("User: {arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}");
    ServiceError::new(403, "AccessDenied", message)
}
