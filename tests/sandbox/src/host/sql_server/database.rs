//! A database, as far as logins have users and rights in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use super::login::{Permission, Sid};

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Whether it is ONLINE.
    pub online: bool,
    /// The availability group that it belongs to.
    pub group: Option<String>,
    /// Its users by name.
    pub users: BTreeMap<String, DatabaseUser>,
}

impl Default for Database {
    fn default() -> Database {
        Database { online: true, group: None, users: BTreeMap::new() }
    }
}

/// A row of sys.database_principals.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUser {
    /// The login that it belongs to.
    pub sid: Sid,
    /// The password of a contained database's own user; none where it belongs to a login.
    pub password: Option<String>,
    /// modify_date.
    pub modify_date: Timestamp,
    /// default_schema_name.
    pub default_schema: String,
    /// The roles of the database that it is a member of.
    pub roles: BTreeSet<String>,
    /// What it was granted or denied in the database.
    pub permissions: BTreeSet<Permission>,
}

impl DatabaseUser {
    /// A user of a login, with the one right that CREATE USER gives.
    pub fn of_login(sid: &Sid) -> DatabaseUser {
        DatabaseUser {
            sid: sid.clone(),
            password: None,
            modify_date: Timestamp::UNIX_EPOCH,
            default_schema: "dbo".to_owned(),
            roles: BTreeSet::new(),
            permissions: BTreeSet::from([Permission::grant("CONNECT")]),
        }
    }

    /// A contained database's own user.
    pub fn contained(name: &str, password: &str) -> DatabaseUser {
        DatabaseUser { password: Some(password.to_owned()), ..DatabaseUser::of_login(&Sid::derived_from(name)) }
    }
}

impl fmt::Debug for DatabaseUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DatabaseUser").field("sid", &self.sid).finish_non_exhaustive()
    }
}
