//! The target and the two secrets, read under the lock: see the chapter of the same name in `host/linux.sh`.

use std::collections::BTreeMap;

use rotation::host_answer::HostError;
use serde_json::Value;

use super::{Call, Halt, LOOKS_AGAIN, Run, Sql};

/// An access key; empty before one was read. No Debug: it holds a secret.
#[derive(Default)]
pub(super) struct AccessKey {
    pub(super) id: String,
    pub(super) secret: String,
}

/// A version of a secret, read. No Debug: it holds a secret.
struct Fetched {
    version: String,
    value: String,
}

impl Run {
    /// Reads a version's value; the inner error is the CLI's complaint.
    async fn fetch_secret(&mut self, arn: &str, which: [&str; 2]) -> Result<Result<Fetched, String>, Halt> {
        let query = ["--query", "[VersionId,SecretString]", "--output", "text"];
        let arguments = ["secretsmanager", "get-secret-value", "--region", region_of_arn(arn), "--secret-id", arn];
        let arguments = arguments.into_iter().chain(which).chain(query).map(str::to_owned);
        let call = Call { program: "aws".to_owned(), arguments: arguments.collect(), ..Call::default() };
        let reply = self.call(call).await?;
        if reply.exit_code != 0 {
            return Ok(Err(last_line(&reply.stderr)));
        }
        let answer = String::from_utf8_lossy(&reply.stdout);
        let answer = answer.trim_end_matches('\n');
        let (version, value) = answer.split_once('\t').unwrap_or((answer, answer));
        Ok(Ok(Fetched { version: version.to_owned(), value: value.to_owned() }))
    }

    pub(super) async fn read_target(&mut self) -> Result<(), Halt> {
        let mut complaint = String::new();
        for label in ["AWSPENDING", "AWSCURRENT"] {
            match self.fetch_secret(&self.asked.secret_arn.clone(), ["--version-stage", label]).await? {
                Ok(fetched) => {
                    (self.version, self.target_value) = (fetched.version, fetched.value);
                    return Ok(());
                }
                Err(said) => complaint = said,
            }
            if !complaint.contains("(ResourceNotFoundException)") {
                break;
            }
        }
        Err(self.fail_host(HostError::SecretNotReadable, &complaint))
    }

    pub(super) async fn await_hinted_target(&mut self) -> Result<(), Halt> {
        let patience = self.patience();
        loop {
            self.read_target().await?;
            if self.version == self.asked.hint {
                return Ok(());
            }
            if self.host.clock.now() >= patience {
                let why = format!("the target here is {}, not {}", self.version, self.asked.hint);
                return Err(self.fail_host(HostError::VersionNotVisibleYet, &why));
            }
            self.sleep(LOOKS_AGAIN).await?;
        }
    }

    pub(super) fn read_target_key(&mut self) -> Result<(), Halt> {
        if self.take_key(access_key(&self.target_value)) {
            return Ok(());
        }
        let why = format!("version {} holds no access key", self.version);
        Err(self.fail_host(HostError::SecretValueInvalid, &why))
    }

    /// Takes another version's key in the place of the target's; whether there is one.
    pub(super) async fn read_key_of(&mut self, version: &str) -> Result<bool, Halt> {
        let fetched = self.fetch_secret(&self.asked.secret_arn.clone(), ["--version-id", version]).await?;
        Ok(self.take_key(fetched.ok().and_then(|fetched| access_key(&fetched.value))))
    }

    /// The next instance still gets the target's key.
    pub(super) fn take_target_key_again(&mut self) {
        self.take_key(access_key(&self.target_value));
    }

    fn take_key(&mut self, read: Option<AccessKey>) -> bool {
        let is_key = read.is_some();
        self.key = read.unwrap_or_default();
        is_key
    }

    pub(super) async fn read_administrator(&mut self) -> Result<(), Halt> {
        let arn = self.asked.administrator_secret_arn.clone();
        let fetched = match self.fetch_secret(&arn, ["--version-stage", "AWSCURRENT"]).await? {
            Ok(fetched) => fetched,
            Err(complaint) => {
                return Err(self.fail_host(HostError::SecretNotReadable, &format!("administrator: {complaint}")));
            }
        };
        let mut members = flat_object(&fetched.value).unwrap_or_default();
        self.administrator = members.remove("username").unwrap_or_default();
        self.administrator_password = members.remove("password").unwrap_or_default();
        if self.administrator.is_empty() || self.administrator_password.is_empty() {
            let why = "the administrator's secret is no JSON object with username and password";
            return Err(self.fail_host(HostError::SecretValueInvalid, why));
        }
        Ok(())
    }

    /// With proof "none" the key is known to work from this host, and nothing is known of the bucket.
    pub(super) async fn prove_by_signed_call(&mut self) -> Result<Sql, Halt> {
        if self.signed_call == self.version {
            return Ok(Ok(String::new()));
        }
        let region = region_of_arn(&self.asked.secret_arn);
        let arguments = ["sts", "get-caller-identity", "--region", region, "--query", "Arn", "--output", "text"];
        let call = Call {
            program: "aws".to_owned(),
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: vec![
                ("AWS_ACCESS_KEY_ID".to_owned(), self.key.id.clone()),
                ("AWS_SECRET_ACCESS_KEY".to_owned(), self.key.secret.clone()),
            ],
            environment_names: ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(str::to_owned).to_vec(),
            ..Call::default()
        };
        let reply = self.call(call).await?;
        if reply.exit_code != 0 {
            return Ok(Err(last_line(&reply.stderr)));
        }
        self.signed_call.clone_from(&self.version);
        Ok(Ok(String::new()))
    }
}

fn region_of_arn(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().last().unwrap_or_default().to_owned()
}

/// The value is AKID:SECRET, as the published solution stores it, or a JSON object.
fn access_key(value: &str) -> Option<AccessKey> {
    let value = value.trim_matches(|character: char| character.is_ascii_whitespace() || character == '\u{b}');
    let (id, secret) = if value.starts_with('{') {
        let mut members = flat_object(value)?;
        let mut member = |name: &str, as_aws_names_it: &str| {
            let other = members.remove(as_aws_names_it);
            members.remove(name).or(other).unwrap_or_default()
        };
        (member("accessKeyId", "AccessKeyId"), member("secretAccessKey", "SecretAccessKey"))
    } else {
        let (id, secret) = value.split_once(':')?;
        (id.to_owned(), secret.to_owned())
    };
    let is_id = (16..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // SQL Server splits SECRET at the colon, so neither part may hold one (FACTS B).
    let is_secret = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    (is_id && is_secret).then_some(AccessKey { id, secret })
}

/// A flat object's strings; other scalars are passed over, a nested value is refused.
fn flat_object(text: &str) -> Option<BTreeMap<String, String>> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut members = BTreeMap::new();
    for (name, value) in object {
        match value {
            Value::String(text) => {
                members.insert(name, text);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::Array(_) | Value::Object(_) => return None,
        }
    }
    Some(members)
}
