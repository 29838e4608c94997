//! A login, and what SQL Server keeps of it.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

/// A row of sys.server_principals and sys.sql_logins, with the passwords that they do not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The password.
    pub password: String,
    /// Whether Windows vouches for it; then it has no password and stands in no sys.sql_logins.
    pub is_windows: bool,
    /// What databases know it by.
    pub sid: Sid,
    /// is_disabled.
    pub disabled: bool,
    /// LOGINPROPERTY('IsLocked').
    pub locked: bool,
    /// LOGINPROPERTY('BadPasswordCount'): logins that failed since the last one that did not.
    pub failed_attempts: u32,
    /// is_policy_checked.
    pub check_policy: bool,
    /// LOGINPROPERTY('PasswordLastSetTime').
    pub password_last_set: Timestamp,
    /// The passwords from before, the last one first.
    pub password_history: Vec<String>,
    /// The server roles that it is a member of.
    pub server_roles: BTreeSet<String>,
    /// What it was granted or denied on the server.
    pub permissions: BTreeSet<Permission>,
    /// default_database_name.
    pub default_database: String,
    /// default_language_name.
    pub default_language: String,
    /// ALTER ANY CREDENTIAL.
    pub may_alter_any_credential: bool,
    /// db_backupoperator in model.
    pub may_back_up_model: bool,
}

/// What identifies a login in every database, also in those that are restored from another server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sid(pub Vec<u8>);

/// A row of sys.server_permissions or sys.database_permissions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// state_desc: GRANT, DENY or GRANT_WITH_GRANT_OPTION.
    pub state: String,
    /// permission_name.
    pub name: String,
    /// On what, as GRANT … ON says it: `SCHEMA::[sales]`, `OBJECT::[dbo].[orders]`; empty for the server or database.
    pub on: String,
}

impl Permission {
    /// GRANT of a right on the whole server or database.
    pub fn grant(name: &str) -> Permission {
        Permission { state: "GRANT".to_owned(), name: name.to_owned(), on: String::new() }
    }

    /// The same right on something in it.
    pub fn on(mut self, securable: &str) -> Permission {
        securable.clone_into(&mut self.on);
        self
    }
}

impl Login {
    /// A login that a person made, with the one right that CREATE LOGIN gives.
    pub fn new(name: &str, password: &str) -> Login {
        Login {
            password: password.to_owned(),
            is_windows: false,
            sid: Sid::derived_from(name),
            disabled: false,
            locked: false,
            failed_attempts: 0,
            check_policy: true,
            password_last_set: Timestamp::UNIX_EPOCH,
            password_history: Vec::new(),
            server_roles: BTreeSet::new(),
            permissions: BTreeSet::from([Permission::grant("CONNECT SQL")]),
            default_database: "master".to_owned(),
            default_language: "us_english".to_owned(),
            may_alter_any_credential: false,
            may_back_up_model: false,
        }
    }

    /// A login with the rights of both `grants.sql`.
    pub fn administrator(name: &str, password: &str) -> Login {
        let rights = ["ALTER ANY LOGIN", "VIEW SERVER STATE", "VIEW ANY DEFINITION", "CONNECT ANY DATABASE"];
        let mut login = Login::new(name, password);
        login.permissions.extend(rights.map(Permission::grant));
        Login { may_alter_any_credential: true, may_back_up_model: true, ..login }
    }

    /// A login of Windows with the rights of an administrator.
    pub fn of_windows(name: &str) -> Login {
        Login { is_windows: true, ..Login::administrator(name, "") }
    }

    /// HAS_PERMS_BY_NAME(NULL, NULL, …): granted, or covered by what was granted.
    pub fn may(&self, right: &str) -> bool {
        let has = |name: &str| {
            let granted = |permission: &&Permission| permission.name == name && permission.on.is_empty();
            self.permissions.iter().filter(granted).any(|permission| permission.state != "DENY")
        };
        self.controls_server()
            || has(right)
            || (right == "ALTER ANY LOGIN" && self.server_roles.contains("securityadmin"))
    }

    /// Takes a right of the server away.
    pub fn revoke(&mut self, right: &str) {
        self.permissions.retain(|permission| permission.name != right);
    }

    /// Whether its password is changed only by one who controls the server (FACTS B).
    pub fn controls_server(&self) -> bool {
        let control = |permission: &Permission| permission.name == "CONTROL SERVER" && permission.state != "DENY";
        self.server_roles.contains("sysadmin") || self.permissions.iter().any(control)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("sid", &self.sid).finish_non_exhaustive()
    }
}

impl Sid {
    /// Sixteen bytes that depend on the name alone, in place of SQL Server's chance.
    pub fn derived_from(name: &str) -> Sid {
        let fold = |seed: u64| {
            let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            name.bytes().fold(seed, step).to_be_bytes()
        };
        Sid([fold(0xcbf2_9ce4_8422_2325), fold(0x8422_2325_cbf2_9ce4)].concat())
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "0x")?;
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02X}"))
    }
}
