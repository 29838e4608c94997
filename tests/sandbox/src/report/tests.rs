//! Stories of whole worlds: what the page says is held against what is so.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::hosts::{HostLane, HostMoment, Outage};
use super::keys::{KeyMoment, KeyPhase};
use super::{Recorder, Story};
use crate::cloud::{Effect, KeyStatus};
use crate::fleet_file::FleetFile;
use crate::settings_file::read_json;
use crate::world::{World, repository};

mod example;
mod executions;
mod life;
mod troubles;

fn example(file: &str) -> Value {
    read_json(&repository().join("tests/sandbox/examples").join(file)).unwrap()
}

/// A world of a fleet under the example's settings, and who has watched it from the start.
async fn watched(fleet: Value) -> (World, FleetFile, Arc<Recorder>) {
    let file: FleetFile = serde_json::from_value(fleet).unwrap();
    let world = World::new(&file, example("settings.json"), Arc::new(|_| {})).await.unwrap();
    let recorder = Recorder::attach(&world.cloud, &world.fleet, &world.settings);
    (world, file, recorder)
}

/// An example with its whole story, lived through.
async fn lived_through(file: &str) -> (World, Story) {
    let (mut world, file, recorder) = watched(example(file)).await;
    world.run(file.input.clone()).await;
    for chapter in &file.story {
        world.live(chapter).await.unwrap();
        let execution = world.run(world.fill_in(&chapter.run).unwrap()).await;
        assert_eq!(execution.error, chapter.expect, "{}", chapter.say);
        recorder.note_chapter(&execution.name, &chapter.say, chapter.expect.as_deref());
    }
    world.shut_down().await;
    let story = Story::of_world(&world, &recorder);
    (world, story)
}

fn host<'a>(story: &'a Story, id: &str) -> &'a HostLane {
    story.hosts.iter().find(|host| host.id == id).unwrap()
}

/// The moments of some kind on a host.
fn moments(host: &HostLane, kind: HostMoment) -> Vec<&str> {
    host.marks.iter().filter(|mark| mark.kind == kind).map(|mark| mark.text.as_str()).collect()
}
