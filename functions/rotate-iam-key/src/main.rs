//! The Lambda function of the state `StageCredential`, for IAM access keys.

use lambda::Environment;
use rotate_iam_key::RotateIamKey;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = RotateIamKey::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
