//! Names that hold together: the state machine, the crates, the scripts, the document and the README say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use integration_tests::*;
use rotation::StepError;
use rotation::host_answer::HostError;
use rotation::permissions::{Principal, Resources};
use rotation::verdict::JUDGEMENTS;
use sandbox::functions_folder::{FUNCTIONS, token_of};
use sandbox::host::document;
use sandbox::settings_file::{complete, read_json};
use sandbox::world::repository;
use serde_json::{Value, json};

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn definition() -> Value {
    serde_json::from_str(&read("statemachine/rotation.asl.json")).expect("the definition is JSON before substitution")
}

/// Every state of a machine with its name, those inside a Map included, in file order.
fn states(machine: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, state) in machine["States"].as_object().unwrap() {
        all.push((name.clone(), state.clone()));
        if let Some(inner) = state.get("ItemProcessor") {
            all.extend(states(inner));
        }
    }
    all
}

fn tasks() -> Vec<(String, Value)> {
    states(&definition()).into_iter().filter(|(_, state)| state["Type"] == "Task").collect()
}

fn functions_called() -> Vec<(String, Value)> {
    tasks().into_iter().filter(|(_, state)| state["Resource"].as_str().unwrap().starts_with("${")).collect()
}

/// The first cell of every row of a README section, without its backquotes.
fn rows(section: &str) -> BTreeSet<String> {
    let readme = read("README.md");
    let start = readme.find(&format!("## {section}")).unwrap_or_else(|| panic!("the README has no section {section}"));
    let rest = &readme[start + 3..];
    let text = &rest[..rest.find("\n## ").unwrap_or(rest.len())];
    text.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

fn error_names(of: &Value, list: &str) -> Vec<String> {
    let entries = of[list].as_array().into_iter().flatten();
    let names = entries.flat_map(|entry| entry["ErrorEquals"].as_array().unwrap());
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_function_state_has_its_crate_its_token_and_its_row() {
    let readme = read("README.md");
    let mut called = BTreeSet::new();
    for (name, state) in functions_called() {
        let token = state["Resource"].as_str().unwrap().trim_matches(['$', '{', '}']).to_owned();
        // Each kind of credential has a function of its own for some states.
        let functions: Vec<&str> = FUNCTIONS.into_iter().filter(|function| token_of(function) == token).collect();
        assert!(!functions.is_empty(), "{name} calls {token}, which is no function");
        for function in functions {
            assert!(repository().join("functions").join(function).join("src/main.rs").exists(), "{function}");
            assert!(readme.contains(&format!("| `{name}` | `{function}` |")), "the README has no row for {function}");
            called.insert(function);
        }
    }
    assert_eq!(called, BTreeSet::from(FUNCTIONS), "every function is called by a state");
}

#[test]
fn every_crate_with_a_main_is_a_function_that_the_sandbox_deploys() {
    let folders = fs::read_dir(repository().join("functions")).unwrap().map(|entry| entry.unwrap().path());
    // Secrets Manager calls the one for database users, and no state machine.
    let is_of_the_machine = |folder: &PathBuf| !folder.ends_with("rotate-database-user");
    let with_main = folders.filter(|folder| folder.join("src/main.rs").exists()).filter(is_of_the_machine);
    let names: BTreeSet<String> =
        with_main.map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, FUNCTIONS.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn every_error_of_ours_is_caught_or_retried_by_name_and_every_name_is_ours_or_aws() {
    let mut named = BTreeSet::new();
    for (_, state) in functions_called() {
        named.extend(error_names(&state, "Catch"));
        named.extend(error_names(&state, "Retry"));
    }
    for name in StepError::NAMES {
        assert!(named.contains(*name), "no ErrorEquals names {name}");
    }
    let is_aws = |name: &String| name.contains('.');
    let unknown: Vec<&String> =
        named.iter().filter(|name| !is_aws(name) && !StepError::NAMES.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "nothing raises {unknown:?}");
}

#[test]
fn every_error_has_its_row_under_when_it_fails() {
    let rows = rows("When it fails");
    let judgements = JUDGEMENTS.iter().map(|(name, _)| *name);
    let hosts = HostError::ALL.iter().map(|error| error.name());
    for name in StepError::NAMES.iter().copied().chain(hosts).chain(judgements) {
        assert!(rows.contains(name), "the README's table lacks {name}");
    }
}

#[test]
fn every_state_says_in_a_sentence_what_it_is_for() {
    for (name, state) in states(&definition()) {
        let comment = state["Comment"].as_str().unwrap_or_else(|| panic!("{name} has no Comment"));
        assert!(comment.ends_with('.') && comment.len() > 20, "{name}: {comment}");
    }
}

/// Every Rust source below a folder, in one text.
fn sources(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

#[test]
fn every_proof_that_the_readme_names_is_a_test() {
    let readme = read("README.md");
    let start = readme.find("## Guarantees").unwrap();
    let guarantees = &readme[start..start + readme[start..].find("## A fleet file").unwrap()];
    let words = guarantees.split('`').skip(1).step_by(2);
    let proofs: Vec<&str> = words.filter(|word| word.matches('_').count() > 3).collect();
    assert!(proofs.len() > 40, "the guarantees name their proofs");
    let all = sources(&repository().join("functions")) + &sources(&repository().join("tests"));
    for proof in proofs {
        assert!(all.contains(&format!("fn {proof}()")), "no test is called {proof}");
    }
}

#[test]
fn every_state_is_in_the_readmes_picture() {
    let readme = read("README.md");
    let start = readme.find("```mermaid").unwrap();
    let rest = &readme[start + 3..];
    let picture = &rest[..rest.find("```").unwrap()];
    for (name, _) in states(&definition()) {
        assert!(picture.contains(&name), "{name} is not in the picture");
    }
}

#[test]
fn every_task_outlasts_its_function_retries_alike_and_catches_everything() {
    let all = functions_called();
    let retry = &all[0].1["Retry"];
    for (name, state) in &all {
        assert!(state["TimeoutSeconds"].as_u64().unwrap() > 60, "{name} gives up before its function does");
        assert_eq!(&state["Retry"], retry, "{name} retries in its own way");
        let last = state["Catch"].as_array().unwrap().last().unwrap();
        assert_eq!(last["ErrorEquals"], serde_json::json!(["States.ALL"]), "{name}");
    }
    assert!(definition()["TimeoutSeconds"].as_u64().unwrap() > 3600, "the machine has a time limit");
}

/// A platform's script of a document, by the ending of the files that it is spliced from; none where the document is for
/// the other platform.
fn script(document: &str, ending: &str) -> Option<String> {
    let folder = format!("statemachine/documents/{document}");
    let written: Value = serde_json::from_str(&read(&format!("{folder}/document.json"))).unwrap();
    let steps = written["mainSteps"].as_array().unwrap().iter();
    let lines = steps.flat_map(|step| step["inputs"]["runCommand"].as_array().unwrap());
    let names = lines.filter_map(|line| line.as_str()?.strip_prefix("{{script:")?.strip_suffix("}}"));
    let files: Vec<String> =
        names.filter(|name| name.ends_with(ending)).map(|name| read(&format!("{folder}/{name}"))).collect();
    (!files.is_empty()).then(|| files.concat())
}

#[test]
fn the_documents_parameters_are_those_that_are_sent_and_those_that_the_scripts_read() {
    let sender = read("functions/send-command/src/errand.rs");
    for name in document::NAMES {
        let built = document::build(&repository().join("statemachine/documents").join(name)).unwrap();
        let declared: BTreeSet<String> = built["parameters"].as_object().unwrap().keys().cloned().collect();
        let (linux, windows) = (script(name, ".sh"), script(name, ".ps1"));
        assert!(linux.is_some() || windows.is_some(), "{name} is for no platform");
        for parameter in &declared {
            assert!(sender.contains(&format!("(\"{parameter}\",")), "send-command does not send {parameter}");
            if let Some(linux) = &linux {
                let is_read = linux.contains(&format!("SSM_{parameter}-'{{{{ {parameter} }}}}'"));
                assert_eq!(is_read, parameter != "executionTimeout", "{name}, Linux: {parameter}");
            }
            if let Some(windows) = &windows {
                // Windows finds its instances by itself.
                let is_read = windows.contains(&format!("$env:SSM_{parameter} '{{{{ {parameter} }}}}'"));
                assert_eq!(
                    is_read,
                    !["endpoints", "executionTimeout"].contains(&parameter.as_str()),
                    "{name}: {parameter}"
                );
            }
        }
        let sent = sender.matches("(\"").count();
        assert!(sent >= declared.len(), "the table of parameters was found");
    }
}

#[test]
fn each_document_fits_ssm_and_every_pattern_is_anchored() {
    for name in document::NAMES {
        let built = document::build(&repository().join("statemachine/documents").join(name)).unwrap();
        assert!(built.to_string().len() < 64 * 1024, "SSM takes 64 KB (FACTS C)");
        for (parameter, described) in built["parameters"].as_object().unwrap() {
            let pattern = described["allowedPattern"].as_str().unwrap_or_else(|| panic!("{parameter} has no pattern"));
            // The agent's match is not anchored (EMULATORS.md).
            assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{name}: {parameter}: {pattern}");
        }
    }
}

#[test]
fn the_documents_that_the_settings_name_by_default_are_those_of_this_repository() {
    let schema: Value = serde_json::from_str(&read("statemachine/settings.schema.json")).unwrap();
    for (branch, names) in [("else", document::OF_S3_CREDENTIALS), ("then", document::OF_SQL_LOGINS)] {
        let default = |member: &str| schema[branch]["properties"][member]["properties"]["name"]["default"].as_str();
        assert_eq!(["document", "inspectDocument"].map(default), names.map(Some));
    }
}

/// What the deployment grants to each function, as the snapshot of its tests lists it.
fn granted() -> BTreeMap<String, BTreeSet<String>> {
    serde_json::from_str(&read("cdk/test/snapshots/permissions.json")).expect("a list of actions for each function")
}

/// What the functions ask for by the table that a plan has IAM simulate, over hosts of their own account and of another.
fn asked() -> BTreeMap<String, BTreeSet<String>> {
    let role = "arn:aws:iam::444455556666:role/credential-rotation";
    let targets = json!([
        { "account": ACCOUNT, "regions": [HOME] },
        { "account": "444455556666", "role": role, "regions": [HOME] }
    ]);
    let schema = read_json(&repository().join("statemachine/settings.schema.json")).unwrap();
    let (secret, user) = ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:s", "arn:aws:iam::111122223333:user/u");
    let mut asked = BTreeMap::<String, BTreeSet<String>>::new();
    for of_kind in [settings(), login_settings(&["app"])] {
        let (_, settings) = complete(&schema, with(of_kind, json!({ "fleet": { "targets": targets } }))).unwrap();
        let hosts: Vec<_> = settings.places().into_iter().map(|place| (place, id(1).as_str().into())).collect();
        for need in (Resources { settings: &settings, secret, user, executions: "e", hosts: &hosts }).needs() {
            if let Principal::Function(function) = need.principal {
                asked.entry(function.to_owned()).or_default().insert(need.action.to_owned());
            }
        }
    }
    asked
}

#[test]
fn the_deployment_grants_each_function_what_a_plan_asks_about_and_nothing_else() {
    /// What Secrets Manager asks of KMS in a function's name; the key's own policy has a say, which no simulation sees.
    const THROUGH_SECRETS_MANAGER: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];
    /// Asking itself: a plan finds out by doing.
    const ASKING: &str = "iam:SimulatePrincipalPolicy";
    let simulated = |action: &String| !THROUGH_SECRETS_MANAGER.contains(&action.as_str()) && action != ASKING;
    let granted =
        granted().into_iter().map(|(function, actions)| (function, actions.into_iter().filter(simulated).collect()));
    assert_eq!(granted.collect::<BTreeMap<_, BTreeSet<_>>>(), asked());
}
