//! The program's commands, one file each, and what they share: the files of a world and the report.

pub mod files;
pub mod report;
pub mod rotate;
pub mod serve;
