//! The Lambda function of the state `PlanRotation`.

use lambda::Environment;
use plan_rotation::PlanRotation;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = PlanRotation::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
