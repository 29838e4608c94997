//! A host's real instance on the wire: its logins, its policy, its statements.

use std::sync::{Mutex, PoisonError};

use super::client::{Caller, Connection};
use super::{Authority, Server, run};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::host::fleet::Fleet;
use crate::host::sql_server::{Database, DatabaseUser, Permission};
use crate::host::{Host, HostHappening, HostSetUp, Runs, SqlServer};
use std::sync::Arc;

const ADMINISTRATOR: &str = "credential-rotation";
const HARD: &str = "A-good-pass-w0rd";

/// A host with one instance that is served, and its administrator's password.
struct Scene {
    host: Arc<Host>,
    authority: Authority,
    server: Server,
    _fleet: Arc<Fleet>,
}

impl Scene {
    async fn set(change: impl FnOnce(&mut SqlServer)) -> Scene {
        let clock = Clock::starting_at("2026-11-24T06:00:00Z".parse().unwrap());
        let fleet = Fleet::attach(&Cloud::new(clock, "111122223333", "eu-west-1"), &std::env::temp_dir());
        let mut instance = SqlServer::new(16, ADMINISTRATOR, "admin").with_login("app", "old");
        change(&mut instance);
        let sql_servers = vec![("localhost".to_owned(), instance)];
        let set_up = HostSetUp { instance_id: "i-1".to_owned(), runs: Runs::Model, sql_servers, ..Default::default() };
        let host = fleet.add(set_up).unwrap();
        let authority = Authority::new().unwrap();
        let server = host.serve_tds("localhost", authority.certify(&["localhost"]).unwrap()).await.unwrap();
        Scene { host, authority, server, _fleet: fleet }
    }

    async fn log_in(&self, login: &str, password: &str) -> tiberius::Result<Connection> {
        Caller { at: self.server.address(), authority: &self.authority }.log_in(login, password).await
    }

    /// The number of the message with which a log-in is refused.
    async fn refusal(&self, login: &str, password: &str) -> Option<u32> {
        self.log_in(login, password).await.err().and_then(|error| error.code())
    }

    async fn administrator(&self) -> Connection {
        self.log_in(ADMINISTRATOR, "admin").await.unwrap()
    }

    fn look<T>(&self, look: impl FnOnce(&mut SqlServer) -> T) -> T {
        self.host.with_sql_server("localhost", look).unwrap()
    }
}

/// The first column of an answer.
async fn texts(connection: &mut Connection, batch: &str) -> Vec<String> {
    let rows = run(connection, batch).await.unwrap_or_else(|error| panic!("{batch}: {error}"));
    rows.into_iter().flatten().map(|row| row.get::<&str, _>(0).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn too_many_wrong_passwords_lock_the_login_for_the_right_one_too() {
    let scene = Scene::set(|instance| instance.policy.lockout_threshold = 3).await;
    for _ in 0..3 {
        assert_eq!(scene.refusal("app", "wrong").await, Some(18456));
    }
    assert_eq!(scene.refusal("app", "old").await, Some(18486));
    let unlocked = format!("ALTER LOGIN [app] WITH PASSWORD = N'{HARD}' UNLOCK;");
    run(&mut scene.administrator().await, &unlocked).await.unwrap();
    assert_eq!(scene.refusal("app", HARD).await, None);
}

#[tokio::test]
async fn a_disabled_login_and_an_instance_without_passwords_let_nobody_in() {
    let scene = Scene::set(|instance| instance.logins.get_mut("app").unwrap().disabled = true).await;
    assert_eq!(scene.refusal("app", "old").await, Some(18470));
    scene.look(|instance| {
        instance.logins.get_mut("app").unwrap().disabled = false;
        instance.integrated_security_only = true;
    });
    assert_eq!(scene.refusal("app", "old").await, Some(18456));
}

#[tokio::test]
async fn alter_login_changes_the_password_of_the_next_log_in_and_is_told() {
    let scene = Scene::set(|_| {}).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    scene.host.subscribe(Arc::new(move |event| {
        if let HostHappening::LoginChanged { endpoint, login } = &event.happening {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{endpoint}: {login}"));
        }
    }));
    let mut open = scene.log_in("app", "old").await.unwrap();
    let mut administrator = scene.administrator().await;
    run(&mut administrator, &format!("ALTER LOGIN [app] WITH PASSWORD = N'{HARD}';")).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["localhost,1433: app"]);
    assert_eq!((scene.refusal("app", "old").await, scene.refusal("app", HARD).await), (Some(18456), None));
    assert_eq!(texts(&mut open, "SELECT SUSER_SNAME();").await, ["app"], "who is in stays in");
}

#[tokio::test]
async fn a_password_that_the_policy_refuses_changes_nothing() {
    let scene = Scene::set(|_| {}).await;
    let mut administrator = scene.administrator().await;
    for (password, number) in [("Sh0rt!", 15116), ("nothing-but-small", 15118)] {
        let refused = run(&mut administrator, &format!("ALTER LOGIN [app] WITH PASSWORD = N'{password}';")).await;
        assert_eq!(refused.unwrap_err().code(), Some(number), "{password}");
    }
    assert_eq!(scene.refusal("app", "old").await, None);
}

#[tokio::test]
async fn a_login_changes_its_own_password_by_its_old_one_and_nobody_elses() {
    let scene = Scene::set(|instance| *instance = instance.clone().with_login("other", "old")).await;
    let mut app = scene.log_in("app", "old").await.unwrap();
    let alter =
        |name: &str, old: &str| format!("ALTER LOGIN [{name}] WITH PASSWORD = N'{HARD}' OLD_PASSWORD = N'{old}'");
    for (name, old) in [("app", "wrong"), ("other", "old")] {
        assert_eq!(run(&mut app, &alter(name, old)).await.unwrap_err().code(), Some(15151), "{name}");
    }
    let without = format!("ALTER LOGIN [app] WITH PASSWORD = N'{HARD}';");
    assert_eq!(run(&mut app, &without).await.unwrap_err().code(), Some(15151));
    run(&mut app, &alter("app", "old")).await.unwrap();
    assert_eq!(scene.refusal("app", HARD).await, None);
    assert!(
        !scene.look(|instance| instance.logins["app"].may("ALTER ANY LOGIN")),
        "it keeps no right of an administrator"
    );
}

#[tokio::test]
async fn who_is_logged_in_stands_in_the_sessions_until_the_connection_ends() {
    let scene = Scene::set(|_| {}).await;
    let connection = scene.log_in("app", "old").await.unwrap();
    let sessions = |scene: &Scene| scene.look(|instance| instance.sessions.clone());
    let open = sessions(&scene);
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].login.as_str(), open[0].host.as_str(), open[0].program.as_str()), ("app", "app-01", "orders"));
    connection.close().await.unwrap();
    while !sessions(&scene).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_statement_that_nobody_knows_is_refused_with_message_102() {
    let scene = Scene::set(|_| {}).await;
    let mut administrator = scene.administrator().await;
    for unknown in ["SELECT name FROM sys.tables", "EXEC xp_cmdshell 'dir'", "USE [nowhere]"] {
        let code = run(&mut administrator, unknown).await.unwrap_err().code();
        assert!(matches!(code, Some(102 | 911)), "{unknown}: {code:?}");
    }
}

/// An instance where `app` has rights of many kinds, and its twin others.
fn with_rights(instance: &mut SqlServer) {
    *instance = instance.clone().with_login("app_b", "old");
    let administrator = instance.logins.get_mut(ADMINISTRATOR).unwrap();
    administrator.server_roles.insert("sysadmin".to_owned());
    let app = instance.logins.get_mut("app").unwrap();
    app.default_database = "sales".to_owned();
    app.server_roles.insert("setupadmin".to_owned());
    let sid = app.sid.clone();
    let twin = instance.logins.get_mut("app_b").unwrap();
    twin.server_roles.insert("bulkadmin".to_owned());
    twin.permissions.insert(Permission::grant("VIEW SERVER STATE"));
    let mut user = DatabaseUser::of_login(&sid);
    user.roles.insert("db_datareader".to_owned());
    user.permissions.insert(Permission::grant("EXECUTE").on("SCHEMA::[sales]"));
    let denied = Permission { state: "DENY".to_owned(), ..Permission::grant("SELECT").on("OBJECT::[dbo].[pay]") };
    user.permissions.insert(denied);
    let sales = Database { users: [("app".to_owned(), user)].into(), ..Database::default() };
    instance.databases.insert("sales".to_owned(), sales);
}

/// The questions of `rotate-database-user`, in their words, without what only a real catalog needs.
fn questions(catalog: &str, id: &str, role: &str) -> [String; 4] {
    let members = |name: &str| {
        format!("SELECT role_principal_id FROM sys.{catalog}_role_members WHERE member_principal_id = {id}(N'{name}')")
    };
    let roles = |verb: &str, these: &str, those: &str| {
        format!(
            "SELECT N'ALTER {role} ' + QUOTENAME(r.name) + N' {verb} MEMBER ' + QUOTENAME(N'app_b') FROM \
             sys.{catalog}_principals r WHERE r.principal_id IN ({}) AND r.principal_id NOT IN ({})",
            members(these),
            members(those)
        )
    };
    let permissions = format!(
        "WITH p AS (SELECT s.grantee_principal_id AS grantee FROM sys.{catalog}_permissions s WHERE \
         s.grantee_principal_id IN ({id}(N'app'), {id}(N'app_b')))"
    );
    [
        roles("ADD", "app", "app_b"),
        format!("{permissions} SELECT CASE o.state WHEN 'D' THEN N'DENY ' ELSE N'GRANT ' END FROM p o"),
        roles("DROP", "app_b", "app"),
        format!("{permissions} SELECT N'REVOKE ' + t.permission FROM p t"),
    ]
}

#[tokio::test]
async fn a_twin_is_made_equal_by_the_statements_that_the_instance_answers() {
    let scene = Scene::set(with_rights).await;
    let mut administrator = scene.administrator().await;
    let databases = texts(
        &mut administrator,
        "SELECT name FROM sys.databases WHERE state = 0 AND is_read_only = 0 AND \
        database_id <> 2 AND HAS_DBACCESS(name) = 1 ORDER BY database_id",
    )
    .await;
    assert!(databases.contains(&"sales".to_owned()), "{databases:?}");
    run(&mut administrator, "USE [master]").await.unwrap();
    let server = questions("server", "SUSER_ID", "SERVER ROLE");
    let database = questions("database", "DATABASE_PRINCIPAL_ID", "ROLE");
    make_equal(&mut administrator, &server).await;
    run(&mut administrator, "USE [sales]").await.unwrap();
    let user = "SELECT name FROM sys.database_principals WHERE sid = SUSER_SID(N'app_b')";
    assert!(texts(&mut administrator, user).await.is_empty());
    run(&mut administrator, "CREATE USER [app_b] FOR LOGIN [app_b]").await.unwrap();
    assert_eq!(texts(&mut administrator, user).await, ["app_b"]);
    make_equal(&mut administrator, &database).await;
    scene.look(|instance| {
        let (app, twin) = (&instance.logins["app"], &instance.logins["app_b"]);
        assert_eq!((&app.server_roles, &app.permissions), (&twin.server_roles, &twin.permissions));
        let users = &instance.databases["sales"].users;
        let (app, twin) = (&users["app"], &users["app_b"]);
        assert_eq!((&app.roles, &app.permissions), (&twin.roles, &twin.permissions));
    });
}

/// Runs what each question answers, until it answers nothing.
async fn make_equal(administrator: &mut Connection, questions: &[String]) {
    for question in questions {
        for statement in texts(administrator, question).await {
            run(administrator, &statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        assert_eq!(texts(administrator, question).await, Vec::<String>::new(), "{question}");
    }
}
