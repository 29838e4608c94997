//! The Lambda function of the state `RetireCredential`, for IAM access keys.

use lambda::Environment;
use retire_iam_key::RetireIamKey;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = RetireIamKey::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
