//! Guarantees 2, 4 and 5: keys that are lost, unaccounted for, or deleted wrongly.

use super::*;

#[test]
fn a_key_in_its_makers_hand_is_fine_and_one_left_behind_is_not() {
    let world = watched("left-behind");
    let key = world.make_key();
    world.auditor.assert_clean();
    world.tag_secret(&[("team", "databases")]);
    world.assert_found(4, &["rotate-iam-key's secretsmanager:TagResource", &key.0]);
}

#[test]
fn an_open_intent_explains_a_key_and_its_end_without_a_stored_version_loses_it() {
    let world = watched("intent");
    world.record_intent();
    let key = world.make_key();
    world.describe_instances("enumerate-instances");
    world.tag_secret(&[("team", "databases")]);
    world.auditor.assert_clean();
    world.close_intent();
    world.assert_found(4, &["UntagResource", &key.0]);
}

#[test]
fn an_intent_that_saw_the_key_already_does_not_explain_it() {
    let world = watched("overwritten");
    world.record_intent();
    let key = world.make_key();
    world.record_intent();
    world.assert_found(4, &["TagResource", &key.0]);
}

#[test]
fn a_person_who_takes_the_intent_away_is_not_one_of_our_functions() {
    let world = watched("persons-intent");
    world.record_intent();
    world.make_key();
    world.tag_secret(&[("team", "backups")]);
    let input = json!({ "SecretId": world.secret_arn, "TagKeys": [INTENT_TAG] });
    world.cloud.call(&Caller::Person, REGION, Service::SecretsManager, "UntagResource", input).unwrap();
    world.tag_secret(&[("team", "databases")]);
    world.auditor.assert_clean();
}

#[test]
fn a_version_whose_key_a_host_holds_keeps_a_label() {
    let world = watched("unlabelled");
    let key = world.stage();
    let private = key.0.as_str();
    world.move_label("rotate-iam-key", private, Some(TOKEN), None);
    world.auditor.assert_clean();
    world.hold("i-0aaa", &key);
    world.move_label("rotate-iam-key", "AWSPENDING", Some(TOKEN), None);
    let findings = world.auditor.findings();
    assert!(findings.iter().any(|finding| finding.guarantee == 2 && finding.what.contains(private)), "{findings:?}");
}

#[test]
fn a_third_key_is_found() {
    let world = watched("third");
    world.stage();
    let key = ("AKIATHIRD00000000000", "third+Secret/000000000000000000000000000");
    world.cloud.add_access_key(USER, key, KeyStatus::Active, world.cloud.clock().now());
    world.assert_found(4, &["has 3 keys", key.0]);
}

#[test]
fn a_key_of_nobody_we_know_is_neither_made_inactive_nor_deleted() {
    let world = watched("strangers");
    let (stranger, _) = world.cloud.create_access_key(USER).unwrap();
    world.set_status(&stranger, KeyStatus::Inactive);
    world.assert_found(5, &["made the key", &stranger, "no function made"]);
    world.delete(&stranger);
    let findings = world.auditor.findings();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[1].what.starts_with("retire-iam-key deleted the key"), "{findings:?}");
}

#[test]
fn a_key_of_another_user_is_none_of_our_business() {
    let world = watched("other-user");
    world.cloud.add_user("somebody");
    let (key, _) = world.cloud.create_access_key("somebody").unwrap();
    let input = json!({ "UserName": "somebody", "AccessKeyId": key });
    world.must("retire-iam-key", Service::Iam, "DeleteAccessKey", input);
    world.assert_found(5, &["of somebody"]);
}

#[test]
fn an_active_key_is_deleted_only_if_its_value_was_never_stored() {
    let world = watched("active");
    world.record_intent();
    let unstored = world.make_key();
    world.must(
        "rotate-iam-key",
        Service::Iam,
        "DeleteAccessKey",
        json!({ "UserName": USER, "AccessKeyId": unstored.0 }),
    );
    let key = world.stage();
    world.auditor.assert_clean();
    world.delete(&key.0);
    world.assert_found(5, &[&key.0, "which was Active"]);
}

#[tokio::test]
async fn an_inactive_key_is_left_alone_for_as_long_as_the_settings_say() {
    for (name, days, breaches) in [("early", 4, 1), ("due", 5, 0)] {
        let world = watched_with(name, &json!({ "schedule": { "deleteAfterDays": 5 } }));
        HOSTS.iter().for_each(|id| world.cloud.stop_instance(id));
        world.set_status(OLD.0, KeyStatus::Inactive);
        world.after(days * DAY).await;
        world.delete(OLD.0);
        let findings = world.auditor.findings();
        assert_eq!(findings.len(), breaches, "{name}: {findings:?}");
        assert!(findings.iter().all(|finding| finding.what.contains("120 hours must pass")), "{findings:?}");
    }
}

#[tokio::test]
async fn an_orphan_waits_for_the_quiet_period() {
    for (name, hours, breaches) in [("hasty", 23, 1), ("quiet", 24, 0)] {
        let world = watched_with(name, &json!({ "schedule": { "quietPeriodHours": 24 } }));
        world.record_intent();
        let orphan = world.make_key();
        world.set_status(&orphan.0, KeyStatus::Inactive);
        world.after(hours * 3_600).await;
        world.delete(&orphan.0);
        let findings = world.auditor.findings();
        assert_eq!(findings.len(), breaches, "{name}: {findings:?}");
    }
}
