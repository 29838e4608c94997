//! The value of a secret in AWS's own shape for databases: JSON with `engine`, `host`, `username`, `password`, ….
//!
//! Applications read this value too, so members that we do not know are kept as they are.

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::access_key::SecretValue;

/// A database engine whose users can be rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseEngine {
    /// MySQL, MariaDB and Aurora MySQL: one protocol; the server itself says which it is.
    MySql,
    /// PostgreSQL and Aurora PostgreSQL.
    PostgreSql,
    /// SQL Server.
    SqlServer,
}

impl DatabaseEngine {
    /// The engine by RDS's name for it.
    pub fn parse(name: &str) -> Result<DatabaseEngine, DatabaseSecretError> {
        match name {
            "mysql" | "mariadb" | "aurora" | "aurora-mysql" => Ok(DatabaseEngine::MySql),
            "postgres" | "postgresql" | "aurora-postgresql" => Ok(DatabaseEngine::PostgreSql),
            "sqlserver" | "sqlserver-ee" | "sqlserver-se" | "sqlserver-ex" | "sqlserver-web" => {
                Ok(DatabaseEngine::SqlServer)
            }
            _ => Err(DatabaseSecretError::Engine(name.chars().take(40).collect())),
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            DatabaseEngine::MySql => "mysql",
            DatabaseEngine::PostgreSql => "postgres",
            DatabaseEngine::SqlServer => "sqlserver",
        }
    }

    /// The port where the secret names none.
    pub fn default_port(self) -> u16 {
        match self {
            DatabaseEngine::MySql => 3306,
            DatabaseEngine::PostgreSql => 5432,
            DatabaseEngine::SqlServer => 1433,
        }
    }

    /// The longest name of a user: MySQL's 32 characters, PostgreSQL's 63 bytes, SQL Server's 128.
    pub fn longest_name(self) -> usize {
        match self {
            DatabaseEngine::MySql => 32,
            DatabaseEngine::PostgreSql => 63,
            DatabaseEngine::SqlServer => 128,
        }
    }
}

/// Why a value is no database secret. Says nothing of the value but names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseSecretError {
    /// Not a JSON object.
    #[error("it is no JSON object")]
    NotJson,
    /// A member is missing, empty, or of another type.
    #[error("its member \"{0}\" is missing, empty or no text")]
    Member(&'static str),
    /// The port is no port.
    #[error("its member \"port\" is no port")]
    Port,
    /// An engine that is not rotated here.
    #[error(
        "its engine is \"{0}\", which is not rotated here; it may be mysql, mariadb, postgres, sqlserver or an Aurora of these. For Oracle and Db2 use AWS's own rotation functions"
    )]
    Engine(String),
}

/// A database secret. Its password is wiped when it is dropped, and never shown.
#[derive(Clone)]
pub struct DatabaseSecret {
    members: Map<String, Value>,
    engine: DatabaseEngine,
    port: u16,
}

impl DatabaseSecret {
    /// Reads a value. The password may still be missing: see [`DatabaseSecret::password`].
    pub fn parse(value: &SecretValue) -> Result<DatabaseSecret, DatabaseSecretError> {
        // Serde's own words could quote the value.
        let members: Map<String, Value> =
            serde_json::from_str(value.reveal()).map_err(|_| DatabaseSecretError::NotJson)?;
        DatabaseSecret::from_members(members)
    }

    /// Takes members that come from elsewhere: tags that say what a secret's first value shall be.
    pub fn from_members(members: Map<String, Value>) -> Result<DatabaseSecret, DatabaseSecretError> {
        let engine = DatabaseEngine::parse(text(&members, "engine").ok_or(DatabaseSecretError::Member("engine"))?)?;
        let port = match members.get("port") {
            None | Some(Value::Null) => Some(engine.default_port()),
            Some(Value::String(port)) => port.parse().ok(),
            Some(Value::Number(port)) => port.as_u64().and_then(|port| u16::try_from(port).ok()),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
        };
        let port = port.filter(|port| *port != 0).ok_or(DatabaseSecretError::Port)?;
        for name in ["host", "username"] {
            text(&members, name).ok_or(DatabaseSecretError::Member(name))?;
        }
        Ok(DatabaseSecret { members, engine, port })
    }

    /// The engine.
    pub fn engine(&self) -> DatabaseEngine {
        self.engine
    }

    /// The host's name, which the server's certificate must bear.
    pub fn host(&self) -> &str {
        text(&self.members, "host").unwrap_or_default()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user.
    pub fn username(&self) -> &str {
        text(&self.members, "username").unwrap_or_default()
    }

    /// The password, where the value has one.
    pub fn password(&self) -> Option<SecretValue> {
        text(&self.members, "password").map(|password| SecretValue::new(password.to_owned()))
    }

    /// The database to connect to, where one is named.
    pub fn database(&self) -> Option<&str> {
        text(&self.members, "dbname")
    }

    /// Name or ARN of the administrator's secret, where one is named.
    pub fn master(&self) -> Option<&str> {
        text(&self.members, "masterarn")
    }

    /// A member of any other name.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The same value with another user and password.
    #[must_use]
    pub fn with(&self, username: &str, password: &SecretValue) -> DatabaseSecret {
        let mut other = self.clone();
        other.members.insert("username".to_owned(), Value::from(username));
        other.members.insert("password".to_owned(), Value::from(password.reveal()));
        other
    }

    /// The value as it is stored.
    pub fn write(&self) -> SecretValue {
        let mut members = Value::Object(self.members.clone());
        let text = members.to_string();
        if let Some(Value::String(password)) = members.get_mut("password") {
            password.zeroize();
        }
        SecretValue::new(text)
    }
}

impl Drop for DatabaseSecret {
    fn drop(&mut self) {
        if let Some(Value::String(password)) = self.members.get_mut("password") {
            password.zeroize();
        }
    }
}

impl fmt::Debug for DatabaseSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseSecret({:?} of {:?})", self.username(), self.host())
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseSecret, DatabaseSecretError> {
        DatabaseSecret::parse(&SecretValue::new(text.to_owned()))
    }

    #[test]
    fn members_that_we_do_not_know_are_kept() {
        let value = r#"{"engine":"mysql","host":"h","username":"app","password":"old","port":3307,"team":{"cost":7}}"#;
        let secret = parse(value).unwrap().with("app_clone", &SecretValue::new("n\"ew".to_owned()));
        let written: Value = serde_json::from_str(secret.write().reveal()).unwrap();
        assert_eq!(written["team"]["cost"], 7);
        assert_eq!((&written["username"], &written["password"]), (&Value::from("app_clone"), &Value::from("n\"ew")));
        assert_eq!(secret.port(), 3307);
    }

    #[test]
    fn a_port_may_be_a_text_a_number_or_absent() {
        let port = |port: &str| parse(&format!(r#"{{"engine":"postgres","host":"h","username":"u"{port}}}"#));
        assert_eq!(port("").unwrap().port(), 5432);
        assert_eq!(port(r#","port":"6000""#).unwrap().port(), 6000);
        assert_eq!(port(r#","port":6000"#).unwrap().port(), 6000);
        assert_eq!(port(r#","port":"x""#).unwrap_err(), DatabaseSecretError::Port);
        assert_eq!(port(r#","port":0"#).unwrap_err(), DatabaseSecretError::Port);
    }

    #[test]
    fn what_is_no_database_secret_is_refused_with_its_reason_and_without_its_value() {
        assert_eq!(parse("hunter2").unwrap_err(), DatabaseSecretError::NotJson);
        assert_eq!(parse(r#""hunter2""#).unwrap_err(), DatabaseSecretError::NotJson);
        assert_eq!(parse(r#"{"host":"h"}"#).unwrap_err(), DatabaseSecretError::Member("engine"));
        assert_eq!(parse(r#"{"engine":"mysql","username":"u"}"#).unwrap_err(), DatabaseSecretError::Member("host"));
        assert_eq!(parse(r#"{"engine":"mysql","host":"h"}"#).unwrap_err(), DatabaseSecretError::Member("username"));
        for engine in ["oracle-ee", "db2-se"] {
            let refused = parse(&format!(r#"{{"engine":"{engine}","host":"h","username":"u"}}"#)).unwrap_err();
            assert!(refused.to_string().contains(engine) && refused.to_string().contains("Oracle and Db2"));
        }
    }

    #[test]
    fn debug_output_holds_no_password() {
        let secret = parse(r#"{"engine":"mysql","host":"h","username":"u","password":"hunter2"}"#).unwrap();
        assert!(!format!("{secret:?} {:?}", secret.password()).contains("hunter2"));
    }
}
