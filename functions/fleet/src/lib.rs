//! Reads what is so about the hosts, in every account and region of the fleet, and writes their ledger.
//!
//! EC2 is the roster and not SSM: SSM's own list omits stopped instances (FACTS C). SSM's view is asked only about
//! hosts that gave no answer, and about candidates for a canary.

mod ledger;
mod reading;

use std::collections::BTreeSet;

use aws_credential_types::Credentials;
use aws_sdk_ec2::types::Filter;
use aws_sdk_ssm::types::{InstanceInformationStringFilter, PingStatus};
use jiff::Timestamp;
use lambda::{AwsFailure, AwsResult, Environment};
use rotation::StepError;
use rotation::fleet::{Host, Roster};
use rotation::names::{InstanceId, ledger_tag};
use rotation::request::Request;
use rotation::secret::Target;
use rotation::settings::{Place, Settings};
use rotation::waves::Nodes;

pub use ledger::write as write_ledger;

/// The clients for one account and region.
#[derive(Clone, Debug)]
pub struct PlaceClients {
    /// EC2 there.
    pub ec2: aws_sdk_ec2::Client,
    /// SSM there.
    pub ssm: aws_sdk_ssm::Client,
    /// SSM without retries, for SendCommand, which has no client token.
    pub ssm_once: aws_sdk_ssm::Client,
}

/// Opens a place: its region, and its role where it is another account's.
pub async fn open(environment: &Environment, place: &Place) -> Result<PlaceClients, StepError> {
    let there = surroundings(environment, place).await?;
    Ok(PlaceClients {
        ec2: aws_sdk_ec2::Client::new(&there.sdk_config("EC2")),
        ssm: aws_sdk_ssm::Client::new(&there.sdk_config("SSM")),
        ssm_once: aws_sdk_ssm::Client::new(&there.sdk_config_without_retries("SSM")),
    })
}

/// A place's region, with the credentials of its role where it is another account's.
pub async fn surroundings(environment: &Environment, place: &Place) -> Result<Environment, StepError> {
    let there = environment.in_region(&place.region);
    match &place.role {
        Some(role) => Ok(there.with_credentials(assume(environment, &place.account, role).await?)),
        None => Ok(there),
    }
}

async fn assume(environment: &Environment, account: &str, role: &str) -> Result<Credentials, StepError> {
    let sts = aws_sdk_sts::Client::new(&environment.sdk_config("STS"));
    let call = sts.assume_role().role_arn(role).role_session_name("credential-rotation").send().await;
    let answer = call.named("sts", "AssumeRole").map_err(|failure| match failure.is_transient() {
        true => failure.into(),
        false => {
            StepError::PlaceNotAccessible { account: account.to_owned(), role: role.to_owned(), cause: failure.refusal }
        }
    })?;
    let session =
        answer.credentials.ok_or_else(|| StepError::NotVisibleYet { what: format!("a session of {role}") })?;
    Ok(Credentials::new(
        session.access_key_id,
        session.secret_access_key,
        Some(session.session_token),
        None,
        "assume-role",
    ))
}

/// The hosts of one place: all that match the tag conditions, in every state but terminated, and all that bear our
/// ledger.
pub async fn hosts(clients: &PlaceClients, settings: &Settings) -> Result<Vec<Host>, StepError> {
    let tag = ledger_tag(&settings.rotation);
    let conditions = settings.fleet.tags.iter().map(|condition| {
        Filter::builder().name(format!("tag:{}", condition.key)).set_values(Some(condition.values.clone())).build()
    });
    let mut hosts = describe(clients, conditions.collect(), &tag).await?;
    let bearers = Filter::builder().name("tag-key").values(&tag).build();
    let matching: BTreeSet<InstanceId> = hosts.iter().map(|host| host.id.clone()).collect();
    let bearers = describe(clients, vec![bearers], &tag).await?.into_iter();
    hosts.extend(bearers.filter(|host| !matching.contains(&host.id)).map(|host| Host { matches: false, ..host }));
    hosts.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(hosts)
}

async fn describe(clients: &PlaceClients, mut filters: Vec<Filter>, ledger: &str) -> Result<Vec<Host>, StepError> {
    let states = ["pending", "running", "stopping", "stopped"].map(str::to_owned).to_vec();
    filters.push(Filter::builder().name("instance-state-name").set_values(Some(states)).build());
    let mut hosts = Vec::new();
    let mut token = None;
    loop {
        let call = clients.ec2.describe_instances().set_filters(Some(filters.clone())).max_results(1000);
        let page = call.set_next_token(token).send().await.named("ec2", "DescribeInstances")?;
        let instances =
            page.reservations.unwrap_or_default().into_iter().flat_map(|group| group.instances.unwrap_or_default());
        hosts.extend(instances.filter_map(|instance| reading::host(instance, ledger)));
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(hosts);
        }
    }
}

/// The whole fleet, place by place, sorted by what it means for a rotation.
pub async fn roster(
    environment: &Environment,
    settings: &Settings,
    request: &Request,
    target: Option<&Target>,
) -> Result<Roster, StepError> {
    let mut roster = Roster::default();
    for place in settings.places() {
        let clients = open(environment, &place).await?;
        roster.merge(Roster::new(hosts(&clients, settings).await?, target));
    }
    // Who asks for all places at once commands nobody, so that no proof is too old.
    Ok(roster.seen_by(request, Timestamp::MIN))
}

/// What SSM says of instances: asked only about hosts that gave no answer, or that are to be named.
pub async fn nodes(clients: &PlaceClients, instances: &[InstanceId]) -> Result<Nodes, StepError> {
    let mut nodes = Nodes::default();
    for chunk in instances.chunks(NODES_OF_A_PAGE) {
        let ids = chunk.iter().map(|id| id.0.clone()).collect();
        let filter = InstanceInformationStringFilter::builder().key("InstanceIds").set_values(Some(ids)).build();
        let filter = filter.map_err(|_| StepError::NotVisibleYet { what: "instances to ask SSM about".to_owned() })?;
        let call = clients.ssm.describe_instance_information().filters(filter).max_results(50).send().await;
        for node in call.named("ssm", "DescribeInstanceInformation")?.instance_information_list() {
            let Some(id) = node.instance_id().map(InstanceId::from) else { continue };
            if node.ping_status() == Some(&PingStatus::Online) {
                nodes.online.push(id.clone());
            }
            nodes.registered.push(id);
        }
    }
    nodes.registered.sort();
    nodes.online.sort();
    Ok(nodes)
}

/// What SSM says of hosts page by page, until one is online: a canary among thousands is found with one call.
pub async fn nodes_for_a_canary(clients: &PlaceClients, hosts: &[InstanceId]) -> Result<Nodes, StepError> {
    let mut last = Nodes::default();
    for page in hosts.chunks(NODES_OF_A_PAGE) {
        let nodes = nodes(clients, page).await?;
        if !nodes.online.is_empty() {
            return Ok(nodes);
        }
        last = if nodes.registered.is_empty() { last } else { nodes };
    }
    Ok(last)
}

/// FACTS C: a page of DescribeInstanceInformation holds at most 50.
pub const NODES_OF_A_PAGE: usize = 50;

/// What a refusal of SSM means where it may be about the document.
pub fn document_refused(name: &str, version: &str, place: &Place, failure: AwsFailure) -> StepError {
    match failure.code() {
        "InvalidDocument" | "InvalidDocumentVersion" => StepError::DocumentNotFound {
            document: name.to_owned(),
            version: version.to_owned(),
            region: place.region.clone(),
            cause: failure.refusal,
        },
        _ => failure.into(),
    }
}
