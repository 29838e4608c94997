//! Which error a Retry or a Catch means, and how long a retry waits. Pure, so that a table can prove it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::definition::{Catcher, JitterStrategy, Retrier};

/// Whether a list of error names means this error.
///
/// States.ALL catches neither States.Runtime nor States.DataLimitExceeded (FACTS E), and States.Runtime, an execution
/// that cannot be processed, is never retried or caught at all. States.TaskFailed means every error but a time-out.
pub(super) fn means(error_equals: &[String], error: &str) -> bool {
    let beyond_wildcards = error == "States.DataLimitExceeded";
    error != "States.Runtime"
        && error_equals.iter().any(|name| match name.as_str() {
            "States.ALL" => !beyond_wildcards,
            "States.TaskFailed" => !beyond_wildcards && error != "States.Timeout",
            name => name == error,
        })
}

/// The first Catch entry that means the error.
pub(super) fn catcher<'a>(catchers: &'a [Catcher], error: &str) -> Option<&'a Catcher> {
    catchers.iter().find(|catcher| means(&catcher.error_equals, error))
}

/// The retries of one visit to a state; each entry of Retry counts its own attempts.
pub(super) struct Retries<'a> {
    retriers: &'a [Retrier],
    attempts: Vec<u32>,
    /// What jitter is drawn from, so that the same execution of the same state waits the same every time.
    seed: (&'a str, &'a str),
}

impl<'a> Retries<'a> {
    pub(super) fn new(retriers: &'a [Retrier], execution: &'a str, state: &'a str) -> Retries<'a> {
        Retries { retriers, attempts: vec![0; retriers.len()], seed: (execution, state) }
    }

    /// How often the state was tried again so far: `$$.State.RetryCount`.
    pub(super) fn count(&self) -> u32 {
        self.attempts.iter().sum()
    }

    /// How long to wait before the next attempt, or nothing if this error is not retried (any more).
    ///
    /// The first entry that means the error decides; once its attempts are used up, later entries are not asked.
    pub(super) fn after(&mut self, error: &str) -> Option<Duration> {
        let index = self.retriers.iter().position(|retrier| means(&retrier.error_equals, error))?;
        let retrier = &self.retriers[index];
        let attempt = self.attempts[index];
        if attempt >= retrier.max_attempts {
            return None;
        }
        let delay = full_delay(retrier, attempt);
        let delay = match retrier.jitter_strategy {
            JitterStrategy::None => delay,
            JitterStrategy::Full => delay.mul_f64(self.draw()),
        };
        self.attempts[index] += 1;
        Some(delay)
    }

    fn draw(&self) -> f64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.count()).hash(&mut hasher);
        f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}

fn full_delay(retrier: &Retrier, attempt: u32) -> Duration {
    let grown = retrier.backoff_rate.powf(f64::from(attempt));
    let most = Duration::from_secs(retrier.max_delay_seconds.unwrap_or(u64::from(u32::MAX)));
    Duration::try_from_secs_f64(Duration::from_secs(retrier.interval_seconds).as_secs_f64() * grown)
        .map_or(most, |delay| delay.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn retriers(entries: serde_json::Value) -> Vec<Retrier> {
        serde_json::from_value(entries).unwrap()
    }

    fn delays(entries: serde_json::Value, errors: &[&str]) -> Vec<Option<f64>> {
        let retriers = retriers(entries);
        let mut retries = Retries::new(&retriers, "monday", "Send");
        errors.iter().map(|error| retries.after(error).map(|delay| delay.as_secs_f64())).collect()
    }

    #[test]
    fn wildcards_do_not_mean_what_nothing_can_repair() {
        let all = ["States.ALL".to_owned()];
        let failed = ["States.TaskFailed".to_owned()];
        let named = ["States.Runtime".to_owned(), "States.DataLimitExceeded".to_owned(), "Mine".to_owned()];
        assert!(means(&all, "Mine") && means(&all, "States.Timeout"));
        assert!(!means(&all, "States.Runtime") && !means(&all, "States.DataLimitExceeded"));
        assert!(means(&failed, "Mine") && !means(&failed, "States.Timeout"));
        assert!(means(&named, "Mine") && means(&named, "States.DataLimitExceeded") && !means(&named, "States.Runtime"));
        assert!(!means(&named, "mine") && !means(&named, "Min"), "names are compared whole and in their case");
    }

    #[test]
    fn delays_grow_by_the_backoff_rate_up_to_the_most_and_then_end() {
        let entry = json!([{"ErrorEquals": ["A"], "IntervalSeconds": 3, "BackoffRate": 2, "MaxAttempts": 4, "MaxDelaySeconds": 10}]);
        assert_eq!(delays(entry, &["A"; 5]), [Some(3.0), Some(6.0), Some(10.0), Some(10.0), None]);
    }

    #[test]
    fn what_is_left_out_is_one_second_twice_as_long_each_time_three_times() {
        assert_eq!(
            delays(json!([{"ErrorEquals": ["States.ALL"]}]), &["A"; 4]),
            [Some(1.0), Some(2.0), Some(4.0), None]
        );
        assert_eq!(delays(json!([{"ErrorEquals": ["A"], "MaxAttempts": 0}]), &["A"]), [None]);
    }

    #[test]
    fn each_entry_counts_for_itself_and_the_first_that_fits_decides() {
        let entries = json!([
            {"ErrorEquals": ["A"], "IntervalSeconds": 10, "MaxAttempts": 1},
            {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 9},
        ]);
        assert_eq!(delays(entries, &["A", "B", "B", "A"]), [Some(10.0), Some(1.0), Some(1.0), None]);
    }

    #[test]
    fn jitter_is_less_than_the_delay_and_the_same_every_time() {
        let entry = json!([{"ErrorEquals": ["A"], "IntervalSeconds": 100, "BackoffRate": 1, "JitterStrategy": "FULL"}]);
        let drawn = delays(entry.clone(), &["A"; 3]);
        assert_eq!(drawn, delays(entry, &["A"; 3]));
        assert!(drawn.iter().all(|delay| delay.is_some_and(|delay| (0.0..=100.0).contains(&delay))), "{drawn:?}");
        assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2], "{drawn:?}");
    }
}
