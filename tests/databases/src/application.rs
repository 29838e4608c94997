//! An application as most are: it reads AWSCURRENT now and then, keeps what it read for a while, and logs in all the
//! time. Under alternating users it is never refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rotate_database_user::engine::Statement;
use tokio::task::JoinHandle;

use crate::case::Case;

/// How many logins an application makes with a value before it reads the secret again.
const LOGINS_WITH_A_VALUE: usize = 5;

/// What an application has met.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Logins with a query each.
    pub successes: usize,
    /// What went wrong, each time.
    pub failures: Vec<String>,
}

/// An application that runs.
pub struct Application {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Tally>,
}

impl Application {
    /// Starts it; `query` is what it asks each time.
    pub fn start(case: &Arc<Case>, query: &'static str) -> Application {
        let stop = Arc::new(AtomicBool::new(false));
        let (case, stopped) = (case.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut tally = Tally::default();
            while !stopped.load(Ordering::SeqCst) {
                let login = case.login(&case.current());
                for _ in 0..LOGINS_WITH_A_VALUE {
                    match case.server.enter(&login).await {
                        Err(error) => tally.failures.push(format!("{}: {error:?}", login.username)),
                        Ok(mut session) => match session.run(&Statement::new(query)).await {
                            Ok(_) => tally.successes += 1,
                            Err(error) => tally.failures.push(format!("{}: {error:?}", login.username)),
                        },
                    }
                }
            }
            tally
        });
        Application { stop, task }
    }

    /// Ends it.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("the application does not panic")
    }
}
