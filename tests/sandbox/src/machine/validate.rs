//! What AWS checks when a state machine is created, and a few things that it should.
//!
//! Ours beyond AWS's: a Task must have TimeoutSeconds (FACTS E: without it a lost task hangs for a year), every state must
//! lead to an end, and an error name that could never match is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{Catcher, Definition, DefinitionError, Flow, Retrier, State, Task};

/// The error names that AWS itself gives; every other name may not begin with `States.`.
const RESERVED: [&str; 13] = [
    "States.ALL",
    "States.BranchFailed",
    "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.IntrinsicFailure",
    "States.ItemReaderFailed",
    "States.ParameterPathFailure",
    "States.Permissions",
    "States.ResultPathMatchFailure",
    "States.ResultWriterFailed",
    "States.TaskFailed",
    "States.Timeout",
];

/// The longest that AWS waits or retries: a year less a little.
const MOST_SECONDS: u64 = 99_999_999;

/// Checks a definition as a whole.
pub(super) fn definition(definition: &Definition) -> Result<(), DefinitionError> {
    if definition.timeout_seconds == Some(0) {
        return Err(DefinitionError("TimeoutSeconds: must be at least 1".to_owned()));
    }
    flow(&definition.flow, &mut BTreeSet::new())
}

fn flow<'a>(flow: &'a Flow, names: &mut BTreeSet<&'a str>) -> Result<(), DefinitionError> {
    if !flow.states.contains_key(&flow.start_at) {
        return Err(DefinitionError(format!("StartAt: there is no state `{}`", flow.start_at)));
    }
    for (name, state) in &flow.states {
        let refused = |(field, why): (String, String)| DefinitionError(format!("state `{name}`: {field}: {why}"));
        if !names.insert(name) {
            return Err(DefinitionError(format!("state `{name}`: its name is used twice, inside a Map and outside")));
        }
        // FACTS E: names have at most 80 characters.
        if name.is_empty() || name.chars().count() > 80 {
            return Err(DefinitionError(format!("state `{name}`: its name must have 1 to 80 characters")));
        }
        fields(state).map_err(refused)?;
        for (field, target) in targets(state) {
            if !flow.states.contains_key(target) {
                return Err(refused((field, format!("there is no state `{target}`"))));
            }
        }
        if let State::Map(map) = state {
            self::flow(&map.item_processor.0, names)
                .map_err(|DefinitionError(why)| DefinitionError(format!("state `{name}`: ItemProcessor: {why}")))?;
        }
    }
    reachable(flow)?;
    ending(flow)
}

type Refusal = (String, String);

fn refuse<T>(field: &str, why: &str) -> Result<T, Refusal> {
    Err((field.to_owned(), why.to_owned()))
}

fn fields(state: &State) -> Result<(), Refusal> {
    match state {
        State::Pass(pass) => next_or_end(pass.next.as_deref(), pass.end),
        State::Task(task) => {
            next_or_end(task.next.as_deref(), task.end)?;
            self::task(task)?;
            retry(&task.retry)?;
            catch(&task.catch)
        }
        State::Map(map) => {
            next_or_end(map.next.as_deref(), map.end)?;
            retry(&map.retry)?;
            catch(&map.catch)
        }
        State::Wait(wait) => {
            next_or_end(wait.next.as_deref(), wait.end)?;
            match (wait.seconds, &wait.seconds_path) {
                (Some(seconds), None) if seconds <= MOST_SECONDS => Ok(()),
                (Some(_), None) => refuse("Seconds", "must be at most 99,999,999"),
                (None, Some(_)) => Ok(()),
                (Some(_), Some(_)) | (None, None) => {
                    refuse("Seconds", "exactly one of Seconds and SecondsPath must be given")
                }
            }
        }
        State::Choice(choice) if choice.choices.is_empty() => refuse("Choices", "must not be empty"),
        State::Fail(fail) if fail.error.is_some() && fail.error_path.is_some() => {
            refuse("ErrorPath", "stands beside Error; only one of them may")
        }
        State::Fail(fail) if fail.cause.is_some() && fail.cause_path.is_some() => {
            refuse("CausePath", "stands beside Cause; only one of them may")
        }
        State::Choice(_) | State::Succeed(_) | State::Fail(_) => Ok(()),
    }
}

fn next_or_end(next: Option<&str>, end: Option<bool>) -> Result<(), Refusal> {
    match (next, end) {
        (Some(_), None | Some(false)) | (None, Some(true)) => Ok(()),
        (Some(_), Some(true)) => refuse("End", "stands beside Next; only one of them may"),
        (None, None | Some(false)) => refuse("Next", "either Next or \"End\": true must be given"),
    }
}

fn task(task: &Task) -> Result<(), Refusal> {
    match task.timeout_seconds {
        None => return refuse("TimeoutSeconds", "a Task without it may hang for a year (FACTS E); give one"),
        Some(0 | MOST_SECONDS..) => return refuse("TimeoutSeconds", "must be from 1 to 99,999,998"),
        Some(_) => {}
    }
    let parts: Vec<&str> = task.resource.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "lambda", region, account, "function", name]
        | ["arn", _, "lambda", region, account, "function", name, _]
            if [region, account, name].iter().all(|part| !part.is_empty()) =>
        {
            Ok(())
        }
        ["arn", _, "states", "", "", "sns", "publish"] | ["arn", _, "states", "", "", "events", "putEvents"] => {
            let given = task.parameters.is_some();
            if given { Ok(()) } else { refuse("Parameters", "a service integration needs them") }
        }
        _ => refuse(
            "Resource",
            &format!("`{}` is neither a Lambda function's ARN nor sns:publish or events:putEvents", task.resource),
        ),
    }
}

fn retry(retriers: &[Retrier]) -> Result<(), Refusal> {
    for (index, retrier) in retriers.iter().enumerate() {
        let field = |name: &str| format!("Retry[{index}].{name}");
        error_names(&retrier.error_equals, index + 1 == retriers.len()).map_err(|why| (field("ErrorEquals"), why))?;
        if !(1..=MOST_SECONDS).contains(&retrier.interval_seconds) {
            return refuse(&field("IntervalSeconds"), "must be from 1 to 99,999,999");
        }
        if u64::from(retrier.max_attempts) > MOST_SECONDS {
            return refuse(&field("MaxAttempts"), "must be at most 99,999,999");
        }
        if !(retrier.backoff_rate.is_finite() && retrier.backoff_rate >= 1.0) {
            return refuse(&field("BackoffRate"), "must be at least 1");
        }
        let most = retrier.max_delay_seconds;
        if most.is_some_and(|most| most <= retrier.interval_seconds || most >= 31_622_400) {
            return refuse(&field("MaxDelaySeconds"), "must be more than IntervalSeconds and less than 31,622,400");
        }
    }
    Ok(())
}

fn catch(catchers: &[Catcher]) -> Result<(), Refusal> {
    for (index, catcher) in catchers.iter().enumerate() {
        error_names(&catcher.error_equals, index + 1 == catchers.len())
            .map_err(|why| (format!("Catch[{index}].ErrorEquals"), why))?;
    }
    Ok(())
}

fn error_names(names: &[String], last: bool) -> Result<(), String> {
    if names.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if names.iter().any(|name| name == "States.ALL") && !(names.len() == 1 && last) {
        return Err("States.ALL must stand alone and in the last entry".to_owned());
    }
    for name in names {
        if name == "States.Runtime" {
            return Err("States.Runtime is never retried or caught".to_owned());
        }
        if name.starts_with("States.") && !RESERVED.contains(&name.as_str()) {
            return Err(format!("`{name}` is not one of the names that AWS reserves with `States.`"));
        }
    }
    Ok(())
}

/// Every field that names a state, with the name.
fn targets(state: &State) -> Vec<(String, &str)> {
    let mut targets: Vec<(String, &str)> = state.next().map(|next| ("Next".to_owned(), next)).into_iter().collect();
    let catchers: &[Catcher] = match state {
        State::Task(task) => &task.catch,
        State::Map(map) => &map.catch,
        State::Choice(choice) => {
            let rules = choice.choices.iter().enumerate();
            targets.extend(rules.map(|(index, rule)| (format!("Choices[{index}].Next"), rule.next.as_str())));
            targets.extend(choice.default.as_deref().map(|default| ("Default".to_owned(), default)));
            &[]
        }
        State::Pass(_) | State::Wait(_) | State::Succeed(_) | State::Fail(_) => &[],
    };
    let catchers = catchers.iter().enumerate();
    targets.extend(catchers.map(|(index, catcher)| (format!("Catch[{index}].Next"), catcher.next.as_str())));
    targets
}

fn reachable(flow: &Flow) -> Result<(), DefinitionError> {
    let mut seen = BTreeSet::from([flow.start_at.as_str()]);
    let mut open = vec![flow.start_at.as_str()];
    while let Some(name) = open.pop() {
        let next = flow.states.get(name).map(targets).unwrap_or_default();
        open.extend(next.into_iter().map(|(_, target)| target).filter(|target| seen.insert(target)));
    }
    match flow.states.keys().find(|name| !seen.contains(name.as_str())) {
        Some(name) => Err(DefinitionError(format!("state `{name}`: no other state leads to it"))),
        None => Ok(()),
    }
}

/// A state from which no end can be reached would run until the machine's time is over.
fn ending(flow: &Flow) -> Result<(), DefinitionError> {
    let leads_to: BTreeMap<&str, Vec<&str>> = flow
        .states
        .iter()
        .map(|(name, state)| (name.as_str(), targets(state).into_iter().map(|(_, target)| target).collect()))
        .collect();
    let mut ends: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = ends.len();
        for (name, state) in &flow.states {
            let stops = state.next().is_none() && !matches!(state, State::Choice(_));
            if stops || leads_to[name.as_str()].iter().any(|target| ends.contains(target)) {
                ends.insert(name);
            }
        }
        if ends.len() == before {
            break;
        }
    }
    match flow.states.keys().find(|name| !ends.contains(name.as_str())) {
        Some(name) => Err(DefinitionError(format!("state `{name}`: it never leads to an end"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::Definition;
    use serde_json::{Value, json};

    fn refusal(definition: &Value) -> String {
        match Definition::parse(&definition.to_string()) {
            Ok(_) => format!("accepted: {definition}"),
            Err(error) => error.to_string(),
        }
    }

    /// A definition whose one Task has these fields changed; null takes a field away.
    fn with_task(changes: &Value) -> Value {
        let mut task = json!({
            "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:send", "TimeoutSeconds": 30, "End": true
        });
        for (field, value) in changes.as_object().unwrap() {
            task[field] = value.clone();
            if value.is_null() {
                task.as_object_mut().unwrap().remove(field);
            }
        }
        json!({"StartAt": "Send", "States": {"Send": task}})
    }

    fn assert_refused(definition: &Value, words: &[&str]) {
        let refusal = refusal(definition);
        for word in words {
            assert!(refusal.contains(word) && !refusal.starts_with("accepted"), "`{word}` is not in: {refusal}");
        }
    }

    #[test]
    fn a_sound_definition_is_accepted() {
        assert!(refusal(&with_task(&json!({"Comment": "Sends."}))).starts_with("accepted"));
        let map = json!({"StartAt": "Each", "QueryLanguage": "JSONPath", "Version": "1.0", "TimeoutSeconds": 9, "States": {
            "Each": {"Type": "Map", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}}}});
        assert!(refusal(&map).starts_with("accepted"), "{}", refusal(&map));
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_state_and_its_place() {
        assert_refused(&with_task(&json!({"Cach": []})), &["`Send`", "Cach"]);
        assert_refused(
            &with_task(&json!({"Retry": [{"ErrorEquals": ["A"], "Attempts": 1}]})),
            &["`Send`", "Retry[0]", "Attempts"],
        );
        assert_refused(&with_task(&json!({"Arguments": {}})), &["`Send`", "Arguments"]);
        assert_refused(&with_task(&json!({"Type": "Tusk"})), &["`Send`", "Tusk"]);
        assert_refused(&with_task(&json!({"Type": null})), &["`Send`", "Type"]);
        assert_refused(&with_task(&json!({"Parameters": {"a.$": "$..x"}})), &["`Send`", "Parameters", "a.$"]);
        assert_refused(&with_task(&json!({"ResultPath": "$.a[*]"})), &["`Send`", "ResultPath"]);
        assert_refused(&with_task(&json!({"ResultPath": "$$.Task"})), &["`Send`", "ResultPath"]);
        assert_refused(
            &json!({"StartAt": "A", "QueryLanguage": "JSONata", "States": {"A": {"Type": "Succeed"}}}),
            &["JSONata"],
        );
        assert_refused(&json!({"StartsAt": "A", "States": {"A": {"Type": "Succeed"}}}), &["StartsAt"]);
    }

    #[test]
    fn a_state_defined_twice_is_refused() {
        let text = r#"{"StartAt": "A", "States": {"A": {"Type": "Succeed"}, "A": {"Type": "Succeed"}}}"#;
        assert!(Definition::parse(text).unwrap_err().to_string().contains("`A` is defined twice"));
        let inside = json!({"StartAt": "A", "States": {"A": {"Type": "Map", "End": true, "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}}}});
        assert_refused(&inside, &["used twice"]);
    }

    #[test]
    fn a_task_needs_a_time_out_and_a_resource_that_is_known() {
        assert_refused(&with_task(&json!({"TimeoutSeconds": null})), &["`Send`", "TimeoutSeconds"]);
        assert_refused(&with_task(&json!({"TimeoutSeconds": 0})), &["TimeoutSeconds"]);
        assert_refused(&with_task(&json!({"Resource": "${SendFunctionArn}"})), &["Resource", "${SendFunctionArn}"]);
        assert_refused(&with_task(&json!({"Resource": "arn:aws:states:::lambda:invoke"})), &["Resource"]);
        assert_refused(&with_task(&json!({"Resource": "arn:aws:states:::sns:publish"})), &["Parameters"]);
    }

    #[test]
    fn every_name_of_a_state_must_lead_somewhere() {
        assert_refused(&json!({"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}), &["StartAt", "`B`"]);
        assert_refused(&with_task(&json!({"End": null, "Next": "Gone"})), &["`Send`", "Next", "`Gone`"]);
        assert_refused(
            &with_task(&json!({"Catch": [{"ErrorEquals": ["A"], "Next": "Gone"}]})),
            &["Catch[0].Next", "`Gone`"],
        );
        let choice = json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "Gone"}], "Default": "Off"});
        assert_refused(&json!({"StartAt": "A", "States": {"A": choice}}), &["`A`", "Choices[0].Next", "`Gone`"]);
    }

    #[test]
    fn a_state_that_nothing_leads_to_and_one_that_leads_nowhere_are_refused() {
        let lonely = json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}, "B": {"Type": "Succeed"}}});
        assert_refused(&lonely, &["`B`", "no other state leads to it"]);
        let circle =
            json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}});
        assert_refused(&circle, &["`A`", "never leads to an end"]);
    }

    #[test]
    fn a_state_ends_or_goes_on_and_not_both() {
        assert_refused(&with_task(&json!({"End": null})), &["`Send`", "Next"]);
        assert_refused(&with_task(&json!({"Next": "Send"})), &["`Send`", "End"]);
        assert_refused(&json!({"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": []}}}), &["Choices"]);
        for wait in
            [json!({}), json!({"Seconds": 1, "SecondsPath": "$.a"}), json!({"Seconds": -1}), json!({"Timestamp": "x"})]
        {
            let mut state = json!({"Type": "Wait", "End": true});
            state.as_object_mut().unwrap().extend(wait.as_object().unwrap().clone());
            assert_refused(&json!({"StartAt": "A", "States": {"A": state}}), &["`A`"]);
        }
        assert_refused(
            &json!({"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}}}),
            &["`A`", "ErrorPath"],
        );
    }

    #[test]
    fn error_names_and_retries_follow_the_rules_of_aws() {
        let next = json!("Send");
        for (names, word) in [
            (json!([]), "empty"),
            (json!(["States.ALL", "A"]), "alone"),
            (json!(["States.Runtime"]), "never"),
            (json!(["States.Tiemout"]), "States.Tiemout"),
        ] {
            assert_refused(&with_task(&json!({"Retry": [{"ErrorEquals": names}]})), &["Retry[0].ErrorEquals", word]);
            assert_refused(
                &with_task(&json!({"Catch": [{"ErrorEquals": names, "Next": next}]})),
                &["Catch[0].ErrorEquals", word],
            );
        }
        let early = json!({"Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]});
        assert_refused(&with_task(&early), &["Retry[0].ErrorEquals", "last"]);
        for (field, value) in [
            ("IntervalSeconds", json!(0)),
            ("BackoffRate", json!(0.5)),
            ("MaxDelaySeconds", json!(1)),
            ("MaxAttempts", json!(-1)),
            ("JitterStrategy", json!("SOME")),
        ] {
            let mut retrier = json!({"ErrorEquals": ["A"]});
            retrier[field] = value;
            assert_refused(&with_task(&json!({"Retry": [retrier]})), &["`Send`", &format!("Retry[0].{field}")]);
        }
    }

    #[test]
    fn a_map_is_inline_and_has_an_item_processor() {
        let map = |processor: Value| json!({"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": processor}}});
        let done = json!({"Done": {"Type": "Succeed"}});
        assert_refused(&map(json!({"StartAt": "Done", "States": done})), &["`M`", "ProcessorConfig"]);
        let distributed = json!({"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "Done", "States": done});
        assert_refused(&map(distributed), &["`M`", "DISTRIBUTED"]);
        let inner =
            json!({"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Done", "States": {"Done": {"Type": "Pass"}}});
        assert_refused(&map(inner), &["`M`", "ItemProcessor", "`Done`", "Next"]);
        let unknown = json!({"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Done", "States": {"Done": {"Type": "Succeed", "X": 1}}});
        assert_refused(&map(unknown), &["`M`", "ItemProcessor", "`Done`", "X"]);
    }
}
