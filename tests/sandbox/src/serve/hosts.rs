//! What happens to hosts by no API of AWS: they break, are repaired, and come back from an image with what it held.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Service;
use super::admin::Refusal;
use crate::cloud::InstanceState;
use crate::fleet_file::is_instance_id;
use crate::host::{Host, HostFaults, HostSetUp, SqlServerFaults, is_tool};
use crate::world::Image;

/// A slow command must still end; SSM itself waits no longer than two days for one.
const MOST_SLOW_SECONDS: u64 = 86_400;

/// What goes wrong with a host; what is not named stays as it is.
#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Trouble {
    agent_offline: Option<bool>,
    disk_full: Option<bool>,
    slow_seconds: Option<u64>,
    /// `null` takes a lie back, and no member leaves it.
    #[serde(default, deserialize_with = "given")]
    lies: Option<Option<String>>,
    missing_tools: Option<Vec<String>>,
    refused_backups: Option<u32>,
    sql_server_stopped: Option<bool>,
    endpoint: Option<String>,
}

/// A member that is there, be it `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Trouble {
    /// A slip that breaks nothing, or what cannot break, would pass for a fleet that bears everything.
    fn check(&self) -> Result<(), Refusal> {
        if *self == (Trouble { endpoint: self.endpoint.clone(), ..Trouble::default() }) {
            return Err(Refusal::bad("nothing is to go wrong: name at least one of the members of the table"));
        }
        if self.slow_seconds.is_some_and(|seconds| seconds > MOST_SLOW_SECONDS) {
            return Err(Refusal::bad(format!("slowSeconds is {MOST_SLOW_SECONDS}, a day, at most")));
        }
        match self.missing_tools.iter().flatten().find(|tool| !is_tool(tool)) {
            Some(unknown) => Err(Refusal::bad(format!("no host has a tool `{unknown}` that could be missing"))),
            None => Ok(()),
        }
    }
}

/// How long after its instance an agent answers; at once where it is left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Start {
    #[serde(default)]
    agent_after_seconds: u64,
}

/// The new host's id, and when its agent answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Launch {
    id: String,
    #[serde(default)]
    agent_after_seconds: u64,
}

/// A tag that is put on, or with the key alone taken off.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tag {
    key: String,
    value: Option<String>,
}

impl Service {
    /// The calls that need no body.
    pub(super) fn with_host(&self, id: &str, verb: &str) -> Result<Value, Refusal> {
        let host = match verb {
            "stop" | "repair" | "restore" => self.living(id)?,
            _ => self.host(id)?,
        };
        let cloud = &self.world.cloud;
        match verb {
            "stop" => cloud.stop_instance(id),
            "terminate" => cloud.terminate_instance(id),
            "repair" => self.repair(&host),
            "image" => self.world.images.keep(id, Image::of(&host).map_err(unwritten)?),
            "restore" => {
                self.image(id)?;
                self.world.restore(id).map_err(unwritten)?;
            }
            other => {
                let known = "stop, start, terminate, break, repair, image, restore, launch, tag, untag";
                return Err(Refusal::missing(format!("a host takes {known}, and not `{other}`")));
            }
        }
        Ok(self.state_of(id))
    }

    pub(super) fn start_host(&self, id: &str, start: &Start) -> Result<Value, Refusal> {
        let agent_after = seconds_to_answer(start.agent_after_seconds)?;
        self.world.start_host(id, agent_after);
        Ok(self.state_of(id))
    }

    pub(super) fn tag_host(&self, id: &str, tag: &Tag) -> Result<Value, Refusal> {
        self.living(id)?;
        let value = tag.value.as_ref().ok_or_else(|| Refusal::bad("a tag that is put on has a value, be it empty"))?;
        self.world.cloud.tag_instance(id, &tag.key, value);
        Ok(self.tags_of(id))
    }

    pub(super) fn untag_host(&self, id: &str, tag: &Tag) -> Result<Value, Refusal> {
        self.living(id)?;
        if tag.value.is_some() {
            return Err(Refusal::bad("a tag is taken off by its key alone"));
        }
        let tags = self.world.cloud.instance(id).map(|instance| instance.tags).unwrap_or_default();
        if !tags.contains_key(&tag.key) {
            let present = tags.into_keys().collect::<Vec<_>>().join(", ");
            return Err(Refusal::missing(format!("{id} has no tag `{}`; it has {present}", tag.key)));
        }
        self.world.cloud.untag_instance(id, &tag.key);
        Ok(self.tags_of(id))
    }

    fn tags_of(&self, id: &str) -> Value {
        json!({ "id": id, "tags": self.world.cloud.instance(id).map(|instance| instance.tags) })
    }

    fn host(&self, id: &str) -> Result<Arc<Host>, Refusal> {
        self.world
            .fleet
            .host(id)
            .ok_or_else(|| Refusal::missing(format!("there is no host {id}; GET /sandbox/fleet lists them")))
    }

    /// A host that is not terminated: nothing brings such an instance back (EC2's IncorrectInstanceState).
    pub(super) fn living(&self, id: &str) -> Result<Arc<Host>, Refusal> {
        let host = self.host(id)?;
        match self.world.cloud.instance(id) {
            Some(instance) if instance.state == InstanceState::Terminated => Err(Refusal::bad(format!(
                "{id} is terminated, and stays so; POST /sandbox/hosts/{id}/launch makes a new host of its image"
            ))),
            Some(_) | None => Ok(host),
        }
    }

    fn state_of(&self, id: &str) -> Value {
        let instance = self.world.cloud.instance(id);
        let state = instance.as_ref().map(|instance| instance.state.name());
        json!({ "id": id, "state": state, "online": instance.is_some_and(|instance| instance.online) })
    }

    pub(super) fn break_host(&self, id: &str, trouble: Trouble) -> Result<Value, Refusal> {
        let host = self.living(id)?;
        trouble.check()?;
        let endpoints: Vec<String> = match &trouble.endpoint {
            Some(named) => vec![named.clone()],
            None => host.sql_servers().into_iter().map(|(endpoint, _)| endpoint).collect(),
        };
        for endpoint in endpoints {
            let found = host.with_sql_server(&endpoint, |server| {
                if let Some(refused) = trouble.refused_backups {
                    server.faults.refused_backups = refused;
                }
                if let Some(stopped) = trouble.sql_server_stopped {
                    server.running = !stopped;
                }
            });
            found.ok_or_else(|| Refusal::missing(format!("nothing listens at {endpoint} on {id}")))?;
        }
        host.set_faults(|faults| {
            if let Some(full) = trouble.disk_full {
                faults.disk_full = full;
            }
            if let Some(seconds) = trouble.slow_seconds {
                faults.slow = Duration::from_secs(seconds);
            }
            if let Some(lie) = trouble.lies {
                faults.lie = lie;
            }
            if let Some(tools) = trouble.missing_tools {
                faults.missing_tools = tools;
            }
        });
        if let Some(offline) = trouble.agent_offline {
            self.world.cloud.set_agent_online(id, !offline);
        }
        Ok(self.state_of(id))
    }

    fn repair(&self, host: &Host) {
        for (endpoint, _) in host.sql_servers() {
            host.with_sql_server(&endpoint, |server| {
                server.running = self.world.images.ran_at_first(host.instance_id(), &endpoint);
                server.faults = SqlServerFaults::default();
            });
        }
        host.set_faults(|faults| *faults = HostFaults::default());
        self.world.cloud.set_agent_online(host.instance_id(), true);
    }

    pub(super) fn launch(&self, image_of: &str, launch: Launch) -> Result<Value, Refusal> {
        let Launch { id, agent_after_seconds } = launch;
        let agent_after = seconds_to_answer(agent_after_seconds)?;
        let of = self.host(image_of)?;
        if !is_instance_id(&id) {
            return Err(Refusal::bad(format!("`{id}` is no instance id: i- and hexadecimal digits")));
        }
        if self.world.cloud.instance(&id).is_some() {
            return Err(Refusal::bad(format!("there is an instance {id} already")));
        }
        let image = self.image(image_of)?;
        let set_up = HostSetUp {
            instance_id: id.clone(),
            region: self.world.cloud.instance(image_of).map(|of| of.region).unwrap_or_default(),
            platform: of.platform(),
            sql_servers: image.sql_servers.clone(),
            ..HostSetUp::default()
        };
        let host = self.world.fleet.add(set_up).map_err(unwritten)?;
        image.put_files(&host).map_err(unwritten)?;
        self.world.images.keep(&id, image);
        self.world.cloud.launch_from_image(&id, image_of);
        if !agent_after.is_zero() {
            self.world.cloud.set_agent_online(&id, false);
            self.world.bring_agent_online(&id, agent_after);
        }
        Ok(self.state_of(&id))
    }

    fn image(&self, id: &str) -> Result<Image, Refusal> {
        self.world.images.get(id).ok_or_else(|| Refusal::missing(format!("there is no image of {id}")))
    }
}

fn seconds_to_answer(seconds: u64) -> Result<Duration, Refusal> {
    if seconds > MOST_SLOW_SECONDS {
        return Err(Refusal::bad(format!("agentAfterSeconds is {MOST_SLOW_SECONDS}, a day, at most")));
    }
    Ok(Duration::from_secs(seconds))
}

fn unwritten(error: io::Error) -> Refusal {
    Refusal::bad(format!("a file of the host could not be read or written: {error}"))
}
