//! The Lambda function that Secrets Manager calls to rotate the password of a database user.

use lambda::Environment;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use rotate_database_user::{RotateDatabaseUser, RotationError, Settings};
use serde_json::{Value, json};

/// The function's variables. Lambda sets them once for the life of the process.
#[allow(clippy::disallowed_methods, reason = "the function's own settings are read here, once, as it starts")]
fn settings() -> Result<Settings, RotationError> {
    Settings::from_variables(&std::env::vars().collect(), |path| std::fs::read(path))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let settings = settings().map_err(|error| error.to_string())?;
    let function = &RotateDatabaseUser::new(&Environment::read()?, settings);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let answer = function.run(&event.payload).await;
        log(&event.payload, &answer, &event.context.request_id);
        answer.map(|_| Value::Null).map_err(Failure)
    }))
    .await
}

/// One line a step: what it did, or why not. Secrets Manager shows nobody the function's answer.
#[allow(clippy::print_stdout, reason = "a function's stdout is its log, and this is its one writer")]
fn log(event: &Value, answer: &Result<Vec<String>, RotationError>, request_id: &str) {
    let mut line = json!({
        "level": if answer.is_ok() { "INFO" } else { "ERROR" },
        "secret": event["SecretId"],
        "version": event["ClientRequestToken"],
        "step": event["Step"],
        "requestId": request_id,
    });
    match answer {
        Ok(done) => line["did"] = json!(done),
        Err(error) => {
            line["error"] = Value::from(error.name());
            line["message"] = Value::from(error.to_string());
        }
    }
    println!("{line}");
}

/// An error on its way to Lambda under its stable name. Its Debug is its Display: the runtime may log either.
struct Failure(RotationError);

impl std::fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.0.name(), self.0)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Diagnostic {
        Diagnostic { error_type: failure.0.name().to_owned(), error_message: failure.0.to_string() }
    }
}
