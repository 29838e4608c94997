//! One mistake: a patch with a head that says what it is, who published it, and what catches it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use diffy::Patch;
use sandbox::world::repository;

/// The line of a patch's head that says what catches it: `Caught: guarantee 3 in a_quiet_rotation`.
const CAUGHT: &str = "Caught: ";
/// Where a patch names the file that it changes.
const FILE: &str = "--- a/";

/// What files hold, by their paths in the repository.
pub(crate) type Sources = BTreeMap<PathBuf, Vec<u8>>;

/// One mistake.
pub(crate) struct Mistake {
    /// Its name: the file's.
    pub(crate) name: String,
    /// How the finding begins.
    pub(crate) caught: String,
    /// The small history that shows it.
    pub(crate) history: String,
    text: String,
}

impl Mistake {
    /// Every mistake of `tests/mistakes`.
    pub(crate) fn all() -> Vec<Mistake> {
        let folder = repository().join("tests/mistakes");
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
        paths.sort();
        paths.iter().map(Mistake::read).collect()
    }

    fn read(path: &PathBuf) -> Mistake {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        let head = text.lines().take_while(|line| !line.starts_with(FILE));
        let caught = head.filter_map(|line| line.strip_prefix(CAUGHT)).find_map(|line| line.rsplit_once(" in "));
        let Some((caught, history)) = caught else {
            panic!("{}: its head lacks a line `{CAUGHT}<how the finding begins> in <history>`", path.display());
        };
        // A patch that nobody switches on would be active always.
        assert!(text.contains(&format!("mistaken(\"{name}\")")), "{}: nothing asks for {name}", path.display());
        Mistake { caught: caught.to_owned(), history: history.to_owned(), name, text }
    }

    /// Makes the mistake in the sources, by their paths; or says which hunk does not fit, and what a maintainer does.
    pub(crate) fn make(&self, sources: &mut Sources) -> Result<(), String> {
        let starts: Vec<usize> = self.text.match_indices(FILE).map(|(start, _)| start).collect();
        let ends = starts.iter().skip(1).copied().chain([self.text.len()]);
        starts.iter().zip(ends).try_for_each(|(start, end)| self.change(sources, &self.text[*start..end]))
    }

    /// Changes one file.
    fn change(&self, sources: &mut Sources, patch: &str) -> Result<(), String> {
        let path = patch.lines().next().unwrap_or_default().trim_start_matches(FILE);
        let stale = |why: &dyn Display| {
            let name = &self.name;
            format!(
                "tests/mistakes/{name}.patch does not fit {path} any more: {why}. The product, or another mistake, has \
                 changed the lines round it. Make the same mistake in the file as it is now, behind \
                 rotation::mistaken(\"{name}\"), write the hunk anew from `diff -U2` of both, and keep the head. Where \
                 the product cannot make this mistake any more, delete the patch"
            )
        };
        let source = sources.get_mut(Path::new(path)).ok_or_else(|| stale(&"there is no such file"))?;
        let parsed = Patch::from_str(patch).map_err(|why| stale(&why))?;
        let before = String::from_utf8_lossy(source).into_owned();
        *source = diffy::apply(&before, &parsed).map_err(|why| stale(&why))?.into_bytes();
        Ok(())
    }
}

#[test]
fn a_patch_that_does_not_fit_names_file_and_hunk_and_what_to_do() {
    let text = "Caught: guarantee 1 in a\n--- a/x.rs\n+++ b/x.rs\n@@ -1,2 +1,3 @@\n one\n+new\n two\n".to_owned();
    let mistake = Mistake { name: "m".to_owned(), caught: String::new(), history: String::new(), text };
    let made_in = |source: &str| {
        let mut sources = Sources::from([("x.rs".into(), source.as_bytes().to_vec())]);
        mistake.make(&mut sources).map(|()| String::from_utf8(sources[Path::new("x.rs")].clone()).unwrap())
    };
    assert_eq!(made_in("zero\none\ntwo\n").unwrap(), "zero\none\nnew\ntwo\n", "lines above do not matter");
    let refused = made_in("one\nother\ntwo\n").unwrap_err();
    for said in ["tests/mistakes/m.patch", "x.rs", "hunk #1", "mistaken(\"m\")"] {
        assert!(refused.contains(said), "{refused}");
    }
}
