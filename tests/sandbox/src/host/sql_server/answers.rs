//! What an instance answers to the questions of the documents for logins.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    AvailabilityGroup, Connection, Database, DatabaseUser, Login, Outcome, Permission, SqlServer, is_same_name,
};
use crate::host::tsql::LoginStatement;

impl SqlServer {
    pub(super) fn answer_of_logins(
        &mut self,
        connection: &Connection,
        rights: &Login,
        statement: &LoginStatement,
        now: Timestamp,
    ) -> Outcome {
        match statement {
            LoginStatement::SelectServer => Ok(vec![self.server_row(rights)]),
            LoginStatement::SelectReplicas { groups } => Ok(self.replica_rows(groups)),
            LoginStatement::SelectLogin { name } => Ok(self.login_rows(rights, name)),
            LoginStatement::SelectDatabases { names } => Ok(self.database_rows(rights, names)),
            LoginStatement::SelectUser { database, name } => Ok(self.user_rows(rights, database, name)),
            LoginStatement::SelectSessions { name, database } => Ok(self.session_rows(name, database.as_deref())),
            LoginStatement::SelectServerRights { names } => Ok(self.server_right_rows(rights, names)),
            LoginStatement::SelectDatabaseRights { database, names, are_contained } => {
                Ok(self.database_right_rows(database, names, *are_contained))
            }
            LoginStatement::Create { name, password, sid } => self.create_login(rights, (name, password, sid), now),
            LoginStatement::AlterPassword { name, password, unlock } => {
                self.alter_password(rights, (name, password, *unlock), now)
            }
            LoginStatement::AlterDefaults { name, database, language } => {
                self.alter_defaults(rights, name, database, language)
            }
            LoginStatement::AlterUserPassword { name, password } => {
                self.alter_user_password(connection, name, password, now)
            }
            LoginStatement::CreateUser { name, login, schema } => self.create_user(connection, name, login, schema),
            LoginStatement::AlterUserSchema { name, schema } => self.alter_user_schema(connection, name, schema),
            LoginStatement::AddServerRoleMember { role, member } => self.add_server_role_member(rights, role, member),
            LoginStatement::AddRoleMember { role, member } => self.add_role_member(connection, role, member),
            LoginStatement::Permit(grant) => self.permit(connection, rights, grant),
        }
    }

    fn server_row(&self, rights: &Login) -> String {
        let asked =
            ["ALTER ANY LOGIN", "CONTROL SERVER", "VIEW SERVER STATE", "VIEW ANY DEFINITION", "CONNECT ANY DATABASE"];
        let has: String = asked.map(|right| if rights.may(right) { '1' } else { '0' }).iter().collect();
        format!("~server~{}~{}~{has}", self.product_version(), u8::from(self.integrated_security_only))
    }

    fn replica_rows(&self, groups: &[String]) -> Vec<String> {
        let named = |(name, _): &(&String, &AvailabilityGroup)| groups.iter().any(|asked| is_same_name(asked, name));
        let row = |(name, group): (&String, &AvailabilityGroup)| {
            let kind = match (group.is_in_distributed_group, group.is_contained) {
                (true, _) => "distributed",
                (false, true) => "contained",
                (false, false) => "plain",
            };
            format!("~replica~{}~{}~{kind}~{name}", group.role.number(), group.replicas)
        };
        self.availability_groups.iter().filter(named).map(row).collect()
    }

    /// Without ALTER ANY LOGIN or VIEW ANY DEFINITION nobody sees other logins than their own.
    fn login_rows(&self, rights: &Login, name: &str) -> Vec<String> {
        let sees = rights.may("ALTER ANY LOGIN") || rights.may("VIEW ANY DEFINITION");
        let known = self.login_name(name).filter(|known| sees && !self.logins[known].is_windows);
        let row = |known: String| {
            let login = &self.logins[&known];
            let flags = [login.disabled, login.locked, login.controls_server()].map(u8::from);
            let [disabled, locked, controls] = flags;
            format!("~login~{disabled}{locked}{controls}~{}~{}", date(login.password_last_set), login.sid)
        };
        known.map(row).into_iter().collect()
    }

    fn database_rows(&self, rights: &Login, names: &[String]) -> Vec<String> {
        let is_asked = |name: &str| names.is_empty() || names.iter().any(|asked| is_same_name(asked, name));
        let here = self
            .databases
            .iter()
            .filter(|(name, database)| database.online && self.is_primary_of(name) && is_asked(name));
        let row = |(name, database): (&String, &Database)| {
            let is_user = database.users.values().any(|user| user.sid == rights.sid);
            let enters = rights.may("CONNECT ANY DATABASE") || is_user || ["master", "msdb"].contains(&name.as_str());
            format!("~database~{}~{name}", u8::from(enters))
        };
        here.map(row).collect()
    }

    /// sys.fn_hadr_is_primary_replica: also where a database belongs to no group.
    pub(super) fn is_primary_of(&self, database: &str) -> bool {
        let group = self.databases.get(database).and_then(|database| database.group.as_ref());
        let role = group.and_then(|group| self.availability_groups.get(group)).map(|group| group.role);
        role.is_none_or(|role| role == super::Role::Primary)
    }

    fn user_rows(&self, rights: &Login, database: &str, name: &str) -> Vec<String> {
        let users = self.database_name(database).map(|database| &self.databases[&database].users);
        let named = users.into_iter().flatten().filter(|(known, _)| is_same_name(known, name));
        let own = named.filter(|(_, user)| user.password.is_some());
        own.map(|(_, user)| {
            format!("~user~{}~{}~{}", u8::from(rights.may("CONTROL SERVER")), date(user.modify_date), user.sid)
        })
        .collect()
    }

    fn session_rows(&self, name: &str, database: Option<&str>) -> Vec<String> {
        let of_name = self
            .sessions
            .iter()
            .filter(|session| is_same_name(&session.login, name) && session.authenticated_by.as_deref() == database);
        let mut rows: Vec<String> =
            of_name.map(|session| format!("~session~{} ({})", session.host, session.program)).collect();
        rows.sort();
        rows.dedup();
        rows.truncate(3);
        rows
    }

    fn server_right_rows(&self, rights: &Login, names: &[String]) -> Vec<String> {
        let mut rows = Vec::new();
        for (number, name) in (1..).zip(names) {
            let known = self.login_name(name).filter(|_| rights.may("VIEW ANY DEFINITION"));
            let Some(login) = known.map(|known| &self.logins[&known]) else { continue };
            let defaults = format!(
                "WITH DEFAULT_DATABASE = {}, DEFAULT_LANGUAGE = {}",
                quoted(&login.default_database),
                quoted(&login.default_language)
            );
            rows.push(format!("~right~{number}~D~{defaults}"));
            let role = |role: &String| format!("~right~{number}~S~ALTER SERVER ROLE {} ADD MEMBER", quoted(role));
            rows.extend(login.server_roles.iter().map(role));
            rows.extend(login.permissions.iter().map(|permission| permission_row(number, permission)));
        }
        rows
    }

    fn database_right_rows(&self, database: &str, names: &[String], are_contained: bool) -> Vec<String> {
        let empty = BTreeMap::new();
        let known = self.database_name(database);
        let users = known.map_or(&empty, |database| &self.databases[&database].users);
        let mut rows = Vec::new();
        for (number, name) in (1..).zip(names) {
            let sid = self.login_name(name).map(|known| &self.logins[&known].sid);
            let is_meant = |(known, user): &(&String, &DatabaseUser)| {
                let is_own = user.password.is_some();
                if are_contained { is_own && is_same_name(known, name) } else { !is_own && Some(&user.sid) == sid }
            };
            for (_, user) in users.iter().filter(is_meant) {
                rows.push(format!("~right~{number}~U~WITH DEFAULT_SCHEMA = {}", quoted(&user.default_schema)));
                let role = |role: &String| format!("~right~{number}~R~ALTER ROLE {} ADD MEMBER", quoted(role));
                rows.extend(user.roles.iter().map(role));
                rows.extend(user.permissions.iter().map(|permission| permission_row(number, permission)));
            }
        }
        rows
    }
}

fn permission_row(number: u32, permission: &Permission) -> String {
    let Permission { state, name, on } = permission;
    let verb = if state == "DENY" { "DENY" } else { "GRANT" };
    let flag = if state == "GRANT_WITH_GRANT_OPTION" { 'W' } else { 'P' };
    let on = if on.is_empty() { String::new() } else { format!(" ON {on}") };
    format!("~right~{number}~{flag}~{verb} {name}{on} TO")
}

/// QUOTENAME.
fn quoted(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// CONVERT(nvarchar(33), …, 126).
fn date(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}
