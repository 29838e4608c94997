//! The program itself: it says where it is, and ends with all that it started when it is told to.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::*;

/// The program with the example fleet, and the lines that it prints.
fn program(options: &[&str]) -> (Child, tokio::io::Lines<BufReader<tokio::process::ChildStdout>>) {
    let example = |name: &str| format!("{}/examples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["serve", "--fleet", &example("fleet"), "--settings", &example("settings")])
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    (child, lines)
}

/// The processes whose parent is `parent`, as /proc has them.
fn children_of(parent: u32) -> Vec<u32> {
    let stat = |entry: std::fs::DirEntry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the program's name, which is in brackets: state, parent.
        let found: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (found == parent).then_some(id)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(stat).collect()
}

/// The temporary folders of a process.
fn folders_of(id: u32) -> Vec<String> {
    let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&format!("credential-rotation-{id}-"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_listens_and_ends_its_functions_when_it_is_told_to() {
    for signal in ["INT", "TERM", "HUP"] {
        let (mut child, mut lines) = program(&[]);
        let first = lines.next_line().await.unwrap().unwrap();
        let url = first.strip_prefix("listening on http://127.0.0.1:").unwrap_or_else(|| panic!("{first}"));
        let port: u16 = url.parse().unwrap();
        let machine = lines.next_line().await.unwrap().unwrap();
        let arn = machine.strip_prefix("state machine ").unwrap_or_else(|| panic!("{machine}"));
        assert_eq!(
            lines.next_line().await.unwrap().unwrap(),
            "topic arn:aws:sns:eu-west-1:111122223333:credential-rotation"
        );
        let client = aws_sdk_sfn::Client::from_conf(
            aws_sdk_sfn::Config::builder()
                .behavior_version(aws_sdk_sfn::config::BehaviorVersion::latest())
                .region(aws_sdk_sfn::config::Region::new(REGION))
                .credentials_provider(aws_sdk_sfn::config::Credentials::new("person", "person", None, None, "a test"))
                .endpoint_url(format!("http://127.0.0.1:{port}"))
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build(),
        );
        client.start_execution().state_machine_arn(arn).send().await.unwrap();
        // It is in the middle of its work, with functions and scripts, when a host has answered.
        while !lines.next_line().await.unwrap().unwrap().contains("answered") {}
        let id = child.id().unwrap();
        let children = children_of(id);
        assert!(!children.is_empty(), "the functions are its children");
        assert_ne!(folders_of(id), Vec::<String>::new(), "its hosts have a folder");
        let told = Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]).status().await.unwrap();
        assert!(told.success());
        // It prints on until it ends, and nobody must be in its way.
        while lines.next_line().await.unwrap().is_some() {}
        assert!(child.wait().await.unwrap().success(), "{signal}");
        let left: Vec<&u32> =
            children.iter().filter(|id| std::path::Path::new(&format!("/proc/{id}")).exists()).collect();
        assert!(left.is_empty(), "{left:?} outlived it after {signal}");
        assert_eq!(folders_of(id), Vec::<String>::new(), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (child, _lines) = program(&["--port", &port]);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with(&format!("port {port} of 127.0.0.1")) && said.contains("--port"), "{said}");
}

/// How the program ends with these arguments, and what it says then.
async fn ending(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox")).args(arguments).output().await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_is_no_json_is_refused_before_anything_runs() {
    let (code, said) = ending(&["rotate", "--fleet", "x", "--settings", "x", "--input", "{"]).await;
    assert!(code == Some(2) && said.contains("--input") && said.contains("no JSON"), "{code:?}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_file_with_an_id_that_is_a_path_is_refused_with_its_place() {
    let example = |name: &str| format!("{}/examples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut fleet: Value = serde_json::from_str(&std::fs::read_to_string(example("fleet")).unwrap()).unwrap();
    fleet["hosts"][3]["id"] = json!("../elsewhere");
    let path = std::env::temp_dir().join(format!("sandbox-fleet-{}.json", std::process::id()));
    std::fs::write(&path, fleet.to_string()).unwrap();
    let path = path.to_str().unwrap();
    let (code, said) = ending(&["rotate", "--fleet", path, "--settings", &example("settings")]).await;
    std::fs::remove_file(path).unwrap();
    assert!(code == Some(2) && said.contains("`hosts[3].id`") && said.contains(path), "{code:?}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chapter_whose_run_ends_otherwise_than_it_says_ends_the_story() {
    let chapter =
        |expect: Value| json!({ "say": "A day later.", "days": 1, "run": { "mode": "converge" }, "expect": expect });
    let late = json!({ "say": "This is never told.", "run": { "mode": "converge" } });
    let (code, shown) = told(json!([chapter(json!("ProofsMissing")), late])).await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("execution-2 was to end with ProofsMissing, and ended with success"), "{shown}");
    assert!(!shown.contains("never told"), "{shown}");
    let (code, shown) = told(json!([chapter(Value::Null)])).await;
    assert_eq!(code, Some(0), "{shown}");
}

/// How the program ends that tells this story of one host, and what it shows.
async fn told(story: Value) -> (Option<i32>, String) {
    let example = |name: &str| format!("{}/examples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut fleet: Value = serde_json::from_str(&std::fs::read_to_string(example("fleet")).unwrap()).unwrap();
    fleet["hosts"].as_array_mut().unwrap().truncate(1);
    fleet["story"] = story;
    let folder = folder_of_this_test();
    let (file, report) = (folder.join("fleet.json"), folder.join("report.html"));
    std::fs::write(&file, fleet.to_string()).unwrap();
    let settings = example("settings");
    let arguments =
        ["rotate", "--fleet", file.to_str().unwrap(), "--settings", &settings, "--report", report.to_str().unwrap()];
    let output = Command::new(env!("CARGO_BIN_EXE_sandbox")).args(arguments).output().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A folder for this test alone.
fn folder_of_this_test() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("sandbox-story-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
