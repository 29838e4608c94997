//! The client of MySQL and MariaDB: mysql_async, over TLS and by the text protocol.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts, Value};

use super::super::{Answer, ConnectError, Connector, Login, Row, Session, Statement, StatementError};
use crate::tls::Trust;

/// Logs in to MySQL and MariaDB.
pub struct Client {
    trust: Trust,
}

impl Client {
    /// Trusting these.
    pub fn new(trust: &Trust) -> Client {
        Client { trust: trust.clone() }
    }

    fn options(&self, login: &Login) -> OptsBuilder {
        let tls = SslOpts::default()
            .with_root_certs(vec![self.trust.pem().to_vec().into()])
            .with_disable_built_in_roots(true);
        OptsBuilder::default()
            .ip_or_hostname(login.host.clone())
            .tcp_port(login.port)
            .user(Some(login.username.clone()))
            .pass(Some(login.password.reveal().to_owned()))
            .ssl_opts(Some(tls))
            // A server on this very machine would else be asked for its socket, where there is no TLS.
            .prefer_socket(Some(false))
            .stmt_cache_size(Some(0))
            // Given, so that the server is not asked for them: statements here are short, and so are sessions.
            .max_allowed_packet(Some(1 << 20))
            .wait_timeout(Some(60))
            // Literals are quoted for this mode and no other; grants are shown with quoted names.
            .setup(vec!["SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', SESSION sql_quote_show_create = 1"])
    }
}

impl Connector for Client {
    fn connect<'a>(&'a self, login: &'a Login) -> Answer<'a, Box<dyn Session>, ConnectError> {
        Box::pin(async move {
            match Conn::new(self.options(login)).await {
                Ok(connection) => Ok(Box::new(MySqlSession(connection)) as Box<dyn Session>),
                Err(error) => Err(judge(&error, &login.username)),
            }
        })
    }
}

/// ER_ACCESS_DENIED_ERROR, the same for an account without a password, and MySQL's word for one that locks itself.
const WRONG_PASSWORD: [u16; 3] = [1045, 1698, 3955];

fn judge(error: &mysql_async::Error, username: &str) -> ConnectError {
    match error {
        mysql_async::Error::Server(refused) if WRONG_PASSWORD.contains(&refused.code) => {
            ConnectError::WrongPassword(format!("{}: {}", refused.code, refused.message))
        }
        // What a server answers that wants another plugin than the client has a password for.
        mysql_async::Error::Server(refused) => {
            ConnectError::CannotConnect(format!("{} (as {username}): {}", refused.code, refused.message))
        }
        mysql_async::Error::Driver(_)
        | mysql_async::Error::Io(_)
        | mysql_async::Error::Other(_)
        | mysql_async::Error::Url(_) => ConnectError::CannotConnect(error.to_string()),
    }
}

struct MySqlSession(Conn);

impl Session for MySqlSession {
    fn run<'a>(&'a mut self, statement: &'a Statement) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let rows: Vec<mysql_async::Row> =
                self.0.query(statement.text()).await.map_err(|error| explain(statement, &error))?;
            Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect())
        })
    }
}

/// Rights that are missing: for a database, a table, a column, a statement, a routine, a role (MariaDB's word for that is
/// 1698); and an account that is not for the likes of this administrator.
const NOT_PERMITTED: [u16; 10] = [1044, 1045, 1142, 1143, 1227, 1370, 1410, 1698, 1699, 3619];
/// The policies of validate_password, of its history, and of MariaDB's password plugins.
const PASSWORD_POLICY: [u16; 3] = [1819, 3638, 4165];

fn explain(statement: &Statement, error: &mysql_async::Error) -> StatementError {
    let mysql_async::Error::Server(refused) = error else { return statement.failed(&error.to_string()) };
    let words = format!("{}: {}", refused.code, refused.message);
    if NOT_PERMITTED.contains(&refused.code) {
        statement.not_permitted(&words)
    } else if PASSWORD_POLICY.contains(&refused.code) {
        statement.password_refused(&words)
    } else {
        statement.failed(&words)
    }
}

/// The text protocol answers with texts only; a text that is no UTF-8 is shown as far as it is.
fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Float(_) | Value::Double(_) | Value::Date(..) | Value::Time(..) => Some(value.as_sql(true)),
    }
}
