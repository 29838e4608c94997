//! The ledger: the last proof of each host, in a tag of the instance itself.
//!
//! It is seen in the console, read in the DescribeInstances that lists the fleet, and covers stopped hosts.

use std::fmt;

use jiff::Timestamp;

use crate::cluster::VirtualNames;
use crate::names::VersionId;

/// One entry: `<version> <time> [owner:<hash>,…] [passive:<hash>,…] [nothing] [blocked] [drifted] [failed]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The version that the host proved.
    pub version: VersionId,
    /// When SSM was asked to command it, by SSM's clock and nobody else's.
    pub commanded: Timestamp,
    /// The virtual names whose instances ran on the host, and proved.
    pub owner: VirtualNames,
    /// Those for which it was a passive node.
    pub passive: VirtualNames,
    /// Whether it has no SQL Server instance that could hold the credential, so that its proof says nothing of the key.
    pub nothing: bool,
    /// Whether a credential on it stands in the way of retirement.
    pub blocked: bool,
    /// Whether it had held the version before, and somebody had altered or dropped its credential since.
    pub drifted: bool,
    /// Whether it had proved the version and failed when it was asked again: then the earlier proof is worth nothing.
    pub failed: bool,
}

impl LedgerEntry {
    /// Reads a tag's value; what is not understood is no proof.
    pub fn parse(text: &str) -> Option<LedgerEntry> {
        let mut words = text.split_whitespace();
        let mut entry = LedgerEntry {
            version: words.next()?.into(),
            commanded: words.next()?.parse().ok()?,
            owner: VirtualNames::default(),
            passive: VirtualNames::default(),
            nothing: false,
            blocked: false,
            drifted: false,
            failed: false,
        };
        for word in words {
            match word.split_once(':') {
                Some(("owner", names)) => entry.owner = names.parse().ok()?,
                Some(("passive", names)) => entry.passive = names.parse().ok()?,
                _ if word == "nothing" => entry.nothing = true,
                _ if word == "blocked" => entry.blocked = true,
                _ if word == "drifted" => entry.drifted = true,
                _ if word == "failed" => entry.failed = true,
                _ => return None,
            }
        }
        Some(entry)
    }
}

impl fmt::Display for LedgerEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.version, self.commanded)?;
        if !self.owner.is_empty() {
            write!(formatter, " owner:{}", self.owner)?;
        }
        if !self.passive.is_empty() {
            write!(formatter, " passive:{}", self.passive)?;
        }
        let Self { nothing, blocked, drifted, failed, .. } = *self;
        for (is_so, word) in [(nothing, "nothing"), (blocked, "blocked"), (drifted, "drifted"), (failed, "failed")] {
            if is_so {
                write!(formatter, " {word}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_tag() {
        for text in [
            "v1 2026-11-24T06:00:00Z",
            "v1 2026-11-24T06:00:00Z owner:0000ab,0000ef passive:0000cd nothing blocked drifted failed",
        ] {
            assert_eq!(LedgerEntry::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_understood_is_no_proof() {
        for text in ["", "v1", "v1 yesterday", "v1 2026-11-24T06:00:00Z mostly", "v1 2026-11-24T06:00:00Z owner:"] {
            assert_eq!(LedgerEntry::parse(text), None, "{text}");
        }
    }
}
