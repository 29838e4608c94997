//! Who may do what, and how each service says no.
//!
//! There are no policies here. Roles may do everything and a backup user what a backup needs; a test takes single
//! actions away by [`Cloud::deny`]. A denial is an explicit deny, as a Deny statement in one of the role's own policies
//! makes it: the call itself is refused, and IAM's simulation says `explicitDeny`.

use super::caller::name_in;
use super::request::Turn;
use super::state::{State, serves};
use super::wildcards::matches_wildcards;
use super::{Caller, Cloud, Service, ServiceError, iam};

/// What a backup user may do. GetCallerIdentity needs no permission at all, and nobody can be denied it.
const OF_A_BACKUP_USER: [&str; 2] = ["s3:PutObject", WHO_AM_I];
const WHO_AM_I: &str = "sts:GetCallerIdentity";

/// S3's operations and its actions have different names; everywhere else here they are the same.
const S3_NAMES: [(&str, &str); 1] = [("ListObjectsV2", "ListBucket")];

/// What an identity's policies say of an action, in IAM's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

impl Decision {
    pub(super) fn word(self) -> &'static str {
        match self {
            Decision::Allowed => "allowed",
            Decision::ExplicitDeny => "explicitDeny",
            Decision::ImplicitDeny => "implicitDeny",
        }
    }
}

/// One denial: whom it means, and what they may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    who: String,
    action: String,
}

impl Denial {
    /// Actions are compared without their case, as IAM does.
    fn covers(&self, names: &[&str], action: &str) -> bool {
        let means = self.who == "*" || names.contains(&self.who.as_str());
        means && matches_wildcards(&self.action.to_ascii_lowercase(), &action.to_ascii_lowercase())
    }
}

impl Cloud {
    /// From now on `action` (`iam:CreateAccessKey`, `ssm:*` or `*`) is denied to the function, instance, IAM user or
    /// role of this name, to the role of this ARN, or to everyone but people with `*`. A function's denial goes with it
    /// into the roles that it assumes; a role's holds for whoever assumes it.
    ///
    /// # Panics
    /// Where this AWS has no such action: a misspelled denial would deny nothing, and its test would prove nothing.
    pub fn deny(&self, who: &str, action: &str) {
        assert!(names_an_action(action), "the local AWS has no action `{action}` that could be denied");
        self.state().denials.push(Denial { who: who.to_owned(), action: action.to_owned() });
    }

    /// Takes a denial back.
    pub fn allow(&self, who: &str, action: &str) {
        self.state().denials.retain(|denial| denial.who != who || denial.action != action);
    }
}

/// The action that permits an operation, as policies spell it.
pub(super) fn action_of(service: Service, operation: &str) -> String {
    let renamed = S3_NAMES.iter().find(|(its, _)| service == Service::S3 && *its == operation);
    format!("{}:{}", service.name(), renamed.map_or(operation, |(_, action)| action))
}

fn names_an_action(action: &str) -> bool {
    let Some((prefix, name)) = action.split_once(':') else { return action == "*" };
    let Some(service) = Service::by_name(prefix) else { return false };
    let renamed = S3_NAMES.iter().find(|(_, its)| service == Service::S3 && *its == name);
    name.contains(['*', '?']) || serves(service, renamed.map_or(name, |(operation, _)| operation))
}

impl State {
    /// Refuses what the caller may not do.
    pub(super) fn authorize(&mut self, turn: &mut Turn<'_>) -> Result<(), ServiceError> {
        if let Caller::AccessKey { access_key_id } = turn.caller {
            iam::authenticate(self, turn, access_key_id)?;
        }
        let action = action_of(turn.service, turn.action);
        let is_unlimited = matches!(turn.caller, Caller::Person | Caller::Aws);
        if is_unlimited || action == WHO_AM_I {
            return Ok(());
        }
        match self.decide(&self.identity_of(turn.caller), turn.caller.name(), &action) {
            Decision::Allowed => Ok(()),
            Decision::ExplicitDeny => {
                Err(self.refusal(turn, &action, "with an explicit deny in an identity-based policy"))
            }
            Decision::ImplicitDeny => {
                let why = format!("because no identity-based policy allows the {action} action");
                Err(self.refusal(turn, &action, &why))
            }
        }
    }

    /// What the policies of a role or user say of an action; `name` is another word for who acts by them.
    pub(super) fn decide(&self, identity: &str, name: Option<&str>, action: &str) -> Decision {
        let own = name_in(identity);
        let function = own.strip_prefix("credential-rotation-").filter(|_| identity.contains(":role/"));
        let names: Vec<&str> = [Some(identity), Some(own), function, name].into_iter().flatten().collect();
        let is_user = identity.contains(":user/");
        if self.denials.iter().any(|denial| denial.covers(&names, action)) {
            Decision::ExplicitDeny
        } else if is_user && !OF_A_BACKUP_USER.iter().any(|granted| granted.eq_ignore_ascii_case(action)) {
            Decision::ImplicitDeny
        } else {
            Decision::Allowed
        }
    }

    /// AWS's wording (IAM user guide, troubleshoot_access-denied) and each service's own code.
    pub(super) fn refusal(&self, turn: &Turn<'_>, action: &str, why: &str) -> ServiceError {
        let arn = self.caller_arn(turn.caller);
        let on = resource_of(turn).map(|resource| format!(" on resource: {resource}")).unwrap_or_default();
        let sentence = format!("User: {arn} is not authorized to perform: {action}{on} {why}");
        match turn.service {
            Service::SecretsManager | Service::Ssm | Service::States | Service::Logs | Service::Events => {
                ServiceError::new(400, "AccessDeniedException", sentence)
            }
            Service::Iam | Service::Sts | Service::S3 => ServiceError::new(403, "AccessDenied", sentence),
            Service::Sns => ServiceError::new(403, "AuthorizationError", sentence),
            Service::Ec2 => ServiceError::new(
                403,
                "UnauthorizedOperation",
                format!("You are not authorized to perform this operation. {sentence}"),
            ),
        }
    }
}

/// The resource that a refusal names, in the form in which the service does; EC2's Describe calls name none.
fn resource_of(turn: &Turn<'_>) -> Option<String> {
    let Turn { region, account, .. } = turn;
    let given = |member: &str| turn.optional_text(member);
    let listed = |member: &str| turn.texts(member).into_iter().next();
    match turn.service {
        Service::Iam => Some(match given("UserName") {
            Some(user) => format!("user {user}"),
            None => given("PolicySourceArn").unwrap_or_else(|| "*".to_owned()),
        }),
        Service::Sts => given("RoleArn"),
        Service::SecretsManager => given("SecretId").or_else(|| Some("*".to_owned())),
        Service::Ec2 => {
            let instance = listed("InstanceIds").or_else(|| listed("Resources"));
            instance.map(|id| format!("arn:aws:ec2:{region}:{account}:instance/{id}"))
        }
        Service::Ssm => {
            let document = given("DocumentName").or_else(|| given("Name"));
            let resource = document.map_or_else(|| "*".to_owned(), |name| format!("document/{name}"));
            Some(format!("arn:aws:ssm:{region}:{account}:{resource}"))
        }
        Service::States => given("executionArn").or_else(|| given("stateMachineArn")),
        Service::Sns => given("TopicArn"),
        Service::Events => Some(format!("arn:aws:events:{region}:{account}:event-bus/default")),
        Service::S3 => Some(format!(
            "\"arn:aws:s3:::{}{}\"",
            given("Bucket").unwrap_or_default(),
            given("Key").map(|key| format!("/{key}")).unwrap_or_default()
        )),
        Service::Logs => {
            let group = given("logGroupName").unwrap_or_else(|| "*".to_owned());
            Some(format!("arn:aws:logs:{region}:{account}:log-group:{group}"))
        }
    }
}
