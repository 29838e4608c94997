//! Has IAM simulate permissions: of the functions' roles, which the deployment names, and of the roles that the functions
//! assume in other accounts. Where that is not allowed the plan says so, and goes on.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use lambda::{AwsFailure, AwsResult, Environment};
use rotation::StepError;
use rotation::permissions::{Need, Principal, Simulation};
use rotation::settings::{Place, Settings};

/// Asks about every need, one call for each role and resource.
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

/// Asks about one role. Needs of one service that share a resource and its conditions are one call; where IAM will not
/// take them together, each is a call of its own.
async fn ask(client: &Client, role: &str, needs: &[&Need], simulation: &mut Simulation) -> Result<(), StepError> {
    let mut rest: Vec<&Need> = needs.to_vec();
    while let Some(first) = rest.first().copied() {
        let (alike, others): (Vec<&Need>, Vec<&Need>) = rest.into_iter().partition(|need| is_alike(need, first));
        rest = others;
        match results(client, role, &alike).await {
            Ok(results) => take(simulation, role, &first.resource, &results),
            // "… require different authorization information": by a rule that AWS does not publish.
            Err(failure) if failure.code() == "InvalidInput" && alike.len() > 1 => {
                for need in alike {
                    take(simulation, role, &need.resource, &results(client, role, &[need]).await?);
                }
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(())
}

fn is_alike(need: &Need, other: &Need) -> bool {
    let service = |need: &Need| need.action.split(':').next();
    need.resource == other.resource && need.context == other.context && service(need) == service(other)
}

/// Counts what IAM says.
fn take(simulation: &mut Simulation, role: &str, resource: &str, results: &[EvaluationResult]) {
    for result in results {
        if result.eval_decision == PolicyEvaluationDecisionType::Allowed {
            simulation.allowed += 1;
            continue;
        }
        let (action, how) = (&result.eval_action_name, result.eval_decision.as_str());
        simulation.missing.push(format!("{role} may not {action} on {resource} ({how})"));
    }
}

/// Every page of one simulation.
async fn results(client: &Client, role: &str, alike: &[&Need]) -> Result<Vec<EvaluationResult>, AwsFailure> {
    let Some(first) = alike.first() else { return Ok(Vec::new()) };
    let actions: Vec<String> = alike.iter().map(|need| need.action.to_owned()).collect();
    let (mut results, mut marker) = (Vec::new(), None);
    loop {
        let call = client
            .simulate_principal_policy()
            .policy_source_arn(role)
            .set_action_names(Some(actions.clone()))
            .resource_arns(&first.resource)
            .set_context_entries(Some(context(first)))
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
