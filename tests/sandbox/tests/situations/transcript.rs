//! What a host did in a row, call by call and byte by byte, so that the model can be held to the script.
//!
//! Masked is what is not the host's own: the time up to the second (the script waits in real time and the model in
//! simulated time), the folder in which the script keeps its state, the order of a marker's lines (bash's hash table's),
//! which of two commands at once took the lock first, and the exit code of a script that the agent's stop has hit (the
//! signal may kill the agent's own sh before it hands on the script's).

use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use regex_lite::Regex;
use rotation::host_answer::HostError;
use sandbox::host::{Host, Process, StepResult, StepStatus};

use crate::stage::Left;

/// One command after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript(Vec<Happened>);

/// What one command came to; two, where two ran at once.
#[derive(Clone, Debug, PartialEq)]
struct Happened {
    ended: Vec<Ended>,
    calls: Calls,
    left: Left,
}

/// How a script ended, and what it printed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ended {
    stdout: String,
    log: Vec<String>,
    exit_code: i32,
    is_killed: bool,
}

/// What reached the stand-ins, in order: programs with their arguments, and statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    programs: Vec<String>,
    statements: Vec<String>,
}

impl Calls {
    /// All that this host made so far.
    pub fn of(host: &Host) -> Calls {
        let line = |process: Process| format!("{} {}", process.program, process.arguments.join(" "));
        Calls { programs: host.processes().into_iter().map(line).collect(), statements: host.batches() }
    }

    /// Those that came after others.
    pub fn since(mut self, before: &Calls) -> Calls {
        self.programs.drain(..before.programs.len());
        self.statements.drain(..before.statements.len());
        self
    }
}

impl Transcript {
    pub fn enter(&mut self, steps: Vec<StepResult>, calls: Calls, mut left: Left, state: &Path) {
        let masked = |text: &str| mask(text, state);
        let mut ended: Vec<Ended> = steps.iter().map(|step| Ended::of(step, &masked)).collect();
        ended.sort();
        for credential in left.credentials.iter_mut().flat_map(|(_, credentials)| credentials.values_mut()) {
            // Which change of the instance it was, which its simulator counts in milliseconds.
            credential.modify_date =
                Timestamp::from_nanosecond(credential.modify_date.subsec_nanosecond().into()).unwrap();
        }
        for content in left.files.values_mut() {
            let text = masked(&String::from_utf8_lossy(content));
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            *content = lines.join("\n").into_bytes();
        }
        self.0.push(Happened { ended, calls, left });
    }

    /// Compares command by command, so that what differs is seen.
    pub fn assert_is(&self, script: &Transcript) {
        for (number, (model, script)) in self.0.iter().zip(&script.0).enumerate() {
            assert_eq!(model.ended, script.ended, "how command {number} ended: the model, and the script");
            assert_eq!(model.calls, script.calls, "what command {number} called: the model, and the script");
            assert_eq!(model.left, script.left, "what command {number} left: the model, and the script");
        }
        assert_eq!(self.0.len(), script.0.len());
    }
}

impl Ended {
    fn of(step: &StepResult, masked: &impl Fn(&str) -> String) -> Ended {
        Ended {
            stdout: masked(&step.stdout),
            log: masked(&step.stderr).lines().map(str::to_owned).collect(),
            exit_code: if step.stdout.contains(HostError::Interrupted.name()) { 1 } else { step.exit_code },
            is_killed: step.status == StepStatus::TimedOut,
        }
    }
}

static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}").unwrap());

/// The time and the folder.
fn mask(text: &str, state: &Path) -> String {
    TIME.replace_all(&text.replace(&*state.to_string_lossy(), "/var/lib/credential-rotation"), "<time>").into_owned()
}
