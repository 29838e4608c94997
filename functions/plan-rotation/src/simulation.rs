//! Has IAM simulate permissions: of the functions' roles, which the deployment names, and of the roles that the functions
//! assume in other accounts. Where that is not allowed the plan says so, and goes on.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use lambda::{AwsResult, Environment};
use rotation::StepError;
use rotation::permissions::{Need, Principal, Simulation};
use rotation::settings::{Place, Settings};

/// Asks about every need, role by role.
pub(crate) async fn simulate(
    environment: &Environment,
    iam: &Client,
    settings: &Settings,
    needs: &[Need],
) -> Result<Simulation, StepError> {
    let mut simulation = Simulation::default();
    let mut unnamed: Vec<&str> = Vec::new();
    let mut by_principal: BTreeMap<&Principal, Vec<&Need>> = BTreeMap::new();
    needs.iter().for_each(|need| by_principal.entry(&need.principal).or_default().push(need));
    for (principal, needs) in by_principal {
        let (role, client) = match principal {
            Principal::Function(function) => match environment.function_role(function) {
                Some(role) => (role.to_owned(), iam.clone()),
                None => {
                    unnamed.push(function);
                    continue;
                }
            },
            // In its own account, as itself: a policy is simulated where it stands.
            Principal::Role(role) => match abroad(environment, settings, role).await? {
                Ok(client) => (role.clone(), client),
                Err(refusal) => {
                    simulation.not_asked.push(refusal.to_string());
                    continue;
                }
            },
        };
        if let Err(refusal) = ask(&client, &role, &needs, &mut simulation).await {
            if refusal.is_passing() {
                return Err(refusal);
            }
            simulation.not_asked.push(format!("{role}: {refusal}"));
        }
    }
    if !unnamed.is_empty() {
        let why = "its variable FUNCTION_ROLES does not name the roles of";
        simulation.not_asked.push(format!("{why} {}", unnamed.join(", ")));
    }
    Ok(simulation)
}

async fn abroad(
    environment: &Environment,
    settings: &Settings,
    role: &str,
) -> Result<Result<Client, StepError>, StepError> {
    let place: Option<Place> = settings.places().into_iter().find(|place| place.role.as_deref() == Some(role));
    let Some(place) = place else { return Ok(Ok(Client::new(&environment.sdk_config("IAM")))) };
    match fleet::surroundings(environment, &place).await {
        Ok(there) => Ok(Ok(Client::new(&there.sdk_config("IAM")))),
        Err(refusal) if refusal.is_passing() => Err(refusal),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Asks about one role: an action and its resources are one call, so that regions cost none of their own.
async fn ask(client: &Client, role: &str, needs: &[&Need], simulation: &mut Simulation) -> Result<(), StepError> {
    let mut rest: Vec<&Need> = needs.to_vec();
    while let Some(first) = rest.first().copied() {
        let (alike, others): (Vec<&Need>, Vec<&Need>) =
            rest.into_iter().partition(|need| need.action == first.action && need.context == first.context);
        rest = others;
        let resources: Vec<String> = alike.iter().map(|need| need.resource.clone()).collect();
        for result in results(client, role, first, &resources).await? {
            take(simulation, role, first.action, &result, &resources);
        }
    }
    Ok(())
}

/// Counts what IAM says of one action: of each resource where there are several, else of the one.
fn take(simulation: &mut Simulation, role: &str, action: &str, result: &EvaluationResult, resources: &[String]) {
    let of_each = result.resource_specific_results();
    let of_each: Vec<(&str, &PolicyEvaluationDecisionType)> = match resources {
        [one] => vec![(one, &result.eval_decision)],
        _ => of_each.iter().map(|result| (result.eval_resource_name(), result.eval_resource_decision())).collect(),
    };
    for (resource, decision) in of_each {
        if *decision == PolicyEvaluationDecisionType::Allowed {
            simulation.allowed += 1;
        } else {
            simulation.missing.push(format!("{role} may not {action} on {resource} ({})", decision.as_str()));
        }
    }
}

/// Every page of one simulation.
async fn results(
    client: &Client,
    role: &str,
    need: &Need,
    resources: &[String],
) -> Result<Vec<EvaluationResult>, StepError> {
    let (mut results, mut marker) = (Vec::new(), None);
    loop {
        let call = client
            .simulate_principal_policy()
            .policy_source_arn(role)
            .action_names(need.action)
            .set_resource_arns(Some(resources.to_vec()))
            .set_context_entries(Some(context(need)))
            .set_marker(marker);
        let page = call.send().await.named("iam", "SimulatePrincipalPolicy")?;
        results.extend(page.evaluation_results.unwrap_or_default());
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(results);
        }
    }
}

fn context(need: &Need) -> Vec<ContextEntry> {
    let entry = |(key, values): &(String, Vec<String>)| {
        let kind = match values.len() {
            1 if key != "aws:TagKeys" => ContextKeyTypeEnum::String,
            _ => ContextKeyTypeEnum::StringList,
        };
        ContextEntry::builder()
            .context_key_name(key)
            .set_context_key_values(Some(values.clone()))
            .context_key_type(kind)
            .build()
    };
    need.context.iter().map(entry).collect()
}
