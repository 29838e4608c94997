//! SQL Server. A login belongs to the server, a user to a database; both have rights, and the twin gets both: [`twin`].
//!
//! Every statement with a password is one plain CREATE or ALTER LOGIN: SQL Server hides the password of such a statement
//! in its traces, and does not inside EXEC or variables (FACTS B).

mod client;
mod encryption;
mod twin;

use std::sync::Arc;

use rotation::access_key::SecretValue;

pub use client::Client;

use super::{
    Administrator, Answer, Connector, Engine, NewPassword, OldPassword, Pair, Session, Statement, StatementError,
};

/// The SQL of SQL Server.
pub struct SqlServer(Arc<dyn Connector>);

impl SqlServer {
    /// Over a client.
    pub fn new(connector: Arc<dyn Connector>) -> SqlServer {
        SqlServer(connector)
    }
}

/// A text as a literal.
fn literal(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

fn identifier(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

fn hiding(text: String, passwords: &[&SecretValue]) -> Statement {
    passwords.iter().fold(Statement::new(text), |statement, password| {
        statement.hiding(&[password.reveal(), &password.reveal().replace('\'', "''")])
    })
}

fn only_one_password(old: OldPassword) -> Result<(), StatementError> {
    match old {
        OldPassword::Ends => Ok(()),
        OldPassword::Stays => Err(StatementError::NotPossible {
            problem: "SQL Server has one password a login; use alternating users".to_owned(),
        }),
    }
}

async fn knows(session: &mut dyn Session, username: &str) -> Result<bool, StatementError> {
    // A login that Windows or Entra ID knows has no password to rotate, and does not count.
    let text = format!("SELECT name FROM sys.sql_logins WHERE name = {}", literal(username));
    Ok(!session.run(&Statement::new(text)).await?.is_empty())
}

async fn create(session: &mut dyn Session, new: NewPassword<'_>) -> Result<(), StatementError> {
    let (name, password) = (identifier(new.username), literal(new.password.reveal()));
    let text = format!("CREATE LOGIN {name} WITH PASSWORD = {password}");
    session.run(&hiding(text, &[new.password])).await.map(drop)
}

impl Engine for SqlServer {
    fn connector(&self) -> &dyn Connector {
        self.0.as_ref()
    }

    fn only_reads<'a>(&'a self, session: &'a mut dyn Session) -> Answer<'a, bool> {
        Box::pin(async move {
            // The one question about replicas that needs no right: it is about the database that the session is in.
            let text = "SELECT CONVERT(nvarchar(60), DATABASEPROPERTYEX(DB_NAME(), 'Updateability'))";
            let rows = session.run(&Statement::new(text)).await?;
            Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("READ_ONLY"))
        })
    }

    fn set_own_password<'a>(&'a self, session: &'a mut dyn Session, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            only_one_password(new.old)?;
            let (name, password) = (identifier(new.username), literal(new.password.reveal()));
            // Whoever may not alter logins proves who they are by the password that let them in just now, which need
            // not be AWSCURRENT's: AWS's own function sends that one whatever let it in (FACTS G).
            let old = new.let_in_by.map(|old| format!(" OLD_PASSWORD = {}", literal(old.reveal()))).unwrap_or_default();
            let passwords: Vec<&SecretValue> = [Some(new.password), new.let_in_by].into_iter().flatten().collect();
            let text = format!("ALTER LOGIN {name} WITH PASSWORD = {password}{old}");
            session.run(&hiding(text, &passwords)).await.map(drop)
        })
    }

    fn knows<'a>(&'a self, administrator: &'a mut Administrator<'_>, username: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { knows(administrator.session.as_mut(), username).await })
    }

    fn create_user<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move { create(administrator.session.as_mut(), new).await })
    }

    fn set_password<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            only_one_password(new.old)?;
            let (name, password) = (identifier(new.username), literal(new.password.reveal()));
            // Who tried an old password too often is locked out, and is let in again with the new one.
            let text = format!("ALTER LOGIN {name} WITH PASSWORD = {password} UNLOCK");
            administrator.session.run(&hiding(text, &[new.password])).await.map(drop)
        })
    }

    fn has_one_user_a_name(&self) -> bool {
        true
    }

    fn equalise<'a>(
        &'a self,
        administrator: &'a mut Administrator<'_>,
        pair: &'a Pair,
        password: &'a SecretValue,
    ) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let session = administrator.session.as_mut();
            let mut changes = Vec::new();
            if !knows(session, &pair.twin).await? {
                let username = &pair.twin;
                create(session, NewPassword { username, password, old: OldPassword::Ends, let_in_by: None }).await?;
                changes.push(format!("created {}", identifier(username)));
            }
            changes.extend(twin::equalise(session, pair).await?);
            Ok(changes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("a]b"), "[a]]b]");
        assert_eq!(literal("it's"), "N'it''s'");
    }

    #[test]
    fn no_password_shows_in_a_statement() {
        let (new, old) = (SecretValue::new("n'ew-password".into()), SecretValue::new("o'ld-password".into()));
        let text = "ALTER LOGIN [app] WITH PASSWORD = N'n''ew-password' OLD_PASSWORD = N'o''ld-password'".to_owned();
        assert_eq!(
            format!("{:?}", hiding(text, &[&new, &old])),
            "ALTER LOGIN [app] WITH PASSWORD = N'(hidden)' OLD_PASSWORD = N'(hidden)'"
        );
    }
}
