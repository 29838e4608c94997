//! What a password has to be, as Windows' policy says it, and SQL Server's words for a refusal.
//!
//! SQL Server asks Windows' NetValidatePasswordPolicy; on Linux it has the same rules of its own. The defaults are those of a Windows
//! domain, but that nothing is locked.

use super::{SqlMessage, message};

/// The policy of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The fewest characters.
    pub minimum_length: usize,
    /// Whether three of the four classes are asked for: capitals, small letters, digits, everything else.
    pub complexity: bool,
    /// How many passwords from before may not come back.
    pub history: usize,
    /// After how many failed logins in a row a login is locked; 0 is never.
    pub lockout_threshold: u32,
}

impl Default for PasswordPolicy {
    fn default() -> PasswordPolicy {
        PasswordPolicy { minimum_length: 8, complexity: true, history: 24, lockout_threshold: 0 }
    }
}

const FAILED: &str = "Password validation failed.";

impl PasswordPolicy {
    /// Why a password is refused for a login of this name that had these passwords; the one that it has now is among
    /// them.
    pub fn refusal<'a>(
        &self,
        name: &str,
        password: &str,
        mut had: impl Iterator<Item = &'a String>,
    ) -> Option<SqlMessage> {
        let does_not_meet = "The password does not meet Windows policy requirements because it is";
        if password.chars().count() < self.minimum_length {
            return Some(message(15116, 16, format!("{FAILED} {does_not_meet} too short.")));
        }
        if self.complexity && !is_complex(name, password) {
            return Some(message(15118, 16, format!("{FAILED} {does_not_meet} not complex enough.")));
        }
        if self.history > 0 && had.any(|had| had == password) {
            return Some(message(15115, 16, format!("{FAILED} The password cannot be used at this time.")));
        }
        None
    }
}

fn is_complex(name: &str, password: &str) -> bool {
    let has = |class: fn(&char) -> bool| usize::from(password.chars().any(|character| class(&character)));
    let classes = has(|character| character.is_uppercase())
        + has(|character| character.is_lowercase())
        + has(|character| character.is_ascii_digit())
        + has(|character| !character.is_alphanumeric());
    // Windows looks for a name only where it has three characters and more.
    let holds_name = name.chars().count() > 2 && password.to_lowercase().contains(&name.to_lowercase());
    classes >= 3 && !holds_name
}

/// Msg 15119, from a filter that somebody installed.
pub(super) fn filtered() -> SqlMessage {
    let text = format!("{FAILED} The password does not meet the requirements of the password filter DLL.");
    message(15119, 16, text)
}
