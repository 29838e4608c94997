//! The program's commands, one file each.

pub mod rotate;
pub mod serve;
