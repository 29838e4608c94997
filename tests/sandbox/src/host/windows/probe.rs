//! Whether a program runs PowerShell scripts: a script of one line says so.
//!
//! Without it whatever PWSH names is taken, and the fleet's hosts then fail one by one with words of their own.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Engine, NoEngine};

/// A word that is nowhere in the script: a program that prints its arguments, or the file, does not say it.
const SCRIPT: &str = "[Console]::Out.WriteLine('power' + 'shell')\n";
const WORD: &[u8] = b"powershell";

/// Runs the probe by the switches that the host's script is run by.
pub(super) fn runs_scripts(engine: &Engine) -> Result<(), NoEngine> {
    let program = || engine.program().to_owned();
    let script = Probe::write().map_err(|error| NoEngine::NotFound { program: program(), cause: error.to_string() })?;
    let said =
        said(engine, &script.0).map_err(|error| NoEngine::NotFound { program: program(), cause: error.to_string() })?;
    // A program may greet first.
    if said.windows(WORD.len()).any(|word| word == WORD) {
        Ok(())
    } else {
        Err(NoEngine::NotPowerShell { program: program() })
    }
}

/// What the program writes, as far as it matters: one that writes without end is ended.
fn said(engine: &Engine, script: &Path) -> io::Result<Vec<u8>> {
    let mut child = Command::new(engine.program())
        .args(Engine::SWITCHES)
        .arg(script)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(4096).read_to_end(&mut said)?;
    }
    // One that has ended by itself cannot be killed, and need not be.
    let _ = child.kill();
    child.wait()?;
    Ok(said)
}

/// The script's file, as long as it is needed.
struct Probe(PathBuf);

impl Probe {
    #[allow(clippy::disallowed_methods, reason = "a program that is tried needs a file for a moment")]
    fn write() -> io::Result<Probe> {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sandbox-probe-{}-{number}.ps1", std::process::id()));
        fs::write(&path, SCRIPT)?;
        Ok(Probe(path))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Left behind, a file of one line costs nothing.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_and_what_is_no_powershell_are_refused_by_their_names() {
        let refused = |program: &str| Engine::named(Path::new(program)).unwrap_err();
        let missing = refused("/nope");
        assert!(matches!(missing, NoEngine::NotFound { .. }) && missing.to_string().contains("/nope"), "{missing}");
        for program in ["/bin/true", "/bin/echo", "/bin/cat", "/usr/bin/yes"] {
            let refused = refused(program);
            assert!(matches!(refused, NoEngine::NotPowerShell { .. }), "{program}: {refused}");
            assert!(refused.to_string().contains(program), "{refused}");
        }
    }
}
