//! The program's commands, one file each.

pub mod report;
pub mod rotate;
pub mod serve;
