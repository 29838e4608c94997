//! The Lambda function of the state `PollCommand`.

use lambda::Environment;
use poll_command::PollCommand;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = PollCommand::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
