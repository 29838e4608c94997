//! A clock that goes by itself: so many times as fast as real time, and only while nobody works.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Simulated time as a multiple of real time, from the moment on at which nobody was busy any more.
pub(super) struct Pace {
    times: u32,
    real_start: Instant,
    start: Timestamp,
    /// How many wait for a leap: then the pace is suspended.
    pub(super) leaps: usize,
}

impl Pace {
    pub(super) fn from_now(times: u32, now: Timestamp) -> Pace {
        Pace { times, real_start: Instant::now(), start: now, leaps: 0 }
    }

    /// While somebody was busy, time stood still: what was missed is not made up for.
    pub(super) fn go_on_from(&mut self, now: Timestamp) {
        *self = Pace { leaps: self.leaps, ..Pace::from_now(self.times, now) };
    }

    /// Where the pace has come.
    pub(super) fn reached(&self) -> Timestamp {
        self.start.saturating_add(self.real_start.elapsed() * self.times).unwrap_or(self.start)
    }
}

/// How often a clock with a pace looks where it ought to be, and whoever waits looks again.
#[allow(clippy::disallowed_methods, reason = "a pace and a limit are matters of real time")]
pub(super) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
