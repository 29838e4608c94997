//! A statement, and how it is named when it fails: by its text, without the password in it.
//!
//! Servers quote the statement in their own words too (MySQL's syntax error does, from the place of the error on), so
//! what they say is searched for the secret before anybody sees it.

use std::fmt;

use zeroize::Zeroizing;

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";
/// How much of a statement an error quotes.
const QUOTED: usize = 160;

/// One statement.
pub struct Statement {
    text: Zeroizing<String>,
    secrets: Vec<Zeroizing<String>>,
}

impl Statement {
    /// A statement without a secret.
    pub fn new(text: impl Into<String>) -> Statement {
        Statement { text: Zeroizing::new(text.into()), secrets: Vec::new() }
    }

    /// The same statement, in which this is a secret: a password or its verifier, as it is and as the text has it.
    #[must_use]
    pub fn hiding(mut self, secrets: &[&str]) -> Statement {
        self.secrets.extend(secrets.iter().filter(|one| !one.is_empty()).map(|one| Zeroizing::new((*one).to_owned())));
        self
    }

    /// The text, for the client.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A text without the statement's secrets.
    pub fn clean(&self, text: &str) -> String {
        let whole = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN));
        // A server may quote from the middle of one: what is left of it then is still too much.
        self.secrets.iter().fold(whole, |text, secret| match tail_in(&text, secret) {
            Some(tail) => text.replace(tail, HIDDEN),
            None => text,
        })
    }

    fn shown(&self) -> String {
        let clean = self.clean(&self.text);
        match clean.char_indices().nth(QUOTED) {
            Some((end, _)) => format!("{}…", &clean[..end]),
            None => clean,
        }
    }

    /// The failure of this statement with a server's words.
    pub fn failed(&self, cause: &str) -> StatementError {
        StatementError::Failed { statement: self.shown(), cause: self.clean(cause) }
    }

    /// Its failure for want of a right.
    pub fn not_permitted(&self, cause: &str) -> StatementError {
        StatementError::Permission { statement: self.shown(), cause: self.clean(cause) }
    }

    /// Its failure because the server does not like the password.
    pub fn password_refused(&self, cause: &str) -> StatementError {
        StatementError::PasswordPolicy { cause: self.clean(cause) }
    }
}

/// The longest tail of a secret, of eight bytes and more, that stands in a text.
fn tail_in<'a>(text: &str, secret: &'a str) -> Option<&'a str> {
    let starts = secret.char_indices().map(|(start, _)| start).filter(|start| secret.len() - start >= 8);
    starts.map(|start| &secret[start..]).find(|tail| text.contains(tail))
}

impl fmt::Debug for Statement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown())
    }
}

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementError {
    /// A right is missing.
    Permission {
        /// The statement, without its secret.
        statement: String,
        /// The server's words.
        cause: String,
    },
    /// The server's policy does not accept the password.
    PasswordPolicy {
        /// The server's words.
        cause: String,
    },
    /// Anything else the server said, or the connection broke.
    Failed {
        /// The statement, without its secret.
        statement: String,
        /// The server's words.
        cause: String,
    },
    /// What is asked cannot be done to this user or on this server.
    NotPossible {
        /// Why, and what to do.
        problem: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_of_a_statement_holds_its_secret() {
        let password = "it's-a-secret-42";
        let statement = Statement::new("ALTER USER 'app'@'%' IDENTIFIED BY 'it''s-a-secret-42'")
            .hiding(&[password, "it''s-a-secret-42"]);
        let words = "You have an error in your SQL syntax near 's-a-secret-42''";
        for error in [statement.failed(words), statement.not_permitted(words), statement.password_refused(words)] {
            assert!(!format!("{error:?}").contains("secret-42"), "{error:?}");
        }
        assert!(format!("{statement:?}").starts_with("ALTER USER 'app'@'%' IDENTIFIED BY '(hidden)"));
    }

    #[test]
    fn a_long_statement_is_quoted_up_to_a_place() {
        let statement = Statement::new("é".repeat(400));
        assert_eq!(format!("{statement:?}").chars().count(), QUOTED + 1);
    }
}
