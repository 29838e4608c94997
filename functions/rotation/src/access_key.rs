//! The credential itself, and how its value is written in the secret.
//!
//! Architecture invariant: nothing here implements Display or Serialize for a secret half, and Debug is redacted, so
//! that no log line, state or error can hold one by accident (DESIGN guarantee 6).

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::names::AccessKeyId;
use crate::settings::ValueFormat;

/// A text that nobody may see; its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Takes the text into custody.
    pub fn new(text: String) -> Self {
        SecretValue(Zeroizing::new(text))
    }

    /// The text, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretValue(redacted)")
    }
}

/// An access key with both halves.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The half that is no secret.
    pub id: AccessKeyId,
    /// The half that is.
    pub secret: SecretValue,
}

/// Why a value is no access key. Says nothing of the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAccessKey {
    /// The value is empty.
    #[error("it is empty")]
    Empty,
    /// Neither `id:secret` nor JSON.
    #[error("it is neither `AKID:SECRET` nor JSON with accessKeyId and secretAccessKey")]
    Unknown,
    /// The id does not look like one.
    #[error("its access key id does not look like one: AKIA and 12 or more capital letters and digits")]
    BadId,
    /// The secret half is empty, or holds a character that cannot stand in `id:secret` or in a line.
    #[error("its secret half is empty or holds a colon, a space or a control character")]
    BadSecret,
}

/// The JSON form, in our spelling or in that of IAM's own answer.
#[derive(Deserialize)]
struct JsonForm {
    #[serde(alias = "AccessKeyId")]
    #[serde(rename = "accessKeyId")]
    id: String,
    #[serde(alias = "SecretAccessKey")]
    #[serde(rename = "secretAccessKey")]
    secret: Zeroizing<String>,
}

impl AccessKey {
    /// Reads a value in either form: a team moves over without changing what it stores.
    pub fn parse(value: &SecretValue) -> Result<AccessKey, NotAnAccessKey> {
        let text = value.reveal().trim();
        if text.is_empty() {
            return Err(NotAnAccessKey::Empty);
        }
        if text.starts_with('{') {
            let form: JsonForm = serde_json::from_str(text).map_err(|_| NotAnAccessKey::Unknown)?;
            return AccessKey::new(form.id, SecretValue(form.secret));
        }
        let (id, secret) = text.split_once(':').ok_or(NotAnAccessKey::Unknown)?;
        AccessKey::new(id.to_owned(), SecretValue::new(secret.to_owned()))
    }

    /// Puts the halves together if they fit `id:secret`, the only form that SQL Server takes (FACTS B: neither part
    /// may contain a colon; `+` and `/` are fine whatever its documentation says).
    pub fn new(id: String, secret: SecretValue) -> Result<AccessKey, NotAnAccessKey> {
        let id = crate::names::private_label_key(&id).ok_or(NotAnAccessKey::BadId)?;
        let text = secret.reveal();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if fits { Ok(AccessKey { id, secret }) } else { Err(NotAnAccessKey::BadSecret) }
    }

    /// The value as the settings want it written.
    pub fn write(&self, format: ValueFormat) -> SecretValue {
        let (id, secret) = (&self.id, self.secret.reveal());
        SecretValue::new(match format {
            ValueFormat::Plain => format!("{id}:{secret}"),
            // Only graphic ASCII passes `new`, so two escapes are all that JSON asks for.
            ValueFormat::Json => format!(
                r#"{{"accessKeyId":"{id}","secretAccessKey":"{}"}}"#,
                secret.replace('\\', r"\\").replace('"', "\\\"")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn parse(text: &str) -> Result<AccessKey, NotAnAccessKey> {
        AccessKey::parse(&SecretValue::new(text.to_owned()))
    }

    #[test]
    fn both_forms_are_read_and_what_is_written_is_read_again() {
        for format in [ValueFormat::Plain, ValueFormat::Json] {
            let key = AccessKey::new(ID.to_owned(), SecretValue::new(SECRET.to_owned())).unwrap();
            let again = AccessKey::parse(&key.write(format)).unwrap();
            assert_eq!((again.id.as_str(), again.secret.reveal()), (ID, SECRET));
        }
        let pascal = format!(r#"{{"AccessKeyId":"{ID}","SecretAccessKey":"{SECRET}","UserName":"u"}}"#);
        assert_eq!(parse(&pascal).unwrap().id.as_str(), ID);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        assert_eq!(parse("").unwrap_err(), NotAnAccessKey::Empty);
        assert_eq!(parse(" \n").unwrap_err(), NotAnAccessKey::Empty);
        assert_eq!(parse("hunter2").unwrap_err(), NotAnAccessKey::Unknown);
        assert_eq!(parse("{\"password\":\"x\"}").unwrap_err(), NotAnAccessKey::Unknown);
        assert_eq!(parse("bob:secret").unwrap_err(), NotAnAccessKey::BadId);
        assert_eq!(parse(&format!("{ID}:a:b")).unwrap_err(), NotAnAccessKey::BadSecret);
        assert_eq!(parse(&format!("{ID}:")).unwrap_err(), NotAnAccessKey::BadSecret);
    }

    #[test]
    fn debug_output_of_a_key_holds_no_secret() {
        let key = parse(&format!("{ID}:{SECRET}")).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(ID) && !shown.contains(SECRET), "{shown}");
    }
}
