//! An application against two hosts, a secret, and whoever changes passwords: without a rotation, so that each moment is
//! known.

use serde_json::{Value, json};

use super::*;
use crate::cloud::InstanceSetUp;
use crate::host::HostSetUp;

const START: &str = "2026-11-24T06:00:03Z";
const ADMINISTRATOR: &str = "credential-rotation";

/// Two hosts with one instance each, the login `app` in both, and its password in the secret.
struct Scene {
    cloud: Arc<Cloud>,
    fleet: Arc<Fleet>,
    application: Arc<Application>,
}

impl Scene {
    fn set(logins: &[&str]) -> Scene {
        Scene::with(logins, |_| {})
    }

    fn with(logins: &[&str], change: impl Fn(&mut SqlServer)) -> Scene {
        let cloud = Cloud::new(Clock::starting_at(START.parse().unwrap()), "111122223333", "eu-west-1");
        let fleet = Fleet::attach(&cloud, &std::env::temp_dir());
        for id in ["i-1", "i-2"] {
            let mut server = logins
                .iter()
                .fold(SqlServer::new(16, ADMINISTRATOR, "a"), |server, login| server.with_login(login, "old"));
            change(&mut server);
            let sql_servers = vec![("localhost".to_owned(), server)];
            let runs = crate::host::Runs::Model;
            fleet.add(HostSetUp { instance_id: id.to_owned(), runs, sql_servers, ..HostSetUp::default() }).unwrap();
            cloud.add_instance(InstanceSetUp::running(id, "111122223333", "eu-west-1", &[]));
        }
        let secret_arn = cloud.add_secret("app", Some(&value(logins[0], "old")));
        let logins = logins.iter().map(|login| (*login).to_owned()).collect();
        let subscription = Subscription { secret_arn, refresh: Duration::from_secs(10), logins };
        let application = Application::start(&cloud, &fleet, subscription);
        Scene { cloud, fleet, application }
    }

    /// As a rotation's script does it.
    fn set_password(&self, id: &str, login: &str, password: &str) {
        let host = self.fleet.host(id).unwrap();
        let at = ("localhost".to_owned(), 1433);
        host.change(&at, |server| server.logins.get_mut(login).unwrap().password = password.to_owned()).unwrap();
    }

    /// As a promotion does it.
    fn promote(&self, login: &str, password: &str) {
        let input = json!({ "SecretId": "app", "SecretString": value(login, password) });
        self.call("PutSecretValue", input);
    }

    fn call(&self, action: &str, input: Value) -> Value {
        self.cloud.call(&Caller::Person, "eu-west-1", Service::SecretsManager, action, input).unwrap()
    }

    async fn pass(&self, seconds: u64) {
        self.cloud.clock().sleep(Duration::from_secs(seconds)).await;
    }

    fn sessions(&self, id: &str) -> Vec<String> {
        let look = |server: &mut SqlServer| server.sessions.iter().map(|open| open.login.clone()).collect();
        self.fleet.host(id).unwrap().with_sql_server("localhost", look).unwrap()
    }

    fn reads(&self) -> usize {
        self.cloud.journal().iter().filter(|event| event.action == "GetSecretValue").count()
    }
}

fn value(login: &str, password: &str) -> String {
    json!({ "engine": "sqlserver", "username": login, "password": password }).to_string()
}

#[tokio::test]
async fn days_in_which_nothing_changes_cost_one_reading_and_no_failure() {
    let scene = Scene::set(&["app"]);
    scene.pass(30 * 24 * 3600).await;
    assert_eq!((scene.application.failed_log_ins(), scene.reads()), (0, 1));
    assert_eq!(scene.sessions("i-1"), ["app"], "it is logged in all the time");
}

#[tokio::test]
async fn the_gap_of_one_login_begins_with_the_change_and_ends_with_the_refresh_after_the_promotion() {
    let scene = Scene::set(&["app"]);
    scene.pass(60).await;
    let changed = scene.cloud.clock().now();
    scene.set_password("i-1", "app", "new");
    scene.pass(4).await;
    scene.promote("app", "new");
    let promoted = scene.cloud.clock().now();
    scene.pass(60).await;
    let first = scene.application.gaps().into_iter().find(|gap| gap.host == "i-1").unwrap();
    assert_eq!((first.began, first.message, first.login.as_str()), (changed, 18456, "app"));
    // Refreshes come at the beat of the start, ten seconds each: the one after the promotion is the end.
    let beat: Timestamp = START.parse().unwrap();
    let ended = first.ended.unwrap();
    assert!(ended > promoted && ended.duration_since(promoted).as_secs() < 10, "{first}");
    assert_eq!(ended.duration_since(beat).as_secs() % 10, 0, "{first}");
    assert!(first.failed_log_ins >= 10, "it tried every second: {first}");
    // The second host still has the old password when the application has the new one.
    let second = scene.application.gaps().into_iter().find(|gap| gap.host == "i-2").unwrap();
    assert_eq!((second.began, second.ended), (ended, None));
    scene.set_password("i-2", "app", "new");
    let second = scene.application.gaps().into_iter().find(|gap| gap.host == "i-2").unwrap();
    assert_eq!(second.ended, Some(scene.cloud.clock().now()), "a login that changes is met at that very moment");
}

#[tokio::test]
async fn two_logins_that_take_turns_leave_no_gap() {
    let scene = Scene::set(&["app_a", "app_b"]);
    for id in ["i-1", "i-2"] {
        scene.set_password(id, "app_b", "new");
        scene.pass(7).await;
    }
    scene.promote("app_b", "new");
    assert_eq!(scene.sessions("i-2"), ["app_a"], "the refresh is still to come");
    scene.pass(11).await;
    assert_eq!(scene.application.failed_log_ins(), 0);
    assert_eq!((scene.sessions("i-1"), scene.sessions("i-2")), (vec!["app_b".to_owned()], vec!["app_b".to_owned()]));
    assert_eq!(scene.application.holds().unwrap().1, "app_b");
}

#[tokio::test]
async fn its_failures_lock_the_login_where_the_policy_says_so() {
    let scene = Scene::with(&["app"], |server| server.policy.lockout_threshold = 5);
    scene.set_password("i-1", "app", "new");
    scene.pass(8).await;
    scene.promote("app", "new");
    scene.pass(15).await;
    let gap = scene.application.gaps().into_iter().find(|gap| gap.host == "i-1").unwrap();
    assert_eq!((gap.message, gap.ended), (18486, None), "the right password comes too late: {gap}");
}

#[tokio::test]
async fn a_host_that_stops_is_no_failure_and_one_that_starts_with_an_old_password_is() {
    let scene = Scene::set(&["app"]);
    scene.cloud.stop_instance("i-2");
    scene.pass(5).await;
    scene.set_password("i-1", "app", "new");
    scene.promote("app", "new");
    scene.pass(30).await;
    let hosts = |scene: &Scene| scene.application.gaps().iter().map(|gap| gap.host.clone()).collect::<Vec<_>>();
    assert_eq!(hosts(&scene), ["i-1"]);
    let started = scene.cloud.clock().now();
    scene.cloud.start_instance("i-2");
    scene.pass(3).await;
    assert_eq!(hosts(&scene), ["i-1", "i-2"]);
    assert!(scene.application.gaps()[1].began >= started);
    assert!(scene.sessions("i-2").is_empty());
}

#[tokio::test]
async fn an_instance_without_the_login_is_none_of_its_own() {
    let scene = Scene::with(&["app"], |server| {
        server.logins.remove("app");
    });
    scene.pass(100).await;
    assert_eq!(scene.application.failed_log_ins(), 0);
}

#[tokio::test]
async fn what_it_says_of_a_gap_names_host_version_and_message_and_no_password() {
    let scene = Scene::set(&["app"]);
    scene.set_password("i-1", "app", "a-new-password");
    let text = scene.application.gaps()[0].to_string();
    let version = scene.application.holds().unwrap().0;
    assert!(text.contains("i-1 at localhost,1433") && text.contains(&version) && text.contains("18456"), "{text}");
    assert!(!text.contains("password") && !text.contains("old"), "{text}");
}
