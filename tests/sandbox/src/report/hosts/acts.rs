//! What people and EC2 do to a host: it is launched, starts, stops, comes back from an image, ends, and its tags change,
//! by which it belongs to the fleet or does not.

use std::collections::BTreeMap;

use rotation::Settings;
use rotation::names::ledger_tag;
use rotation::settings::TagCondition;

use super::super::story::who;
use super::{Course, HostMoment, Stray, note_mark};
use crate::cloud::{Caller, Effect, Event, InstanceState};

#[allow(clippy::wildcard_enum_match_arm, reason = "only what people and EC2 do is read here")]
pub(super) fn read_act(courses: &mut BTreeMap<&str, Course>, event: &Event, effect: &Effect) {
    let mut note =
        |id: &str, kind, what: &str| note_mark(courses, event, id, kind, format!("{what} by {}", who(event)));
    match effect {
        Effect::InstanceChanged { instance_id, from: None, .. } => note(instance_id, HostMoment::Launched, "launched"),
        Effect::InstanceChanged { instance_id, to, .. } => match to {
            InstanceState::Running => note(instance_id, HostMoment::Started, "started"),
            InstanceState::Stopped => note(instance_id, HostMoment::Stopped, "stopped"),
            InstanceState::Terminated => note(instance_id, HostMoment::Terminated, "terminated"),
            InstanceState::Pending | InstanceState::Stopping | InstanceState::ShuttingDown => {}
        },
        Effect::InstanceRestored { instance_id } => {
            note(instance_id, HostMoment::Restored, "its disks were replaced by older ones");
        }
        Effect::TagsChanged { resource, set, removed } if event.caller == Caller::Person => {
            for (key, value) in set {
                note(resource, HostMoment::Tagged, &format!("the tag {key}={value} was put on"));
            }
            for key in removed {
                note(resource, HostMoment::TagLost, &format!("the tag {key} was taken off"));
            }
        }
        _ => {}
    }
}

/// Whether a host belongs to the fleet is a matter of its tags alone, whoever changes them.
pub(super) fn read_tags(courses: &mut BTreeMap<&str, Course>, at: i64, effect: &Effect, settings: &Settings) {
    let (Effect::TagsChanged { resource: id, .. } | Effect::InstanceChanged { instance_id: id, from: None, .. }) =
        effect
    else {
        return;
    };
    let Some(course) = courses.get_mut(id.as_str()) else { return };
    if let Effect::TagsChanged { set, removed, .. } = effect {
        course.tags.extend(set.clone());
        course.tags.retain(|key, _| !removed.contains(key));
    }
    let tags = &course.tags;
    let matches =
        |condition: &TagCondition| tags.get(&condition.key).is_some_and(|value| condition.values.contains(value));
    let stray = match settings.fleet.tags.iter().all(matches) {
        true => None,
        false if tags.contains_key(&ledger_tag(&settings.rotation)) => Some(Stray::Left),
        false => Some(Stray::Outside),
    };
    course.strays.push((at, stray));
}
