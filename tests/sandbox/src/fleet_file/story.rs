//! What happens to a fleet after its first run, chapter by chapter: what people and EC2 do, and the run that follows.
//!
//! A story shows a fleet as it really lives, so a chapter may do whatever hosts meet: they stop, start, are launched
//! from an old image, restored, silent, terminated, and lose a tag.

use serde::Deserialize;
use serde_json::Value;

use super::HostEntry;

/// Something that happens later, and the run that follows it. Its acts happen in the order of the fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chapter {
    /// What a reader is told.
    pub say: String,
    /// Days that pass first. Every night every running host backs up.
    #[serde(default)]
    pub days: u32,
    /// Hosts that are terminated.
    #[serde(default)]
    pub terminate: Vec<String>,
    /// Hosts that stop.
    #[serde(default)]
    pub stop: Vec<String>,
    /// Hosts whose agents fall silent.
    #[serde(default)]
    pub unreachable: Vec<String>,
    /// Hosts whose agents answer again.
    #[serde(default)]
    pub reachable: Vec<String>,
    /// Tags that a person takes off hosts.
    #[serde(default)]
    pub untag: Vec<TakenTag>,
    /// Tags that a person puts on hosts.
    #[serde(default)]
    pub tag: Vec<PutTag>,
    /// Hosts whose disks are replaced by those of an image from before the first run: with the credential and the files
    /// that were on it then.
    #[serde(default)]
    pub restore: Vec<String>,
    /// Hosts that start. The agent answers a minute later.
    #[serde(default)]
    pub start: Vec<String>,
    /// Hosts that are launched from an image that is as old as the file's start: they hold the key that was in use then.
    /// The agent answers a minute later.
    #[serde(default)]
    pub launch: Vec<HostEntry>,
    /// Whether S3 learns of the keys that IAM makes, and of what becomes of them, from now on. While it does not, it
    /// refuses every new key.
    #[serde(default)]
    pub iam_reaches_s3: Option<bool>,
    /// The input of the run that follows; it may name a key by what it is, see [`super::placeholders`].
    pub run: Value,
    /// The error by which the run is to fail, where it is; a run that ends otherwise than it is to ends the story.
    #[serde(default)]
    pub expect: Option<String>,
}

/// A tag that goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TakenTag {
    /// The host.
    pub id: String,
    /// The tag's key.
    pub key: String,
}

/// A tag that comes, or whose value changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutTag {
    /// The host.
    pub id: String,
    /// The tag's key.
    pub key: String,
    /// Its value.
    pub value: String,
}
