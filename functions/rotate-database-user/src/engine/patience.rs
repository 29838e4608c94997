//! No login and no statement is waited for longer than the function lives: a function that Lambda ends tells nobody
//! which server kept it waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Answer, ConnectError, Connector, Login, Row, Session, Statement};

/// A login, TLS and all.
const LOGIN: Duration = Duration::from_secs(8);
/// A statement; one that waits for a lock of somebody else's is tried again with the next rotation.
const STATEMENT: Duration = Duration::from_secs(20);

/// A client that gives up after a while.
pub(super) struct Patient(pub(super) Arc<dyn Connector>);

impl Connector for Patient {
    fn connect<'a>(&'a self, login: &'a Login) -> Answer<'a, Box<dyn Session>, ConnectError> {
        Box::pin(async move {
            match timeout(LOGIN, self.0.connect(login)).await {
                Ok(session) => Ok(Box::new(PatientSession(session?)) as Box<dyn Session>),
                Err(_) => Err(ConnectError::CannotConnect(format!("no answer within {LOGIN:?}"))),
            }
        })
    }
}

struct PatientSession(Box<dyn Session>);

impl Session for PatientSession {
    fn run<'a>(&'a mut self, statement: &'a Statement) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let late = || statement.failed(&format!("no answer within {STATEMENT:?}"));
            timeout(STATEMENT, self.0.run(statement)).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::StatementError;
    use super::*;
    use rotation::access_key::SecretValue;

    /// A server that lets in, perhaps, and never says anything.
    struct Silent {
        lets_in: bool,
    }

    impl Connector for Silent {
        fn connect<'a>(&'a self, _: &'a Login) -> Answer<'a, Box<dyn Session>, ConnectError> {
            if self.lets_in {
                return Box::pin(async { Ok(Box::new(Silent { lets_in: true }) as Box<dyn Session>) });
            }
            Box::pin(std::future::pending())
        }
    }

    impl Session for Silent {
        fn run<'a>(&'a mut self, _: &'a Statement) -> Answer<'a, Vec<Row>> {
            Box::pin(std::future::pending())
        }
    }

    fn login() -> Login {
        let password = SecretValue::new("p".to_owned());
        Login { host: "h".to_owned(), port: 1, database: None, username: "app".to_owned(), password }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_an_error_that_says_so() {
        let silent = Patient(Arc::new(Silent { lets_in: false }));
        let refused = silent.connect(&login()).await.err();
        assert_eq!(refused, Some(ConnectError::CannotConnect("no answer within 8s".to_owned())));
        let silent = Patient(Arc::new(Silent { lets_in: true }));
        let mut session = silent.connect(&login()).await.unwrap();
        let failed = session.run(&Statement::new("SELECT 1")).await.unwrap_err();
        let (statement, cause) = ("SELECT 1".to_owned(), "no answer within 20s".to_owned());
        assert_eq!(failed, StatementError::Failed { statement, cause });
    }
}
