//! All hosts of a cloud: takes SSM's deliveries to them and their results back.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use super::event::HostObserver;
use super::{
    BackupObject, CloudError, Host, HostCloud, HostCommand, HostEvent, HostHappening, HostSetUp, Runs, StepResult,
    StepStatus, agent,
};
use crate::cloud::{Caller, Cloud, Delivery, InvocationStatus, InvocationUpdate, PluginResult, Service, ServiceError};

/// How many scripts run at once in real time. Simulated time stands still meanwhile, so this changes no history.
const SCRIPTS_AT_ONCE: usize = 8;

/// The hosts by instance id. An instance without a host here takes commands and never answers.
pub struct Fleet {
    cloud: Arc<Cloud>,
    folder: PathBuf,
    running: Semaphore,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    /// Who tells a host's commands under way that the host goes down.
    power: Mutex<BTreeMap<String, Arc<Notify>>>,
    observers: Mutex<Vec<HostObserver>>,
}

impl Fleet {
    /// A fleet without hosts, to which the cloud delivers commands for as long as the fleet is kept. Every host gets a
    /// folder of its own below `folder`.
    pub fn attach(cloud: &Arc<Cloud>, folder: &Path) -> Arc<Fleet> {
        let fleet = Arc::new(Fleet {
            cloud: Arc::clone(cloud),
            folder: folder.to_owned(),
            running: Semaphore::new(SCRIPTS_AT_ONCE),
            hosts: Mutex::default(),
            power: Mutex::default(),
            observers: Mutex::default(),
        });
        let deliver_to = Arc::downgrade(&fleet);
        cloud.set_command_sink(Arc::new(move |delivery| {
            let Some(fleet) = deliver_to.upgrade() else { return };
            let clock = fleet.cloud.clock().clone();
            clock.spawn(async move { fleet.deliver(delivery).await });
        }));
        fleet
    }

    /// Adds a host, or replaces the one of the same instance id as a restore does.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn add(&self, set_up: HostSetUp) -> io::Result<Arc<Host>> {
        let cloud = Arc::clone(&self.cloud) as Arc<dyn HostCloud>;
        let host = Host::new(set_up, self.cloud.clock().clone(), cloud, &self.folder)?;
        self.observers
            .lock()
            .expect("no observer has failed")
            .iter()
            .for_each(|observer| host.subscribe(observer.clone()));
        self.lock().insert(host.instance_id().to_owned(), Arc::clone(&host));
        Ok(host)
    }

    /// A host goes down, and with it every command that it works on: none of them answers any more.
    pub fn cut_power(&self, instance_id: &str) {
        self.power_of(instance_id).notify_waiters();
    }

    fn power_of(&self, instance_id: &str) -> Arc<Notify> {
        let mut power = self.power.lock().expect("no fleet's holder has failed");
        Arc::clone(power.entry(instance_id.to_owned()).or_default())
    }

    /// One host.
    pub fn host(&self, instance_id: &str) -> Option<Arc<Host>> {
        self.lock().get(instance_id).cloned()
    }

    /// Every host, by instance id.
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        self.lock().values().cloned().collect()
    }

    /// Calls `observer` for what happens on every host, those to come included.
    pub fn subscribe(&self, observer: Arc<dyn Fn(&HostEvent) + Send + Sync>) {
        self.hosts().iter().for_each(|host| host.subscribe(Arc::clone(&observer)));
        self.observers.lock().expect("no observer has failed").push(observer);
    }

    async fn deliver(&self, delivery: Delivery) {
        let Some(host) = self.host(&delivery.instance_id) else { return };
        let command = HostCommand {
            command_id: delivery.command_id.clone(),
            document: delivery.document,
            parameters: delivery.parameters,
        };
        // The semaphore lives as long as the fleet, so it is never closed; a slow host must not hold a place in it
        // while it sleeps, so such hosts run without one, as do models, which start nothing and may sleep anywhere.
        let place = if host.is_slow() || host.runs() == Runs::Model { None } else { self.running.acquire().await.ok() };
        let power = self.power_of(&delivery.instance_id);
        let results = tokio::select! {
            biased;
            () = power.notified() => {
                host.tell(HostHappening::CommandDied { command_id: command.command_id });
                return;
            }
            results = host.run(&command) => results,
        };
        drop(place);
        self.cloud.record_output(&delivery.command_id, &delivery.instance_id, update(&results));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Host>>> {
        self.hosts.lock().expect("no fleet's holder has failed")
    }
}

/// What the agent reports of a document (FACTS C): a time-out wins over a failure.
fn update(results: &[StepResult]) -> InvocationUpdate {
    let timed_out = results.iter().any(|result| result.status == StepStatus::TimedOut);
    let status = match (timed_out, agent::succeeded(results)) {
        (true, _) => InvocationStatus::TimedOut,
        (false, true) => InvocationStatus::Success,
        (false, false) => InvocationStatus::Failed,
    };
    let update = InvocationUpdate::ended(status, results.iter().map(plugin).collect());
    if timed_out { InvocationUpdate { status_details: "Execution Timed Out".to_owned(), ..update } } else { update }
}

fn plugin(result: &StepResult) -> PluginResult {
    let status = match result.status {
        StepStatus::Success | StepStatus::SuccessAndReboot | StepStatus::Skipped => InvocationStatus::Success,
        StepStatus::Failed => InvocationStatus::Failed,
        StepStatus::TimedOut => InvocationStatus::TimedOut,
    };
    PluginResult {
        name: result.name.clone(),
        status,
        response_code: result.exit_code,
        standard_output: result.stdout.clone(),
        standard_error: result.stderr.clone(),
    }
}

impl HostCloud for Cloud {
    fn secret_value(&self, instance_id: &str, region: &str, input: Value) -> Result<Value, CloudError> {
        let caller = Caller::instance(instance_id);
        Ok(self.call(&caller, region, Service::SecretsManager, "GetSecretValue", input)?)
    }

    fn caller_identity(&self, region: &str, access_key_id: &str, secret: &str) -> Result<Value, CloudError> {
        Ok(self.get_caller_identity(region, access_key_id, secret)?)
    }

    fn put_object(&self, object: BackupObject<'_>) -> Result<(), CloudError> {
        let BackupObject { url, signing_region, access_key_id, secret_access_key } = object;
        Ok(self.s3_put(&signing_region, &url.bucket, &url.key, access_key_id, secret_access_key)?)
    }
}

impl From<ServiceError> for CloudError {
    fn from(error: ServiceError) -> CloudError {
        CloudError { code: error.code, message: error.message }
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
