//! Every situation that a host can be in, as one table: each row is played on the real `linux.sh` under bash and, where
//! the variable PWSH names a PowerShell, on the real `windows.ps1`. So the two scripts cannot drift apart.
//!
//! A row is a function: its name is a sentence, its body says what is so, what the host answers, and what it holds
//! afterwards. Where a situation exists on one platform only, the row says which and why. After every single command,
//! whatever the row is about, the script's output, its files, its tools' arguments and its variables' names are searched
//! for secrets (guarantee 6).
//!
//! Read `rows/proof.rs` first. The stage on which rows are played is in `stage.rs`, the AWS that it sees in `cloud.rs`.
//! `cargo test --workspace --test situations -- a_hint` plays the rows whose name holds `a_hint`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cloud;
mod errors;
mod rows;
mod situation;
mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Trial};
use sandbox::host::Platform;
use sandbox::host::windows::{Engine, NoEngine};

use situation::{Row, script_of};
use stage::Stage;

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
        .flat_map(|row| {
            [trial(row, Platform::Linux, true, &batches), trial(row, Platform::Windows, is_named, &batches)]
        })
        .flatten()
        .chain(errors::trials())
        .collect();
    if let (Err(reason), false, false) = (&engine, is_named, arguments.list) {
        #[allow(clippy::print_stderr, reason = "a row that did not run must not look as if it had")]
        {
            eprintln!("\nThe rows of windows.ps1 are ignored: {reason}");
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // A run of some rows knows some statements only.
    if arguments.filter.is_none() && !arguments.list {
        write(&batches.lock().unwrap());
    }
    conclusion.exit_code()
}

/// One row on one platform; `None` where the row says that it does not exist there.
fn trial(row: &'static Row, platform: Platform, has_engine: bool, batches: &Batches) -> Option<Trial> {
    let situation = row.situation();
    let batches = Arc::clone(batches);
    let kind = match situation.only_on() {
        Some((only, _)) if only != platform => return None,
        Some((only, _)) => format!("{} only", only.name()),
        None => String::new(),
    };
    let name = format!("{}: {}", script_of(platform), row.name);
    let play = move || {
        let mut stage = Stage::new(row.name, platform);
        let played = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        played.block_on(situation.play(&mut stage));
        batches.lock().unwrap().extend(stage.batches());
        Ok(())
    };
    Some(Trial::test(name, play).with_kind(kind).with_ignored_flag(!has_engine))
}

/// As `statements.json` in the target directory's folder for tests; the secrets in it are the table's made-up ones.
fn write(batches: &BTreeSet<String>) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("statements.json");
    fs::write(file, serde_json::to_vec_pretty(batches).unwrap()).unwrap();
}
