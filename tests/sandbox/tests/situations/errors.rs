//! The names of what can fail on a host: the scripts spell them, the domain knows them, and neither has one more.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use rotation::host_answer::HostError;
use sandbox::host::Platform;

use crate::situation::script_of;

pub fn trials() -> impl Iterator<Item = Trial> {
    [Platform::Linux, Platform::Windows].into_iter().map(|platform| {
        let name = format!("{}: the_script_and_the_domain_know_the_same_errors", script_of(platform));
        Trial::test(name, move || {
            compare(platform);
            Ok(())
        })
    })
}

fn compare(platform: Platform) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachine/documents/apply-s3-credential");
    let script = fs::read_to_string(folder.join(script_of(platform))).unwrap();
    let known: Vec<&str> = HostError::ALL.iter().map(|error| error.name()).collect();
    for error in HostError::ALL {
        // The Windows agent kills without a warning, so that nobody is left to answer.
        let is_said =
            script.contains(error.name()) || (platform, *error) == (Platform::Windows, HostError::Interrupted);
        assert!(is_said, "{} never says {}", script_of(platform), error.name());
    }
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
        Platform::Linux => &["fail_host ", "fail_instance ", "name_sql_failure ", "sql_failure=", "outcome="],
        Platform::Windows => &[
            "Stop-Host '",
            "Add-Failure $instance.Name '",
            "Add-Failure '' '",
            "Add-SqlFailure $instance '",
            "$name = '",
            "$outcome = '",
            "$run.HostError = '",
        ],
    }
}
