//! Clustered SQL Server: several nodes share an instance, and only the node that runs it can be asked to prove.
//!
//! A node names an instance by a short hash of its cluster's id and its virtual network name, so that some twenty of them
//! fit the ledger's tag beside all else, and the tag tells a reader nothing about the network. The id is part of it since
//! two clusters of one fleet (production and its stand-by) may well have the same names.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Hexadecimal digits of a hash.
const DIGITS: usize = 6;

/// The first six hexadecimal digits of the SHA-256 of `<cluster id>/<virtual network name>` in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VirtualNameHash(String);

/// A text that is no hash of a virtual name.
#[derive(Debug, thiserror::Error)]
#[error("a virtual name's hash is {DIGITS} hexadecimal digits in lower case")]
pub struct NotAHash;

impl TryFrom<String> for VirtualNameHash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == DIGITS && text.bytes().all(is_digit) { Ok(VirtualNameHash(text)) } else { Err(NotAHash) }
    }
}

impl From<VirtualNameHash> for String {
    fn from(hash: VirtualNameHash) -> String {
        hash.0
    }
}

/// The virtual names of a node's instances, as hashes: `ab12cd,ef3456` in the ledger, a list in a host's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VirtualNames(BTreeSet<VirtualNameHash>);

impl VirtualNames {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hashes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &VirtualNameHash> {
        self.0.iter()
    }

    /// Whether one of them is this.
    pub fn contains(&self, hash: &VirtualNameHash) -> bool {
        self.0.contains(hash)
    }
}

impl FromStr for VirtualNames {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        text.split(',').map(|hash| VirtualNameHash::try_from(hash.to_owned())).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for VirtualNames {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, hash) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{}", hash.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_digits_are_a_hash_since_they_go_into_a_tag() {
        assert_eq!("ef3456,ab12cd".parse::<VirtualNames>().unwrap().to_string(), "ab12cd,ef3456");
        for text in ["", "ab12c", "ab12cd,", "AB12CD", "ab12cd blocked", "ab12cd0"] {
            assert!(text.parse::<VirtualNames>().is_err(), "{text}");
            assert!(serde_json::from_str::<VirtualNames>(&format!("[\"{text}\"]")).is_err(), "{text}");
        }
    }
}
