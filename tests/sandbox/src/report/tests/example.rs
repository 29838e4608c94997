//! The story of a rotation and its overlap, against every witness that there is.

use super::*;
use crate::auditor::secrecy;
use crate::cloud::Event;

const OLD: &str = "AKIASANDBOXCURRENT00";

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_story_agrees_with_the_world_that_it_tells_of() {
    let (world, story) = lived_through("fleet.json").await;
    keys_are_as_iam_and_the_journal_have_them(&world, &story);
    every_nightly_backup_was_made_with_the_key_that_the_story_names(&world, &story);
    the_end_of_each_lane_is_what_the_host_holds(&world, &story);
    proofs_are_the_ledgers(&world, &story);
    troubles_are_told(&story);
    executions_are_the_machines(&world, &story);
    assert!(story.held && story.breaches.is_empty(), "{}", story.verdict);
    let told = story.summary.join(" ");
    for part in
        ["on 12 hosts in 2 regions", "sql-07-stopped holds another", "187 nightly backups were made and none failed"]
    {
        assert!(told.contains(part), "`{part}` is not in: {told}");
    }
    the_page_holds_no_secret(&world, &story);
}

fn keys_are_as_iam_and_the_journal_have_them(world: &World, story: &Story) {
    let [old, new] = story.keys.as_slice() else { panic!("two keys, and not {:?}", story.keys) };
    let phases = |lane: &super::super::keys::KeyLane| lane.spans.iter().map(|span| span.is).collect::<Vec<_>>();
    assert_eq!(old.id, OLD);
    assert_eq!(phases(old), [KeyPhase::Current, KeyPhase::Kept, KeyPhase::Inactive]);
    assert_eq!(phases(new), [KeyPhase::Made, KeyPhase::Staged, KeyPhase::Current]);
    assert!(old.made < story.from - 84 * 86_400_000, "it was 85 days old");
    for lane in [old, new] {
        assert!(lane.spans.windows(2).all(|pair| pair[0].to == pair[1].from), "no hole in {:?}", lane.spans);
    }
    let when = |wanted: &dyn Fn(&Effect) -> bool| {
        let journal = world.cloud.journal();
        let mut found = journal.iter().filter(|event| event.effects.iter().any(wanted)).map(|event| event.time);
        found.next_back().unwrap().as_millisecond()
    };
    let inactive = when(&|effect| matches!(effect, Effect::KeyStatusChanged { to: KeyStatus::Inactive, .. }));
    let deleted = when(&|effect| matches!(effect, Effect::KeyDeleted { .. }));
    let made = when(&|effect| matches!(effect, Effect::KeyCreated { .. }));
    assert_eq!((old.spans[2].from, old.spans[2].to, new.spans[0].from), (inactive, deleted, made));
    let by: Vec<&str> = new.marks.iter().map(|mark| mark.text.rsplit(' ').next().unwrap()).collect();
    assert_eq!(by, ["rotate-iam-key", "rotate-iam-key", "promote-stage"]);
    assert_eq!(new.marks.last().map(|mark| mark.kind), Some(KeyMoment::Current));
    let alive = world.cloud.access_keys(&world.settings.subject());
    assert_eq!(alive.iter().map(|key| &key.access_key_id).collect::<Vec<_>>(), [&new.id]);
}

/// S3's word about who wrote what is a witness that the recorder never asked.
fn every_nightly_backup_was_made_with_the_key_that_the_story_names(world: &World, story: &Story) {
    let mut seen = 0;
    for event in world.cloud.journal() {
        for (id, key) in event.effects.iter().filter_map(nightly_backup) {
            let at = event.time.as_millisecond();
            let spans = host(story, &id).strips.iter().flat_map(|strip| &strip.spans);
            let told: Vec<&String> =
                spans.filter(|span| span.from <= at && at <= span.to).map(|span| &span.is).collect();
            assert!(told.contains(&&key), "{id} backed up with {key} at {}, and the story says {told:?}", event.time);
            seen += 1;
        }
    }
    assert_eq!(seen, 187, "17 nights of ten running hosts, one of which has two instances");
}

fn nightly_backup(effect: &Effect) -> Option<(String, String)> {
    let Effect::ObjectStored { key, access_key_id, .. } = effect else { return None };
    let id = key.strip_prefix("nightly/")?.strip_suffix(".bak")?;
    Some((id.to_owned(), access_key_id.clone()))
}

fn the_end_of_each_lane_is_what_the_host_holds(world: &World, story: &Story) {
    assert_eq!(story.hosts.len(), 12);
    for lane in &story.hosts {
        let held = world.fleet.host(&lane.id).unwrap().held_keys();
        let held: Vec<_> = held.iter().map(|held| (&held.endpoint, &held.access_key_id)).collect();
        let told: Vec<_> = lane.strips.iter().map(|strip| (&strip.endpoint, &strip.spans.last().unwrap().is)).collect();
        assert_eq!(told, held, "{}", lane.name);
        for strip in &lane.strips {
            assert_eq!((strip.spans[0].from, strip.spans.last().unwrap().to), (story.from, story.to), "{}", lane.name);
            assert!(strip.spans.windows(2).all(|pair| pair[0].to == pair[1].from), "no hole in {:?}", strip.spans);
        }
    }
}

fn proofs_are_the_ledgers(world: &World, story: &Story) {
    let tag = rotation::names::ledger_tag(&world.settings.rotation);
    let is_entry = |event: &&Event| {
        event.effects.iter().any(|effect| matches!(effect, Effect::TagsChanged { set, .. } if set.contains_key(&tag)))
    };
    for lane in &story.hosts {
        let proofs =
            lane.marks.iter().filter(|mark| matches!(mark.kind, HostMoment::Proved | HostMoment::NothingToHold));
        let times: Vec<i64> = proofs.map(|mark| mark.at).collect();
        let journal = world.cloud.journal();
        let of_host = |event: &&Event| {
            event
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::TagsChanged { resource, .. } if *resource == lane.id))
        };
        let entries: Vec<i64> =
            journal.iter().filter(is_entry).filter(of_host).map(|event| event.time.as_millisecond()).collect();
        assert_eq!(times, entries, "{}", lane.name);
        let entry = world.cloud.instance(&lane.id).and_then(|instance| instance.tags.get(&tag).cloned());
        assert_eq!(entry.is_some(), !times.is_empty(), "{}", lane.name);
    }
}

fn troubles_are_told(story: &Story) {
    let stopped = host(story, "i-00000000000000007");
    assert_eq!(
        stopped.outages.iter().map(|outage| (outage.is, outage.from, outage.to)).collect::<Vec<_>>(),
        [(Outage::Stopped, story.from, story.to)]
    );
    assert_eq!(stopped.strips[0].spans.iter().map(|span| span.is.as_str()).collect::<Vec<_>>(), [OLD]);

    let silent = host(story, "i-00000000000000009");
    let [outage] = silent.outages.as_slice() else { panic!("one outage, and not {:?}", silent.outages) };
    assert_eq!((outage.is, outage.from), (Outage::Silent, story.from));
    assert_eq!(outage.to, story.executions[1].from, "it answers again when the second run begins");
    assert!(silent.strips[0].spans[0].to > outage.to, "and only then is it brought in");
    assert_eq!(moments(silent, HostMoment::NoAnswer), ["the command did not reach it (execution-1 wave 2)"]);

    let unlucky = host(story, "i-0000000000000000b");
    let failures = moments(unlucky, HostMoment::Failed);
    assert!(
        failures.len() == 1 && failures[0].starts_with("answered failed: ProofFailed at localhost"),
        "{failures:?}"
    );
    assert_eq!(moments(unlucky, HostMoment::Proved).len(), 2);

    let empty = host(story, "i-0000000000000000a");
    assert!(empty.strips.is_empty() && !moments(empty, HostMoment::NothingToHold).is_empty());
    assert_eq!(host(story, "i-00000000000000006").strips.len(), 2, "two instances");
}

fn executions_are_the_machines(world: &World, story: &Story) {
    let executions = world.executions();
    assert_eq!(story.executions.len(), executions.len());
    for (told, execution) in story.executions.iter().zip(&executions) {
        let steps: Vec<&str> = told.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps, execution.states_entered());
        assert!(told.steps.iter().all(|step| step.to.is_some()), "every state was left");
        assert_eq!(told.to, execution.stop_date.map(|time| time.as_millisecond()));
    }
    let places: Vec<_> = story.executions[0]
        .steps
        .iter()
        .filter(|step| step.name == "SendCommand")
        .map(|step| step.place.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(
        places,
        ["eu-west-1", "us-east-1", "eu-west-1", "us-east-1", "us-east-1"],
        "canaries, the rest, the one that failed"
    );
}

fn the_page_holds_no_secret(world: &World, story: &Story) {
    let page = super::super::page(story);
    assert!(page.contains(OLD) && page.contains("sql-11-fails-once"), "the page tells the story");
    assert_eq!(secrecy::search(&world.cloud, [("the report".to_owned(), page.clone())].into_iter()), []);
    let secret = world.cloud.secret_access_keys().pop().unwrap();
    let leaking = page.replace(OLD, &secret);
    assert_ne!(
        secrecy::search(&world.cloud, [("the report".to_owned(), leaking)].into_iter()),
        [],
        "the search can fail"
    );
}
