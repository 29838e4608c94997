//! What a story must hold to: what it does to a host, that host must be able to meet. A story is read once before
//! anything runs, so that a slip in its last chapter is told at once.

use std::collections::BTreeMap;

use rotation::StepError;

use super::check::{Flaw, check_host, flaw};
use super::{Chapter, FleetFile, HostEntry, placeholders};

/// What EC2 and SSM would say of a host at some point of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
    Terminated,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Running => "runs",
            State::Stopped => "is stopped",
            State::Terminated => "is terminated",
        }
    }
}

/// Every host that there was so far.
struct Roster(BTreeMap<String, State>);

/// The first thing that is wrong.
pub(super) fn check_story(file: &FleetFile) -> Result<(), Flaw> {
    check_placeholders("input", &file.input)?;
    let mut roster = Roster(file.hosts.iter().map(|host| (host.id.clone(), first_state(host))).collect());
    for (index, chapter) in file.story.iter().enumerate() {
        roster.live(&format!("story[{index}]"), chapter)?;
    }
    Ok(())
}

fn first_state(host: &HostEntry) -> State {
    if host.stopped { State::Stopped } else { State::Running }
}

fn check_placeholders(place: &str, input: &serde_json::Value) -> Result<(), Flaw> {
    placeholders::unknown(place, input).map_or(Ok(()), |(place, why)| flaw(place, why.to_string()))
}

impl Roster {
    /// The acts of a chapter in the order in which they happen.
    fn live(&mut self, place: &str, chapter: &Chapter) -> Result<(), Flaw> {
        use State::{Running, Stopped, Terminated};
        self.all(place, "terminate", &chapter.terminate, &[Running, Stopped], Some(Terminated))?;
        self.all(place, "stop", &chapter.stop, &[Running], Some(Stopped))?;
        self.all(place, "unreachable", &chapter.unreachable, &[Running], None)?;
        self.all(place, "reachable", &chapter.reachable, &[Running], None)?;
        for (act, tags) in [("untag", taken(chapter)), ("tag", put(chapter))] {
            for (index, (id, key)) in tags.into_iter().enumerate() {
                let place = format!("{place}.{act}[{index}]");
                self.one(&format!("{place}.id"), id, &[Running, Stopped], None)?;
                check_tag_key(&format!("{place}.key"), key)?;
            }
        }
        self.all(place, "restore", &chapter.restore, &[Running], None)?;
        self.all(place, "start", &chapter.start, &[Stopped], Some(Running))?;
        for (index, host) in chapter.launch.iter().enumerate() {
            self.launch(&format!("{place}.launch[{index}]"), host)?;
        }
        check_placeholders(&format!("{place}.run"), &chapter.run)?;
        check_error(&format!("{place}.expect"), chapter.expect.as_deref())
    }

    fn all(&mut self, place: &str, act: &str, ids: &[String], from: &[State], to: Option<State>) -> Result<(), Flaw> {
        ids.iter().enumerate().try_for_each(|(index, id)| self.one(&format!("{place}.{act}[{index}]"), id, from, to))
    }

    fn one(&mut self, place: &str, id: &str, from: &[State], to: Option<State>) -> Result<(), Flaw> {
        let Some(state) = self.0.get_mut(id) else {
            return flaw(
                place,
                format!("there is no host {id} at this point of the story; name one of `hosts`, or `launch` it before"),
            );
        };
        if !from.contains(state) {
            return flaw(place, format!("{id} {} already at this point of the story", state.name()));
        }
        *state = to.unwrap_or(*state);
        Ok(())
    }

    fn launch(&mut self, place: &str, host: &HostEntry) -> Result<(), Flaw> {
        check_host(place, host)?;
        for (member, is_set) in [("stopped", host.stopped), ("unreachable", host.unreachable)] {
            if is_set {
                return flaw(
                    format!("{place}.{member}"),
                    "a host that is launched runs, and its agent answers a minute later",
                );
            }
        }
        match self.0.insert(host.id.clone(), State::Running) {
            Some(_) => {
                flaw(format!("{place}.id"), format!("there is a host {} already; EC2 uses no id twice", host.id))
            }
            None => Ok(()),
        }
    }
}

fn taken(chapter: &Chapter) -> Vec<(&str, &str)> {
    chapter.untag.iter().map(|tag| (tag.id.as_str(), tag.key.as_str())).collect()
}

fn put(chapter: &Chapter) -> Vec<(&str, &str)> {
    chapter.tag.iter().map(|tag| (tag.id.as_str(), tag.key.as_str())).collect()
}

/// EC2's rule: 1 to 127 characters.
fn check_tag_key(place: &str, key: &str) -> Result<(), Flaw> {
    match key.chars().count() {
        1..=127 => Ok(()),
        length => flaw(place, format!("a tag's key has 1 to 127 characters, and not {length}")),
    }
}

fn check_error(place: &str, name: Option<&str>) -> Result<(), Flaw> {
    match name.filter(|name| !StepError::NAMES.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            flaw(place, format!("no run fails by the name `{unknown}`; the names are {}", StepError::NAMES.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ONE: &str = "i-01";

    /// What is said of a story of one running and one stopped host.
    fn said(story: Value) -> Option<Flaw> {
        let host = |id: &str, stopped: bool| json!({ "id": id, "region": "eu-west-1", "stopped": stopped });
        let file = json!({
            "account": "111122223333",
            "region": "eu-west-1",
            "startsAt": "2026-11-24T06:00:00Z",
            "hosts": [host(ONE, false), host("i-02", true)],
            "story": story,
        });
        check_story(&serde_json::from_value(file).unwrap()).err()
    }

    fn chapter(acts: Value) -> Value {
        let mut chapter = json!({ "say": "Something happens.", "run": { "mode": "converge" } });
        chapter.as_object_mut().unwrap().extend(acts.as_object().unwrap().clone());
        chapter
    }

    #[test]
    fn a_life_that_hosts_can_lead_is_taken() {
        let launched = json!({ "id": "i-03", "region": "eu-west-1" });
        let story = json!([
            chapter(json!({ "start": ["i-02"], "launch": [launched], "stop": [ONE] })),
            chapter(json!({ "start": [ONE], "restore": ["i-03"], "untag": [{ "id": "i-02", "key": "SQL" }] })),
            chapter(json!({ "run": { "compromised": "{{current key}}" }, "expect": "ProofsMissing" })),
            chapter(json!({ "terminate": ["i-02", "i-03"], "unreachable": [ONE] })),
        ]);
        assert_eq!(said(story), None);
    }

    #[test]
    fn each_slip_is_named_with_its_place_and_what_to_do() {
        let launch = |host: Value| json!({ "launch": [host] });
        for (acts, place, remedy) in [
            (json!({ "start": [ONE] }), "story[1].start[0]", "runs already"),
            (json!({ "stop": [ONE, "i-02"] }), "story[1].stop[1]", "is stopped already"),
            (json!({ "restore": ["i-09"] }), "story[1].restore[0]", "name one of `hosts`"),
            (json!({ "reachable": ["i-04"] }), "story[1].reachable[0]", "is terminated already"),
            (json!({ "untag": [{ "id": "i-09", "key": "SQL" }] }), "story[1].untag[0].id", "there is no host i-09"),
            (json!({ "tag": [{ "id": ONE, "key": "", "value": "" }] }), "story[1].tag[0].key", "1 to 127"),
            (launch(json!({ "id": ONE, "region": "eu-west-1" })), "story[1].launch[0].id", "already"),
            (launch(json!({ "id": "i-04", "region": "eu-west-1" })), "story[1].launch[0].id", "no id twice"),
            (launch(json!({ "id": "x", "region": "eu-west-1" })), "story[1].launch[0].id", "hexadecimal"),
            (
                launch(json!({ "id": "i-09", "region": "eu-west-1", "stopped": true })),
                "story[1].launch[0].stopped",
                "runs",
            ),
            (json!({ "run": { "compromised": "{{old key}}" } }), "story[1].run.compromised", "{{current key}}"),
            (json!({ "expect": "Trouble" }), "story[1].expect", "ProofsMissing"),
        ] {
            let before = json!({ "launch": [{ "id": "i-04", "region": "eu-west-1" }] });
            let story = json!([chapter(before), chapter(with_the_end_of_the_launched(acts.clone()))]);
            let flaw = said(story).unwrap_or_else(|| panic!("{acts} is taken"));
            assert_eq!(flaw.place, place, "{}", flaw.problem);
            assert!(flaw.problem.contains(remedy), "{}", flaw.problem);
        }
    }

    fn with_the_end_of_the_launched(mut acts: Value) -> Value {
        acts["terminate"] = json!(["i-04"]);
        acts
    }
}
