//! What another orchestrator needs: the definition and the functions to run them elsewhere, and a way to tell this AWS
//! how its executions stand, since functions ask Step Functions for that.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Service;
use super::admin::Refusal;
use crate::functions_folder::FUNCTIONS;

/// An execution of another orchestrator.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ForeignExecution {
    arn: String,
    status: String,
}

impl Service {
    /// The definition with `*` in the pattern standing for a function's name; this world's own ARNs without a pattern.
    pub(super) fn definition(&self, query: &str) -> Result<Value, Refusal> {
        let pattern = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "functionArn");
        let pattern = pattern.map(|(_, pattern)| pattern.into_owned());
        if let Some(wrong) = pattern.as_deref().filter(|pattern| pattern.matches('*').count() != 1) {
            return Err(Refusal::bad(format!(
                "functionArn is an ARN with one * for the function's name, not `{wrong}`"
            )));
        }
        let arn_of = |function: &str| match &pattern {
            Some(pattern) => pattern.replacen('*', function, 1),
            None => self.world.lambda.arn(function),
        };
        let text = self.world.definition(arn_of).map_err(|error| Refusal::bad(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| Refusal::bad(error.to_string()))
    }

    /// Whoever may call this address may do everything here, so the functions' credentials are no secret to them.
    pub(super) fn functions(&self) -> Value {
        let functions = self.world.lambda.functions().into_iter().map(|(name, config)| {
            let mut environment = config.environment;
            environment.insert("AWS_ENDPOINT_URL".to_owned(), self.url());
            json!({
                "name": name,
                "arn": self.world.lambda.arn(&name),
                "binary": config.binary,
                "timeoutSeconds": config.timeout.as_secs(),
                "environment": environment,
            })
        });
        debug_assert_eq!(FUNCTIONS.len(), functions.len());
        json!({ "functions": functions.collect::<Vec<_>>() })
    }

    pub(super) fn note_execution(&self, execution: ForeignExecution) -> Result<Value, Refusal> {
        const STATUSES: [&str; 5] = ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"];
        let ForeignExecution { arn, status } = execution;
        if arn.split(':').count() != 8 || !arn.contains(":execution:") {
            return Err(Refusal::bad(format!("`{arn}` is no ARN of an execution")));
        }
        if !STATUSES.contains(&status.as_str()) {
            return Err(Refusal::bad(format!("status is one of {}, and not `{status}`", STATUSES.join(", "))));
        }
        if arn.starts_with(&self.world.machine.arn().replacen(":stateMachine:", ":execution:", 1)) {
            return Err(Refusal::bad("the executions of this world's own state machine speak for themselves"));
        }
        self.world.cloud.set_execution_status(&arn, &status);
        Ok(json!({ "arn": arn, "status": status }))
    }
}
