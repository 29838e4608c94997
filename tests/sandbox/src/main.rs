//! `sandbox`: a local AWS in which a credential rotation runs for real, on this machine.

#![allow(clippy::print_stderr, reason = "this is a program for a person at a screen")]

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use command::{rotate, serve};

/// A local AWS in which a credential rotation runs for real.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rotates the key of a fleet, then goes on with the fleet file's story, if it has one.
    Rotate(rotate::Arguments),
    /// Serves the fleet's AWS over HTTP on loopback, for the AWS CLI and any other tool, until it is interrupted.
    Serve(serve::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Rotate(arguments) => rotate::run(&arguments).await,
        Command::Serve(arguments) => serve::run(&arguments).await.map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
