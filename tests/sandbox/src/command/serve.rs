//! `sandbox serve`: a fleet's AWS on loopback, for the AWS CLI and any other tool, until it is interrupted.

use std::path::PathBuf;

use sandbox::serve::Running;
use sandbox::show;
use sandbox::world::{World, WorldError};
use tokio::signal::unix::{SignalKind, signal};

use super::files::Files;
use super::report;

/// What is served, and where.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// The port on 127.0.0.1; 0 is any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Simulated time goes on by itself, so many times as fast as real time. Without it, time stands still while nothing
    /// runs and jumps while something does.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pace: Option<u32>,
    /// A file for the report, an HTML page, at the end; GET /sandbox/report gives it at any time.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Serves until SIGINT, SIGTERM or SIGHUP: a terminal that is closed leaves nothing behind either.
pub async fn run(arguments: &Arguments) -> Result<(), WorldError> {
    let (file, settings) = arguments.files.read()?;
    // From the first, so that a signal that comes early ends the children as well.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    arguments.report.as_deref().map_or(Ok(()), sandbox::report::reserve)?;
    let world = World::new(&file, settings, show::states()).await?;
    show::watch(&world);
    let started = Running::start(world, arguments.port, arguments.pace).await;
    let running = started.map_err(|cause| WorldError::Port { port: arguments.port, cause })?;
    show::served(&running);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    let story = running.story();
    running.shut_down().await;
    if let Some(path) = &arguments.report {
        report::write(&story, path)?;
    }
    Ok(())
}
