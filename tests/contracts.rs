//! What the states say to each other. One example of each function's input and output stands in `contracts/`, for
//! people and for whoever writes another step; the types read and write exactly that, and so does a real run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends by failing, and tells what it saw"
)]

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use integration_tests::*;
use rotation::contracts::{
    Command, EnumerateInput, Fleet, PlanInput, Planned, PollInput, PromoteInput, Promoted, RetireInput, Retired,
    SendInput, StageInput, Staged, StateInput,
};
use sandbox::fleet_file::FleetFile;
use sandbox::functions_folder::FUNCTIONS;
use sandbox::machine::{EventType, Execution};
use sandbox::settings_file::read_json;
use sandbox::world::{World, repository};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn example(function: &str, part: &str) -> Value {
    let path = repository().join(format!("tests/contracts/{function}.{part}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn written<T: Serialize>(read: &T) -> Result<Value, String> {
    serde_json::to_value(read).map_err(|error| error.to_string())
}

fn input<T: StateInput + Serialize>(value: &Value) -> Result<Value, String> {
    written(&T::parse(value).map_err(|error| error.to_string())?)
}

fn output<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, String> {
    written(&T::deserialize(value).map_err(|error| error.to_string())?)
}

/// Reads a function's input or output by its type, and writes it again.
fn through_its_type(function: &str, part: &str, value: &Value) -> Result<Value, String> {
    match (function, part) {
        ("enumerate-instances", "input") => input::<EnumerateInput>(value),
        ("enumerate-instances", "output") => output::<Fleet>(value),
        ("plan-rotation", "input") => input::<PlanInput>(value),
        ("plan-rotation", "output") => output::<Planned>(value),
        ("rotate-iam-key" | "rotate-login-password", "input") => input::<StageInput>(value),
        ("rotate-iam-key" | "rotate-login-password", "output") => output::<Staged>(value),
        ("send-command", "input") => input::<SendInput>(value),
        ("poll-command", "input") => input::<PollInput>(value),
        ("send-command" | "poll-command", "output") => output::<Command>(value),
        ("promote-stage", "input") => input::<PromoteInput>(value),
        ("promote-stage", "output") => output::<Promoted>(value),
        ("retire-iam-key" | "retire-login-password", "input") => input::<RetireInput>(value),
        ("retire-iam-key" | "retire-login-password", "output") => output::<Retired>(value),
        _ => Err(format!("nobody has said what the {part} of {function} is")),
    }
}

fn every_part() -> impl Iterator<Item = (&'static str, &'static str)> {
    FUNCTIONS.into_iter().flat_map(|function| ["input", "output"].map(|part| (function, part)))
}

#[test]
fn every_example_is_read_and_written_without_a_difference() {
    for (function, part) in every_part() {
        let example = example(function, part);
        assert_eq!(through_its_type(function, part, &example), Ok(example.clone()), "{function} {part}");
    }
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    for (function, part) in every_part() {
        let strange = with(example(function, part), json!({ "fromANewerVersion": true }));
        let refusal = through_its_type(function, part, &strange).unwrap_err();
        assert!(refusal.contains("fromANewerVersion"), "{function} {part}: {refusal}");
    }
}

/// Output of a function, where in it; input of a function, where in that.
const HANDED_ON: [(&str, &str, &str, &str); 27] = [
    ("enumerate-instances", "/request", "rotate-iam-key", "/request"),
    ("enumerate-instances", "/request", "send-command", "/request"),
    ("enumerate-instances", "/request", "poll-command", "/request"),
    ("enumerate-instances", "/request", "retire-iam-key", "/request"),
    ("enumerate-instances", "/request", "plan-rotation", "/request"),
    ("enumerate-instances", "/refusals", "plan-rotation", "/refusals"),
    ("enumerate-instances", "/places/0", "send-command", "/place"),
    ("enumerate-instances", "/places/0", "poll-command", "/place"),
    ("rotate-iam-key", "", "rotate-iam-key", "/previous"),
    ("rotate-iam-key", "", "send-command", "/staged"),
    ("rotate-iam-key", "", "retire-iam-key", "/staged"),
    ("send-command", "", "poll-command", "/command"),
    ("send-command", "/progress", "send-command", "/progress"),
    ("poll-command", "/progress", "send-command", "/progress"),
    ("poll-command", "/summary", "promote-stage", "/places/0"),
    ("poll-command", "/summary", "retire-iam-key", "/places/0"),
    ("poll-command", "/summary", "plan-rotation", "/places/0"),
    ("promote-stage", "", "retire-iam-key", "/promoted"),
    ("rotate-iam-key", "", "poll-command", "/staged"),
    ("poll-command", "/summary", "rotate-login-password", "/places/0"),
    ("promote-stage", "", "rotate-login-password", "/promoted"),
    ("rotate-login-password", "", "rotate-login-password", "/previous"),
    ("rotate-login-password", "", "send-command", "/staged"),
    ("rotate-login-password", "", "poll-command", "/staged"),
    ("rotate-login-password", "", "retire-login-password", "/staged"),
    ("promote-stage", "", "retire-login-password", "/promoted"),
    ("enumerate-instances", "/request", "rotate-login-password", "/request"),
];

#[test]
fn every_output_is_a_part_of_the_next_states_input() {
    for (from, where_from, to, place) in HANDED_ON {
        let part = example(from, "output").pointer(where_from).cloned().unwrap_or_default();
        let mut next = example(to, "input");
        if place == "/places/0" {
            next["places"] = json!([{}]);
        }
        *next.pointer_mut(place).unwrap_or_else(|| panic!("{to} has no {place}")) = part;
        assert_eq!(through_its_type(to, "input", &next), Ok(next.clone()), "{from}{where_from} to {to}{place}");
    }
}

/// One call of a function in an execution.
struct Call {
    function: String,
    input: Value,
    output: Value,
}

fn calls(execution: &Execution) -> Vec<Call> {
    let by_id: BTreeMap<u64, _> = execution.events.iter().map(|event| (event.id, event)).collect();
    let ended = execution.events.iter().filter(|event| event.kind == EventType::LambdaFunctionSucceeded);
    let call = |ended: &sandbox::machine::HistoryEvent| {
        let started = by_id.get(&ended.previous_event_id)?;
        let scheduled = by_id.get(&started.previous_event_id)?;
        let function = scheduled.details.resource.as_ref()?.rsplit(':').next()?.to_owned();
        Some(Call { function, input: scheduled.details.input.clone()?, output: ended.details.output.clone()? })
    };
    ended.filter_map(call).collect()
}

/// The 12 hosts of `make try`, rotated.
async fn rotated() -> (World, Execution) {
    let examples = repository().join("tests/sandbox/examples");
    let file = FleetFile::read(&examples.join("fleet.json")).unwrap();
    let settings = read_json(&examples.join("settings.json")).unwrap();
    let mut world = World::new(&file, settings, Arc::new(|_| {})).await.unwrap();
    let execution = world.run(json!({})).await;
    (world, execution)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_run_says_nothing_else_and_the_examples_have_its_fields() {
    let (mut world, execution) = rotated().await;
    let plan = world.run(json!({ "mode": "plan", "inspectHosts": true })).await;
    let calls: Vec<Call> = [&execution, &plan].into_iter().flat_map(calls).collect();
    let of_keys = FUNCTIONS.into_iter().filter(|function| !function.ends_with("-login-password"));
    for function in of_keys {
        let mut of_function = calls.iter().filter(|call| call.function == function).peekable();
        assert!(of_function.peek().is_some(), "{function} takes part");
        for call in of_function {
            // Step Functions writes three digits of a second, and Rust as many as are needed.
            let timeless = |input: Value| with(input, json!({ "now": null, "started": null }));
            let read = through_its_type(function, "input", &call.input).map(timeless);
            assert_eq!(read, Ok(timeless(call.input.clone())), "{function}");
            assert_eq!(through_its_type(function, "output", &call.output), Ok(call.output.clone()), "{function}");
            let names = |value: &Value| value.as_object().map(|members| members.keys().cloned().collect::<Vec<_>>());
            assert_eq!(names(&example(function, "input")), names(&call.input), "{function}");
        }
    }
    conclude(&world).await;
}

fn largest_payload(execution: &Execution) -> usize {
    let texts = execution.events.iter().flat_map(|event| [&event.details.input, &event.details.output]);
    texts.flatten().map(|value| value.to_string().len()).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_states_say_and_how_often_stays_small() {
    // PERFORMANCE goal 4: 200 events and 8 KiB, whatever the number of hosts.
    let mut quiet = world(fleet((1..=4).map(host)), settings()).await;
    let execution = quiet.run(json!({})).await;
    let (events, largest) = (execution.events.len(), largest_payload(&execution));
    println!("a quiet run: {events} events, largest payload {largest} bytes");
    assert!(events <= 200 && largest <= 8 * 1024, "{events} events, {largest} bytes");
    conclude(&quiet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_region_and_hosts_in_trouble_add_polls_and_no_more() {
    let (world, execution) = rotated().await;
    let (events, largest) = (execution.events.len(), largest_payload(&execution));
    println!("the run of the example: {events} events, largest payload {largest} bytes");
    assert!(largest <= 8 * 1024, "{largest} bytes of the 256 KiB that a state may carry");
    let visits = |name: &str| execution.states_entered().iter().filter(|state| **state == name).count();
    // A poll is nine events: its pause, its call, its choice. An unreachable host is waited for until the wave's end.
    assert!(visits("PollCommand") <= 30, "{} polls", visits("PollCommand"));
    assert!(events - 9 * visits("PollCommand") <= 200, "{events} events of the 25,000 that an execution may have");
    conclude(&world).await;
}
