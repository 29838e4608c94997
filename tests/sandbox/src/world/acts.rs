//! What people and EC2 do to a fleet between two runs: the acts of a story's chapters and of the admin calls.

use super::*;
use crate::fleet_file::{Chapter, HostEntry, placeholders};
use crate::host::HostSetUp;

/// An SSM agent answers some time after EC2 says that its instance runs; the number is ours.
const AGENT_COMES_ONLINE_AFTER: Duration = Duration::from_secs(60);

impl World {
    /// Lets the days of a chapter pass and everything happen that it tells, in the order of its fields.
    ///
    /// # Errors
    /// When a host cannot be made or its files cannot be written.
    pub async fn live(&mut self, chapter: &Chapter) -> Result<(), WorldError> {
        self.pass_days(chapter.days).await;
        chapter.terminate.iter().for_each(|host| self.terminate_host(host));
        chapter.stop.iter().for_each(|host| self.stop_host(host));
        chapter.unreachable.iter().for_each(|host| self.cloud.set_agent_online(host, false));
        chapter.reachable.iter().for_each(|host| self.cloud.set_agent_online(host, true));
        chapter.untag.iter().for_each(|tag| self.cloud.untag_instance(&tag.id, &tag.key));
        chapter.tag.iter().for_each(|tag| self.cloud.tag_instance(&tag.id, &tag.key, &tag.value));
        chapter.restore.iter().try_for_each(|host| self.restore(host))?;
        chapter.start.iter().for_each(|host| self.start_host(host, AGENT_COMES_ONLINE_AFTER));
        chapter.launch.iter().try_for_each(|host| self.launch(host))?;
        if let Some(reaches) = chapter.iam_reaches_s3 {
            self.cloud.let_iam_reach(Service::S3, reaches);
        }
        Ok(())
    }

    /// A run's input with the keys that it names by what they are.
    ///
    /// # Errors
    /// When nothing is so named now.
    pub fn fill_in(&self, input: &Value) -> Result<Value, WorldError> {
        let key_of = |label: &str| {
            let secret = self.cloud.secret(&self.settings.secret.id)?;
            secret.versions.get(secret.labels.get(label)?)?.clone()
        };
        placeholders::fill(input.clone(), &key_of)
            .map_err(|source| WorldError::Placeholder { input: input.clone(), source })
    }

    /// Stops an instance, and with it whatever works there.
    pub fn stop_host(&self, instance_id: &str) {
        self.fleet.cut_power(instance_id);
        self.cloud.stop_instance(instance_id);
    }

    /// Terminates an instance, and with it whatever works there.
    pub fn terminate_host(&self, instance_id: &str) {
        self.fleet.cut_power(instance_id);
        self.cloud.terminate_instance(instance_id);
    }

    /// Reboots an instance: what works there dies, and the agent answers a minute later. LaunchTime stays (FACTS C).
    pub fn reboot_host(&self, instance_id: &str) {
        self.fleet.cut_power(instance_id);
        self.cloud.set_agent_online(instance_id, false);
        self.bring_agent_online(instance_id, AGENT_COMES_ONLINE_AFTER);
    }

    /// Starts an instance, whose agent answers a minute later.
    pub fn start_stopped(&self, instance_id: &str) {
        self.start_host(instance_id, AGENT_COMES_ONLINE_AFTER);
    }

    /// Starts an instance, whose agent answers so much later.
    pub(crate) fn start_host(&self, instance_id: &str, agent_after: Duration) {
        if !agent_after.is_zero() {
            self.cloud.set_agent_online(instance_id, false);
        }
        self.cloud.start_instance(instance_id);
        self.bring_agent_online(instance_id, agent_after);
    }

    /// Launches a host from an image of another as that is now: its disks, and its tags, the ledger's among them.
    ///
    /// # Errors
    /// When the new host's files cannot be written.
    pub fn launch_copy(&self, instance_id: &str, image_of: &str) -> Result<(), WorldError> {
        let (Some(of), Some(instance)) = (self.fleet.host(image_of), self.cloud.instance(image_of)) else {
            return Ok(());
        };
        let image = Image::of(&of)?;
        let set_up = HostSetUp {
            instance_id: instance_id.to_owned(),
            region: instance.region,
            platform: of.platform(),
            sql_servers: image.sql_servers.clone(),
            ..self.runs.set_up()
        };
        image.put_files(&*self.fleet.add(set_up)?)?;
        self.images.keep(instance_id, image);
        self.cloud.launch_from_image(instance_id, image_of);
        self.cloud.set_agent_online(instance_id, false);
        self.bring_agent_online(instance_id, AGENT_COMES_ONLINE_AFTER);
        Ok(())
    }

    /// Launches a host from an image that is as old as the world.
    ///
    /// # Errors
    /// When the host cannot be made.
    pub fn launch(&self, entry: &HostEntry) -> Result<(), WorldError> {
        let (account, _) = self.cloud.home();
        let (settings, key) = (&self.settings, &self.first_key);
        let origin = Origin { account: &account, settings, key, launched: None, runs: self.runs };
        origin.add(&self.cloud, &self.fleet, entry)?;
        if let Some(host) = self.fleet.host(&entry.id) {
            self.images.keep(&entry.id, Image::of(&host)?);
        }
        self.bring_agent_online(&entry.id, AGENT_COMES_ONLINE_AFTER);
        Ok(())
    }

    /// Puts the disks of a host's image in place of its own; without an image from later, that is how they were at the
    /// start. Its tags stay as they are, the ledger's among them; whatever works there dies with the disks.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn restore(&self, instance_id: &str) -> std::io::Result<()> {
        if let (Some(host), Some(image)) = (self.fleet.host(instance_id), self.images.get(instance_id)) {
            self.fleet.cut_power(instance_id);
            image.put_back(&host)?;
            self.cloud.restore_volumes(instance_id);
        }
        Ok(())
    }

    pub(crate) fn bring_agent_online(&self, instance_id: &str, after: Duration) {
        let (clock, cloud, id) = (self.clock.clone(), Arc::clone(&self.cloud), instance_id.to_owned());
        self.clock.spawn(async move {
            clock.sleep(after).await;
            cloud.set_agent_online(&id, true);
        });
    }
}
