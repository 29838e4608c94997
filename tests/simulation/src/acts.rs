//! What happens to a fleet besides its rotation: to hosts, and what the people who own them deploy.
//!
//! An act that cannot be done now is not done: nobody starts a host that runs, and AWS refuses a person as well.

use std::collections::BTreeMap;

use rotation::names::{AWSCURRENT, AWSPENDING};
use sandbox::cloud::InstanceState;
use sandbox::host::HostFaults;
use sandbox::host::sql_server::SqlServerFaults;
use sandbox::world::World;
use serde_json::{Value, json};
use std::time::Duration;

use crate::beginning::{ARCHIVE, SECRET, host, id};
use crate::hand::Hand;

/// Something that happens at one moment. A host is named by its number; the first one is never terminated.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// It stops, and with it the command that it works on.
    Stop(u32),
    /// It starts; its agent answers a minute later.
    Start(u32),
    /// It is gone for good.
    Terminate(u32),
    /// It reboots; the command that it works on never answers.
    Reboot(u32),
    /// Its agent falls silent.
    Silence(u32),
    /// Its agent answers again.
    Answer(u32),
    /// Its disks are those of an image from its beginning.
    Restore(u32),
    /// It loses the tag that makes it one of the fleet.
    Untag(u32),
    /// It gets that tag back.
    Tag(u32),
    /// It is launched from an image that is as old as the world.
    Launch(u32),
    /// It is launched from an image of another as that is now, with its tags.
    Copy {
        /// The new host.
        to: u32,
        /// The other one.
        of: u32,
    },
    /// Every command takes so many seconds longer on it; a later one may overtake.
    Slow(u32, u64),
    /// S3 refuses so many of its next backups.
    Refused(u32, u32),
    /// ALTER CREDENTIAL fails so often on it.
    Unaltered(u32, u32),
    /// It says that a command succeeded, and runs nothing.
    Lie(u32, Lie),
    /// Whatever was wrong with it is not any more.
    Cure(u32),
    /// A person's hand on keys, labels and values.
    By(Hand),
}

/// What a host says that runs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing: SSM calls a skipped step a success (FACTS C).
    Silence,
    /// That it has proved a version that is not the target.
    OtherVersion,
    /// That it has proved the target.
    Target,
}

impl Act {
    /// It happens now.
    pub fn happens(&self, world: &World) {
        let host_id = |number: u32| id(number);
        let state = |number: u32| world.cloud.instance(&id(number)).map(|instance| instance.state);
        let is = |number: u32, wanted: InstanceState| state(number) == Some(wanted);
        let is_there = |number: u32| state(number).is_some_and(|state| state != InstanceState::Terminated);
        match *self {
            Act::Stop(number) if is(number, InstanceState::Running) => world.stop_host(&host_id(number)),
            Act::Start(number) if is(number, InstanceState::Stopped) => world.start_stopped(&host_id(number)),
            Act::Terminate(number) if is_there(number) && number != 1 => world.terminate_host(&host_id(number)),
            Act::Reboot(number) if is(number, InstanceState::Running) => world.reboot_host(&host_id(number)),
            Act::Silence(number) if is_there(number) => world.cloud.set_agent_online(&host_id(number), false),
            Act::Answer(number) if is_there(number) => world.cloud.set_agent_online(&host_id(number), true),
            // No file of a model's can fail to be written.
            Act::Restore(number) if is_there(number) => drop(world.restore(&host_id(number))),
            Act::Untag(number) if is_there(number) => world.cloud.untag_instance(&host_id(number), "SQL"),
            Act::Tag(number) if is_there(number) => world.cloud.tag_instance(&host_id(number), "SQL", "2022"),
            Act::Launch(number) if state(number).is_none() => launch(world, number),
            Act::Copy { to, of } if state(to).is_none() && is_there(of) => {
                drop(world.launch_copy(&host_id(to), &host_id(of)));
            }
            Act::Slow(number, seconds) => {
                trouble(world, number, |faults| faults.slow = Duration::from_secs(seconds));
            }
            Act::Refused(number, times) => sql_trouble(world, number, |faults| faults.refused_backups = times),
            Act::Unaltered(number, times) => sql_trouble(world, number, |faults| faults.failed_alters = times),
            Act::Lie(number, lie) => {
                let said = lie.told(world);
                trouble(world, number, |faults| faults.lie = Some(said));
            }
            Act::Cure(number) => {
                trouble(world, number, |faults| *faults = HostFaults::default());
                sql_trouble(world, number, |faults| *faults = SqlServerFaults::default());
            }
            Act::By(ref hand) => hand.does(world),
            Act::Stop(_)
            | Act::Start(_)
            | Act::Terminate(_)
            | Act::Reboot(_)
            | Act::Silence(_)
            | Act::Answer(_)
            | Act::Restore(_)
            | Act::Untag(_)
            | Act::Tag(_)
            | Act::Launch(_)
            | Act::Copy { .. } => {}
        }
    }

    /// What kind of act it is, for those who count.
    pub fn kind(&self) -> String {
        let text = if let Act::By(hand) = self { format!("{hand:?}") } else { format!("{self:?}") };
        text.split(['(', ' ']).next().unwrap_or_default().to_owned()
    }
}

impl Lie {
    fn told(self, world: &World) -> String {
        let version = match self {
            Lie::Silence => return String::new(),
            Lie::OtherVersion => "00000000-0000-4000-8000-000000000000".to_owned(),
            Lie::Target => {
                let labels: BTreeMap<String, String> =
                    world.cloud.secret(SECRET).map(|secret| secret.labels).unwrap_or_default();
                labels.get(AWSPENDING).or_else(|| labels.get(AWSCURRENT)).cloned().unwrap_or_default()
            }
        };
        json!({
            "rotation": world.settings.rotation, "version": version, "proved": 1, "changed": 1, "nothingToHold": 0,
            "failed": 0, "failures": [], "blocking": [],
        })
        .to_string()
    }
}

fn launch(world: &World, number: u32) {
    let mut entry = host(number);
    // Whoever has a second bucket has it in the image, too.
    if world.settings.credentials().iter().chain(world.settings.foreign_credentials()).any(|name| name == ARCHIVE) {
        entry["sqlServers"][0]["furtherCredentials"] = json!([ARCHIVE]);
    }
    // A model has no file that could fail to be written.
    if let Ok(entry) = serde_json::from_value(entry) {
        drop(world.launch(&entry));
    }
}

fn trouble(world: &World, number: u32, change: impl FnOnce(&mut HostFaults)) {
    if let Some(host) = world.fleet.host(&id(number)) {
        host.set_faults(change);
    }
}

fn sql_trouble(world: &World, number: u32, change: impl Fn(&mut SqlServerFaults)) {
    if let Some(host) = world.fleet.host(&id(number)) {
        for (endpoint, _) in host.sql_servers() {
            host.with_sql_server(&endpoint, |server| change(&mut server.faults));
        }
    }
}

/// What people deploy between two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Days for which the old key stays Active.
    OverlapDays(u32),
    /// Days until it is deleted.
    DeleteAfterDays(u32),
    /// Days after which every host proves once more.
    ReproveEveryDays(u32),
    /// The share of online hosts that a promotion needs.
    PromoteShare(f64),
    /// Whether stopped hosts hold up a retirement.
    StoppedHostsHold(bool),
    /// Canaries, hosts at once, and attempts.
    Waves(u32, u32, u32),
    /// Whether a proof is a backup.
    ProvesByBackup(bool),
    /// Whether the second bucket's credential is the rotation's, and not foreign.
    ArchiveIsOurs(bool),
}

impl Change {
    /// The settings with the change.
    pub fn made(self, settings: &mut Value) {
        match self {
            Change::OverlapDays(days) => settings["schedule"]["overlapDays"] = json!(days),
            Change::DeleteAfterDays(days) => settings["schedule"]["deleteAfterDays"] = json!(days),
            Change::ReproveEveryDays(days) => settings["schedule"]["reproveEveryDays"] = json!(days),
            Change::PromoteShare(share) => settings["promoteShare"] = json!(share),
            Change::StoppedHostsHold(hold) => settings["stoppedHosts"] = json!(if hold { "hold" } else { "release" }),
            Change::Waves(canaries, concurrency, attempts) => {
                settings["waves"] =
                    json!({ "canaryHosts": canaries, "concurrency": concurrency, "attempts": attempts });
            }
            Change::ProvesByBackup(backup) => settings["proof"]["kind"] = json!(if backup { "backup" } else { "none" }),
            Change::ArchiveIsOurs(ours) => crate::beginning::name_archive(settings, ours),
        }
    }
}
