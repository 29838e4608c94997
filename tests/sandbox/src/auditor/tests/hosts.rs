//! Guarantee 1: a working credential is taken from no running host.

use super::*;
use crate::cloud::InstanceState;
use rotation::names::ledger_tag;

#[test]
fn a_key_that_a_running_host_holds_may_not_go_inactive() {
    let world = watched("held");
    let key = world.stage();
    HOSTS[..2].iter().for_each(|id| world.hold(id, &key));
    world.describe_instances("retire-iam-key");
    world.set_status(OLD.0, KeyStatus::Inactive);
    world.assert_found(1, &["retire-iam-key", OLD.0, "i-0ccc", URL]);
}

#[test]
fn a_person_may_do_so_and_a_stopped_host_does_not_count() {
    let world = watched("person");
    world.cloud.update_access_key(USER, OLD.0, KeyStatus::Inactive).unwrap();
    world.cloud.update_access_key(USER, OLD.0, KeyStatus::Active).unwrap();
    HOSTS.iter().for_each(|id| world.cloud.stop_instance(id));
    world.set_status(OLD.0, KeyStatus::Inactive);
    world.auditor.assert_clean();
}

#[test]
fn a_host_that_no_longer_matches_counts_as_long_as_it_bears_the_ledger() {
    for (name, tags, breaches) in [("left", vec![ledger_tag("sql-backups")], 1), ("foreign", vec![], 0)] {
        let world = watched(name);
        HOSTS.iter().for_each(|id| world.cloud.stop_instance(id));
        let tags: Vec<(&str, &str)> = tags.iter().map(|tag| (tag.as_str(), "v1 2026-11-24T06:00:00Z")).collect();
        world.cloud.add_instance(InstanceSetUp::running("i-0ddd", ACCOUNT, REGION, &tags));
        let server = SqlServer::new(16, "rotator", "p").with_credential(URL, OLD.0, OLD.1);
        let sql_servers = vec![("localhost,1444".to_owned(), server)];
        let set_up = HostSetUp { instance_id: "i-0ddd".to_owned(), sql_servers, ..HostSetUp::default() };
        world.fleet.add(set_up).unwrap();
        world.set_status(OLD.0, KeyStatus::Inactive);
        assert_eq!(world.auditor.findings().len(), breaches, "{name}: {:?}", world.auditor.findings());
    }
}

#[test]
fn a_host_that_came_up_after_the_last_look_could_not_be_seen_and_one_before_it_could() {
    for (name, starts_before, breaches) in [("unseen", false, 0), ("seen", true, 1)] {
        let world = watched(name);
        HOSTS.iter().for_each(|id| world.cloud.stop_instance(id));
        let start = || world.cloud.set_instance_state("i-0aaa", InstanceState::Running);
        if starts_before {
            start();
            world.cloud.clock().tick(Duration::from_secs(60));
        }
        world.describe_instances("retire-iam-key");
        if !starts_before {
            start();
        }
        world.set_status(OLD.0, KeyStatus::Inactive);
        assert_eq!(world.auditor.findings().len(), breaches, "{name}: {:?}", world.auditor.findings());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_working_key_may_not_be_replaced_by_one_that_was_not_proved_from_there() {
    let world = watched("unproved");
    let key = world.stage();
    world.command("i-0aaa", &prove("i-0aaa", &key)).await;
    world.after(60).await;
    world.command("i-0bbb", &[prove("i-0bbb", &key).as_slice(), &[alter(&key)]].concat()).await;
    world.auditor.assert_clean();
    // The proof of another command, and of another host, is none.
    world.command("i-0aaa", &[alter(&key)]).await;
    world.assert_found(1, &["i-0aaa", OLD.0, &key.0, "not proved from there"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_backup_is_asked_for_a_signed_call_is_the_proof() {
    let world = watched_with("signed", &json!({ "proof": { "kind": "none" } }));
    let key = world.stage();
    world.cloud.get_caller_identity(REGION, &key.0, &key.1).unwrap();
    world.command("i-0aaa", &[alter(&key)]).await;
    world.auditor.assert_clean();
    world.after(60).await;
    world.command("i-0bbb", &[alter(&key)]).await;
    world.assert_found(1, &["i-0bbb", "not proved from there"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_work_must_be_put_back_within_the_same_command() {
    let world = watched("put-back");
    let key = world.stage();
    let proved = |id: &str| [prove(id, &key).as_slice(), &[alter(&key)]].concat();
    world.command("i-0aaa", &[proved("i-0aaa"), vec![alter(&old_key())]].concat()).await;
    world.auditor.assert_clean();
    // A command of ours that leaves behind what does not work: a key that nobody has ever made.
    let nobodys = ("AKIANOBODY0000000000".to_owned(), "nobodys/secret".to_owned());
    world.command("i-0bbb", &[alter(&nobodys)]).await;
    let findings = world.auditor.findings();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].what.contains("not proved from there"), "{findings:?}");
    assert!(findings[1].what.contains("after a command") && findings[1].what.contains("does not work"), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_worked_may_not_be_dropped() {
    let world = watched("dropped");
    world.command("i-0aaa", &[format!("DROP CREDENTIAL [{URL}];")]).await;
    let findings = world.auditor.findings();
    assert!(findings[0].what.contains("a command dropped"), "{findings:?}");
    assert!(findings[1].what.contains("holds nothing"), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.guarantee == 1), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_work_before_may_be_replaced_by_anything() {
    let world = watched("broken");
    world.cloud.update_access_key(USER, OLD.0, KeyStatus::Inactive).unwrap();
    let key = world.stage();
    world.command("i-0aaa", &[alter(&key)]).await;
    world.auditor.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_lies_is_broken_by_its_own_lie() {
    let world = watched("liar");
    let key = world.stage();
    HOSTS[..2].iter().for_each(|id| world.hold(id, &key));
    let liar = world.fleet.host("i-0ccc").unwrap();
    liar.set_faults(|faults| faults.lie = Some(r#"{"rotation":"r","proved":1}"#.to_owned()));
    world.command("i-0ccc", &[]).await;
    world.write_ledger("i-0ccc", TOKEN);
    world.promote();
    world.set_status(OLD.0, KeyStatus::Inactive);
    world.auditor.assert_clean();
    liar.set_faults(|faults| faults.lie = None);
    world.command("i-0ccc", &[]).await;
    world.write_ledger("i-0ccc", TOKEN);
    world.assert_found(3, &["i-0ccc"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_claims_no_proof_excuses_nobody_who_believes_it() {
    let world = watched("idle");
    let key = world.stage();
    HOSTS[..2].iter().for_each(|id| world.hold(id, &key));
    world.fleet.host("i-0ccc").unwrap().set_faults(|faults| faults.lie = Some("PASSWORDUPDATESUCCESSFUL".to_owned()));
    world.command("i-0ccc", &[]).await;
    world.write_ledger("i-0ccc", TOKEN);
    world.assert_found(3, &["i-0ccc"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_notice_that_says_what_goes_excuses_what_it_breaks() {
    for (name, says, breaches) in
        [("says-so", "is made Inactive now, as asked", 0), ("says-else", "stays for now, since it is held", 1)]
    {
        let world = watched(name);
        let key = world.stage();
        HOSTS[..2].iter().for_each(|id| world.hold(id, &key));
        let topic = world.cloud.add_topic("rotation");
        let message = format!("Key {} {says}: i-0ccc", OLD.0);
        let publish = json!({ "TopicArn": topic, "Subject": "credential-rotation", "Message": message });
        world.cloud.call(&Caller::Aws, REGION, Service::Sns, "Publish", publish).unwrap();
        world.set_status(OLD.0, KeyStatus::Inactive);
        assert_eq!(world.auditor.findings().len(), breaches, "{says}: {:?}", world.auditor.findings());
    }
}
