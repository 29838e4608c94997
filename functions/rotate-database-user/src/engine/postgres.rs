//! PostgreSQL and Aurora PostgreSQL. A password is sent as its SCRAM verifier: the server logs the statement where
//! `log_statement` says so, password and all (FACTS G).
//!
//! The twin has no rights of its own. It is a member of the original, and becomes the original as it logs in (`ALTER
//! ROLE … SET role`), so whatever either makes belongs to the original: [`twin`].

mod client;
mod twin;

use std::sync::Arc;

use rotation::access_key::SecretValue;

pub use client::Client;

use super::{
    Administrator, Answer, Connector, Engine, NewPassword, OldPassword, Pair, Session, Statement, StatementError,
};

/// The SQL of PostgreSQL.
pub struct PostgreSql(Arc<dyn Connector>);

impl PostgreSql {
    /// Over a client.
    pub fn new(connector: Arc<dyn Connector>) -> PostgreSql {
        PostgreSql(connector)
    }
}

/// A text as a literal; the client's session has standard_conforming_strings.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What the server shall store for a password. Where it stores MD5 for its oldest clients' sake, it stays so.
async fn verifier(session: &mut dyn Session, new: &NewPassword<'_>) -> Result<String, StatementError> {
    if new.old == OldPassword::Stays {
        let problem = "PostgreSQL has one password a role; use alternating users".to_owned();
        return Err(StatementError::NotPossible { problem });
    }
    let rows = session.run(&Statement::new("SHOW password_encryption")).await?;
    let encryption = rows.first().and_then(|row| row.first()?.as_deref()).unwrap_or_default();
    let password = new.password.reveal().as_bytes();
    Ok(match encryption {
        "md5" => postgres_protocol::password::md5(password, new.username),
        _ => postgres_protocol::password::scram_sha_256(password),
    })
}

fn hiding(text: String, verifier: &str, password: &SecretValue) -> Statement {
    Statement::new(text).hiding(&[verifier, password.reveal()])
}

async fn alter(session: &mut dyn Session, new: NewPassword<'_>) -> Result<(), StatementError> {
    let verifier = verifier(session, &new).await?;
    let text = format!("ALTER ROLE {} PASSWORD {}", identifier(new.username), literal(&verifier));
    session.run(&hiding(text, &verifier, new.password)).await.map(drop)
}

async fn knows(session: &mut dyn Session, username: &str) -> Result<bool, StatementError> {
    let text = format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(username));
    Ok(!session.run(&Statement::new(text)).await?.is_empty())
}

async fn create(session: &mut dyn Session, new: NewPassword<'_>) -> Result<(), StatementError> {
    if knows(session, new.username).await? {
        return Ok(());
    }
    let verifier = verifier(session, &new).await?;
    let text = format!("CREATE ROLE {} LOGIN PASSWORD {}", identifier(new.username), literal(&verifier));
    session.run(&hiding(text, &verifier, new.password)).await.map(drop)
}

impl Engine for PostgreSql {
    fn connector(&self) -> &dyn Connector {
        self.0.as_ref()
    }

    fn only_reads<'a>(&'a self, session: &'a mut dyn Session) -> Answer<'a, bool> {
        Box::pin(async move {
            let rows = session.run(&Statement::new("SELECT pg_catalog.pg_is_in_recovery()")).await?;
            Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("t"))
        })
    }

    fn set_own_password<'a>(&'a self, session: &'a mut dyn Session, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(alter(session, new))
    }

    fn knows<'a>(&'a self, administrator: &'a mut Administrator<'_>, username: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { knows(administrator.session.as_mut(), username).await })
    }

    fn create_user<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move { create(administrator.session.as_mut(), new).await })
    }

    fn set_password<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move { alter(administrator.session.as_mut(), new).await })
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
            let mut changes = Vec::new();
            if !knows(administrator.session.as_mut(), &pair.twin).await? {
                let new = NewPassword { username: &pair.twin, password, old: OldPassword::Ends, let_in_by: None };
                create(administrator.session.as_mut(), new).await?;
                changes.push(format!("created {}", identifier(&pair.twin)));
            }
            changes.extend(twin::equalise(self.0.as_ref(), administrator, pair).await?);
            Ok(changes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("a\"b; DROP"), "\"a\"\"b; DROP\"");
        assert_eq!(literal("it's\\"), "'it''s\\'");
    }
}
