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

fn host<'a>(story: &'a Story, id: &str) -> &'a HostLane {
    story.hosts.iter().find(|host| host.id == id).unwrap()
}

/// The moments of some kind on a host.
fn moments(host: &HostLane, kind: HostMoment) -> Vec<&str> {
    host.marks.iter().filter(|mark| mark.kind == kind).map(|mark| mark.text.as_str()).collect()
}
