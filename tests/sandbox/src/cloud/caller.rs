//! Who asks: functions, hosts, people, and whoever holds a user's access key.

use super::Cloud;
use super::Service;
use super::random::Identifiers;
use super::signature::Scope;
use super::state::{SecretText, State};

/// The role of every instance; the instance is its session's name.
const HOST_ROLE: &str = "sql-server-host";
/// The role of people.
const PERSON_ROLE: &str = "operator";

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the fields say what they are")]
pub enum Caller {
    /// A Lambda function, by its own role or by one that it assumed, maybe in another account.
    Function { name: String, role_arn: String, session_name: String },
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
    /// A function by its own role, in the home account or another one. Lambda names the session after the function.
    pub fn function(name: &str, account: &str) -> Caller {
        Caller::Function {
            name: name.to_owned(),
            role_arn: role_of_function(account, name),
            session_name: name.to_owned(),
        }
    }

    /// The role of one instance.
    pub fn instance(instance_id: &str) -> Caller {
        Caller::InstanceRole { instance_id: instance_id.to_owned() }
    }

    /// The holder of a user's key.
    pub fn access_key(access_key_id: &str) -> Caller {
        Caller::AccessKey { access_key_id: access_key_id.to_owned() }
    }

    /// The word for this caller in a denial, besides its role or user.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Caller::Function { name, .. } => Some(name),
            Caller::InstanceRole { instance_id } => Some(instance_id),
            Caller::AccessKey { .. } | Caller::Person | Caller::Aws => None,
        }
    }
}

/// The ARN of the role that a function has.
pub fn role_of_function(account: &str, function: &str) -> String {
    role_arn(account, &format!("credential-rotation-{function}"))
}

fn role_arn(account: &str, role_name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{role_name}")
}

/// The account that an ARN names.
pub(super) fn account_in(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// The name of a role or user without its path.
pub(super) fn name_in(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// A session as STS writes it: without the role's path.
pub(super) fn assumed_role_arn(role_arn: &str, session_name: &str) -> String {
    format!("arn:aws:sts::{}:assumed-role/{}/{session_name}", account_in(role_arn), name_in(role_arn))
}

/// The unique id of a session: its role's, which is the same at every call, and its name.
pub(super) fn assumed_role_id(role_arn: &str, session_name: &str) -> String {
    format!("{}:{session_name}", Identifiers::named(role_arn).access_key_id("AROA"))
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
            Caller::Function { role_arn, .. } => Some(account_in(role_arn)),
            Caller::InstanceRole { instance_id } => {
                self.instances.get(instance_id).map(|instance| instance.account.as_str())
            }
            Caller::AccessKey { access_key_id } => self.keys.get(access_key_id).map(|key| key.account.as_str()),
            Caller::Person | Caller::Aws => None,
        };
        account.unwrap_or(&self.home_account).to_owned()
    }

    /// The role that a caller acts by and its session's name; a user has none.
    pub(super) fn role_session(&self, caller: &Caller) -> Option<(String, String)> {
        let account = self.account_of(caller);
        match caller {
            Caller::Function { role_arn, session_name, .. } => Some((role_arn.clone(), session_name.clone())),
            Caller::InstanceRole { instance_id } => Some((role_arn(&account, HOST_ROLE), instance_id.clone())),
            Caller::Person | Caller::Aws => Some((role_arn(&account, PERSON_ROLE), "person".to_owned())),
            Caller::AccessKey { .. } => None,
        }
    }

    /// The ARN of the role or of the user whose policies say what a caller may do.
    pub(super) fn identity_of(&self, caller: &Caller) -> String {
        let user = |caller: &Caller| {
            let Caller::AccessKey { access_key_id } = caller else { return String::new() };
            let user = self.keys.get(access_key_id).map_or("unknown", |key| key.user_name.as_str());
            format!("arn:aws:iam::{}:user/{user}", self.account_of(caller))
        };
        self.role_session(caller).map_or_else(|| user(caller), |(role_arn, _)| role_arn)
    }

    /// The ARN that GetCallerIdentity and AWS's messages name.
    pub(super) fn caller_arn(&self, caller: &Caller) -> String {
        match self.role_session(caller) {
            Some((role_arn, session_name)) => assumed_role_arn(&role_arn, &session_name),
            None => self.identity_of(caller),
        }
    }

    /// Whether there is such a role: of whoever was given credentials, of hosts, or one that may be assumed.
    pub(super) fn has_role(&self, arn: &str) -> bool {
        let is_somebodys = |caller: &Caller| self.role_session(caller).is_some_and(|(role_arn, _)| role_arn == arn);
        self.roles.iter().any(|role| role == arn)
            || name_in(arn) == HOST_ROLE
            || self.sessions.values().any(|session| is_somebodys(&session.caller))
    }
}
