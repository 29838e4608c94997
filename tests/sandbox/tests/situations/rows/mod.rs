//! The table, chapter by chapter.

mod clusters;
mod credentials;
mod inspection;
mod instances;
mod login_hosts;
mod login_inspection;
mod login_refusals;
mod logins;
mod machine;
mod proof;
mod refusals;
mod replicas;
mod secrets;
mod target;
mod two_logins;

use crate::situation::Row;

/// Every situation, in the order in which a reader should meet them.
pub const TABLE: [&[Row]; 15] = [
    proof::ROWS,
    target::ROWS,
    instances::ROWS,
    clusters::ROWS,
    credentials::ROWS,
    secrets::ROWS,
    refusals::ROWS,
    machine::ROWS,
    inspection::ROWS,
    logins::ROWS,
    login_refusals::ROWS,
    two_logins::ROWS,
    replicas::ROWS,
    login_inspection::ROWS,
    login_hosts::ROWS,
];
