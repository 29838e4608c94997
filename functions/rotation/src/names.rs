//! Identifiers that must not be mistaken for one another, and the names that we write into AWS.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! identifiers {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The identifier as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.to_owned())
            }
        }
    )+};
}

identifiers! {
    /// An access key's id, the half that is no secret (FACTS A: `AKIA…`).
    AccessKeyId,
    /// A version of a secret: the ClientRequestToken with which it was stored (FACTS D).
    VersionId,
    /// An EC2 instance's id.
    InstanceId,
}

/// The label of the version that readers get.
pub const AWSCURRENT: &str = "AWSCURRENT";
/// The label of the version that hosts are brought to before anyone reads it.
pub const AWSPENDING: &str = "AWSPENDING";

/// Tag of the secret: which versions are current and pending, and since when.
pub const STANDING_TAG: &str = "credential-rotation:standing";
/// Tag of the secret: the token and the time of a key that is being made.
pub const INTENT_TAG: &str = "credential-rotation:intent";
/// Tag of the secret: the execution that makes it.
pub const INTENT_EXECUTION_TAG: &str = "credential-rotation:intent-execution";
/// Tag of the secret: the access keys that the user had when the intent was recorded.
pub const INTENT_KEYS_TAG: &str = "credential-rotation:intent-keys";
/// Prefix of the secret's tags that say when a key was made Inactive; the key's id follows.
pub const INACTIVE_TAG_PREFIX: &str = "credential-rotation:inactive:";

/// The tag of an EC2 instance that holds its last proof.
pub fn ledger_tag(rotation: &str) -> String {
    format!("credential-rotation:{rotation}")
}

/// The access key id that a private label names: the label *is* the id.
pub fn private_label_key(label: &str) -> Option<AccessKeyId> {
    let is_key = label.len() >= 16
        && label.starts_with("AKIA")
        && label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_key.then(|| AccessKeyId(label.to_owned()))
}
