//! Time passes when it may, as far as it may, and wakes everybody in order.

use std::time::Instant;

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
async fn a_clock_stands_still_while_nothing_runs_and_jumps_while_something_does() {
    let clock = Clock::starting_at(noon());
    clock.stand_still_when_nothing_runs();
    let sleeper = clock.clone();
    let (done, mut slept) = oneshot::channel();
    clock.spawn(async move {
        sleeper.sleep(Duration::from_secs(60)).await;
        let _ = done.send(());
    });
    assert!(clock.until_nobody_is_busy(Duration::from_secs(60)).await, "the sleeper is asleep");
    drop(clock.busy());
    assert_eq!(clock.now(), noon(), "a request was answered, and no time has passed");
    assert!(slept.try_recv().is_err());
    let running = clock.running();
    slept.await.unwrap();
    drop(running);
    assert_eq!(clock.now().duration_since(noon()).as_secs(), 60);
}

#[tokio::test]
async fn a_clock_with_a_pace_goes_on_by_itself_and_never_faster() {
    let clock = Clock::starting_at(noon());
    let times = 100_000;
    let start = Instant::now();
    clock.keep_pace(times);
    while clock.now() < noon() + Duration::from_secs(600) {
        a_moment().await;
    }
    // The clock is read first: what real time passes before the other is read only widens the bound.
    let passed = clock.now().duration_since(noon()).unsigned_abs();
    assert!(passed <= start.elapsed() * times, "{passed:?} passed");
}

#[tokio::test]
async fn a_clock_with_a_pace_stands_while_somebody_works_and_leaps_for_who_asks() {
    let clock = Clock::starting_at(noon());
    clock.keep_pace(1);
    let busy = clock.busy();
    let before = clock.now();
    a_moment().await;
    assert_eq!(clock.now(), before);
    let (leaper, running) = (clock.clone(), clock.running_with_a_leap());
    let (done, leapt) = oneshot::channel();
    clock.spawn(async move {
        leaper.sleep(Duration::from_secs(86_400)).await;
        drop(running);
        let _ = done.send(());
    });
    drop(busy);
    leapt.await.unwrap();
    assert!(clock.now() >= before + Duration::from_secs(86_400), "a day passed in less than one");
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

#[tokio::test]
async fn a_task_that_is_ended_in_its_sleep_takes_nobody_elses_place() {
    let clock = Clock::starting_at(noon());
    for sleeper in [clock.clone(), clock.clone()] {
        let task = clock.spawn(async move { sleeper.sleep(Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled(), "it sleeps until it is ended");
    }
    let other = clock.clone();
    clock.spawn(async move { other.sleep(Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    assert_eq!(clock.now(), noon(), "the maker of the clock is busy still");
    clock.sleep(Duration::from_secs(120)).await;
    assert_eq!(clock.now().duration_since(noon()).as_secs(), 120);
}
