//! Every situation that a host can be in, as one table: each row is played on the documents' real scripts for Linux under
//! bash and, where the variable PWSH names a PowerShell, on those for Windows. So the two cannot drift apart. Every row of
//! Linux is played once more on the model of a host, which must say, call and leave exactly what the script does.
//!
//! A row is a function: its name is a sentence, its body says what is so, what the host answers, and what it holds
//! afterwards. Where a situation exists on one platform only, the row says which and why. After every single command,
//! whatever the row is about, the script's output, its files, its tools' arguments and its variables' names are searched
//! for secrets (guarantee 6); and after every inspection the host is compared with what it was before.
//!
//! Read `rows/proof.rs` first. The stage on which rows are played is in `stage.rs`, the AWS that it sees in `cloud.rs`.
//! `cargo test --workspace --test situations -- a_hint` plays the rows whose name holds `a_hint`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cloud;
mod errors;
mod logins;
mod rows;
mod situation;
mod stage;
mod transcript;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};

use libtest_mimic::{Arguments, Trial};
use sandbox::host::windows::{Engine, NoEngine};
use sandbox::host::{Platform, Runs};

use situation::{Kind, Row};
use stage::Stage;
use transcript::Transcript;

/// Every batch of T-SQL that an instance got; Microsoft's parsers judge them elsewhere (tests/strangers).
type Batches = Arc<Mutex<BTreeSet<String>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let engine = Engine::from_environment();
    // One that is named and does not run makes every row fail: somebody meant them to be played.
    let is_named = !matches!(engine, Err(NoEngine::NotNamed));
    let batches = Batches::default();
    let trials: Vec<Trial> = rows::TABLE
        .iter()
        .copied()
        .flatten()
        .flat_map(|row| trials(row, is_named, &batches))
        .chain(errors::trials())
        .collect();
    if let (Err(reason), false, false) = (&engine, is_named, arguments.list) {
        #[allow(clippy::print_stderr, reason = "a row that did not run must not look as if it had")]
        {
            eprintln!("\nThe rows of Windows are ignored: {reason}");
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // A run of some rows knows some statements only.
    if arguments.filter.is_none() && !arguments.list {
        write(&batches.lock().unwrap());
    }
    conclusion.exit_code()
}

/// A row as the script for Linux plays it, which the model is compared with: whichever of the two trials comes first has
/// it played.
type Played = Arc<OnceLock<Transcript>>;

/// One row on every platform on which it exists, and where it exists on Linux on the model too.
fn trials(row: &'static Row, has_engine: bool, batches: &Batches) -> Vec<Trial> {
    let only = row.situation().only_on().map(|(only, _)| only);
    let named = |player: &str, test: Box<dyn FnOnce() + Send>| {
        let play = move || {
            test();
            Ok(())
        };
        let kind = only.map_or_else(String::new, |only| format!("{} only", only.name()));
        Trial::test(format!("{player}: {}", row.name), play).with_kind(kind)
    };
    let play = |platform, runs| {
        let batches = Arc::clone(batches);
        move || play(row, platform, runs, &batches)
    };
    let mut trials = Vec::new();
    // No model knows the documents for logins.
    let has_model = row.situation().kind() == Kind::AccessKey;
    if only != Some(Platform::Windows) {
        let played = Played::default();
        let (again, script, model) =
            (Arc::clone(&played), play(Platform::Linux, Runs::Script), play(Platform::Linux, Runs::Model));
        let also_script = script.clone();
        let on_linux = move || {
            played.get_or_init(script);
        };
        trials.push(named("Linux", Box::new(on_linux)));
        let on_the_model = move || model().assert_is(again.get_or_init(also_script));
        if has_model {
            trials.push(named("model", Box::new(on_the_model)));
        }
    }
    if only != Some(Platform::Linux) {
        let script = play(Platform::Windows, Runs::Script);
        let on_windows = move || {
            script();
        };
        trials.push(named("Windows", Box::new(on_windows)).with_ignored_flag(!has_engine));
    }
    trials
}

fn play(row: &Row, platform: Platform, runs: Runs, batches: &Batches) -> Transcript {
    let situation = row.situation();
    let mut stage = Stage::new(row.name, platform, runs, situation.kind());
    let played = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    played.block_on(situation.play(&mut stage));
    batches.lock().unwrap().extend(stage.batches());
    stage.transcript()
}

/// As `statements.json` in the target directory's folder for tests; the secrets in it are the table's made-up ones.
fn write(batches: &BTreeSet<String>) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("statements.json");
    fs::write(file, serde_json::to_vec_pretty(batches).unwrap()).unwrap();
}
