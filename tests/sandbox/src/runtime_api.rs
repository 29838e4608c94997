//! Lambda: runs the real `bootstrap` binaries behind the real Runtime API, on loopback.
//!
//! The very files that would be deployed are started here, each with nothing but its own environment. One process a
//! function stays warm and serves one invocation after the other. A process that dies, hangs or reports an error ends an
//! invocation with the names and texts that Step Functions would see, since that is what Retry and Catch are written for.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine::{TaskFailure, Tasks};

mod environment;

pub use environment::{LOG_STREAM, log_group};

use environment::{Ending, Environment};

/// How a function is started.
#[derive(Clone)]
pub struct FunctionConfig {
    /// The `bootstrap` binary.
    pub binary: PathBuf,
    /// Its environment; besides it the process has only what Lambda itself sets.
    pub environment: BTreeMap<String, String>,
    /// How much real time an invocation may take.
    pub timeout: Duration,
}

/// One line that a function wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The function's name.
    pub function: String,
    /// Where it wrote.
    pub stream: LogStream,
    /// What, without the line's end.
    pub text: String,
}

/// Lambda sends both to CloudWatch Logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Is told of every line as it arrives.
pub type LineObserver = Arc<dyn Fn(&LogLine) + Send + Sync>;

/// Everything that functions wrote, in the order in which it arrived.
type Log = Arc<Lines>;

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<LogLine>>,
    observers: Mutex<Vec<LineObserver>>,
}

impl Lines {
    fn write(&self, line: LogLine) {
        self.notify(&line);
        locked(&self.lines).push(line);
    }

    /// Lambda's own lines round an invocation: those who watch see them, as CloudWatch does; no function wrote them.
    fn tell(&self, function: &str, text: &str) {
        let function = function.to_owned();
        self.notify(&LogLine { function, stream: LogStream::Stdout, text: text.to_owned() });
    }

    fn notify(&self, line: &LogLine) {
        let observers = locked(&self.observers).clone();
        observers.iter().for_each(|observer| observer(line));
    }
}

/// The functions of one account and region.
pub struct Lambda {
    account: String,
    region: String,
    functions: Mutex<BTreeMap<String, Arc<Function>>>,
    log: Log,
}

struct Function {
    name: String,
    arn: String,
    config: FunctionConfig,
    /// The warm process. Whoever holds the lock has an invocation; the others queue in the order of their coming.
    environment: tokio::sync::Mutex<Option<Environment>>,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    invocations: u64,
    die_before_reply: BTreeSet<u64>,
}

impl Lambda {
    /// A Lambda service without functions.
    pub fn new(account: &str, region: &str) -> Lambda {
        let (account, region) = (account.to_owned(), region.to_owned());
        Lambda { account, region, functions: Mutex::default(), log: Log::default() }
    }

    /// Deploys a function. It starts with its first invocation; one of the same name is replaced.
    pub fn add_function(&self, name: &str, config: FunctionConfig) {
        let function = Function {
            name: name.to_owned(),
            arn: self.arn(name),
            config,
            environment: tokio::sync::Mutex::default(),
            faults: Mutex::default(),
        };
        locked(&self.functions).insert(name.to_owned(), Arc::new(function));
    }

    /// Every function's name and how it is started.
    pub fn functions(&self) -> Vec<(String, FunctionConfig)> {
        locked(&self.functions).iter().map(|(name, function)| (name.clone(), function.config.clone())).collect()
    }

    /// The ARN of a function of that name.
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:lambda:{}:{}:function:{name}", self.region, self.account)
    }

    /// Invokes a function, by name or ARN, and waits for its answer.
    pub async fn invoke(&self, name: &str, payload: Value) -> Result<Value, TaskFailure> {
        let name = name.rsplit_once(":function:").map_or(name, |(_, name)| name);
        let function = locked(&self.functions).get(name).cloned();
        let Some(function) = function else {
            let cause = format!("Function not found: {}", self.arn(name));
            return Err(TaskFailure { error: "Lambda.ResourceNotFoundException".to_owned(), cause });
        };
        function.invoke(payload, &self.region, &self.log).await
    }

    /// Lets the function's nth invocation (the first is 1) do all its work and then die before its reply is seen: the
    /// cruellest moment, since everything is done and nobody knows.
    ///
    /// Whether there is such a function.
    pub fn die_before_reply(&self, name: &str, nth: u64) -> bool {
        let function = locked(&self.functions).get(name).cloned();
        function.is_some_and(|function| locked(&function.faults).die_before_reply.insert(nth))
    }

    /// How often a function was invoked so far.
    pub fn invocations(&self, name: &str) -> u64 {
        locked(&self.functions).get(name).map_or(0, |function| locked(&function.faults).invocations)
    }

    /// What the functions wrote so far. A line may arrive a moment after the reply that it was written before; after
    /// [`Lambda::shut_down`] none is missing.
    pub fn logs(&self) -> Vec<LogLine> {
        locked(&self.log.lines).clone()
    }

    /// Calls `observer` for every later line.
    pub fn observe_lines(&self, observer: LineObserver) {
        locked(&self.log.observers).push(observer);
    }

    /// Ends every process and waits until the last line that it wrote is in the log.
    pub async fn shut_down(&self) {
        let functions: Vec<Arc<Function>> = locked(&self.functions).values().cloned().collect();
        for function in functions {
            if let Some(environment) = function.environment.lock().await.take() {
                environment.kill().await;
            }
        }
    }
}

impl Tasks for Lambda {
    fn invoke(
        &self,
        resource: &str,
        payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, TaskFailure>> + Send + '_>> {
        let resource = resource.to_owned();
        Box::pin(async move { Lambda::invoke(self, &resource, payload).await })
    }
}

impl Function {
    async fn invoke(&self, payload: Value, region: &str, log: &Log) -> Result<Value, TaskFailure> {
        let mut slot = self.environment.lock().await;
        let (number, dies) = self.count();
        let request_id = request_id(number);
        log.tell(&self.name, &format!("START RequestId: {request_id} Version: $LATEST"));
        // A process that died while nobody needed it is replaced without a word, as Lambda does.
        let warm = slot.take().and_then(Environment::if_alive);
        let mut environment = match warm {
            Some(environment) => environment,
            None => Environment::start(&self.name, &self.config, region, log).await.map_err(|why| {
                failure("Runtime.InvalidEntrypoint", &format!("RequestId: {request_id} Error: {why}"))
            })?,
        };
        let ending = environment.invoke(&request_id, &self.arn, payload, self.config.timeout).await;
        let ending = if dies && matches!(ending, Ending::Reply(_) | Ending::Error(_) | Ending::TooLarge) {
            Ending::Exit("with error: signal: killed".to_owned())
        } else {
            ending
        };
        match &ending {
            Ending::Reply(_) | Ending::Error(_) | Ending::TooLarge => *slot = Some(environment),
            Ending::Exit(_) | Ending::InitError(_) | Ending::TimedOut => environment.kill().await,
        }
        log.tell(&self.name, &format!("END RequestId: {request_id}"));
        self.answer(ending, &request_id)
    }

    fn count(&self) -> (u64, bool) {
        let mut faults = locked(&self.faults);
        faults.invocations += 1;
        let number = faults.invocations;
        (number, faults.die_before_reply.remove(&number))
    }

    /// What Step Functions is told, in Lambda's own words.
    fn answer(&self, ending: Ending, request_id: &str) -> Result<Value, TaskFailure> {
        match ending {
            Ending::Reply(body) => serde_json::from_slice(&body).map_err(|error| {
                failure("Lambda.Unknown", &format!("RequestId: {request_id} Error: the reply is not JSON: {error}"))
            }),
            Ending::Error(body) | Ending::InitError(body) => Err(reported(&body)),
            Ending::TooLarge => Err(failure(
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            )),
            Ending::Exit(how) => {
                Err(failure("Runtime.ExitError", &format!("RequestId: {request_id} Error: Runtime exited {how}")))
            }
            Ending::TimedOut => {
                let seconds = self.config.timeout.as_secs_f64();
                Err(failure(
                    "Sandbox.Timedout",
                    &format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds"),
                ))
            }
        }
    }
}

/// An error that the function reported: its errorType is the name, and the whole text the cause.
fn reported(body: &[u8]) -> TaskFailure {
    let cause = String::from_utf8_lossy(body).into_owned();
    let report: Option<Value> = serde_json::from_str(&cause).ok();
    let error = report.as_ref().and_then(|report| report["errorType"].as_str()).unwrap_or("Lambda.Unknown");
    TaskFailure { error: error.to_owned(), cause }
}

/// An error that Lambda itself reports, in the same shape.
fn failure(error: &str, message: &str) -> TaskFailure {
    let cause = json!({"errorType": error, "errorMessage": message}).to_string();
    TaskFailure { error: error.to_owned(), cause }
}

/// A request id in Lambda's form, and the same in every run.
fn request_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
