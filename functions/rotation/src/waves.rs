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

/// Chooses the addressees of a wave among the hosts that lack a proof, or none.
///
/// `online` are those of `lacking` that SSM says are online; it is asked only for a canary.
pub fn choose(
    progress: &Progress,
    lacking: &[InstanceId],
    online: &[InstanceId],
    settings: &WaveSettings,
) -> Option<Addressees> {
    if lacking.is_empty() {
        return None;
    }
    if progress.wave == Wave::Canary {
        // A host that SSM does not see is no canary, unless there is no other.
        let candidates = if online.is_empty() { lacking } else { online };
        return Some(Addressees::Instances(candidates.iter().take(canaries(settings)).cloned().collect()));
    }
    if lacking.len() <= INSTANCE_IDS_OF_A_COMMAND {
        return Some(Addressees::Instances(lacking.to_vec()));
    }
    Some(Addressees::WholeFleet)
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
}

/// The next wave, or none when this place is done.
pub fn next(progress: &Progress, result: WaveResult, settings: &WaveSettings) -> Option<Progress> {
    let again = |wave| Some(Progress { wave, attempt: progress.attempt + 1, number: progress.number + 1 });
    let has_attempts = progress.attempt < settings.attempts;
    match progress.wave {
        Wave::Canary if result.failed + result.unreachable == 0 => {
            (result.still_lacking > 0).then_some(Progress { wave: Wave::Rest, attempt: 1, number: progress.number + 1 })
        }
        // A canary that does not answer is replaced by another; one that fails is tried again, then nobody else is.
        Wave::Canary if has_attempts => again(Wave::Canary),
        Wave::Canary => None,
        Wave::Rest | Wave::Stragglers if result.failed > 0 && has_attempts => again(Wave::Stragglers),
        Wave::Rest | Wave::Stragglers => None,
    }
}

/// Seconds until the next look at a command: the longer it has run, the longer the pause, so that polls grow with the
/// logarithm of its duration and not with the number of hosts.
pub fn poll_pause_seconds(settings: &WaveSettings, asked: Timestamp, now: Timestamp) -> u32 {
    const LONGEST: i64 = 120;
    let elapsed = now.duration_since(asked).as_secs();
    let pause = (elapsed / 3).clamp(i64::from(settings.poll_seconds), LONGEST.max(i64::from(settings.poll_seconds)));
    u32::try_from(pause).unwrap_or(settings.poll_seconds)
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
        let chosen = choose(&at(Wave::Canary, 1), &ids(100), &ids(9)[5..], &settings());
        assert_eq!(chosen, Some(Addressees::Instances(vec!["i-5".into()])));
        let nobody_online = choose(&at(Wave::Canary, 1), &ids(2), &[], &settings());
        assert_eq!(nobody_online, Some(Addressees::Instances(vec!["i-0".into()])));
    }

    #[test]
    fn up_to_fifty_hosts_are_named_and_more_are_one_command() {
        assert_eq!(choose(&at(Wave::Rest, 1), &ids(50), &[], &settings()), Some(Addressees::Instances(ids(50))));
        assert_eq!(choose(&at(Wave::Rest, 1), &ids(51), &[], &settings()), Some(Addressees::WholeFleet));
        assert_eq!(choose(&at(Wave::Rest, 1), &[], &[], &settings()), None);
    }

    #[test]
    fn nobody_else_is_commanded_after_a_canary_that_failed_for_good() {
        let failed = WaveResult { failed: 1, unreachable: 0, still_lacking: 11 };
        assert_eq!(next(&at(Wave::Canary, 2), failed, &settings()).unwrap().wave, Wave::Canary);
        assert_eq!(next(&at(Wave::Canary, 3), failed, &settings()), None);
        let proved = WaveResult { failed: 0, unreachable: 0, still_lacking: 11 };
        assert_eq!(
            next(&at(Wave::Canary, 3), proved, &settings()).unwrap(),
            Progress { wave: Wave::Rest, attempt: 1, number: 5 }
        );
    }

    #[test]
    fn who_failed_is_tried_again_and_who_is_silent_is_not() {
        let failed = WaveResult { failed: 1, unreachable: 2, still_lacking: 1 };
        assert_eq!(next(&at(Wave::Rest, 1), failed, &settings()).unwrap().wave, Wave::Stragglers);
        assert_eq!(next(&at(Wave::Stragglers, 3), failed, &settings()), None);
        let silent = WaveResult { failed: 0, unreachable: 2, still_lacking: 0 };
        assert_eq!(next(&at(Wave::Rest, 1), silent, &settings()), None);
    }

    #[test]
    fn pauses_grow_with_the_command_and_stay_below_two_minutes() {
        let asked: Timestamp = "2026-11-24T06:00:00Z".parse().unwrap();
        let pause = |seconds| poll_pause_seconds(&settings(), asked, asked + SignedDuration::from_secs(seconds));
        assert_eq!([pause(0), pause(30), pause(3600)], [5, 10, 120]);
        let mut polls = 0;
        let mut elapsed = 0;
        while elapsed < 3600 {
            elapsed += i64::from(pause(elapsed));
            polls += 1;
        }
        assert!(polls < 45, "{polls} polls in an hour");
    }

    #[test]
    fn a_comment_fits_with_the_longest_execution_name() {
        let arn = format!("arn:aws:states:eu-west-1:111122223333:execution:machine:{}", "x".repeat(80));
        assert!(comment(&arn, 999).len() <= 100);
    }
}
