//! What the tests of `rotate-database-user` stand on: real database servers of this machine, Secrets Manager of the
//! local AWS, an application that logs in all the time, and death at any instant.
//!
//! Read in this order: [`server`] (the servers), [`authority`] (who signs their certificates), [`case`] (one secret, its
//! user and its rotations), [`application`], [`death`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests call this, and a test ends by failing"
)]

pub mod application;
pub mod authority;
pub mod case;
pub mod death;
pub mod mysql_stand_in;
pub mod server;
