//! One history: a world of models, a number, and what goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use sandbox::fleet_file::FleetFile;
use sandbox::machine::{Execution, ExecutionStatus};
use sandbox::world::{World, WorldError};
use serde_json::{Value, json};

use crate::acts::Act;
use crate::functions::Functions;
use crate::trace::Trace;
use crate::wire::{Fault, Wire};

/// A world of models on a wire, and its trace.
pub struct History {
    /// The world.
    pub world: World,
    /// The wire.
    pub wire: Arc<Wire>,
    /// What happened.
    pub trace: Trace,
    /// The errors that executions ended with.
    pub errors: Vec<String>,
    /// The errors about which a person did what their message names.
    pub remedies: Vec<String>,
}

impl History {
    /// Begins a history. Call it inside [`in_its_own_time`].
    ///
    /// # Errors
    /// Says which part of the world could not be made.
    pub fn begin(
        seed: u64,
        file: &FleetFile,
        settings: Value,
        faults: BTreeMap<usize, Fault>,
    ) -> Result<History, WorldError> {
        let (wire, trace) = (Wire::new(seed, faults), Trace::default());
        let on_wire = Arc::clone(&wire);
        let functions = |cloud: &Arc<_>| Arc::new(Functions::new(cloud, &on_wire)) as Arc<_>;
        let world = World::of_models(file, settings, functions, trace.observer())?;
        trace.watch(&world);
        Ok(History { world, wire, trace, errors: Vec::new(), remedies: Vec::new() })
    }

    /// Runs an execution to its end, and notes how it ended.
    pub async fn run(&mut self, input: Value) -> Execution {
        self.trace.say(self.world.clock.now(), &format!("— {input}"));
        let execution = self.world.run(input).await;
        self.note(&execution);
        execution
    }

    /// An execution under a name, of an input that may name keys by what they are; a key that is not there any more
    /// cannot have leaked, and nothing is started for it.
    pub async fn start(&self, name: String, input: &Value) -> Option<Execution> {
        let input = self.world.fill_in(input).ok()?;
        self.trace.say(self.world.clock.now(), &format!("— {input}"));
        Some(self.world.start(&name, input).await)
    }

    /// Notes how an execution ended.
    pub fn note(&mut self, execution: &Execution) {
        if execution.status != ExecutionStatus::Succeeded {
            self.errors.push(execution.error.clone().unwrap_or_else(|| execution.status.to_string()));
        }
    }

    /// An act happens.
    pub fn happens(&self, act: &Act) {
        self.trace.say(self.world.clock.now(), &format!("— {act:?}"));
        act.happens(&self.world);
    }

    /// People deploy other settings.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn deploy(&mut self, settings: Value, change: &str) -> Result<(), WorldError> {
        self.trace.say(self.world.clock.now(), &format!("— {change}"));
        self.world.deploy_settings(settings)
    }

    /// Lets days pass, then runs the daily converge.
    pub async fn converge_after(&mut self, days: u32) -> Execution {
        self.world.pass_days(days).await;
        self.run(json!({ "mode": "converge" })).await
    }
}

/// Runs a history in a thread's own time: the SDK's pauses between two tries cost nothing.
///
/// # Errors
/// Where the thread has no room for a runtime.
pub fn in_its_own_time<T>(seed: u64, history: impl Future<Output = T>) -> std::io::Result<T> {
    // The SDK draws its pauses from the thread's generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(history))
}

/// Tells many histories on every core, each in a thread's own time; the answers come in the histories' order.
pub fn on_every_core<H: Send + Sync, T: Send>(histories: &[H], tell: impl Fn(&H) -> T + Sync) -> Vec<T> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tell_some = || {
        let mut told = Vec::new();
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(history) = histories.get(index) else { return told };
            told.push((index, tell(history)));
        }
    };
    let mut told: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(tell_some)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    told.sort_by_key(|(index, _)| *index);
    told.into_iter().map(|(_, answer)| answer).collect()
}
