//! Writes the report of a command and says where it is.

use std::path::{Path, PathBuf};

use sandbox::report::{self, Story, Unwritten};
use sandbox::show;

/// Where a report goes that nobody named a file for: a name that no other person on this machine has taken.
pub fn usual_place() -> PathBuf {
    std::env::temp_dir().join(format!("credential-rotation-report-{}.html", std::process::id()))
}

/// Writes it.
pub fn write(story: &Story, path: &Path) -> Result<(), Unwritten> {
    report::write(story, path)?;
    show::report(path);
    Ok(())
}
