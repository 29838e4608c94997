//! What a user's own key signs: STS, S3, and the role of another account.

use std::time::Duration;

use super::super::{InstanceSetUp, KeyStatus, Service, Visibility};
use super::*;

fn sts_with(cloud: &Arc<Cloud>, id: &str, secret: &str, region: &'static str) -> aws_sdk_sts::Client {
    let credentials = aws_sdk_sts::config::Credentials::new(id, secret, None, None, "sandbox");
    client_with!(cloud, aws_sdk_sts, credentials, region)
}

#[tokio::test]
async fn a_users_key_says_whose_it_is_and_a_wrong_secret_does_not() {
    let cloud = cloud();
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let identity = sts_with(&cloud, &id, &secret, REGION).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some(format!("arn:aws:iam::{ACCOUNT}:user/{USER}").as_str()));
    assert_eq!(identity.account(), Some(ACCOUNT));
    let wrong = sts_with(&cloud, &id, &"x".repeat(40), REGION).get_caller_identity().send().await;
    assert_eq!(code!(wrong), "SignatureDoesNotMatch");
    let unknown = sts_with(&cloud, "AKIAUNKNOWNUNKNOWN00", &secret, REGION).get_caller_identity().send().await;
    assert_eq!(code!(unknown), "InvalidClientTokenId");
    assert_eq!(cloud.get_caller_identity(REGION, &id, &secret).unwrap()["Account"], ACCOUNT);
    assert_eq!(cloud.get_caller_identity(REGION, &id, "wrong").unwrap_err().code, "SignatureDoesNotMatch");
    cloud.update_access_key(USER, &id, KeyStatus::Inactive).unwrap();
    assert_eq!(cloud.get_caller_identity(REGION, &id, &secret).unwrap_err().code, "InvalidClientTokenId");
}

#[tokio::test]
async fn a_new_key_is_known_at_one_endpoint_before_another() {
    let cloud = cloud();
    cloud.add_bucket(REGION, "backups");
    let slow = (Service::S3, REGION.to_owned());
    cloud.set_visibility(Visibility {
        access_key_authenticates: Duration::from_secs(5),
        access_key_authenticates_at: [(slow, Duration::from_secs(15))].into(),
        ..Visibility::immediate()
    });
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    assert_eq!(cloud.get_caller_identity(REGION, &id, &secret).unwrap_err().code, "InvalidClientTokenId");
    after(&cloud, 5).await;
    cloud.get_caller_identity(REGION, &id, &secret).unwrap();
    assert_eq!(cloud.s3_put(REGION, "backups", "proof.bak", &id, &secret).unwrap_err().code, "InvalidAccessKeyId");
    after(&cloud, 10).await;
    cloud.s3_put(REGION, "backups", "proof.bak", &id, &secret).unwrap();
    cloud.delete_access_key(USER, &id).unwrap();
    cloud.s3_put(REGION, "backups", "proof.bak", &id, &secret).expect("a deletion is seen late as well");
    after(&cloud, 15).await;
    assert_eq!(cloud.s3_put(REGION, "backups", "proof.bak", &id, &secret).unwrap_err().code, "InvalidAccessKeyId");
}

#[tokio::test]
async fn s3_refuses_by_name_whatever_is_wrong() {
    let cloud = cloud();
    cloud.add_bucket(REGION, "backups");
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let put = |region: &str, bucket: &str, secret: &str| {
        cloud
            .s3_put(region, bucket, "folder/with space+plus/proof.bak".replace(' ', "%20").as_str(), &id, secret)
            .map_err(|error| error.code)
    };
    put(REGION, "backups", &secret).unwrap();
    assert_eq!(cloud.objects().values().collect::<Vec<_>>(), [&id]);
    assert_eq!(put(REGION, "backups", "wrong"), Err("SignatureDoesNotMatch".to_owned()));
    assert_eq!(put(REGION, "missing", &secret), Err("NoSuchBucket".to_owned()));
    assert_eq!(put("us-east-1", "backups", &secret), Err("AuthorizationHeaderMalformed".to_owned()));
    cloud.deny(USER, "s3:PutObject");
    assert_eq!(put(REGION, "backups", &secret), Err("AccessDenied".to_owned()));
}

#[tokio::test]
async fn a_backup_users_key_may_do_nothing_else() {
    let cloud = cloud();
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let credentials = aws_sdk_iam::config::Credentials::new(id, secret, None, None, "sandbox");
    let iam = client_with!(cloud, aws_sdk_iam, credentials, REGION);
    assert_eq!(code!(iam.list_access_keys().user_name(USER).send().await), "AccessDenied");
}

#[tokio::test]
async fn a_role_of_another_account_sees_that_accounts_instances() {
    let cloud = cloud();
    let role = format!("arn:aws:iam::{OTHER_ACCOUNT}:role/credential-rotation");
    cloud.add_instance(InstanceSetUp::running("i-0b", OTHER_ACCOUNT, REGION, &[]));
    let sts = client!(cloud, aws_sdk_sts, function("enumerate-instances"), REGION);
    let assume = || sts.assume_role().role_arn(&role).role_session_name("enumerate").send();
    assert_eq!(code!(assume().await), "AccessDenied");
    cloud.add_role(&role);
    let session = assume().await.unwrap().credentials.unwrap();
    let credentials = aws_sdk_ec2::config::Credentials::new(
        session.access_key_id,
        session.secret_access_key,
        Some(session.session_token),
        None,
        "sandbox",
    );
    let ec2 = client_with!(cloud, aws_sdk_ec2, credentials, REGION);
    assert_eq!(ec2.describe_instances().send().await.unwrap().reservations().len(), 1);
    assert_eq!(cloud.journal().last().unwrap().account, OTHER_ACCOUNT);
    cloud.deny("enumerate-instances", "sts:AssumeRole");
    assert_eq!(code!(assume().await), "AccessDenied");
}
