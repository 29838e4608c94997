//! AWS's refusals in our names, without any request or response body: a body may hold a secret.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rotation::StepError;
use rotation::error::AwsRefusal;

/// A call that failed.
#[derive(Clone, Debug)]
pub struct AwsFailure {
    /// What AWS said.
    pub refusal: Box<AwsRefusal>,
    /// Whether the call may have taken effect all the same: its answer was lost, or AWS broke in the middle.
    pub may_have_taken_effect: bool,
}

impl AwsFailure {
    /// AWS's error code.
    pub fn code(&self) -> &str {
        &self.refusal.code
    }

    /// Whether AWS asks to be called less often, or is not reachable.
    pub fn is_transient(&self) -> bool {
        const THROTTLED: [&str; 7] = [
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "RateExceeded",
            "SlowDown",
        ];
        self.may_have_taken_effect || THROTTLED.contains(&self.code())
    }

    /// Whether a permission is missing.
    pub fn is_access_denied(&self) -> bool {
        ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"].contains(&self.code())
    }
}

impl From<AwsFailure> for StepError {
    fn from(failure: AwsFailure) -> StepError {
        let cause = failure.refusal.clone();
        if failure.is_access_denied() {
            StepError::AccessDenied { cause }
        } else if failure.is_transient() {
            StepError::ServiceUnavailable { cause }
        } else {
            StepError::AwsRefused { cause }
        }
    }
}

/// Names a call, so that its failure says what failed.
pub trait AwsResult<T> {
    /// `service` as IAM policies spell it, `operation` as the API does.
    fn named(self, service: &'static str, operation: &'static str) -> Result<T, AwsFailure>;
}

impl<T, E: ProvideErrorMetadata> AwsResult<T> for Result<T, SdkError<E, HttpResponse>> {
    fn named(self, service: &'static str, operation: &'static str) -> Result<T, AwsFailure> {
        self.map_err(|error| {
            let (code, message, may_have_taken_effect) = match &error {
                SdkError::ServiceError(refused) => (
                    refused.err().code().unwrap_or("Unknown").to_owned(),
                    refused.err().message().unwrap_or("AWS gave no message").to_owned(),
                    refused.raw().status().is_server_error(),
                ),
                SdkError::ConstructionFailure(_) => {
                    ("NotSent".to_owned(), "the request could not be built".to_owned(), false)
                }
                SdkError::TimeoutError(_) => ("TimedOut".to_owned(), "no answer in time".to_owned(), true),
                SdkError::DispatchFailure(failure) => {
                    let what = failure.as_connector_error().map(ToString::to_string);
                    ("NoConnection".to_owned(), what.unwrap_or_else(|| "the connection broke".to_owned()), true)
                }
                SdkError::ResponseError(_) => {
                    ("BadAnswer".to_owned(), "the answer could not be understood".to_owned(), true)
                }
                // SdkError may grow; what is not known may have happened.
                _ => ("Unknown".to_owned(), "the SDK failed in a new way".to_owned(), true),
            };
            AwsFailure { refusal: Box::new(AwsRefusal { service, operation, code, message }), may_have_taken_effect }
        })
    }
}
