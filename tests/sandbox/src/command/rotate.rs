//! `sandbox rotate`: one rotation on a fleet described in a file, with everything real but AWS, then the file's story.

use std::path::PathBuf;

use sandbox::fleet_file::Chapter;
use sandbox::machine::ExecutionStatus;
use sandbox::report::{Recorder, Story};
use sandbox::show;
use sandbox::world::{World, WorldError};
use serde_json::Value;

use super::files::Files;
use super::report;

/// What is rotated.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// The first execution's input, such as {"mode": "plan"}; the fleet file's own where it is left out.
    #[arg(long, value_parser = json)]
    input: Option<Value>,
    /// The report's file, an HTML page; in the folder for temporary files where it is left out.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// An execution's input is JSON, as StartExecution wants it: what is not is a slip on the command line, not a run.
fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("it is no JSON: {error}; an example is '{{\"mode\": \"plan\"}}'"))
}

/// Whether every run succeeded, every guarantee held and no backup failed.
pub async fn run(arguments: &Arguments) -> Result<bool, WorldError> {
    let (file, settings) = arguments.files.read()?;
    let input = arguments.input.clone().unwrap_or_else(|| file.input.clone());
    let path = arguments.report.clone().unwrap_or_else(report::usual_place);
    sandbox::report::reserve(&path)?;
    let mut world = World::new(&file, settings, show::states()).await?;
    show::watch(&world);
    let recorder = Recorder::attach(&world.cloud, &world.fleet, &world.settings);
    let mut all_succeeded = execute(&mut world, input).await;
    for chapter in &file.story {
        // A story goes on from what the run before it has done.
        all_succeeded = all_succeeded && tell(&mut world, chapter).await;
    }
    show::fleet(&world);
    report::write(&Story::of_world(&world, &recorder), &path)?;
    world.shut_down().await;
    Ok(all_succeeded && world.auditor.findings().is_empty() && world.failed_backups().is_empty())
}

async fn execute(world: &mut World, input: Value) -> bool {
    let execution = world.run(input).await;
    show::ending(&execution);
    execution.status == ExecutionStatus::Succeeded
}

async fn tell(world: &mut World, chapter: &Chapter) -> bool {
    show::chapter(&chapter.say);
    world.pass_days(chapter.days).await;
    chapter.reachable.iter().for_each(|host| world.cloud.set_agent_online(host, true));
    chapter.start.iter().for_each(|host| world.cloud.start_instance(host));
    execute(world, chapter.run.clone()).await
}
