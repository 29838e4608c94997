//! A Map state: its iterations run side by side, and the first that fails ends the others.
//!
//! An iteration that sleeps when another fails ends when it wakes, not at once: time may have passed by then. In AWS it
//! ends at once. No wait in a rotation is decided by the difference.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::definition::MapState;
use super::history::{Details, EventType};
use super::interpret::{Branch, Visit};
use super::path::Scope;
use super::run::Failure;

/// How many iterations an inline Map runs at a time when the definition sets no limit (FACTS E).
const INLINE_CONCURRENCY: usize = 40;

/// Runs every iteration once and gives the state's output.
pub(super) async fn attempt(
    branch: &mut Branch,
    visit: &Visit<'_>,
    map: &MapState,
    input: &Value,
    retries: u32,
) -> Result<Value, Failure> {
    let context = branch.context(visit, retries);
    let seen = visit.select("InputPath", &map.input_path, Scope { input, context: &context })?;
    let found = visit.find("ItemsPath", &map.items_path, Scope { input: &seen, context: &context })?;
    let Value::Array(items) = found else {
        return Err(visit.runtime(&format!("Reference path \"{}\" must point to array.", map.items_path)));
    };
    let named = |details: Details| Details { name: Some(visit.name.to_owned()), ..details };
    branch.add(EventType::MapStateStarted, Details { length: Some(items.len()), ..Details::default() })?;
    let iterations = Iterations {
        visit,
        map,
        seen: &seen,
        context: &context,
        items: &items,
        next: AtomicUsize::new(0),
        cancelled: Arc::new(AtomicBool::new(false)),
        finished: Mutex::new(Finished { results: vec![Value::Null; items.len()], failure: None, last: branch.last }),
    };
    let width = if map.max_concurrency == 0 { INLINE_CONCURRENCY } else { map.max_concurrency }.min(items.len());
    let workers = (0..width).map(|_| iterations.work(branch)).collect();
    branch.run.clock.join_all(workers).await;
    let finished = iterations.finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    branch.last = finished.last;
    if let Some(failure) = finished.failure {
        if matches!(failure, Failure::Error(_)) {
            branch.add(EventType::MapStateFailed, named(Details::default()))?;
        }
        return Err(failure);
    }
    branch.add(EventType::MapStateSucceeded, named(Details::default()))?;
    let results = Value::Array(finished.results);
    visit.limit(&results)?;
    let selected = visit.render(map.result_selector.as_ref(), &results, &context)?;
    visit.output(&map.result_path, &map.output_path, input, selected, &context)
}

struct Iterations<'a> {
    visit: &'a Visit<'a>,
    map: &'a MapState,
    seen: &'a Value,
    context: &'a Value,
    items: &'a [Value],
    next: AtomicUsize,
    cancelled: Arc<AtomicBool>,
    finished: Mutex<Finished>,
}

struct Finished {
    results: Vec<Value>,
    /// The first failure; what follows from it is not reported.
    failure: Option<Failure>,
    last: u64,
}

impl Iterations<'_> {
    /// Takes items one after the other until none is left: as many workers as MaxConcurrency.
    async fn work(&self, parent: &Branch) {
        loop {
            let index = self.next.fetch_add(1, Ordering::SeqCst);
            if index >= self.items.len() || self.cancelled.load(Ordering::SeqCst) {
                return;
            }
            let mut branch = Branch {
                run: Arc::clone(&parent.run),
                tasks: Arc::clone(&parent.tasks),
                last: parent.last,
                item: Some(json!({"Item": {"Index": index, "Value": self.items[index]}})),
                cancelled: [parent.cancelled.as_slice(), &[Arc::clone(&self.cancelled)]].concat(),
            };
            let outcome = self.iterate(&mut branch, index).await;
            self.finish(&branch, index, outcome);
        }
    }

    async fn iterate(&self, branch: &mut Branch, index: usize) -> Result<Value, Failure> {
        branch.add(EventType::MapIterationStarted, self.details(index))?;
        let mut context = self.context.clone();
        context["Map"] = branch.item.clone().unwrap_or_default();
        let input = match &self.map.item_selector {
            None => self.items[index].clone(),
            Some(selector) => self.visit.render(Some(selector), self.seen, &context)?,
        };
        let outcome = branch.flow(&self.map.item_processor.0, input).await;
        let kind = match &outcome {
            Ok(_) => EventType::MapIterationSucceeded,
            Err(Failure::Error(_)) => EventType::MapIterationFailed,
            Err(Failure::TimedOut | Failure::Aborted | Failure::Cancelled) => EventType::MapIterationAborted,
        };
        branch.add(kind, self.details(index))?;
        outcome
    }

    fn finish(&self, branch: &Branch, index: usize, outcome: Result<Value, Failure>) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.last = finished.last.max(branch.last);
        match outcome {
            Ok(output) => finished.results[index] = output,
            Err(failure) => {
                self.cancelled.store(true, Ordering::SeqCst);
                finished.failure.get_or_insert(failure);
            }
        }
    }

    fn details(&self, index: usize) -> Details {
        Details { name: Some(self.visit.name.to_owned()), index: Some(index), ..Details::default() }
    }
}
