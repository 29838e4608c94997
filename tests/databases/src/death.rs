//! Death at any instant: after every call of AWS, every login and every statement, which is before the next one as well:
//! between two of them nothing happens that anybody else could see.
//!
//! What dies there never goes on: its future is dropped by whoever waits for the death. What it did before has happened.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use rotate_database_user::engine::{Answer, ConnectError, Connector, Login, Row, Session, Statement};
use tokio::sync::Notify;

/// Counts the instants, and ends the function at one of them.
#[derive(Clone, Default)]
pub struct Mortality {
    state: Arc<Mutex<State>>,
    died: Arc<Notify>,
}

#[derive(Default)]
struct State {
    passed: Vec<String>,
    dies_at: Option<usize>,
}

impl Mortality {
    /// Lives on, and counts anew.
    pub fn live(&self) {
        *self.state.lock().expect("nobody panics in here") = State::default();
    }

    /// Dies at the instant of this number, from 0.
    pub fn die_at(&self, instant: usize) {
        *self.state.lock().expect("nobody panics in here") = State { passed: Vec::new(), dies_at: Some(instant) };
    }

    /// The instants that have passed.
    pub fn passed(&self) -> Vec<String> {
        self.state.lock().expect("nobody panics in here").passed.clone()
    }

    /// Returns when the function has died.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    async fn instant(&self, name: String) {
        let dies = {
            let mut state = self.state.lock().expect("nobody panics in here");
            let dies = state.dies_at == Some(state.passed.len());
            state.passed.push(name);
            dies
        };
        if dies {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// A client of AWS that is mortal.
    pub fn http_client(&self, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(MortalAws { inner, mortality: self.clone() })
    }

    /// A client of a database that is mortal.
    pub fn connector(&self, inner: Arc<dyn Connector>) -> Arc<dyn Connector> {
        Arc::new(MortalConnector { inner, mortality: self.clone() })
    }
}

#[derive(Clone)]
struct MortalAws {
    inner: SharedHttpClient,
    mortality: Mortality,
}

impl std::fmt::Debug for MortalAws {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MortalAws")
    }
}

impl HttpClient for MortalAws {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(MortalCall { inner, mortality: self.mortality.clone() })
    }
}

#[derive(Clone)]
struct MortalCall {
    inner: SharedHttpConnector,
    mortality: Mortality,
}

impl std::fmt::Debug for MortalCall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MortalCall")
    }
}

impl HttpConnector for MortalCall {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { inner, mortality } = self.clone();
        let action = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        HttpConnectorFuture::new(async move {
            let answer = inner.call(request).await;
            mortality.instant(action).await;
            answer
        })
    }
}

struct MortalConnector {
    inner: Arc<dyn Connector>,
    mortality: Mortality,
}

impl Connector for MortalConnector {
    fn connect<'a>(&'a self, login: &'a Login) -> Answer<'a, Box<dyn Session>, ConnectError> {
        Box::pin(async move {
            let session = self.inner.connect(login).await;
            self.mortality.instant(format!("a login of {}", login.username)).await;
            Ok(Box::new(MortalSession { inner: session?, mortality: self.mortality.clone() }) as Box<dyn Session>)
        })
    }
}

struct MortalSession {
    inner: Box<dyn Session>,
    mortality: Mortality,
}

impl Session for MortalSession {
    fn run<'a>(&'a mut self, statement: &'a Statement) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let answer = self.inner.run(statement).await;
            self.mortality.instant(format!("{statement:?}")).await;
            answer
        })
    }
}
