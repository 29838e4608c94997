//! The Lambda function of the state `RetireCredential`, for SQL Server logins.

use lambda::Environment;
use retire_login_password::RetireLoginPassword;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = RetireLoginPassword::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
