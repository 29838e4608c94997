//! The executions: their states in order, each with its input and output, the tries that it took and what went wrong.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::payloads::Payloads;
use super::recorder::ChapterNote;
use super::story::milliseconds;
use crate::machine::{EventType, Execution, HistoryEvent};

/// One execution.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionStory {
    /// Its name.
    pub name: String,
    /// `SUCCEEDED`, `FAILED`, …
    pub status: String,
    /// The chapter of the fleet file's story that it belongs to.
    pub chapter: Option<String>,
    /// Whether the chapter says that it is to fail so.
    pub is_expected: bool,
    /// When it was started.
    pub from: i64,
    /// When it ended; absent while it runs.
    pub to: Option<i64>,
    /// What it was asked for: rotate, converge or plan.
    pub mode: Option<String>,
    /// Its input, a place in the payloads.
    pub input: usize,
    /// Its output.
    pub output: Option<usize>,
    /// What it told people, or the error that ended it.
    pub message: String,
    /// The states that it entered, in order.
    pub steps: Vec<Step>,
}

/// One visit to a state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The state's name.
    pub name: String,
    /// `Task`, `Choice`, `Wait`, `Pass`, `Map`, `Succeed` or `Fail`.
    pub kind: String,
    /// The iteration of a Map that it belongs to: `eu-west-1`.
    pub place: Option<String>,
    /// When it was entered.
    pub from: i64,
    /// When it was left; absent where it was not.
    pub to: Option<i64>,
    /// Its input, a place in the payloads.
    pub input: Option<usize>,
    /// Its output.
    pub output: Option<usize>,
    /// What it called, once for each try.
    pub tries: Vec<Try>,
}

/// One call of a function or a service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Try {
    /// The function's name, or `sns:publish`.
    pub called: String,
    /// When.
    pub from: i64,
    /// When it answered; absent where it did not.
    pub to: Option<i64>,
    /// What it was given, a place in the payloads.
    pub input: Option<usize>,
    /// What it answered.
    pub output: Option<usize>,
    /// The error's name.
    pub error: Option<String>,
    /// The error in words.
    pub cause: Option<String>,
}

/// Every execution as a story of states.
pub(super) fn stories(
    executions: &[Execution],
    chapters: &BTreeMap<String, ChapterNote>,
    payloads: &mut Payloads,
) -> Vec<ExecutionStory> {
    executions.iter().map(|execution| story(execution, chapters.get(&execution.name), payloads)).collect()
}

/// Whether an execution failed, and by the error that its chapter names.
pub(super) fn failed_as_told(execution: &Execution, chapter: Option<&ChapterNote>) -> bool {
    chapter.is_some_and(|chapter| chapter.expected.is_some() && chapter.expected == execution.error)
}

fn story(execution: &Execution, chapter: Option<&ChapterNote>, payloads: &mut Payloads) -> ExecutionStory {
    let mut reading =
        Reading { payloads, steps: Vec::new(), events: BTreeMap::new(), branches: vec![Branch::default()] };
    execution.events.iter().for_each(|event| reading.read(event));
    let Reading { steps, branches, .. } = reading;
    let place = |branch: usize| branches[branch].place.clone();
    let steps = steps.into_iter().map(|(branch, step)| Step { place: place(branch), ..step }).collect();
    let told = execution.output.as_ref().and_then(|output| output["message"].as_str()).map(str::to_owned);
    let failed = execution.error.as_ref().map(|error| {
        let cause = execution.cause.as_deref().map(message_in).unwrap_or_default();
        format!("{error}: {cause}")
    });
    ExecutionStory {
        name: execution.name.clone(),
        status: execution.status.to_string(),
        chapter: chapter.map(|chapter| chapter.say.clone()),
        is_expected: failed_as_told(execution, chapter),
        from: milliseconds(execution.start_date),
        to: execution.stop_date.map(milliseconds),
        mode: execution.input["mode"].as_str().map(str::to_owned),
        input: payloads.keep(&execution.input),
        output: execution.output.as_ref().map(|output| payloads.keep(output)),
        message: told.or(failed).unwrap_or_default(),
        steps,
    }
}

/// A line of states that follow each other: the execution itself (the first), or one iteration of a Map.
#[derive(Default)]
struct Branch {
    place: Option<String>,
    /// The step of the Map around it, and that step's branch.
    map: Option<(usize, usize)>,
}

/// Events say which event they follow; so each finds its state, although iterations run side by side.
struct Reading<'a> {
    payloads: &'a mut Payloads,
    /// With the branch of each.
    steps: Vec<(usize, Step)>,
    /// By event: its branch, and its step if it belongs to one.
    events: BTreeMap<u64, (usize, Option<usize>)>,
    branches: Vec<Branch>,
}

impl Reading<'_> {
    fn read(&mut self, event: &HistoryEvent) {
        let (branch, step) = self.events.get(&event.previous_event_id).copied().unwrap_or_default();
        let kind = event.kind.to_string();
        let place = if let Some(kind) = kind.strip_suffix("StateEntered") {
            self.enter(event, kind, branch)
        } else if event.kind == EventType::MapIterationStarted {
            let map = step.map(|step| (step, branch));
            self.branches.push(Branch { place: event.details.index.map(|index| format!("item {index}")), map });
            (self.branches.len() - 1, None)
        } else if matches!(
            event.kind,
            EventType::MapStateSucceeded | EventType::MapStateFailed | EventType::MapStateAborted
        ) {
            // It follows the last event of an iteration, or the start of a Map that has none.
            self.branches[branch].map.map_or((branch, step), |(step, around)| (around, Some(step)))
        } else {
            if let Some(step) = step {
                self.go_on(event, &kind, step);
            }
            (branch, step)
        };
        self.events.insert(event.id, place);
    }

    fn enter(&mut self, event: &HistoryEvent, kind: &str, branch: usize) -> (usize, Option<usize>) {
        let input = event.details.input.as_ref();
        let is_first_of_iteration = self.steps.iter().all(|(other, _)| *other != branch);
        if let Some(place) = input.and_then(place_in).filter(|_| branch > 0 && is_first_of_iteration) {
            self.branches[branch].place = Some(place);
        }
        let step = Step {
            name: event.details.name.clone().unwrap_or_default(),
            kind: kind.to_owned(),
            place: None,
            from: milliseconds(event.timestamp),
            to: matches!(kind, "Fail").then(|| milliseconds(event.timestamp)),
            input: input.map(|input| self.payloads.keep(input)),
            output: None,
            tries: Vec::new(),
        };
        self.steps.push((branch, step));
        (branch, Some(self.steps.len() - 1))
    }

    /// An event within a state: a call, its answer, or the state's end.
    fn go_on(&mut self, event: &HistoryEvent, kind: &str, step: usize) {
        let details = &event.details;
        let at = milliseconds(event.timestamp);
        let output = details.output.as_ref().map(|output| self.payloads.keep(output));
        let (_, step) = &mut self.steps[step];
        if kind.ends_with("StateExited") {
            step.to = Some(at);
            step.output = output;
        } else if kind.ends_with("Scheduled") {
            let input = details.input.as_ref().map(|input| self.payloads.keep(input));
            let called = details.resource.as_deref().map(called).unwrap_or_default();
            step.tries.push(Try { called, from: at, to: None, input, output: None, error: None, cause: None });
        } else if let Some(last) = step.tries.last_mut().filter(|last| last.to.is_none() && !kind.ends_with("Started"))
        {
            last.to = Some(at);
            last.output = output;
            last.error.clone_from(&details.error);
            last.cause = details.cause.as_deref().map(message_in);
        }
    }
}

/// The account and region that an iteration of CommandFleet works in, by its input.
fn place_in(input: &Value) -> Option<String> {
    let region = |value: &Value| value["region"].as_str().map(str::to_owned);
    region(input).or_else(|| input.as_object()?.values().find_map(region))
}

/// `…:function:send-command` is `send-command`; `arn:aws:states:::sns:publish` is `sns:publish`.
fn called(resource: &str) -> String {
    let name = resource.split_once(":function:").or_else(|| resource.split_once(":::")).map(|(_, name)| name);
    name.unwrap_or(resource).to_owned()
}

/// Lambda's cause is JSON with the message inside.
fn message_in(cause: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(cause).ok();
    parsed.and_then(|value| Some(value["errorMessage"].as_str()?.to_owned())).unwrap_or_else(|| cause.to_owned())
}
