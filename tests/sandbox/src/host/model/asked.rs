//! What the command asks for: the parameters of both documents, and what the script takes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex_lite::Regex;

use super::Document;

/// The parameters, taken apart.
pub(super) struct Asked {
    pub(super) rotation: String,
    pub(super) secret_arn: String,
    pub(super) hint: String,
    pub(super) administrator_secret_arn: String,
    pub(super) credentials: Vec<String>,
    pub(super) foreign: Vec<String>,
    pub(super) endpoints: Vec<String>,
    /// The endpoints that are not on every host of the fleet.
    pub(super) may_be_absent: BTreeSet<String>,
    pub(super) proof_prefix: String,
    pub(super) proof: String,
    pub(super) create_missing: bool,
    pub(super) trust_server_certificate: bool,
}

static ROTATION: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z][a-z0-9-]{0,31}$"));
static HOST: LazyLock<Regex> = LazyLock::new(|| pattern("^m?i-[0-9a-f]+$"));
static SECRET_ARN: LazyLock<Regex> = LazyLock::new(|| pattern("(?s)^arn:.*:secretsmanager:.*:.*:secret:"));
static VERSION: LazyLock<Regex> = LazyLock::new(|| pattern("^[A-Za-z0-9-]{32,64}$"));
static PROOF_PREFIX: LazyLock<Regex> = LazyLock::new(|| pattern("^[A-Za-z0-9._-]{1,40}$"));
static URL: LazyLock<Regex> = LazyLock::new(|| pattern("^s3://[A-Za-z0-9._:/-]{1,123}$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is one of the script's")
}

/// Whether a text is a version's id.
pub(super) fn is_version(text: &str) -> bool {
    VERSION.is_match(text)
}

impl Asked {
    pub(super) fn read(parameters: &BTreeMap<String, String>) -> Asked {
        let text = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        let mut asked = Asked {
            rotation: text("rotation"),
            secret_arn: text("secretArn"),
            hint: text("versionId"),
            administrator_secret_arn: text("administratorSecretArn"),
            credentials: words(&text("credentials")),
            foreign: words(&text("foreignCredentials")),
            endpoints: words(&text("endpoints")),
            may_be_absent: BTreeSet::new(),
            proof_prefix: text("proofPrefix"),
            proof: text("proof"),
            create_missing: text("createMissing") == "true",
            trust_server_certificate: text("trustServerCertificate") == "true",
        };
        for endpoint in &mut asked.endpoints {
            if let Some(name) = endpoint.strip_suffix('?') {
                asked.may_be_absent.insert(name.to_owned());
                *endpoint = name.to_owned();
            }
        }
        asked
    }

    /// The first parameter that is missing or malformed, if one is.
    pub(super) fn check(&mut self, host: &str, document: Document) -> Result<(), &'static str> {
        let are_urls = |names: &[String]| names.iter().all(|name| URL.is_match(name));
        let is_rotation = ROTATION.is_match(&self.rotation);
        if !is_rotation {
            self.rotation = "unknown".to_owned();
        }
        let wanted = [
            (is_rotation, "rotation"),
            (HOST.is_match(host), "AWS_SSM_INSTANCE_ID"),
            (SECRET_ARN.is_match(&self.secret_arn), "secretArn"),
            (is_version(&self.hint), "versionId"),
            (SECRET_ARN.is_match(&self.administrator_secret_arn), "administratorSecretArn"),
            (PROOF_PREFIX.is_match(&self.proof_prefix), "proofPrefix"),
            ((1..=20).contains(&self.credentials.len()) && are_urls(&self.credentials), "credentials"),
            (are_urls(&self.foreign), "foreignCredentials"),
            (!self.endpoints.is_empty(), "endpoints"),
            (document == Document::Inspect || ["backup", "none"].contains(&self.proof.as_str()), "proof"),
        ];
        wanted.into_iter().find(|(is_so, _)| !is_so).map_or(Ok(()), |(_, parameter)| Err(parameter))
    }
}

/// The words of a list's first line.
fn words(list: &str) -> Vec<String> {
    list.lines().next().unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
}
