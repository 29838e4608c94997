//! What a rotation asks of a database: to be let in over TLS, to set a password, to make two users' rights equal.
//!
//! A [`Connector`] is the engine's client; an [`Engine`] is the SQL. They are apart so that a test can stand between
//! them and end the function before or after any statement. Every statement is a plain text and every answer rows of
//! texts: DDL takes no parameters in any of the engines.

pub mod mysql;
mod patience;
pub mod postgres;
pub mod sql_server;
mod statement;

use std::pin::Pin;
use std::sync::Arc;

use rotation::access_key::SecretValue;
use rotation::database_secret::DatabaseEngine;

use crate::tls::Trust;

pub use statement::{Statement, StatementError};

/// What a call to a database will answer.
pub type Answer<'a, T, E = StatementError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// A row: each column's text, or NULL.
pub type Row = Vec<Option<String>>;

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Login {
    /// The host, which the certificate must name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database, where the engine connects to one.
    pub database: Option<String>,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretValue,
}

impl Login {
    /// Host and port, as errors name them.
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Why nobody is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The server judged the password, and refused it.
    WrongPassword(String),
    /// It came to no judgement.
    CannotConnect(String),
}

/// Logs in over TLS, with the certificate and the host's name verified; there is no other way in.
pub trait Connector: Send + Sync {
    /// A session of the login's.
    fn connect<'a>(&'a self, login: &'a Login) -> Answer<'a, Box<dyn Session>, ConnectError>;
}

/// Somebody is logged in.
pub trait Session: Send {
    /// Runs one statement; the rows of its answer, if it has any.
    fn run<'a>(&'a mut self, statement: &'a Statement) -> Answer<'a, Vec<Row>>;
}

/// What becomes of the password that a user had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldPassword {
    /// It opens no door any more.
    Ends,
    /// It goes on working beside the new one: MySQL's dual passwords.
    Stays,
}

/// A user's name and the password that it shall have.
#[derive(Clone, Copy, Debug)]
pub struct NewPassword<'a> {
    /// The user.
    pub username: &'a str,
    /// The password.
    pub password: &'a SecretValue,
    /// What becomes of the one before.
    pub old: OldPassword,
    /// The password that let the user in, where it sets its own: SQL Server asks for it.
    pub let_in_by: Option<&'a SecretValue>,
}

/// An administrator's session, and the way to one in another database of the same server.
pub struct Administrator<'a> {
    /// The session.
    pub session: Box<dyn Session>,
    /// Whose it is.
    pub login: &'a Login,
}

/// The two users that take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The one whose rights count.
    pub original: String,
    /// The one that has the same.
    pub twin: String,
}

/// One engine's SQL. Everything here may be run twice.
pub trait Engine: Send + Sync {
    /// Its client.
    fn connector(&self) -> &dyn Connector;

    /// Whether the server takes no changes: a replica, or a reader endpoint.
    fn only_reads<'a>(&'a self, session: &'a mut dyn Session) -> Answer<'a, bool>;

    /// Sets the password of the user who is logged in.
    fn set_own_password<'a>(&'a self, session: &'a mut dyn Session, new: NewPassword<'a>) -> Answer<'a, ()>;

    /// Whether a user exists.
    fn knows<'a>(&'a self, administrator: &'a mut Administrator<'_>, username: &'a str) -> Answer<'a, bool>;

    /// Creates a user that can log in and nothing else.
    fn create_user<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()>;

    /// Sets the password of a user who exists. Where an engine has several users of one name, all of them.
    fn set_password<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()>;

    /// Whether one name is one user: where it is, a password that works is set everywhere.
    fn has_one_user_a_name(&self) -> bool;

    /// Makes the twin exist, with `password` where it is new, and gives it the original's rights: no fewer, no more.
    /// What was changed, a line each.
    fn equalise<'a>(
        &'a self,
        administrator: &'a mut Administrator<'_>,
        pair: &'a Pair,
        password: &'a SecretValue,
    ) -> Answer<'a, Vec<String>>;
}

/// The client of an engine.
pub fn connector(engine: DatabaseEngine, trust: &Trust) -> Arc<dyn Connector> {
    match engine {
        DatabaseEngine::MySql => Arc::new(mysql::Client::new(trust)),
        DatabaseEngine::PostgreSql => Arc::new(postgres::Client::new(trust)),
        DatabaseEngine::SqlServer => Arc::new(sql_server::Client::new(trust)),
    }
}

/// The SQL of an engine, over a client that is not waited for for ever.
pub fn engine(engine: DatabaseEngine, connector: Arc<dyn Connector>) -> Box<dyn Engine> {
    let connector: Arc<dyn Connector> = Arc::new(patience::Patient(connector));
    match engine {
        DatabaseEngine::MySql => Box::new(mysql::MySql::new(connector)),
        DatabaseEngine::PostgreSql => Box::new(postgres::PostgreSql::new(connector)),
        DatabaseEngine::SqlServer => Box::new(sql_server::SqlServer::new(connector)),
    }
}
