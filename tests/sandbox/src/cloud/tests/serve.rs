//! The same over a socket, with the HTTP client that the Lambda binaries use.

use aws_smithy_http_client::Builder;

use super::super::{Fault, FaultKind, Service, serve};
use super::*;

async fn address(cloud: &Arc<Cloud>) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve::serve(cloud.clone(), listener));
    address
}

fn sts(endpoint: &str, id: &str, secret: &str) -> aws_sdk_sts::Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
        .region(aws_sdk_sts::config::Region::new(REGION))
        .credentials_provider(aws_sdk_sts::config::Credentials::new(id, secret, None, None, "sandbox"))
        .endpoint_url(endpoint)
        .http_client(Builder::new().build_http())
        .retry_config(aws_sdk_sts::config::retry::RetryConfig::disabled());
    aws_sdk_sts::Client::from_conf(config.build())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_made_for_the_socket_is_checked_like_any_other() {
    let cloud = cloud();
    let endpoint = address(&cloud).await;
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let identity = sts(&endpoint, &id, &secret).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some(ACCOUNT));
    assert_eq!(code!(sts(&endpoint, &id, "wrong").get_caller_identity().send().await), "SignatureDoesNotMatch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_closes_the_connection_without_a_byte() {
    let cloud = cloud();
    let endpoint = address(&cloud).await;
    let (id, secret) = cloud.create_access_key(USER).unwrap();
    let client = sts(&endpoint, &id, &secret);
    client.get_caller_identity().send().await.unwrap();
    let kind = FaultKind::LoseReplyAfterEffect;
    cloud.inject(Fault { service: Service::Sts, action: "GetCallerIdentity".to_owned(), nth: 1, kind });
    let before = cloud.journal().len();
    let lost = client.get_caller_identity().send().await.unwrap_err();
    assert!(matches!(lost, aws_sdk_sts::error::SdkError::DispatchFailure(_)), "{lost:?}");
    assert_eq!(cloud.journal().len(), before + 1);
    client.get_caller_identity().send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_signature_is_refused() {
    let cloud = cloud();
    let request = http::Request::builder().method("POST").uri("/").body(Vec::new()).unwrap();
    let super::super::HttpOutcome::Response(response) = cloud.handle_http(request) else { panic!("an answer") };
    assert_eq!(response.status(), 403);
    assert!(String::from_utf8_lossy(response.body()).contains("MissingAuthenticationToken"));
}
