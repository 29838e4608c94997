//! What a host keeps on its disk from one command to the next: each rotation's marker, log and lock.
//!
//! The script has them as files in the host's folder, the model in memory. An image, a person's hand and a test reach
//! both in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::furnish::place;
use super::{Host, Runs};

/// A model's state directory.
#[derive(Default)]
pub(super) struct Disk {
    files: BTreeMap<String, Vec<u8>>,
    locked: BTreeSet<String>,
    is_full: bool,
}

impl Disk {
    pub(super) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// A file's text; empty where there is no such file.
    pub(super) fn read(&self, name: &str) -> String {
        self.files.get(name).map(|content| String::from_utf8_lossy(content).into_owned()).unwrap_or_default()
    }

    /// How long a file is.
    pub(super) fn length(&self, name: &str) -> usize {
        self.files.get(name).map_or(0, Vec::len)
    }

    /// Puts a file in the place of another at once, as a rename does; whether the disk took it.
    pub(super) fn replace(&mut self, name: &str, content: String) -> bool {
        if !self.is_full {
            self.files.insert(name.to_owned(), content.into_bytes());
        }
        !self.is_full
    }

    /// Adds a line to a file; whether the disk took it.
    pub(super) fn append(&mut self, name: &str, line: &str) -> bool {
        if !self.is_full {
            let file = self.files.entry(name.to_owned()).or_default();
            file.extend_from_slice(line.as_bytes());
            file.push(b'\n');
        }
        !self.is_full
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(content) = self.files.remove(from) {
            self.files.insert(to.to_owned(), content);
        }
    }
}

/// A rotation's lock on a host, held until this is dropped: a command that dies lets go of it.
pub struct HeldLock {
    host: Arc<Host>,
    rotation: String,
    /// The script's lock is one on a file, which goes with it.
    _file: Option<fs::File>,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.host.lock().disk.locked.remove(&self.rotation);
    }
}

impl Host {
    /// Holds the lock that a command of this rotation needs; `None` where somebody has it already.
    ///
    /// # Errors
    /// When the script's lock file cannot be opened.
    pub fn hold_lock(self: &Arc<Host>, rotation: &str) -> io::Result<Option<HeldLock>> {
        let file = match self.runs {
            Runs::Model => None,
            Runs::Script => Some(fs::File::create(self.root.join("state").join(format!("{rotation}.lock")))?),
        };
        let is_free = match &file {
            None => self.lock().disk.locked.insert(rotation.to_owned()),
            Some(file) => file.try_lock().is_ok(),
        };
        Ok(is_free.then(|| HeldLock { host: Arc::clone(self), rotation: rotation.to_owned(), _file: file }))
    }

    /// The files in the host's state directory, by name.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn state_files(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        if self.runs == Runs::Model {
            return Ok(self.lock().disk.files.clone());
        }
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(self.root.join("state"))? {
            let entry = entry?;
            // Not the link to /dev/full, which never ends.
            if entry.file_type()?.is_file() {
                files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
            }
        }
        Ok(files)
    }

    /// Puts these in the place of all files in the host's state directory, as a disk that is restored does.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_state_files(&self, files: BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        if self.runs == Runs::Model {
            self.lock().disk.files = files;
            return Ok(());
        }
        let state = self.root.join("state");
        for entry in fs::read_dir(&state)? {
            fs::remove_file(entry?.path())?;
        }
        files.iter().try_for_each(|(name, content)| fs::write(state.join(name), content))
    }

    /// The disk becomes full at this moment; it is so until the next command, which begins as the host's faults say.
    ///
    /// # Errors
    /// When the sandbox cannot see to it.
    pub fn become_full(&self, rotation: &str) -> io::Result<()> {
        if self.runs == Runs::Model {
            self.lock().disk.set_full(true);
            return Ok(());
        }
        // The script writes every marker to this name first, and whatever is written to /dev/full fails so.
        place(&self.root.join("state").join(format!("{rotation}.marker.new")), Some(Path::new("/dev/full")))
    }
}
