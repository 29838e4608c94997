//! What is so about the user's access keys.

use jiff::Timestamp;

use crate::names::AccessKeyId;

/// One access key, as ListAccessKeys and GetAccessKeyLastUsed show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its id.
    pub id: AccessKeyId,
    /// Its status.
    pub status: KeyStatus,
    /// When it was made.
    pub created: Timestamp,
    /// When, where and for what it was last used; absent where IAM knows of no use.
    pub last_use: Option<LastUse>,
}

/// The status of a key (FACTS A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// It works.
    Active,
    /// It does not, and still takes one of the two slots.
    Inactive,
    /// It does not any more, by IAM's own doing; a status that IAM may add later counts as this.
    Expired,
}

/// The most recent use of a key that IAM has recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// The service.
    pub service: String,
    /// The region.
    pub region: String,
}

/// Whose a key is that a version names and the user's own list does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// It does not exist any more.
    Nobody,
    /// It belongs to another user.
    OtherUser(String),
    /// It belongs to the settings' user, and the list does not show it yet.
    NotListedYet,
}

impl KeyFacts {
    /// One line for a person who must decide about the key.
    pub fn describe(&self) -> String {
        let status = match self.status {
            KeyStatus::Active => "Active",
            KeyStatus::Inactive => "Inactive",
            KeyStatus::Expired => "Expired",
        };
        let last_use = match &self.last_use {
            Some(last) => format!("last used {} for {} in {}", last.at, last.service, last.region),
            None => "never used".to_owned(),
        };
        format!("{} ({status}, made {}, {last_use})", self.id, self.created)
    }
}
