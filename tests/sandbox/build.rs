//! Builds the stand-in for `sqlcmd` and the AWS CLI with rustc alone, wherever the sandbox is built.
//!
//! A second binary of the package would not do: `cargo run` and `cargo test` of this or another package build only the
//! binaries that they need themselves, and a host without its tools fails every rotation.

#![allow(clippy::disallowed_methods, reason = "cargo tells a build script everything in its environment")]

use std::path::PathBuf;
use std::process::Command;

const SOURCES: [&str; 2] = ["standin/main.rs", "src/host/protocol.rs"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let program = PathBuf::from(std::env::var("OUT_DIR")?).join("standin");
    let status = Command::new(std::env::var("RUSTC")?)
        .args(["--edition", "2024", "-C", "opt-level=1", "--crate-name", "standin", SOURCES[0], "-o"])
        .arg(&program)
        .status()?;
    if !status.success() {
        return Err("rustc could not build standin/main.rs".into());
    }
    println!("cargo::rustc-env=SANDBOX_STANDIN={}", program.display());
    Ok(())
}
