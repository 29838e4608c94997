//! Stands in for `sqlcmd` and the AWS CLI on a simulated host.
//!
//! It decides nothing: it sends its name, arguments, standard input and a few variables to the sandbox over loopback,
//! prints what comes back and ends as it is told. The rules of both tools are in `src/host/sqlcmd.rs` and
//! `src/host/aws_cli.rs`. Built by `build.rs` with std only, because a script starts it a dozen times.

#[path = "../src/host/protocol.rs"]
mod protocol;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;

use protocol::{Call, Reply};

/// The variables that the real tools read.
const OBEYED: [&str; 6] =
    ["SQLCMDPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_PROFILE"];

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // No exit code of sqlcmd or the AWS CLI, so that a test sees that the sandbox itself failed.
            eprintln!("the stand-in could not reach the sandbox: {error}");
            ExitCode::from(99)
        }
    }
}

fn run() -> io::Result<u8> {
    let mut arguments = std::env::args();
    let started_as = arguments.next().unwrap_or_default();
    let program = started_as.rsplit('/').next().unwrap_or_default().to_owned();
    let mut stdin = Vec::new();
    if program == "sqlcmd" {
        io::stdin().read_to_end(&mut stdin)?;
    }
    let call = Call {
        program,
        arguments: arguments.collect(),
        stdin,
        environment: OBEYED
            .iter()
            .filter_map(|name| std::env::var(name).ok().map(|value| ((*name).to_owned(), value)))
            .collect(),
        environment_names: std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect(),
    };
    let address = std::env::var("SANDBOX_HOST_ADDRESS").map_err(io::Error::other)?;
    let mut sandbox = TcpStream::connect(address)?;
    call.write(&mut sandbox)?;
    sandbox.shutdown(Shutdown::Write)?;
    let reply = Reply::read(&mut sandbox)?;
    io::stdout().write_all(&reply.stdout)?;
    io::stderr().write_all(&reply.stderr)?;
    Ok(reply.exit_code)
}
