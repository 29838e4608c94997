//! What a rotation of SQL Server logins is told beyond what every rotation is.

use serde::{Deserialize, Serialize};

use super::refuse;
use crate::error::StepError;
use crate::password::PasswordRules;

/// Characters that names of logins, instances, databases and groups have together in one command: as base64 of JSON they
/// take about twice as many bytes of what SSM's 64 KB leave beside the document.
pub const NAMES_OF_A_COMMAND: usize = 1_500;

/// The longest name of a login (sysname).
const LONGEST_NAME: usize = 128;

/// The logins, where they are, and how they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginSettings {
    /// One login, or two with the same rights that take turns.
    pub names: Vec<String>,
    /// SQL Server instances by the name that a host reports; none means every instance that has the login.
    pub instances: Vec<String>,
    /// Whether a login that does not exist is created.
    pub create_missing: bool,
    /// Whether a login that was locked is unlocked together with its change.
    pub unlock: bool,
    /// What sessions of the login to change mean, where two take turns.
    pub while_in_use: WhileInUse,
    /// Databases whose contained user of that name is changed, at the primary, and no login.
    pub contained_databases: Vec<String>,
    /// Availability groups whose replicas are one unit.
    pub replica_groups: Vec<String>,
    /// How a password is made.
    pub password: PasswordRules,
}

/// What it means that somebody is logged in by the login that is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhileInUse {
    /// The rotation does not begin, and names the sessions.
    Refuse,
    /// It does: who is logged in stays so.
    Change,
}

impl LoginSettings {
    /// Whether two logins take turns, so that applications always have one that works.
    pub fn is_alternating(&self) -> bool {
        self.names.len() > 1
    }

    /// The login whose turn it is once `name` is current; the same one where there is only one.
    pub fn after(&self, name: &str) -> Option<&str> {
        let other = self.names.iter().find(|other| *other != name);
        other.or_else(|| self.names.first()).map(String::as_str)
    }

    /// That they hold together.
    pub(super) fn check(&self) -> Result<(), StepError> {
        let names = &self.names;
        refuse(!(1..=2).contains(&names.len()), "login.names", || {
            format!("{} names; one login is rotated, or two take turns", names.len())
        })?;
        for (index, name) in names.iter().enumerate() {
            let path = format!("login.names[{index}]");
            let length = name.chars().count();
            refuse(length == 0 || length > LONGEST_NAME, &path, || {
                format!("a login's name has 1 to {LONGEST_NAME} characters, and this has {length}")
            })?;
            refuse(name.chars().any(char::is_control), &path, || {
                "a control character is in no login's name".to_owned()
            })?;
            refuse(name.contains('\\'), &path, || {
                "a name with a backslash is a Windows account, whose password SQL Server does not keep".to_owned()
            })?;
            refuse(name.eq_ignore_ascii_case("sa"), &path, || {
                "sa is every instance's administrator; rotate a login of the application's own".to_owned()
            })?;
            // Most instances' collation does not tell cases apart.
            let before = &names[..index];
            refuse(before.iter().any(|other| other.to_lowercase() == name.to_lowercase()), &path, || {
                "it is listed twice".to_owned()
            })?;
        }
        refuse(!self.contained_databases.is_empty() && self.create_missing, "login.createMissing", || {
            "a contained user is never created here: its rights are its database's business".to_owned()
        })?;
        self.password.clone().settled().map_err(|problem| StepError::InvalidSettings {
            path: "login.password".to_owned(),
            problem: problem.to_string(),
        })?;
        let lists = [names, &self.instances, &self.contained_databases, &self.replica_groups];
        let characters: usize = lists.into_iter().flatten().map(|name| name.len() + 3).sum();
        refuse(characters > NAMES_OF_A_COMMAND, "login", || {
            format!(
                "names, instances, containedDatabases and replicaGroups have {characters} bytes together, and a command carries {NAMES_OF_A_COMMAND}: make a second rotation"
            )
        })
    }
}
