//! Everything that can go wrong in a step, by the names that the state machine retries and catches.
//!
//! Each variant's message says what failed, where, and what a person does; a test holds the names to `ErrorEquals`
//! in the state machine and to the README's "When it fails".

use crate::names::{AccessKeyId, VersionId};

/// What AWS said, without any request or response body: a body may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service} {operation}: {code}: {message}")]
pub struct AwsRefusal {
    /// The service, as IAM policies spell it: `iam`, `ssm`, ….
    pub service: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// AWS's error code, or what happened on the way there.
    pub code: String,
    /// AWS's message.
    pub message: String,
}

macro_rules! step_errors {
    ($($(#[doc = $doc:literal])+ #[error($text:literal)] $name:ident $fields:tt,)+) => {
        /// What a step fails with.
        #[derive(Clone, Debug, PartialEq, thiserror::Error)]
        pub enum StepError { $($(#[doc = $doc])+ #[error($text)] $name $fields,)+ }

        impl StepError {
            /// Every name, in the order of the README's table.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// The stable name: what `ErrorEquals` matches.
            pub fn name(&self) -> &'static str {
                match self { $(StepError::$name { .. } => stringify!($name),)+ }
            }

            /// Whether it is likely to be over by itself in a moment, so that the state machine tries again.
            pub fn is_passing(&self) -> bool {
                matches!(self, StepError::NotVisibleYet { .. } | StepError::ServiceUnavailable { .. })
            }
        }
    };
}

step_errors! {
    // What people said.

    /// The execution's input was not understood; nothing was done. Start again with an input that the README lists.
    #[error("the execution's input is not understood at `{path}`: {problem}. Start again with {{\"mode\": \"rotate\"}}, \"converge\", \"plan\", \"abandon\" or \"rollback\"")]
    InvalidInput { #[doc = "JSON path."] path: String, #[doc = "What is wrong there."] problem: String },
    /// The settings contradict themselves or the schema; nothing was done. Correct and deploy them.
    #[error("the settings are wrong at `{path}`: {problem}. Correct them and deploy again")]
    InvalidSettings { #[doc = "JSON path."] path: String, #[doc = "What is wrong there."] problem: String },
    /// A function got an input that its state does not send: state machine and functions are of different versions.
    #[error("the function's input is wrong at `{path}`: {problem}. Deploy state machine and functions together")]
    InvalidStateInput { #[doc = "JSON path."] path: String, #[doc = "What is wrong there."] problem: String },

    // The fleet.

    /// No instance matches the tag conditions; nothing was staged.
    #[error("no instance in {places} matches {conditions}. Tag the hosts, or correct fleet.tags and fleet.targets in the settings")]
    EmptyFleet { #[doc = "The tag conditions."] conditions: String, #[doc = "Where was looked."] places: String },
    /// Every instance of the fleet is stopped; nothing was staged, since nothing could be proved.
    #[error("none of the {stopped} instances that match {conditions} runs, so no version can be proved. Start at least one, then start the execution again")]
    NoRunningHost { #[doc = "The tag conditions."] conditions: String, #[doc = "How many are stopped."] stopped: u32 },
    /// A host already has 50 tags, so its proof could not be recorded; nothing was staged.
    #[error("{hosts} already have 50 tags, so that their proof could not be recorded. Remove a tag from each, then start the execution again")]
    NoTagRoom { #[doc = "The instances."] hosts: String },
    /// The role of another account could not be assumed.
    #[error("the role {role} of account {account} could not be assumed ({cause}). Let it trust the functions' roles, or correct fleet.targets")]
    PlaceNotAccessible { #[doc = "The account."] account: String, #[doc = "The role."] role: String, #[doc = "AWS's words."] cause: Box<AwsRefusal> },

    // The secret.

    /// The secret does not exist, or is marked for deletion.
    #[error("the secret {secret} does not exist or is marked for deletion ({cause}). Create or restore it, or correct secret.id in the settings")]
    SecretNotFound { #[doc = "Name or ARN."] secret: String, #[doc = "AWS's words."] cause: Box<AwsRefusal> },
    /// Secrets Manager's own rotation is switched on for the secret; two rotators would take each other's labels.
    #[error("Secrets Manager's own rotation is switched on for {secret}, and two rotators would take each other's labels. Cancel it (aws secretsmanager cancel-rotate-secret), then start again")]
    SecretRotatesItself { #[doc = "Name or ARN."] secret: String },
    /// The value of a version is no access key; nothing was changed.
    #[error("version {version} ({label}) of {secret} cannot be used: {problem}. Store the access key in use as AKID:SECRET or JSON, then start again")]
    SecretValueUnreadable { #[doc = "The secret."] secret: String, #[doc = "The version."] version: VersionId, #[doc = "Its label."] label: String, #[doc = "Why."] problem: String },
    /// AWSPENDING is on a version that this system did not stage.
    #[error("AWSPENDING of {secret} is on version {version}, which this system did not stage (a person's, or RotateSecret's). Remove the label: aws secretsmanager update-secret-version-stage --secret-id {secret} --version-stage AWSPENDING --remove-from-version-id {version}")]
    PendingVersionNotOurs { #[doc = "The secret."] secret: String, #[doc = "The version."] version: VersionId },
    /// A label moved while we were about to move it; the other one won and nothing is lost.
    #[error("{label} of {secret} moved while this run was about to move it ({cause}). Somebody else is at work; the next run goes on from what is so then")]
    LabelMoved { #[doc = "The secret."] secret: String, #[doc = "The label."] label: String, #[doc = "AWS's words."] cause: Box<AwsRefusal> },

    // The user and its keys.

    /// The IAM user does not exist.
    #[error("the IAM user {user} does not exist ({cause}). Correct user in the settings")]
    UserNotFound { #[doc = "The user."] user: String, #[doc = "AWS's words."] cause: Box<AwsRefusal> },
    /// The secret holds a key of another user than the settings name.
    #[error("the secret's current key {key} belongs to the user {owner}, and the settings name {user}. Correct user in the settings, or store a key of {user}")]
    KeyOfAnotherUser { #[doc = "The key."] key: AccessKeyId, #[doc = "Its owner."] owner: String, #[doc = "The settings' user."] user: String },
    /// The user has a key that no version names and that no intent of ours explains.
    #[error("the user {user} has access key(s) that no version of the secret names: {keys}. If one is in use elsewhere, give that use a user of its own; if not, deactivate it, and delete it later (aws iam update-access-key --user-name {user} --status Inactive --access-key-id ID; aws iam delete-access-key --user-name {user} --access-key-id ID); if the hosts hold it, store it as the secret's value. Then start {{\"mode\": \"rotate\"}}")]
    UnknownAccessKey { #[doc = "The user."] user: String, #[doc = "Keys with age and last use."] keys: String },
    /// Both key slots are taken and neither key may go yet.
    #[error("the user {user} has two access keys and neither may go yet: {holders}. Nothing is staged now: start the same input again when a slot is free; the daily {{\"mode\": \"converge\"}} stages by itself only what is overdue")]
    NoFreeKeySlot { #[doc = "The user."] user: String, #[doc = "Each key, why it stays, until when."] holders: String },
    /// A key that an earlier run may have made is not explained yet; it becomes so when its window has closed.
    #[error("an earlier run of {execution} may have made a key that it could not store. It is looked for again after {until}; until then nothing is staged")]
    EarlierRunUnresolved { #[doc = "The execution."] execution: String, #[doc = "When the window closes."] until: String },
    /// Another execution is staging at this moment.
    #[error("the execution {execution} is staging a version at this moment. Let it end; nothing needs to be done")]
    AnotherExecutionStages { #[doc = "The execution."] execution: String },
    /// IAM made keys that do not fit `id:secret`, three times; each was deleted at once.
    #[error("IAM made {attempts} keys for {user} that do not fit AKID:SECRET; each was deleted again. Start the execution again")]
    KeyUnsuitable { #[doc = "The user."] user: String, #[doc = "How many."] attempts: u32 },
    /// The new key could not be stored, and was deleted again at once.
    #[error("the new key {key} could not be stored and was deleted again ({cause}). Remove the cause, then start the execution again")]
    KeyNotStored { #[doc = "The key."] key: AccessKeyId, #[doc = "AWS's words."] cause: Box<AwsRefusal> },
    /// STS did not accept the new key often enough; it stays stored and the next run goes on with it.
    #[error("STS did not accept the new key {key} {successes} times in a row within {attempts} checks ({cause}). It stays stored, no host has learned of it, and the next run goes on with it")]
    KeyNotAccepted { #[doc = "The key."] key: AccessKeyId, #[doc = "Needed in a row."] successes: u32, #[doc = "Checks made."] attempts: u32, #[doc = "The last refusal."] cause: String },
    /// The secret holds the password of a login that the settings do not name.
    #[error("{secret} holds the password of the login {login:?}, and the settings name {names}. Correct login.names in the settings, or store the value of one of these")]
    LoginOfAnotherName { #[doc = "The secret."] secret: String, #[doc = "Its login."] login: String, #[doc = "The settings' logins."] names: String },
    /// Hosts could not take a new password; none was made.
    #[error("no new password of {login:?} was made, since not every running host could take it:\n{named}\nNothing was changed. Repair that, or go on without these hosts: {{\"mode\": \"rotate\", \"without\": [\"i-…\"]}}")]
    HostsNotReady { #[doc = "The login whose turn it was."] login: String, #[doc = "The hosts, with cause and remedy."] named: String },
    /// The policy of a host's Windows or SQL Server refused every password that the rules made.
    #[error("{passwords} passwords of {login:?} were refused by a host's own password policy. No host holds any of them that refused it. Make login.password stricter in the settings, or the policy less strict, then start {{\"mode\": \"rotate\"}}")]
    PasswordRefused { #[doc = "The login."] login: String, #[doc = "How many."] passwords: u32 },
    /// There is nothing to abandon or to roll back to; nothing was changed.
    #[error("there is no way back for {secret}: {reason}. Nothing was changed; {instead}")]
    NoWayBack { #[doc = "The secret."] secret: String, #[doc = "Why."] reason: String, #[doc = "What to do."] instead: String },

    // Commands and proofs.

    /// The document or its pinned version does not exist in a region.
    #[error("the document {document} version {version} cannot be run in {region} ({cause}). Deploy the document there, or correct document in the settings")]
    DocumentNotFound { #[doc = "The document."] document: String, #[doc = "The version."] version: String, #[doc = "The region."] region: String, #[doc = "AWS's words."] cause: Box<AwsRefusal> },
    /// A whole account or region could not be commanded; what could be done elsewhere was done.
    #[error("these accounts and regions could not be commanded, and everything else was done: {named}. Remove the cause; the next run goes on")]
    PlacesNotCommanded { #[doc = "Each place and host, with cause and remedy."] named: String },
    /// Too few hosts proved the version; AWSCURRENT was not moved.
    #[error("version {version} is not promoted: {problem}. {named}")]
    ProofsMissing { #[doc = "The version."] version: VersionId, #[doc = "What is missing."] problem: String, #[doc = "The hosts, with cause and remedy."] named: String },

    // AWS itself.

    /// Something that was written, or must be there, is not visible yet. The state machine tries again.
    #[error("not visible yet: {what}")]
    NotVisibleYet { #[doc = "What is awaited."] what: String },
    /// AWS throttled the call or was not reachable. The state machine tries again.
    #[error("AWS could not serve the call ({cause}). It is tried again; if it lasts, look at the AWS Health Dashboard and at the function's network")]
    ServiceUnavailable { #[doc = "AWS's words."] cause: Box<AwsRefusal> },
    /// The function's role lacks a permission.
    #[error("a permission is missing: {cause}. Grant it to the function's role (or the role of fleet.targets), then start the execution again")]
    AccessDenied { #[doc = "AWS's words."] cause: Box<AwsRefusal> },
    /// AWS refused a call in a way that this system does not expect.
    #[error("AWS refused a call: {cause}. Read the message; if it is no setting of yours, report it")]
    AwsRefused { #[doc = "AWS's words."] cause: Box<AwsRefusal> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_variants_own_and_stands_once() {
        let error = StepError::NotVisibleYet { what: "the command".to_owned() };
        assert_eq!(error.name(), "NotVisibleYet");
        let mut names = StepError::NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), StepError::NAMES.len());
    }
}
