//! The simulation: whole histories of a rotation, thousands of them, each reproducible from a number.
//!
//! Everything is in one process, and each history in one thread: the functions' steps on the SDK's real clients, the
//! local AWS, the interpreter of the state machine, a model of the hosts, and the auditor, who checks the guarantees at
//! every event. Time, chance and the order of things are drawn from the history's number.
//!
//! Read in this order: [`wire`] (where things go wrong), [`functions`] (who is on the wire), [`beginning`], [`history`],
//! [`trace`] (how it is written down), [`judgement`] (what it is judged by); then, for histories by chance, [`acts`],
//! [`hand`], [`chance`], [`telling`], [`remedy`], [`coverage`], [`verdict`].

pub mod acts;
pub mod beginning;
pub mod chance;
pub mod coverage;
pub mod functions;
pub mod hand;
pub mod history;
pub mod judgement;
pub mod remedy;
pub mod telling;
pub mod trace;
pub mod verdict;
pub mod wire;
