//! What happens to hosts by no API of AWS: they break, are repaired, and come back from an image with what it held.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Service;
use super::admin::Refusal;
use crate::cloud::InstanceState;
use crate::fleet_file::is_instance_id;
use crate::host::{Host, HostFaults, HostSetUp, SqlServer, SqlServerFaults, is_tool};
use crate::world::World;

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

/// The new host's id.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Launch {
    id: String,
}

/// A host's disks at one moment: what its instances hold, and the script's own files.
#[derive(Clone, Default)]
struct Image {
    sql_servers: Vec<(String, SqlServer)>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// The image of every host: from the start of the world, and from when somebody last made one.
pub(super) struct Images {
    first: BTreeMap<String, Image>,
    latest: Mutex<BTreeMap<String, Image>>,
}

impl Images {
    pub(super) fn of(world: &World) -> Images {
        let image = |host: &Arc<Host>| (host.instance_id().to_owned(), Image::of(host).unwrap_or_default());
        let first: BTreeMap<String, Image> = world.fleet.hosts().iter().map(image).collect();
        Images { latest: Mutex::new(first.clone()), first }
    }

    fn keep(&self, id: &str, image: Image) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), image);
    }

    fn get(&self, id: &str) -> Option<Image> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Whether an instance ran at the start; a host that was launched later has running ones only.
    fn ran_at_first(&self, id: &str, endpoint: &str) -> bool {
        let servers = self.first.get(id).map(|image| image.sql_servers.as_slice()).unwrap_or_default();
        servers.iter().find(|(name, _)| name == endpoint).is_none_or(|(_, server)| server.running)
    }
}

impl Image {
    fn of(host: &Host) -> io::Result<Image> {
        let state = host.root().join("state");
        let mut files = BTreeMap::new();
        for file in host.files()? {
            if let Ok(name) = file.strip_prefix(&state) {
                files.insert(name.to_owned(), fs::read(&file)?);
            }
        }
        Ok(Image { sql_servers: host.sql_servers(), files })
    }

    /// A disk that comes back holds nothing that was written later.
    fn write_files(&self, root: &Path) -> io::Result<()> {
        let state = root.join("state");
        for entry in fs::read_dir(&state)? {
            fs::remove_file(entry?.path())?;
        }
        self.files.iter().try_for_each(|(name, content)| fs::write(state.join(name), content))
    }
}

impl Service {
    /// The calls that need no body.
    pub(super) fn with_host(&self, id: &str, verb: &str) -> Result<Value, Refusal> {
        let host = match verb {
            "stop" | "start" | "repair" | "restore" => self.living(id)?,
            _ => self.host(id)?,
        };
        let cloud = &self.world.cloud;
        match verb {
            "stop" => cloud.stop_instance(id),
            "start" => cloud.start_instance(id),
            "terminate" => cloud.terminate_instance(id),
            "repair" => self.repair(&host),
            "image" => self.images.keep(id, Image::of(&host).map_err(unwritten)?),
            "restore" => self.restore(&host)?,
            other => {
                let known = "stop, start, terminate, break, repair, image, restore, launch";
                return Err(Refusal::missing(format!("a host takes {known}, and not `{other}`")));
            }
        }
        Ok(self.state_of(id))
    }

    fn host(&self, id: &str) -> Result<Arc<Host>, Refusal> {
        self.world
            .fleet
            .host(id)
            .ok_or_else(|| Refusal::missing(format!("there is no host {id}; GET /sandbox/fleet lists them")))
    }

    /// A host that is not terminated: nothing brings such an instance back (EC2's IncorrectInstanceState).
    fn living(&self, id: &str) -> Result<Arc<Host>, Refusal> {
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
                server.running = self.images.ran_at_first(host.instance_id(), &endpoint);
                server.faults = SqlServerFaults::default();
            });
        }
        host.set_faults(|faults| *faults = HostFaults::default());
        self.world.cloud.set_agent_online(host.instance_id(), true);
    }

    /// The disks of the image in place of the host's own: an older key, and an older marker beside it.
    fn restore(&self, host: &Host) -> Result<(), Refusal> {
        let id = host.instance_id();
        let image = self.image(id)?;
        for (endpoint, server) in &image.sql_servers {
            host.with_sql_server(endpoint, |present| *present = server.clone());
        }
        image.write_files(host.root()).map_err(unwritten)?;
        self.world.cloud.restore_volumes(id);
        Ok(())
    }

    pub(super) fn launch(&self, image_of: &str, launch: Launch) -> Result<Value, Refusal> {
        let Launch { id } = launch;
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
        image.write_files(host.root()).map_err(unwritten)?;
        self.images.keep(&id, image);
        self.world.cloud.launch_from_image(&id, image_of);
        Ok(self.state_of(&id))
    }

    fn image(&self, id: &str) -> Result<Image, Refusal> {
        self.images.get(id).ok_or_else(|| Refusal::missing(format!("there is no image of {id}")))
    }
}

fn unwritten(error: io::Error) -> Refusal {
    Refusal::bad(format!("a file of the host could not be read or written: {error}"))
}
