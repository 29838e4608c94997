//! The value of a login's secret: AWS's own shape for databases, or the password alone.
//!
//! Applications read it too, so members that we do not know are kept as they are, the host's name among them.

use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::access_key::SecretValue;
use crate::settings::ValueFormat;

/// A login with its password, and whatever else its secret says.
#[derive(Clone)]
pub struct LoginValue {
    members: Map<String, Value>,
    /// The login.
    pub login: String,
    /// Its password.
    pub password: SecretValue,
}

/// Why a value is none. Says nothing of the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALogin {
    /// The value is empty.
    #[error("it is empty")]
    Empty,
    /// A JSON object without a text of that name.
    #[error("it is JSON without `{0}`")]
    Member(&'static str),
    /// The password alone, which does not say whose it is.
    #[error("it is a password alone, and two logins take turns: store it as JSON with username and password")]
    WhoseLogin,
    /// A password that SQL Server cannot have, or that no line can carry.
    #[error("its password is longer than 128 characters or holds a control character")]
    Password,
    /// Of another engine.
    #[error("its engine is not sqlserver")]
    Engine,
}

impl LoginValue {
    /// Reads a value. Where it is the password alone, it is that of the one login that the settings name.
    pub fn parse(value: &SecretValue, names: &[String]) -> Result<LoginValue, NotALogin> {
        let text = value.reveal();
        if text.trim().is_empty() {
            return Err(NotALogin::Empty);
        }
        // Serde's own words could quote the value.
        let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else {
            let [login] = names else { return Err(NotALogin::WhoseLogin) };
            return LoginValue::new(Map::new(), login.clone(), text.to_owned());
        };
        let member = |name: &'static str| {
            let text = members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or(NotALogin::Member(name))
        };
        let is_strange = |engine: &Value| engine.as_str().is_none_or(|engine| !engine.starts_with("sqlserver"));
        if members.get("engine").is_some_and(is_strange) {
            return Err(NotALogin::Engine);
        }
        let (login, password) = (member("username")?, member("password")?);
        LoginValue::new(members, login, password)
    }

    fn new(members: Map<String, Value>, login: String, password: String) -> Result<LoginValue, NotALogin> {
        if password.chars().count() > 128 || password.chars().any(char::is_control) {
            return Err(NotALogin::Password);
        }
        Ok(LoginValue { members, login, password: SecretValue::new(password) })
    }

    /// A secret's first value, which says nothing but the login.
    pub fn first(login: &str, password: SecretValue) -> LoginValue {
        let members = Map::from_iter([("engine".to_owned(), Value::from("sqlserver"))]);
        LoginValue { members, login: login.to_owned(), password }
    }

    /// The same with another login and password.
    #[must_use]
    pub fn with(&self, login: &str, password: SecretValue) -> LoginValue {
        LoginValue { members: self.members.clone(), login: login.to_owned(), password }
    }

    /// The value as it is stored.
    pub fn write(&self, format: ValueFormat) -> SecretValue {
        match format {
            ValueFormat::Plain => self.password.clone(),
            ValueFormat::Json => {
                let mut members = self.members.clone();
                members.entry("engine").or_insert_with(|| Value::from("sqlserver"));
                members.insert("username".to_owned(), Value::from(self.login.as_str()));
                members.insert("password".to_owned(), Value::from(self.password.reveal()));
                let value = SecretValue::new(Value::Object(members.clone()).to_string());
                wipe(&mut members);
                value
            }
        }
    }
}

impl Drop for LoginValue {
    fn drop(&mut self) {
        wipe(&mut self.members);
    }
}

fn wipe(members: &mut Map<String, Value>) {
    if let Some(Value::String(password)) = members.get_mut("password") {
        password.zeroize();
    }
}

impl std::fmt::Debug for LoginValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LoginValue").field("login", &self.login).finish_non_exhaustive()
    }
}
