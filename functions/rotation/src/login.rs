//! SQL Server logins: how their versions are labelled, how their value is written, and what to do with them next.
//!
//! Nothing but the password is made, so that no crash can leave an orphan: a version that was stored and never labelled
//! AWSPENDING is known to nobody, and the next run stores another one.

pub mod labels;
pub mod plan;
#[cfg(test)]
mod tests;
pub mod value;
