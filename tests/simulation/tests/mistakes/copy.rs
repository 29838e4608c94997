//! A copy of the workspace with mistakes in it, built beside the product without touching what the product has built.
//!
//! Cargo names what it builds of a workspace's members by their paths within the workspace. So the copy's members are
//! one folder deeper: in the same target directory the two share every dependency and nothing else, and the copy is
//! built in the time that our own few crates take.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox::world::repository;
use serde_json::Value;

use crate::mistake::{Mistake, Sources};

/// The folder of the copy that the repository's own folders are in.
const DEEPER: &str = "mistaken";
/// No sources of a crate.
const NOT_COPIED: [&str; 4] = ["target", "node_modules", "cdk", "strangers"];
/// The crate that all others of ours depend on, so that each of them can ask for a mistake.
const DOMAIN: &str = "functions/rotation/src/lib.rs";
/// What the product does not have.
const SWITCH: &str = "
/// Whether this run is to make a mistake.
pub fn mistaken(name: &str) -> bool {
    std::env::var(\"MISTAKE\").is_ok_and(|asked| asked == name)
}
";
/// Variables that cargo sets for this test, by how they begin. Some crates are built anew where they differ.
const SET_BY_CARGO: [&str; 7] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_", "CARGO_TARGET_TMPDIR", "OUT_DIR"];

/// The copy.
pub(crate) struct Copy {
    root: PathBuf,
}

impl Copy {
    /// Copies the sources and makes the mistakes in them. What is as it was is not written again, so that a second
    /// build has nothing to do.
    pub(crate) fn of_the_sources_with(mistakes: &[Mistake]) -> Copy {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes");
        let mut sources = Sources::new();
        read_folder(&repository(), Path::new(""), &mut sources);
        let stale: Vec<String> = mistakes.iter().filter_map(|mistake| mistake.make(&mut sources).err()).collect();
        assert!(stale.is_empty(), "{}", stale.join("\n"));
        sources.get_mut(Path::new(DOMAIN)).unwrap().extend(SWITCH.as_bytes());
        let mut files: Sources =
            sources.into_iter().map(|(path, content)| (Path::new(DEEPER).join(path), content)).collect();
        let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
        files.insert("Cargo.toml".into(), deeper(&manifest).into_bytes());
        files.insert("Cargo.lock".into(), fs::read(repository().join("Cargo.lock")).unwrap());
        write_folder(&root, &files);
        Copy { root }
    }

    /// The folder of one of the copy's packages.
    pub(crate) fn package(&self, folder: &str) -> PathBuf {
        self.root.join(DEEPER).join(folder)
    }

    /// Builds a test of the copy, with the product's own dependencies; its executable.
    pub(crate) fn build(&self, test: &str) -> PathBuf {
        // All members, since cargo builds a dependency with the features that those it looks at ask for.
        let arguments = ["test", "--workspace", "--locked", "--no-run", "--message-format", "json", "--test", test];
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(&self.root);
        for (variable, _) in std::env::vars_os() {
            if SET_BY_CARGO.iter().any(|start| variable.to_string_lossy().starts_with(start)) {
                command.env_remove(variable);
            }
        }
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap());
        let output = command.output().unwrap();
        let (executable, complaints) = understand(&String::from_utf8_lossy(&output.stdout), test);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the copy with the mistakes in it cannot be built:\n{complaints}\n{said}");
        executable.unwrap()
    }
}

/// What cargo says line by line: the executable of a test, and what the compiler complains of.
fn understand(output: &str, test: &str) -> (Option<PathBuf>, String) {
    let (mut executable, mut complaints) = (None, String::new());
    for message in output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        complaints += message["message"]["rendered"].as_str().unwrap_or_default();
        if message["target"]["name"] == test {
            executable = executable.or(message["executable"].as_str().map(PathBuf::from));
        }
    }
    (executable, complaints)
}

/// Reads a folder of the repository with all that is below it.
fn read_folder(repository: &Path, folder: &Path, sources: &mut Sources) {
    for entry in fs::read_dir(repository.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let is_left_out = NOT_COPIED.iter().any(|other| name == OsStr::new(other));
        if is_left_out || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let path = folder.join(&name);
        if entry.file_type().unwrap().is_dir() {
            read_folder(repository, &path, sources);
        } else if folder != Path::new("") {
            sources.insert(path, fs::read(entry.path()).unwrap());
        }
    }
}

/// The workspace's manifest, for members that are one folder deeper.
fn deeper(manifest: &str) -> String {
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (members, after) = rest.split_once(']').unwrap();
    let deeper = |(index, part): (usize, &str)| {
        // What is between quotes.
        if index % 2 == 1 { format!("{DEEPER}/{part}") } else { part.to_owned() }
    };
    let members: Vec<String> = members.split('"').enumerate().map(deeper).collect();
    let after = after.replace("path = \"", &format!("path = \"{DEEPER}/"));
    format!("{before}members = [{}]{after}", members.join("\""))
}

/// Makes a folder hold these files and no others.
fn write_folder(root: &Path, files: &Sources) {
    let mut present = Sources::new();
    if root.join(DEEPER).exists() {
        read_folder(root, Path::new(DEEPER), &mut present);
    }
    for path in present.keys().filter(|path| !files.contains_key(*path)) {
        let path = root.join(path);
        fs::remove_file(&path).unwrap();
        // An empty folder among the members would be a package without a manifest; a folder in use stays.
        let _ = path.ancestors().skip(1).try_for_each(fs::remove_dir);
    }
    for (path, content) in files {
        let path = root.join(path);
        if fs::read(&path).ok().as_ref() != Some(content) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }
}
