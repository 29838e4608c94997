//! What each function asks of AWS: the table that a plan has IAM simulate, and that the functions' roles are held to.

use crate::names::{InstanceId, ledger_tag};
use crate::settings::{Credential, Place, Settings};

/// Who needs a permission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// A function's own role, by the name of its crate.
    Function(&'static str),
    /// A role of another account, which the functions assume there.
    Role(String),
}

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Who.
    pub principal: Principal,
    /// The action, as IAM policies spell it.
    pub action: &'static str,
    /// The resource's ARN, or `*` where AWS knows none for the action.
    pub resource: String,
    /// What a policy's conditions may ask about: keys and values.
    pub context: Vec<(String, Vec<String>)>,
}

/// What the resources of a rotation are called.
#[derive(Clone, Debug)]
pub struct Resources<'a> {
    /// The rotation's settings.
    pub settings: &'a Settings,
    /// The secret's ARN.
    pub secret: &'a str,
    /// The user's ARN, which alone tells its path.
    pub user: &'a str,
    /// The state machine's executions: an ARN with `*` for the name.
    pub executions: &'a str,
    /// A host of each place that has one, to ask about it in every host's stead.
    pub hosts: &'a [(Place, InstanceId)],
}

const READ_SECRET: [&str; 2] = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"];
const MOVE_LABELS: [&str; 3] =
    ["secretsmanager:UpdateSecretVersionStage", "secretsmanager:TagResource", "secretsmanager:UntagResource"];
const READ_KEYS: [&str; 2] = ["iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"];

impl Resources<'_> {
    /// Everything that the functions, and the roles that they assume, are to be allowed.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        let mut on = |function: &'static str, resource: &str, actions: &[&'static str]| {
            needs.extend(actions.iter().map(|action| Need {
                principal: Principal::Function(function),
                action,
                resource: resource.to_owned(),
                context: Vec::new(),
            }));
        };
        for reader in ["enumerate-instances", "plan-rotation"] {
            on(reader, self.secret, &READ_SECRET);
        }
        for looker in ["send-command", "poll-command", "promote-stage"] {
            on(looker, self.secret, &["secretsmanager:DescribeSecret"]);
        }
        on("promote-stage", self.secret, &MOVE_LABELS[..2]);
        match &self.settings.credential {
            Credential::AccessKey(_) => {
                for reader in ["enumerate-instances", "plan-rotation", "rotate-iam-key", "retire-iam-key"] {
                    on(reader, self.secret, &READ_SECRET);
                    on(reader, self.user, &READ_KEYS);
                }
                on("plan-rotation", self.user, &["iam:GetUser"]);
                on("rotate-iam-key", self.secret, &["secretsmanager:PutSecretValue"]);
                on("rotate-iam-key", self.secret, &MOVE_LABELS);
                on("rotate-iam-key", self.user, &["iam:CreateAccessKey", "iam:DeleteAccessKey"]);
                on("rotate-iam-key", self.executions, &["states:DescribeExecution"]);
                on("retire-iam-key", self.secret, &MOVE_LABELS);
                on("retire-iam-key", self.user, &["iam:UpdateAccessKey", "iam:DeleteAccessKey"]);
            }
            Credential::Login(_) => {
                let readers =
                    ["enumerate-instances", "plan-rotation", "rotate-login-password", "retire-login-password"];
                for reader in readers {
                    on(reader, self.secret, &READ_SECRET);
                    on(reader, self.secret, &["secretsmanager:ListSecretVersionIds"]);
                }
                on("rotate-login-password", self.secret, &["secretsmanager:PutSecretValue"]);
                // GetRandomPassword is about no secret.
                on("rotate-login-password", "*", &["secretsmanager:GetRandomPassword"]);
                for mover in ["rotate-login-password", "retire-login-password"] {
                    on(mover, self.secret, &MOVE_LABELS[..2]);
                }
            }
        }
        needs.extend(self.settings.places().iter().flat_map(|place| self.needs_in(place)));
        // Regions and readers share some.
        let mut seen = Vec::new();
        needs.retain(|need| {
            let is_new = !seen.contains(need);
            seen.extend(is_new.then(|| need.clone()));
            is_new
        });
        needs
    }

    /// What is needed in one account and region: by the functions themselves, or by the role that they assume there.
    fn needs_in(&self, place: &Place) -> Vec<Need> {
        let lookers: &[&str] = match &self.settings.credential {
            Credential::AccessKey(_) => {
                &["enumerate-instances", "plan-rotation", "send-command", "poll-command", "retire-iam-key"]
            }
            Credential::Login(_) => &[
                "enumerate-instances",
                "plan-rotation",
                "rotate-login-password",
                "send-command",
                "poll-command",
                "retire-login-password",
            ],
        };
        let partition = self.secret.split(':').nth(1).unwrap_or("aws");
        let arn = |service: &str, what: &str| {
            let account = if what.starts_with("document/") && is_amazons(what) { "" } else { &place.account };
            format!("arn:{partition}:{service}:{}:{account}:{what}", place.region)
        };
        // A document of another account is named by its ARN.
        let document_arn = |name: &str| match name.starts_with("arn:") {
            true => name.to_owned(),
            false => arn("ssm", &format!("document/{name}")),
        };
        let document = document_arn(&self.settings.document.name);
        let inspection = document_arn(&self.settings.inspect_document.name);
        let mut needs = Vec::new();
        let mut by = |function: &'static str, action: &'static str, resource: String, context: Context| {
            let principal = place.role.clone().map_or(Principal::Function(function), Principal::Role);
            needs.push(Need { principal, action, resource, context });
        };
        for function in lookers {
            by(function, "ec2:DescribeInstances", "*".to_owned(), Vec::new());
        }
        by("enumerate-instances", "ssm:DescribeDocument", document.clone(), Vec::new());
        for function in ["enumerate-instances", "plan-rotation", "send-command", "poll-command"] {
            by(function, "ssm:DescribeInstanceInformation", "*".to_owned(), Vec::new());
        }
        for function in ["send-command", "poll-command"] {
            by(function, "ssm:ListCommands", "*".to_owned(), Vec::new());
        }
        by("send-command", "ssm:SendCommand", document, Vec::new());
        by("send-command", "ssm:SendCommand", inspection, Vec::new());
        for action in ["ssm:ListCommandInvocations", "ssm:CancelCommand"] {
            by("poll-command", action, "*".to_owned(), Vec::new());
        }
        if let Some((_, host)) = self.hosts.iter().find(|(of, _)| of == place) {
            let host = arn("ec2", &format!("instance/{host}"));
            by("send-command", "ssm:SendCommand", host.clone(), self.fleet_tags());
            let mut context = self.fleet_tags();
            context.push(("aws:TagKeys".to_owned(), vec![ledger_tag(&self.settings.rotation)]));
            by("poll-command", "ec2:CreateTags", host, context);
        }
        if let Some(role) = &place.role {
            needs.extend(lookers.iter().map(|function| Need {
                principal: Principal::Function(function),
                action: "sts:AssumeRole",
                resource: role.clone(),
                context: Vec::new(),
            }));
        }
        needs
    }

    /// The tags of a host of the fleet, by both names under which a condition may ask for them.
    fn fleet_tags(&self) -> Context {
        let tags = self.settings.fleet.tags.iter();
        tags.flat_map(|tag| {
            let value: Vec<String> = tag.values.iter().take(1).cloned().collect();
            ["aws:ResourceTag", "ssm:resourceTag"].map(|name| (format!("{name}/{}", tag.key), value.clone()))
        })
        .collect()
    }
}

type Context = Vec<(String, Vec<String>)>;

/// Documents of Amazon's own have no account in their ARN.
fn is_amazons(document: &str) -> bool {
    ["document/AWS-", "document/Amazon", "document/AmazonCloudWatch-"].iter().any(|owner| document.starts_with(owner))
}

/// What IAM's simulation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulation {
    /// How many permissions it allows.
    pub allowed: usize,
    /// What it refuses: who, what, on what, and in which of IAM's two ways.
    pub missing: Vec<String>,
    /// Why some of it, or all, was not simulated.
    pub not_asked: Vec<String>,
}

impl Simulation {
    /// The lines of a plan.
    pub fn lines(&self) -> Vec<String> {
        let asked = self.allowed + self.missing.len();
        let mut lines = Vec::new();
        if asked > 0 {
            let none = "none is missing".to_owned();
            let missing = self.missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
            let more = self.missing.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let found = if self.missing.is_empty() { none } else { format!("missing: {missing}{more}") };
            lines.push(format!(
                "Permissions, by IAM's simulation of {asked} of the roles' own policies (KMS keys and resource policies are not part of it): {found}."
            ));
        }
        lines.extend(self.not_asked.iter().map(|why| format!("Permissions were not simulated: {why}.")));
        lines
    }
}

/// As many missing permissions as a person reads.
const NAMED: usize = 20;
