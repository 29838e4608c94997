//! EC2: pages, filters, times and tags.

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName, Tag};

use super::super::{InstanceSetUp, InstanceState, Service, Visibility};
use super::*;

fn client(cloud: &Arc<Cloud>, account: &str) -> Client {
    client!(cloud, aws_sdk_ec2, Caller::function("enumerate-instances", account), REGION)
}

fn host(number: usize) -> String {
    format!("i-{number:017x}")
}

fn add(cloud: &Cloud, number: usize) {
    cloud.add_instance(InstanceSetUp::running(&host(number), ACCOUNT, REGION, &[("SQL", "2022")]));
}

fn tagged(key: &str, value: &str) -> Filter {
    Filter::builder().name(format!("tag:{key}")).values(value).build()
}

async fn describe(client: &Client, filters: Vec<Filter>) -> Vec<Instance> {
    let answer = client.describe_instances().set_filters(Some(filters)).send().await.unwrap();
    answer
        .reservations
        .unwrap_or_default()
        .into_iter()
        .flat_map(|reservation| reservation.instances.unwrap_or_default())
        .collect()
}

async fn tag(client: &Client, hosts: &[usize], key: &str, value: &str) -> Result<(), aws_sdk_ec2::Error> {
    let resources = hosts.iter().map(|number| host(*number)).collect();
    let tags = client.create_tags().set_resources(Some(resources)).tags(Tag::builder().key(key).value(value).build());
    tags.send().await.map(|_| ()).map_err(aws_sdk_ec2::Error::from)
}

#[tokio::test]
async fn pages_hold_every_instance_once() {
    let cloud = cloud();
    (0..12).for_each(|number| add(&cloud, number));
    let client = client(&cloud, ACCOUNT);
    let (mut ids, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = client.describe_instances().max_results(5).set_next_token(token).send().await.unwrap();
        ids.extend(
            page.reservations()
                .iter()
                .flat_map(|reservation| reservation.instances())
                .map(|instance| instance.instance_id().unwrap().to_owned()),
        );
        pages += 1;
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!((pages, ids.len()), (3, 12));
    let both = client.describe_instances().instance_ids(host(1)).max_results(5).send().await;
    assert_eq!(code!(both), "InvalidParameterCombination");
    assert_eq!(code!(client.describe_instances().next_token("made-up").send().await), "InvalidNextToken");
}

#[tokio::test]
async fn an_instance_tells_its_state_its_times_and_its_tags() {
    let cloud = cloud();
    add(&cloud, 1);
    let client = client(&cloud, ACCOUNT);
    let found = &describe(&client, vec![tagged("SQL", "20*")]).await[0];
    assert_eq!(found.instance_id(), Some(host(1).as_str()));
    assert_eq!(found.state().unwrap().name(), Some(&InstanceStateName::Running));
    assert_eq!(found.placement().unwrap().availability_zone(), Some("eu-west-1a"));
    assert_eq!(found.tags()[0].value(), Some("2022"));
    let launched = found.launch_time().unwrap().secs();
    let attached = |found: &Instance| found.block_device_mappings()[0].ebs().unwrap().attach_time().unwrap().secs();
    assert_eq!(attached(found), launched);
    after(&cloud, 60).await;
    cloud.stop_instance(&host(1));
    cloud.start_instance(&host(1));
    let started = &describe(&client, vec![]).await[0];
    assert_eq!(started.launch_time().unwrap().secs(), launched + 60, "LaunchTime changes at every start");
    assert_eq!(attached(started), launched, "a start attaches nothing");
    after(&cloud, 60).await;
    cloud.restore_volumes(&host(1));
    assert!(attached(&describe(&client, vec![]).await[0]) >= launched + 120);
    tag(&client, &[1], "credential-rotation:backups", "v1").await.unwrap();
    cloud.launch_from_image(&host(2), &host(1));
    let copy =
        &describe(&client, vec![Filter::builder().name("tag-key").values("credential-rotation:backups").build()]).await
            [1];
    assert_eq!(copy.instance_id(), Some(host(2).as_str()), "an image's instance copies the ledger tag");
    assert!(copy.launch_time().unwrap().secs() >= launched + 120);
}

#[tokio::test]
async fn filters_combine_and_terminated_instances_fade() {
    let cloud = cloud();
    (1..=3).for_each(|number| add(&cloud, number));
    let client = client(&cloud, ACCOUNT);
    cloud.stop_instance(&host(2));
    cloud.terminate_instance(&host(3));
    let state = |names: &[&str]| {
        Filter::builder()
            .name("instance-state-name")
            .set_values(Some(names.iter().map(|name| (*name).to_owned()).collect()))
            .build()
    };
    let ids =
        |found: Vec<Instance>| found.into_iter().map(|instance| instance.instance_id.unwrap()).collect::<Vec<_>>();
    assert_eq!(
        ids(describe(&client, vec![tagged("SQL", "2022"), state(&["running", "stopped"])]).await),
        [host(1), host(2)]
    );
    assert_eq!(ids(describe(&client, vec![state(&["terminated"])]).await), [host(3)]);
    after(&cloud, 3700).await;
    assert_eq!(ids(describe(&client, vec![]).await), [host(1), host(2)]);
    assert_eq!(code!(client.describe_instances().instance_ids(host(3)).send().await), "InvalidInstanceID.NotFound");
    assert_eq!(cloud.instance(&host(2)).unwrap().state, InstanceState::Stopped);
}

#[tokio::test]
async fn each_account_and_region_has_its_own_instances() {
    let cloud = cloud();
    add(&cloud, 1);
    cloud.add_instance(InstanceSetUp::running(&host(2), OTHER_ACCOUNT, REGION, &[]));
    cloud.add_instance(InstanceSetUp::running(&host(3), ACCOUNT, "us-east-1", &[]));
    assert_eq!(describe(&client(&cloud, ACCOUNT), vec![]).await.len(), 1);
    let other = describe(&client(&cloud, OTHER_ACCOUNT), vec![]).await;
    assert_eq!(other[0].instance_id(), Some(host(2).as_str()));
    assert!(other[0].tags().is_empty(), "an instance without tags is ordinary");
}

#[tokio::test]
async fn one_gone_or_full_instance_fails_the_whole_batch_of_tags() {
    let cloud = cloud();
    (1..=2).for_each(|number| add(&cloud, number));
    let client = client(&cloud, ACCOUNT);
    let gone = tag(&client, &[1, 9], "ledger", "x").await.unwrap_err();
    assert_eq!(aws_sdk_ec2::error::ProvideErrorMetadata::code(&gone), Some("InvalidInstanceID.NotFound"));
    for number in 0..49 {
        tag(&client, &[2], &format!("tag-{number}"), "").await.unwrap();
    }
    let full = tag(&client, &[1, 2], "ledger", "x").await.unwrap_err();
    assert_eq!(aws_sdk_ec2::error::ProvideErrorMetadata::code(&full), Some("TagLimitExceeded"));
    assert_eq!(cloud.instance(&host(1)).unwrap().tags.len(), 1, "nothing was written");
    tag(&client, &[2], "tag-1", "again").await.unwrap();
    client.delete_tags().resources(host(2)).tags(Tag::builder().key("tag-1").build()).send().await.unwrap();
    tag(&client, &[1, 2], "ledger", "x").await.unwrap();
}

#[tokio::test]
async fn a_tag_is_seen_late() {
    let cloud = cloud();
    add(&cloud, 1);
    cloud.set_visibility(Visibility { instance_tags: Duration::from_secs(3), ..Visibility::immediate() });
    let client = client(&cloud, ACCOUNT);
    tag(&client, &[1], "ledger", "x").await.unwrap();
    assert!(describe(&client, vec![tagged("ledger", "x")]).await.is_empty());
    after(&cloud, 3).await;
    assert_eq!(describe(&client, vec![tagged("ledger", "x")]).await.len(), 1);
}

#[tokio::test]
async fn a_role_without_the_permission_is_told_so() {
    let cloud = cloud();
    cloud.deny("enumerate-instances", "ec2:DescribeInstances");
    assert_eq!(code!(client(&cloud, ACCOUNT).describe_instances().send().await), "UnauthorizedOperation");
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_that_it_would_have_succeeded() {
    let cloud = cloud();
    add(&cloud, 1);
    let journal = cloud.journal();
    let input = || serde_json::json!({ "DryRun": "true", "InstanceIds": [host(1)] });
    for action in ["StopInstances", "StartInstances", "TerminateInstances", "CreateTags", "DeleteTags"] {
        let dry = cloud.call(&Caller::Person, REGION, Service::Ec2, action, input());
        let refused = dry.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (412, "DryRunOperation"), "{action}");
    }
    let client = client(&cloud, ACCOUNT);
    assert_eq!(code!(client.stop_instances().instance_ids(host(1)).dry_run(true).send().await), "DryRunOperation");
    assert_eq!(cloud.instance(&host(1)).unwrap().state, InstanceState::Running);
    assert!(cloud.journal().iter().skip(journal.len()).all(|event| event.effects.is_empty()));
    let unknown = cloud.call(&Caller::Person, REGION, Service::Ec2, "RunInstances", input());
    assert_eq!(unknown.unwrap_err().code, "UnknownOperationException");
    cloud.deny("enumerate-instances", "ec2:StopInstances");
    assert_eq!(code!(client.stop_instances().dry_run(true).send().await), "UnauthorizedOperation");
}
