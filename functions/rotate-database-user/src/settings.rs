//! What one deployment of the function is set to; a secret may say otherwise for itself.

use std::collections::BTreeMap;

use rotation::password::PasswordWishes;

use crate::error::RotationError;
use crate::tls::Trust;

/// How the password of a user is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// One user; between the change and the end of the rotation, readers of AWSCURRENT are refused.
    Single,
    /// Two users take turns: who read the secret before the rotation goes on as the other one.
    Alternating,
    /// One user with two passwords for a while: MySQL 8.0.14 and later.
    DualPassword,
}

impl Strategy {
    /// As settings spell it.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Single => "single",
            Strategy::Alternating => "alternating",
            Strategy::DualPassword => "dual-password",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Strategy> {
        [Strategy::Single, Strategy::Alternating, Strategy::DualPassword].into_iter().find(|one| one.name() == name)
    }
}

/// The settings.
#[derive(Clone)]
pub struct Settings {
    /// The strategy of secrets that name none. Without it, a secret with a `masterarn` alternates and one without does
    /// not: so do AWS's own functions, which are two for that reason.
    pub strategy: Option<Strategy>,
    /// The password rules of secrets that have none.
    pub password: PasswordWishes,
    /// Whom to trust.
    pub trust: Trust,
}

/// The variable that names the strategy.
const STRATEGY: &str = "ROTATION_STRATEGY";
/// The variable that names a PEM bundle beside the function, in a layer for example.
pub const CA_BUNDLE: &str = "DATABASE_CA_BUNDLE";

impl Settings {
    /// Reads the function's variables; `read` gives the bytes of a file.
    pub fn from_variables(
        variables: &BTreeMap<String, String>,
        read: impl Fn(&str) -> std::io::Result<Vec<u8>>,
    ) -> Result<Settings, RotationError> {
        let wrong =
            |variable: &str, problem: String| RotationError::InvalidSettings { variable: variable.to_owned(), problem };
        let variable = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let strategy = variable(STRATEGY).map(|name| {
            let problem = || wrong(STRATEGY, "it is single, alternating or dual-password".to_owned());
            Strategy::parse(name).ok_or_else(problem)
        });
        let trust = match variable(CA_BUNDLE) {
            None => Trust::rds().map_err(|error| error.to_string()),
            Some(path) => read(path)
                .map_err(|error| error.to_string())
                .and_then(|pem| Trust::bundle(&pem).map_err(|error| error.to_string())),
        };
        Ok(Settings {
            strategy: strategy.transpose()?,
            password: PasswordWishes::from_variables(|name| variables.get(name).map(String::as_str))
                .map_err(|error| wrong("of the password rules", error.to_string()))?,
            trust: trust.map_err(|problem| wrong(CA_BUNDLE, problem))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, RotationError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_variables(&variables, |_| Err(std::io::ErrorKind::NotFound.into()))
    }

    #[test]
    fn nothing_needs_to_be_set() {
        assert_eq!(settings(&[]).unwrap().strategy, None);
        assert_eq!(settings(&[(STRATEGY, "dual-password")]).unwrap().strategy, Some(Strategy::DualPassword));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (name, value) in [(STRATEGY, "both"), (CA_BUNDLE, "/opt/none.pem"), ("PASSWORD_LENGTH", "long")] {
            let error = settings(&[(name, value)]).err().unwrap();
            assert_eq!(error.name(), "InvalidSettings", "{error}");
        }
    }
}
