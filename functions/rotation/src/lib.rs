//! The domain of a rotation: what is so, what to do next, and how to say it.
//!
//! Pure on purpose. Architecture invariant: nothing here calls AWS, reads a clock, an environment variable or a
//! source of randomness; facts come in, plans and judgements go out. So every decision of the product is a function
//! that a test can call.
//!
//! Read in this order:
//! 1. [`settings`] and [`request`]: what people say.
//! 2. [`secret`], [`keys`], [`ledger`], [`fleet`]: what is so.
//! 3. [`plan`]: what to do with the credential; [`waves`]: whom to command next; [`host_answer`] and [`verdict`]:
//!    what a host's answer means; [`summary`]: how a place stands; [`promotion`]: whether the proofs suffice.
//! 4. [`contracts`]: what the states of the machine say to each other; [`report`]: what people are told afterwards,
//!    [`metrics`]: what machines are, [`preview`]: what people are told beforehand; [`permissions`]: what each function asks of AWS.
//! 5. [`password`] and [`database_secret`]: what a database user's password may hold, and how its secret is written.
//! 6. [`error`]: everything that can go wrong, by the names that the state machine catches.

pub mod access_key;
pub mod cluster;
pub mod contracts;
pub mod database_secret;
pub mod deed;
pub mod error;
pub mod fleet;
pub mod host_answer;
pub mod keys;
pub mod ledger;
pub mod login;
pub mod metrics;
pub mod names;
pub mod password;
pub mod permissions;
pub mod plan;
pub mod preview;
pub mod promotion;
pub mod report;
pub mod request;
pub mod scope;
pub mod secret;
pub mod settings;
pub mod summary;
pub mod verdict;
pub mod waves;

pub use error::StepError;
pub use names::{AccessKeyId, InstanceId, VersionId};
pub use settings::Settings;
