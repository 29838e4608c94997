//! What a script finds on its host: the tools in its PATH, its environment, and the disk as the faults have it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Host, HostCommand, Platform, endpoint, windows};

/// The stand-in for sqlcmd and the AWS CLI, built by build.rs.
const STANDIN: &str = env!("SANDBOX_STANDIN");

/// Where this machine has the tools that a script takes for granted.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/bin", "/bin"];

impl Host {
    /// All that a script finds in its environment.
    pub(super) fn variables(&self, address: &str) -> Vec<(String, String)> {
        let root = self.root.display();
        let system = if self.lacks_a_system_tool() { format!("{root}/system") } else { SYSTEM_FOLDERS.join(":") };
        [
            ("PATH", format!("{root}/bin:{system}")),
            ("HOME", "/root".to_owned()),
            ("SANDBOX_HOST_ADDRESS", address.to_owned()),
            ("CREDENTIAL_ROTATION_STATE_DIRECTORY", format!("{root}/state")),
            ("CREDENTIAL_ROTATION_SQL_SERVER_PROGRAM", format!("{root}/sqlservr")),
            ("CREDENTIAL_ROTATION_FIXTURE", format!("{root}/windows")),
            ("CREDENTIAL_ROTATION_PATIENCE", self.patience_seconds.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn lacks_a_system_tool(&self) -> bool {
        self.lock().faults.missing_tools.iter().any(|tool| !STOOD_IN_FOR.contains(&tool.as_str()))
    }

    /// Puts the tools, the mark of an installed SQL Server and a full disk in their places, as they are now. What is in
    /// its place already is not touched: another command may be using it.
    pub(super) fn furnish(&self, command: &HostCommand) -> io::Result<()> {
        let (faults, servers) = {
            let state = self.lock();
            (state.faults.clone(), state.sql_servers.clone())
        };
        for tool in STOOD_IN_FOR {
            let missing = faults.missing_tools.iter().any(|missing| missing == tool);
            place(&self.root.join("bin").join(tool), (!missing).then_some(Path::new(STANDIN)))?;
        }
        let dotnet = self.engine.as_ref().and_then(|engine| engine.dotnet());
        place(&self.root.join("bin").join("dotnet"), dotnet)?;
        if self.lacks_a_system_tool() {
            furnish_system(&self.root.join("system"), &faults.missing_tools)?;
        }
        let installed = servers.contains_key(&endpoint("localhost"));
        place(&self.root.join("sqlservr"), installed.then_some(Path::new(STANDIN)))?;
        if self.platform == Platform::Windows {
            let instances = servers.iter().map(|((host, port), server)| (host.as_str(), *port, server));
            keep(&self.root.join("windows"), &windows::fixture(instances))?;
        }
        let rotation = command.parameters.get("rotation").map(String::as_str).unwrap_or_default();
        self.fill_disk(rotation, faults.disk_full)
    }

    /// Whatever is written to /dev/full fails as on a full disk; the script writes every marker to the first name
    /// before it replaces the old one. What the log has said until then is kept as the script keeps it.
    fn fill_disk(&self, rotation: &str, is_full: bool) -> io::Result<()> {
        let file = |extension: &str| self.root.join("state").join(format!("{rotation}.{extension}"));
        if is_full && file("log").symlink_metadata().is_ok_and(|log| log.is_file()) {
            fs::rename(file("log"), file("log.1"))?;
        }
        for name in ["marker.new", "log"] {
            place(&file(name), is_full.then_some(Path::new("/dev/full")))?;
        }
        Ok(())
    }
}

/// The programs that are not this machine's own on a host.
const STOOD_IN_FOR: [&str; 2] = ["aws", "sqlcmd"];

/// Whether a host has such a program, which can then be missing.
pub fn is_tool(name: &str) -> bool {
    let is_of_the_system = || SYSTEM_FOLDERS.iter().any(|folder| Path::new(folder).join(name).is_file());
    STOOD_IN_FOR.contains(&name) || (!name.contains('/') && is_of_the_system())
}

/// A link to `target`, or no link.
pub(super) fn place(link: &Path, target: Option<&Path>) -> io::Result<()> {
    let present = fs::read_link(link).ok();
    if present.as_deref() == target {
        return Ok(());
    }
    if present.is_some() {
        fs::remove_file(link)?;
    }
    target.map_or(Ok(()), |target| symlink(target, link))
}

/// A file with this content.
fn keep(file: &Path, content: &str) -> io::Result<()> {
    if fs::read_to_string(file).is_ok_and(|present| present == content) { Ok(()) } else { fs::write(file, content) }
}

/// This machine's tools but for those that are missing.
fn furnish_system(folder: &Path, missing: &[String]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for system in SYSTEM_FOLDERS {
        for tool in fs::read_dir(system)? {
            let tool = tool?;
            let is_missing = missing.iter().any(|missing| tool.file_name() == **missing);
            place(&folder.join(tool.file_name()), (!is_missing).then_some(&tool.path()))?;
        }
    }
    Ok(())
}
