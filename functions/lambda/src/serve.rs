//! Runs a step as a Lambda function: the input is parsed by us, since the runtime would answer bad input with a Rust
//! type's path, and every error leaves under the stable name that the state machine catches.

use std::fmt;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use rotation::StepError;
use rotation::contracts::StateInput;
use serde::Serialize;
use serde_json::Value;

/// Serves a step until Lambda ends the process.
pub async fn serve<I, O, F>(step: impl Fn(I) -> F) -> Result<(), lambda_runtime::Error>
where
    I: StateInput,
    O: Serialize,
    F: Future<Output = Result<O, StepError>>,
{
    let step = &step;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        answer(step, &event.payload).await.map_err(|error| Failure::logged(error, &event.context.request_id))
    }))
    .await
}

/// What a step answers to a payload: all that a Lambda function does but for Lambda.
pub async fn answer<I, O, F>(step: impl Fn(I) -> F, payload: &Value) -> Result<Value, StepError>
where
    I: StateInput,
    O: Serialize,
    F: Future<Output = Result<O, StepError>>,
{
    // Boxed: the compiler's limit is on the depth of futures within futures, and the SDK's go deep.
    let answer = Box::pin(step(I::parse(payload)?)).await?;
    serde_json::to_value(answer)
        .map_err(|error| StepError::InvalidStateInput { path: "answer".to_owned(), problem: error.to_string() })
}

/// An error on its way to the state machine. Its Debug is its Display: the runtime may log either.
struct Failure(StepError);

impl Failure {
    /// Logs the error, once and here only, as one line of JSON.
    #[allow(clippy::print_stderr, reason = "stderr is the function's log, and this is its one writer")]
    fn logged(error: StepError, request_id: &str) -> Failure {
        let line = serde_json::json!({
            "level": "ERROR",
            "error": error.name(),
            "message": error.to_string(),
            "requestId": request_id,
        });
        eprintln!("{line}");
        Failure(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.name(), self.0)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Diagnostic {
        Diagnostic { error_type: failure.0.name().to_owned(), error_message: failure.0.to_string() }
    }
}
