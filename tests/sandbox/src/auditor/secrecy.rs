//! Guarantee 6: a secret value is seen by no one. Looks for every secret access key, in every form that text takes.

use std::collections::{BTreeSet, HashMap};

use super::Breach;
use crate::cloud::Cloud;

/// A place where a secret can be seen. It does not hold the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Where, in the words of whoever gave the text.
    pub place: String,
    /// In which form: `as it is`, `percent-encoded`, …
    pub form: &'static str,
    /// At which byte of the text.
    pub position: usize,
}

/// Looks for every secret access key of the cloud, of users and of sessions, in texts that the caller collected: log
/// lines, inputs and outputs of states, the journal, command output, files of hosts, arguments of processes.
pub fn search(cloud: &Cloud, haystacks: impl Iterator<Item = (String, String)>) -> Vec<Leak> {
    let mut needles = Needles::default();
    needles.learn(cloud.secret_access_keys());
    haystacks.flat_map(|(place, text)| needles.find(&place, &text)).collect()
}

/// Judges one text that an event shows.
pub(super) fn judge(needles: &Needles, place: &str, text: &str) -> Vec<Breach> {
    let leaks = needles.find(place, text);
    leaks.into_iter().map(|leak| (6, format!("a secret access key can be seen, {}, in {place}", leak.form))).collect()
}

/// The first characters of a needle, by which a text is looked through once for all needles. A shorter secret would be
/// found by chance everywhere, and is not looked for.
const START: usize = 8;

/// How many pairs of bytes there are.
const PAIRS: usize = 1 << 16;

/// The number of a text's first two bytes.
fn pair(text: &[u8]) -> usize {
    usize::from(text[0]) << 8 | usize::from(text[1])
}

/// Every secret in every form.
#[derive(Default)]
pub(super) struct Needles {
    known: BTreeSet<String>,
    /// The pairs of characters by which needles begin: of a text's places hardly any is looked at closer.
    is_pair: Vec<bool>,
    by_start: HashMap<[u8; START], Vec<(String, &'static str)>>,
}

impl Needles {
    /// Takes in the secrets that are new.
    pub(super) fn learn(&mut self, secrets: Vec<String>) {
        for secret in secrets {
            if self.known.contains(&secret) {
                continue;
            }
            let mut forms: Vec<(String, &'static str)> = forms(&secret);
            // A secret of letters and digits looks the same in every form.
            let mut seen = BTreeSet::new();
            forms.retain(|(text, _)| seen.insert(text.clone()));
            for (text, form) in forms {
                if let Some(start) = text.as_bytes().first_chunk::<START>() {
                    self.is_pair.resize(PAIRS, false);
                    self.is_pair[pair(text.as_bytes())] = true;
                    self.by_start.entry(*start).or_default().push((text, form));
                }
            }
            self.known.insert(secret);
        }
    }

    fn find(&self, place: &str, text: &str) -> Vec<Leak> {
        let bytes = text.as_bytes();
        let mut leaks = Vec::new();
        let begins =
            |(position, two): (usize, &[u8])| self.is_pair.get(pair(two)).is_some_and(|is| *is).then_some(position);
        for position in bytes.windows(2).enumerate().filter_map(begins) {
            let rest = &bytes[position..];
            let Some(candidates) = rest.first_chunk::<START>().and_then(|start| self.by_start.get(start)) else {
                continue;
            };
            // Forms may begin alike, so that one place shows one leak.
            let found = candidates.iter().find(|(needle, _)| rest.starts_with(needle.as_bytes()));
            leaks.extend(found.map(|(_, form)| Leak { place: place.to_owned(), form, position }));
        }
        leaks
    }
}

/// A secret as it is, and as URLs, forms, JSON (Rust's Debug escapes the same characters) and T-SQL write it.
fn forms(secret: &str) -> Vec<(String, &'static str)> {
    const JSON: &str = "escaped as in JSON";
    const PERCENT: &str = "percent-encoded";
    let json = serde_json::Value::from(secret).to_string();
    let json = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned();
    vec![
        (secret.to_owned(), "as it is"),
        (percent_encoded(secret, true), PERCENT),
        (percent_encoded(secret, false), PERCENT),
        (json.replace('/', "\\/"), JSON),
        // .NET escapes a plus in JSON.
        (json.replace('+', "\\u002B"), JSON),
        (json.replace('+', "\\u002b"), JSON),
        (json, JSON),
        (secret.replace('\'', "''"), "quoted as in T-SQL"),
    ]
}

fn percent_encoded(secret: &str, upper: bool) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if upper => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    secret.bytes().map(encode).collect()
}
