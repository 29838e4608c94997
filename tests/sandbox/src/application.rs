//! An application of those that a rotation of logins must not harm: it reads AWSCURRENT every few seconds, as External
//! Secrets would, and logs in to every instance all the time.
//!
//! It really logs in, by the one door that scripts and clients on the wire use, so that its failures count there and can
//! lock the login. Whether it is let in changes only with a login on a host, with the state of a host, and with what the
//! application has read; so it tries at each of these moments, and once a simulated second for as long as one instance
//! refuses it. The beginning and the end of a gap are exact so, and days in which nothing happens cost nothing.

mod gaps;
mod secret;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

pub use gaps::Gap;
use gaps::Gaps;
use secret::Held;

use crate::clock::Clock;
use crate::cloud::{Caller, Cloud, Effect, Event, InstanceState, Service};
use crate::host::fleet::Fleet;
use crate::host::sql_server::{OpenSession, SqlMessage};
use crate::host::{Host, HostEvent, HostHappening, SqlServer};

/// Between two log-ins while an instance refuses them.
const RETRY: Duration = Duration::from_secs(1);
/// What its sessions say of it.
const PROGRAM: &str = "application";
const COMPUTER: &str = "app-01";
/// Msg 4060: the database is another replica's; a listener would lead the application there.
const DATABASE_ELSEWHERE: u32 = 4060;

/// What an application reads.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The secret.
    pub secret_arn: String,
    /// Every how many seconds it is read.
    pub refresh: Duration,
    /// The logins of the rotation. The first is meant by a secret that is only a password; an instance that has none of
    /// them is none of the application's.
    pub logins: Vec<String>,
}

/// The application.
pub struct Application {
    me: Weak<Application>,
    cloud: Arc<Cloud>,
    fleet: Arc<Fleet>,
    subscription: Subscription,
    began: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    gaps: Gaps,
    /// Whether a task looks after the next moment.
    is_awake: bool,
}

/// An instance: the host's id and the endpoint.
type Place = (String, String);

impl Application {
    /// An application that lives as long as it is kept. It reads the secret and logs in everywhere at once.
    pub fn start(cloud: &Arc<Cloud>, fleet: &Arc<Fleet>, subscription: Subscription) -> Arc<Application> {
        let application = Arc::new_cyclic(|me| Application {
            me: me.clone(),
            cloud: Arc::clone(cloud),
            fleet: Arc::clone(fleet),
            subscription,
            began: cloud.clock().now(),
            state: Mutex::default(),
        });
        application.refresh();
        application.log_in_everywhere();
        // The cloud and the hosts keep their observers for ever, so these must not keep the application.
        let me = Arc::downgrade(&application);
        let observer = me.clone();
        cloud.subscribe(Arc::new(move |event| {
            if let Some(application) = observer.upgrade() {
                application.hear_of_cloud(event);
            }
        }));
        fleet.subscribe(Arc::new(move |event| {
            if let Some(application) = me.upgrade() {
                application.hear_of_host(event);
            }
        }));
        application
    }

    /// When it was refused, where, and for how long; the earliest first.
    pub fn gaps(&self) -> Vec<Gap> {
        self.lock().gaps.all()
    }

    /// How often it was refused.
    pub fn failed_log_ins(&self) -> u64 {
        self.gaps().iter().map(|gap| gap.failed_log_ins).sum()
    }

    /// The version that it holds, and the login that this names.
    pub fn holds(&self) -> Option<(String, String)> {
        self.lock().held.as_ref().map(|held| (held.version.clone(), held.login.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A label that moves is seen at the next refresh; a host that comes or goes, at once.
    fn hear_of_cloud(&self, event: &Event) {
        for effect in &event.effects {
            if let Effect::LabelMoved { secret_arn, label, .. } = effect
                && (secret_arn, label.as_str()) == (&self.subscription.secret_arn, "AWSCURRENT")
            {
                self.wake();
            }
            if let Effect::InstanceChanged { instance_id, .. } | Effect::InstanceRestored { instance_id } = effect
                && let Some(host) = self.fleet.host(instance_id)
            {
                host.sql_servers().iter().for_each(|(endpoint, _)| self.log_in(&host, endpoint));
                self.wake();
            }
        }
    }

    /// A login that changes is met at that very moment.
    fn hear_of_host(&self, event: &HostEvent) {
        let HostHappening::LoginChanged { endpoint, login } = &event.happening else { return };
        let is_ours = self.subscription.logins.iter().any(|ours| ours == login);
        if let Some(host) = self.fleet.host(&event.instance_id).filter(|_| is_ours) {
            self.log_in(&host, endpoint);
            self.wake();
        }
    }

    /// Lets a task look after the next moments, until all is quiet again.
    fn wake(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_awake, true) {
            let clock = self.cloud.clock().clone();
            self.cloud.clock().spawn(look_after(self.me.clone(), clock));
        }
    }

    /// When to try again, and whether the secret is read first; none where nothing can change by itself, and whoever asks
    /// is not to ask again.
    fn next_moment(&self) -> Option<(Timestamp, bool)> {
        let now = self.cloud.clock().now();
        let current = self.cloud.secret(&self.subscription.secret_arn);
        let current = current.and_then(|secret| secret.labels.get("AWSCURRENT").cloned());
        let mut state = self.lock();
        let is_refused = state.gaps.are_open();
        let is_stale = state.held.as_ref().map(|held| &held.version) != current.as_ref();
        state.is_awake = is_refused || is_stale;
        if !state.is_awake {
            return None;
        }
        let (retry, refresh) = (now.saturating_add(RETRY).unwrap_or(now), self.refresh_after(now));
        Some(if is_refused && retry < refresh { (retry, false) } else { (refresh, true) })
    }

    /// The first refresh later than a moment. They come at a fixed beat, whenever the label moves.
    fn refresh_after(&self, now: Timestamp) -> Timestamp {
        let beat = i128::try_from(self.subscription.refresh.as_nanos()).unwrap_or(i128::MAX).max(1);
        let past = now.duration_since(self.began).as_nanos().div_euclid(beat);
        let next = SignedDuration::from_nanos_i128((past + 1).saturating_mul(beat));
        self.began.saturating_add(next).unwrap_or(Timestamp::MAX)
    }

    /// GetSecretValue, with a role of its own. A read that fails leaves what was read before.
    fn refresh(&self) {
        let (account, region) = self.cloud.home();
        let caller = Caller::Function {
            name: PROGRAM.to_owned(),
            role_arn: format!("arn:aws:iam::{account}:role/{PROGRAM}"),
            session_name: "external-secrets".to_owned(),
        };
        let input = json!({ "SecretId": self.subscription.secret_arn });
        // Without the lock: observers hear of the call, and this application is one of them.
        let answer = self.cloud.call(&caller, &region, Service::SecretsManager, "GetSecretValue", input);
        let first = self.subscription.logins.first().map(String::as_str);
        if let Some(held) = answer.ok().and_then(|answer| Held::read(&answer, first)) {
            self.lock().held = Some(held);
        }
    }

    fn log_in_everywhere(&self) {
        for host in self.fleet.hosts() {
            for (endpoint, _) in host.sql_servers() {
                self.log_in(&host, &endpoint);
            }
        }
    }

    /// Logs in to an instance, and remembers what came of it.
    fn log_in(&self, host: &Host, endpoint: &str) {
        let Some(held) = self.lock().held.clone() else { return };
        let id = host.instance_id();
        let is_up = self.cloud.instance(id).is_some_and(|instance| instance.state == InstanceState::Running);
        let outcome = host.with_sql_server(endpoint, |server| self.knock(server, &held, is_up)).flatten();
        let place: Place = (id.to_owned(), endpoint.to_owned());
        self.lock().gaps.record(place, &held, self.cloud.clock().now(), outcome);
    }

    /// A new session in place of the last one. None where there is no door: nothing runs, or nothing is known of us.
    fn knock(&self, server: &mut SqlServer, held: &Held, is_up: bool) -> Option<Result<(), SqlMessage>> {
        server.sessions.retain(|session| session.program != PROGRAM);
        if !is_up || !server.running || !self.is_known(server, held) {
            return None;
        }
        match server.log_in(&held.login, &held.password, held.database.as_deref()) {
            Ok(_) => {
                server.sessions.push(OpenSession {
                    login: held.login.clone(),
                    authenticated_by: None,
                    host: COMPUTER.to_owned(),
                    program: PROGRAM.to_owned(),
                });
                Some(Ok(()))
            }
            Err(message) if message.number == DATABASE_ELSEWHERE => None,
            Err(message) => Some(Err(message)),
        }
    }

    fn is_known(&self, server: &SqlServer, held: &Held) -> bool {
        let has_login = self.subscription.logins.iter().any(|login| server.login_name(login).is_some());
        let database = held.database.as_deref().and_then(|name| server.database_name(name));
        let has_user = |name: &String| {
            let users = server.databases.get(name).map(|database| &database.users);
            users.and_then(|users| users.get(&held.login)).is_some_and(|user| user.password.is_some())
        };
        has_login || database.as_ref().is_some_and(has_user)
    }
}

/// Tries at every moment that can bring a change, for as long as there is one.
async fn look_after(application: Weak<Application>, clock: Clock) {
    while let Some((next, reads)) = application.upgrade().and_then(|application| application.next_moment()) {
        let wait = next.duration_since(clock.now());
        clock.sleep(wait.try_into().unwrap_or_default()).await;
        let Some(application) = application.upgrade() else { return };
        if reads {
            application.refresh();
        }
        application.log_in_everywhere();
    }
}
