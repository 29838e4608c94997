//! Looking at an instance and at its credentials, and what SQL Server's messages mean: see "Every instance" and "SQL" in
//! `host/linux.sh`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex_lite::Regex;
use rotation::host_answer::HostError;

use super::{Call, Halt, Run, Sql, is_listed};

/// What an instance is.
pub(super) struct Instance {
    pub(super) product: String,
    pub(super) may_alter: bool,
}

/// The S3 credentials of an instance, as they were read last.
#[derive(Default)]
pub(super) struct Credentials {
    /// The names as the instance has them, in its order.
    pub(super) names: Vec<String>,
    /// By name in lower case.
    pub(super) by_name: BTreeMap<String, Listed>,
    /// The modify dates of our own, one after the other.
    pub(super) modify_dates: String,
}

/// One of them.
pub(super) struct Listed {
    pub(super) is_s3: bool,
    pub(super) modified: String,
    spelled: String,
}

const SELECT_INSTANCE: &str =
    "SELECT N'~instance~' + CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')) + N'~' +
CONVERT(nvarchar(10), SERVERPROPERTY(N'EngineEdition')) + N'~' +
CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL'));";

const SELECT_CREDENTIALS: &str = "SELECT N'~credential~' + CONVERT(nvarchar(33), modify_date, 126) + N'~' +
CASE WHEN credential_identity = N'S3 Access Key' THEN N's3' ELSE N'other' END + N'~' + name
FROM sys.credentials WHERE LOWER(name) LIKE N's3://%' ORDER BY name;";

static INSTANCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("~instance~([0-9]+\\.[0-9.]+)~([0-9]+)~([01])").expect("the pattern is the script's"));

/// What sqlcmd is started with besides the data source and the login.
const SQLCMD_OPTIONS: [&str; 16] =
    ["-b", "-x", "-r", "1", "-h", "-1", "-W", "-w", "4096", "-l", "8", "-t", "120", "-N", "-i", "/dev/stdin"];

impl Credentials {
    pub(super) fn date_of(&self, url: &str) -> String {
        self.by_name.get(&url.to_ascii_lowercase()).map(|listed| listed.modified.clone()).unwrap_or_default()
    }

    pub(super) fn has(&self, url: &str) -> bool {
        self.by_name.contains_key(&url.to_ascii_lowercase())
    }

    /// A credential's name as the instance has it: a server whose collation tells cases apart knows no other.
    pub(super) fn as_spelled(&self, url: &str) -> String {
        let listed = self.by_name.get(&url.to_ascii_lowercase());
        listed.map_or_else(|| url.to_owned(), |listed| listed.spelled.clone())
    }

    fn read(rows: &str, urls: &[String]) -> Credentials {
        let mut credentials = Credentials::default();
        for row in rows.lines().filter_map(|line| line.split_once("~credential~")).map(|(_, row)| row) {
            let mut parts = row.splitn(3, '~');
            let (Some(modified), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let (modified, spelled) = (modified.to_owned(), name.to_owned());
            credentials.names.push(name.to_owned());
            let listed = Listed { is_s3: kind == "s3", modified, spelled };
            credentials.by_name.insert(name.to_ascii_lowercase(), listed);
        }
        for url in urls {
            let listed = credentials.by_name.get(&url.to_ascii_lowercase());
            credentials.modify_dates += listed.map_or("none", |listed| listed.modified.as_str());
            credentials.modify_dates.push('+');
        }
        credentials
    }
}

impl Run {
    pub(super) async fn look_at_instance(&mut self, endpoint: &str) -> Result<Instance, Halt> {
        let said = match self.run_sql(endpoint, SELECT_INSTANCE).await? {
            Ok(said) => said,
            Err(said) => {
                let failure = sql_failure(&said, HostError::ConnectFailed);
                let is_silent = failure == HostError::ConnectFailed && nobody_listens(&said);
                if is_silent && self.is_absent(endpoint) {
                    self.log(&format!("{endpoint}: no SQL Server"));
                    return Err(Halt::Instance);
                }
                return Err(self.fail_instance(endpoint, failure, &said));
            }
        };
        let Some((_, [product, edition, may_alter])) = INSTANCE.captures(&said).map(|found| found.extract()) else {
            let why = format!("no answer of SQL Server: {said}");
            return Err(self.fail_instance(endpoint, HostError::ConnectFailed, &why));
        };
        let major = product.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or_default();
        if major < 16 || edition == "4" {
            self.nothing_to_hold += 1;
            self.log(&format!("{endpoint}: version {product}, engine edition {edition}: nothing to hold"));
            return Err(Halt::Instance);
        }
        Ok(Instance { product: product.to_owned(), may_alter: may_alter == "1" })
    }

    /// The default endpoint is absent where SQL Server is not installed; an optional one where no command has ever
    /// proved it.
    fn is_absent(&self, endpoint: &str) -> bool {
        if endpoint == "localhost" {
            return !self.has_sql_server;
        }
        self.asked.may_be_absent.contains(endpoint) && !self.marker.contains_key(endpoint)
    }

    pub(super) fn require_right_to_alter(&mut self, endpoint: &str, instance: &Instance) -> Result<(), Halt> {
        if instance.may_alter {
            return Ok(());
        }
        let why = format!("{} lacks ALTER ANY CREDENTIAL", self.administrator);
        Err(self.fail_instance(endpoint, HostError::AlterNotPermitted, &why))
    }

    pub(super) async fn list_credentials(&mut self, endpoint: &str) -> Result<(), Halt> {
        match self.read_credentials(endpoint).await? {
            Ok(_) => Ok(()),
            Err(said) => Err(self.fail_instance(endpoint, sql_failure(&said, HostError::ConnectFailed), &said)),
        }
    }

    /// Where they cannot be read, none is known any more.
    pub(super) async fn read_credentials(&mut self, endpoint: &str) -> Result<Sql, Halt> {
        let said = self.run_sql(endpoint, SELECT_CREDENTIALS).await?;
        let read = said.as_ref().map(|rows| Credentials::read(rows, &self.asked.credentials));
        self.credentials = read.unwrap_or_default();
        Ok(said)
    }

    pub(super) fn refuse_unfit_credentials(&mut self, endpoint: &str) -> Result<(), Halt> {
        for url in self.asked.credentials.clone() {
            let is_s3 = self.credentials.by_name.get(&url.to_ascii_lowercase()).map(|listed| listed.is_s3);
            let (error, why) = match is_s3 {
                Some(true) => continue,
                None if self.asked.create_missing => continue,
                None => (HostError::CredentialMissing, format!("there is no credential {url}")),
                Some(false) => (HostError::CredentialNotS3, format!("the identity of {url} is not S3 Access Key")),
            };
            return Err(self.fail_instance(endpoint, error, &why));
        }
        Ok(())
    }

    pub(super) fn report_blocking(&mut self, endpoint: &str) {
        for name in self.credentials.names.clone() {
            let lower = name.to_ascii_lowercase();
            let is_declared = is_listed(&name, &self.asked.credentials) || is_listed(&name, &self.asked.foreign);
            if is_declared || !self.credentials.by_name.get(&lower).is_some_and(|listed| listed.is_s3) {
                continue;
            }
            let prefix = self.asked.proof_prefix.to_ascii_lowercase();
            let mut urls = self.asked.credentials.iter().map(|url| url.to_ascii_lowercase());
            if urls.clone().any(|url| lower.starts_with(&format!("{url}/{prefix}/"))) {
                continue;
            }
            let why = if urls.any(|url| lower.starts_with(&format!("{url}/"))) { "shadows" } else { "undeclared" };
            self.log(&format!("{endpoint}: the credential {name} blocks retirement: {why}"));
            let (instance, credential) = (self.json_text(endpoint), self.json_text(&name));
            let item = format!("{{\"instance\":\"{instance}\",\"credential\":\"{credential}\",\"why\":\"{why}\"}}");
            self.blocking.push(item);
        }
    }

    // ---- SQL ----

    pub(super) async fn run_sql(&mut self, endpoint: &str, statement: &str) -> Result<Sql, Halt> {
        let data_source = format!("tcp:{endpoint}");
        let login = ["-S", data_source.as_str(), "-U", self.administrator.as_str()];
        let trust = self.asked.trust_server_certificate.then_some("-C");
        let arguments = login.into_iter().chain(SQLCMD_OPTIONS).chain(trust).map(str::to_owned).collect();
        let call = Call {
            program: "sqlcmd".to_owned(),
            arguments,
            stdin: format!("{statement}\nGO\n").into_bytes(),
            environment: vec![("SQLCMDPASSWORD".to_owned(), self.administrator_password.clone())],
            environment_names: vec!["SQLCMDPASSWORD".to_owned()],
        };
        let reply = self.call(call).await?;
        let output = [reply.stdout, reply.stderr].concat();
        let output = String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned();
        Ok(if reply.exit_code == 0 { Ok(output) } else { Err(output) })
    }
}

/// A server that is there and is not trusted, or does not answer in time, is not absent.
fn nobody_listens(said: &str) -> bool {
    let is_refused = ["SSL Provider", "certificate"].iter().any(|words| said.contains(words));
    let codes = ["Error code 0x2749", "Error code 0x274D", "Error code 0x2AF9", "connection refused", "no such host"];
    !is_refused && codes.iter().any(|code| said.contains(code))
}

/// Names what SQL Server said, by its message numbers; the client has none for what it says itself.
pub(super) fn sql_failure(said: &str, anything_else: HostError) -> HostError {
    let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if says(&["Login failed for user", "Msg 4060,"]) {
        HostError::LoginFailed
    } else if says(&["Msg 15247,", "Msg 15151,"]) {
        HostError::AlterNotPermitted
    } else if says(&["Msg 262,", "Msg 916,"]) {
        HostError::BackupNotPermitted
    } else if says(&["Msg 3023,"]) {
        HostError::ModelBusy
    } else if says(&["Msg ", "Query timeout expired"]) {
        anything_else
    } else {
        HostError::ConnectFailed
    }
}
