//! The Lambda function of the state `EnumerateInstances`.

use enumerate_instances::EnumerateInstances;
use lambda::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let step = EnumerateInstances::new(Environment::read()?);
    lambda::serve(|input| step.run(input)).await
}
