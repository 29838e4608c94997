//! The end of a tale: what is wrong with it, what it covered, and its trace.

use rotation::StepError;
use sandbox::world::WorldError;

use crate::chance::Tale;
use crate::coverage::Coverage;
use crate::history::in_its_own_time;
use crate::judgement::undone;
use crate::telling::told;

/// A history's end.
pub struct Verdict {
    /// What is wrong, in words; nothing, as it ought to be.
    pub wrong: Vec<String>,
    /// What it covered.
    pub covered: Coverage,
    /// The whole history.
    pub trace: String,
}

impl Verdict {
    /// Tells a tale to its end and judges it: no guarantee was broken at any event, everything came right, and whatever
    /// failed did so under a name that people can look up.
    ///
    /// # Errors
    /// Says what could not be made.
    pub fn of(tale: &Tale) -> Result<Verdict, WorldError> {
        let history = in_its_own_time(tale.seed, told(tale))??;
        let mut wrong: Vec<String> = history.world.auditor.findings().iter().map(ToString::to_string).collect();
        wrong.extend(undone(&history.world));
        let strange = history.errors.iter().filter(|error| !StepError::NAMES.contains(&error.as_str()));
        wrong.extend(strange.map(|error| format!("an execution ended with {error}")));
        if !wrong.is_empty() {
            let said = history.world.cloud.notices().pop().map(|notice| notice.message);
            wrong.push(format!("people were last told: {}", said.unwrap_or_default()));
        }
        Ok(Verdict { wrong, covered: Coverage::of(tale, &history), trace: history.trace.text() })
    }
}
