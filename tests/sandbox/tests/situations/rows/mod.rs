//! The table, chapter by chapter.

mod clusters;
mod credentials;
mod inspection;
mod instances;
mod machine;
mod proof;
mod refusals;
mod secrets;
mod target;

use crate::situation::Row;

/// Every situation, in the order in which a reader should meet them.
pub const TABLE: [&[Row]; 9] = [
    proof::ROWS,
    target::ROWS,
    instances::ROWS,
    clusters::ROWS,
    credentials::ROWS,
    secrets::ROWS,
    refusals::ROWS,
    machine::ROWS,
    inspection::ROWS,
];
