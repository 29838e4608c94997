//! What a host's proof speaks of: the credentials and the SQL Server instances that the settings list.
//!
//! A proof is believed for weeks. Whoever adds a credential to the settings has not had it proved by anybody, and the
//! old key may still be in it: so the standing tag bears the scope of the settings under which it was written, and under
//! other settings every belief counts anew, as after a promotion.

use crate::settings::{Credential, Settings};

/// A short hash of what is to be proved; empty where nobody has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// The scope of settings. SQL Server compares names without case, and their order means nothing.
    pub fn of(settings: &Settings) -> Scope {
        let sorted = |names: &[String]| {
            let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
            names.sort();
            names.join(" ")
        };
        let held = match &settings.credential {
            Credential::AccessKey(key) => sorted(&key.credentials),
            // Instances and databases of another rule hold the login, too.
            Credential::Login(login) => {
                [&login.instances, &login.contained_databases].map(|names| sorted(names)).join(" ")
            }
        };
        let text = format!("{held}\n{}", sorted(&settings.sql_server.endpoints));
        Scope(format!("{:016x}", fnv_1a(text.as_bytes())))
    }

    /// A scope as the tag has it.
    pub fn parse(text: &str) -> Option<Scope> {
        (text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Scope(text.to_owned()))
    }

    /// As the tag has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a proof of one scope is a proof of the other. A tag that was written before tags had a scope, and a
    /// question that is asked without settings, contradict nothing.
    pub fn agrees_with(&self, other: &Scope) -> bool {
        self.0.is_empty() || other.0.is_empty() || self == other
    }
}

/// FNV-1a in 64 bits: no secret is in it, and nobody gains by making two settings alike.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(settings: &mut Settings) -> &mut Vec<String> {
        match &mut settings.credential {
            Credential::AccessKey(key) => &mut key.credentials,
            Credential::Login(login) => &mut login.instances,
        }
    }

    #[test]
    fn another_credential_or_instance_is_another_scope_and_another_order_is_not() {
        let settings = Settings::example();
        let with = |change: &dyn Fn(&mut Settings)| {
            let mut changed = settings.clone();
            change(&mut changed);
            Scope::of(&changed)
        };
        let two = with(&|settings| credentials(settings).push("s3://archive".to_owned()));
        let turned = with(&|settings| credentials(settings).insert(0, "S3://Archive".to_owned()));
        assert_eq!(two, turned);
        assert_ne!(two, Scope::of(&settings));
        assert!(!two.agrees_with(&Scope::of(&settings)) && two.agrees_with(&Scope::default()));
        assert_ne!(with(&|settings| settings.sql_server.endpoints.push("other,1434".to_owned())), Scope::of(&settings));
        assert_eq!(Scope::parse(two.as_str()), Some(two));
        assert_eq!(Scope::parse("no hash"), None);
    }
}
