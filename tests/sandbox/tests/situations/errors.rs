//! The names of what can fail on a host: the scripts spell them, the domain knows them, and neither has one more.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use rotation::host_answer::HostError;
use sandbox::host::Platform;

pub fn trials() -> impl Iterator<Item = Trial> {
    [Platform::Linux, Platform::Windows].into_iter().map(|platform| {
        let name = format!("{}: the_scripts_and_the_domain_know_the_same_errors", platform.name());
        Trial::test(name, move || {
            let scripts = scripts(platform);
            every_error_is_said(platform, &scripts.concat());
            for script in scripts {
                every_name_is_an_error(platform, &script);
            }
            Ok(())
        })
    })
}

/// What the documents share, and their own.
fn scripts(platform: Platform) -> Vec<String> {
    let names: &[&str] = match platform {
        Platform::Linux => &[
            "host/linux.sh",
            "host/credentials.sh",
            "apply-s3-credential/apply.sh",
            "inspect-s3-credential/inspect.sh",
            "host/logins.sh",
            "apply-sql-login/apply.sh",
            "inspect-sql-login/inspect.sh",
        ],
        Platform::Windows => &[
            "host/windows.ps1",
            "host/credentials.ps1",
            "apply-s3-credential/apply.ps1",
            "inspect-s3-credential/inspect.ps1",
            "host/logins.ps1",
            "apply-sql-login/apply.ps1",
            "inspect-sql-login/inspect.ps1",
        ],
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/documents");
    names.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect()
}

fn every_error_is_said(platform: Platform, script: &str) {
    for error in HostError::ALL {
        // The Windows agent kills without a warning, so that nobody is left to answer.
        let is_never_said = *error == HostError::Interrupted;
        let is_said = script.contains(error.name()) || (platform == Platform::Windows && is_never_said);
        assert!(is_said, "{} is never said", error.name());
    }
}

fn every_name_is_an_error(platform: Platform, script: &str) {
    let known: Vec<&str> = HostError::ALL.iter().map(|error| error.name()).collect();
    for before in said_after(platform) {
        for rest in script.split(before).skip(1) {
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            let is_name = name.starts_with(|first: char| first.is_ascii_uppercase());
            assert!(!is_name || known.contains(&name.as_str()), "{before}{name} is no error of the domain");
        }
    }
}

/// What stands before the name of an error in a script.
fn said_after(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::Linux => {
            &["fail_host ", "fail_instance ", "name_sql_failure ", "sql_failure=", "outcome=", "log_in_failure="]
        }
        Platform::Windows => &[
            "Stop-Host '",
            "Add-Failure $instance.Name '",
            "Add-Failure '' '",
            "Add-SqlFailure $instance '",
            "$name = '",
            "$outcome = '",
            "$run.LogInFailure = '",
            "$run.HostError = '",
        ],
    }
}
