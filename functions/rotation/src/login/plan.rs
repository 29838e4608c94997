//! What to do with a login's password: every choice about versions and labels is made here, from facts alone.
//!
//! As with keys, the records are put in order first ([`settle`]), then it is said whether a new version is made
//! ([`stage`]), and last which labels nobody needs any more ([`sweep`]).

use jiff::{SignedDuration, Timestamp};

use super::labels::{Made, login_label};
use super::value::NotALogin;
use crate::error::StepError;
use crate::fleet::{Roster, name_hosts};
use crate::names::{AWSCURRENT, VersionId};
use crate::plan::{SCHEDULE_GRACE, Settling, after};
use crate::promotion::name_failures;
use crate::request::{Mode, Request};
use crate::secret::SecretFacts;
use crate::settings::{LoginSettings, Settings};
use crate::summary::PlaceSummary;

/// How long a version that was stored may be on its way to AWSPENDING: both happen in one call of one function, of which
/// retries are over by then.
const STAGING_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// Passwords that the hosts' own policy refuses, before a person looks at the rules.
pub const PASSWORDS: u32 = 3;

/// Versions of ours that keep their label, whoever may hold them: a secret has 20 labels, and to set a password nobody
/// needs to know the last one.
const VERSIONS_KEPT: usize = 10;

/// Secrets Manager's own label of the version that was current before.
const AWSPREVIOUS: &str = "AWSPREVIOUS";

/// What is so, as one look found it.
#[derive(Clone, Debug)]
pub struct LoginFacts<'a> {
    /// When the look began.
    pub now: Timestamp,
    /// What the run was asked to do.
    pub request: &'a Request,
    /// The rotation's settings.
    pub settings: &'a Settings,
    /// Of these, what is about the logins.
    pub login: &'a LoginSettings,
    /// The secret.
    pub secret: SecretFacts,
    /// What the current version turned out to hold, read where its label does not tell.
    pub current: Option<Result<Adopted, NotALogin>>,
    /// The version that this execution stores a password as, unless it has stored one already that hosts refused.
    pub token: VersionId,
    /// The hosts, read by whoever may conclude something from them.
    pub roster: Option<&'a Roster>,
    /// What the hosts said that this execution asked to look and to change nothing; nothing before it has.
    pub inspections: &'a [PlaceSummary],
    /// The pending version whose password a host's policy has refused, if one has.
    pub refused: Option<&'a VersionId>,
    /// How many passwords this execution has made.
    pub made: u32,
}

/// A current version that somebody else stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The login whose password it holds.
    pub login: String,
    /// When it was stored.
    pub stored: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginPlan {
    /// Records to put in order first.
    pub settle: Vec<Settling>,
    /// Whether a password is made.
    pub stage: LoginStage,
    /// Labels that nobody needs any more.
    pub sweep: Vec<Settling>,
    /// When the next rotation is due.
    pub next_rotation: Option<Timestamp>,
    /// When the current password was made.
    pub current_made: Option<Timestamp>,
}

/// What becomes of the wish for a new version.
#[derive(Clone, Debug, PartialEq)]
pub enum LoginStage {
    /// Nobody asked, and nothing is overdue.
    NotAsked,
    /// A version of ours is pending: the run goes on with it.
    Pending(Made),
    /// Ask every running host whether it could take a new password, before one is made.
    Inspect,
    /// Make a password, store it, label it AWSPENDING.
    Make {
        /// The version to store it as.
        token: VersionId,
        /// Whose password it is.
        login: String,
        /// The pending version whose place it takes, where its password was refused.
        replaces: Option<VersionId>,
    },
    /// It is stored already: label it AWSPENDING.
    Label {
        /// What is stored.
        made: Made,
        /// The version that it takes the label from.
        replaces: Option<VersionId>,
    },
    /// Take AWSPENDING off.
    Abandon {
        /// The version.
        version: VersionId,
    },
    /// Put AWSPENDING, which no version has, on the one that was current before.
    Rollback(Made),
    /// Hosts must hold the current version first; the run brings them to it, and then goes on.
    HeldUp(String),
    /// A person must remove something.
    Refused(StepError),
}

/// Plans from facts. What makes any plan unsafe is an error that says what a person does.
pub fn plan(facts: &LoginFacts<'_>) -> Result<LoginPlan, StepError> {
    let (settle, secret) = settle(facts)?;
    let settled = LoginFacts { secret, ..facts.clone() };
    let current_made = settled.current().map(|made| made.at);
    Ok(LoginPlan {
        stage: stage(&settled)?,
        sweep: sweep(&settled),
        next_rotation: current_made.map(|made| after(made, facts.settings.schedule.rotate_every())),
        current_made,
        settle,
    })
}

impl LoginPlan {
    /// Whether it says that nothing is to be done by anybody.
    pub fn is_nothing(&self) -> bool {
        self.settle.is_empty() && self.sweep.is_empty() && self.stage == LoginStage::NotAsked
    }
}

impl LoginFacts<'_> {
    fn current(&self) -> Option<Made> {
        self.secret.made_of(self.secret.current()?)
    }

    /// Whose turn it is.
    fn next_login(&self) -> String {
        let current = self.current().map(|made| made.login).unwrap_or_default();
        self.login.after(&current).unwrap_or_default().to_owned()
    }
}

/// The settlings, in order, and the secret as they leave it.
fn settle(facts: &LoginFacts<'_>) -> Result<(Vec<Settling>, SecretFacts), StepError> {
    if facts.secret.rotates_itself {
        return Err(StepError::SecretRotatesItself { secret: facts.settings.secret.id.clone() });
    }
    let mut secret = facts.secret.clone();
    let mut settlings = Vec::new();
    let mut put = |settling: Settling, secret: &mut SecretFacts| {
        settling.apply_to(secret);
        settlings.push(settling);
    };
    if let Some(current) = secret.current().cloned() {
        let made = match secret.made_of(&current) {
            Some(made) => made,
            None => {
                let made = adopt(facts, &current)?;
                put(Settling::Label { label: made.label(), from: None, to: Some(current.clone()) }, &mut secret);
                made
            }
        };
        refuse_strange_login(facts, &made)?;
        // Whoever promoted it may have died before this.
        let from = secret.promoted_of(&made.login).cloned();
        if from.as_ref() != Some(&current) {
            let label = login_label(&made.login);
            put(Settling::Label { label, from, to: Some(current.clone()) }, &mut secret);
        }
        if secret.pending() == Some(&current) {
            put(Settling::FinishPending { version: current }, &mut secret);
        }
    }
    if let Some(version) = secret.only_pending().cloned() {
        let Some(made) = secret.made_of(&version) else {
            return Err(StepError::PendingVersionNotOurs { secret: facts.settings.secret.id.clone(), version });
        };
        refuse_strange_login(facts, &made)?;
    }
    if !secret.is_standing_recorded() {
        let standing = secret.standing_at(facts.now);
        put(Settling::RecordStanding { standing }, &mut secret);
    }
    Ok((settlings, secret))
}

/// A current version that a person stored becomes ours by its label.
fn adopt(facts: &LoginFacts<'_>, version: &VersionId) -> Result<Made, StepError> {
    let unreadable = |problem: String| StepError::SecretValueUnreadable {
        secret: facts.settings.secret.id.clone(),
        version: version.clone(),
        label: AWSCURRENT.to_owned(),
        problem,
    };
    match &facts.current {
        Some(Ok(adopted)) => Ok(Made { at: adopted.stored, version: version.clone(), login: adopted.login.clone() }),
        Some(Err(why)) => Err(unreadable(why.to_string())),
        None => Err(unreadable("it has no value".to_owned())),
    }
}

/// A version of a login that the settings do not name is no business of theirs.
fn refuse_strange_login(facts: &LoginFacts<'_>, made: &Made) -> Result<(), StepError> {
    if facts.login.names.contains(&made.login) {
        return Ok(());
    }
    Err(StepError::LoginOfAnotherName {
        secret: facts.settings.secret.id.clone(),
        login: made.login.clone(),
        names: facts.login.names.join(" and "),
    })
}

/// Plans the staging on a settled secret.
fn stage(facts: &LoginFacts<'_>) -> Result<LoginStage, StepError> {
    if facts.request.is_narrowed() {
        return Ok(LoginStage::NotAsked);
    }
    if facts.request.compromised.is_some() {
        return Err(StepError::InvalidInput {
            path: "compromised".to_owned(),
            problem: "it names an access key. A password that leaked is replaced by {\"mode\": \"rotate\"}; where two logins take turns, start it once more when that has ended, since the other login's password changes only then".to_owned(),
        });
    }
    match facts.request.mode {
        Mode::Abandon => return Ok(abandon(facts)),
        Mode::Rollback => return Ok(rollback(facts)),
        Mode::Rotate | Mode::Converge | Mode::Plan | Mode::Provision => {}
    }
    if let Some(pending) = facts.secret.only_pending() {
        return Ok(go_on_with(facts, pending));
    }
    if !is_asked(facts) || facts.secret.current() == Some(&facts.token) {
        return Ok(LoginStage::NotAsked);
    }
    if let Some(made) = facts.secret.made_of(&facts.token) {
        return Ok(LoginStage::Label { made, replaces: None });
    }
    if let Some(wait) = await_the_last_one(facts) {
        return Ok(wait);
    }
    if facts.inspections.is_empty() {
        return Ok(LoginStage::Inspect);
    }
    if let Some(refusal) = found_unfit(facts) {
        return Ok(LoginStage::Refused(refusal));
    }
    Ok(LoginStage::Make { token: facts.token.clone(), login: facts.next_login(), replaces: None })
}

/// A pending version is gone on with, whoever staged it; unless a host's own policy refuses its password.
fn go_on_with(facts: &LoginFacts<'_>, pending: &VersionId) -> LoginStage {
    let Some(made) = facts.secret.made_of(pending) else { return LoginStage::NotAsked };
    if facts.refused != Some(pending) {
        return LoginStage::Pending(made);
    }
    if facts.made >= PASSWORDS {
        let (login, passwords) = (made.login, facts.made);
        return LoginStage::Refused(StepError::PasswordRefused { login, passwords });
    }
    let replaces = Some(pending.clone());
    match facts.secret.made_of(&facts.token).filter(|stored| stored.version != *pending) {
        Some(stored) => LoginStage::Label { made: stored, replaces },
        None => LoginStage::Make { token: facts.token.clone(), login: made.login, replaces },
    }
}

/// Where two logins take turns, a host that missed the last turn would miss two: every running host holds the current
/// version first.
fn await_the_last_one(facts: &LoginFacts<'_>) -> Option<LoginStage> {
    let roster = facts.roster.filter(|_| facts.login.is_alternating() && facts.secret.current().is_some())?;
    (!roster.lacking.is_empty()).then(|| {
        LoginStage::HeldUp(format!(
            "No new version before every running host has proved the current one: two logins take turns, and a host that missed this turn would be left with neither. Without a believed proof: {}.",
            name_hosts(&roster.lacking)
        ))
    })
}

/// What the hosts answered that were asked to look: all must have, and none may have found anything in the way.
fn found_unfit(facts: &LoginFacts<'_>) -> Option<StepError> {
    let silent: u32 = facts.inspections.iter().map(|place| place.unreachable).sum();
    let found: u32 = facts.inspections.iter().filter_map(|place| Some(place.inspection.as_ref()?.findings)).sum();
    let unread = facts.inspections.iter().any(|place| place.error.is_some() || place.inspection.is_none());
    let differing = replicas_that_differ(facts);
    (silent + found > 0 || unread || !differing.is_empty()).then(|| StepError::HostsNotReady {
        login: facts.next_login(),
        named: [vec![name_failures(facts.inspections)], differing].concat().join("\n").trim().to_owned(),
    })
}

/// Replica groups of which replicas are missing, or whose replicas know the logins by different SIDs: after a failover
/// the databases' users would belong to nobody.
fn replicas_that_differ(facts: &LoginFacts<'_>) -> Vec<String> {
    let groups = facts.login.replica_groups.iter();
    groups.filter_map(|group| {
        let seen: Vec<_> = facts
            .inspections
            .iter()
            .filter_map(|place| place.inspection.as_ref())
            .filter_map(|inspection| inspection.replicas.get(group))
            .collect();
        let answered: u32 = seen.iter().map(|replicas| replicas.answered).sum();
        let members = seen.iter().map(|replicas| replicas.members).max().unwrap_or_default();
        let sids: std::collections::BTreeSet<&String> = seen.iter().flat_map(|replicas| &replicas.sids).collect();
        match () {
            () if answered == 0 => Some(format!("No host answered for the replica group {group}: correct login.replicaGroups, or bring its hosts into the fleet.")),
            () if answered < members => Some(format!("Of the replica group {group} {answered} of {members} replicas answered: start the others, or bring them into the fleet.")),
            () if sids.len() > 1 => Some(format!("The replicas of {group} know the login by different SIDs: drop it on the secondaries and create it there WITH SID = the primary's.")),
            () => None,
        }
    })
    .collect()
}

/// With one login there is only forward once a host may have been told.
fn abandon(facts: &LoginFacts<'_>) -> LoginStage {
    let Some(version) = facts.secret.only_pending().cloned() else { return LoginStage::NotAsked };
    if facts.login.is_alternating() {
        return LoginStage::Abandon { version };
    }
    refuse_turn(
        facts,
        &format!("version {version} is pending, hosts may have its password, and one login has one password"),
        "go forward: start {\"mode\": \"converge\"}",
    )
}

fn rollback(facts: &LoginFacts<'_>) -> LoginStage {
    let previous = facts.secret.labels.get(AWSPREVIOUS).filter(|previous| facts.secret.current() != Some(*previous));
    let before = previous.and_then(|version| facts.secret.made_of(version));
    match (facts.secret.only_pending(), before) {
        (Some(pending), Some(before)) if *pending == before.version => LoginStage::Pending(before),
        (Some(pending), _) => refuse_turn(
            facts,
            &format!("version {pending} is pending, and was never current"),
            "start {\"mode\": \"abandon\"} (two logins) or {\"mode\": \"converge\"} (one)",
        ),
        (None, Some(before)) => LoginStage::Rollback(before),
        (None, None) => refuse_turn(
            facts,
            "no version that was current before is labelled any more",
            "start {\"mode\": \"rotate\"}",
        ),
    }
}

fn refuse_turn(facts: &LoginFacts<'_>, reason: &str, instead: &str) -> LoginStage {
    LoginStage::Refused(StepError::NoWayBack {
        secret: facts.settings.secret.id.clone(),
        reason: reason.to_owned(),
        instead: instead.to_owned(),
    })
}

/// Whether a new version is wanted: by the caller, or because the current one is overdue or missing.
fn is_asked(facts: &LoginFacts<'_>) -> bool {
    match facts.request.mode {
        Mode::Rotate | Mode::Plan | Mode::Provision => true,
        Mode::Abandon | Mode::Rollback => false,
        Mode::Converge => facts.current().is_none_or(|made| {
            let due = after(made.at, facts.settings.schedule.rotate_every());
            facts.now >= after(due, SCHEDULE_GRACE)
        }),
    }
}

/// Labels of versions that nobody holds any more. Without hosts nothing is known of who holds what.
fn sweep(facts: &LoginFacts<'_>) -> Vec<Settling> {
    let secret = &facts.secret;
    let Some(roster) = facts.roster.filter(|_| !facts.request.is_narrowed()) else { return Vec::new() };
    let behind = [&roster.lacking, &roster.stopped_lacking, &roster.left, &roster.let_go];
    let nobody_is_behind = behind.into_iter().all(|hosts| hosts.is_empty());
    let is_needed = |made: &Made| {
        let labels =
            [secret.current(), secret.pending(), secret.labels.get(AWSPREVIOUS), secret.promoted_of(&made.login)];
        labels.contains(&Some(&made.version)) || facts.now < after(made.at, STAGING_WINDOW)
    };
    let old: Vec<Made> = secret.made().into_iter().filter(|made| !is_needed(made)).collect();
    let beyond = old.len().saturating_sub(VERSIONS_KEPT);
    let gone = old.into_iter().enumerate().filter(|(index, _)| nobody_is_behind || *index < beyond);
    gone.map(|(_, made)| Settling::Label { label: made.label(), from: Some(made.version), to: None }).collect()
}
