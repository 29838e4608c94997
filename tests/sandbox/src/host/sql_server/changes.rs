//! What CREATE LOGIN, ALTER LOGIN, ALTER USER and the statements that give rights do.

use jiff::Timestamp;

use super::login::{Login, Permission, Sid};
use super::policy::filtered;
use super::{
    Connection, Database, DatabaseUser, Outcome, SqlMessage, SqlServer, is_same_name, message, no_permission,
    not_found, take,
};
use crate::host::tsql::Grant;

impl SqlServer {
    pub(super) fn create_login(
        &mut self,
        rights: &Login,
        (name, password, sid): (&str, &str, &[u8]),
        now: Timestamp,
    ) -> Outcome {
        if !rights.may("ALTER ANY LOGIN") {
            return Err(vec![no_permission()]);
        }
        if self.login_name(name).is_some() {
            let text = format!("The server principal '{name}' already exists.");
            return Err(vec![message(15025, 16, text)]);
        }
        if self.logins.values().any(|login| login.sid.0 == sid) {
            return Err(vec![message(15433, 16, "Supplied parameter sid is in use.".to_owned())]);
        }
        self.refuse_password(name, password)?;
        let password_last_set = self.moment_of_change(now);
        let login = Login { sid: Sid(sid.to_vec()), password_last_set, ..Login::new(name, password) };
        self.logins.insert(name.to_owned(), login);
        Ok(Vec::new())
    }

    /// ALTER LOGIN … WITH PASSWORD, perhaps with UNLOCK. Without it a locked login stays locked.
    pub(super) fn alter_password(
        &mut self,
        rights: &Login,
        (name, password, unlock): (&str, &str, bool),
        now: Timestamp,
    ) -> Outcome {
        let known = self.alterable_login(rights, name)?;
        self.refuse_password(&known, password)?;
        if take(&mut self.faults.failed_login_alters) {
            return Err(vec![message(1222, 16, "Lock request time out period exceeded.".to_owned())]);
        }
        let (moment, remembered) = (self.moment_of_change(now), self.policy.history);
        let Some(login) = self.logins.get_mut(&known) else { return Err(vec![not_found("alter", "login", name)]) };
        let before = std::mem::replace(&mut login.password, password.to_owned());
        login.password_history.insert(0, before);
        login.password_history.truncate(remembered);
        login.password_last_set = moment;
        if unlock {
            login.locked = false;
            login.failed_attempts = 0;
        }
        Ok(Vec::new())
    }

    pub(super) fn alter_defaults(&mut self, rights: &Login, name: &str, database: &str, language: &str) -> Outcome {
        let known = self.alterable_login(rights, name)?;
        if let Some(login) = self.logins.get_mut(&known) {
            database.clone_into(&mut login.default_database);
            language.clone_into(&mut login.default_language);
        }
        Ok(Vec::new())
    }

    /// The login that these rights may alter; one that controls the server is altered by its like (FACTS B).
    fn alterable_login(&self, rights: &Login, name: &str) -> Result<String, Vec<SqlMessage>> {
        let known = self.login_name(name).filter(|_| rights.may("ALTER ANY LOGIN"));
        let may_be = |known: &String| !self.logins[known].controls_server() || rights.controls_server();
        known.filter(may_be).ok_or_else(|| vec![not_found("alter", "login", name)])
    }

    fn refuse_password(&mut self, name: &str, password: &str) -> Result<(), Vec<SqlMessage>> {
        if take(&mut self.faults.filtered_passwords) {
            return Err(vec![filtered()]);
        }
        let login = self.logins.get(name);
        if login.is_some_and(|login| !login.check_policy) {
            return Ok(());
        }
        let had = login.into_iter().flat_map(|login| std::iter::once(&login.password).chain(&login.password_history));
        self.policy.refusal(name, password, had).map_or(Ok(()), |refusal| Err(vec![refusal]))
    }

    /// ALTER USER … WITH PASSWORD, in the database in which the batch runs.
    pub(super) fn alter_user_password(
        &mut self,
        connection: &Connection,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Outcome {
        if take(&mut self.faults.filtered_passwords) {
            return Err(vec![filtered()]);
        }
        if let Some(refusal) = self.policy.refusal(name, password, std::iter::empty()) {
            return Err(vec![refusal]);
        }
        let moment = self.moment_of_change(now);
        let user = self.user_here(connection, name).filter(|user| user.password.is_some());
        let Some(user) = user else { return Err(vec![not_found("alter", "user", name)]) };
        user.password = Some(password.to_owned());
        user.modify_date = moment;
        Ok(Vec::new())
    }

    pub(super) fn create_user(&mut self, connection: &Connection, name: &str, login: &str, schema: &str) -> Outcome {
        let sid = self.login_name(login).map(|login| self.logins[&login].sid.clone());
        let Some(sid) = sid else {
            return Err(vec![message(
                15007,
                16,
                format!("'{login}' is not a valid login or you do not have permission."),
            )]);
        };
        if let Some(database) = self.database_of(connection) {
            let user = DatabaseUser { default_schema: schema.to_owned(), ..DatabaseUser::of_login(&sid) };
            database.users.insert(name.to_owned(), user);
        }
        Ok(Vec::new())
    }

    pub(super) fn alter_user_schema(&mut self, connection: &Connection, name: &str, schema: &str) -> Outcome {
        let Some(user) = self.user_here(connection, name) else { return Err(vec![not_found("alter", "user", name)]) };
        schema.clone_into(&mut user.default_schema);
        Ok(Vec::new())
    }

    pub(super) fn add_server_role_member(&mut self, rights: &Login, role: &str, member: &str) -> Outcome {
        let known = self.login_name(member).filter(|_| rights.controls_server());
        let Some(login) = known.and_then(|known| self.logins.get_mut(&known)) else {
            return Err(vec![not_found("add", "principal", member)]);
        };
        login.server_roles.insert(role.to_owned());
        Ok(Vec::new())
    }

    pub(super) fn add_role_member(&mut self, connection: &Connection, role: &str, member: &str) -> Outcome {
        let Some(user) = self.user_here(connection, member) else {
            return Err(vec![not_found("add", "principal", member)]);
        };
        user.roles.insert(role.to_owned());
        Ok(Vec::new())
    }

    /// GRANT and DENY: in master a right on the server, elsewhere one in the database.
    pub(super) fn permit(&mut self, connection: &Connection, rights: &Login, grant: &Grant) -> Outcome {
        if !rights.controls_server() {
            return Err(vec![message(4613, 16, "Grantor does not have GRANT permission.".to_owned())]);
        }
        let permission =
            Permission { state: grant.state.clone(), name: grant.permission.clone(), on: grant.on.clone() };
        let login = self.login_name(&grant.grantee);
        let permissions = if connection.database == "master" {
            login.and_then(|login| self.logins.get_mut(&login)).map(|login| &mut login.permissions)
        } else {
            self.user_here(connection, &grant.grantee).map(|user| &mut user.permissions)
        };
        let Some(permissions) = permissions else {
            let text = format!("Cannot find the user '{}', because it does not exist.", grant.grantee);
            return Err(vec![message(15151, 16, text)]);
        };
        permissions.insert(permission);
        Ok(Vec::new())
    }

    fn database_of(&mut self, connection: &Connection) -> Option<&mut Database> {
        let name = self.database_name(&connection.database)?;
        self.databases.get_mut(&name)
    }

    fn user_here(&mut self, connection: &Connection, name: &str) -> Option<&mut DatabaseUser> {
        let users = &mut self.database_of(connection)?.users;
        users.iter_mut().find(|(known, _)| is_same_name(known, name)).map(|(_, user)| user)
    }
}
