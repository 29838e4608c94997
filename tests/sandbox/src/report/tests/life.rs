//! The story that `make try` tells: what hosts meet after a rotation, a leaked key, a rotation that is given up.

use super::*;
use crate::report::hosts::Stray;

const LEFT: &str = "i-00000000000000005";
const STOPPED: &str = "i-00000000000000007";
const RESTORED: &str = "i-00000000000000004";
const LAUNCHED: &str = "i-0000000000000000d";
const SILENT: &str = "i-0000000000000000c";

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_fleet_costs_no_backup_and_each_act_stands_on_its_lane() {
    let (world, story) = lived_through("life-of-a-fleet.json").await;
    assert!(story.held && story.breaches.is_empty(), "{}", story.verdict);
    assert_eq!(story.verdict, "Everything held.", "a failure that its chapter foretells is no trouble");
    late_hosts_are_brought_in(&story);
    a_host_that_left_is_named_until_nobody_asks_for_it(&world, &story);
    keys_are_replaced_deactivated_and_deleted(&story);
    whoever_loses_a_key_is_named_before(&world);
    chapters_stand_with_their_executions(&story);
}

fn late_hosts_are_brought_in(story: &Story) {
    let current = &story.keys[2].id;
    for (id, moment) in
        [(STOPPED, HostMoment::Started), (LAUNCHED, HostMoment::Launched), (RESTORED, HostMoment::Restored)]
    {
        let lane = host(story, id);
        assert_eq!(moments(lane, moment).len(), 1, "{id}");
        let act = lane.marks.iter().find(|mark| mark.kind == moment).map(|mark| mark.at);
        let held: Vec<&str> = lane.strips[0].spans.iter().map(|span| span.is.as_str()).collect();
        assert_eq!(held.last(), Some(&current.as_str()), "{id}");
        let old = lane.strips[0].spans.iter().rfind(|span| span.is == "AKIASANDBOXCURRENT00").map(|span| span.to);
        assert!(act < old && old < act.map(|act| act + 120_000), "{id} holds the old key for two minutes at most");
    }
    let launched = host(story, LAUNCHED);
    assert!(launched.there[0].from > story.from && launched.there[0].to == story.to);
    assert_eq!(launched.outages.iter().map(|outage| outage.is).collect::<Vec<_>>(), [Outage::Silent], "at first");
}

fn a_host_that_left_is_named_until_nobody_asks_for_it(world: &World, story: &Story) {
    let lane = host(story, LEFT);
    assert_eq!(lane.strays.iter().map(|stray| stray.is).collect::<Vec<_>>(), [Stray::Left, Stray::Outside]);
    assert_eq!(moments(lane, HostMoment::TagLost).len(), 2);
    assert_eq!(lane.there[0].to, lane.strays[1].to, "it ends at its termination");
    let said = |number: usize| world.executions()[number].output.clone().unwrap_or_default()["message"].to_string();
    assert!(said(7).contains(LEFT), "{}", said(7));
    assert!(!said(8).contains(LEFT), "{}", said(8));
    assert_eq!(moments(lane, HostMoment::Terminated), ["terminated by a person"]);
}

fn keys_are_replaced_deactivated_and_deleted(story: &Story) {
    let [_, leaked, current, abandoned] = story.keys.as_slice() else { panic!("four keys, and not {:?}", story.keys) };
    let kinds = |lane: &super::super::keys::KeyLane| lane.marks.iter().map(|mark| mark.kind).collect::<Vec<_>>();
    use KeyMoment::{Abandoned, Current, Gone, Inactive, Leaked, Made, Staged};
    assert_eq!(kinds(leaked), [Made, Staged, Current, Leaked, Inactive, Gone]);
    assert_eq!(kinds(current), [Made, Staged, Current]);
    assert_eq!(kinds(abandoned), [Made, Staged, Abandoned, Inactive, Gone]);
    let (declared, inactive) = (leaked.marks[3].at, leaked.marks[4].at);
    let run = story.executions.iter().find(|execution| execution.from == declared).unwrap();
    assert!(run.to.is_some_and(|end| inactive < end), "it goes Inactive in the run that was told of the leak");
}

fn whoever_loses_a_key_is_named_before(world: &World) {
    let notices = world.cloud.notices();
    let warning = notices.iter().find(|notice| notice.subject.contains("lose their key")).unwrap();
    assert!(warning.message.contains(SILENT), "{}", warning.message);
    let is_deed = |effect: &Effect| matches!(effect, Effect::KeyStatusChanged { to: KeyStatus::Inactive, .. });
    let deeds = world.cloud.journal().into_iter().filter(|event| event.effects.iter().any(is_deed));
    assert!(
        deeds
            .map(|event| event.time)
            .any(|time| warning.time <= time && time.duration_since(warning.time).as_secs() < 60)
    );
}

fn chapters_stand_with_their_executions(story: &Story) {
    assert_eq!(story.executions[0].chapter, None);
    assert!(story.executions[1..].iter().all(|execution| execution.chapter.is_some()));
    let failed: Vec<_> = story.executions.iter().filter(|execution| execution.status == "FAILED").collect();
    assert!(failed.len() == 1 && failed[0].is_expected && failed[0].message.starts_with("ProofsMissing"), "{failed:?}");
}
