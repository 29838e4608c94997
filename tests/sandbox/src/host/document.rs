//! Builds an SSM document from its folder: one rule, the same for the local AWS and for the CDK app.
//!
//! A string that is exactly `{{script:NAME}}` is replaced by the text of the file NAME, a path that begins at the
//! document's folder, without the indentation of its lines, without blank lines and without those that are a comment and nothing else (both scripts'
//! comments begin with `#`); a first line `#!…` stays. So the scripts stay real files that can be linted, tested and
//! explained, and both together with a command's parameters fit the 64 KB that SSM takes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The most that SSM takes as a document's content (FACTS C).
const CONTENT_LIMIT_BYTES: usize = 64 * 1024;

/// The folders below `statemachine/documents` that are documents, each under its own name in SSM.
pub const NAMES: [&str; 6] = [
    "apply-s3-credential",
    "inspect-s3-credential",
    "apply-sql-login",
    "inspect-sql-login",
    "apply-sql-login-windows",
    "inspect-sql-login-windows",
];

/// Those of S3 credentials: the one that changes a host, and the one that only looks.
pub const OF_S3_CREDENTIALS: [&str; 2] = [NAMES[0], NAMES[1]];

/// Those of SQL Server logins, likewise, for hosts of Linux.
pub const OF_SQL_LOGINS: [&str; 2] = [NAMES[2], NAMES[3]];

/// The same for hosts of Windows: both platforms' scripts together are longer than SSM takes.
pub const OF_SQL_LOGINS_ON_WINDOWS: [&str; 2] = [NAMES[4], NAMES[5]];

/// A folder that gives no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A file of the folder cannot be read.
    #[error("{path} cannot be read: {source}; the document's folder must hold document.json and its scripts")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `document.json` is no JSON.
    #[error("{path} is no JSON: {source}; correct it at that place")]
    NotJson {
        /// Which file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
    /// SSM would refuse the document.
    #[error("the document in {folder} has {bytes} bytes, and SSM takes {CONTENT_LIMIT_BYTES}: shorten its scripts")]
    TooLong {
        /// Which folder.
        folder: PathBuf,
        /// How long it is.
        bytes: usize,
    },
}

/// The document of a folder, with its scripts in their places.
///
/// # Errors
/// When a file is missing or malformed, or the whole is longer than SSM takes.
pub fn build(folder: &Path) -> Result<Value, DocumentError> {
    let path = folder.join("document.json");
    let mut document: Value =
        serde_json::from_str(&read(&path)?).map_err(|source| DocumentError::NotJson { path, source })?;
    splice(&mut document, folder)?;
    let bytes = document.to_string().len();
    if bytes > CONTENT_LIMIT_BYTES {
        return Err(DocumentError::TooLong { folder: folder.to_owned(), bytes });
    }
    Ok(document)
}

fn splice(value: &mut Value, folder: &Path) -> Result<(), DocumentError> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| splice(item, folder)),
        Value::Object(members) => members.values_mut().try_for_each(|member| splice(member, folder)),
        Value::String(text) => {
            if let Some(name) = script_name(text) {
                let script = read(&folder.join(name))?;
                *text = lines_that_run(&script).collect::<Vec<_>>().join("\n");
            }
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// All of a script that runs.
fn lines_that_run(script: &str) -> impl Iterator<Item = &str> {
    let is_comment = |line: &&str| line.is_empty() || (line.starts_with('#') && !line.starts_with("#!"));
    script.lines().map(str::trim_start).filter(move |line| !is_comment(line))
}

fn script_name(text: &str) -> Option<&str> {
    text.strip_prefix("{{script:")?.strip_suffix("}}")
}

fn read(path: &Path) -> Result<String, DocumentError> {
    fs::read_to_string(path).map_err(|source| DocumentError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn documents() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/documents")
    }

    fn built(name: &str) -> Value {
        build(&documents().join(name)).unwrap()
    }

    fn steps(document: &Value) -> Vec<(String, String)> {
        let steps = document["mainSteps"].as_array().unwrap().iter();
        steps
            .map(|step| {
                let lines = step["inputs"]["runCommand"].as_array().unwrap().iter();
                let script = lines.map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n");
                (step["precondition"]["StringEquals"][1].as_str().unwrap().to_owned(), script)
            })
            .collect()
    }

    /// The platforms of a document, each with the files of its script below `statemachine/documents`.
    fn scripts(name: &str) -> Vec<(&'static str, Vec<String>)> {
        let (own, kind) = name.split_once('-').unwrap();
        let shared: &[(&str, &[&str], &str)] = match kind {
            "s3-credential" => &[
                ("Linux", &["linux.sh", "credentials.sh"], "sh"),
                ("Windows", &["windows.ps1", "credentials.ps1"], "ps1"),
            ],
            "sql-login" => &[("Linux", &["linux.sh", "logins.sh"], "sh")],
            _ => &[("Windows", &["windows.ps1", "logins.ps1"], "ps1")],
        };
        let folder = name.trim_end_matches("-windows");
        let files = |shared: &[&str], ending: &str| {
            let marker = Some("marker.sh").filter(|_| (own, ending) == ("apply", "sh"));
            let shared = shared.iter().copied().chain(marker).map(|file| format!("host/{file}"));
            shared.chain([format!("{folder}/{own}.{ending}")]).collect()
        };
        shared.iter().map(|(platform, shared, ending)| (*platform, files(shared, ending))).collect()
    }

    #[test]
    fn each_platform_has_its_script_and_loses_nothing_that_runs() {
        for name in NAMES {
            let steps = steps(&built(name));
            assert_eq!(steps.len(), scripts(name).len());
            for ((platform, script), (expected, files)) in steps.into_iter().zip(scripts(name)) {
                assert_eq!(platform, expected);
                let read = |file: &String| fs::read_to_string(documents().join(file)).unwrap();
                let whole: String = files.iter().map(read).collect();
                let kept: Vec<&str> = script.lines().collect();
                let mut next = 0;
                for line in whole.lines().map(str::trim_start) {
                    if kept.get(next) == Some(&line) {
                        next += 1;
                    } else {
                        assert!(line.is_empty() || line.starts_with('#'), "{files:?} lost a line that runs: {line}");
                    }
                }
                assert_eq!(next, kept.len(), "{files:?} gained a line");
            }
        }
    }

    #[test]
    fn no_script_has_a_text_over_several_lines_that_its_indentation_or_a_number_sign_is_part_of() {
        for file in NAMES.into_iter().flat_map(scripts).flat_map(|(_, files)| files) {
            let here = if file.ends_with(".sh") { "<<" } else { "@\"" };
            let script = fs::read_to_string(documents().join(&file)).unwrap();
            let opens = |line: &&str| !line.trim_start().starts_with('#') && line.replace("<<<", "").contains(here);
            let found: Vec<&str> = script.lines().filter(opens).filter(|line| !line.contains("((")).collect();
            assert!(found.is_empty(), "{file}: {found:?}");
        }
    }

    #[test]
    fn every_parameter_is_declared_used_and_anchored() {
        for document in NAMES.map(built) {
            let declared = document["parameters"].as_object().unwrap();
            for (name, parameter) in declared {
                let pattern = parameter["allowedPattern"].as_str().unwrap();
                assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{name}: {pattern}");
                assert_eq!(parameter["type"], "String", "{name}");
                // timeoutSeconds is no script, so its parameter is always replaced as text.
                assert_eq!(parameter["interpolationType"] == "ENV_VAR", name != "executionTimeout", "{name}");
            }
            let declared: BTreeSet<&str> = declared.keys().map(String::as_str).collect();
            for step in document["mainSteps"].as_array().unwrap() {
                let text = step.to_string();
                let used: BTreeSet<&str> =
                    text.split("{{ ").skip(1).map(|rest| rest.split(" }}").next().unwrap()).collect();
                // Windows finds its instances in the registry.
                let not_used: BTreeSet<&str> = declared.difference(&used).copied().collect();
                let is_windows = step["precondition"]["StringEquals"][1] == "Windows";
                assert_eq!(not_used, BTreeSet::from_iter(is_windows.then_some("endpoints")), "{}", step["name"]);
                assert!(used.is_subset(&declared), "{}: {used:?}", step["name"]);
            }
        }
    }

    #[test]
    fn both_documents_take_a_parameter_by_the_same_pattern_and_default() {
        let parameters = |document: &str| {
            let mut parameters = built(document)["parameters"].as_object().unwrap().clone();
            // Of what a parameter is for they say different things.
            parameters.values_mut().for_each(|parameter| parameter["description"] = Value::Null);
            parameters
        };
        let [mut apply, inspect] = OF_S3_CREDENTIALS.map(parameters);
        assert!(apply.remove("proof").is_some(), "an inspection proves nothing");
        assert_eq!(apply, inspect);
        let [apply, inspect] = OF_SQL_LOGINS.map(parameters);
        assert_eq!(apply, inspect);
    }

    #[test]
    fn the_documents_of_logins_differ_by_nothing_but_their_platform() {
        for (linux, windows) in OF_SQL_LOGINS.into_iter().zip(OF_SQL_LOGINS_ON_WINDOWS) {
            let [linux, windows] = [linux, windows].map(|name| {
                let mut document = built(name);
                document.as_object_mut().unwrap().remove("mainSteps");
                document
            });
            assert_eq!(linux, windows);
        }
    }

    /// Every word of a script that could make, change or drop a credential, or back up: an uppercase CREDENTIAL that is
    /// not part of a longer word, and BACKUP, but for the names of the two rights that SQL Server is asked for.
    fn words_that_change(script: &str) -> Vec<String> {
        const RIGHTS: [&str; 2] = [
            "HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL')",
            "HAS_PERMS_BY_NAME(N'model', N'DATABASE', N'BACKUP DATABASE')",
        ];
        let without = RIGHTS.iter().fold(script.to_owned(), |script, right| script.replacen(right, "", 1));
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let lines = without.lines().filter(|line| !line.contains("lacks ALTER ANY CREDENTIAL"));
        let words = |line: &str| line.split(|character| !is_part(character)).map(str::to_owned).collect::<Vec<_>>();
        lines
            .flat_map(words)
            .filter(|word| ["CREDENTIAL", "BACKUP", "RESTORE", "EXEC"].contains(&word.as_str()))
            .collect()
    }

    #[test]
    fn the_inspection_has_no_statement_that_changes_anything_and_no_way_to_call_with_the_key() {
        for (platform, script) in steps(&built("inspect-s3-credential")) {
            assert_eq!(words_that_change(&script), Vec::<String>::new(), "{platform}");
            assert!(!script.contains("with_access_key") && !script.contains("get-caller-identity"), "{platform}");
        }
        for (platform, script) in steps(&built("apply-s3-credential")) {
            let found: BTreeSet<String> = words_that_change(&script).into_iter().collect();
            assert_eq!(found, BTreeSet::from(["BACKUP", "CREDENTIAL"].map(str::to_owned)), "{platform}: the test sees");
        }
    }

    /// What a person who may edit the settings, and nothing else, could try to smuggle onto every host of a fleet.
    const HOSTILE: [&str; 14] = [
        "x'y",
        "x\"y",
        "x$(reboot)",
        "x`reboot`",
        "x;reboot",
        "x&reboot",
        "x|reboot",
        "x\nreboot",
        "x\r\nreboot",
        "x]y",
        "[x",
        "x{{ secretArn }}",
        "x\\",
        "x\0y",
    ];

    #[test]
    fn no_pattern_lets_a_hostile_value_through() {
        // Those that inspect have the same (see above), but for one parameter that they lack.
        let documents = [OF_S3_CREDENTIALS[0], OF_SQL_LOGINS[0]].map(built);
        for (name, parameter) in documents.iter().flat_map(|document| document["parameters"].as_object().unwrap()) {
            let pattern = regex_lite::Regex::new(parameter["allowedPattern"].as_str().unwrap()).unwrap();
            let good = good_value(name);
            assert!(pattern.is_match(good), "{name} takes {good}");
            for hostile in HOSTILE {
                for value in
                    [hostile.to_owned(), format!("{good}{hostile}"), format!("{hostile}{good}"), format!("{good}\n")]
                {
                    assert!(!pattern.is_match(&value), "{name} takes {value:?}");
                }
            }
            // Go refuses counts beyond 1,000 with their nesting, so a list's words have no length of their own here; the
            // scripts measure them.
            if !["credentials", "foreignCredentials", "endpoints"].contains(&name.as_str()) {
                assert!(!pattern.is_match(&good.repeat(2_000)), "{name} takes a value without end");
            }
        }
    }

    fn good_value(parameter: &str) -> &'static str {
        match parameter {
            "secretArn" | "administratorSecretArn" => {
                "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/sqlcredential-AbCdEf"
            }
            "versionId" => "00000000-0000-0000-0000-00000000000a",
            "credentials" | "foreignCredentials" => "s3://sql-backups.s3.eu-west-1.amazonaws.com:443/prod",
            "endpoints" => "sql-1.example.com,1434",
            "proof" => "backup",
            "createMissing" | "trustServerCertificate" | "unlock" | "provision" => "true",
            "whileInUse" => "refuse",
            "logins" | "instances" | "containedDatabases" | "replicaGroups" => "WyJhcHAiXQ==",
            "executionTimeout" => "300",
            "proofPrefix" => ".credential-rotation",
            _ => "sql-backups",
        }
    }

    #[test]
    fn each_document_leaves_room_for_the_longest_parameters_of_a_command() {
        for document in NAMES {
            let bytes = built(document).to_string().len();
            // Two ARNs of 600 characters at most, and what is fixed.
            let lists = match OF_S3_CREDENTIALS.contains(&document) {
                true => rotation::settings::LISTS_OF_A_COMMAND,
                // Base64 of JSON, in which each quotation mark of a name takes two characters more.
                false => rotation::settings::NAMES_OF_A_COMMAND * 8 / 3,
            };
            let parameters = lists + 2 * 600 + 500;
            assert!(bytes + parameters <= CONTENT_LIMIT_BYTES, "{document}: {bytes} bytes, {parameters} of parameters");
        }
    }

    #[test]
    fn the_inspection_of_logins_only_asks() {
        let changes = [
            "ALTER LOGIN",
            "ALTER USER",
            "CREATE ",
            "DROP ",
            "GRANT [",
            "change_in",
            "log_in ",
            "Send-Change",
            "Test-LogIn",
        ];
        let found = |document: &str| -> Vec<&str> {
            let scripts: String = steps(&built(document)).into_iter().map(|(_, script)| script).collect();
            changes.into_iter().filter(|change| scripts.contains(change)).collect()
        };
        for [apply, inspect] in [OF_SQL_LOGINS, OF_SQL_LOGINS_ON_WINDOWS] {
            assert_eq!(found(inspect), Vec::<&str>::new());
            assert!(found(apply).len() > 3, "the test sees");
        }
    }

    #[test]
    fn a_missing_script_is_named() {
        let error = build(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/document.json cannot be read"), "{error}");
    }
}
