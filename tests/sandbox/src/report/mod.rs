//! The page that shows what a world went through: both keys, every host and every execution on one time line.
//!
//! People ask of a rotation: which key worked when, what did each host hold when, and what was the state machine doing.
//! Logs answer that one line at a time; this answers it at a look, and every detail is one click away. The page is one
//! HTML file that asks no network for anything, so it can be kept with a ticket or sent to whoever asks.
//!
//! Read in this order: [`recorder`] (what is not in the journal), [`story`] (the whole, as data), [`keys`], [`hosts`],
//! [`executions`] (one part each), [`summary`] (the paragraph at the top), [`payloads`] (how inputs and outputs are kept
//! small). The page itself is `page.html`, `page.css` and the `.js` files, which know nothing but the story's JSON.

pub mod executions;
pub mod hosts;
pub mod keys;
mod payloads;
pub mod recorder;
pub mod story;
mod summary;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use recorder::Recorder;
pub use story::{Sources, Story};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// In the order in which they need each other.
const SCRIPT: &str = concat!(
    include_str!("words.js"),
    include_str!("scale.js"),
    include_str!("lanes.js"),
    include_str!("timeline.js"),
    include_str!("pointer.js"),
    include_str!("executions.js"),
    include_str!("page.js"),
);

/// The page could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the report {path} cannot be written ({cause}). Name a file in a folder that exists and can be written to")]
pub struct Unwritten {
    path: PathBuf,
    cause: io::Error,
}

/// Takes the place of a report before there is one, so that a wrong name is told before hours have passed.
///
/// # Errors
/// When the file cannot be written.
pub fn reserve(path: &Path) -> Result<(), Unwritten> {
    std::fs::write(path, "").map_err(|cause| Unwritten { path: path.to_owned(), cause })
}

/// Writes a story as one HTML file.
///
/// # Errors
/// When the file cannot be written.
pub fn write(story: &Story, path: &Path) -> Result<(), Unwritten> {
    std::fs::write(path, page(story)).map_err(|cause| Unwritten { path: path.to_owned(), cause })
}

/// The page's text. `<` is written as JSON's escape, so that nothing in a story can end the element that holds it.
pub fn page(story: &Story) -> String {
    let json = serde_json::to_string(story).unwrap_or_default().replace('<', "\\u003c");
    let title = story.title.replace('&', "&amp;").replace('<', "&lt;");
    let parts = [("{{title}}", title.as_str()), ("{{style}}", STYLE), ("{{story}}", &json), ("{{script}}", SCRIPT)];
    let mut rest = TEMPLATE;
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + json.len());
    // Each token stands in the template once and in this order, so that what is filled in is never searched.
    for (token, text) in parts {
        let (before, after) = rest.split_once(token).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    page
}
