//! What a fleet file or a test puts into the local AWS before anything runs.
//!
//! Set-up goes past the APIs where a world must be made that they would refuse: a secret whose value is empty, a key
//! of a known id, an instance that was launched long ago.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ec2::{Agent, Instance, InstanceState, Volume};
use super::event::Effect;
use super::faults::Fault;
use super::iam::{AccessKey, KeyStatus};
use super::random::Identifiers;
use super::request::FollowUp;
use super::secret_labels::{CURRENT, Contents};
use super::secretsmanager::{Secret, secret_arn, store};
use super::ssm;
use super::state::SecretText;
use super::states::ExecutionRecord;
use super::visibility::{Replicated, Visibility};
use super::{Caller, Cloud, Service};
use crate::machine::Machine;

/// An instance that is to be.
#[derive(Clone, Debug)]
pub struct InstanceSetUp {
    /// `i-…`
    pub instance_id: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its state.
    pub state: InstanceState,
    /// When it was started; now where absent.
    pub launch_time: Option<Timestamp>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its SSM agent; absent where it is no managed node.
    pub agent: Option<AgentSetUp>,
}

/// The SSM agent of an instance that is to be.
#[derive(Clone, Debug)]
pub struct AgentSetUp {
    /// Whether it answers.
    pub online: bool,
    /// `Linux` or `Windows`.
    pub platform_type: String,
    /// ENV_VAR interpolation needs 3.3.2746.0 (FACTS C).
    pub version: String,
}

impl InstanceSetUp {
    /// A running Linux host whose agent answers.
    pub fn running(instance_id: &str, account: &str, region: &str, tags: &[(&str, &str)]) -> InstanceSetUp {
        InstanceSetUp {
            instance_id: instance_id.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            state: InstanceState::Running,
            launch_time: None,
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            agent: Some(AgentSetUp {
                online: true,
                platform_type: "Linux".to_owned(),
                version: "3.3.3572.0".to_owned(),
            }),
        }
    }
}

impl Cloud {
    /// How late changes are seen from now on.
    pub fn set_visibility(&self, visibility: Visibility) {
        self.state().visibility = visibility;
    }

    /// Whether moving AWSCURRENT onto the pending version takes AWSPENDING off it; both are legal (FACTS D).
    pub fn set_promotion_takes_pending_off(&self, takes: bool) {
        self.state().promotion_takes_pending_off = takes;
    }

    /// Makes the secrets of the next access keys hold a colon, which IAM has never been seen to do and does not exclude.
    pub fn make_unfit_keys(&self, count: u32) {
        self.state().unfit_keys = count;
    }

    /// One fault for one call to come.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// A role that functions may assume; the account is in the ARN.
    pub fn add_role(&self, role_arn: &str) {
        self.state().roles.push(role_arn.to_owned());
    }

    /// An IAM user in the home account.
    pub fn add_user(&self, user_name: &str) {
        let input = json!({ "UserName": user_name });
        self.expect_person("us-east-1", Service::Iam, "CreateUser", input);
    }

    /// A key of a known id and secret, made at a known time (past the two-key limit, if a test wants that).
    pub fn add_access_key(
        &self,
        user_name: &str,
        (access_key_id, secret_access_key): (&str, &str),
        status: KeyStatus,
        created: Timestamp,
    ) {
        let input = json!({ "UserName": user_name, "AccessKeyId": access_key_id });
        let user_name = user_name.to_owned();
        self.alter(Caller::Person, Service::Iam, ("us-east-1", "AccessKeySetUp"), input, |state, turn| {
            let key = AccessKey {
                account: state.home_account.clone(),
                user_name: user_name.clone(),
                secret: SecretText::new(secret_access_key),
                created,
                status: Replicated::new(created, Some(status)),
                last_use: Replicated::new(created, None),
            };
            state.keys.insert(access_key_id.to_owned(), key);
            turn.effect(Effect::KeyCreated { user_name, access_key_id: access_key_id.to_owned() });
        });
    }

    /// A secret in the home account and region with a current value, or with no version at all. Its ARN.
    pub fn add_secret(&self, name: &str, value: Option<&str>) -> String {
        let (account, region) = self.home();
        let arn = secret_arn(&account, &region, name);
        let input = json!({ "Name": name, "SecretString": value });
        self.alter(Caller::Person, Service::SecretsManager, (&region, "SecretSetUp"), input, |state, turn| {
            let secret = Secret::new(name, &region, turn.now, Contents::default());
            state.secrets.insert(arn.clone(), secret);
            turn.effect(Effect::SecretCreated { secret_arn: arn.clone() });
            if let Some(value) = value {
                let version_id = state.identifiers.uuid();
                let stored = store(state, turn, &arn, &version_id, value, &[CURRENT.to_owned()]);
                stored.expect("a new secret has room for one label");
            }
            // What was there before the run is seen at once.
            if let Some(secret) = state.secrets.get_mut(&arn) {
                secret.contents = Replicated::new(Timestamp::MIN, secret.contents.truth().clone());
            }
        });
        arn
    }

    /// A document's next version in one account and region; the version's number.
    pub fn add_document(&self, account: &str, region: &str, name: &str, content: Value) -> String {
        let input = json!({ "Name": name });
        self.alter(Caller::Person, Service::Ssm, (region, "DocumentSetUp"), input, |state, turn| {
            ssm::add_version(state, turn, (account, region), name, content)
        })
    }

    /// An SNS topic in the home account and region; its ARN.
    pub fn add_topic(&self, name: &str) -> String {
        let (account, region) = self.home();
        let arn = format!("arn:aws:sns:{region}:{account}:{name}");
        self.state().topics.arns.insert(arn.clone());
        arn
    }

    /// A bucket that every IAM user of this AWS may write to.
    pub fn add_bucket(&self, region: &str, name: &str) {
        self.state().buckets.regions.insert(name.to_owned(), region.to_owned());
    }

    /// An instance. Its tags and its first disk are seen at once.
    pub fn add_instance(&self, set_up: InstanceSetUp) {
        let input = json!({ "InstanceId": set_up.instance_id });
        let region = set_up.region.clone();
        self.alter(Caller::Person, Service::Ec2, (&region, "InstanceSetUp"), input, |state, turn| {
            let launch_time = set_up.launch_time.unwrap_or(turn.now);
            let mut identifiers = Identifiers::named(&set_up.instance_id);
            let volume = Volume {
                volume_id: format!("vol-{}", identifiers.hexadecimal(17)),
                device_name: "/dev/xvda".to_owned(),
                attach_time: launch_time,
            };
            let number = state.instances.len();
            let agent = set_up.agent.map(|agent| Agent {
                online: agent.online,
                platform_type: agent.platform_type,
                version: agent.version,
                last_ping: turn.now,
            });
            let instance = Instance {
                account: set_up.account,
                region: set_up.region,
                state: set_up.state,
                state_since: turn.now,
                launch_time,
                image_id: "ami-0c0ffee0c0ffee000".to_owned(),
                private_ip: format!("10.0.{}.{}", number / 250, number % 250 + 4),
                volumes: vec![volume],
                tags: Replicated::new(Timestamp::MIN, set_up.tags),
                agent,
            };
            state.instances.insert(set_up.instance_id.clone(), instance);
            turn.effect(Effect::InstanceChanged {
                instance_id: set_up.instance_id.clone(),
                from: None,
                to: set_up.state,
            });
            turn.follow_ups.push(FollowUp::DeliverTo(set_up.instance_id));
        });
    }

    /// Deploys the state machine. The caller keeps it: the machine calls this cloud, and would else keep it for ever.
    pub fn deploy_state_machine(&self, machine: &Arc<Machine>) {
        self.state().machine = Arc::downgrade(machine);
    }

    /// From now on whoever signs with a key that was never given out here is a person with all rights, as somebody at
    /// this machine with the AWS CLI and any key pair is. At S3 and STS, an id that looks like a user's key is still
    /// checked as one.
    pub fn admit_people(&self) {
        self.state().people_are_admitted = true;
    }

    /// Step Functions' word about an execution; a status other than RUNNING ends it.
    pub fn set_execution_status(&self, execution_arn: &str, status: &str) {
        let (_, region) = self.home();
        let input = json!({ "executionArn": execution_arn, "status": status });
        self.alter(Caller::Aws, Service::States, (&region, "ExecutionStatusChange"), input, |state, turn| {
            let fresh = || ExecutionRecord::running(turn.now, None);
            let record = state.executions.entry(execution_arn.to_owned()).or_insert_with(fresh);
            status.clone_into(&mut record.status);
            // One that a person stopped has ended already, whatever its driver says later.
            record.stopped = (status != "RUNNING").then(|| record.stopped.unwrap_or(turn.now));
            let effect =
                Effect::ExecutionChanged { execution_arn: execution_arn.to_owned(), status: status.to_owned() };
            turn.effect(effect);
        });
    }

    /// The home account and region.
    pub fn home(&self) -> (String, String) {
        let state = self.state();
        (state.home_account.clone(), state.home_region.clone())
    }

    /// A person's call that must succeed, since it is set-up.
    fn expect_person(&self, region: &str, service: Service, action: &str, input: Value) -> Value {
        self.call(&Caller::Person, region, service, action, input).expect("set-up asks for nothing that AWS refuses")
    }

    /// Shares the cloud with whoever needs an owned handle.
    pub fn share(&self) -> Option<Arc<Cloud>> {
        self.me.upgrade()
    }
}
