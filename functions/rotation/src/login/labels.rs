//! The two private labels of a login's secret, which say without a value being read whose password a version holds.
//!
//! `made:<time>:<version>:<login>` is on every version that we stored or adopted, and no two versions share one, so that
//! it can be put on with the value (PutSecretValue takes a label from anybody, FACTS D). `login:<name>` is on the version
//! that each login was promoted with last: what hosts hold for the login whose turn it is not.

use jiff::Timestamp;

use crate::names::{AWSPENDING, VersionId};
use crate::secret::SecretFacts;

const MADE: &str = "made:";
const LOGIN: &str = "login:";

/// What the label of a version of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// When the password was made.
    pub at: Timestamp,
    /// The version.
    pub version: VersionId,
    /// The login that it is of.
    pub login: String,
}

impl Made {
    /// The label: at most 219 of the 256 characters that one may have.
    pub fn label(&self) -> String {
        // To the second, whose colons are part of it: the two fields behind it hold the rest.
        let seconds = self.at.as_second();
        format!("{MADE}{seconds}:{}:{}", self.version, self.login)
    }

    /// Reads a label; one of anybody else is none.
    pub fn parse(label: &str) -> Option<Made> {
        let (seconds, rest) = label.strip_prefix(MADE)?.split_once(':')?;
        let (version, login) = rest.split_once(':')?;
        let at = Timestamp::from_second(seconds.parse().ok()?).ok()?;
        Some(Made { at, version: version.into(), login: login.to_owned() })
    }
}

/// The label of the version that a login was promoted with last.
pub fn login_label(login: &str) -> String {
    format!("{LOGIN}{login}")
}

impl SecretFacts {
    /// Every version of ours, the oldest first.
    pub fn made(&self) -> Vec<Made> {
        let of_label =
            |(label, holder): (&String, &VersionId)| Made::parse(label).filter(|made| made.version == *holder);
        let mut made: Vec<Made> = self.labels.iter().filter_map(of_label).collect();
        made.sort_by(|one, other| (one.at, &one.version).cmp(&(other.at, &other.version)));
        made
    }

    /// What the label of a version of ours says of it.
    pub fn made_of(&self, version: &VersionId) -> Option<Made> {
        self.made().into_iter().find(|made| made.version == *version)
    }

    /// The version that a login was promoted with last.
    pub fn promoted_of(&self, login: &str) -> Option<&VersionId> {
        self.labels.get(&login_label(login))
    }

    /// The pending version, while it is not current too.
    pub fn only_pending(&self) -> Option<&VersionId> {
        self.labels.get(AWSPENDING).filter(|pending| self.current() != Some(*pending))
    }
}
