//! The questions about two logins' rights that `rotate-database-user` asks: what the twin lacks and what it has to spare,
//! each answered by the statements that would change it.

use std::collections::BTreeSet;

use super::bracketed;
use super::phrase::Phrase;
use crate::host::sql_server::{DatabaseUser, Login, Permission, SqlServer};

/// The catalogs of the server, or those of the database that the session is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// sys.server_principals and its like.
    Server,
    /// sys.database_principals and its like.
    Database,
}

/// An instance's rights, as a session in a database sees them.
pub(super) struct Rights<'a> {
    server: &'a mut SqlServer,
    database: &'a str,
}

/// What both questions of a kind have in common: whose rights they compare.
struct Pair {
    original: String,
    twin: String,
}

impl<'a> Rights<'a> {
    pub(super) fn of(server: &'a mut SqlServer, database: &'a str) -> Rights<'a> {
        Rights { server, database }
    }

    /// The answer, where it is one of these questions.
    pub(super) fn answer(&mut self, phrase: &Phrase) -> Option<Vec<String>> {
        let place = if phrase.shape().contains("sys.server_") { Place::Server } else { Place::Database };
        let first = phrase.values().first().map(String::as_str)?;
        let is = |start: &str| phrase.shape().starts_with(start);
        if is("select ? + quotename(t.name) + ? + quotename(o.default_database_name)") {
            return self.defaults(&Pair::compared(phrase)?);
        }
        if is("select ? + quotename(t.name) + ? + quotename(isnull(o.default_schema_name") {
            return self.default_schema(&Pair::compared(phrase)?);
        }
        if is("select ? + quotename(c.name) + ? + quotename(?) from sys.schemas c") {
            // Nobody owns anything here.
            return Some(Vec::new());
        }
        if is("select ? + quotename(r.name) + ? + quotename(?) from sys.") && first.contains("ROLE ") {
            return self.roles_apart(place, phrase);
        }
        if is("with p as (select s.grantee_principal_id as grantee") {
            let pair = Pair::compared(phrase)?;
            let is_revoked = phrase.values().iter().any(|value| value == "REVOKE ");
            return Some(if is_revoked { self.spare(place, &pair)? } else { self.lacking(place, &pair)? });
        }
        None
    }

    /// A principal's roles.
    pub(super) fn roles(&mut self, place: Place, name: &str) -> Option<&mut BTreeSet<String>> {
        match place {
            Place::Server => self.login(name).map(|login| &mut login.server_roles),
            Place::Database => self.user(name).map(|user| &mut user.roles),
        }
    }

    /// A principal's permissions.
    pub(super) fn permissions(&mut self, place: Place, name: &str) -> Option<&mut BTreeSet<Permission>> {
        match place {
            Place::Server => self.login(name).map(|login| &mut login.permissions),
            Place::Database => self.user(name).map(|user| &mut user.permissions),
        }
    }

    fn login(&mut self, name: &str) -> Option<&mut Login> {
        let known = self.server.login_name(name)?;
        self.server.logins.get_mut(&known)
    }

    fn user(&mut self, name: &str) -> Option<&mut DatabaseUser> {
        self.server.databases.get_mut(self.database)?.users.get_mut(name)
    }

    fn defaults(&mut self, pair: &Pair) -> Option<Vec<String>> {
        let of = |login: &mut Login| (login.default_database.clone(), login.default_language.clone());
        let (original, twin) = (self.login(&pair.original).map(of), self.login(&pair.twin).map(of));
        let differ = original.filter(|original| twin.as_ref().is_some_and(|twin| twin != original));
        let text = |(database, language): (String, String)| {
            let (name, database, language) = (bracketed(&pair.twin), bracketed(&database), bracketed(&language));
            format!("ALTER LOGIN {name} WITH DEFAULT_DATABASE = {database}, DEFAULT_LANGUAGE = {language}")
        };
        Some(differ.map(text).into_iter().collect())
    }

    fn default_schema(&mut self, pair: &Pair) -> Option<Vec<String>> {
        let of = |user: &mut DatabaseUser| user.default_schema.clone();
        let (original, twin) = (self.user(&pair.original).map(of), self.user(&pair.twin).map(of));
        let differ = original.filter(|original| twin.as_ref().is_some_and(|twin| twin != original));
        let name = bracketed(&pair.twin);
        let text = |schema: String| format!("ALTER USER {name} WITH DEFAULT_SCHEMA = {}", bracketed(&schema));
        Some(differ.map(text).into_iter().collect())
    }

    /// `SELECT N'ALTER ROLE ' + … + N' ADD MEMBER ' + QUOTENAME(N'twin') … IN (these) AND … NOT IN (those)`.
    fn roles_apart(&mut self, place: Place, phrase: &Phrase) -> Option<Vec<String>> {
        let [alter, verb, twin, asked @ ..] = phrase.values() else { return None };
        // Where a database has owners, their role stands between the two names.
        let is_name = |value: &&String| !["db_owner", "dbo"].contains(&value.as_str());
        let mut names = asked.iter().filter(is_name);
        let these = names.next()?;
        let those = names.find(|name| *name != these)?;
        let (these, those) = (self.roles(place, these)?.clone(), self.roles(place, those)?.clone());
        let text = |role: &String| format!("{alter}{}{verb}{}", bracketed(role), bracketed(twin));
        Some(these.difference(&those).map(text).collect())
    }

    fn of_both(&mut self, place: Place, pair: &Pair) -> Option<(BTreeSet<Permission>, BTreeSet<Permission>)> {
        Some((self.permissions(place, &pair.original)?.clone(), self.permissions(place, &pair.twin)?.clone()))
    }

    fn lacking(&mut self, place: Place, pair: &Pair) -> Option<Vec<String>> {
        let (original, twin) = self.of_both(place, pair)?;
        let covers = |held: &Permission, asked: &Permission| {
            super::is_same(held, asked) && (held.state == asked.state || (has_option(held) && asked.state == "GRANT"))
        };
        let lacks = original.iter().filter(|asked| !twin.iter().any(|held| covers(held, asked)));
        let text = |permission: &Permission| {
            let verb = if permission.state == "DENY" { "DENY" } else { "GRANT" };
            let option = if has_option(permission) { " WITH GRANT OPTION" } else { "" };
            format!("{verb} {} TO {}{option}", named(permission), bracketed(&pair.twin))
        };
        Some(lacks.map(text).collect())
    }

    fn spare(&mut self, place: Place, pair: &Pair) -> Option<Vec<String>> {
        let (original, twin) = self.of_both(place, pair)?;
        let text = |held: &Permission| {
            let like = original.iter().find(|permission| super::is_same(permission, held));
            let only_option = like.is_some_and(|permission| permission.state == "GRANT" && has_option(held));
            let option = if only_option { "GRANT OPTION FOR " } else { "" };
            let statement = format!("REVOKE {option}{} FROM {} CASCADE", named(held), bracketed(&pair.twin));
            (like.is_none() || only_option).then_some(statement)
        };
        Some(twin.iter().filter_map(text).collect())
    }
}

impl Pair {
    /// The two names stand where a name or its number is compared: the last two values that are names.
    fn compared(phrase: &Phrase) -> Option<Pair> {
        let mut names = Vec::new();
        let mut rest = phrase.shape();
        let mut value = 0;
        while let Some(at) = rest.find(['?', '[']) {
            let before = &rest[..at];
            let is_compared = ["o.name = ", "t.name = ", "suser_id(", "database_principal_id("];
            if is_compared.iter().any(|start| before.ends_with(start)) {
                names.push(phrase.values().get(value)?.clone());
            }
            let length = if rest[at..].starts_with("[]") { 2 } else { 1 };
            (rest, value) = (&rest[at + length..], value + 1);
        }
        let mut names = names.into_iter();
        Some(Pair { original: names.next()?, twin: names.next()? })
    }
}

fn has_option(permission: &Permission) -> bool {
    permission.state == "GRANT_WITH_GRANT_OPTION"
}

fn named(permission: &Permission) -> String {
    let on = if permission.on.is_empty() { String::new() } else { format!(" ON {}", permission.on) };
    format!("{}{on}", permission.name)
}
