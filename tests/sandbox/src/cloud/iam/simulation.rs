//! SimulatePrincipalPolicy: what a role or user may do, asked of IAM and not tried.
//!
//! The answer is the one that the call itself would get ([`State::decide`]), so a simulation and a refusal never
//! disagree here. In AWS they can: a simulation knows neither resource policies of others nor what a condition will
//! find.

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::caller::{account_in, name_in};
use super::super::pages::page;
use super::super::permissions::Decision;
use super::super::request::Turn;
use super::super::state::State;
use super::{existing_user, no_such_entity};

/// Members of the request that would need policies to work on, and there are none here.
const NOT_SERVED: [&str; 7] = [
    "PolicyInputList",
    "PermissionsBoundaryPolicyInputList",
    "PolicyExclusionList",
    "ResourcePolicy",
    "ResourceOwner",
    "CallerArn",
    "ResourceHandlingOption",
];

const CONTEXT_KEY_TYPES: [&str; 12] = [
    "string",
    "stringList",
    "numeric",
    "numericList",
    "boolean",
    "booleanList",
    "ip",
    "ipList",
    "binary",
    "binaryList",
    "date",
    "dateList",
];

pub(super) fn simulate_principal_policy(state: &State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    if let Some(member) = NOT_SERVED.into_iter().find(|member| turn.member(member).is_some()) {
        return Err(invalid_input(format!("the local AWS has no policies, and takes no {member}")));
    }
    let identity = turn.text("PolicySourceArn")?;
    let actions = action_names(turn)?;
    let resources = resource_arns(turn)?;
    check_together(&actions, &resources)?;
    check_context(turn)?;
    find_entity(state, turn, &identity)?;
    let size = turn.number("MaxItems", 100, 1, 1000)?;
    let marker = turn.optional_text("Marker");
    let invalid = || turn.invalid("Invalid Marker.");
    // Somebody may ask for the same action twice.
    let places = actions.into_iter().enumerate().collect();
    let page = page(places, |(place, action)| format!("{place} {action}"), size, marker.as_deref(), invalid)?;
    let results: Vec<Value> =
        page.items.iter().map(|(_, action)| result(state, &identity, action, &resources)).collect();
    let mut answer = json!({ "EvaluationResults": results, "IsTruncated": page.next_token.is_some() });
    if let Some(marker) = page.next_token {
        answer["Marker"] = Value::from(marker);
    }
    Ok(answer)
}

/// One action. With resources the word for each is in its own result, and the name above them is no resource but the
/// form of the action's ARNs (model, EvaluationResult).
fn result(state: &State, identity: &str, action: &str, resources: &[String]) -> Value {
    let decision = state.decide(identity, None, action);
    let matched = matched_statements(identity, decision);
    let mut result = json!({
        "EvalActionName": action,
        "EvalResourceName": "*",
        "EvalDecision": decision.word(),
        "MatchedStatements": matched,
        "MissingContextValues": [],
    });
    if !resources.is_empty() {
        let service = action.split(':').next().unwrap_or_default();
        let form = format!("arn:aws:{service}:${{Region}}:${{Account}}:${{ResourceType}}:${{ResourceId}}");
        let on_each = resources.iter().map(|resource| {
            json!({
                "EvalResourceName": resource,
                "EvalResourceDecision": decision.word(),
                "MatchedStatements": matched,
                "MissingContextValues": [],
            })
        });
        result["EvalResourceName"] = Value::from(form);
        result["EvalDecisionDetails"] = json!({});
        result["ResourceSpecificResults"] = on_each.collect();
    }
    result
}

/// The statement that decided, by the name of its policy as IAM makes it from an inline one; none decided an implicit
/// deny.
fn matched_statements(identity: &str, decision: Decision) -> Value {
    let policy = match decision {
        Decision::Allowed => "allowed",
        Decision::ExplicitDeny => "denied",
        Decision::ImplicitDeny => return json!([]),
    };
    let kind = if identity.contains(":user/") { "user" } else { "role" };
    json!([{ "SourcePolicyId": format!("{kind}_{}_{policy}", name_in(identity)) }])
}

fn action_names(turn: &Turn<'_>) -> Result<Vec<String>, ServiceError> {
    let actions = turn.texts("ActionNames");
    if actions.is_empty() {
        return Err(turn.missing("actionNames"));
    }
    if let Some(action) = actions.iter().find(|action| !(3..=128).contains(&action.len())) {
        return Err(turn.invalid(format!(
            "Value '{action}' at 'actionNames' failed to satisfy constraint: Member must have length between 3 and 128"
        )));
    }
    for action in &actions {
        let parts: Vec<&str> = action.split(':').collect();
        let is_whole = parts.len() == 2 && parts.iter().all(|part| !part.is_empty());
        if !is_whole || action.contains(['*', '?']) {
            return Err(invalid_input(format!("The action is invalid since it is missing names: {action}")));
        }
    }
    Ok(actions)
}

/// The resources that are named one by one; none where the question is about all of them.
fn resource_arns(turn: &Turn<'_>) -> Result<Vec<String>, ServiceError> {
    let resources = turn.texts("ResourceArns");
    if resources.len() == 1 && resources[0] == "*" {
        return Ok(Vec::new());
    }
    let is_arn = |resource: &str| {
        let parts: Vec<&str> = resource.splitn(6, ':').collect();
        parts.len() == 6 && parts[0] == "arn" && [1, 2, 5].iter().all(|at| !parts[*at].is_empty())
    };
    match resources.iter().find(|resource| !is_arn(resource)) {
        Some(resource) => Err(invalid_input(format!("ResourceNames are not in a valid ARN format: {resource}."))),
        None => Ok(resources),
    }
}

/// IAM refuses to ask about some actions together once resources are named. Which these are, no page says; actions of
/// two services are never taken for granted here.
fn check_together(actions: &[String], resources: &[String]) -> Result<(), ServiceError> {
    let service = |action: &str| action.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let first = service(&actions[0]);
    let (some, others): (Vec<&str>, Vec<&str>) = actions.iter().map(String::as_str).partition(|a| service(a) == first);
    if resources.is_empty() || others.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Invalid Input Actions: [{}] and [{}] require different authorization information.",
        some.join(","),
        others.join(",")
    );
    Err(invalid_input(message))
}

/// No denial has a condition, so nothing reads the context; a malformed one is refused all the same.
fn check_context(turn: &Turn<'_>) -> Result<(), ServiceError> {
    for entry in turn.list("ContextEntries") {
        let text = |member: &str| entry.get(member).and_then(Value::as_str).unwrap_or_default();
        let (name, kind) = (text("ContextKeyName"), text("ContextKeyType"));
        if !(5..=256).contains(&name.len()) || !CONTEXT_KEY_TYPES.contains(&kind) {
            return Err(turn.invalid(format!("Value '{name}' of type '{kind}' at 'contextEntries' failed to satisfy constraint: a name of 5 to 256 characters and one of the types [{}]", CONTEXT_KEY_TYPES.join(", "))));
        }
    }
    Ok(())
}

/// The role or user must be of the caller's account: nobody can be allowed to ask about another's.
fn find_entity(state: &State, turn: &Turn<'_>, arn: &str) -> Result<(), ServiceError> {
    let unclear = || invalid_input(format!("Invalid Entity Arn: {arn} does not clearly define entity type and name."));
    let rest = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':')).ok_or_else(unclear)?;
    let (kind, _) = rest.1.split_once('/').ok_or_else(unclear)?;
    if !["role", "user", "group"].contains(&kind) || name_in(arn).is_empty() {
        return Err(unclear());
    }
    if account_in(arn) != turn.account {
        let why = "because no resource-based policy allows the iam:SimulatePrincipalPolicy action";
        return Err(state.refusal(turn, "iam:SimulatePrincipalPolicy", why));
    }
    match kind {
        "user" => existing_user(state, turn, name_in(arn)).map(|_| ()),
        "role" if state.has_role(arn) => Ok(()),
        _ => Err(no_such_entity(format!("The {kind} with name {} cannot be found.", name_in(arn)))),
    }
}

fn invalid_input(message: String) -> ServiceError {
    ServiceError::new(400, "InvalidInput", message)
}
