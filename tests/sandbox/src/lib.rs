//! A local AWS: the services that a rotation calls, hosts that really run the document's script,
//! an interpreter for the state machine, and an auditor that watches every event.
//!
//! Read in this order: [`clock`] (virtual time), [`cloud`] (the services), [`host`] (SQL Server hosts and the
//! SSM agent), [`runtime_api`] (Lambda), [`machine`] (Step Functions), [`integrations`] (what it calls
//! without a function), [`auditor`] (the guarantees at every instant), [`application`] (who logs in all the time),
//! [`world`] (all of it together), [`serve`] (for strangers' tools), [`report`] (what happened, on one page).

pub mod application;
pub mod auditor;
pub mod clock;
pub mod cloud;
pub mod fleet_file;
pub mod functions_folder;
pub mod host;
pub mod integrations;
pub mod machine;
pub mod report;
pub mod runtime_api;
pub mod serve;
pub mod settings_file;
pub mod show;
pub mod world;
