//! Secrets Manager: labels on one version each, compare-and-swap, tokens.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::Tag;

use super::super::{Effect, Outcome, Visibility};
use super::*;

const SECRET: &str = "sqlcredential";

fn token(digit: char) -> String {
    digit.to_string().repeat(32)
}

fn client(cloud: &Arc<Cloud>) -> Client {
    client!(cloud, aws_sdk_secretsmanager, function("rotate-iam-key"), REGION)
}

async fn put(client: &Client, digit: char, value: &str, labels: &[&str]) {
    let put = client.put_secret_value().secret_id(SECRET).client_request_token(token(digit)).secret_string(value);
    put.set_version_stages(Some(labels.iter().map(|label| (*label).to_owned()).collect())).send().await.unwrap();
}

fn holder(cloud: &Cloud, label: &str) -> Option<String> {
    cloud.secret(SECRET).unwrap().labels.get(label).cloned()
}

#[tokio::test]
async fn a_secret_is_found_by_name_and_by_arn_and_lists_labelled_versions_only() {
    let cloud = cloud();
    let client = client(&cloud);
    let arn = cloud.add_secret(SECRET, Some("AKIAEXAMPLEEXAMPLE00:secret"));
    assert_eq!(arn.len(), format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{SECRET}-").len() + 6);
    put(&client, 'b', "two", &["AWSCURRENT"]).await;
    put(&client, 'c', "three", &["AWSCURRENT"]).await;
    let described = client.describe_secret().secret_id(&arn).send().await.unwrap();
    assert_eq!((described.name(), described.arn()), (Some(SECRET), Some(arn.as_str())));
    assert_eq!(described.rotation_enabled(), None);
    let stages = described.version_ids_to_stages().unwrap();
    assert_eq!(stages.len(), 2, "the first version lost its last label: {stages:?}");
    assert_eq!(stages[&token('b')], vec!["AWSPREVIOUS"]);
    assert_eq!(stages[&token('c')], vec!["AWSCURRENT"]);
    cloud.set_rotation_enabled(SECRET, true);
    assert_eq!(client.describe_secret().secret_id(SECRET).send().await.unwrap().rotation_enabled(), Some(true));
    assert_eq!(code!(client.describe_secret().secret_id("another").send().await), "ResourceNotFoundException");
}

#[tokio::test]
async fn the_first_version_is_current_whatever_was_asked() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, None);
    assert_eq!(code!(client.get_secret_value().secret_id(SECRET).send().await), "ResourceNotFoundException");
    put(&client, 'a', "one", &["key-AKIA"]).await;
    let read = client.get_secret_value().secret_id(SECRET).send().await.unwrap();
    assert_eq!(read.version_id(), Some(token('a').as_str()));
    assert_eq!(read.version_stages(), ["AWSCURRENT", "key-AKIA"]);
    put(&client, 'b', "two", &["key-AKIB"]).await;
    assert_eq!(holder(&cloud, "AWSCURRENT"), Some(token('a')));
}

#[tokio::test]
async fn a_label_moves_only_away_from_the_holder_that_is_named() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, None);
    put(&client, 'a', "one", &["AWSCURRENT"]).await;
    put(&client, 'b', "two", &["AWSPENDING"]).await;
    let move_current = |from: Option<char>| {
        client
            .update_secret_version_stage()
            .secret_id(SECRET)
            .version_stage("AWSCURRENT")
            .set_remove_from_version_id(from.map(token))
            .move_to_version_id(token('b'))
            .send()
    };
    let refused = move_current(None).await.unwrap_err().into_service_error();
    assert!(refused.is_invalid_parameter_exception());
    assert!(refused.meta().message().unwrap().starts_with(
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version"
    ));
    assert_eq!(code!(move_current(Some('b')).await), "InvalidParameterException");
    assert_eq!(holder(&cloud, "AWSCURRENT"), Some(token('a')), "a refusal changes nothing");
    move_current(Some('a')).await.unwrap();
    assert_eq!(holder(&cloud, "AWSCURRENT"), Some(token('b')));
    assert_eq!(holder(&cloud, "AWSPREVIOUS"), Some(token('a')), "AWSPREVIOUS follows");
    assert_eq!(holder(&cloud, "AWSPENDING"), Some(token('b')), "one legal end: both labels stay");
    assert_eq!(code!(move_current(Some('a')).await), "InvalidParameterException");
    let moved = cloud.journal().into_iter().flat_map(|event| event.effects).filter(|effect| matches!(effect, Effect::LabelMoved { label, from: Some(from), to: Some(to), .. } if label == "AWSCURRENT" && *from == token('a') && *to == token('b')));
    assert_eq!(moved.count(), 1);
}

#[tokio::test]
async fn the_other_legal_end_of_a_promotion_takes_pending_off() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, None);
    cloud.set_promotion_takes_pending_off(true);
    put(&client, 'a', "one", &["AWSCURRENT"]).await;
    put(&client, 'b', "two", &["AWSPENDING"]).await;
    cloud.move_label(SECRET, "AWSCURRENT", Some(&token('a')), Some(&token('b'))).unwrap();
    assert_eq!(holder(&cloud, "AWSPENDING"), None);
}

#[tokio::test]
async fn a_label_comes_off_its_holder_and_awscurrent_never_does() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, None);
    put(&client, 'a', "one", &["AWSCURRENT", "AWSPENDING"]).await;
    cloud.move_label(SECRET, "AWSPENDING", Some(&token('a')), None).unwrap();
    assert_eq!(holder(&cloud, "AWSPENDING"), None);
    let refused = cloud.move_label(SECRET, "AWSCURRENT", Some(&token('a')), None).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
    assert_eq!(
        cloud.move_label(SECRET, "AWSPENDING", Some(&token('a')), None).unwrap_err().code,
        "InvalidParameterException"
    );
    assert_eq!(cloud.move_label(SECRET, "new", None, Some(&token('z'))).unwrap_err().code, "ResourceNotFoundException");
    cloud.move_label(SECRET, "new", None, Some(&token('a'))).unwrap();
    assert_eq!(holder(&cloud, "new"), Some(token('a')));
}

#[tokio::test]
async fn a_put_takes_the_labels_that_it_names_and_current_where_it_names_none() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, None);
    put(&client, 'a', "one", &["AWSCURRENT"]).await;
    put(&client, 'b', "two", &["AWSPENDING"]).await;
    put(&client, 'c', "three", &["AWSPENDING"]).await;
    assert_eq!(holder(&cloud, "AWSPENDING"), Some(token('c')), "taken without asking");
    let unlabelled = client.put_secret_value().secret_id(SECRET).secret_string("four").send().await.unwrap();
    assert_eq!(unlabelled.version_stages(), ["AWSCURRENT"]);
    assert_eq!(holder(&cloud, "AWSPREVIOUS"), Some(token('a')));
}

#[tokio::test]
async fn a_token_stores_once_and_conflicts_with_other_data() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, None);
    put(&client, 'a', "one", &["AWSCURRENT"]).await;
    put(&client, 'b', "two", &["mine"]).await;
    put(&client, 'b', "two", &["AWSCURRENT"]).await;
    assert!(last_effects(&cloud).is_empty(), "the same token with the same data is ignored");
    assert_eq!(holder(&cloud, "AWSCURRENT"), Some(token('a')));
    let again = client
        .put_secret_value()
        .secret_id(SECRET)
        .client_request_token(token('b'))
        .secret_string("other")
        .send()
        .await;
    assert_eq!(code!(again), "ResourceExistsException");
    let short =
        client.put_secret_value().secret_id(SECRET).client_request_token("short").secret_string("x").send().await;
    assert_eq!(code!(short), "InvalidParameterException");
}

#[tokio::test]
async fn an_empty_pending_version_is_labelled_and_cannot_be_read() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, Some("one"));
    cloud.stage_empty_version(SECRET, &token('e'));
    assert!(
        client
            .describe_secret()
            .secret_id(SECRET)
            .send()
            .await
            .unwrap()
            .version_ids_to_stages()
            .unwrap()
            .contains_key(&token('e'))
    );
    let read = client.get_secret_value().secret_id(SECRET).version_stage("AWSPENDING").send().await;
    assert_eq!(code!(read), "ResourceNotFoundException");
    put(&client, 'e', "filled", &["AWSPENDING"]).await;
    let read = client.get_secret_value().secret_id(SECRET).version_id(token('e')).send().await.unwrap();
    assert_eq!(read.secret_string(), Some("filled"));
    let wrong =
        client.get_secret_value().secret_id(SECRET).version_id(token('e')).version_stage("AWSCURRENT").send().await;
    assert_eq!(code!(wrong), "InvalidRequestException");
}

#[tokio::test]
async fn twenty_labels_are_all_that_a_secret_has() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, Some("one"));
    let labels: Vec<String> = (0..19).map(|number| format!("label-{number}")).collect();
    put(&client, 'a', "two", &labels.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let over = client
        .put_secret_value()
        .secret_id(SECRET)
        .client_request_token(token('b'))
        .secret_string("x")
        .version_stages("one-more")
        .send()
        .await;
    assert_eq!(code!(over), "LimitExceededException");
    assert_eq!(cloud.secret(SECRET).unwrap().versions.len(), 2, "nothing was stored");
}

#[tokio::test]
async fn tags_are_set_removed_and_bounded() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, Some("one"));
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    client.tag_resource().secret_id(SECRET).tags(tag("a", "1")).tags(tag("b", &"x".repeat(256))).send().await.unwrap();
    client.untag_resource().secret_id(SECRET).tag_keys("a").send().await.unwrap();
    let tags = client.describe_secret().secret_id(SECRET).send().await.unwrap().tags.unwrap();
    assert_eq!(tags.iter().map(|tag| tag.key().unwrap()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(
        code!(client.tag_resource().secret_id(SECRET).tags(tag("c", &"x".repeat(257))).send().await),
        "InvalidParameterException"
    );
    let many = (0..50).map(|number| tag(&format!("tag-{number}"), "")).collect();
    assert_eq!(
        code!(client.tag_resource().secret_id(SECRET).set_tags(Some(many)).send().await),
        "LimitExceededException"
    );
}

#[tokio::test]
async fn reads_are_late_and_compare_and_swap_is_not() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, Some("one"));
    let first = holder(&cloud, "AWSCURRENT").unwrap();
    cloud.set_visibility(Visibility { secret: Duration::from_secs(5), ..Visibility::immediate() });
    put(&client, 'b', "two", &["AWSPENDING"]).await;
    assert_eq!(
        code!(client.get_secret_value().secret_id(SECRET).version_stage("AWSPENDING").send().await),
        "ResourceNotFoundException"
    );
    cloud.move_label(SECRET, "AWSCURRENT", Some(&first), Some(&token('b'))).unwrap();
    assert_eq!(client.get_secret_value().secret_id(SECRET).send().await.unwrap().secret_string(), Some("one"));
    after(&cloud, 5).await;
    assert_eq!(client.get_secret_value().secret_id(SECRET).send().await.unwrap().secret_string(), Some("two"));
}

#[tokio::test]
async fn a_version_without_a_label_can_be_collected_and_one_with_a_label_never() {
    let cloud = cloud();
    let client = client(&cloud);
    cloud.add_secret(SECRET, None);
    put(&client, 'a', "one", &["AWSCURRENT"]).await;
    put(&client, 'b', "two", &["mine"]).await;
    cloud.move_label(SECRET, "mine", Some(&token('b')), None).unwrap();
    cloud.collect_unlabelled_versions(SECRET);
    assert_eq!(last_effects(&cloud).len(), 1);
    assert_eq!(cloud.secret(SECRET).unwrap().versions.into_keys().collect::<Vec<_>>(), [token('a')]);
}

#[tokio::test]
async fn another_accounts_host_reads_by_arn_and_a_denied_one_does_not_and_no_event_holds_a_value() {
    let cloud = cloud();
    let arn = cloud.add_secret(SECRET, Some("one"));
    let tags = [("SQL", "2022")];
    cloud.add_instance(super::super::InstanceSetUp::running("i-0a", OTHER_ACCOUNT, REGION, &tags));
    let host = client!(cloud, aws_sdk_secretsmanager, Caller::instance("i-0a"), REGION);
    assert_eq!(host.get_secret_value().secret_id(&arn).send().await.unwrap().secret_string(), Some("one"));
    assert_eq!(code!(host.get_secret_value().secret_id(SECRET).send().await), "ResourceNotFoundException");
    cloud.deny("i-0a", "secretsmanager:*");
    assert_eq!(code!(host.get_secret_value().secret_id(&arn).send().await), "AccessDeniedException");
    client(&cloud).create_secret().name("new").secret_string("a-very-secret-value").send().await.unwrap();
    let journal = cloud.journal();
    assert!(!format!("{journal:?}").contains("a-very-secret-value"));
    assert_eq!(journal.last().unwrap().outcome, Outcome::Done);
}
