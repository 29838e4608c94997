//! The one place that reads the process's environment, and builds from it what every SDK client needs.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one attempt of a call may take. Below the function's own time-out, so that a lost answer is still handled.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take with its retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// The variable in which the deployment tells the functions' roles: a JSON object of function names and ARNs.
const ROLES: &str = "FUNCTION_ROLES";

/// A function's surroundings: region, credentials, endpoints, and the HTTP client that all its SDK clients share.
#[derive(Clone, Debug)]
pub struct Environment {
    region: String,
    credentials: SharedCredentialsProvider,
    /// Endpoints by the variable that names them; most functions have none.
    endpoints: BTreeMap<String, String>,
    /// The functions' roles by the functions' names, where the deployment tells them.
    roles: BTreeMap<String, String>,
    http_client: SharedHttpClient,
}

/// A variable that Lambda always sets is missing: this is not Lambda.
#[derive(Debug)]
pub struct MissingVariables(Vec<&'static str>);

impl std::fmt::Display for MissingVariables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "these variables of the Lambda runtime are not set: {}", self.0.join(", "))
    }
}
impl std::error::Error for MissingVariables {}

impl Environment {
    /// Reads the process's environment; everything that is missing is said at once.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn read() -> Result<Environment, MissingVariables> {
        let http_client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        Environment::from_variables(std::env::vars().collect(), http_client)
    }

    /// Builds the environment from variables: the seam for tests, who bring their own HTTP client.
    pub fn from_variables(
        variables: BTreeMap<String, String>,
        http_client: SharedHttpClient,
    ) -> Result<Environment, MissingVariables> {
        const NEEDED: [&str; 3] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let missing: Vec<&'static str> = NEEDED.into_iter().filter(|name| !variables.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(MissingVariables(missing));
        }
        let credentials = Credentials::new(
            &variables["AWS_ACCESS_KEY_ID"],
            &variables["AWS_SECRET_ACCESS_KEY"],
            variables.get("AWS_SESSION_TOKEN").cloned(),
            None,
            "lambda",
        );
        Ok(Environment {
            region: variables["AWS_REGION"].clone(),
            roles: variables.get(ROLES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
            credentials: SharedCredentialsProvider::new(credentials),
            endpoints: variables.into_iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL")).collect(),
            http_client,
        })
    }

    /// The ARN of a function's role, where the deployment tells it: only `plan-rotation` asks.
    pub fn function_role(&self, function: &str) -> Option<&str> {
        self.roles.get(function).map(String::as_str)
    }

    /// The region of the function and of the secret.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The same surroundings in another region.
    pub fn in_region(&self, region: &str) -> Environment {
        Environment { region: region.to_owned(), ..self.clone() }
    }

    /// The same surroundings with other credentials: those of an assumed role, or of a key that is being checked.
    pub fn with_credentials(&self, credentials: Credentials) -> Environment {
        Environment { credentials: SharedCredentialsProvider::new(credentials), ..self.clone() }
    }

    /// What an SDK client of a service is built from. `service` is the suffix of AWS's own variable
    /// `AWS_ENDPOINT_URL_<SERVICE>`: `IAM`, `SECRETS_MANAGER`, ….
    pub fn sdk_config(&self, service: &str) -> SdkConfig {
        self.builder(service).retry_config(RetryConfig::standard().with_max_attempts(4)).build()
    }

    /// The same without retries, for the calls that have no client token: CreateAccessKey and SendCommand (FACTS A, C).
    pub fn sdk_config_without_retries(&self, service: &str) -> SdkConfig {
        self.builder(service).retry_config(RetryConfig::disabled()).build()
    }

    fn builder(&self, service: &str) -> aws_types::sdk_config::Builder {
        let endpoint = [format!("AWS_ENDPOINT_URL_{service}"), "AWS_ENDPOINT_URL".to_owned()];
        let mut builder = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http_client.clone())
            .sleep_impl(TokioSleep::new())
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(CALL_TIMEOUT)
                    .build(),
            );
        builder.set_endpoint_url(endpoint.iter().find_map(|name| self.endpoints.get(name)).cloned());
        builder
    }
}
