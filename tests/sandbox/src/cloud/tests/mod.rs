//! The real SDK clients against the local AWS: what they send is understood, what comes back they parse, and the
//! semantics that a rotation leans on hold.

mod ec2;
mod event_bus;
mod faults;
mod iam;
mod limits;
mod permissions;
mod secretsmanager;
mod serve;
mod signed;
mod simulation;
mod ssm;

use std::sync::Arc;
use std::time::Duration;

use super::{Caller, Cloud, Effect};
use crate::clock::Clock;

const ACCOUNT: &str = "111122223333";
const OTHER_ACCOUNT: &str = "444455556666";
const REGION: &str = "eu-west-1";
const USER: &str = "sql-backups-user";

/// An empty home account with one IAM user.
fn cloud() -> Arc<Cloud> {
    let clock = Clock::starting_at("2026-11-24T12:00:00Z".parse().unwrap());
    let cloud = Cloud::new(clock, ACCOUNT, REGION);
    cloud.add_user(USER);
    cloud
}

/// Lets simulated time pass.
async fn after(cloud: &Cloud, seconds: u64) {
    cloud.clock().sleep(Duration::from_secs(seconds)).await;
}

/// The effects of the last event.
fn last_effects(cloud: &Cloud) -> Vec<Effect> {
    cloud.journal().last().map(|event| event.effects.clone()).unwrap_or_default()
}

/// An SDK client of a service, as a function uses it: retries off, signed with a session of the caller.
macro_rules! client {
    ($cloud:expr, $sdk:ident, $caller:expr, $region:expr) => {{
        let credentials = $cloud.credentials_for($caller);
        let credentials = $sdk::config::Credentials::new(
            credentials.access_key_id,
            credentials.secret_access_key,
            Some(credentials.session_token),
            None,
            "sandbox",
        );
        $crate::cloud::tests::client_with!($cloud, $sdk, credentials, $region)
    }};
}

macro_rules! client_with {
    ($cloud:expr, $sdk:ident, $credentials:expr, $region:expr) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .region($sdk::config::Region::new($region))
                .credentials_provider($credentials)
                .http_client($cloud.http_client())
                .retry_config($sdk::config::retry::RetryConfig::disabled())
                .build(),
        )
    };
}

/// The wire code of a refused call.
macro_rules! code {
    ($result:expr) => {{
        use aws_smithy_types::error::metadata::ProvideErrorMetadata;
        let error = $result.expect_err("the call is refused");
        error.code().expect("the refusal has a code").to_owned()
    }};
}

use {client, client_with, code};

fn function(name: &str) -> Caller {
    Caller::function(name, ACCOUNT)
}

#[test]
fn a_late_view_shows_what_was_so_and_never_what_was_not() {
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    let mut value = super::visibility::Replicated::new(at(10), "old");
    value.set(at(20), "new");
    let delay = Duration::from_secs(5);
    assert_eq!(value.seen(at(14), delay), None);
    assert_eq!(value.seen(at(15), delay), Some(&"old"));
    assert_eq!(value.seen(at(24), delay), Some(&"old"));
    assert_eq!(value.seen(at(25), delay), Some(&"new"));
    assert_eq!(*value.truth(), "new");
}

#[test]
fn observers_see_every_event_in_order_and_may_call_the_cloud_themselves() {
    let cloud = cloud();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (observer, observed) = (cloud.clone(), seen.clone());
    cloud.subscribe(Arc::new(move |event| {
        observed.lock().unwrap().push(event.number);
        if event.action == "CreateAccessKey" {
            let keys = observer.access_keys(USER);
            observer.update_access_key(USER, &keys[0].access_key_id, super::KeyStatus::Inactive).unwrap();
        }
    }));
    cloud.create_access_key(USER).unwrap();
    assert_eq!(*seen.lock().unwrap(), vec![2, 3], "the user was there before the observer came");
}
