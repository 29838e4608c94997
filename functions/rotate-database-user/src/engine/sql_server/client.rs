//! The client of SQL Server: tiberius, over a stream that is encrypted before it sees it ([`super::encryption`]).

use tiberius::{AuthMethod, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::super::{Answer, ConnectError, Connector, Login, Row, Session, Statement, StatementError};
use super::encryption::{Encrypted, encrypt};
use crate::tls::Trust;

/// Logs in to SQL Server.
pub struct Client {
    trust: Trust,
}

impl Client {
    /// Trusting these.
    pub fn new(trust: &Trust) -> Client {
        Client { trust: trust.clone() }
    }

    async fn open(&self, login: &Login) -> Result<Box<dyn Session>, ConnectError> {
        let unreachable = |error: std::io::Error| ConnectError::CannotConnect(error.to_string());
        let stream = TcpStream::connect((login.host.as_str(), login.port)).await.map_err(unreachable)?;
        let stream = encrypt(stream, &login.host, &self.trust).await.map_err(unreachable)?;
        let mut config = Config::new();
        config.host(&login.host);
        config.port(login.port);
        config.database(login.database.as_deref().unwrap_or("master"));
        config.application_name("rotate-database-user");
        // The stream is encrypted already, and this client is built without a TLS of its own.
        config.encryption(EncryptionLevel::NotSupported);
        config.authentication(AuthMethod::sql_server(&login.username, login.password.reveal()));
        let client = tiberius::Client::connect(config, stream.compat_write()).await.map_err(|error| judge(&error))?;
        Ok(Box::new(SqlServerSession(client)))
    }
}

impl Connector for Client {
    fn connect<'a>(&'a self, login: &'a Login) -> Answer<'a, Box<dyn Session>, ConnectError> {
        Box::pin(self.open(login))
    }
}

/// Login failed; login is locked out.
const WRONG_PASSWORD: [u32; 2] = [18456, 18486];
/// The user, the login or the securable cannot be altered, or is not there for the likes of this login.
const NOT_PERMITTED: [u32; 7] = [229, 230, 262, 300, 15151, 15247, 15517];
/// Too short, not complex enough, too recent, a bad word, or in the history.
const PASSWORD_POLICY: std::ops::RangeInclusive<u32> = 15113..=15119;

fn words(error: &tiberius::error::Error) -> String {
    if let tiberius::error::Error::Server(refused) = error {
        return format!("{}: {}", refused.code(), refused.message());
    }
    error.to_string()
}

fn judge(error: &tiberius::error::Error) -> ConnectError {
    if error.code().is_some_and(|code| WRONG_PASSWORD.contains(&code)) {
        ConnectError::WrongPassword(words(error))
    } else {
        ConnectError::CannotConnect(words(error))
    }
}

struct SqlServerSession(tiberius::Client<Compat<Encrypted<TcpStream>>>);

impl SqlServerSession {
    async fn rows(&mut self, text: &str) -> tiberius::Result<Vec<Row>> {
        let results = self.0.simple_query(text).await?.into_results().await?;
        let mut rows = Vec::new();
        for row in results.into_iter().flatten() {
            let columns = (0..row.len()).map(|column| Ok(row.try_get::<&str, _>(column)?.map(str::to_owned)));
            rows.push(columns.collect::<tiberius::Result<Row>>()?);
        }
        Ok(rows)
    }
}

impl Session for SqlServerSession {
    fn run<'a>(&'a mut self, statement: &'a Statement) -> Answer<'a, Vec<Row>> {
        Box::pin(async move { self.rows(statement.text()).await.map_err(|error| explain(statement, &error)) })
    }
}

fn explain(statement: &Statement, error: &tiberius::error::Error) -> StatementError {
    match error.code() {
        Some(code) if NOT_PERMITTED.contains(&code) => statement.not_permitted(&words(error)),
        Some(code) if PASSWORD_POLICY.contains(&code) => statement.password_refused(&words(error)),
        Some(_) | None => statement.failed(&words(error)),
    }
}
