//! Who is let in: a login, or a contained database's own user.

use super::{SqlMessage, SqlServer, is_same_name, message, take};

/// Whoever was let in, and the database in which a batch begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Who.
    pub principal: Principal,
    /// DB_NAME().
    pub database: String,
}

/// Who can be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A login, by its name as the instance spells it.
    Login(String),
    /// A user of the database that was asked for, by its name as the database spells it.
    ContainedUser(String),
}

/// A row of sys.dm_exec_sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    /// original_login_name.
    pub login: String,
    /// The contained database that authenticated it; none for a login.
    pub authenticated_by: Option<String>,
    /// host_name.
    pub host: String,
    /// program_name.
    pub program: String,
}

impl Connection {
    /// The login, unless a contained database let its own user in.
    pub fn login(&self) -> Option<&str> {
        match &self.principal {
            Principal::Login(name) => Some(name),
            Principal::ContainedUser(_) => None,
        }
    }

    /// The answer to the proof's question: 1 where this login was let in, in this database.
    pub(super) fn who_row(&self, login: &str, database: &str) -> String {
        let (Principal::Login(name) | Principal::ContainedUser(name)) = &self.principal;
        let is_who = is_same_name(name, login) && is_same_name(&self.database, database);
        format!("~who~{}", u8::from(is_who))
    }
}

impl SqlServer {
    /// Lets somebody in by a password, in a database or in the login's default one. A failure counts, and locks the
    /// login where the policy says so.
    ///
    /// # Errors
    /// 18456, 18470, 18486, 4060 or 17892, as SQL Server answers each.
    pub fn log_in(&mut self, name: &str, password: &str, database: Option<&str>) -> Result<Connection, SqlMessage> {
        if let Some(connection) = self.contained_user(name, password, database)? {
            return Ok(connection);
        }
        let spelled = self.login_name(name).ok_or_else(|| login_failed(name))?;
        let integrated_only = self.integrated_security_only;
        let threshold = self.policy.lockout_threshold;
        let Some(login) = self.logins.get_mut(&spelled) else { return Err(login_failed(name)) };
        if integrated_only && !login.is_windows {
            return Err(login_failed(name));
        }
        // A locked login is told nothing of its password, nor counted again.
        if login.locked {
            let text = format!(
                "Login failed for user '{name}' because the account is currently locked out. The system administrator \
                 can unlock it."
            );
            return Err(message(18486, 14, text));
        }
        if login.password != password {
            login.failed_attempts += 1;
            login.locked = login.check_policy && threshold > 0 && login.failed_attempts >= threshold;
            return Err(login_failed(name));
        }
        if login.disabled {
            let text = format!("Login failed for user '{name}'. Reason: The account is disabled.");
            return Err(message(18470, 14, text));
        }
        login.failed_attempts = 0;
        let database = database.unwrap_or(&login.default_database).to_owned();
        let is_administrator = login.may("ALTER ANY LOGIN");
        if !self.is_open(&database) {
            let text = format!("Cannot open database \"{database}\" requested by the login. The login failed.");
            return Err(message(4060, 11, text));
        }
        if !is_administrator && take(&mut self.faults.refused_logons) {
            let text = format!("Logon failed for login '{name}' due to trigger execution.");
            return Err(message(17892, 14, text));
        }
        Ok(Connection { principal: Principal::Login(spelled), database })
    }

    /// A database that is asked for looks among its own users first; only where it has none by that name, SQL Server
    /// looks among the logins.
    fn contained_user(
        &self,
        name: &str,
        password: &str,
        database: Option<&str>,
    ) -> Result<Option<Connection>, SqlMessage> {
        let Some(database) = database.and_then(|asked| self.database_name(asked)) else { return Ok(None) };
        let users = &self.databases[&database].users;
        let own = users.iter().find(|(known, user)| user.password.is_some() && is_same_name(known, name));
        let Some((spelled, user)) = own else { return Ok(None) };
        if user.password.as_deref() != Some(password) {
            return Err(login_failed(name));
        }
        Ok(Some(Connection { principal: Principal::ContainedUser(spelled.clone()), database }))
    }

    /// Lets the account in that Windows vouches for.
    ///
    /// # Errors
    /// 18456 where no login was made of it.
    pub fn log_in_with_windows(&mut self, account: &str) -> Result<Connection, SqlMessage> {
        let spelled = self.login_name(account).filter(|name| self.logins[name].is_windows);
        let name = spelled.ok_or_else(|| login_failed(account))?;
        Ok(Connection { principal: Principal::Login(name), database: "master".to_owned() })
    }

    /// A login's name as the instance spells it.
    pub fn login_name(&self, name: &str) -> Option<String> {
        self.logins.keys().find(|known| is_same_name(known, name)).cloned()
    }

    /// A database's name as the instance spells it.
    pub fn database_name(&self, name: &str) -> Option<String> {
        self.databases.keys().find(|known| is_same_name(known, name)).cloned()
    }

    /// Whether a client may begin in a database: one that is online, and no secondary's.
    fn is_open(&self, name: &str) -> bool {
        self.database_name(name).is_some_and(|name| self.databases[&name].online && self.is_primary_of(&name))
    }
}

/// Msg 18456.
pub fn login_failed(login: &str) -> SqlMessage {
    message(18456, 14, format!("Login failed for user '{login}'."))
}
