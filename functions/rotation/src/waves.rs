//! Whom to command next: the canary, the rest, the stragglers.
//!
//! The canary is a wave of its own, since SSM's ramp waits for acknowledgement and not for success (FACTS C).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::names::InstanceId;
use crate::settings::WaveSettings;

/// The most instances that SendCommand takes by id (FACTS C).
pub const INSTANCE_IDS_OF_A_COMMAND: usize = 50;

/// Where one place stands in its waves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// The wave that is next or under way.
    pub wave: Wave,
    /// How often this wave was sent, from 1.
    pub attempt: u32,
    /// How many commands this execution has sent here, this one included.
    pub number: u32,
}

/// The waves of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wave {
    /// A few hosts, which must prove before anyone else is commanded.
    Canary,
    /// Everyone else who lacks a proof.
    Rest,
    /// Those who failed and may do better.
    Stragglers,
}

/// Whom one command is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressees {
    /// These instances.
    Instances(Vec<InstanceId>),
    /// All that match the fleet's tag conditions, those that have proved already included: one command a region.
    WholeFleet,
}

/// What SSM says of some of a place's hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Hosts that it knows as managed nodes; SendCommand refuses the whole command where it names another.
    pub registered: Vec<InstanceId>,
    /// Of these, those whose agent is online.
    pub online: Vec<InstanceId>,
}

/// Chooses the addressees of a wave among the hosts that are to be commanded, or none.
///
/// `nodes` is asked of SSM for a canary, and where the hosts are few enough to be named.
pub fn choose(
    progress: &Progress,
    to_command: &[InstanceId],
    nodes: &Nodes,
    settings: &WaveSettings,
) -> Option<Addressees> {
    if to_command.is_empty() {
        return None;
    }
    let named = match progress.wave {
        // A host that SSM does not see is no canary, unless there is no other.
        Wave::Canary if nodes.online.is_empty() => &nodes.registered[..nodes.registered.len().min(canaries(settings))],
        Wave::Canary => &nodes.online[..nodes.online.len().min(canaries(settings))],
        Wave::Rest | Wave::Stragglers if to_command.len() > INSTANCE_IDS_OF_A_COMMAND => {
            return Some(Addressees::WholeFleet);
        }
        // Who was silent in the wave before would make everyone wait once more.
        Wave::Stragglers => &nodes.online[..],
        Wave::Rest => &nodes.registered[..],
    };
    (!named.is_empty()).then(|| Addressees::Instances(named.to_vec()))
}

fn canaries(settings: &WaveSettings) -> usize {
    (settings.canary_hosts as usize).clamp(1, INSTANCE_IDS_OF_A_COMMAND)
}

/// What one wave came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaveResult {
    /// Hosts of the wave that did not prove though their agent answered.
    pub failed: usize,
    /// Hosts of the wave that SSM does not see online.
    pub unreachable: usize,
    /// Hosts of the place that still lack a proof though their agent is not known to be silent.
    pub still_lacking: usize,
    /// Whether a host of the place that has a SQL Server instance holds a believed proof by now.
    pub has_real_proof: bool,
}

/// The next wave, or none when this place is done.
pub fn next(progress: &Progress, result: WaveResult, settings: &WaveSettings) -> Option<Progress> {
    let again = |wave| Some(Progress { wave, attempt: progress.attempt + 1, number: progress.number + 1 });
    let has_attempts = progress.attempt < settings.attempts;
    match progress.wave {
        Wave::Canary if result.failed + result.unreachable == 0 && result.still_lacking == 0 => None,
        // A host with nothing to hold says nothing of the key, so the next one is the canary.
        Wave::Canary if result.failed + result.unreachable == 0 && !result.has_real_proof && has_attempts => {
            again(Wave::Canary)
        }
        Wave::Canary if result.failed + result.unreachable == 0 => {
            Some(Progress { wave: Wave::Rest, attempt: 1, number: progress.number + 1 })
        }
        // A canary that does not answer is replaced by another; one that fails is tried again, then nobody else is.
        Wave::Canary if has_attempts => again(Wave::Canary),
        Wave::Canary => None,
        Wave::Rest | Wave::Stragglers if result.failed > 0 && has_attempts => again(Wave::Stragglers),
        Wave::Rest | Wave::Stragglers => None,
    }
}

/// Seconds until the next look at a command: the longer it has run, the longer the pause, up to ten minutes, so that an
/// hour takes some twenty looks whatever the number of hosts.
pub fn poll_pause_seconds(settings: &WaveSettings, asked: Timestamp, now: Timestamp) -> u32 {
    const LONGEST: i64 = 600;
    let elapsed = now.duration_since(asked).as_secs();
    let pause = (elapsed / 3).clamp(i64::from(settings.poll_seconds), LONGEST.max(i64::from(settings.poll_seconds)));
    u32::try_from(pause).unwrap_or(settings.poll_seconds)
}

/// When invocations that SSM does not show are no longer waited for: every host's own time-outs have passed by then.
pub fn answers_deadline(settings: &WaveSettings, asked: Timestamp) -> Timestamp {
    let seconds = i64::from(settings.delivery_timeout_seconds) + i64::from(settings.execution_timeout_seconds);
    asked.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// When a wave is judged as it stands.
pub fn deadline(settings: &WaveSettings, asked: Timestamp) -> Timestamp {
    asked.checked_add(SignedDuration::from_secs(i64::from(settings.wave_timeout_seconds))).unwrap_or(Timestamp::MAX)
}

/// The command's Comment, by which a command whose reply was lost is found again. An execution's name has at most 80
/// characters, and a Comment takes 100.
pub fn comment(execution: &str, number: u32) -> String {
    let name = execution.rsplit(':').next().unwrap_or(execution);
    let name: String = name.chars().take(80).collect();
    format!("{name} wave {number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> WaveSettings {
        WaveSettings {
            canary_hosts: 1,
            concurrency: 50,
            attempts: 3,
            delivery_timeout_seconds: 120,
            execution_timeout_seconds: 300,
            wave_timeout_seconds: 3600,
            poll_seconds: 5,
        }
    }

    fn ids(count: usize) -> Vec<InstanceId> {
        (0..count).map(|number| InstanceId(format!("i-{number}"))).collect()
    }

    fn at(wave: Wave, attempt: u32) -> Progress {
        Progress { wave, attempt, number: 4 }
    }

    #[test]
    fn a_canary_is_chosen_among_those_that_ssm_sees() {
        let nodes = Nodes { registered: ids(9), online: ids(9)[5..].to_vec() };
        let chosen = choose(&at(Wave::Canary, 1), &ids(100), &nodes, &settings());
        assert_eq!(chosen, Some(Addressees::Instances(vec!["i-5".into()])));
        let nobody_online = Nodes { registered: ids(2), online: Vec::new() };
        let chosen = choose(&at(Wave::Canary, 1), &ids(2), &nobody_online, &settings());
        assert_eq!(chosen, Some(Addressees::Instances(vec!["i-0".into()])));
    }

    #[test]
    fn up_to_fifty_hosts_are_named_and_more_are_one_command() {
        let all = Nodes { registered: ids(50), online: ids(50) };
        assert_eq!(choose(&at(Wave::Rest, 1), &ids(50), &all, &settings()), Some(Addressees::Instances(ids(50))));
        assert_eq!(choose(&at(Wave::Rest, 1), &ids(51), &all, &settings()), Some(Addressees::WholeFleet));
        assert_eq!(choose(&at(Wave::Rest, 1), &[], &all, &settings()), None);
    }

    #[test]
    fn a_host_that_ssm_does_not_know_is_never_named_since_it_would_stop_the_command_for_all() {
        let nodes = Nodes { registered: ids(2), online: ids(1) };
        assert_eq!(choose(&at(Wave::Rest, 1), &ids(3), &nodes, &settings()), Some(Addressees::Instances(ids(2))));
        let straggler = choose(&at(Wave::Stragglers, 2), &ids(3), &nodes, &settings());
        assert_eq!(straggler, Some(Addressees::Instances(ids(1))), "who was silent is not waited for again");
        let nobody = Nodes::default();
        assert_eq!(choose(&at(Wave::Rest, 1), &ids(3), &nobody, &settings()), None);
        assert_eq!(choose(&at(Wave::Canary, 1), &ids(3), &nobody, &settings()), None);
    }

    #[test]
    fn a_canary_with_nothing_to_hold_makes_way_for_another_a_few_times() {
        let nothing = WaveResult { still_lacking: 4, has_real_proof: false, ..WaveResult::default() };
        assert_eq!(next(&at(Wave::Canary, 1), nothing, &settings()).unwrap().wave, Wave::Canary);
        assert_eq!(next(&at(Wave::Canary, 3), nothing, &settings()).unwrap().wave, Wave::Rest);
    }

    #[test]
    fn nobody_else_is_commanded_after_a_canary_that_failed_for_good() {
        let failed = WaveResult { failed: 1, still_lacking: 11, ..WaveResult::default() };
        assert_eq!(next(&at(Wave::Canary, 2), failed, &settings()).unwrap().wave, Wave::Canary);
        assert_eq!(next(&at(Wave::Canary, 3), failed, &settings()), None);
        let proved = WaveResult { still_lacking: 11, has_real_proof: true, ..WaveResult::default() };
        assert_eq!(
            next(&at(Wave::Canary, 3), proved, &settings()).unwrap(),
            Progress { wave: Wave::Rest, attempt: 1, number: 5 }
        );
    }

    #[test]
    fn who_failed_is_tried_again_and_who_is_silent_is_not() {
        let failed = WaveResult { failed: 1, unreachable: 2, still_lacking: 1, has_real_proof: true };
        assert_eq!(next(&at(Wave::Rest, 1), failed, &settings()).unwrap().wave, Wave::Stragglers);
        assert_eq!(next(&at(Wave::Stragglers, 3), failed, &settings()), None);
        let silent = WaveResult { unreachable: 2, has_real_proof: true, ..WaveResult::default() };
        assert_eq!(next(&at(Wave::Rest, 1), silent, &settings()), None);
    }

    #[test]
    fn pauses_grow_with_the_command_so_that_an_hour_takes_some_twenty_looks() {
        let asked: Timestamp = "2026-11-24T06:00:00Z".parse().unwrap();
        let pause = |seconds| poll_pause_seconds(&settings(), asked, asked + SignedDuration::from_secs(seconds));
        assert_eq!([pause(0), pause(30), pause(3600)], [5, 10, 600]);
        let mut polls = 0;
        let mut elapsed = 0;
        while elapsed < 3600 {
            elapsed += i64::from(pause(elapsed));
            polls += 1;
        }
        assert!((15..25).contains(&polls), "{polls} polls in an hour");
    }

    #[test]
    fn a_comment_fits_with_the_longest_execution_name() {
        let arn = format!("arn:aws:states:eu-west-1:111122223333:execution:machine:{}", "x".repeat(80));
        assert!(comment(&arn, 999).len() <= 100);
    }
}
