//! What clients on the wire say that the scripts do not: sessions that change their database, the SQL Server engine of
//! `rotate-database-user`, and people.
//!
//! Strict on purpose, as [`tsql`](crate::host::tsql) is: what is not here goes there, and what is in neither is refused, so
//! that nobody takes a guess for SQL Server's answer. A new question is an arm in [`answer`], which knows it by its
//! words: see [`Phrase`].

mod phrase;
mod rights;

use jiff::Timestamp;

use super::{Request, RowSet};
use crate::host::sql_server::{
    BackupObject, Connection, Login, Permission, Principal, S3Answer, Sid, SqlMessage, SqlServer,
};
use phrase::Phrase;
use rights::{Place, Rights};

/// What statements answer.
pub(super) type Answer = Result<Vec<RowSet>, Vec<SqlMessage>>;

/// A session's statement on its way.
pub(super) struct Statement<'a> {
    pub(super) server: &'a mut SqlServer,
    pub(super) connection: &'a mut Connection,
    pub(super) request: &'a Request,
    pub(super) now: Timestamp,
    pub(super) store: &'a dyn Fn(BackupObject<'_>) -> S3Answer,
}

impl Statement<'_> {
    /// Executes it.
    pub(super) fn run(mut self) -> Answer {
        let phrase = Phrase::of(&self.request.batch);
        match self.answer(&phrase) {
            Some(answer) => answer,
            None => self.pass_on(&self.request.batch),
        }
    }

    fn answer(&mut self, phrase: &Phrase) -> Option<Answer> {
        let [first, second, ..] = phrase.values() else { return self.ask(phrase) };
        let (first, second) = (first.clone(), second.clone());
        Some(match phrase.shape() {
            "create login [] with password = ?" => {
                // A login that comes without a SID is given one, and its policy is checked.
                let (name, password, sid) = (bracketed(&first), literal(&second), Sid::derived_from(&first));
                let text = format!("CREATE LOGIN {name} WITH PASSWORD = {password}, SID = {sid}, CHECK_POLICY = ON;");
                self.pass_on(&text)
            }
            "alter login [] with password = ? old_password = ?" => {
                let old = phrase.values().get(2).cloned().unwrap_or_default();
                self.change_own_password(&first, &second, &old)
            }
            "create user [] for login []" => {
                let (user, login) = (bracketed(&first), bracketed(&second));
                self.pass_on(&format!("CREATE USER {user} FOR LOGIN {login} WITH DEFAULT_SCHEMA = [dbo];"))
            }
            "alter server role [] drop member []" => self.leave_role(Place::Server, &first, &second),
            "alter role [] drop member []" => self.leave_role(Place::Database, &first, &second),
            shape if shape.starts_with("grant ") || shape.starts_with("deny ") => self.permit(phrase),
            _ => return self.ask(phrase),
        })
    }

    /// What has no name in it or one, and what is only asked.
    fn ask(&mut self, phrase: &Phrase) -> Option<Answer> {
        let name = phrase.values().first().map(String::as_str).unwrap_or_default();
        Some(match phrase.shape() {
            "select 1" => rows(["1".to_owned()]),
            "select suser_sname()" => rows([self.name().to_owned()]),
            "select db_name()" => rows([self.connection.database.clone()]),
            "select convert(nvarchar(60), databasepropertyex(db_name(), ?))" => self.updateability(),
            "select name from sys.sql_logins where name = ?" => rows(self.visible_login(name)),
            "select name from sys.databases where state = 0 and is_read_only = 0 and database_id <> 2 and \
             has_dbaccess(name) = 1 order by database_id" => rows(self.databases(true)),
            "select name from sys.databases where state = 0 and is_read_only = 0 and has_dbaccess(name) = 0 order by \
             database_id" => rows(self.databases(false)),
            "select name from sys.database_principals where sid = suser_sid(?)" => rows(self.user_of(name)),
            "use []" => self.enter(name),
            "drop user []" => self.drop_user(name),
            shape if shape.starts_with("grant ") || shape.starts_with("deny ") => self.permit(phrase),
            shape if shape.starts_with("revoke ") => self.revoke(phrase),
            _ => return Rights::of(self.server, &self.connection.database).answer(phrase).map(rows),
        })
    }

    /// To the statements that the scripts' parser knows.
    fn pass_on(&mut self, batch: &str) -> Answer {
        let rows = self.server.execute(self.connection, batch, self.now, self.store)?;
        Ok(if rows.is_empty() { Vec::new() } else { vec![RowSet::of_text(rows)] })
    }

    fn name(&self) -> &str {
        let (Principal::Login(name) | Principal::ContainedUser(name)) = &self.connection.principal;
        name
    }

    fn login(&self) -> Option<&Login> {
        self.connection.login().and_then(|login| self.server.logins.get(login))
    }

    fn may(&self, right: &str) -> bool {
        self.login().is_some_and(|login| login.may(right))
    }

    /// Msg 15247 for whoever may not take rights away.
    fn require_control(&self) -> Result<(), Vec<SqlMessage>> {
        let text = "User does not have permission to perform this action.".to_owned();
        if self.may("CONTROL SERVER") { Ok(()) } else { Err(vec![error(15247, text)]) }
    }

    /// Whoever proves the old password needs no right for the new one; what is wrong with either is Msg 15151.
    fn change_own_password(&mut self, name: &str, password: &str, old: &str) -> Answer {
        let own = self.connection.login().map(str::to_owned);
        let known = self.server.login_name(name).filter(|known| own.as_ref() == Some(known));
        let Some(login) = known.and_then(|known| self.server.logins.get_mut(&known)) else {
            return Err(vec![cannot("alter the login", name)]);
        };
        if login.password != old {
            return Err(vec![cannot("alter the login", name)]);
        }
        // For this one statement it may what an administrator may.
        let permissions = login.permissions.clone();
        login.permissions.insert(Permission::grant("ALTER ANY LOGIN"));
        let answer = self.pass_on(&format!("ALTER LOGIN {} WITH PASSWORD = {};", bracketed(name), literal(password)));
        if let Some(login) = own.and_then(|own| self.server.logins.get_mut(&own)) {
            login.permissions = permissions;
        }
        answer
    }

    fn updateability(&self) -> Answer {
        let name = self.server.database_name(&self.connection.database);
        let is_open = name.is_some_and(|name| is_writable(self.server, &name));
        rows([if is_open { "READ_WRITE" } else { "READ_ONLY" }.to_owned()])
    }

    fn visible_login(&self, name: &str) -> Option<String> {
        let sees = self.may("ALTER ANY LOGIN") || self.may("VIEW ANY DEFINITION");
        let known = self.server.login_name(name)?;
        let is_shown = sees || self.connection.login() == Some(known.as_str());
        (is_shown && !self.server.logins[&known].is_windows).then_some(known)
    }

    /// Databases that are open, and that the session may enter or may not.
    fn databases(&self, enters: bool) -> Vec<String> {
        let open = self.server.databases.iter().filter(|(name, _)| is_writable(self.server, name));
        open.filter(|(name, _)| self.enters(name) == enters).map(|(name, _)| name.clone()).collect()
    }

    fn enters(&self, name: &str) -> bool {
        let Some(login) = self.login() else { return name == self.connection.database };
        let users = self.server.databases.get(name).map(|database| &database.users);
        let is_user = users.is_some_and(|users| users.values().any(|user| user.sid == login.sid));
        is_user || login.controls_server() || login.may("CONNECT ANY DATABASE") || ["master", "msdb"].contains(&name)
    }

    fn enter(&mut self, name: &str) -> Answer {
        let known = self.server.database_name(name).filter(|known| is_writable(self.server, known));
        let Some(known) = known else {
            let text = format!("Database '{name}' does not exist. Make sure that the name is entered correctly.");
            return Err(vec![error(911, text)]);
        };
        if !self.enters(&known) {
            let text = format!(
                "The server principal \"{}\" is not able to access the database \"{name}\" under the current security \
                 context.",
                self.name()
            );
            return Err(vec![error(916, text)]);
        }
        self.connection.database = known;
        Ok(Vec::new())
    }

    fn user_of(&self, login: &str) -> Option<String> {
        let sid = &self.server.logins.get(&self.server.login_name(login)?)?.sid;
        let users = &self.server.databases.get(&self.connection.database)?.users;
        users.iter().find(|(_, user)| user.password.is_none() && user.sid == *sid).map(|(name, _)| name.clone())
    }

    fn drop_user(&mut self, name: &str) -> Answer {
        self.require_control()?;
        let database = self.server.databases.get_mut(&self.connection.database);
        let dropped = database.and_then(|database| database.users.remove(name));
        dropped.map(|_| Vec::new()).ok_or_else(|| vec![cannot("drop the user", name)])
    }

    fn leave_role(&mut self, place: Place, role: &str, member: &str) -> Answer {
        self.require_control()?;
        let mut rights = Rights::of(self.server, &self.connection.database);
        let left = rights.roles(place, member).is_some_and(|roles| roles.remove(role));
        if left { Ok(Vec::new()) } else { Err(vec![cannot("drop the principal", member)]) }
    }

    /// GRANT takes a DENY of the same off, and DENY a GRANT.
    fn permit(&mut self, phrase: &Phrase) -> Answer {
        let answer = self.pass_on(&self.request.batch)?;
        if let Some(said) = Said::read(phrase) {
            let mut rights = Rights::of(self.server, &self.connection.database);
            if let Some(permissions) = rights.permissions(said.place(&self.connection.database), &said.grantee) {
                permissions.retain(|other| other.state == said.permission.state || !is_same(other, &said.permission));
            }
        }
        Ok(answer)
    }

    fn revoke(&mut self, phrase: &Phrase) -> Answer {
        self.require_control()?;
        let Some(said) = Said::read(phrase) else { return self.pass_on(&self.request.batch) };
        let mut rights = Rights::of(self.server, &self.connection.database);
        let Some(permissions) = rights.permissions(said.place(&self.connection.database), &said.grantee) else {
            return Err(vec![cannot("find the user", &said.grantee)]);
        };
        permissions.retain(|other| !is_same(other, &said.permission));
        // REVOKE GRANT OPTION FOR leaves the right itself.
        if said.permission.state == "GRANT" {
            permissions.insert(said.permission);
        }
        Ok(Vec::new())
    }
}

/// A permission as GRANT, DENY and REVOKE name it.
struct Said {
    permission: Permission,
    grantee: String,
}

impl Said {
    /// `GRANT x ON y TO [z]`, `DENY …`, `REVOKE [GRANT OPTION FOR] x ON y FROM [z] CASCADE`. The state is what is left or
    /// made; none where a right is revoked.
    fn read(phrase: &Phrase) -> Option<Said> {
        let text = phrase.text().trim_end_matches(';');
        let (verb, rest) = text.split_once(' ')?;
        let (rest, state) = match (verb.to_ascii_uppercase().as_str(), rest.strip_prefix("GRANT OPTION FOR ")) {
            ("REVOKE", Some(rest)) => (rest, "GRANT"),
            ("REVOKE", None) => (rest, ""),
            ("GRANT", _) if rest.ends_with(" WITH GRANT OPTION") => (rest, "GRANT_WITH_GRANT_OPTION"),
            ("GRANT", _) => (rest, "GRANT"),
            ("DENY", _) => (rest, "DENY"),
            _ => return None,
        };
        let to = if verb.eq_ignore_ascii_case("revoke") { " FROM [" } else { " TO [" };
        let (what, _) = rest.rsplit_once(to)?;
        let (name, on) = what.split_once(" ON ").unwrap_or((what, ""));
        let permission = Permission { state: state.to_owned(), name: name.to_owned(), on: on.to_owned() };
        Some(Said { permission, grantee: phrase.values().last()?.clone() })
    }

    /// In master a right on the server, elsewhere one in the database.
    fn place(&self, database: &str) -> Place {
        if database == "master" { Place::Server } else { Place::Database }
    }
}

fn is_same(one: &Permission, other: &Permission) -> bool {
    (&one.name, &one.on) == (&other.name, &other.on)
}

/// Online, and no secondary's.
fn is_writable(server: &SqlServer, database: &str) -> bool {
    let Some(known) = server.databases.get(database) else { return false };
    let group = known.group.as_ref().and_then(|group| server.availability_groups.get(group));
    known.online && group.is_none_or(|group| group.role == crate::host::sql_server::Role::Primary)
}

fn rows(texts: impl IntoIterator<Item = String>) -> Answer {
    Ok(vec![RowSet::of_text(texts.into_iter().collect())])
}

fn bracketed(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

fn literal(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

/// Msg 15151.
fn cannot(what: &str, name: &str) -> SqlMessage {
    error(15151, format!("Cannot {what} '{name}', because it does not exist or you do not have permission."))
}

fn error(number: u32, text: String) -> SqlMessage {
    SqlMessage { number, severity: 16, text }
}
