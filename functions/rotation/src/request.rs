//! The execution's input: what somebody asks for when a run starts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StepError;
use crate::names::{AccessKeyId, InstanceId};
use crate::settings::Settings;

/// The most hosts that an input names: SendCommand takes 50 by id (FACTS C), and state carries no rosters.
pub const NAMED_HOSTS: usize = 50;

/// What a run is asked to do. `{}` is a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The mode, `rotate` where the input names none.
    #[serde(default)]
    pub mode: Mode,
    /// With `converge`: command these hosts of the fleet and nobody else. Empty means all that lack a proof.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub instance_ids: BTreeSet<InstanceId>,
    /// Promotion and retirement go on without these hosts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without: BTreeSet<InstanceId>,
    /// With `rotate`: a key that leaked. It is made Inactive as soon as it is neither target nor current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compromised: Option<AccessKeyId>,
    /// With `plan`: every running host is asked what it holds and what would stand in the way; nothing is changed. It is
    /// always written, since the state machine's Choice reads it.
    #[serde(default)]
    pub inspect_hosts: bool,
    /// The console's own field, which it offers in its example input; it changes nothing.
    #[serde(default, rename = "Comment", skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The modes of a run (DESIGN section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Stages a new version unless one is pending, and brings the fleet to it.
    #[default]
    Rotate,
    /// Brings the fleet to the target; stages only what is overdue.
    Converge,
    /// Reads only, and says what `rotate` would do now.
    Plan,
    /// Takes AWSPENDING off, and brings the fleet back to the current version.
    Abandon,
    /// Makes the version that was current before the target, and promotes it once it is proved.
    Rollback,
    /// For logins: a `rotate` that also creates the login whose turn it is where it is missing, with the other's rights.
    Provision,
}

impl Request {
    /// A run in a mode, with nothing else to say.
    pub const fn for_mode(mode: Mode) -> Request {
        Request {
            mode,
            instance_ids: BTreeSet::new(),
            without: BTreeSet::new(),
            compromised: None,
            inspect_hosts: false,
            comment: None,
        }
    }

    /// Reads the execution's input; an unknown mode or field is refused by name.
    ///
    /// A list is one run for all that its members ask for: an EventBridge pipe hands over many hosts that started at
    /// once as a list of inputs, one a host.
    pub fn parse(input: &Value) -> Result<Request, StepError> {
        let Value::Array(inputs) = input else { return Request::parse_one(input) };
        let mut together: Option<Request> = None;
        for input in inputs {
            let next = Request::parse_one(input)?;
            let is_start = next.mode == Mode::Converge && !next.instance_ids.is_empty() && next.without.is_empty();
            refuse(!is_start, "$", "a list holds converge runs with instanceIds, and nothing else")?;
            together.get_or_insert_with(|| Request { instance_ids: BTreeSet::new(), ..next.clone() });
            if let Some(together) = &mut together {
                together.instance_ids.extend(next.instance_ids);
            }
        }
        let mut request = together.ok_or_else(|| invalid("$", "an empty list asks for nothing"))?;
        // As many as that are a whole fleet that starts: whoever of it lacks a proof is commanded.
        if request.instance_ids.len() > NAMED_HOSTS {
            request.instance_ids.clear();
        }
        Ok(request)
    }

    fn parse_one(input: &Value) -> Result<Request, StepError> {
        let request: Request = serde_path_to_error::deserialize(input)
            .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), StepError> {
        let names_hosts = !self.instance_ids.is_empty();
        refuse(names_hosts && self.mode != Mode::Converge, "instanceIds", "only a converge can be narrowed to hosts")?;
        refuse(names_hosts && !self.without.is_empty(), "without", "either instanceIds or without, not both")?;
        refuse(self.inspect_hosts && self.mode != Mode::Plan, "inspectHosts", "only a plan inspects hosts")?;
        let can_name_a_leak = matches!(self.mode, Mode::Rotate | Mode::Plan);
        refuse(
            self.compromised.is_some() && !can_name_a_leak,
            "compromised",
            "a leaked key asks for rotate (or plan)",
        )?;
        for (path, hosts) in [("instanceIds", &self.instance_ids), ("without", &self.without)] {
            refuse(hosts.len() > NAMED_HOSTS, path, &format!("at most {NAMED_HOSTS} hosts can be named"))?;
            let wrong = hosts.iter().find(|host| !is_instance_id(host));
            refuse(wrong.is_some(), path, "an instance id is i- and hexadecimal digits")?;
        }
        let is_key = |key: &AccessKeyId| crate::names::private_label_key(key.as_str()).is_some();
        refuse(!self.compromised.as_ref().is_none_or(is_key), "compromised", "an access key id begins with AKIA")
    }

    /// What the run is about once its label has moved: a way back goes on as a converge.
    #[must_use]
    pub fn once_turned(&self) -> Request {
        let mode = match self.mode {
            Mode::Abandon | Mode::Rollback => Mode::Converge,
            Mode::Rotate | Mode::Converge | Mode::Plan | Mode::Provision => self.mode,
        };
        Request { mode, ..self.clone() }
    }

    /// Whether it is about a few hosts only, so that keys and labels are left alone.
    pub fn is_narrowed(&self) -> bool {
        !self.instance_ids.is_empty()
    }

    /// Whether a host is one of those that it is about.
    pub fn is_about(&self, host: &InstanceId) -> bool {
        !self.is_narrowed() || self.instance_ids.contains(host)
    }

    /// Proofs from before this are asked for once more, though they are believed: a host that is named proves now, and
    /// every host from time to time.
    pub fn fresh_since(&self, settings: &Settings, started: Timestamp, now: Timestamp) -> Timestamp {
        if self.is_narrowed() { started } else { settings.schedule.reprove_before(now) }
    }
}

fn is_instance_id(id: &InstanceId) -> bool {
    let digits = id.as_str().strip_prefix("i-").unwrap_or_default();
    !digits.is_empty() && digits.len() <= 17 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn invalid(path: &str, problem: &str) -> StepError {
    StepError::InvalidInput { path: path.to_owned(), problem: problem.to_owned() }
}

fn refuse(is_wrong: bool, path: &str, problem: &str) -> Result<(), StepError> {
    if is_wrong { Err(invalid(path, problem)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(input: Value) -> String {
        let error = Request::parse(&input).unwrap_err();
        assert_eq!(error.name(), "InvalidInput");
        error.to_string()
    }

    #[test]
    fn an_empty_input_and_the_consoles_comment_ask_for_a_rotation() {
        for input in [json!({}), json!({"Comment": "Insert your JSON here"}), json!({"mode": "rotate"})] {
            assert_eq!(Request::parse(&input).unwrap().mode, Mode::Rotate);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_path() {
        assert!(refused(json!({"mode": "destroy"})).contains("mode"));
        for input in [json!({"mod": "plan"}), json!("rotate"), json!([]), json!([{}]), json!([{"mode": "converge"}])] {
            refused(input);
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused_where_it_stands() {
        for (input, path) in [
            (json!({"instanceIds": ["i-1"]}), "instanceIds"),
            (json!({"mode": "converge", "instanceIds": ["web-1"]}), "instanceIds"),
            (json!({"mode": "converge", "instanceIds": ["i-1"], "without": ["i-2"]}), "without"),
            (json!({"mode": "rollback", "compromised": "AKIAIOSFODNN7EXAMPLE"}), "compromised"),
            (json!({"compromised": "my key"}), "compromised"),
            (json!({"without": vec![1; 3]}), "without"),
        ] {
            assert!(refused(input.clone()).contains(path), "{input}");
        }
        let many: Vec<String> = (0..51).map(|number| format!("i-{number:x}")).collect();
        assert!(refused(json!({"without": many})).contains("at most 50"));
    }

    #[test]
    fn many_starts_at_once_are_one_run_and_very_many_are_a_run_for_the_whole_fleet() {
        let start = |number: u32| json!({"mode": "converge", "instanceIds": [format!("i-{number:x}")]});
        let few = Request::parse(&json!([start(1), start(2), start(1)])).unwrap();
        assert_eq!((few.mode, few.instance_ids.len()), (Mode::Converge, 2));
        let many = Request::parse(&Value::Array((0..51).map(start).collect())).unwrap();
        assert_eq!((many.mode, many.is_narrowed()), (Mode::Converge, false));
    }
}
