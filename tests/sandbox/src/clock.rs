//! Virtual time: days pass in an instant, and nothing passes while somebody is at work.
//!
//! The clock jumps to the next sleeper as soon as nobody is busy. Whoever runs a process or answers a request
//! stays busy, so a real script that takes a second of real time takes none of the simulated time, and every
//! run of the sandbox sees its events in the same order however fast the machine is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

/// A handle on the one simulated clock; clones share it.
#[derive(Clone)]
pub struct Clock(Arc<Mutex<Inner>>);

struct Inner {
    now: Timestamp,
    busy: usize,
    sequence: u64,
    sleepers: BinaryHeap<Reverse<Sleeper>>,
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
        Clock(Arc::new(Mutex::new(Inner { now, busy: 1, sequence: 0, sleepers: BinaryHeap::new() })))
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

    /// Sleeps in simulated time; the sleeper does not count as busy.
    pub async fn sleep(&self, duration: Duration) {
        let woken = {
            let mut inner = self.lock();
            let until = inner.now.saturating_add(duration).unwrap_or(inner.now);
            let (wake, woken) = oneshot::channel();
            inner.sequence += 1;
            let sequence = inner.sequence;
            inner.sleepers.push(Reverse(Sleeper { until, sequence, wake }));
            inner.release();
            woken
        };
        // A dropped sender means that the clock itself is gone; then nobody is left to wait for.
        let _ = woken.await;
    }

    /// Runs a task that counts as busy until it ends or sleeps.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.lock().busy += 1;
        let guard = Busy(self.clone());
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
    /// One busy task less; if it was the last, time jumps to the next sleeper, who is busy from then on.
    fn release(&mut self) {
        self.busy = self.busy.saturating_sub(1);
        while self.busy == 0 {
            let Some(Reverse(sleeper)) = self.sleepers.pop() else { return };
            self.now = self.now.max(sleeper.until);
            // A sleeper that was cancelled is passed over.
            if sleeper.wake.send(()).is_ok() {
                self.busy += 1;
            }
        }
    }
}

struct Busy(Clock);

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
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn time_jumps_to_the_next_sleeper_when_nobody_is_busy() {
        let clock = Clock::starting_at(noon());
        clock.sleep(Duration::from_secs(86_400)).await;
        assert_eq!(clock.now().to_string(), "2026-11-25T12:00:00Z");
    }

    #[tokio::test]
    async fn sleepers_side_by_side_wake_in_the_order_of_their_times() {
        let clock = Clock::starting_at(noon());
        let seen = Mutex::new(Vec::new());
        let nap = |seconds: u64| {
            let (clock, seen) = (&clock, &seen);
            async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                seen.lock().unwrap().push((seconds, clock.now().duration_since(noon()).as_secs()));
            }
        };
        clock.join_all(vec![nap(30), nap(10), nap(20)]).await;
        assert_eq!(*seen.lock().unwrap(), vec![(10, 10), (20, 20), (30, 30)]);
        clock.sleep(Duration::from_secs(5)).await;
        assert_eq!(clock.now().duration_since(noon()).as_secs(), 35);
    }

    #[tokio::test]
    async fn a_spawned_task_holds_time_while_it_works() {
        let clock = Clock::starting_at(noon());
        let worker = clock.clone();
        let (done, finished) = oneshot::channel();
        clock.spawn(async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let _ = done.send(worker.now());
        });
        clock.sleep(Duration::from_secs(60)).await;
        assert_eq!(finished.await.unwrap(), noon(), "the worker saw no time pass");
    }
}
