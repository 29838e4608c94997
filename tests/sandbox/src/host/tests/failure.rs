//! What fails on a host: named, and with the working credential kept.

use super::*;

#[tokio::test]
async fn a_host_where_the_new_key_does_not_work_keeps_its_old_one() {
    let mut world = world("unknown-key", vec![("localhost", sql_server(16))]);
    world.cloud().known_keys = vec![OLD_KEY];
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.counts()), (1, (0, 0, 0, 1)));
    assert_eq!(outcome.errors(), [(HostError::ProofFailed, "localhost")]);
    assert!(outcome.answer.failures[0].message.contains("Msg 3201"), "{:?}", outcome.answer.failures);
    assert_eq!(world.held("localhost"), one_credential(OLD_KEY));
}

/// A host that holds the old version by its marker, and is then asked for the new one.
async fn world_that_holds_the_old_version(name: &str) -> World {
    let mut world = world(name, vec![("localhost", sql_server(16))]);
    world.cloud().labels.remove("AWSPENDING");
    world.set("versionId", OLD);
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0));
    world.cloud().labels.insert("AWSPENDING", NEW);
    world.set("versionId", NEW);
    world
}

#[tokio::test]
async fn a_proof_that_fails_after_the_alter_puts_the_old_version_back() {
    let mut world = world_that_holds_the_old_version("restored").await;
    world.instance("localhost", |server| server.faults.refused_held_backups = 1);
    let outcome = world.run().await;
    assert_eq!(outcome.errors(), [(HostError::ProofFailedRestored, "localhost")]);
    assert_eq!((outcome.exit_code, outcome.answer.proved), (1, 0));
    assert_eq!(outcome.answer.found.as_deref(), Some(OLD));
    let secret = world.instance("localhost", |server| server.credentials[URL].secret.clone());
    assert_eq!(secret, Some(format!("{}:{}", OLD_KEY.0, OLD_KEY.1)));
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0), "the next command succeeds");
}

#[tokio::test]
async fn what_cannot_be_put_back_is_said_so() {
    let mut world = world("not-restored", vec![("localhost", sql_server(16))]);
    world.instance("localhost", |server| server.faults.refused_held_backups = 1);
    assert_eq!(world.run().await.errors(), [(HostError::ProofFailedNotRestored, "localhost")]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_touches_nothing() {
    let mut world = world("denied", vec![("localhost", sql_server(16))]);
    world.cloud().readable = false;
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.errors()), (2, vec![(HostError::SecretNotReadable, "")]));
    assert!(outcome.answer.failures[0].message.contains("AccessDeniedException"));
    assert_eq!(outcome.answer.version, None);
}

#[tokio::test]
async fn a_value_that_is_no_key_touches_nothing() {
    for (number, value) in
        ["", "AKIANEW0000000000000", "{\"accessKeyId\":\"x\"", "AKIANEW0000000000000:a:b"].iter().enumerate()
    {
        let mut world = world(&format!("no-key-{number}"), vec![("localhost", sql_server(16))]);
        world.cloud().values.insert(NEW, (*value).to_owned());
        let outcome = world.run().await;
        assert_eq!((outcome.exit_code, outcome.errors()), (2, vec![(HostError::SecretValueInvalid, "")]), "{value}");
        assert_eq!(world.held("localhost"), one_credential(OLD_KEY));
    }
}

#[tokio::test]
async fn failures_of_sql_server_are_told_apart() {
    type Breakage = fn(&mut SqlServer);
    let situations: [(&str, Breakage, HostError); 7] = [
        ("login", |server| server.logins.clear(), HostError::LoginFailed),
        ("alter-right", |server| rights(server).may_alter_any_credential = false, HostError::AlterNotPermitted),
        ("backup-right", |server| rights(server).may_back_up_model = false, HostError::BackupNotPermitted),
        ("busy", |server| server.faults.busy_backups = 1, HostError::ModelBusy),
        ("alter", |server| server.faults.failed_alters = 1, HostError::AlterFailed),
        ("certificate", |server| server.certificate_trusted = false, HostError::ConnectFailed),
        ("identity", |server| credential(server).identity = "Managed Identity".to_owned(), HostError::CredentialNotS3),
    ];
    for (name, breakage, expected) in situations {
        let mut world = world(name, vec![("localhost", sql_server(16))]);
        world.instance("localhost", breakage);
        let outcome = world.run().await;
        assert_eq!((outcome.exit_code, outcome.errors()), (1, vec![(expected, "localhost")]), "{name}");
        assert_eq!(world.held("localhost"), one_credential(OLD_KEY), "{name}");
    }
}

fn rights(server: &mut SqlServer) -> &mut Login {
    server.logins.get_mut("rotator").unwrap()
}

fn credential(server: &mut SqlServer) -> &mut Credential {
    server.credentials.get_mut(URL).unwrap()
}

#[tokio::test]
async fn a_full_disk_is_noticed_before_anything_is_touched() {
    let mut world = world("disk-full", vec![("localhost", sql_server(16))]);
    world.host.set_faults(|faults| faults.disk_full = true);
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.errors()), (2, vec![(HostError::StateNotWritable, "")]));
    assert_eq!(world.held("localhost"), one_credential(OLD_KEY));
    world.host.set_faults(|faults| faults.disk_full = false);
    assert_eq!(world.run().await.exit_code, 0);
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let mut world = world("no-sqlcmd", vec![("localhost", sql_server(16))]);
    world.host.set_faults(|faults| faults.missing_tools = vec!["sqlcmd".to_owned()]);
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.errors()), (2, vec![(HostError::ToolMissing, "")]));
    assert!(outcome.answer.failures[0].message.contains("sqlcmd"));
}

#[tokio::test]
async fn a_hanging_backup_dies_at_the_time_out_and_leaves_the_working_credential() {
    let mut world = world("hanging", vec![("localhost", sql_server(16))]);
    world.host.set_faults(|faults| faults.hanging_statement = Some("BACKUP".to_owned()));
    let steps = world.steps().await;
    assert_eq!((steps[0].status, steps[0].exit_code), (StepStatus::TimedOut, 137));
    let leftover = format!("{URL}/.credential-rotation/i-0abc");
    let key = |key: (&str, &str)| key.0.to_owned();
    assert_eq!(world.held("localhost"), [(URL.to_owned(), key(OLD_KEY)), (leftover, key(NEW_KEY))]);
    world.host.set_faults(|faults| faults.hanging_statement = None);
    assert_eq!(world.run().await.counts(), (1, 1, 0, 0), "the next command cleans up and goes on");
}

#[tokio::test]
async fn fifty_failing_instances_fit_the_answer() {
    let endpoints: Vec<String> = (0..50).map(|number| format!("sql-container-{number},1433")).collect();
    let mut world = world("fifty", Vec::new());
    world.set("endpoints", &endpoints.join(" "));
    let outcome = world.run().await;
    assert_eq!(outcome.answer.failed, 50);
    assert!(outcome.answer.failures.len() >= 3, "{}", outcome.answer.failures.len());
}

#[tokio::test]
async fn a_windows_host_skips_the_document_and_proves_nothing() {
    let mut world = world("windows", Vec::new());
    let set_up = HostSetUp { instance_id: "i-0def".to_owned(), platform: Platform::Windows, ..HostSetUp::default() };
    let cloud = Arc::clone(&world.cloud) as Arc<dyn HostCloud>;
    world.host = Host::new(set_up, world.host.clock.clone(), cloud, &world.folder).unwrap();
    let steps = world.steps().await;
    assert_eq!((steps[0].status, steps[0].exit_code), (StepStatus::Skipped, 0));
    assert!(serde_json::from_str::<HostAnswer>(&steps[0].stdout).is_err());
}

#[tokio::test]
async fn a_second_command_waits_for_the_lock_and_then_says_so() {
    let mut world = world("locked", vec![("localhost", sql_server(16))]);
    let lock = fs::File::create(world.host.root().join("state/sql-backups.lock")).unwrap();
    lock.lock().unwrap();
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.errors()), (2, vec![(HostError::LockTimeout, "")]));
    drop(lock);
    assert_eq!(world.run().await.exit_code, 0);
}

#[tokio::test]
async fn the_log_on_the_host_stays_small_and_the_marker_is_private() {
    let mut world = world("log", vec![("localhost", sql_server(16))]);
    let state = world.host.root().join("state");
    fs::write(state.join("sql-backups.log"), vec![b'x'; 300_000]).unwrap();
    world.run().await;
    assert!(fs::read_to_string(state.join("sql-backups.log")).unwrap().contains("localhost: proved, altered"));
    assert!(fs::metadata(state.join("sql-backups.log")).unwrap().len() < 10_000);
    assert_eq!(fs::metadata(state.join("sql-backups.log.1")).unwrap().len(), 300_000);
    assert_eq!(fs::metadata(state.join("sql-backups.marker")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_script_and_the_domain_know_the_same_errors() {
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT).join("linux.sh")).unwrap();
    let known: Vec<&str> = HostError::ALL.iter().map(|error| error.name()).collect();
    for error in &known {
        assert!(script.contains(error), "linux.sh never says {error}");
    }
    for before in ["fail_host ", "fail_instance ", "name_sql_failure ", "sql_failure=", "outcome="] {
        for rest in script.split(before).skip(1) {
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            let is_name = name.starts_with(|first: char| first.is_ascii_uppercase());
            assert!(!is_name || known.contains(&name.as_str()), "{before}{name} is no error of the domain");
        }
    }
}

/// A service manager that stops the agent signals the script's whole process group.
#[tokio::test]
async fn a_script_that_is_stopped_answers_all_the_same() {
    let world = world("stopped", Vec::new());
    let bin = world.folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("aws"), "#!/bin/sh\nkill -TERM 0\n").unwrap();
    fs::set_permissions(bin.join("aws"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("/bin/true", bin.join("sqlcmd")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT).join("linux.sh");
    let mut command = tokio::process::Command::new("bash");
    command.arg(script).env_clear().process_group(0);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("AWS_SSM_INSTANCE_ID", "i-0abc");
    command.env("CREDENTIAL_ROTATION_STATE_DIRECTORY", world.host.root().join("state"));
    let defaults = [("proof", "backup"), ("proofPrefix", ".credential-rotation"), ("foreignCredentials", "")];
    let given = world.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    command.envs(given.chain(defaults).map(|(name, value)| (format!("SSM_{name}"), value)));
    let output = command.output().await.unwrap();
    let answer: HostAnswer = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), answer.failures[0].error), (Some(2), HostError::Interrupted));
}
