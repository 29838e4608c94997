//! A person's hand: what operators do to keys, secrets and hosts while a rotation runs.
//!
//! Where an API does it, the API is called, as [`Caller::Person`], so that AWS's own refusals hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ec2::{self, InstanceState, Volume};
use super::event::Effect;
use super::request::FollowUp;
use super::secret_labels::{PENDING, Version};
use super::visibility::Replicated;
use super::{Caller, Cloud, KeyStatus, Service, ServiceError};

impl Cloud {
    fn person(&self, service: Service, action: &str, input: Value) -> Result<Value, ServiceError> {
        let (_, home_region) = self.home();
        self.call(&Caller::Person, &home_region, service, action, input)
    }

    /// Makes a key: its id and secret.
    ///
    /// # Errors
    /// IAM's own, LimitExceeded among them.
    pub fn create_access_key(&self, user_name: &str) -> Result<(String, String), ServiceError> {
        let answer = self.person(Service::Iam, "CreateAccessKey", json!({ "UserName": user_name }))?;
        let text = |member: &str| answer["AccessKey"][member].as_str().unwrap_or_default().to_owned();
        Ok((text("AccessKeyId"), text("SecretAccessKey")))
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// IAM's own.
    pub fn delete_access_key(&self, user_name: &str, access_key_id: &str) -> Result<(), ServiceError> {
        let input = json!({ "UserName": user_name, "AccessKeyId": access_key_id });
        self.person(Service::Iam, "DeleteAccessKey", input).map(|_| ())
    }

    /// Makes a key Active or Inactive.
    ///
    /// # Errors
    /// IAM's own.
    pub fn update_access_key(
        &self,
        user_name: &str,
        access_key_id: &str,
        status: KeyStatus,
    ) -> Result<(), ServiceError> {
        let input = json!({ "UserName": user_name, "AccessKeyId": access_key_id, "Status": status.to_string() });
        self.person(Service::Iam, "UpdateAccessKey", input).map(|_| ())
    }

    /// Stores a value under labels (AWSCURRENT where none is named); the version's id.
    ///
    /// # Errors
    /// Secrets Manager's own.
    pub fn put_secret_value(&self, secret_id: &str, value: &str, labels: &[&str]) -> Result<String, ServiceError> {
        let mut input = json!({ "SecretId": secret_id, "SecretString": value });
        if !labels.is_empty() {
            input["VersionStages"] = json!(labels);
        }
        let answer = self.person(Service::SecretsManager, "PutSecretValue", input)?;
        Ok(answer["VersionId"].as_str().unwrap_or_default().to_owned())
    }

    /// Moves a label.
    ///
    /// # Errors
    /// Secrets Manager's own.
    pub fn move_label(
        &self,
        secret_id: &str,
        label: &str,
        remove_from: Option<&str>,
        move_to: Option<&str>,
    ) -> Result<(), ServiceError> {
        let input = json!({
            "SecretId": secret_id,
            "VersionStage": label,
            "RemoveFromVersionId": remove_from,
            "MoveToVersionId": move_to,
        });
        self.person(Service::SecretsManager, "UpdateSecretVersionStage", input).map(|_| ())
    }

    /// Puts a tag on a secret.
    ///
    /// # Errors
    /// Secrets Manager's own.
    pub fn tag_secret(&self, secret_id: &str, key: &str, value: &str) -> Result<(), ServiceError> {
        let input = json!({ "SecretId": secret_id, "Tags": [{ "Key": key, "Value": value }] });
        self.person(Service::SecretsManager, "TagResource", input).map(|_| ())
    }

    /// What RotateSecret leaves behind: a version labelled AWSPENDING that has no value (FACTS D).
    pub fn stage_empty_version(&self, secret_id: &str, version_id: &str) {
        let (account, region) = self.home();
        let input = json!({ "SecretId": secret_id, "ClientRequestToken": version_id });
        self.alter(Caller::Person, Service::SecretsManager, (&region, "RotateSecret"), input, |state, turn| {
            let Some(arn) = state.secret_arn_of(&account, &region, secret_id) else { return };
            let Some(secret) = state.secrets.get_mut(&arn) else { return };
            let mut contents = secret.contents.truth().clone();
            contents.versions.insert(version_id.to_owned(), Version { value: None, created: turn.now });
            let moves = contents.attach(&[PENDING.to_owned()], version_id).expect("the secret has room for AWSPENDING");
            secret.contents.set(turn.now, contents);
            moves.into_iter().for_each(|moved| turn.effect(moved.effect(&arn)));
        });
    }

    /// Switches Secrets Manager's own rotation on or off.
    pub fn set_rotation_enabled(&self, secret_id: &str, enabled: bool) {
        let (account, region) = self.home();
        let mut state = self.state();
        let arn = state.secret_arn_of(&account, &region, secret_id);
        if let Some(secret) = arn.and_then(|arn| state.secrets.get_mut(&arn)) {
            secret.rotation.enabled = enabled;
        }
    }

    /// Secrets Manager's collector takes every version without a label at once: the worst that it may do (FACTS D).
    pub fn collect_unlabelled_versions(&self, secret_id: &str) {
        let (account, region) = self.home();
        let input = json!({ "SecretId": secret_id });
        self.alter(Caller::Aws, Service::SecretsManager, (&region, "CollectVersions"), input, |state, turn| {
            let Some(arn) = state.secret_arn_of(&account, &region, secret_id) else { return };
            let Some(secret) = state.secrets.get_mut(&arn) else { return };
            let mut contents = secret.contents.truth().clone();
            let version_ids = contents.collect(turn.now, true);
            secret.contents.set(turn.now, contents);
            turn.effect(Effect::VersionsCollected { secret_arn: arn, version_ids });
        });
    }

    /// Puts an instance into a state. Running after another state is a start: LaunchTime is now, and the agent, if
    /// it answers, takes up what waits for it.
    pub fn set_instance_state(&self, instance_id: &str, to: InstanceState) {
        let region = self.region_of(instance_id);
        let input = json!({ "InstanceId": instance_id, "State": to.name() });
        self.alter(Caller::Person, Service::Ec2, (&region, "InstanceStateChange"), input, |state, turn| {
            ec2::change_state(state, turn, instance_id, to);
            turn.follow_ups.push(FollowUp::DeliverTo(instance_id.to_owned()));
        });
    }

    /// Stops an instance: stopping, then stopped.
    pub fn stop_instance(&self, instance_id: &str) {
        self.set_instance_state(instance_id, InstanceState::Stopping);
        self.set_instance_state(instance_id, InstanceState::Stopped);
    }

    /// Starts an instance: pending, then running.
    pub fn start_instance(&self, instance_id: &str) {
        self.set_instance_state(instance_id, InstanceState::Pending);
        self.set_instance_state(instance_id, InstanceState::Running);
    }

    /// Terminates an instance: shutting-down, then terminated, and shown for another hour.
    pub fn terminate_instance(&self, instance_id: &str) {
        self.set_instance_state(instance_id, InstanceState::ShuttingDown);
        self.set_instance_state(instance_id, InstanceState::Terminated);
    }

    /// Replaces an instance's disks by older ones: every volume is attached now.
    pub fn restore_volumes(&self, instance_id: &str) {
        let region = self.region_of(instance_id);
        let input = json!({ "InstanceId": instance_id });
        self.alter(Caller::Person, Service::Ec2, (&region, "VolumesRestored"), input, |state, turn| {
            let suffix = state.identifiers.hexadecimal(17);
            let Some(instance) = state.instances.get_mut(instance_id) else { return };
            for volume in &mut instance.volumes {
                *volume = Volume { volume_id: format!("vol-{suffix}"), attach_time: turn.now, ..volume.clone() };
            }
            turn.effect(Effect::InstanceRestored { instance_id: instance_id.to_owned() });
        });
    }

    /// Launches a new instance from the image of another: same tags (the ledger's among them, as AWS Backup and
    /// launch templates copy them), fresh LaunchTime and AttachTime.
    pub fn launch_from_image(&self, instance_id: &str, image_of: &str) {
        let region = self.region_of(image_of);
        let input = json!({ "InstanceId": instance_id, "ImageOf": image_of });
        self.alter(Caller::Person, Service::Ec2, (&region, "InstanceLaunchedFromImage"), input, |state, turn| {
            let suffix = state.identifiers.hexadecimal(17);
            let Some(mut instance) = state.instances.get(image_of).cloned() else { return };
            instance.state = InstanceState::Running;
            instance.state_since = turn.now;
            instance.launch_time = turn.now;
            instance.tags = Replicated::new(turn.now, instance.tags.truth().clone());
            for volume in &mut instance.volumes {
                *volume = Volume { volume_id: format!("vol-{suffix}"), attach_time: turn.now, ..volume.clone() };
            }
            if let Some(agent) = &mut instance.agent {
                agent.online = true;
            }
            state.instances.insert(instance_id.to_owned(), instance);
            let to = InstanceState::Running;
            turn.effect(Effect::InstanceChanged { instance_id: instance_id.to_owned(), from: None, to });
            turn.effect(Effect::InstanceRestored { instance_id: instance_id.to_owned() });
        });
    }

    /// Puts a tag on an instance, in whichever account it is.
    pub fn tag_instance(&self, instance_id: &str, key: &str, value: &str) {
        let set = [(key.to_owned(), value.to_owned())].into();
        self.change_tags(instance_id, set, Vec::new());
    }

    /// Takes a tag off an instance, if it is there.
    pub fn untag_instance(&self, instance_id: &str, key: &str) {
        self.change_tags(instance_id, BTreeMap::new(), vec![key.to_owned()]);
    }

    fn change_tags(&self, instance_id: &str, set: BTreeMap<String, String>, removed: Vec<String>) {
        let region = self.region_of(instance_id);
        let input = json!({ "InstanceId": instance_id });
        self.alter(Caller::Person, Service::Ec2, (&region, "TagsChange"), input, |state, turn| {
            let Some(instance) = state.instances.get_mut(instance_id) else { return };
            instance.tags.change(turn.now, |tags| {
                tags.extend(set.clone());
                tags.retain(|key, _| !removed.contains(key));
            });
            turn.effect(Effect::TagsChanged { resource: instance_id.to_owned(), set, removed });
        });
    }

    /// Takes an SSM agent offline, or brings it back: then it takes up what waits for it.
    pub fn set_agent_online(&self, instance_id: &str, online: bool) {
        let region = self.region_of(instance_id);
        let input = json!({ "InstanceId": instance_id, "Online": online });
        self.alter(Caller::Person, Service::Ssm, (&region, "AgentStateChange"), input, |state, turn| {
            let instance = state.instances.get_mut(instance_id);
            let Some(agent) = instance.and_then(|instance| instance.agent.as_mut()) else { return };
            agent.online = online;
            agent.last_ping = turn.now;
            turn.effect(Effect::AgentChanged { instance_id: instance_id.to_owned(), online });
            turn.follow_ups.push(FollowUp::DeliverTo(instance_id.to_owned()));
        });
    }

    fn region_of(&self, instance_id: &str) -> String {
        let state = self.state();
        state.instances.get(instance_id).map_or_else(|| state.home_region.clone(), |instance| instance.region.clone())
    }
}
