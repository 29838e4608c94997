//! What must not be in a function's binary: each of these costs start-up time or size (DESIGN section 9), and any of
//! them comes back with one careless feature.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use sandbox::functions_folder::FUNCTIONS;
use sandbox::world::repository;

/// The crates in a function's binary, `name v1.2.3`.
#[allow(clippy::disallowed_methods, reason = "cargo tells its own path to tests in a variable")]
fn crates_of(function: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", function];
    let output = Command::new(cargo).args(arguments).current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn has(crates: &[String], name: &str) -> bool {
    crates.iter().any(|line| line.starts_with(&format!("{name} v")))
}

#[test]
fn no_function_carries_what_slows_its_start() {
    for function in FUNCTIONS {
        let crates = crates_of(function);
        assert!(has(&crates, "lambda_runtime"), "{function}: the tree was read");
        for unwanted in ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "regex", "tracing-subscriber", "aws-config"] {
            assert!(!has(&crates, unwanted), "{function} carries {unwanted}");
        }
        assert!(!crates.iter().any(|line| line.starts_with("hyper v0.14")), "{function} carries hyper 0.14");
    }
}

#[test]
fn only_who_must_know_the_fleet_pays_for_the_ec2_crate() {
    let carrying: Vec<&str> =
        FUNCTIONS.into_iter().filter(|function| has(&crates_of(function), "aws-sdk-ec2")).collect();
    assert_eq!(
        carrying,
        [
            "enumerate-instances",
            "plan-rotation",
            "rotate-login-password",
            "send-command",
            "poll-command",
            "retire-iam-key",
            "retire-login-password",
        ]
    );
}

#[test]
fn the_domain_knows_nothing_of_aws_clocks_or_runtimes() {
    for line in crates_of("rotation") {
        let name = line.split(' ').next().unwrap_or_default();
        for unwanted in ["aws-", "tokio", "lambda", "hyper", "rand", "getrandom"] {
            assert!(!name.starts_with(unwanted), "the domain depends on {name}");
        }
    }
}
