//! Guarantee 1: no action of ours takes a working credential from a running host, neither in IAM nor on the host.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rotation::settings::ProofKind;
use serde_json::Value;

use super::books::named_instances;
use super::logins;
use super::{Breach, Scene, function};
use crate::cloud::views::InstanceView;
use crate::cloud::{Effect, Event, InstanceState, KeyStatus};
use crate::host::{Host, HostEvent, HostHappening, Platform, SqlServer};

/// The first version of SQL Server that can hold an S3 credential (FACTS B).
const FIRST_WITH_S3: u32 = 16;
/// Express cannot (FACTS B).
const EXPRESS: u32 = 4;
/// How a notice says that hosts lose a key, before they do. A notice of something else may name key and host as well.
const INACTIVE_NOW: &str = "is made Inactive now, as asked";

/// Judges what a function does to keys, before it is entered into the books.
pub(super) fn judge(scene: Scene<'_>, event: &Event) -> Vec<Breach> {
    let Some(name) = function(event) else { return Vec::new() };
    let mut breaches = Vec::new();
    for effect in &event.effects {
        let (key, did) = match effect {
            Effect::KeyStatusChanged { access_key_id, to, .. } => (access_key_id, format!("{to}")),
            Effect::KeyDeleted { access_key_id, .. } => (access_key_id, "gone for ever".to_owned()),
            Effect::KeyCreated { .. }
            | Effect::UserCreated { .. }
            | Effect::KeyUsed { .. }
            | Effect::SecretCreated { .. }
            | Effect::VersionStored { .. }
            | Effect::VersionsCollected { .. }
            | Effect::LabelMoved { .. }
            | Effect::TagsChanged { .. }
            | Effect::CommandSent { .. }
            | Effect::CommandCancelled { .. }
            | Effect::InvocationDelivered { .. }
            | Effect::InvocationEnded { .. }
            | Effect::InstanceChanged { .. }
            | Effect::InstanceRestored { .. }
            | Effect::AgentChanged { .. }
            | Effect::DocumentCreated { .. }
            | Effect::ObjectStored { .. }
            | Effect::NoticePublished { .. }
            | Effect::ExecutionChanged { .. } => continue,
        };
        // A key that did not work before is taken from nobody.
        if !scene.books.is_active(key) {
            continue;
        }
        breaches.extend(holders(scene, name, key).into_iter().map(|holder| {
            (1, format!("{name} made the key {key} {did} while it is held by the running host {holder}"))
        }));
    }
    breaches
}

/// The running hosts of the fleet that hold a key and that the function could have seen, each with where it holds it.
fn holders(scene: Scene<'_>, name: &str, access_key_id: &str) -> Vec<String> {
    let mut holders = Vec::new();
    for instance in scene.cloud.instances() {
        let is_up = matches!(instance.state, InstanceState::Running | InstanceState::Pending);
        let is_excepted = scene.commands.has_lied(&instance.instance_id)
            || scene.was_named_first(&[&instance.instance_id, access_key_id, INACTIVE_NOW])
            || is_unseen(scene, name, &instance);
        if !is_up || is_excepted || !scene.rules.is_of_fleet(&instance) {
            continue;
        }
        let held = scene.fleet.host(&instance.instance_id).map(|host| host.held_keys()).unwrap_or_default();
        let of_ours = held.into_iter().filter(|held| scene.rules.is_listed(&held.credential));
        holders.extend(
            of_ours
                .filter(|held| held.access_key_id == access_key_id)
                .map(|held| format!("{} ({} at {})", instance.instance_id, held.credential, held.endpoint)),
        );
    }
    holders
}

/// Whether a host came up, or got its disks, after the function had looked at the hosts of its place.
fn is_unseen(scene: Scene<'_>, name: &str, instance: &InstanceView) -> bool {
    let place = (instance.account.clone(), instance.region.clone());
    let Some(looked) = scene.books.looks.get(&(name.to_owned(), place)) else { return false };
    let shown = looked.saturating_sub(scene.rules.host_shown_after).unwrap_or(*looked);
    scene.books.renewed.get(&instance.instance_id).is_some_and(|renewed| *renewed > shown)
}

impl Scene<'_> {
    /// Whether one notice says all of this: the exceptions to the guarantees are asked for by name, and said first.
    pub(super) fn was_named_first(&self, words: &[&str]) -> bool {
        self.cloud.notices().iter().any(|notice| words.iter().all(|word| notice.message.contains(word)))
    }

    /// The key that a version holds.
    pub(super) fn key_of(&self, version: &str) -> Option<String> {
        // A value may be older than the key that it names.
        let from_cloud = || self.cloud.secret(&self.rules.secret_arn)?.versions.get(version)?.clone();
        self.books.key_of(version).cloned().or_else(from_cloud)
    }

    /// Whether every SQL Server instance of a host that can hold an S3 credential holds a version's key in each of the
    /// rotation's credentials. A host that lies is believed: its lie is a fault of the host.
    pub(super) fn holds(&self, instance_id: &str, version: &str) -> bool {
        if self.commands.has_lied(instance_id) {
            return true;
        }
        let Some(host) = self.fleet.host(instance_id) else { return false };
        if !self.rules.logins.is_empty() {
            return logins::holds(*self, &host, version);
        }
        let Some(key) = self.key_of(version) else { return false };
        let holds = |server: &mut SqlServer| {
            let can_hold = server.major_version >= FIRST_WITH_S3 && server.engine_edition != EXPRESS;
            !can_hold
                || server.is_elsewhere()
                || self.rules.credentials.iter().all(|name| key_in(server, name) == Some(&key))
        };
        // Windows finds its instances by itself, and the settings' endpoints are Linux's.
        let endpoints = match host.platform() {
            Platform::Linux => self.rules.endpoints.clone(),
            Platform::Windows => host.sql_servers().into_iter().map(|(endpoint, _)| endpoint).collect(),
        };
        endpoints.iter().all(|endpoint| host.with_sql_server(endpoint, holds).unwrap_or(true))
    }

    /// Whether a key works now; of the rotation's own user by IAM's present state, since a host's event does not wait
    /// for the cloud's to be seen.
    fn is_working(&self, access_key_id: &str) -> bool {
        let keys = self.cloud.access_keys(&self.rules.user);
        let own = keys.iter().find(|key| key.access_key_id == access_key_id);
        let is_other_users = || self.books.keys.get(access_key_id).is_some_and(|key| key.user_name != self.rules.user);
        match own {
            Some(key) => key.status == KeyStatus::Active,
            None => is_other_users() && self.books.is_active(access_key_id),
        }
    }

    /// Whether a key was accepted from a host since some time: by S3, or by STS where that stands for a proof.
    fn is_proved(&self, instance_id: &str, access_key_id: &str, since: Timestamp) -> bool {
        let known = match self.rules.proof {
            ProofKind::Backup => self.books.objects.get(&(access_key_id.to_owned(), instance_id.to_owned())),
            ProofKind::None => self.books.uses.get(access_key_id),
        };
        // The books may lag behind a host, and the journal never does; it is long, so it is asked last.
        known.is_some_and(|at| *at >= since)
            || self.cloud.journal().iter().rev().take_while(|event| event.time >= since).any(|event| {
                event.effects.iter().any(|effect| proves(self.rules.proof, effect, instance_id, access_key_id))
            })
    }
}

fn proves(proof: ProofKind, effect: &Effect, instance_id: &str, access_key_id: &str) -> bool {
    match (proof, effect) {
        (ProofKind::Backup, Effect::ObjectStored { key, access_key_id: used, .. }) => {
            used == access_key_id && named_instances(key).any(|named| named == instance_id)
        }
        (ProofKind::None, Effect::KeyUsed { access_key_id: used, .. }) => used == access_key_id,
        _ => false,
    }
}

fn key_in<'a>(server: &'a SqlServer, name: &str) -> Option<&'a str> {
    let mut credentials = server.credentials.iter();
    credentials.find(|(known, _)| known.eq_ignore_ascii_case(name))?.1.access_key_id()
}

/// What the hosts held when a command of ours began on them, and what they hold now.
#[derive(Debug, Default)]
pub(super) struct CommandsUnderWay {
    hosts: BTreeMap<String, UnderWay>,
    /// Hosts whose last command was answered by a lie.
    liars: BTreeSet<String>,
}

/// The keys by instance and credential.
type Held = BTreeMap<(String, String), String>;

/// One host with commands under way.
#[derive(Debug)]
struct UnderWay {
    commands: u32,
    started: Timestamp,
    before: Held,
    present: Held,
}

impl CommandsUnderWay {
    fn has_lied(&self, instance_id: &str) -> bool {
        self.liars.contains(instance_id)
    }

    /// Follows a host through a command.
    pub(super) fn judge(&mut self, scene: Scene<'_>, event: &HostEvent) -> Vec<Breach> {
        let id = &event.instance_id;
        match &event.happening {
            HostHappening::CommandStarted { .. } => {
                self.start(scene, event);
                Vec::new()
            }
            HostHappening::CredentialChanged { endpoint, credential, access_key_id } => {
                let under_way = self.hosts.get_mut(id).filter(|_| scene.rules.is_listed(credential));
                let place = (endpoint.clone(), credential.clone());
                let change = under_way.and_then(|host| host.change(scene, id, place, access_key_id.clone()));
                change.into_iter().collect()
            }
            HostHappening::LoginChanged { endpoint, .. } => {
                let host = scene.fleet.host(id);
                host.map(|host| logins::judge_change(scene, &host, endpoint)).unwrap_or_default()
            }
            // Whoever dies half way leaves what worked as well.
            HostHappening::CommandEnded { .. } | HostHappening::CommandDied { .. } => {
                let Some(host) = self.hosts.get_mut(id) else { return Vec::new() };
                host.commands = host.commands.saturating_sub(1);
                // Another command may be between an ALTER and putting back.
                if host.commands > 0 {
                    return Vec::new();
                }
                self.hosts.remove(id).map(|host| host.end(scene, id)).unwrap_or_default()
            }
        }
    }

    fn start(&mut self, scene: Scene<'_>, event: &HostEvent) {
        let Some(host) = scene.fleet.host(&event.instance_id) else { return };
        if is_lying(&host) {
            self.liars.insert(event.instance_id.clone());
        } else {
            self.liars.remove(&event.instance_id);
        }
        let under_way = self.hosts.entry(event.instance_id.clone()).or_insert_with(|| {
            let held = held(scene, &host);
            UnderWay { commands: 0, started: event.time, before: held.clone(), present: held }
        });
        under_way.commands += 1;
    }
}

impl UnderWay {
    /// A change takes away what worked, unless it was proved from here or is what was here when the command began.
    fn change(
        &mut self,
        scene: Scene<'_>,
        instance_id: &str,
        place: (String, String),
        to: Option<String>,
    ) -> Option<Breach> {
        let from = match &to {
            Some(key) => self.present.insert(place.clone(), key.clone()),
            None => self.present.remove(&place),
        };
        let from = from.filter(|key| scene.is_working(key))?;
        let (endpoint, credential) = &place;
        let Some(to) = to else {
            let was_there = self.before.contains_key(&place);
            return was_there.then(|| {
                (1, format!("a command dropped {credential} on {instance_id} at {endpoint}, which held the working key {from}"))
            });
        };
        let is_put_back = self.before.get(&place) == Some(&to);
        let is_proved = to == from || is_put_back || scene.is_proved(instance_id, &to, self.started);
        (!is_proved).then(|| {
            (1, format!("a command replaced the working key {from} in {credential} on {instance_id} at {endpoint} by {to}, which was not proved from there since {}", self.started))
        })
    }

    /// At its end every credential that worked works, but for a key that a person took out of use: S3 may still accept
    /// it when a host proves it (FACTS A).
    fn end(self, scene: Scene<'_>, instance_id: &str) -> Vec<Breach> {
        let worked = self.before.iter().filter(|(_, key)| scene.is_working(key));
        worked
            .filter_map(|(place, before)| {
                let now = self.present.get(place).map_or("nothing", String::as_str);
                let (endpoint, credential) = place;
                (!scene.is_working(now) && !scene.books.taken.contains(now)).then(|| {
                    (1, format!("after a command {credential} on {instance_id} at {endpoint} holds {now}, which does not work; before it held the working key {before}"))
                })
            })
            .collect()
    }
}

fn held(scene: Scene<'_>, host: &Host) -> Held {
    let held = host.held_keys().into_iter().filter(|held| scene.rules.is_listed(&held.credential));
    held.map(|held| ((held.endpoint, held.credential), held.access_key_id)).collect()
}

/// Whether a host claims a proof that it does not have. To say something else, or nothing, claims none: whoever believes
/// that has made a mistake of his own. A host shows its faults only to whoever may change them.
fn is_lying(host: &Host) -> bool {
    let mut lie = None;
    host.set_faults(|faults| lie.clone_from(&faults.lie));
    let claim: Option<Value> = lie.and_then(|text| serde_json::from_str(&text).ok());
    claim.is_some_and(|claim| claim.get("proved").is_some())
}
