//! Run Command: who is reached, when it is seen, how it ends.

use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{
    CloudWatchOutputConfig, CommandFilter, CommandFilterKey, CommandInvocation, CommandInvocationStatus, CommandStatus,
    InstanceInformationStringFilter, PingStatus, Target,
};
use serde_json::json;

use super::super::{
    Delivery, Fault, FaultKind, InstanceSetUp, InvocationStatus, InvocationUpdate, PluginResult, Service, Visibility,
};
use super::*;

const DOCUMENT: &str = "apply-s3-credential";

fn host(number: usize) -> String {
    format!("i-{number:017x}")
}

/// A cloud with a document and so many hosts, which answers every delivery as `answer` says after ten seconds.
fn fleet(
    hosts: usize,
    answer: fn(&Delivery) -> Option<InvocationUpdate>,
) -> (Arc<Cloud>, Client, Arc<Mutex<Vec<Delivery>>>) {
    let cloud = cloud();
    let content = json!({
        "schemaVersion": "2.2",
        "parameters": {
            "rotation": { "type": "String", "allowedPattern": "^[a-z]{1,8}$" },
            "loose": { "type": "String", "allowedPattern": "[0-9]+", "default": "1" },
            "proof": { "type": "String", "allowedValues": ["backup", "none"], "default": "backup" },
            "executionTimeout": { "type": "String", "default": "300" },
        },
        "mainSteps": [],
    });
    cloud.add_document(ACCOUNT, REGION, DOCUMENT, content);
    (0..hosts).for_each(|number| {
        cloud.add_instance(InstanceSetUp::running(&host(number), ACCOUNT, REGION, &[("SQL", "2022")]))
    });
    let deliveries = Arc::new(Mutex::new(Vec::new()));
    let (seen, weak) = (deliveries.clone(), Arc::downgrade(&cloud));
    cloud.set_command_sink(Arc::new(move |delivery: Delivery| {
        seen.lock().unwrap().push(delivery.clone());
        let Some(cloud) = weak.upgrade() else { return };
        let clock = cloud.clock().clone();
        clock.spawn(async move {
            cloud.clock().sleep(Duration::from_secs(10)).await;
            if let Some(update) = answer(&delivery) {
                cloud.record_output(&delivery.command_id, &delivery.instance_id, update);
            }
        });
    }));
    let client = client!(cloud, aws_sdk_ssm, function("send-command"), REGION);
    (cloud, client, deliveries)
}

fn step(name: &str, response_code: i32, standard_output: &str, standard_error: &str) -> PluginResult {
    let status = if response_code == 0 { InvocationStatus::Success } else { InvocationStatus::Failed };
    PluginResult {
        name: name.to_owned(),
        status,
        response_code,
        standard_output: standard_output.to_owned(),
        standard_error: standard_error.to_owned(),
    }
}

fn succeeds(_: &Delivery) -> Option<InvocationUpdate> {
    Some(InvocationUpdate::ended(
        InvocationStatus::Success,
        vec![step("linux", 0, "{\"proved\":1}", "a warning"), step("windows", 0, "", "")],
    ))
}

fn fails(_: &Delivery) -> Option<InvocationUpdate> {
    Some(InvocationUpdate::ended(InvocationStatus::Failed, vec![step("linux", 1, &"x".repeat(3000), "")]))
}

fn keeps_silent(_: &Delivery) -> Option<InvocationUpdate> {
    None
}

type Sending = aws_sdk_ssm::operation::send_command::builders::SendCommandFluentBuilder;

fn command(client: &Client) -> Sending {
    client.send_command().document_name(DOCUMENT).parameters("rotation", vec!["backups".to_owned()])
}

fn by_tag(client: &Client) -> Sending {
    command(client)
        .targets(Target::builder().key("tag:SQL").values("2022").build())
        .max_concurrency("100%")
        .max_errors("100%")
}

async fn send(sending: Sending) -> String {
    sending.send().await.unwrap().command.unwrap().command_id.unwrap()
}

async fn invocations(client: &Client, command_id: &str) -> Vec<CommandInvocation> {
    client
        .list_command_invocations()
        .command_id(command_id)
        .details(true)
        .send()
        .await
        .unwrap()
        .command_invocations
        .unwrap_or_default()
}

async fn status(client: &Client, command_id: &str) -> (CommandStatus, String) {
    let command = client.list_commands().command_id(command_id).send().await.unwrap().commands.unwrap().remove(0);
    (command.status.unwrap(), command.status_details.unwrap())
}

#[tokio::test]
async fn a_command_reaches_every_node_with_the_tag_and_tells_what_each_printed() {
    let (cloud, client, deliveries) = fleet(3, succeeds);
    cloud.stop_instance(&host(2));
    let output = CloudWatchOutputConfig::builder()
        .cloud_watch_log_group_name("rotation")
        .cloud_watch_output_enabled(true)
        .build();
    let sent = by_tag(&client)
        .comment("run-1 canary")
        .cloud_watch_output_config(output)
        .send()
        .await
        .unwrap()
        .command
        .unwrap();
    assert_eq!((sent.target_count, sent.document_version(), sent.comment()), (2, Some("1"), Some("run-1 canary")));
    assert_eq!(sent.cloud_watch_output_config().unwrap().cloud_watch_log_group_name(), Some("rotation"));
    let total = sent.expires_after().unwrap().secs() - sent.requested_date_time().unwrap().secs();
    assert_eq!(total, 3600 + 300, "TimeoutSeconds and executionTimeout");
    let id = sent.command_id().unwrap();
    after(&cloud, 30).await;
    let ended = invocations(&client, id).await;
    assert_eq!(ended.len(), 2, "a stopped instance is no target");
    assert!(ended.iter().all(|invocation| invocation.status() == Some(&CommandInvocationStatus::Success)));
    let steps = ended[0].command_plugins();
    assert_eq!((steps[0].name(), steps[0].response_code(), steps.len()), (Some("linux"), 0, 2));
    assert_eq!(steps[0].output(), Some("{\"proved\":1}\n----------ERROR-------\na warning"));
    assert_eq!(status(&client, id).await, (CommandStatus::Success, "Success".to_owned()));
    let delivery = deliveries.lock().unwrap()[0].clone();
    assert_eq!(delivery.parameters["rotation"], "backups");
    assert_eq!(delivery.parameters["proof"], "backup", "a default is filled in");
    let without = client.list_command_invocations().command_id(id).send().await.unwrap();
    assert!(without.command_invocations()[0].command_plugins().is_empty(), "only Details shows the steps");
}

#[tokio::test]
async fn output_is_cut_at_2500_characters() {
    let (cloud, client, _) = fleet(1, fails);
    let id = send(by_tag(&client)).await;
    after(&cloud, 30).await;
    let ended = invocations(&client, &id).await;
    assert_eq!(ended[0].status_details(), Some("Failed"));
    assert_eq!(ended[0].command_plugins()[0].output().unwrap().len(), 2500);
}

#[tokio::test]
async fn parameters_are_matched_unanchored_and_unknown_ones_refused() {
    let (_cloud, client, _) = fleet(1, succeeds);
    let with = |name: &str, value: &str| by_tag(&client).parameters(name, vec![value.to_owned()]).send();
    assert_eq!(code!(with("rotation", "Not ok").await), "InvalidParameters");
    assert_eq!(code!(with("proof", "perhaps").await), "InvalidParameters");
    assert_eq!(code!(with("made-up", "x").await), "InvalidParameters");
    with("loose", "$(rm) 7").await.expect("a pattern without anchors lets anything through around its match");
    let missing = client.send_command().document_name(DOCUMENT).instance_ids(host(0)).send().await;
    assert_eq!(code!(missing), "InvalidParameters");
}

#[tokio::test]
async fn what_does_not_exist_is_refused_by_its_own_code() {
    let (cloud, client, _) = fleet(2, succeeds);
    let mut unmanaged = InstanceSetUp::running(&host(7), ACCOUNT, REGION, &[]);
    unmanaged.agent = None;
    cloud.add_instance(unmanaged);
    cloud.stop_instance(&host(1));
    for id in [host(7), host(8), host(1)] {
        assert_eq!(code!(command(&client).instance_ids(host(0)).instance_ids(id).send().await), "InvalidInstanceId");
    }
    assert_eq!(code!(by_tag(&client).document_name("another").send().await), "InvalidDocument");
    assert_eq!(code!(by_tag(&client).document_version("9").send().await), "InvalidDocumentVersion");
    assert_eq!(code!(by_tag(&client).comment("x".repeat(101)).send().await), "ValidationException");
    let many = (0..51).map(host).collect();
    assert_eq!(code!(command(&client).set_instance_ids(Some(many)).send().await), "ValidationException");
    assert_eq!(
        code!(client.cancel_command().command_id("5f0e4c1a-0000-4000-a000-000000000000").send().await),
        "InvalidCommandId"
    );
    assert!(cloud.commands().is_empty(), "nothing was sent");
    let none = command(&client).targets(Target::builder().key("tag:SQL").values("1999").build());
    let id = send(none).await;
    assert_eq!(status(&client, &id).await.1, "No Instances In Tag");
}

#[tokio::test]
async fn invocations_are_an_empty_list_before_they_are_seen() {
    let (cloud, client, _) = fleet(1, succeeds);
    cloud.set_visibility(Visibility {
        commands: Duration::from_secs(2),
        invocations: Duration::from_secs(5),
        ..Visibility::immediate()
    });
    let id = send(by_tag(&client)).await;
    assert!(invocations(&client, &id).await.is_empty());
    assert!(client.list_commands().command_id(&id).send().await.unwrap().commands().is_empty());
    after(&cloud, 2).await;
    assert_eq!(client.list_commands().command_id(&id).send().await.unwrap().commands().len(), 1);
    assert!(invocations(&client, &id).await.is_empty());
    after(&cloud, 3).await;
    assert_eq!(invocations(&client, &id).await.len(), 1);
}

#[tokio::test]
async fn a_command_whose_reply_was_lost_is_found_by_its_document_time_and_comment() {
    let (cloud, client, _) = fleet(1, succeeds);
    send(by_tag(&client).comment("run-0 canary")).await;
    after(&cloud, 60).await;
    let before = cloud.clock().now().to_string();
    cloud.inject(Fault {
        service: Service::Ssm,
        action: "SendCommand".to_owned(),
        nth: 1,
        kind: FaultKind::LoseReplyAfterEffect,
    });
    by_tag(&client).comment("run-1 canary").send().await.unwrap_err();
    let filter = |key: CommandFilterKey, value: &str| CommandFilter::builder().key(key).value(value).build().unwrap();
    let found = client
        .list_commands()
        .filters(filter(CommandFilterKey::DocumentName, DOCUMENT))
        .filters(filter(CommandFilterKey::InvokedAfter, &before))
        .send()
        .await
        .unwrap()
        .commands
        .unwrap();
    assert_eq!(found.iter().map(|command| command.comment().unwrap()).collect::<Vec<_>>(), ["run-1 canary"]);
}

#[tokio::test]
async fn an_offline_node_times_out_and_the_parent_counts_it_neither_as_error_nor_as_success() {
    let (cloud, client, deliveries) = fleet(3, succeeds);
    cloud.set_agent_online(&host(1), false);
    let id = send(by_tag(&client).timeout_seconds(60)).await;
    after(&cloud, 59).await;
    let pending = &invocations(&client, &id).await[1];
    assert_eq!(pending.status(), Some(&CommandInvocationStatus::Pending));
    after(&cloud, 2).await;
    let expired = &invocations(&client, &id).await[1];
    assert_eq!(
        (expired.status(), expired.status_details()),
        (Some(&CommandInvocationStatus::TimedOut), Some("Delivery Timed Out"))
    );
    let command = client.list_commands().command_id(&id).send().await.unwrap().commands.unwrap().remove(0);
    assert_eq!(
        (command.status(), command.delivery_timed_out_count, command.error_count),
        (Some(&CommandStatus::Failed), 1, 0)
    );
    assert_eq!(deliveries.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_node_that_comes_back_in_time_takes_up_what_waits_for_it() {
    let (cloud, client, deliveries) = fleet(1, succeeds);
    cloud.set_agent_online(&host(0), false);
    let id = send(by_tag(&client).timeout_seconds(600)).await;
    after(&cloud, 100).await;
    assert!(deliveries.lock().unwrap().is_empty());
    cloud.set_agent_online(&host(0), true);
    after(&cloud, 30).await;
    assert_eq!(invocations(&client, &id).await[0].status(), Some(&CommandInvocationStatus::Success));
    assert_eq!(deliveries.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_agent_that_dies_in_the_middle_is_in_progress_until_both_timeouts_have_passed() {
    let (cloud, client, _) = fleet(1, keeps_silent);
    let id = send(by_tag(&client).timeout_seconds(60).parameters("executionTimeout", vec!["120".to_owned()])).await;
    after(&cloud, 170).await;
    assert_eq!(invocations(&client, &id).await[0].status(), Some(&CommandInvocationStatus::InProgress));
    after(&cloud, 12).await;
    assert_eq!(invocations(&client, &id).await[0].status_details(), Some("Delivery Timed Out"));
    cloud.record_output(&id, &host(0), succeeds_late());
    assert!(last_effects(&cloud).is_empty(), "the first final state stays");
    assert_eq!(invocations(&client, &id).await[0].status(), Some(&CommandInvocationStatus::TimedOut));
    assert_eq!(status(&client, &id).await, (CommandStatus::TimedOut, "Delivery Timed Out".to_owned()));
}

fn succeeds_late() -> InvocationUpdate {
    InvocationUpdate::ended(InvocationStatus::Success, Vec::new())
}

#[tokio::test]
async fn deliveries_ramp_up_and_never_pass_max_concurrency() {
    let (cloud, client, deliveries) = fleet(9, keeps_silent);
    send(by_tag(&client).max_concurrency("5")).await;
    let mut counts = Vec::new();
    for _ in 0..5 {
        after(&cloud, 1).await;
        counts.push(deliveries.lock().unwrap().len());
    }
    assert_eq!(counts.iter().max(), Some(&5), "nobody has answered, so no more than five: {counts:?}");
    assert!(counts[0] <= 1 && counts[1] <= 2 && counts[2] <= 4, "{counts:?}");
}

#[tokio::test]
async fn the_first_error_ends_a_command_whose_max_errors_is_zero() {
    let (cloud, client, deliveries) = fleet(4, fails);
    let id = send(by_tag(&client).max_concurrency("1").max_errors("0")).await;
    after(&cloud, 60).await;
    assert_eq!(deliveries.lock().unwrap().len(), 1);
    let ended = invocations(&client, &id).await;
    assert_eq!(ended.iter().filter(|invocation| invocation.status_details() == Some("Terminated")).count(), 3);
    assert_eq!(status(&client, &id).await.0, CommandStatus::Failed);
}

#[tokio::test]
async fn cancelling_stops_what_has_not_begun() {
    let (cloud, client, _) = fleet(2, succeeds);
    cloud.set_agent_online(&host(1), false);
    let id = send(by_tag(&client)).await;
    after(&cloud, 3).await;
    client.cancel_command().command_id(&id).send().await.unwrap();
    let now = invocations(&client, &id).await;
    assert_eq!(
        (now[0].status(), now[1].status()),
        (Some(&CommandInvocationStatus::Cancelling), Some(&CommandInvocationStatus::Cancelled))
    );
    after(&cloud, 30).await;
    assert_eq!(
        invocations(&client, &id).await[0].status(),
        Some(&CommandInvocationStatus::Success),
        "no guarantee that a process stops"
    );
    cloud.set_agent_online(&host(1), true);
    after(&cloud, 30).await;
    assert_eq!(invocations(&client, &id).await[1].status(), Some(&CommandInvocationStatus::Cancelled));
}

#[tokio::test]
async fn invocations_come_in_pages_of_fifty() {
    let (cloud, client, _) = fleet(60, succeeds);
    let id = send(by_tag(&client)).await;
    after(&cloud, 60).await;
    let first = client.list_command_invocations().command_id(&id).send().await.unwrap();
    assert_eq!(first.command_invocations().len(), 50);
    let second =
        client.list_command_invocations().command_id(&id).set_next_token(first.next_token).send().await.unwrap();
    assert_eq!((second.command_invocations().len(), second.next_token()), (10, None));
}

#[tokio::test]
async fn node_information_omits_what_is_stopped_and_names_what_lost_its_connection() {
    let (cloud, client, _) = fleet(12, succeeds);
    cloud.stop_instance(&host(3));
    cloud.set_agent_online(&host(0), false);
    let first = client.describe_instance_information().send().await.unwrap();
    assert_eq!(first.instance_information_list().len(), 10, "ten where nothing is said");
    assert_eq!(first.instance_information_list()[0].ping_status(), Some(&PingStatus::ConnectionLost));
    let rest = client.describe_instance_information().set_next_token(first.next_token).send().await.unwrap();
    assert_eq!(rest.instance_information_list().len(), 1);
    let filter =
        InstanceInformationStringFilter::builder().key("InstanceIds").values(host(3)).values(host(4)).build().unwrap();
    let named = client.describe_instance_information().filters(filter).max_results(50).send().await.unwrap();
    let ids: Vec<_> =
        named.instance_information_list().iter().map(|node| node.instance_id().unwrap().to_owned()).collect();
    assert_eq!(ids, [host(4)]);
}

#[tokio::test]
async fn a_document_keeps_its_versions() {
    let (cloud, client, deliveries) = fleet(1, succeeds);
    assert_eq!(
        cloud.add_document(
            ACCOUNT,
            REGION,
            DOCUMENT,
            json!({ "schemaVersion": "2.2", "parameters": {}, "mainSteps": [] })
        ),
        "2"
    );
    let described = client.describe_document().name(DOCUMENT).send().await.unwrap().document.unwrap();
    assert_eq!((described.default_version(), described.latest_version()), (Some("2"), Some("2")));
    let first = client.get_document().name(DOCUMENT).document_version("1").send().await.unwrap();
    assert!(first.content().unwrap().contains("allowedPattern"));
    send(by_tag(&client).document_version("1")).await;
    after(&cloud, 5).await;
    assert_eq!(deliveries.lock().unwrap()[0].document_version, "1");
    assert_eq!(code!(client.describe_document().name("none").send().await), "InvalidDocument");
    let made = client.create_document().name("mine").content("{\"schemaVersion\":\"2.2\"}").send().await.unwrap();
    assert_eq!(made.document_description().unwrap().document_version(), Some("1"));
    assert_eq!(
        code!(client.create_document().name("mine").content("{\"schemaVersion\":\"2.2\"}").send().await),
        "DocumentAlreadyExists"
    );
    assert_eq!(code!(client.create_document().name("AWS-mine").content("{}").send().await), "ValidationException");
}
