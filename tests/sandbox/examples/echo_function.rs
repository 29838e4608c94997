//! A function with the real `lambda_runtime`, for the tests of the sandbox's Lambda: it does what its event says.

use std::io::Write;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// A failure with a name of its own, as our functions report it.
#[derive(Debug)]
struct Refused(String);

impl From<Refused> for Diagnostic {
    fn from(Refused(error_message): Refused) -> Diagnostic {
        Diagnostic { error_type: "Refused".to_owned(), error_message }
    }
}

#[allow(clippy::disallowed_methods, reason = "the test asks what the process sees")]
async fn answer(event: LambdaEvent<Value>) -> Result<Value, Refused> {
    let (event, context) = event.into_parts();
    for line in event["print"].as_array().into_iter().flatten() {
        // A function's log is its standard output; a line lost here fails the test.
        let _ = writeln!(std::io::stdout(), "{}", line.as_str().unwrap_or_default());
    }
    if let Some(why) = event["refuse"].as_str() {
        return Err(Refused(why.to_owned()));
    }
    if let Some(code) = event["exit"].as_i64() {
        std::process::exit(i32::try_from(code).unwrap_or(1));
    }
    if event["abort"] == true {
        std::process::abort();
    }
    if event["hang"] == true {
        std::future::pending::<()>().await;
    }
    Ok(json!({
        "echo": event["say"],
        "process": std::process::id(),
        "requestId": context.request_id,
        "functionArn": context.invoked_function_arn,
        "deadline": context.deadline,
        "environment": std::env::vars().map(|(name, _)| name).collect::<Vec<_>>(),
        "filler": "x".repeat(event["filler"].as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or(0)),
    }))
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::disallowed_methods, reason = "the test asks for a function that fails to start")]
async fn main() -> Result<(), lambda_runtime::Error> {
    if std::env::var("REPORT_AT_START").is_ok() {
        return report();
    }
    if std::env::var("EXIT_AT_START").is_ok() {
        std::process::exit(3);
    }
    lambda_runtime::run(service_fn(answer)).await
}

/// What a runtime does whose function cannot be made: it says so before it asks for work, and ends.
#[allow(clippy::disallowed_methods, reason = "the Runtime API's address is in the environment")]
fn report() -> Result<(), lambda_runtime::Error> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API")?;
    let body = json!({"errorType": "Configuration", "errorMessage": "no secret is named"}).to_string();
    let mut connection = std::net::TcpStream::connect(&api)?;
    let head = format!("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {api}\r\nContent-Length: {}", body.len());
    write!(connection, "{head}\r\nConnection: close\r\n\r\n{body}")?;
    std::io::copy(&mut connection, &mut std::io::sink())?;
    std::process::exit(1);
}
