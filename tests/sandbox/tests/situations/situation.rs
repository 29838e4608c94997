//! The words in which a row is written: what is so, what the host answers, what is so afterwards, and on with the next
//! command.

use rotation::host_answer::HostError;
use sandbox::host::Platform;

use crate::stage::{DEFAULT, Said, Stage};

/// A row of the table: a sentence, and the situation that it names.
pub struct Row {
    pub name: &'static str,
    make: fn() -> Situation,
}

impl Row {
    pub const fn new(name: &'static str, make: fn() -> Situation) -> Row {
        Row { name, make }
    }

    pub fn situation(&self) -> Situation {
        (self.make)()
    }
}

/// A chapter of the table: the names of its rows' functions, one a line.
macro_rules! rows {
    ($($row:ident,)+) => { &[$($crate::situation::Row::new(stringify!($row), $row),)+] };
}
pub(crate) use rows;

type Arrangement = Box<dyn FnOnce(&mut Stage) + Send>;
type Check = Box<dyn FnOnce(&Stage) + Send>;

/// A host's story: commands, each with what is so before it and what it comes to.
#[derive(Default)]
pub struct Situation {
    only_on: Option<(Platform, &'static str)>,
    kind: Kind,
    commands: Vec<Command>,
}

/// What is rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The access key in an S3 credential.
    #[default]
    AccessKey,
    /// The password of a login, or of two that take turns.
    Login,
}

#[derive(Default)]
struct Command {
    so: Vec<Arrangement>,
    outcome: Option<Outcome>,
    checks: Vec<Check>,
}

enum Outcome {
    Answer(Answer),
    That(fn(&Said)),
    Killed,
    TwoAtOnce(fn(&Said, &Said)),
    Inspection(Answer),
    InspectionThat(fn(&Said)),
}

impl Situation {
    /// One healthy instance of 16.x that holds the old key, while the new version is pending.
    pub fn new() -> Situation {
        Situation::default()
    }

    /// One healthy instance of 16.x whose login `app` has the old password, while the new version is pending.
    pub fn of_a_login() -> Situation {
        Situation { kind: Kind::Login, ..Situation::default() }
    }

    /// What is rotated in it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A situation that only one platform knows, and why.
    pub fn only_on(&self) -> Option<(Platform, &'static str)> {
        self.only_on
    }

    pub fn only(mut self, platform: Platform, reason: &'static str) -> Situation {
        self.only_on = Some((platform, reason));
        self
    }

    /// What is so before the next command.
    pub fn so(mut self, arrange: impl FnOnce(&mut Stage) + Send + 'static) -> Situation {
        self.open().so.push(Box::new(arrange));
        self
    }

    /// The command runs and the host gives this answer.
    pub fn answers(mut self, answer: Answer) -> Situation {
        self.open().outcome = Some(Outcome::Answer(answer));
        self
    }

    /// The command runs and the host gives an answer of which a row states less, or more.
    pub fn answers_that(mut self, judge: fn(&Said)) -> Situation {
        self.open().outcome = Some(Outcome::That(judge));
        self
    }

    /// The command is killed at its time-out and gives no answer.
    pub fn ends_killed(mut self) -> Situation {
        self.open().outcome = Some(Outcome::Killed);
        self
    }

    /// The command runs twice at the same time.
    pub fn answers_twice_at_once(mut self, judge: fn(&Said, &Said)) -> Situation {
        self.open().outcome = Some(Outcome::TwoAtOnce(judge));
        self
    }

    /// The host is inspected, gives this answer, and is as it was before: the stage sees to that, whatever the row is
    /// about.
    pub fn shows(mut self, mut answer: Answer) -> Situation {
        answer.inspected.get_or_insert(0);
        self.open().outcome = Some(Outcome::Inspection(answer));
        self
    }

    /// The host is inspected and gives an answer of which a row states less, or more.
    pub fn shows_that(mut self, judge: fn(&Said)) -> Situation {
        self.open().outcome = Some(Outcome::InspectionThat(judge));
        self
    }

    /// What is so after the command.
    pub fn and(mut self, check: impl FnOnce(&Stage) + Send + 'static) -> Situation {
        self.commands.last_mut().expect("a check follows a command").checks.push(Box::new(check));
        self
    }

    /// The command that has no outcome yet.
    fn open(&mut self) -> &mut Command {
        if self.commands.last().is_none_or(|command| command.outcome.is_some()) {
            self.commands.push(Command::default());
        }
        self.commands.last_mut().expect("there is one now")
    }

    /// Plays the row.
    pub async fn play(self, stage: &mut Stage) {
        for command in self.commands {
            command.so.into_iter().for_each(|arrange| arrange(stage));
            match command.outcome.expect("a row ends with an outcome") {
                Outcome::Answer(expected) => {
                    let said = stage.run().await;
                    said.assert_is(&expected, stage);
                }
                Outcome::That(judge) => judge(&stage.run().await),
                Outcome::Killed => stage.run_to_its_time_out().await,
                Outcome::TwoAtOnce(judge) => {
                    let (first, second) = stage.run_twice_at_once().await;
                    judge(&first, &second);
                }
                Outcome::Inspection(expected) => {
                    let said = stage.inspect().await;
                    said.assert_is(&expected, stage);
                }
                Outcome::InspectionThat(judge) => judge(&stage.inspect().await),
            }
            command.checks.into_iter().for_each(|check| check(stage));
        }
    }
}

/// The part of an answer that every row states: the exit code, the counts, and the failures with their instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub exit_code: i32,
    pub proved: u32,
    pub changed: u32,
    pub nothing_to_hold: u32,
    pub failures: Vec<(HostError, String)>,
    /// How many instances an inspection saw; none where the command was no inspection.
    pub inspected: Option<u32>,
}

/// So many instances proved the target, and nothing had to be changed.
pub fn proved(instances: u32) -> Answer {
    Answer { proved: instances, ..Answer::default() }
}

/// So many instances were altered, and proved the target.
pub fn altered(instances: u32) -> Answer {
    Answer { changed: instances, ..proved(instances) }
}

/// So many instances were looked at that can hold a credential.
pub fn seen(instances: u32) -> Answer {
    Answer { inspected: Some(instances), ..Answer::default() }
}

/// So many instances cannot hold a credential.
pub fn nothing_to_hold(instances: u32) -> Answer {
    Answer { nothing_to_hold: instances, ..Answer::default() }
}

/// The default instance failed.
pub fn failed(error: HostError) -> Answer {
    Answer::default().failing(DEFAULT, error)
}

/// The host failed before any instance was touched.
pub fn host_failed(error: HostError) -> Answer {
    let exit_code = if error == HostError::VersionNotVisibleYet { 3 } else { 2 };
    Answer { exit_code, failures: vec![(error, String::new())], ..Answer::default() }
}

impl Answer {
    /// And this instance failed.
    pub fn failing(mut self, instance: &str, error: HostError) -> Answer {
        self.exit_code = 1;
        self.failures.push((error, instance.to_owned()));
        self
    }

    /// It was no single instance that failed, but the host as a whole.
    pub fn for_the_host(mut self) -> Answer {
        self.failures.iter_mut().for_each(|(_, instance)| instance.clear());
        self
    }

    /// And the credentials of so many instances were altered all the same.
    pub fn having_changed(mut self, instances: u32) -> Answer {
        self.changed = instances;
        self
    }
}
