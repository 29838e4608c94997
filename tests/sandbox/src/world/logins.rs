//! The logins and the secret at the start of a world.

use rotation::access_key::SecretValue;
use rotation::login::value::LoginValue;
use rotation::settings::LoginSettings;

use super::keys::secret_text;
use super::*;

/// Makes the secret, which holds the first login's password in AWS's own shape, with a member that is none of ours. No
/// access key is at the hosts: the pair stands for none.
pub(super) fn set_up(cloud: &Cloud, settings: &Settings, login: &LoginSettings) -> (String, String) {
    let name = settings.secret.id.rsplit(':').next().unwrap_or_default();
    let first = login.names.first().map(String::as_str).unwrap_or_default();
    let shape = json!({
        "engine": "sqlserver", "host": "db.example.internal", "port": 1433, "dbname": "orders",
        "username": first, "password": "of the first",
    });
    let shape = SecretValue::new(shape.to_string());
    let value = LoginValue::parse(&shape, &login.names)
        .map(|value| value.with(first, SecretValue::new(first_password(first))).write(settings.secret.format))
        .unwrap_or(shape);
    cloud.add_secret(name, Some(value.reveal()));
    (String::new(), String::new())
}

/// The password that a login has on every host at the start.
pub(super) fn first_password(login: &str) -> String {
    secret_text(&format!("login {login}"))
}
