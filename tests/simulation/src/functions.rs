//! The functions in this process: the very steps that Lambda runs, on a wire where things go wrong.
//!
//! Each invocation builds its step anew, as after a cold start: what a step remembered from one invocation to the next
//! would be a mistake that no history could show otherwise.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use enumerate_instances::EnumerateInstances;
use lambda::Environment;
use plan_rotation::PlanRotation;
use poll_command::PollCommand;
use promote_stage::PromoteStage;
use retire_iam_key::RetireIamKey;
use rotate_iam_key::RotateIamKey;
use rotation::StepError;
use sandbox::cloud::{Caller, Cloud};
use sandbox::machine::{TaskFailure, Tasks};
use send_command::SendCommand;
use serde_json::{Value, json};

use crate::wire::{Invocation, Wire};

/// What the machine's Tasks call.
pub struct Functions {
    cloud: Arc<Cloud>,
    wire: Arc<Wire>,
}

type Working = Pin<Box<dyn Future<Output = Result<Value, StepError>> + Send>>;

impl Functions {
    /// The functions of a cloud, on a wire.
    pub fn new(cloud: &Arc<Cloud>, wire: &Arc<Wire>) -> Functions {
        Functions { cloud: Arc::clone(cloud), wire: Arc::clone(wire) }
    }

    async fn call(&self, function: &str, payload: Value) -> Result<Value, TaskFailure> {
        let invocation = Arc::new(Invocation::default());
        let environment = self.environment(function, &invocation).map_err(|why| failed("Runtime.ExitError", &why))?;
        let mut working = step(function, environment, payload)
            .ok_or_else(|| failed("Lambda.ResourceNotFoundException", &format!("Function not found: {function}")))?;
        tokio::select! {
            biased;
            ended = &mut working => ended.map_err(|error| failed(error.name(), &error.to_string())),
            () = invocation.died.notified() => {
                Err(failed("Runtime.ExitError", "Error: Runtime exited with error: signal: killed"))
            }
            () = invocation.lost.notified() => {
                // It goes on in a life of its own, and nobody hears of its end.
                self.cloud.clock().spawn(async move { drop(working.await) });
                invocation.goes_on.notify_one();
                Err(failed("Lambda.Unknown", "The cause could not be determined because Lambda did not return an error type."))
            }
        }
    }

    fn environment(&self, function: &str, invocation: &Arc<Invocation>) -> Result<Environment, String> {
        let (account, region) = self.cloud.home();
        let credentials = self.cloud.credentials_for(Caller::function(function, &account));
        let variables = BTreeMap::from([
            ("AWS_REGION".to_owned(), region),
            ("AWS_ACCESS_KEY_ID".to_owned(), credentials.access_key_id),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), credentials.secret_access_key),
            ("AWS_SESSION_TOKEN".to_owned(), credentials.session_token),
        ]);
        let client = self.wire.client(&self.cloud, function, invocation);
        Environment::from_variables(variables, client).map_err(|missing| missing.to_string())
    }
}

/// A function at work on a payload; none where there is no such function.
fn step(function: &str, environment: Environment, payload: Value) -> Option<Working> {
    macro_rules! of {
        ($step:ident) => {
            Box::pin(async move {
                let step = $step::new(environment);
                lambda::answer(|input| step.run(input), &payload).await
            })
        };
    }
    Some(match function {
        "enumerate-instances" => of!(EnumerateInstances),
        "plan-rotation" => of!(PlanRotation),
        "rotate-iam-key" => of!(RotateIamKey),
        "send-command" => of!(SendCommand),
        "poll-command" => of!(PollCommand),
        "promote-stage" => of!(PromoteStage),
        "retire-iam-key" => of!(RetireIamKey),
        _ => return None,
    })
}

/// A failure as Lambda reports it to Step Functions.
fn failed(error: &str, message: &str) -> TaskFailure {
    let cause = json!({ "errorType": error, "errorMessage": message }).to_string();
    TaskFailure { error: error.to_owned(), cause }
}

impl Tasks for Functions {
    fn invoke(
        &self,
        resource: &str,
        payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, TaskFailure>> + Send + '_>> {
        let resource = resource.to_owned();
        Box::pin(async move {
            match sandbox::integrations::call(&self.cloud, &resource, &payload) {
                Some(answer) => answer,
                None => self.call(resource.rsplit(':').next().unwrap_or_default(), payload).await,
            }
        })
    }
}
