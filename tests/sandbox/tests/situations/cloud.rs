//! The AWS that a host of the table sees: one secret with two versions, the administrator's secret, and an S3 that knows
//! some keys. Small, so that a row can say exactly what each of them answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use sandbox::host::{BackupObject, CloudError, HostCloud};
use serde_json::{Value, json};

pub const SECRET_ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sqlcredential-AbCdEf";
pub const ADMINISTRATOR_ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sql-administrator-GhIjKl";
/// The version that a host ought to hold after the rotation, and the one from before.
pub const NEW: &str = "00000000-0000-0000-0000-00000000000b";
pub const OLD: &str = "00000000-0000-0000-0000-00000000000a";
/// A version that comes after both.
pub const NEWER: &str = "00000000-0000-0000-0000-00000000000c";
/// An access key. Both secrets end in a quote, which T-SQL doubles and a shell would read.
pub type Key = (&'static str, &'static str);
pub const OLD_KEY: Key = ("AKIAOLD0000000000000", "old+Secret/0000000000000000000000000000'");
pub const NEW_KEY: Key = ("AKIANEW0000000000000", "new+Secret/1111111111111111111111111111'");
/// Everything in it that JSON escapes and a shell, sqlcmd or T-SQL would read.
pub const PASSWORD: &str = "p\"a\\s'é😀$(x)`y`";
/// The same, as a person's editor may have stored it.
pub const ADMINISTRATOR: &str = "{\n\t\"engine\": \"sqlserver\", \"port\": 1433,\n\t\"username\": \"rotator\", \
                                 \"password\": \"p\\\"a\\\\s'\\u00e9\\uD83D\\uDE00$(x)`y`\"\n}";

/// The passwords of a login. The new one has every printable character, and what a shell and sqlcmd would replace.
pub const OLD_PASSWORD: &str = "Old-Secret-0000's";
pub const NEW_PASSWORD: &str = "New-Secret-1111 $(x) !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`\
                                abcdefghijklmnopqrstuvwxyz{|}~";
pub const NEWER_PASSWORD: &str = "Newer-Secret-2222 \u{e9}\u{1f600}";

/// A secret's value as AWS writes one of SQL Server's, with a member that nobody here knows.
pub fn login_value(login: &str, password: &str) -> String {
    let value = json!({ "engine": "sqlserver", "host": "db.example.com", "port": 1433, "dbname": "shop", "note": "{x}",
                        "username": login, "password": password });
    value.to_string()
}

/// What AWS says.
pub struct FakeCloud(Mutex<Says>);

pub struct Says {
    /// Which version a label is on.
    pub labels: BTreeMap<&'static str, &'static str>,
    /// What a version holds; one that is not here has no value.
    pub values: BTreeMap<&'static str, String>,
    /// The keys that S3 and STS accept.
    pub known_keys: Vec<Key>,
    /// The administrator's secret; none is one that the host's role may not read.
    pub administrator: Option<String>,
    /// Whether the host's role may read the rotation's secret.
    pub readable: bool,
    /// A label whose version Secrets Manager fails to give, and how.
    pub failing_label: Option<(&'static str, &'static str)>,
    /// Label changes that happen at a read of the secret, by its number.
    pub label_changes: BTreeMap<u32, (&'static str, Option<&'static str>)>,
    reads: u32,
    /// Parts of names of objects that S3 refuses, once each.
    refused: Vec<&'static str>,
    /// The objects that were backed up, `region bucket/key`.
    pub objects: Vec<String>,
    /// How often STS was asked who signed.
    pub signed_calls: u32,
}

impl FakeCloud {
    /// The old version is current and the new one pending, as `AKID:SECRET` and as JSON.
    pub fn in_a_rotation() -> FakeCloud {
        let json = json!({ "accessKeyId": NEW_KEY.0, "secretAccessKey": NEW_KEY.1 }).to_string();
        FakeCloud(Mutex::new(Says {
            labels: BTreeMap::from([("AWSCURRENT", OLD), ("AWSPENDING", NEW)]),
            values: BTreeMap::from([(OLD, format!("{}:{}", OLD_KEY.0, OLD_KEY.1)), (NEW, json)]),
            known_keys: vec![OLD_KEY, NEW_KEY],
            administrator: Some(ADMINISTRATOR.to_owned()),
            readable: true,
            failing_label: None,
            label_changes: BTreeMap::new(),
            reads: 0,
            refused: Vec::new(),
            objects: Vec::new(),
            signed_calls: 0,
        }))
    }

    pub fn says(&self) -> MutexGuard<'_, Says> {
        self.0.lock().unwrap()
    }
}

impl Says {
    /// The secret holds a login's password: this one is current and that of the other login, or of the same, pending.
    pub fn rotates_logins(&mut self, current: &str, pending: &str) {
        self.values =
            BTreeMap::from([(OLD, login_value(current, OLD_PASSWORD)), (NEW, login_value(pending, NEW_PASSWORD))]);
        self.values.insert(NEWER, login_value(pending, NEWER_PASSWORD));
    }

    /// The host reads the old version as its target.
    pub fn nothing_is_pending(&mut self) {
        self.labels.remove("AWSPENDING");
    }

    /// S3 refuses the next object whose name holds this.
    pub fn refuse_once(&mut self, part: &'static str) {
        self.refused.push(part);
    }

    fn version(&mut self, input: &Value) -> Option<Value> {
        self.reads += 1;
        let reads = self.reads;
        if let Some((label, version)) = self.label_changes.remove(&reads) {
            self.labels.remove(label);
            self.labels.extend(version.map(|version| (label, version)));
        }
        let by_label = input["VersionStage"].as_str().and_then(|label| self.labels.get(label).copied());
        let version = input["VersionId"].as_str().or(by_label)?;
        Some(json!({ "VersionId": version, "SecretString": self.values.get(version)? }))
    }
}

impl HostCloud for FakeCloud {
    fn secret_value(&self, _: &str, region: &str, input: Value) -> Result<Value, CloudError> {
        assert_eq!(region, "eu-west-1", "a secret is read in its home region");
        let denied = || CloudError::new("AccessDeniedException", "User is not authorized to perform: GetSecretValue");
        let mut says = self.says();
        if input["SecretId"] == ADMINISTRATOR_ARN {
            let value = says.administrator.clone().ok_or_else(denied)?;
            return Ok(json!({ "VersionId": "administrator", "SecretString": value }));
        }
        if !says.readable {
            return Err(denied());
        }
        if let Some((_, code)) = says.failing_label.filter(|(label, _)| input["VersionStage"] == *label) {
            return Err(CloudError::new(code, "An error occurred on the server side."));
        }
        let absent =
            CloudError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret value");
        says.version(&input).ok_or(absent)
    }

    fn caller_identity(&self, _: &str, access_key_id: &str, secret: &str) -> Result<Value, CloudError> {
        let mut says = self.says();
        says.signed_calls += 1;
        let known = says.known_keys.contains(&(access_key_id, secret));
        let invalid = CloudError::new("InvalidClientTokenId", "The security token included in the request is invalid.");
        known.then(|| json!({ "Arn": "arn:aws:iam::111122223333:user/sql-backups-user" })).ok_or(invalid)
    }

    fn put_object(&self, object: BackupObject<'_>) -> Result<(), CloudError> {
        let mut says = self.says();
        if !says.known_keys.contains(&(object.access_key_id, object.secret_access_key)) {
            return Err(CloudError::new("InvalidAccessKeyId", "The AWS Access Key Id does not exist in our records."));
        }
        if let Some(at) = says.refused.iter().position(|part| object.url.key.contains(part)) {
            says.refused.remove(at);
            return Err(CloudError::new("AccessDenied", "Access Denied"));
        }
        says.objects.push(format!("{} {}/{}", object.signing_region, object.url.bucket, object.url.key));
        Ok(())
    }
}
