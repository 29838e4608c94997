//! The Lambda function of the state `SendCommand`.

use lambda::Environment;
use send_command::SendCommand;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = SendCommand::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
