//! Guarantees 3 and 7: promotion needs proof, the ledger tells the truth, and there is one target.

use super::*;
use crate::cloud::Effect;

#[test]
fn awscurrent_moves_only_to_what_the_share_of_online_hosts_really_holds() {
    for (name, holding, breaches) in [("too-few", 1, 1), ("enough", 2, 0)] {
        let world = watched_with(name, &json!({ "promoteShare": 0.66 }));
        let key = world.stage();
        HOSTS[..holding].iter().for_each(|id| world.hold(id, &key));
        world.promote();
        let findings = world.auditor.findings();
        assert_eq!(findings.len(), breaches, "{name}: {findings:?}");
        let said = "whose key 1 of 3 online hosts really hold";
        assert!(findings.iter().all(|finding| finding.guarantee == 3 && finding.what.contains(said)), "{findings:?}");
    }
}

#[test]
fn a_host_that_is_offline_does_not_count_and_one_that_proved_and_went_off_does() {
    let world = watched("offline");
    let key = world.stage();
    HOSTS[..2].iter().for_each(|id| world.hold(id, &key));
    world.cloud.set_agent_online("i-0bbb", false);
    world.cloud.set_agent_online("i-0ccc", false);
    world.promote();
    world.auditor.assert_clean();
}

#[test]
fn a_host_that_came_online_after_the_last_command_was_not_there_to_answer() {
    for (name, is_late, breaches) in [("late", true, 0), ("in-time", false, 1)] {
        let world = watched(name);
        let key = world.stage();
        HOSTS[..2].iter().for_each(|id| world.hold(id, &key));
        world.cloud.stop_instance("i-0ccc");
        if !is_late {
            world.cloud.start_instance("i-0ccc");
        }
        // The journal's own word for an accepted command, since no document is needed for the rule.
        let sent = Effect::CommandSent {
            command_id: "c".to_owned(),
            document_name: "d".to_owned(),
            document_version: "1".to_owned(),
            instance_ids: Vec::new(),
            parameters: Value::Null,
            comment: String::new(),
        };
        let template = world.cloud.journal().pop().unwrap();
        let (caller, number) = (Caller::function("send-command", ACCOUNT), template.number);
        let event = Event { caller, number, time: world.cloud.clock().now(), effects: vec![sent], ..template };
        world.auditor.see(&event);
        world.cloud.clock().tick(Duration::from_secs(1));
        if is_late {
            world.cloud.start_instance("i-0ccc");
        }
        world.promote();
        assert_eq!(world.auditor.findings().len(), breaches, "{name}: {:?}", world.auditor.findings());
    }
}

#[test]
fn a_fleet_of_which_nobody_is_online_promotes_nothing() {
    let world = watched("nobody");
    world.stage();
    HOSTS.iter().for_each(|id| world.cloud.set_agent_online(id, false));
    world.promote();
    world.assert_found(3, &["0 of 0 online hosts"]);
}

#[test]
fn awscurrent_moves_only_to_the_pending_version() {
    let world = watched("not-pending");
    let key = world.stage();
    HOSTS.iter().for_each(|id| world.hold(id, &key));
    world.move_label("rotate-iam-key", "AWSPENDING", Some(TOKEN), None);
    world.promote();
    world.assert_found(3, &["promote-stage", "AWSPENDING was on no version"]);
}

#[test]
fn storing_a_value_under_awscurrent_is_a_promotion_too() {
    let world = watched("stored-current");
    world.record_intent();
    let key = world.make_key();
    world.store(&key, &["AWSCURRENT", &key.0]);
    let findings = world.auditor.findings();
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding.guarantee == 3), "{findings:?}");
}

#[test]
fn a_secrets_very_first_version_is_current_by_secrets_managers_rule() {
    let world = watched("first");
    let arn = world.cloud.add_secret("empty", None);
    let auditor = Auditor::watch(&world.cloud, &world.fleet, Rules::new(&settings(&json!({})), &arn));
    let key = world.make_key();
    let value = format!("{}:{}", key.0, key.1);
    let input = json!({ "SecretId": arn, "SecretString": value, "VersionStages": [key.0] });
    world.must("rotate-iam-key", Service::SecretsManager, "PutSecretValue", input);
    assert!(world.cloud.secret(&arn).unwrap().labels.contains_key("AWSCURRENT"));
    auditor.assert_clean();
}

#[test]
fn a_person_may_promote() {
    let world = watched("persons-promotion");
    world.stage();
    world.cloud.move_label(&world.secret_arn, "AWSCURRENT", Some(&world.first_version), Some(TOKEN)).unwrap();
    world.auditor.assert_clean();
}

#[test]
fn awspending_is_never_put_on_by_storing() {
    let world = watched("stored-pending");
    world.record_intent();
    let key = world.make_key();
    world.store(&key, &["AWSPENDING", &key.0]);
    world.assert_found(7, &["rotate-iam-key put AWSPENDING", "PutSecretValue"]);
}

#[test]
fn a_label_on_two_versions_at_once_is_found() {
    let world = watched("two-targets");
    world.stage();
    // The cloud keeps a label on one version, so that only an event can say otherwise.
    let moved = Effect::LabelMoved {
        secret_arn: world.secret_arn.clone(),
        label: "AWSPENDING".to_owned(),
        from: None,
        to: Some(world.first_version.clone()),
    };
    let template = world.cloud.journal().pop().unwrap();
    let event = Event { action: "UpdateSecretVersionStage".to_owned(), effects: vec![moved], ..template };
    world.auditor.see(&event);
    world.assert_found(7, &["AWSPENDING sits on", TOKEN, "at once"]);
}

#[test]
fn the_ledger_is_written_only_for_a_host_that_holds_the_versions_key() {
    let world = watched("ledger");
    let key = world.stage();
    world.hold("i-0aaa", &key);
    world.write_ledger("i-0aaa", TOKEN);
    world.write_ledger("i-0bbb", &world.first_version.clone());
    world.auditor.assert_clean();
    world.write_ledger("i-0ccc", TOKEN);
    world.assert_found(3, &["poll-command wrote into the ledger", "i-0ccc", TOKEN, &key.0]);
}

#[test]
fn a_host_with_nothing_to_hold_has_proved_every_version() {
    let world = watched("nothing-to-hold");
    world.stage();
    let host = world.fleet.host("i-0aaa").unwrap();
    host.with_sql_server("localhost", |server| server.major_version = 15);
    world.write_ledger("i-0aaa", TOKEN);
    world.auditor.assert_clean();
    host.with_sql_server("localhost", |server| {
        server.major_version = 16;
        server.credentials.clear();
    });
    world.write_ledger("i-0aaa", TOKEN);
    world.assert_found(3, &["i-0aaa"]);
}
