//! IAM and its two keys.

use std::time::Duration;

use aws_sdk_iam::types::StatusType;

use super::super::{Effect, KeyStatus, Visibility};
use super::*;

fn iam(cloud: &Arc<Cloud>) -> aws_sdk_iam::Client {
    client!(cloud, aws_sdk_iam, function("rotate-iam-key"), REGION)
}

#[tokio::test]
async fn a_third_access_key_is_refused_even_when_one_is_inactive() {
    let cloud = cloud();
    let iam = iam(&cloud);
    let first = iam.create_access_key().user_name(USER).send().await.unwrap().access_key.unwrap();
    assert!(first.access_key_id.starts_with("AKIA"));
    assert_eq!(first.secret_access_key.len(), 40);
    iam.create_access_key().user_name(USER).send().await.unwrap();
    iam.update_access_key()
        .user_name(USER)
        .access_key_id(&first.access_key_id)
        .status(StatusType::Inactive)
        .send()
        .await
        .unwrap();
    let refused = iam.create_access_key().user_name(USER).send().await.unwrap_err();
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 409);
    let refused = refused.into_service_error();
    assert!(refused.is_limit_exceeded_exception());
    assert_eq!(refused.meta().message(), Some("Cannot exceed quota for AccessKeysPerUser: 2"));
    iam.delete_access_key().user_name(USER).access_key_id(&first.access_key_id).send().await.unwrap();
    iam.create_access_key().user_name(USER).send().await.unwrap();
}

#[tokio::test]
async fn a_key_tells_its_status_and_age_and_every_change_is_journalled() {
    let cloud = cloud();
    let iam = iam(&cloud);
    let key = iam.create_access_key().user_name(USER).send().await.unwrap().access_key.unwrap();
    let id = key.access_key_id().to_owned();
    assert!(
        matches!(last_effects(&cloud).as_slice(), [Effect::KeyCreated { access_key_id, .. }] if *access_key_id == id)
    );
    iam.update_access_key().user_name(USER).access_key_id(&id).status(StatusType::Inactive).send().await.unwrap();
    let listed = iam.list_access_keys().user_name(USER).send().await.unwrap().access_key_metadata;
    assert_eq!(listed[0].status(), Some(&StatusType::Inactive));
    assert_eq!(listed[0].create_date().unwrap().secs(), cloud.clock().now().as_second());
    let effects = last_effects(&cloud);
    assert!(effects.is_empty(), "reading changes nothing: {effects:?}");
    iam.delete_access_key().user_name(USER).access_key_id(&id).send().await.unwrap();
    assert_eq!(last_effects(&cloud), vec![Effect::KeyDeleted { user_name: USER.into(), access_key_id: id.clone() }]);
    assert_eq!(code!(iam.delete_access_key().user_name(USER).access_key_id(&id).send().await), "NoSuchEntity");
}

#[tokio::test]
async fn an_unknown_user_is_named() {
    let cloud = cloud();
    let iam = iam(&cloud);
    assert_eq!(
        iam.get_user().user_name(USER).send().await.unwrap().user.unwrap().arn(),
        format!("arn:aws:iam::{ACCOUNT}:user/{USER}")
    );
    assert_eq!(code!(iam.get_user().user_name("nobody").send().await), "NoSuchEntity");
    assert_eq!(code!(iam.create_access_key().user_name("nobody").send().await), "NoSuchEntity");
    iam.create_user().user_name("nobody").send().await.unwrap();
    assert_eq!(code!(iam.create_user().user_name("nobody").send().await), "EntityAlreadyExists");
}

#[tokio::test]
async fn the_last_use_tells_owner_service_region_and_date() {
    let cloud = cloud();
    let iam = iam(&cloud);
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let unused = iam.get_access_key_last_used().access_key_id(&id).send().await.unwrap();
    assert_eq!(unused.user_name(), Some(USER));
    let last = unused.access_key_last_used().unwrap();
    assert_eq!((last.service_name(), last.region(), last.last_used_date()), ("N/A", "N/A", None));
    cloud.add_bucket("us-west-2", "backups");
    cloud.s3_put("us-west-2", "backups", "a/b.bak", &id, &secret).unwrap();
    let used = iam.get_access_key_last_used().access_key_id(&id).send().await.unwrap();
    let last = used.access_key_last_used().unwrap();
    assert_eq!((last.service_name(), last.region()), ("s3", "us-west-2"));
    assert_eq!(last.last_used_date().unwrap().secs(), cloud.clock().now().as_second());
    assert_eq!(
        code!(iam.get_access_key_last_used().access_key_id("AKIAUNKNOWNUNKNOWN00").send().await),
        "NoSuchEntity"
    );
}

#[tokio::test]
async fn a_list_is_stale_and_the_limit_is_not() {
    let cloud = cloud();
    cloud.set_visibility(Visibility { access_key_list: Duration::from_secs(10), ..Visibility::immediate() });
    let iam = iam(&cloud);
    cloud.create_access_key(USER).unwrap();
    cloud.create_access_key(USER).unwrap();
    assert!(iam.list_access_keys().user_name(USER).send().await.unwrap().access_key_metadata.is_empty());
    assert_eq!(code!(iam.create_access_key().user_name(USER).send().await), "LimitExceeded");
    after(&cloud, 10).await;
    let keys = iam.list_access_keys().user_name(USER).send().await.unwrap().access_key_metadata;
    assert_eq!(keys.len(), 2);
    iam.delete_access_key().user_name(USER).access_key_id(keys[0].access_key_id().unwrap()).send().await.unwrap();
    assert_eq!(iam.list_access_keys().user_name(USER).send().await.unwrap().access_key_metadata.len(), 2);
}

#[tokio::test]
async fn a_denied_action_is_refused_in_awss_words_and_only_for_whom_it_is_denied() {
    let cloud = cloud();
    cloud.deny("rotate-iam-key", "iam:CreateAccessKey");
    let refused = iam(&cloud).create_access_key().user_name(USER).send().await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("AccessDenied"));
    let message = refused.meta().message().unwrap();
    let start = format!(
        "User: arn:aws:sts::{ACCOUNT}:assumed-role/credential-rotation-rotate-iam-key/rotate-iam-key is not authorized to perform: iam:CreateAccessKey on resource: user {USER}"
    );
    assert!(message.starts_with(&start), "{message}");
    assert!(cloud.access_keys(USER).is_empty());
    let other = client!(cloud, aws_sdk_iam, function("retire-iam-key"), REGION);
    other.create_access_key().user_name(USER).send().await.unwrap();
    cloud.allow("rotate-iam-key", "iam:CreateAccessKey");
    iam(&cloud).create_access_key().user_name(USER).send().await.unwrap();
    assert_eq!(cloud.access_keys(USER).iter().filter(|key| key.status == KeyStatus::Active).count(), 2);
}
