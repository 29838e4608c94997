//! Stories of what ought not to happen.

use super::*;

fn three_hosts() -> Value {
    let host = |number: u32| json!({ "id": format!("i-{number:017x}"), "region": "eu-west-1", "tags": { "SQL": "2022" }, "sqlServers": [{}] });
    json!({
        "account": "111122223333", "region": "eu-west-1", "startsAt": "2026-11-24T06:00:00Z", "secondKey": "previous",
        "hosts": [host(1), host(2), host(3)],
    })
}

const FIRST: &str = "i-00000000000000001";
const SECOND: &str = "i-00000000000000002";
const THIRD: &str = "i-00000000000000003";
const FOURTH: &str = "i-00000000000000004";

#[tokio::test(flavor = "multi_thread")]
async fn backups_that_fail_are_told_first_and_stand_on_their_hosts() {
    let (mut world, _, recorder) = watched(three_hosts()).await;
    let (user, key) = (world.settings.subject(), "AKIASANDBOXCURRENT00");
    world.pass_days(1).await;
    world.cloud.update_access_key(&user, key, KeyStatus::Inactive).unwrap();
    world.pass_days(1).await;
    world.cloud.update_access_key(&user, key, KeyStatus::Active).unwrap();
    world.pass_days(1).await;
    let story = Story::of_world(&world, &recorder);
    assert!(!story.held);
    assert_eq!(story.verdict, "3 nightly backups failed.");
    assert_eq!(story.breaches.len(), 3);
    for host in &story.hosts {
        let failed = moments(host, HostMoment::BackupFailed);
        assert!(failed.len() == 1 && failed[0].contains("localhost,1433"), "{}: {failed:?}", host.id);
    }
    assert!(story.summary.last().unwrap().contains("6 nightly backups were made and 3 failed"), "{:?}", story.summary);
    let lane = story.keys.iter().find(|lane| lane.id == key).unwrap();
    assert_eq!(
        lane.spans.iter().map(|span| span.is).collect::<Vec<_>>(),
        [KeyPhase::Current, KeyPhase::Inactive, KeyPhase::Current]
    );
    assert_eq!(
        lane.marks.iter().map(|mark| mark.text.as_str()).collect::<Vec<_>>(),
        ["made Inactive by a person", "made Active by a person"]
    );
    let other = story.keys.iter().find(|lane| lane.id == "AKIASANDBOXSECOND000").unwrap();
    assert_eq!(other.spans.iter().map(|span| span.is).collect::<Vec<_>>(), [KeyPhase::Kept], "it was current before");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_stop_end_and_come_from_an_image_have_lanes_that_say_so() {
    let (mut world, _, recorder) = watched(three_hosts()).await;
    let day = |story: &Story, at: i64| (at - story.from + 43_200_000) / 86_400_000;
    world.cloud.stop_instance(FIRST);
    world.pass_days(1).await;
    world.cloud.start_instance(FIRST);
    world.cloud.set_agent_online(SECOND, false);
    world.cloud.terminate_instance(THIRD);
    world.pass_days(1).await;
    world.cloud.launch_from_image(FOURTH, FIRST);
    world.cloud.set_agent_online(SECOND, true);
    world.pass_days(1).await;
    let story = Story::of_world(&world, &recorder);
    let outages = |id: &str| {
        let outages = host(&story, id).outages.iter();
        outages.map(|outage| (outage.is, day(&story, outage.from), day(&story, outage.to))).collect::<Vec<_>>()
    };
    let there = |id: &str| {
        let there = host(&story, id).there.iter();
        there.map(|there| (day(&story, there.from), day(&story, there.to))).collect::<Vec<_>>()
    };
    assert_eq!(outages(FIRST), [(Outage::Stopped, 0, 1)]);
    assert_eq!(outages(SECOND), [(Outage::Silent, 1, 2)]);
    assert_eq!((there(THIRD), there(FOURTH)), (vec![(0, 1)], vec![(2, 3)]));
    assert_eq!(host(&story, THIRD).strips[0].spans.last().unwrap().to, host(&story, THIRD).there[0].to);
    assert_eq!(moments(host(&story, FOURTH), HostMoment::Restored).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_story_ends_the_element_that_holds_it_and_a_bad_folder_is_named() {
    let mut fleet = three_hosts();
    fleet["hosts"][0]["name"] = json!("</script><script>alert(1)</script>");
    let (world, _, recorder) = watched(fleet).await;
    let mut story = Story::of_world(&world, &recorder);
    story.title = "</title>{{script}}".to_owned();
    let page = super::super::page(&story);
    assert_eq!(page.matches("</script").count(), 2, "the story's and the page's own");
    assert_eq!(page.matches("</title>").count(), 1);
    assert_eq!(page.matches("drawPage();").count(), 1, "what is filled in is never searched for tokens");
    let refused = super::super::write(&story, Path::new("/nowhere/report.html")).unwrap_err();
    assert!(refused.to_string().starts_with("the report /nowhere/report.html cannot be written"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_never_prove_and_runs_that_fail_are_named_although_nothing_broke() {
    let mut fleet = three_hosts();
    fleet["hosts"][1]["sqlServers"] = json!([{ "neverWorks": true }]);
    fleet["hosts"][1]["name"] = json!("sql-broken");
    fleet["hosts"][2]["lies"] = json!("it went well");
    let (mut world, file, recorder) = watched(fleet).await;
    // Two keys are there already, and a rotation has no slot for a third.
    world.run(file.input.clone()).await;
    world.shut_down().await;
    let story = Story::of_world(&world, &recorder);
    assert!(story.held);
    assert_eq!(story.verdict, "Everything held; 1 execution failed.");
    let told = story.summary.join(" ");
    assert!(told.contains("were commanded without success to the last"), "{told}");
    assert!(told.contains("execution-1 ended FAILED (NoFreeKeySlot)"), "{told}");
    let lies = moments(host(&story, THIRD), HostMoment::Failed);
    assert!(lies[0].starts_with("answered nothing that is a proof: it went well"), "{lies:?}");
    let step = story.executions[0].steps.iter().find(|step| step.name == "RetireCredential").unwrap();
    assert_eq!(step.tries.last().and_then(|one| one.error.as_deref()), Some("NoFreeKeySlot"));
}
