//! The ledger: the last proof of each host, in a tag of the instance itself.
//!
//! It is seen in the console, read in the DescribeInstances that lists the fleet, and covers stopped hosts.

use std::fmt;

use jiff::Timestamp;

use crate::names::VersionId;

/// One entry: `<version> <time> [owner:<hash>] [passive:<hash>] [nothing] [blocked]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The version that the host proved.
    pub version: VersionId,
    /// When SSM was asked to command it, by SSM's clock and nobody else's.
    pub commanded: Timestamp,
    /// Hash of the virtual names that the host owns.
    pub owner: Option<String>,
    /// Hash of the virtual names for which it is a passive node.
    pub passive: Option<String>,
    /// Whether it has no SQL Server instance that could hold the credential, so that its proof says nothing of the key.
    pub nothing: bool,
    /// Whether a credential on it stands in the way of retirement.
    pub blocked: bool,
}

impl LedgerEntry {
    /// Reads a tag's value; what is not understood is no proof.
    pub fn parse(text: &str) -> Option<LedgerEntry> {
        let mut words = text.split_whitespace();
        let mut entry = LedgerEntry {
            version: words.next()?.into(),
            commanded: words.next()?.parse().ok()?,
            owner: None,
            passive: None,
            nothing: false,
            blocked: false,
        };
        for word in words {
            match word.split_once(':') {
                Some(("owner", hash)) => entry.owner = Some(hash.to_owned()),
                Some(("passive", hash)) => entry.passive = Some(hash.to_owned()),
                _ if word == "nothing" => entry.nothing = true,
                _ if word == "blocked" => entry.blocked = true,
                _ => return None,
            }
        }
        Some(entry)
    }
}

impl fmt::Display for LedgerEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.version, self.commanded)?;
        if let Some(hash) = &self.owner {
            write!(formatter, " owner:{hash}")?;
        }
        if let Some(hash) = &self.passive {
            write!(formatter, " passive:{hash}")?;
        }
        if self.nothing {
            formatter.write_str(" nothing")?;
        }
        if self.blocked { formatter.write_str(" blocked") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_tag() {
        for text in ["v1 2026-11-24T06:00:00Z", "v1 2026-11-24T06:00:00Z owner:ab passive:cd nothing blocked"] {
            assert_eq!(LedgerEntry::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_no_proof() {
        for text in ["", "v1", "v1 yesterday", "v1 2026-11-24T06:00:00Z mostly"] {
            assert_eq!(LedgerEntry::parse(text), None, "{text}");
        }
    }
}
