//! The words for rows about logins: a host whose instances have them, and a secret that holds their passwords.

use std::fmt::Write;

use sandbox::host::{Login, SqlServer};

use crate::cloud::{NEW, OLD, OLD_PASSWORD};
use crate::stage::{DEFAULT, Stage, empty_sql_server};

/// The login of most rows.
pub const APP: &str = "app";
/// Two that take turns: the first is current.
pub const APP_A: &str = "app_a";
pub const APP_B: &str = "app_b";
/// What the login whose turn it is had two rotations ago.
pub const OLDER_PASSWORD: &str = "Older-Secret-3333";

/// An instance with one login, that has the old password.
pub fn with_a_login() -> SqlServer {
    empty_sql_server(16).with_login(APP, OLD_PASSWORD)
}

/// An instance with two logins, of which the second one has not read its password for a rotation.
pub fn with_two_logins() -> SqlServer {
    empty_sql_server(16).with_login(APP_A, OLD_PASSWORD).with_login(APP_B, OLDER_PASSWORD)
}

impl Stage {
    pub fn has_a_login(&mut self) {
        self.rotates(&[APP]);
        self.cloud().rotates_logins(APP, APP);
        self.has(&[(DEFAULT, with_a_login())]);
    }

    pub fn has_two_logins(&mut self) {
        self.rotates(&[APP_A, APP_B]);
        self.cloud().rotates_logins(APP_A, APP_B);
        self.cloud().labels.insert("login:app_a", OLD);
        self.has(&[(DEFAULT, with_two_logins())]);
    }

    /// The second login's version was promoted.
    pub fn is_promoted(&self) {
        let mut cloud = self.cloud();
        cloud.nothing_is_pending();
        cloud.labels.extend([("AWSCURRENT", NEW), ("login:app_b", NEW)]);
    }

    /// The command names these logins.
    pub fn rotates(&mut self, logins: &[&str]) {
        self.set_names("logins", logins);
    }

    /// A parameter that is a list of names.
    pub fn set_names(&mut self, parameter: &str, names: &[&str]) {
        self.set(parameter, &base64(serde_json::to_string(names).unwrap().as_bytes()));
    }

    /// The command names these instances, as the host calls them.
    pub fn names_instances(&mut self, instances: &[&str]) {
        let called: Vec<String> = instances.iter().map(|name| self.called(name)).collect();
        self.set_names("instances", &called.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// A login of the default instance, changed as a person would.
    pub fn login(&self, name: &str, change: impl FnOnce(&mut Login)) {
        self.instance(DEFAULT, |server| change(server.logins.get_mut(name).unwrap()));
    }

    /// Whether a login of the default instance has a password.
    pub fn has_password(&self, login: &str, password: &str) {
        self.instance_has_password(DEFAULT, login, password);
    }

    pub fn instance_has_password(&self, instance: &str, login: &str, password: &str) {
        let has = self.instance(instance, |server| server.logins.get(login).map(|login| login.password == password));
        assert_eq!(has, Some(true), "{login} on {instance} has another password than it ought to");
    }
}

/// As RFC 4648 has it.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
        let _ = write!(text, "{}", "=".repeat(3 - group.len()));
    }
    text
}
