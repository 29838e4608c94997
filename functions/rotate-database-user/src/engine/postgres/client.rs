//! The client of PostgreSQL: tokio-postgres, over rustls and by the simple protocol, whose answers are texts.

use std::error::Error as _;

use rustls::version::{TLS12, TLS13};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::{Answer, ConnectError, Connector, Login, Row, Session, Statement, StatementError};
use crate::tls::Trust;

/// Logs in to PostgreSQL.
pub struct Client {
    trust: Trust,
}

impl Client {
    /// Trusting these.
    pub fn new(trust: &Trust) -> Client {
        Client { trust: trust.clone() }
    }

    async fn open(&self, login: &Login) -> Result<Box<dyn Session>, ConnectError> {
        let tls = self.trust.client(&[&TLS12, &TLS13]).map_err(ConnectError::CannotConnect)?;
        let mut config = Config::new();
        config
            .host(&login.host)
            .port(login.port)
            .user(&login.username)
            .password(login.password.reveal())
            .dbname(login.database.as_deref().unwrap_or("postgres"))
            .application_name("rotate-database-user")
            .ssl_mode(SslMode::Require);
        let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await.map_err(|error| judge(&error))?;
        // The connection ends with its client, which the session owns.
        tokio::spawn(connection);
        client.simple_query("SET standard_conforming_strings = on").await.map_err(|error| judge(&error))?;
        Ok(Box::new(PostgreSqlSession(client)))
    }
}

impl Connector for Client {
    fn connect<'a>(&'a self, login: &'a Login) -> Answer<'a, Box<dyn Session>, ConnectError> {
        Box::pin(self.open(login))
    }
}

/// The server's words, or what happened on the way to it with every cause.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        return format!("{}: {}", refused.code().code(), refused.message());
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

fn judge(error: &tokio_postgres::Error) -> ConnectError {
    if error.code() == Some(&SqlState::INVALID_PASSWORD) {
        ConnectError::WrongPassword(words(error))
    } else {
        ConnectError::CannotConnect(words(error))
    }
}

struct PostgreSqlSession(tokio_postgres::Client);

impl Session for PostgreSqlSession {
    fn run<'a>(&'a mut self, statement: &'a Statement) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let messages = self.0.simple_query(statement.text()).await.map_err(|error| explain(statement, &error))?;
            // What else there is, or may come, are counts and descriptions.
            let row = |message| {
                let SimpleQueryMessage::Row(row) = message else { return None };
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            };
            Ok(messages.into_iter().filter_map(row).collect())
        })
    }
}

fn explain(statement: &Statement, error: &tokio_postgres::Error) -> StatementError {
    match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => statement.not_permitted(&words(error)),
        Some(&SqlState::INVALID_PASSWORD) => statement.password_refused(&words(error)),
        Some(_) | None => statement.failed(&words(error)),
    }
}
