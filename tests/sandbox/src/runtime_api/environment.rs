//! One execution environment: a process, and the Runtime API that it alone talks to.
//!
//! Every process has a port of its own, so that nothing which a killed one left behind can reach its successor.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{FunctionConfig, Log, LogLine, LogStream, locked};

/// The largest reply that Lambda takes.
const RESPONSE_LIMIT: usize = 6_291_556;

/// Every function writes to one stream; in AWS each environment has its own.
pub const LOG_STREAM: &str = "sandbox";

/// The group that a function's lines go to.
pub fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

/// How an invocation ended.
pub(super) enum Ending {
    /// The function's reply.
    Reply(Bytes),
    /// The error that its handler reported.
    Error(Bytes),
    /// The error that it reported before it asked for work.
    InitError(Bytes),
    /// A reply that Lambda does not take.
    TooLarge,
    /// The process ended; how, in Lambda's words.
    Exit(String),
    /// The invocation took too long.
    TimedOut,
}

/// A process that serves one function.
pub(super) struct Environment {
    /// Killed when it is dropped.
    process: Child,
    /// The task that serves the Runtime API.
    server: JoinHandle<()>,
    readers: Vec<JoinHandle<()>>,
    api: Arc<Api>,
    work: mpsc::UnboundedSender<Invocation>,
}

/// What the Runtime API's routes share.
struct Api {
    work: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    open: Mutex<Option<(String, oneshot::Sender<Ending>)>>,
    init_error: Mutex<Option<Bytes>>,
}

struct Invocation {
    request_id: String,
    function_arn: String,
    deadline_milliseconds: u128,
    payload: Value,
    reply: oneshot::Sender<Ending>,
}

impl Environment {
    /// Starts the binary with its Runtime API.
    pub(super) async fn start(
        name: &str,
        config: &FunctionConfig,
        region: &str,
        log: &Log,
    ) -> Result<Environment, String> {
        let cannot = |what: &str, error: std::io::Error| format!("{what} for function {name}: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| cannot("no loopback port", error))?;
        let address = listener.local_addr().map_err(|error| cannot("no loopback address", error))?;
        let mut process = Command::new(&config.binary)
            .env_clear()
            .envs(&config.environment)
            .envs(own_environment(name, region, &config.binary))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot(&format!("couldn't start the bootstrap {}", config.binary.display()), error))?;
        let stdout = process.stdout.take().map(|pipe| read(pipe, name, LogStream::Stdout, log));
        let stderr = process.stderr.take().map(|pipe| read(pipe, name, LogStream::Stderr, log));
        let (work, receiver) = mpsc::unbounded_channel();
        let api = Arc::new(Api {
            work: tokio::sync::Mutex::new(receiver),
            open: Mutex::default(),
            init_error: Mutex::default(),
        });
        let server = serve(listener, Arc::clone(&api));
        Ok(Environment { process, server, readers: stdout.into_iter().chain(stderr).collect(), api, work })
    }

    /// The environment, if its process still runs.
    pub(super) fn if_alive(mut self) -> Option<Environment> {
        matches!(self.process.try_wait(), Ok(None)).then_some(self)
    }

    /// Hands the process one piece of work and waits for what becomes of it.
    pub(super) async fn invoke(
        &mut self,
        request_id: &str,
        function_arn: &str,
        payload: Value,
        timeout: Duration,
    ) -> Ending {
        let (reply, replied) = oneshot::channel();
        let invocation = Invocation {
            request_id: request_id.to_owned(),
            function_arn: function_arn.to_owned(),
            deadline_milliseconds: deadline_milliseconds(timeout),
            payload,
            reply,
        };
        // The receiver lives as long as the API; if it were gone, the process's end would tell.
        let _ = self.work.send(invocation);
        tokio::select! {
            // A process that replies and then exits has replied.
            biased;
            Ok(ending) = replied => ending,
            status = self.process.wait() => match locked(&self.api.init_error).take() {
                Some(report) => Ending::InitError(report),
                None => Ending::Exit(status.map_or_else(|error| format!("with error: {error}"), how_it_exited)),
            },
            () = elapsed(timeout) => Ending::TimedOut,
        }
    }

    /// Ends the process and waits until all that it wrote is in the log.
    pub(super) async fn kill(mut self) {
        // An error means that it has ended already, which is what is wanted.
        let _ = self.process.kill().await;
        for reader in std::mem::take(&mut self.readers) {
            let _ = reader.await;
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What Lambda sets for every function.
fn own_environment<'a>(name: &'a str, region: &'a str, binary: &'a Path) -> [(&'static str, String); 9] {
    let folder = binary.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    [
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", log_group(name)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", LOG_STREAM.to_owned()),
        ("AWS_REGION", region.to_owned()),
        ("LAMBDA_TASK_ROOT", folder),
        ("_HANDLER", "bootstrap".to_owned()),
    ]
}

#[allow(
    clippy::disallowed_methods,
    reason = "a real process gets a real deadline; simulated time stands still meanwhile"
)]
fn deadline_milliseconds(timeout: Duration) -> u128 {
    (SystemTime::now() + timeout).duration_since(UNIX_EPOCH).map(|since| since.as_millis()).unwrap_or_default()
}

#[allow(clippy::disallowed_methods, reason = "a limit on a real process; simulated time stands still meanwhile")]
async fn elapsed(timeout: Duration) {
    tokio::time::sleep(timeout).await;
}

fn how_it_exited(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "without providing a reason".to_owned(),
        (Some(code), _) => format!("with error: exit status {code}"),
        (None, Some(6)) => "with error: signal: aborted".to_owned(),
        (None, Some(9)) => "with error: signal: killed".to_owned(),
        (None, Some(11)) => "with error: signal: segmentation fault".to_owned(),
        (None, signal) => format!("with error: signal {}", signal.unwrap_or_default()),
    }
}

/// Copies a pipe into the log, line by line, until it closes.
fn read(pipe: impl AsyncRead + Unpin + Send + 'static, function: &str, stream: LogStream, log: &Log) -> JoinHandle<()> {
    let (function, log) = (function.to_owned(), Arc::clone(log));
    tokio::spawn(async move {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut line).await, Ok(length) if length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            log.write(LogLine { function: function.clone(), stream, text });
            line.clear();
        }
    })
}

fn serve(listener: TcpListener, api: Arc<Api>) -> JoinHandle<()> {
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{request_id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{request_id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::disable())
        .with_state(api);
    tokio::spawn(async move {
        // It ends with its environment; an error before that shows as the process's own failure.
        let _ = axum::serve(listener, router).await;
    })
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    let Some(invocation) = api.work.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", invocation.request_id.clone()),
        ("lambda-runtime-deadline-ms", invocation.deadline_milliseconds.to_string()),
        ("lambda-runtime-invoked-function-arn", invocation.function_arn),
        (
            "lambda-runtime-trace-id",
            "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0".to_owned(),
        ),
    ];
    *locked(&api.open) = Some((invocation.request_id, invocation.reply));
    (headers, invocation.payload.to_string()).into_response()
}

async fn response(State(api): State<Arc<Api>>, UrlPath(request_id): UrlPath<String>, body: Bytes) -> StatusCode {
    if body.len() > RESPONSE_LIMIT {
        end(&api, &request_id, Ending::TooLarge);
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    end(&api, &request_id, Ending::Reply(body))
}

async fn error(State(api): State<Arc<Api>>, UrlPath(request_id): UrlPath<String>, body: Bytes) -> StatusCode {
    end(&api, &request_id, Ending::Error(body))
}

async fn init_error(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    *locked(&api.init_error) = Some(body);
    StatusCode::ACCEPTED
}

/// Ends the open invocation; a reply to any other is refused, as Lambda does (InvalidRequestID).
fn end(api: &Api, request_id: &str, ending: Ending) -> StatusCode {
    let open = locked(&api.open).take_if(|(open, _)| open == request_id);
    match open {
        Some((_, reply)) => {
            // Nobody waits any more for an invocation that was given up.
            let _ = reply.send(ending);
            StatusCode::ACCEPTED
        }
        None => StatusCode::BAD_REQUEST,
    }
}
