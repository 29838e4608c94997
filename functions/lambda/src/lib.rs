//! What every function shares with Lambda and AWS: [`serve`] parses, runs, reports; [`environment`] reads the
//! configuration and builds the SDK's clients, once; [`aws_failure`] gives AWS's refusals our names; [`evidence`] keeps
//! what an auditor reads.
//!
//! Architecture invariant: no step's logic, and no wrapper round an SDK client. The seam for tests is the SDK's own
//! HTTP client.

pub mod aws_failure;
pub mod environment;
pub mod evidence;
mod serve;

pub use aws_failure::{AwsFailure, AwsResult};
pub use environment::Environment;
pub use serve::{answer, serve};
