//! `sandbox rotate`: one rotation on a fleet described in a file, on this machine, with everything real but AWS.

#![allow(clippy::print_stderr, reason = "this is a program for a person at a screen")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sandbox::fleet_file::{Chapter, FleetFile};
use sandbox::machine::ExecutionStatus;
use sandbox::settings_file::read_json;
use sandbox::show;
use sandbox::world::{World, WorldError};
use serde_json::{Value, json};

/// A local AWS in which a credential rotation runs for real.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rotates the key of a fleet, then goes on with the fleet file's story, if it has one.
    Rotate {
        /// The fleet: hosts, SQL Server instances, faults. See tests/sandbox/examples.
        #[arg(long)]
        fleet: PathBuf,
        /// The rotation's settings, as statemachine/settings.schema.json has them.
        #[arg(long)]
        settings: PathBuf,
        /// The first execution's input, such as {"mode": "plan"}; the fleet file's own where it is left out.
        #[arg(long)]
        input: Option<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Rotate { fleet, settings, input } = Arguments::parse().command;
    match rotate(&fleet, &settings, input.as_deref()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every run succeeded, every guarantee held and no backup failed.
async fn rotate(fleet: &std::path::Path, settings: &std::path::Path, input: Option<&str>) -> Result<bool, WorldError> {
    let file = FleetFile::read(fleet)?;
    let settings = read_json(settings)?;
    // What is no JSON goes in as a text: the state machine says itself what is wrong with it.
    let given = input.map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
    let input: Value = given.unwrap_or_else(|| file.input.clone());
    let mut world = World::new(&file, settings, show::states()).await?;
    show::watch(&world);
    let mut all_succeeded = run(&mut world, input).await;
    for chapter in &file.story {
        // A story goes on from what the run before it has done.
        all_succeeded = all_succeeded && tell(&mut world, chapter).await;
    }
    show::fleet(&world);
    world.shut_down().await;
    Ok(all_succeeded && world.auditor.findings().is_empty() && world.failed_backups.is_empty())
}

async fn run(world: &mut World, input: Value) -> bool {
    let execution = world.run(input).await;
    show::ending(&execution);
    execution.status == ExecutionStatus::Succeeded
}

async fn tell(world: &mut World, chapter: &Chapter) -> bool {
    show::chapter(&chapter.say);
    world.pass_days(chapter.days).await;
    chapter.reachable.iter().for_each(|host| world.cloud.set_agent_online(host, true));
    chapter.start.iter().for_each(|host| world.cloud.start_instance(host));
    run(world, chapter.run.clone()).await
}
