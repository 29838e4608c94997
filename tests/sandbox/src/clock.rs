//! Virtual time: days pass in an instant, and nothing passes while somebody is at work.
//!
//! The clock jumps to the next sleeper as soon as nobody is busy. Whoever runs a process or answers a request
//! stays busy, so a real script that takes a second of real time takes none of the simulated time, and every
//! run of the sandbox sees its events in the same order however fast the machine is.
//!
//! A clock that is served to people and to programs of strangers must not run away while they think: it stands still
//! while nothing runs ([`Clock::stand_still_when_nothing_runs`]), or goes on at a pace of its own ([`Clock::keep_pace`]).

mod pace;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use pace::{Pace, a_moment};

/// A handle on the one simulated clock; clones share it.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<Inner>>);

struct Inner {
    now: Timestamp,
    busy: usize,
    sequence: u64,
    sleepers: BinaryHeap<Reverse<Sleeper>>,
    passing: Passing,
    /// How many things run for which time may pass: executions, commands, days that somebody lets pass.
    running: usize,
}

/// What time does while nobody is busy.
enum Passing {
    /// It jumps to the next sleeper: whoever made the clock waits for what comes.
    Jumps,
    /// It jumps while something runs, and stands still otherwise.
    JumpsWhileSomethingRuns,
    /// It goes on at a pace, and jumps only to where that pace has come.
    Paced(Pace),
}

struct Sleeper {
    until: Timestamp,
    /// Who went to sleep first wakes first: the order of equal times is part of a reproducible history.
    sequence: u64,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.until, self.sequence).cmp(&(other.until, other.sequence))
    }
}

impl Clock {
    /// A clock that shows `now`. Its maker counts as busy: the first thing that sleeps lets time pass.
    pub fn starting_at(now: Timestamp) -> Clock {
        let (sleepers, passing) = (BinaryHeap::new(), Passing::Jumps);
        Clock(Arc::new(Mutex::new(Inner { now, busy: 1, sequence: 0, sleepers, passing, running: 0 })))
    }

    /// The maker counts as busy no longer. From now on time passes only while something runs: see [`Clock::running`].
    pub fn stand_still_when_nothing_runs(&self) {
        let mut inner = self.lock();
        inner.passing = Passing::JumpsWhileSomethingRuns;
        inner.release();
    }

    /// The maker counts as busy no longer. From now on time goes on by itself, `times` as fast as real time and never
    /// faster, but for a leap ([`Clock::running_with_a_leap`]). Needs a tokio runtime.
    pub fn keep_pace(&self, times: u32) {
        {
            let mut inner = self.lock();
            inner.passing = Passing::Paced(Pace::from_now(times, inner.now));
            inner.release();
        }
        let clock = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                a_moment().await;
                let Some(inner) = clock.upgrade() else { return };
                inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).catch_up();
            }
        });
    }

    /// Lets time pass, for a clock that stands still when nothing runs, until the guard is dropped.
    pub fn running(&self) -> Running {
        self.run(false)
    }

    /// The same, and a pace is suspended meanwhile: a person who lets days pass does not wait for them.
    pub fn running_with_a_leap(&self) -> Running {
        self.run(true)
    }

    fn run(&self, leaps: bool) -> Running {
        let mut inner = self.lock();
        inner.running += 1;
        if let (Passing::Paced(pace), true) = (&mut inner.passing, leaps) {
            pace.leaps += 1;
        }
        inner.settle();
        drop(inner);
        Running { clock: self.clone(), leaps }
    }

    /// Counts as busy until the guard is dropped, as whoever answers a request does. The holder must not sleep.
    pub fn busy(&self) -> Busy {
        let mut inner = self.lock();
        inner.catch_up();
        inner.busy += 1;
        drop(inner);
        Busy(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Lets a little time pass at once, as an API call does. Sleepers that become due wake at the next jump.
    pub fn tick(&self, by: Duration) {
        let mut inner = self.lock();
        inner.now = inner.now.saturating_add(by).unwrap_or(inner.now);
    }

    /// Sleeps in simulated time; the sleeper does not count as busy. Whoever gives up sleeping is busy again.
    pub async fn sleep(&self, duration: Duration) {
        let mut asleep = {
            let mut inner = self.lock();
            let until = inner.now.saturating_add(duration).unwrap_or(inner.now);
            let (wake, woken) = oneshot::channel();
            inner.sequence += 1;
            let sequence = inner.sequence;
            inner.sleepers.push(Reverse(Sleeper { until, sequence, wake }));
            inner.release();
            Asleep { clock: self, woken, is_over: false }
        };
        // A dropped sender means that the clock itself is gone; then nobody is left to wait for.
        let _ = (&mut asleep.woken).await;
        asleep.is_over = true;
    }

    /// Waits in real time until nobody is busy, but no longer than `limit`; whether nobody is.
    pub async fn until_nobody_is_busy(&self, limit: Duration) -> bool {
        let quiet = async {
            while self.lock().busy > 0 {
                a_moment().await;
            }
        };
        tokio::time::timeout(limit, quiet).await.is_ok()
    }

    /// Runs a task that counts as busy until it ends or sleeps.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = self.busy();
        tokio::spawn(async move {
            let _guard = guard;
            future.await;
        })
    }

    /// Runs futures side by side inside the caller's task; each counts as busy until it ends or sleeps.
    pub async fn join_all<F: Future>(&self, futures: Vec<F>) -> Vec<F::Output> {
        if futures.is_empty() {
            return Vec::new();
        }
        self.lock().busy += futures.len() - 1;
        let children = futures.into_iter().map(|future| Child::Running(Box::pin(future))).collect();
        JoinAll { clock: self.clone(), children }.await
    }
}

impl Inner {
    /// One busy task less; if it was the last, time passes.
    fn release(&mut self) {
        self.busy = self.busy.saturating_sub(1);
        let now = self.now;
        if let (Passing::Paced(pace), 0) = (&mut self.passing, self.busy) {
            pace.go_on_from(now);
        }
        self.settle();
    }

    /// Where nobody is busy, time jumps to the next sleeper that it may reach, who is busy from then on.
    fn settle(&mut self) {
        while self.busy == 0 {
            let Some(limit) = self.limit() else { return };
            if self.sleepers.peek().is_none_or(|Reverse(next)| next.until > limit) {
                return;
            }
            let Some(Reverse(sleeper)) = self.sleepers.pop() else { return };
            self.now = self.now.max(sleeper.until);
            // A sleeper that was cancelled is passed over.
            if sleeper.wake.send(()).is_ok() {
                self.busy += 1;
            }
        }
    }

    /// How far time may jump.
    fn limit(&self) -> Option<Timestamp> {
        match &self.passing {
            Passing::Jumps => Some(Timestamp::MAX),
            Passing::JumpsWhileSomethingRuns => (self.running > 0).then_some(Timestamp::MAX),
            Passing::Paced(pace) if pace.leaps > 0 => Some(Timestamp::MAX),
            Passing::Paced(pace) => Some(pace.reached()),
        }
    }

    /// Time that goes by itself comes to where its pace is.
    fn catch_up(&mut self) {
        if self.busy > 0 {
            return;
        }
        self.settle();
        if let Passing::Paced(pace) = &self.passing
            && self.busy == 0
        {
            self.now = self.now.max(pace.reached());
        }
    }
}

/// Somebody who sleeps, or was just woken.
struct Asleep<'a> {
    clock: &'a Clock,
    woken: oneshot::Receiver<()>,
    is_over: bool,
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        // Under the lock, so that nobody wakes the sleeper in between.
        let mut inner = self.clock.lock();
        self.woken.close();
        if !self.is_over && self.woken.try_recv().is_err() {
            inner.busy += 1;
        }
    }
}

/// Time may pass while this is held: see [`Clock::running`].
pub struct Running {
    clock: Clock,
    leaps: bool,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Running").field("leaps", &self.leaps).finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut inner = self.clock.lock();
        inner.running = inner.running.saturating_sub(1);
        let now = inner.now;
        if let (Passing::Paced(pace), true) = (&mut inner.passing, self.leaps) {
            pace.leaps = pace.leaps.saturating_sub(1);
            pace.go_on_from(now);
        }
    }
}

/// Counts as busy while this is held: see [`Clock::busy`].
pub struct Busy(Clock);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().release();
    }
}

enum Child<F: Future> {
    Running(Pin<Box<F>>),
    Ended(Option<F::Output>),
}

struct JoinAll<F: Future> {
    clock: Clock,
    children: Vec<Child<F>>,
}

impl<F: Future> Unpin for JoinAll<F> {}

impl<F: Future> Future for JoinAll<F> {
    type Output = Vec<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        for index in 0..this.children.len() {
            let Child::Running(future) = &mut this.children[index] else { continue };
            let Poll::Ready(output) = future.as_mut().poll(context) else { continue };
            this.children[index] = Child::Ended(Some(output));
            let running = this.children.iter().filter(|child| matches!(child, Child::Running(_))).count();
            // The last child hands its place to the caller, who goes on working.
            if running > 0 {
                this.clock.lock().release();
            }
        }
        if this.children.iter().any(|child| matches!(child, Child::Running(_))) {
            return Poll::Pending;
        }
        Poll::Ready(
            this.children
                .iter_mut()
                .filter_map(|child| match child {
                    Child::Ended(output) => output.take(),
                    Child::Running(_) => None,
                })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests;
