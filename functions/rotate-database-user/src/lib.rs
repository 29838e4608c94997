//! Rotates the password of a database user whose secret has AWS's JSON shape, by Secrets Manager's own contract: four
//! steps, each of which may come twice, late, or never (FACTS D).
//!
//! Read in this order: [`event`] (what calls), [`settings`] (how it shall be done), [`steps`] (the four), [`versions`]
//! (the secret's side), [`guard`] (what must not be rotated like that), [`engine`] (the database's side), [`tls`].
//!
//! What holds at every instant: the password that a database user has, or is about to get, is the value of a version
//! that has a label. It is stored before the database learns of it, and AWSCURRENT moves onto it only after a login.

pub mod engine;
pub mod error;
pub mod event;
pub mod guard;
mod set;
pub mod settings;
pub mod steps;
pub mod tls;
mod versions;

use std::sync::Arc;

use lambda::Environment;
use rotation::database_secret::DatabaseEngine;
use serde_json::Value;

pub use error::RotationError;
pub use event::{RotationEvent, Step};
pub use settings::{Settings, Strategy};

use engine::{Connector, Engine};

/// Makes the client of an engine.
pub type Clients = Arc<dyn Fn(DatabaseEngine) -> Arc<dyn Connector> + Send + Sync>;

/// What a step did, for its log: a line each, and none of it secret.
pub type Done = Vec<String>;

/// The function with its clients.
pub struct RotateDatabaseUser {
    secretsmanager: aws_sdk_secretsmanager::Client,
    settings: Settings,
    clients: Clients,
}

impl RotateDatabaseUser {
    /// Builds the clients, once for the life of the process.
    pub fn new(environment: &Environment, settings: Settings) -> RotateDatabaseUser {
        let trust = settings.trust.clone();
        let clients: Clients = Arc::new(move |engine| engine::connector(engine, &trust));
        RotateDatabaseUser {
            secretsmanager: aws_sdk_secretsmanager::Client::new(&environment.sdk_config("SECRETS_MANAGER")),
            settings,
            clients,
        }
    }

    /// The same function with other clients for the databases: the seam for tests.
    #[must_use]
    pub fn with_clients(self, change: impl FnOnce(Clients) -> Clients) -> RotateDatabaseUser {
        RotateDatabaseUser { clients: change(self.clients), ..self }
    }

    fn engine(&self, engine: DatabaseEngine) -> Box<dyn Engine> {
        engine::engine(engine, (self.clients)(engine))
    }

    /// One step of a rotation.
    pub async fn run(&self, payload: &Value) -> Result<Done, RotationError> {
        let event = RotationEvent::parse(payload)?;
        // Boxed: the compiler's limit is on the depth of futures within futures.
        match event.step {
            Step::CreateSecret => Box::pin(self.create_secret(&event)).await,
            Step::SetSecret => Box::pin(self.set_secret(&event)).await,
            Step::TestSecret => Box::pin(self.test_secret(&event)).await,
            Step::FinishSecret => Box::pin(self.finish_secret(&event)).await,
        }
    }
}
