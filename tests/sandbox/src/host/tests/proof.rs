//! What a host proves, and what it leaves alone.

use super::*;

#[tokio::test]
async fn a_quiet_host_proves_alters_and_proves_again() {
    let mut world = world("quiet", vec![("localhost", sql_server(16))]);
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.counts()), (0, (1, 1, 0, 0)));
    assert_eq!((outcome.answer.version.as_deref(), outcome.answer.found), (Some(NEW), None));
    assert_eq!(world.held("localhost"), one_credential(NEW_KEY), "nothing temporary stays");
    let temporary = "prod/.credential-rotation/i-0abc/proof.bak";
    let held = "prod/.credential-rotation/held/i-0abc/proof.bak";
    // Without a marker nothing could be put back: so the key is proved twice before the credential is altered.
    assert_eq!(world.cloud().objects, [temporary, temporary, held]);
}

#[tokio::test]
async fn a_host_that_holds_the_target_is_proved_and_left_alone() {
    let mut world = world("again", vec![("localhost", sql_server(17))]);
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0), "17.x is rotated");
    let second = world.run().await;
    assert_eq!((second.exit_code, second.counts()), (0, (1, 0, 0, 0)));
    assert_eq!(second.answer.found.as_deref(), Some(NEW));
    assert_eq!(world.cloud().objects.len(), 4, "it was proved afresh");
}

#[tokio::test]
async fn a_credential_that_a_person_altered_is_not_taken_for_proved() {
    let mut world = world("by-hand", vec![("localhost", sql_server(16))]);
    world.run().await;
    world.instance("localhost", |server| *server = sql_server(16));
    let outcome = world.run().await;
    assert_eq!(outcome.counts(), (1, 1, 0, 0));
    assert_eq!(world.held("localhost"), one_credential(NEW_KEY));
}

#[tokio::test]
async fn one_failing_instance_stops_no_other() {
    let mut world = world("two", vec![("localhost", sql_server(16)), ("localhost,1434", sql_server(16))]);
    world.instance("localhost", |server| server.running = false);
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.counts()), (1, (1, 1, 0, 1)));
    assert_eq!(outcome.errors(), [(HostError::ConnectFailed, "localhost")]);
    assert_eq!(world.held("localhost,1434"), one_credential(NEW_KEY));
}

#[tokio::test]
async fn a_host_without_sql_server_has_nothing_to_hold() {
    let mut world = world("none", Vec::new());
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.counts()), (0, (0, 0, 0, 0)));
    assert_eq!(outcome.answer.version.as_deref(), Some(NEW));
}

#[tokio::test]
async fn a_listed_endpoint_that_is_silent_is_never_nothing_to_hold() {
    let mut world = world("silent", Vec::new());
    world.set("endpoints", "sql-container,1433");
    assert_eq!(world.run().await.errors(), [(HostError::ConnectFailed, "sql-container,1433")]);
}

#[tokio::test]
async fn express_and_older_versions_have_nothing_to_hold() {
    let mut express = sql_server(16);
    express.engine_edition = 4;
    let mut world = world("express", vec![("localhost", express), ("localhost,1434", sql_server(15))]);
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.counts()), (0, (0, 0, 2, 0)));
    assert_eq!(world.held("localhost,1434"), one_credential(OLD_KEY));
}

#[tokio::test]
async fn a_missing_credential_is_created_only_where_the_settings_allow_it() {
    let empty = SqlServer::new(16, "rotator", PASSWORD);
    let mut world = world("missing", vec![("localhost", empty)]);
    assert_eq!(world.run().await.errors(), [(HostError::CredentialMissing, "localhost")]);
    world.set("createMissing", "true");
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0));
    assert_eq!(world.held("localhost"), one_credential(NEW_KEY));
}

#[tokio::test]
async fn credentials_that_shadow_ours_or_belong_to_nobody_block_and_leftovers_are_dropped() {
    let shadow = format!("{URL}/daily");
    let leftover = format!("{URL}/.credential-rotation/i-0other");
    let server = sql_server(16)
        .with_credential(&shadow, OLD_KEY.0, OLD_KEY.1)
        .with_credential("s3://elsewhere", OLD_KEY.0, OLD_KEY.1)
        .with_credential("s3://foreign", "AKIAFOREIGN000000000", "x")
        .with_credential(&leftover, OLD_KEY.0, OLD_KEY.1);
    let mut world = world("blocking", vec![("localhost", server)]);
    world.set("foreignCredentials", "s3://foreign");
    let outcome = world.run().await;
    assert_eq!(outcome.counts(), (1, 1, 0, 0));
    let blocking: Vec<_> =
        outcome.answer.blocking.iter().map(|blocking| (blocking.credential.as_str(), blocking.why)).collect();
    assert_eq!(blocking, [("s3://elsewhere", Blocking::Undeclared), (shadow.as_str(), Blocking::Shadows)]);
    assert!(world.held("localhost").iter().all(|(name, _)| *name != leftover));
}

#[tokio::test]
async fn without_backups_a_signed_call_is_the_proof() {
    let mut world = world("signed-call", vec![("localhost", sql_server(16))]);
    world.set("proof", "none");
    world.cloud().known_keys = vec![OLD_KEY];
    assert_eq!(world.run().await.errors(), [(HostError::ProofFailed, "localhost")]);
    assert_eq!(world.held("localhost"), one_credential(OLD_KEY));
    world.cloud().known_keys = vec![NEW_KEY];
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0));
    assert!(world.cloud().objects.is_empty());
}

#[tokio::test]
async fn an_old_agent_comes_to_the_same_answer() {
    let mut world = world("old-agent", vec![("localhost", sql_server(16))]);
    let set_up = HostSetUp {
        instance_id: "i-0bcd".to_owned(),
        region: "us-east-1".to_owned(),
        agent: Agent::Old,
        sql_servers: vec![("localhost".to_owned(), sql_server(16))],
        ..HostSetUp::default()
    };
    let cloud = Arc::clone(&world.cloud) as Arc<dyn HostCloud>;
    world.host = Host::new(set_up, world.host.clock.clone(), cloud, &world.folder).unwrap();
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0));
}

#[tokio::test]
async fn an_observer_sees_every_change_of_a_credential() {
    let mut world = world("observer", vec![("localhost", sql_server(16))]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (events, watched) = (Arc::clone(&seen), Arc::downgrade(&world.host));
    world.host.subscribe(Arc::new(move |event| {
        let held = watched.upgrade().map(|host| host.held_keys().len());
        events.lock().unwrap().push((event.happening.clone(), held));
    }));
    world.run().await;
    let seen = seen.lock().unwrap();
    let altered = HostHappening::CredentialChanged {
        endpoint: "localhost,1433".to_owned(),
        credential: URL.to_owned(),
        access_key_id: Some(NEW_KEY.0.to_owned()),
    };
    assert!(seen.contains(&(altered, Some(1))), "{seen:?}");
    assert_eq!(
        seen.last().unwrap().0,
        HostHappening::CommandEnded { command_id: "command-1".to_owned(), succeeded: true }
    );
}

#[tokio::test]
async fn a_self_signed_certificate_is_accepted_only_when_the_settings_say_so() {
    let mut world = world("self-signed", vec![("localhost", sql_server(16))]);
    world.instance("localhost", |server| server.certificate_trusted = false);
    world.set("trustServerCertificate", "true");
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0));
}

#[tokio::test]
async fn every_url_of_a_rotation_is_proved_and_altered() {
    let second = "s3://s3.eu-west-1.amazonaws.com/sql-backups/archive";
    let server = sql_server(16).with_credential(second, OLD_KEY.0, OLD_KEY.1);
    let mut world = world("urls", vec![("localhost", server)]);
    world.set("credentials", &format!("{URL} {second}"));
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0));
    let key = || NEW_KEY.0.to_owned();
    assert_eq!(world.held("localhost"), [(second.to_owned(), key()), (URL.to_owned(), key())]);
    assert!(world.cloud().objects.contains(&"archive/.credential-rotation/held/i-0abc/proof.bak".to_owned()));
}
