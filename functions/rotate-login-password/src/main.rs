//! The Lambda function of the state `StageCredential`, for SQL Server logins.

use lambda::Environment;
use rotate_login_password::RotateLoginPassword;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = RotateLoginPassword::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
