//! What an application makes of a secret's value: AWS's JSON for databases, or a password by itself.

use serde_json::Value;

/// What it holds until the next refresh. No Debug: it holds a password.
#[derive(Clone)]
pub(super) struct Held {
    /// The version.
    pub(super) version: String,
    /// The login.
    pub(super) login: String,
    /// Its password.
    pub(super) password: String,
    /// The database to begin in.
    pub(super) database: Option<String>,
}

impl Held {
    /// Reads GetSecretValue's answer; `login` is meant where the value is only a password.
    pub(super) fn read(answer: &Value, login: Option<&str>) -> Option<Held> {
        let (version, text) = (answer["VersionId"].as_str()?.to_owned(), answer["SecretString"].as_str()?);
        let json: Option<Value> = serde_json::from_str(text).ok().filter(Value::is_object);
        let Some(json) = json else {
            return Some(Held { version, login: login?.to_owned(), password: text.to_owned(), database: None });
        };
        let member = |name: &str| json[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Held { version, login: member("username")?, password: member("password")?, database: member("dbname") })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_names_its_login_and_a_plain_password_has_the_rotations() {
        let read = |text: &str| Held::read(&json!({ "VersionId": "v", "SecretString": text }), Some("app"));
        let json = read(r#"{"engine":"sqlserver","username":"app_a","password":"p","dbname":"sales"}"#).unwrap();
        assert_eq!((json.login.as_str(), json.password.as_str()), ("app_a", "p"));
        assert_eq!(json.database.as_deref(), Some("sales"));
        let plain = read("\"quoted\"").unwrap();
        assert_eq!((plain.login.as_str(), plain.password.as_str()), ("app", "\"quoted\""));
        assert!(read(r#"{"username":"app_a"}"#).is_none(), "without a password there is nothing to hold");
    }
}
