//! Who asks: functions, hosts, people, and whoever holds a user's access key.

use super::iam;
use super::request::Turn;
use super::signature::Scope;
use super::state::{SecretText, State};
use super::{Cloud, Service, ServiceError};

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the fields say what they are")]
pub enum Caller {
    /// A Lambda function's role, or the role that it assumed in another account.
    Function { name: String, account: String },
    /// An instance's role.
    InstanceRole { instance_id: String },
    /// An IAM user, by one of its long-term keys.
    AccessKey { access_key_id: String },
    /// A person in the home account who may do everything.
    Person,
    /// AWS itself: time-outs, an agent's report, a collector.
    Aws,
}

impl Caller {
    /// A function of the home account or of another one.
    pub fn function(name: &str, account: &str) -> Caller {
        Caller::Function { name: name.to_owned(), account: account.to_owned() }
    }

    /// The role of one instance.
    pub fn instance(instance_id: &str) -> Caller {
        Caller::InstanceRole { instance_id: instance_id.to_owned() }
    }

    /// The holder of a user's key.
    pub fn access_key(access_key_id: &str) -> Caller {
        Caller::AccessKey { access_key_id: access_key_id.to_owned() }
    }

    /// The name by which [`Cloud::deny`] means this caller, where it has one.
    fn name(&self) -> Option<&str> {
        match self {
            Caller::Function { name, .. } => Some(name),
            Caller::InstanceRole { instance_id } => Some(instance_id),
            Caller::AccessKey { .. } | Caller::Person | Caller::Aws => None,
        }
    }
}

/// Credentials of a role session, as Lambda and the instance metadata service give them out.
#[derive(Clone)]
pub struct SessionCredentials {
    /// `ASIA…`
    pub access_key_id: String,
    /// The secret of the session.
    pub secret_access_key: String,
    /// The session's token.
    pub session_token: String,
}

impl std::fmt::Debug for SessionCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SessionCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// A session that was given out.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) caller: Caller,
    /// Kept for the search for leaked values; a session's signature is not checked.
    pub(super) secret: SecretText,
}

impl Cloud {
    /// Session credentials for a function, a host or a person; requests signed with them count as that caller's.
    pub fn credentials_for(&self, caller: Caller) -> SessionCredentials {
        self.state().open_session(caller)
    }

    /// From now on `action` (`iam:CreateAccessKey`, `ssm:*` or `*`) is denied to the function, instance or IAM user
    /// of this name, or to everyone but people with `*`.
    pub fn deny(&self, caller_name_or_any: &str, action: &str) {
        self.state().denials.push((caller_name_or_any.to_owned(), action.to_owned()));
    }

    /// Takes a denial back.
    pub fn allow(&self, caller_name_or_any: &str, action: &str) {
        self.state().denials.retain(|(name, denied)| name != caller_name_or_any || denied != action);
    }
}

impl State {
    pub(super) fn open_session(&mut self, caller: Caller) -> SessionCredentials {
        let credentials = SessionCredentials {
            access_key_id: self.identifiers.access_key_id("ASIA"),
            secret_access_key: self.identifiers.secret_access_key(),
            session_token: self.identifiers.session_token(),
        };
        let secret = SecretText::new(&credentials.secret_access_key);
        self.sessions.insert(credentials.access_key_id.clone(), Session { caller, secret });
        credentials
    }

    /// Whether a request is signed with a person's own key; see [`Cloud::admit_people`].
    pub(super) fn is_a_persons(&self, scope: &Scope) -> bool {
        let is_checked = matches!(scope.service, Service::S3 | Service::Sts) && scope.access_key_id.starts_with("AKIA");
        self.people_are_admitted && !is_checked && !self.keys.contains_key(&scope.access_key_id)
    }

    /// The account that a caller acts in.
    pub(super) fn account_of(&self, caller: &Caller) -> String {
        let account = match caller {
            Caller::Function { account, .. } => Some(account),
            Caller::InstanceRole { instance_id } => self.instances.get(instance_id).map(|instance| &instance.account),
            Caller::AccessKey { access_key_id } => self.keys.get(access_key_id).map(|key| &key.account),
            Caller::Person | Caller::Aws => None,
        };
        account.unwrap_or(&self.home_account).clone()
    }

    /// The ARN that AWS's messages name.
    pub(super) fn caller_arn(&self, caller: &Caller) -> String {
        let account = self.account_of(caller);
        match caller {
            Caller::Function { name, .. } => format!("arn:aws:sts::{account}:assumed-role/{name}/{name}"),
            Caller::InstanceRole { instance_id } => {
                format!("arn:aws:sts::{account}:assumed-role/sql-server-host/{instance_id}")
            }
            Caller::AccessKey { access_key_id } => {
                let user = self.keys.get(access_key_id).map_or("unknown", |key| key.user_name.as_str());
                format!("arn:aws:iam::{account}:user/{user}")
            }
            Caller::Person | Caller::Aws => format!("arn:aws:sts::{account}:assumed-role/operator/person"),
        }
    }

    /// Refuses what the caller may not do. The IAM users of this AWS have the rights of a backup user and no more:
    /// writing to S3, and GetCallerIdentity, which nobody can be denied.
    pub(super) fn authorize(&mut self, turn: &mut Turn<'_>) -> Result<(), ServiceError> {
        let action = format!("{}:{}", turn.service.name(), turn.action);
        if let Caller::AccessKey { access_key_id } = turn.caller {
            iam::authenticate(self, turn, access_key_id)?;
            let granted = action == "sts:GetCallerIdentity" || action == "s3:PutObject";
            if !granted {
                return Err(self.denied(turn, &action));
            }
        }
        if action != "sts:GetCallerIdentity" && self.is_denied(turn.caller, &action) {
            return Err(self.denied(turn, &action));
        }
        Ok(())
    }

    fn is_denied(&self, caller: &Caller, action: &str) -> bool {
        if matches!(caller, Caller::Person | Caller::Aws) {
            return false;
        }
        let user = match caller {
            Caller::AccessKey { access_key_id } => self.keys.get(access_key_id).map(|key| key.user_name.as_str()),
            Caller::Function { .. } | Caller::InstanceRole { .. } | Caller::Person | Caller::Aws => None,
        };
        let name = caller.name().or(user);
        let covers = |denied: &str| {
            denied == "*"
                || denied == action
                || action.starts_with(denied.trim_end_matches('*')) && denied.ends_with(":*")
        };
        self.denials.iter().any(|(who, denied)| (who == "*" || Some(who.as_str()) == name) && covers(denied))
    }

    /// AWS's wording and each service's own code.
    pub(super) fn denied(&self, turn: &Turn<'_>, action: &str) -> ServiceError {
        let arn = self.caller_arn(turn.caller);
        let resource = resource_named_by(turn);
        let sentence = format!(
            "User: {arn} is not authorized to perform: {action} on resource: {resource} \
             because no identity-based policy allows the {action} action"
        );
        match turn.service {
            Service::SecretsManager | Service::Ssm | Service::States | Service::Logs => {
                ServiceError::new(400, "AccessDeniedException", sentence)
            }
            Service::Iam | Service::Sts => ServiceError::new(403, "AccessDenied", sentence),
            Service::Sns => ServiceError::new(403, "AuthorizationError", sentence),
            Service::S3 => ServiceError::new(403, "AccessDenied", sentence),
            Service::Ec2 => ServiceError::new(
                403,
                "UnauthorizedOperation",
                format!("You are not authorized to perform this operation. {sentence}"),
            ),
        }
    }
}

/// The resource in a denial's message: the first member that names one.
fn resource_named_by(turn: &Turn<'_>) -> String {
    let named = ["SecretId", "RoleArn", "TopicArn", "executionArn", "DocumentName", "CommandId", "Bucket", "Name"];
    if let Some(user) = turn.optional_text("UserName") {
        return format!("user {user}");
    }
    named.iter().find_map(|member| turn.optional_text(member)).unwrap_or_else(|| "*".to_owned())
}
