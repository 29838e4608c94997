//! The Lambda function of the state `PromoteStage`.

use lambda::Environment;
use promote_stage::PromoteStage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = PromoteStage::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
