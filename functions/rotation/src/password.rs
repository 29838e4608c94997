//! What a generated password may hold: the rules that Secrets Manager's GetRandomPassword is asked with.
//!
//! Each system breaks on characters of its own (connection strings, URLs, shells, T-SQL), and a password that the
//! target refuses is the commonest failure of all. So the default is short on punctuation, and every rule can be set.

use serde::Deserialize;

/// ASCII punctuation, as GetRandomPassword includes it.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// What is safe unquoted in a URL, a connection string, JSON, T-SQL and a shell; one kind of punctuation must remain,
/// since MySQL's validate_password and SQL Server's policy ask for some.
const SAFE_PUNCTUATION: &str = "-_.";
/// The longest password that SQL Server takes, and the shortest limit of the engines.
const LONGEST: u16 = 128;
/// Below this a password can be tried out in a day.
const SHORTEST: u16 = 12;

/// The rules of one secret, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    /// How many characters.
    pub length: u16,
    /// Characters that never occur.
    pub exclude_characters: String,
    /// No capital letters.
    pub exclude_uppercase: bool,
    /// No small letters.
    pub exclude_lowercase: bool,
    /// No digits.
    pub exclude_numbers: bool,
    /// No punctuation.
    pub exclude_punctuation: bool,
    /// At least one of each kind that is not excluded.
    pub require_each_included_type: bool,
}

impl Default for PasswordRules {
    fn default() -> Self {
        PasswordRules {
            length: 32,
            exclude_characters: PUNCTUATION.chars().filter(|one| !SAFE_PUNCTUATION.contains(*one)).collect(),
            exclude_uppercase: false,
            exclude_lowercase: false,
            exclude_numbers: false,
            exclude_punctuation: false,
            require_each_included_type: true,
        }
    }
}

/// What somebody asks for, by GetRandomPassword's own names; what is absent stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PasswordWishes {
    password_length: Option<u16>,
    exclude_characters: Option<String>,
    exclude_uppercase: Option<bool>,
    exclude_lowercase: Option<bool>,
    exclude_numbers: Option<bool>,
    exclude_punctuation: Option<bool>,
    require_each_included_type: Option<bool>,
}

/// Rules that no password can obey.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRulesError {
    /// A variable's or a member's value was not understood.
    #[error("{name} is not understood: {problem}")]
    NotUnderstood {
        /// The variable or the member.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A length outside what the databases take or anybody should use.
    #[error("the password's length is {0}; it must be {SHORTEST} to {LONGEST}")]
    Length(u16),
    /// Every kind of character is excluded.
    #[error("every character is excluded")]
    NothingLeft,
}

impl PasswordWishes {
    /// Reads the variables of AWS's own rotation functions: `PASSWORD_LENGTH`, `EXCLUDE_CHARACTERS`, `EXCLUDE_NUMBERS`,
    /// ….
    pub fn from_variables<'a>(
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<PasswordWishes, PasswordRulesError> {
        let flag = |name: &str| match variable(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("") => Ok(None),
            Some("true" | "1" | "yes" | "y") => Ok(Some(true)),
            Some("false" | "0" | "no" | "n") => Ok(Some(false)),
            Some(_) => Err(not_understood(name, "it is true or false")),
        };
        let length = |text: &str| text.parse().map_err(|_| not_understood("PASSWORD_LENGTH", "it is a number"));
        Ok(PasswordWishes {
            password_length: variable("PASSWORD_LENGTH").map(length).transpose()?,
            exclude_characters: variable("EXCLUDE_CHARACTERS").map(str::to_owned),
            exclude_uppercase: flag("EXCLUDE_UPPERCASE")?,
            exclude_lowercase: flag("EXCLUDE_LOWERCASE")?,
            exclude_numbers: flag("EXCLUDE_NUMBERS")?,
            exclude_punctuation: flag("EXCLUDE_PUNCTUATION")?,
            require_each_included_type: flag("REQUIRE_EACH_INCLUDED_TYPE")?,
        })
    }

    /// Reads the member of a secret that carries its rules.
    pub fn from_json(value: &serde_json::Value) -> Result<PasswordWishes, PasswordRulesError> {
        // Serde's own words could quote the value, which stands beside a password.
        let problem = "it is an object with the parameters of GetRandomPassword: PasswordLength, ExcludeCharacters, …";
        PasswordWishes::deserialize(value).map_err(|_| not_understood("passwordRules", problem))
    }
}

fn not_understood(name: &str, problem: &'static str) -> PasswordRulesError {
    PasswordRulesError::NotUnderstood { name: name.to_owned(), problem }
}

impl PasswordRules {
    /// These rules with what somebody asks for.
    #[must_use]
    pub fn with(self, wishes: &PasswordWishes) -> PasswordRules {
        PasswordRules {
            length: wishes.password_length.unwrap_or(self.length),
            exclude_characters: wishes.exclude_characters.clone().unwrap_or(self.exclude_characters),
            exclude_uppercase: wishes.exclude_uppercase.unwrap_or(self.exclude_uppercase),
            exclude_lowercase: wishes.exclude_lowercase.unwrap_or(self.exclude_lowercase),
            exclude_numbers: wishes.exclude_numbers.unwrap_or(self.exclude_numbers),
            exclude_punctuation: wishes.exclude_punctuation.unwrap_or(self.exclude_punctuation),
            require_each_included_type: wishes.require_each_included_type.unwrap_or(self.require_each_included_type),
        }
    }

    /// The same rules as GetRandomPassword takes them: it refuses a kind of which every character is excluded, unless
    /// the kind itself is (FACTS D).
    pub fn settled(mut self) -> Result<PasswordRules, PasswordRulesError> {
        if !(SHORTEST..=LONGEST).contains(&self.length) {
            return Err(PasswordRulesError::Length(self.length));
        }
        let empty = |mut kind: std::ops::RangeInclusive<char>| kind.all(|one| self.exclude_characters.contains(one));
        self.exclude_uppercase |= empty('A'..='Z');
        self.exclude_lowercase |= empty('a'..='z');
        self.exclude_numbers |= empty('0'..='9');
        self.exclude_punctuation |= PUNCTUATION.chars().all(|one| self.exclude_characters.contains(one));
        if self.exclude_uppercase && self.exclude_lowercase && self.exclude_numbers && self.exclude_punctuation {
            return Err(PasswordRulesError::NothingLeft);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_default_has_every_kind_and_nothing_that_a_shell_a_url_or_a_connection_string_reads() {
        let rules = PasswordRules::default().settled().unwrap();
        assert_eq!(rules.length, 32);
        assert!(!rules.exclude_punctuation && rules.require_each_included_type);
        for one in "@/:\\\"'`;$%#&? {}=[]".chars().filter(|one| *one != ' ') {
            assert!(rules.exclude_characters.contains(one), "{one} is excluded");
        }
    }

    #[test]
    fn a_kind_of_which_every_character_is_excluded_is_switched_off() {
        let wishes = PasswordWishes::from_json(&json!({ "ExcludeCharacters": "0123456789", "PasswordLength": 20 }));
        let rules = PasswordRules::default().with(&wishes.unwrap()).settled().unwrap();
        assert!(rules.exclude_numbers && !rules.exclude_lowercase);
        assert_eq!(rules.length, 20);
    }

    #[test]
    fn the_variables_of_awss_own_functions_are_read() {
        let variable = |name: &str| match name {
            "PASSWORD_LENGTH" => Some("40"),
            "EXCLUDE_PUNCTUATION" => Some("True"),
            "EXCLUDE_CHARACTERS" => Some("Il1O0"),
            _ => None,
        };
        let rules = PasswordRules::default().with(&PasswordWishes::from_variables(variable).unwrap());
        assert_eq!((rules.length, rules.exclude_punctuation), (40, true));
        assert_eq!(rules.exclude_characters, "Il1O0");
    }

    #[test]
    fn rules_that_no_password_obeys_are_refused_by_name() {
        let asked = |wishes: serde_json::Value| {
            PasswordRules::default().with(&PasswordWishes::from_json(&wishes).unwrap()).settled()
        };
        assert_eq!(asked(json!({ "PasswordLength": 200 })), Err(PasswordRulesError::Length(200)));
        let nothing = json!({ "ExcludeUppercase": true, "ExcludeLowercase": true, "ExcludeNumbers": true, "ExcludePunctuation": true });
        assert_eq!(asked(nothing), Err(PasswordRulesError::NothingLeft));
        assert!(PasswordWishes::from_json(&json!({ "Length": 20 })).is_err(), "a misspelled rule is not passed over");
        assert!(PasswordWishes::from_variables(|name| (name == "PASSWORD_LENGTH").then_some("long")).is_err());
    }
}
