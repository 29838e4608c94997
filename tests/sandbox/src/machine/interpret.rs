//! The interpreter: from state to state, with each state's input and output processed in AWS's order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::choice::MissingVariable;
use super::definition::{Catcher, Choice, Definition, Fail, Flow, Pass, Retrier, State, Task, Wait};
use super::history::{Details, EventType, Execution};
use super::intrinsic::{Expression, ExpressionError};
use super::map;
use super::path::{Path, Placement, Scope, Selection};
use super::retry::{self, Retries};
use super::run::{Failure, Run, milliseconds};
use super::template::{Template, TemplateError};
use super::{PAYLOAD_LIMIT, TaskFailure, Tasks};

/// Drives one execution to its end and gives its record.
pub(super) async fn execute(definition: &Definition, run: Arc<Run>, tasks: Arc<dyn Tasks>, input: Value) -> Execution {
    let mut branch = Branch { run, tasks, last: 0, item: None, cancelled: Vec::new() };
    let started = branch.add(EventType::ExecutionStarted, Details { input: Some(input.clone()), ..Details::default() });
    let outcome = match started {
        Ok(()) => branch.flow(&definition.flow, input).await,
        Err(failure) => Err(failure),
    };
    branch.run.finish(branch.last, outcome);
    branch.run.record()
}

/// A line of states that follow each other: the execution itself, or one iteration of a Map.
pub(super) struct Branch {
    pub(super) run: Arc<Run>,
    pub(super) tasks: Arc<dyn Tasks>,
    /// The last event, which the next one follows.
    pub(super) last: u64,
    /// `$$.Map`, inside a Map.
    pub(super) item: Option<Value>,
    /// One for every Map around it: whether another iteration has failed.
    pub(super) cancelled: Vec<Arc<AtomicBool>>,
}

/// One visit to a state: what its errors and its context object need to know.
pub(super) struct Visit<'a> {
    pub(super) name: &'a str,
    event_id: u64,
    entered_time: String,
}

/// Where a state leads, and with what.
struct Step<'a> {
    next: Option<&'a str>,
    output: Value,
}

impl Branch {
    /// Runs states from the first to one that ends.
    pub(super) fn flow<'a>(
        &'a mut self,
        flow: &'a Flow,
        input: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let (mut name, mut input) = (flow.start_at.as_str(), input);
            loop {
                self.check()?;
                let Some((name_here, state)) = flow.states.get_key_value(name) else {
                    return Err(Failure::named("States.Runtime", format!("there is no state `{name}`")));
                };
                let step = self.state(name_here, state, input).await?;
                match step.next {
                    Some(next) => (name, input) = (next, step.output),
                    None => return Ok(step.output),
                }
            }
        })
    }

    async fn state<'a>(&mut self, name: &'a str, state: &'a State, input: Value) -> Result<Step<'a>, Failure> {
        let (entered, exited) = entered_and_exited(state);
        let details = Details { name: Some(name.to_owned()), input: Some(input.clone()), ..Details::default() };
        self.add(entered, details)?;
        let entered_time = milliseconds(self.run.clock.now());
        let visit = Visit { name, event_id: self.last, entered_time };
        let next = state.next();
        let step = match state {
            State::Pass(pass) => self.pass(&visit, pass, &input).map(|output| Step { next, output })?,
            State::Choice(choice) => self.choice(&visit, choice, &input)?,
            State::Wait(wait) => self.wait(&visit, wait, &input).await.map(|output| Step { next, output })?,
            State::Task(task) => self.work(&visit, Work::Task(task), &input, next).await?,
            State::Map(map) => self.work(&visit, Work::Map(map), &input, next).await?,
            State::Succeed(succeed) => {
                let context = self.context(&visit, 0);
                let seen =
                    visit.select("InputPath", &succeed.input_path, Scope { input: &input, context: &context })?;
                let output =
                    visit.select("OutputPath", &succeed.output_path, Scope { input: &seen, context: &context })?;
                Step { next, output }
            }
            State::Fail(fail) => return Err(self.fail(&visit, fail, &input)),
        };
        visit.limit(&step.output)?;
        if let Some(exited) = exited {
            let details =
                Details { name: Some(name.to_owned()), output: Some(step.output.clone()), ..Details::default() };
            self.add(exited, details)?;
        }
        Ok(step)
    }

    fn pass(&self, visit: &Visit<'_>, pass: &Pass, input: &Value) -> Result<Value, Failure> {
        let context = self.context(visit, 0);
        let seen = visit.select("InputPath", &pass.input_path, Scope { input, context: &context })?;
        let seen = visit.render(pass.parameters.as_ref(), &seen, &context)?;
        let result = pass.result.clone().unwrap_or(seen);
        visit.output(&pass.result_path, &pass.output_path, input, result, &context)
    }

    fn choice<'a>(&self, visit: &Visit<'_>, choice: &'a Choice, input: &Value) -> Result<Step<'a>, Failure> {
        let context = self.context(visit, 0);
        let seen = visit.select("InputPath", &choice.input_path, Scope { input, context: &context })?;
        let scope = Scope { input: &seen, context: &context };
        let mut next = choice.default.as_deref();
        for rule in &choice.choices {
            let held = rule.condition.holds(scope).map_err(|MissingVariable(path)| {
                let why = "The choice state's condition path references an invalid value.";
                visit.runtime(&format!("Invalid path '{path}': {why}"))
            })?;
            if held {
                next = Some(&rule.next);
                break;
            }
        }
        if next.is_none() {
            let cause =
                visit.explain("Failed to transition out of the state: no choice matched and there is no Default.");
            return Err(Failure::named("States.NoChoiceMatched", cause));
        }
        let output = visit.select("OutputPath", &choice.output_path, scope)?;
        Ok(Step { next, output })
    }

    async fn wait(&self, visit: &Visit<'_>, wait: &Wait, input: &Value) -> Result<Value, Failure> {
        let context = self.context(visit, 0);
        let seen = visit.select("InputPath", &wait.input_path, Scope { input, context: &context })?;
        let scope = Scope { input: &seen, context: &context };
        let seconds = match &wait.seconds_path {
            None => wait.seconds.unwrap_or_default(),
            Some(path) => {
                let found = visit.find("SecondsPath", path, scope)?;
                found.as_u64().ok_or_else(|| {
                    visit.runtime(&format!(
                        "The SecondsPath parameter '{path}' references {found}, which is no number of seconds"
                    ))
                })?
            }
        };
        self.sleep(Duration::from_secs(seconds)).await?;
        visit.select("OutputPath", &wait.output_path, scope)
    }

    fn fail(&self, visit: &Visit<'_>, fail: &Fail, input: &Value) -> Failure {
        let context = self.context(visit, 0);
        let scope = Scope { input, context: &context };
        let text = |field: &str, fixed: &Option<String>, path: &Option<Expression>| match path {
            None => Ok(fixed.clone().unwrap_or_default()),
            Some(expression) => match expression.evaluate(scope) {
                Ok(Value::String(text)) => Ok(text),
                Ok(other) => Err(visit.runtime(&format!("{field} must give a text, and gives {other}"))),
                Err(error) => Err(visit.failed_expression(field, error, input)),
            },
        };
        let error = text("ErrorPath", &fail.error, &fail.error_path);
        let cause = text("CausePath", &fail.cause, &fail.cause_path);
        match (error, cause) {
            (Ok(error), Ok(cause)) => Failure::Error(TaskFailure { error, cause }),
            (Err(failure), _) | (_, Err(failure)) => failure,
        }
    }

    /// A Task or a Map, tried again as its Retry says, and its errors led where its Catch says.
    async fn work<'a>(
        &mut self,
        visit: &Visit<'_>,
        work: Work<'a>,
        input: &Value,
        next: Option<&'a str>,
    ) -> Result<Step<'a>, Failure> {
        let execution = self.run.name();
        let (retry, catch) = work.retry_and_catch();
        let mut retries = Retries::new(retry, &execution, visit.name);
        loop {
            let attempt = match work {
                Work::Task(task) => self.task(visit, task, input, retries.count()).await,
                Work::Map(map) => map::attempt(self, visit, map, input, retries.count()).await,
            };
            let failure = match attempt {
                Ok(output) => return Ok(Step { next, output }),
                Err(Failure::Error(failure)) => failure,
                Err(other @ (Failure::TimedOut | Failure::Aborted | Failure::Cancelled)) => return Err(other),
            };
            if let Some(delay) = retries.after(&failure.error) {
                self.sleep(delay).await?;
                continue;
            }
            let Some(catcher) = retry::catcher(catch, &failure.error) else { return Err(Failure::Error(failure)) };
            let caught = json!({"Error": failure.error, "Cause": failure.cause});
            let output = visit.place(&catcher.result_path, input, caught)?;
            return Ok(Step { next: Some(&catcher.next), output });
        }
    }

    async fn task(&mut self, visit: &Visit<'_>, task: &Task, input: &Value, retries: u32) -> Result<Value, Failure> {
        let context = self.context(visit, retries);
        let seen = visit.select("InputPath", &task.input_path, Scope { input, context: &context })?;
        let payload = visit.render(task.parameters.as_ref(), &seen, &context)?;
        visit.limit(&payload)?;
        let [scheduled, started, succeeded, failed, timed_out] = task_events(&task.resource);
        let resource = Some(task.resource.clone());
        let details = Details { resource: resource.clone(), input: Some(payload.clone()), ..Details::default() };
        self.add(scheduled, details)?;
        self.add(started, Details { resource: resource.clone(), ..Details::default() })?;
        let tasks = Arc::clone(&self.tasks);
        let result = tasks.invoke(&task.resource, payload).await;
        let result = result.map_err(Failure::Error).and_then(|result| visit.limit(&result).map(|()| result));
        match &result {
            Ok(result) => {
                self.add(succeeded, Details { resource, output: Some(result.clone()), ..Details::default() })?;
            }
            Err(Failure::Error(failure)) => {
                let kind = if failure.error == "States.Timeout" { timed_out } else { failed };
                let (error, cause) = (Some(failure.error.clone()), Some(failure.cause.clone()));
                self.add(kind, Details { resource, error, cause, ..Details::default() })?;
            }
            Err(Failure::TimedOut | Failure::Aborted | Failure::Cancelled) => {}
        }
        self.check()?;
        let selected = visit.render(task.result_selector.as_ref(), &result?, &context)?;
        visit.output(&task.result_path, &task.output_path, input, selected, &context)
    }

    /// The context object (`$$`) as this visit sees it.
    pub(super) fn context(&self, visit: &Visit<'_>, retries: u32) -> Value {
        let mut context = self.run.context();
        context["State"] = json!({"Name": visit.name, "EnteredTime": visit.entered_time, "RetryCount": retries});
        if let Some(item) = &self.item {
            context["Map"] = item.clone();
        }
        context
    }

    /// Records an event that follows this branch's last one.
    pub(super) fn add(&mut self, kind: EventType, details: Details) -> Result<(), Failure> {
        self.last = self.run.add(self.last, kind, details)?;
        Ok(())
    }

    /// Whether this branch may go on. An iteration of a failed Map ends with its present state.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.cancelled.iter().any(|cancelled| cancelled.load(Ordering::SeqCst)) {
            return Err(Failure::Cancelled);
        }
        self.run.check()
    }

    async fn sleep(&self, duration: Duration) -> Result<(), Failure> {
        self.run.sleep(duration).await?;
        self.check()
    }
}

/// The two kinds of state that can be retried.
#[derive(Clone, Copy)]
enum Work<'a> {
    Task(&'a Task),
    Map(&'a super::definition::MapState),
}

impl<'a> Work<'a> {
    fn retry_and_catch(self) -> (&'a [Retrier], &'a [Catcher]) {
        match self {
            Work::Task(task) => (&task.retry, &task.catch),
            Work::Map(map) => (&map.retry, &map.catch),
        }
    }
}

impl Visit<'_> {
    /// An error as AWS words it.
    pub(super) fn explain(&self, what: &str) -> String {
        format!(
            "An error occurred while executing the state '{}' (entered at the event id #{}). {what}",
            self.name, self.event_id
        )
    }

    /// States.Runtime: the definition and the data do not fit together, and nothing can catch it.
    ///
    /// The language's specification names States.ParameterPathFailure for Parameters; AWS itself gives States.Runtime
    /// there too (its published histories and Step Functions Local agree), which is also the stricter of the two.
    pub(super) fn runtime(&self, what: &str) -> Failure {
        Failure::named("States.Runtime", self.explain(what))
    }

    pub(super) fn find(&self, field: &str, path: &Path, scope: Scope<'_>) -> Result<Value, Failure> {
        path.find(scope).ok_or_else(|| self.missing(field, &path.to_string(), scope.input))
    }

    pub(super) fn select(&self, field: &str, selection: &Selection, scope: Scope<'_>) -> Result<Value, Failure> {
        match selection {
            Selection::At(path) => self.find(field, path, scope),
            Selection::Nothing => Ok(json!({})),
        }
    }

    pub(super) fn render(&self, template: Option<&Template>, input: &Value, context: &Value) -> Result<Value, Failure> {
        let Some(template) = template else { return Ok(input.clone()) };
        template
            .render(Scope { input, context })
            .map_err(|TemplateError { field, error }| self.failed_expression(&field, error, input))
    }

    /// ResultPath on the state's raw input, then OutputPath.
    pub(super) fn output(
        &self,
        placement: &Placement,
        selection: &Selection,
        input: &Value,
        result: Value,
        context: &Value,
    ) -> Result<Value, Failure> {
        let combined = self.place(placement, input, result)?;
        self.select("OutputPath", selection, Scope { input: &combined, context })
    }

    fn place(&self, placement: &Placement, input: &Value, result: Value) -> Result<Value, Failure> {
        match placement {
            Placement::Discard => Ok(input.clone()),
            Placement::At(path) => path
                .place(input.clone(), result)
                .map_err(|why| Failure::named("States.ResultPathMatchFailure", self.explain(&why))),
        }
    }

    pub(super) fn limit(&self, value: &Value) -> Result<(), Failure> {
        let size = value.to_string().len();
        if size <= PAYLOAD_LIMIT {
            return Ok(());
        }
        let why = format!(
            "The state/task '{}' returned a result with a size exceeding the maximum number of bytes service limit.",
            self.name
        );
        Err(Failure::named("States.DataLimitExceeded", why))
    }

    fn missing(&self, field: &str, path: &str, input: &Value) -> Failure {
        self.runtime(&format!(
            "The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{input}'"
        ))
    }

    fn failed_expression(&self, field: &str, error: ExpressionError, input: &Value) -> Failure {
        match error {
            ExpressionError::Missing(path) => self.missing(field, &path, input),
            ExpressionError::Intrinsic(why) => Failure::named("States.IntrinsicFailure", self.explain(&why)),
        }
    }
}

fn entered_and_exited(state: &State) -> (EventType, Option<EventType>) {
    use EventType as Type;
    match state {
        State::Pass(_) => (Type::PassStateEntered, Some(Type::PassStateExited)),
        State::Task(_) => (Type::TaskStateEntered, Some(Type::TaskStateExited)),
        State::Choice(_) => (Type::ChoiceStateEntered, Some(Type::ChoiceStateExited)),
        State::Wait(_) => (Type::WaitStateEntered, Some(Type::WaitStateExited)),
        State::Map(_) => (Type::MapStateEntered, Some(Type::MapStateExited)),
        State::Succeed(_) => (Type::SucceedStateEntered, Some(Type::SucceedStateExited)),
        State::Fail(_) => (Type::FailStateEntered, None),
    }
}

/// Scheduled, started, succeeded, failed, timed out: AWS has other names for a function called by its own ARN.
fn task_events(resource: &str) -> [EventType; 5] {
    use EventType as Type;
    if resource.contains(":lambda:") {
        [
            Type::LambdaFunctionScheduled,
            Type::LambdaFunctionStarted,
            Type::LambdaFunctionSucceeded,
            Type::LambdaFunctionFailed,
            Type::LambdaFunctionTimedOut,
        ]
    } else {
        [Type::TaskScheduled, Type::TaskStarted, Type::TaskSucceeded, Type::TaskFailed, Type::TaskTimedOut]
    }
}
