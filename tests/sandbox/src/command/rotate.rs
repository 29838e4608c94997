//! `sandbox rotate`: one rotation on a fleet described in a file, with everything real but AWS, then the file's story.

use std::path::PathBuf;
use std::sync::Arc;

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

/// Whether every run ended as it was to, every guarantee held and no backup failed.
pub async fn run(arguments: &Arguments) -> Result<bool, WorldError> {
    let (file, settings) = arguments.files.read()?;
    let input = arguments.input.clone().unwrap_or_else(|| file.input.clone());
    let path = arguments.report.clone().unwrap_or_else(report::usual_place);
    sandbox::report::reserve(&path)?;
    let world = World::new(&file, settings, show::states()).await?;
    show::watch(&world);
    let recorder = Recorder::attach(&world.cloud, &world.fleet, &world.settings);
    let mut telling = Telling { world, recorder };
    let mut as_told = telling.execute(&input, None).await?;
    for chapter in &file.story {
        // A story goes on from what the run before it has done.
        as_told = as_told && telling.tell(chapter).await?;
    }
    let Telling { world, recorder } = telling;
    show::fleet(&world);
    report::write(&Story::of_world(&world, &recorder), &path)?;
    world.shut_down().await;
    Ok(as_told && world.auditor.findings().is_empty() && world.failed_backups().is_empty())
}

/// A world whose story is told as it happens.
struct Telling {
    world: World,
    recorder: Arc<Recorder>,
}

impl Telling {
    async fn tell(&mut self, chapter: &Chapter) -> Result<bool, WorldError> {
        show::chapter(&chapter.say);
        self.world.live(chapter).await?;
        self.execute(&chapter.run, Some(chapter)).await
    }

    /// Whether the run ended as its chapter says: well, where it says nothing.
    async fn execute(&mut self, input: &Value, chapter: Option<&Chapter>) -> Result<bool, WorldError> {
        let input = self.world.fill_in(input)?;
        show::beginning(self.world.clock.now(), &input);
        let execution = self.world.run(input).await;
        show::ending(&execution);
        let expected = chapter.and_then(|chapter| chapter.expect.as_deref());
        if let Some(chapter) = chapter {
            self.recorder.note_chapter(&execution.name, &chapter.say, expected);
        }
        let as_told = match expected {
            None => execution.status == ExecutionStatus::Succeeded,
            Some(expected) => execution.error.as_deref() == Some(expected),
        };
        if !as_told && chapter.is_some() {
            show::ended_otherwise(&execution, expected);
        }
        Ok(as_told)
    }
}
