//! Everything that can end a step, by stable names: what failed, where, and what a person does.
//!
//! Secrets Manager tries a failed rotation again by itself, all four steps with the same token (FACTS D); so each of
//! these says what to put right, and the next try goes on from there. None holds a secret.

use rotation::StepError;
use rotation::database_secret::DatabaseSecretError;
use rotation::error::AwsRefusal;
use rotation::names::VersionId;
use rotation::password::PasswordRulesError;

use crate::engine::{ConnectError, StatementError};
use crate::event::Step;

macro_rules! rotation_errors {
    ($($(#[doc = $doc:literal])+ #[error($text:literal)] $name:ident $fields:tt,)+) => {
        /// What a step of the rotation fails with.
        #[derive(Clone, Debug, PartialEq, thiserror::Error)]
        pub enum RotationError {
            $($(#[doc = $doc])+ #[error($text)] $name $fields,)+
            /// AWS itself, by the names that every function of this system uses.
            #[error(transparent)]
            Aws(#[from] StepError),
        }

        impl RotationError {
            /// Every name of this function's own.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// The stable name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(RotationError::$name { .. } => stringify!($name),)+
                    RotationError::Aws(error) => error.name(),
                }
            }
        }
    };
}

rotation_errors! {
    // What called.

    /// The function was called by something other than Secrets Manager.
    #[error("the event is not Secrets Manager's: {problem}. It has SecretId, ClientRequestToken and Step (createSecret, setSecret, testSecret, finishSecret)")]
    InvalidEvent { #[doc = "What is wrong."] problem: String },
    /// The function's own settings are wrong.
    #[error("the function's variable {variable} is wrong: {problem}. Correct it and deploy again")]
    InvalidSettings { #[doc = "The variable."] variable: String, #[doc = "What is wrong."] problem: String },

    // The secret.

    /// The secret does not exist, or waits for its deletion.
    #[error("the secret {secret} does not exist or is marked for deletion ({cause}). Create or restore it")]
    SecretNotFound { #[doc = "Name or ARN."] secret: String, #[doc = "AWS's words."] cause: Box<AwsRefusal> },
    /// The version of the event is neither pending nor current.
    #[error("version {version} of {secret} is not pending: AWSPENDING is on {holder}. Nothing was changed; start a rotation with aws secretsmanager rotate-secret --secret-id {secret}")]
    VersionNotPending { #[doc = "The secret."] secret: String, #[doc = "The event's version."] version: VersionId, #[doc = "Who has the label."] holder: String },
    /// A step came before the one that it needs.
    #[error("{step} came too early for version {version} of {secret}: {missing}. Nothing was changed; Secrets Manager tries the whole rotation again")]
    TooEarly { #[doc = "The secret."] secret: String, #[doc = "The version."] version: VersionId, #[doc = "The step."] step: Step, #[doc = "What is missing."] missing: String },
    /// The secret has no value, and nothing says what its first one shall be.
    #[error("the secret {secret} has no value yet. Store one in AWS's shape (engine, host, username, password), or say what the first one shall be in the secret's tags database:engine, database:host, database:username and database:masterarn")]
    NoValueYet { #[doc = "The secret."] secret: String },
    /// A value is not in the shape of a database secret.
    #[error("the value of {secret} ({which}) cannot be used: {problem}. Store it in AWS's shape: {{\"engine\", \"host\", \"username\", \"password\"}}")]
    SecretValueUnreadable { #[doc = "The secret."] secret: String, #[doc = "Which version."] which: String, #[doc = "Why."] problem: DatabaseSecretError },
    /// The password rules of the secret or of the function cannot be obeyed.
    #[error("the password rules of {secret} are wrong: {problem}. Correct the secret's passwordRules or the function's variables")]
    PasswordRules { #[doc = "The secret."] secret: String, #[doc = "Why."] problem: PasswordRulesError },
    /// The secret's member `users` does not name two users, this one among them.
    #[error("the member users of {secret} must be the two names that take turns, the original first, and {username} must be one of them")]
    UsersNotAPair { #[doc = "The secret."] secret: String, #[doc = "The current user."] username: String },

    // What must not be rotated like that.

    /// The pending value means something else than the current one: a confused deputy.
    #[error("the pending value of {secret} differs from the current one in {member}: \"{pending}\" and not \"{current}\". A rotation changes only the password and, with alternating users, the user. Remove AWSPENDING from it, then rotate again")]
    DifferentInPending { #[doc = "The secret."] secret: String, #[doc = "Member."] member: &'static str, #[doc = "Pending."] pending: String, #[doc = "Current."] current: String },
    /// Alternating users need an administrator.
    #[error("{secret} has no masterarn, and {strategy} needs an administrator. Add \"masterarn\" to the value, or set the strategy to single")]
    NoAdministrator { #[doc = "The secret."] secret: String, #[doc = "The strategy."] strategy: &'static str },
    /// The administrator's secret is for another host or engine.
    #[error("the administrator's secret {master} is for \"{theirs}\" and {secret} for \"{ours}\". Name the administrator of the same server in masterarn")]
    MasterOfAnotherServer { #[doc = "The master secret."] master: String, #[doc = "Its server."] theirs: String, #[doc = "The secret."] secret: String, #[doc = "Its server."] ours: String },
    /// RDS Proxy lets in only the users whose secrets it knows.
    #[error("{host} is an endpoint of RDS Proxy, which logs users in by the AWSCURRENT of secrets that it knows, so no new password can be tried there and no second user let in. Set host to the database's own endpoint, and register the secrets of both users with the proxy")]
    BehindProxy { #[doc = "The host."] host: String },
    /// A replica takes no passwords.
    #[error("{server} only reads: it is a replica or a reader endpoint. Set host to the primary's or the cluster's endpoint")]
    ReadOnlyServer { #[doc = "The server."] server: String },
    /// The twin's name would be too long.
    #[error("the twin of {username} would be named {twin}, and {engine} takes {longest} characters. Give both names in the secret's member users: [\"{username}\", \"…\"]")]
    NameTooLong { #[doc = "The user."] username: String, #[doc = "The twin."] twin: String, #[doc = "The engine."] engine: &'static str, #[doc = "The limit."] longest: usize },
    /// The user does not exist.
    #[error("the user {username} does not exist on {server}. Create it, or let the rotation do so: \"createUser\": true in the secret's value")]
    UserMissing { #[doc = "The user."] username: String, #[doc = "The server."] server: String },
    /// What the engine cannot do, or what must not be done to this user.
    #[error("{server} cannot rotate {username} so: {problem}")]
    NotPossible { #[doc = "The server."] server: String, #[doc = "The user."] username: String, #[doc = "Why, and what to do."] problem: String },

    // The database.

    /// No connection came about: network, name, TLS, or the server's state; the password was not judged.
    #[error("cannot connect to {server}: {cause}. Look at the host's name, at security groups and routes from the function's subnets, and at the server's certificate")]
    CannotConnect { #[doc = "Host and port."] server: String, #[doc = "The cause."] cause: String },
    /// The server judged the password and refused it.
    #[error("{server} refused the password of {username} ({tried}): {cause}. If somebody changed it by hand, store the right one as AWSCURRENT, or name an administrator in masterarn, which repairs it")]
    WrongPassword { #[doc = "Host and port."] server: String, #[doc = "The user."] username: String, #[doc = "Which versions were tried."] tried: String, #[doc = "The server's words."] cause: String },
    /// The server does not accept the new password.
    #[error("{server} does not accept the new password of {username}: {cause}. Change the password rules, remove AWSPENDING from the version, and rotate again")]
    PasswordRefused { #[doc = "Host and port."] server: String, #[doc = "The user."] username: String, #[doc = "The server's words."] cause: String },
    /// A right is missing.
    #[error("{who} lacks a right on {server}: {statement}: {cause}. The README lists the least rights of each strategy")]
    NotPermitted { #[doc = "The user who is logged in."] who: String, #[doc = "Host and port."] server: String, #[doc = "The statement."] statement: String, #[doc = "The server's words."] cause: String },
    /// A statement failed.
    #[error("{server} did not run {statement}: {cause}")]
    StatementFailed { #[doc = "Host and port."] server: String, #[doc = "The statement."] statement: String, #[doc = "The server's words."] cause: String },
}

impl RotationError {
    /// A connection that did not come about.
    pub(crate) fn connecting(server: &str, username: &str, tried: &str, error: ConnectError) -> RotationError {
        let (server, username) = (server.to_owned(), username.to_owned());
        match error {
            ConnectError::CannotConnect(cause) => RotationError::CannotConnect { server, cause },
            ConnectError::WrongPassword(cause) => {
                RotationError::WrongPassword { server, username, tried: tried.to_owned(), cause }
            }
        }
    }

    /// A statement that failed; `who` is logged in, `username` is whose password or rights it is about.
    pub(crate) fn stating(server: &str, who: &str, username: &str, error: StatementError) -> RotationError {
        let (server, username) = (server.to_owned(), username.to_owned());
        match error {
            StatementError::Permission { statement, cause } => {
                RotationError::NotPermitted { who: who.to_owned(), server, statement, cause }
            }
            StatementError::PasswordPolicy { cause } => RotationError::PasswordRefused { server, username, cause },
            StatementError::Failed { statement, cause } => RotationError::StatementFailed { server, statement, cause },
            StatementError::NotPossible { problem } => RotationError::NotPossible { server, username, problem },
        }
    }
}
