//! Real servers from Debian's packages, started on loopback as processes of the test.
//!
//! A server ends with the process that started it, however that ends: it hangs on a pipe that nobody else holds.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rotate_database_user::tls::Trust;
use rotation::access_key::SecretValue;
use rotation::database_secret::DatabaseEngine;

use rotate_database_user::engine::{self, ConnectError, Login, Session, Statement};

use crate::authority::Authority;
use crate::mysql_stand_in::MySql;

/// The administrator whom every server has, with the rights that the README lists as the least.
pub const ADMINISTRATOR: &str = "administrator";
/// The administrator's password.
pub const ADMINISTRATORS_PASSWORD: &str = "the-administrators-own-password";
/// The user who may do everything, for what a test prepares.
pub const OWNER: &str = "owner";

/// How long a server may take to say what it is to say.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server.
pub struct Server {
    /// Its engine.
    pub engine: DatabaseEngine,
    /// What secrets name it.
    pub engine_name: &'static str,
    /// Its port on loopback.
    pub port: u16,
    /// The authority that signed its certificate.
    pub authority: Authority,
    log: Log,
    /// None where it is a task of the test's.
    process: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its pipe closes, which ends it; this waits until it has.
        if let Some(process) = &mut self.process {
            drop(process.stdin.take());
            let _status = process.wait();
        }
    }
}

impl Server {
    /// MariaDB, which takes nobody in plaintext.
    pub fn mariadb() -> Server {
        Server::mariadb_with(true)
    }

    /// MariaDB, which offers no TLS.
    pub fn mariadb_without_tls() -> Server {
        Server::mariadb_with(false)
    }

    fn mariadb_with(has_tls: bool) -> Server {
        let folder = Folder::new("mariadb");
        let owner = folder.owner("mysql");
        let authority = folder.certified();
        let data = folder.path("data");
        let mut install = Command::new(program("mariadb-install-db", "mariadb-server", &[]));
        install.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]);
        folder.finish(install.arg(format!("--datadir={data}")), owner);
        let start = [
            format!("CREATE USER {OWNER}@'%' IDENTIFIED BY '{ADMINISTRATORS_PASSWORD}'"),
            format!("GRANT ALL PRIVILEGES ON *.* TO {OWNER}@'%' WITH GRANT OPTION"),
            format!("CREATE USER {ADMINISTRATOR}@'%' IDENTIFIED BY '{ADMINISTRATORS_PASSWORD}'"),
            format!("GRANT CREATE USER ON *.* TO {ADMINISTRATOR}@'%' WITH GRANT OPTION"),
            format!("GRANT SELECT, UPDATE ON mysql.* TO {ADMINISTRATOR}@'%'"),
        ];
        folder.write("start.sql", &(start.join(";\n") + ";\n"));
        let port = free_port();
        let mut server = Command::new(program("mariadbd", "mariadb-server", &["/usr/sbin"]));
        server.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"]);
        server.args(["--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF"]);
        server.arg(format!("--datadir={data}")).arg(format!("--port={port}"));
        server.arg(format!("--socket={}", folder.path("s"))).arg(format!("--init-file={}", folder.path("start.sql")));
        if has_tls {
            server.arg("--require-secure-transport=ON");
            server.arg(format!("--ssl-cert={}", folder.path("server.pem")));
            server.arg(format!("--ssl-key={}", folder.path("server.key")));
        } else {
            server.arg("--skip-ssl");
        }
        let (process, log) = folder.start(&server, owner, "ready for connections");
        Server { engine: DatabaseEngine::MySql, engine_name: "mariadb", port, authority, log, process: Some(process) }
    }

    /// PostgreSQL.
    pub fn postgresql() -> Server {
        let folder = Folder::new("postgresql");
        let owner = folder.owner("postgres");
        let authority = folder.certified();
        let data = folder.path("data");
        let places = newest_first("/usr/lib/postgresql");
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        folder.write("password", ADMINISTRATORS_PASSWORD);
        let mut install = Command::new(program("initdb", "postgresql", &places));
        install.args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "-U", OWNER]);
        folder.finish(install.arg(format!("--pwfile={}", folder.path("password"))).args(["-D", &data]), owner);
        // No line without TLS: who comes in plaintext is turned away.
        std::fs::write(Path::new(&data).join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n").unwrap();
        // All that PostgreSQL's CREATEROLE may do, and no more: RDS's administrators have it.
        let administrator =
            format!("CREATE ROLE {ADMINISTRATOR} LOGIN CREATEROLE PASSWORD '{ADMINISTRATORS_PASSWORD}'\n");
        folder.write("start.sql", &administrator);
        let mut alone = Command::new(program("postgres", "postgresql", &places));
        alone.args(["--single", "-D", &data, "postgres"]);
        folder.finish(alone.stdin(std::fs::File::open(folder.path("start.sql")).unwrap()), owner);
        let port = free_port();
        let mut server = Command::new(program("postgres", "postgresql", &places));
        server.args(["-D", &data, "-p", &port.to_string(), "-k", &folder.path("")]);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", folder.path("server.pem")),
            format!("ssl_key_file={}", folder.path("server.key")),
            "fsync=off".to_owned(),
            // Whatever is said of passwords is read back by a test.
            "log_statement=all".to_owned(),
        ] {
            server.args(["-c", &setting]);
        }
        let (process, log) = folder.start(&server, owner, "ready to accept connections");
        Server {
            engine: DatabaseEngine::PostgreSql,
            engine_name: "postgres",
            port,
            authority,
            log,
            process: Some(process),
        }
    }

    /// A stand-in for MySQL, which serves as long as the runtime that it was started in.
    pub async fn stand_in(mysql: MySql) -> Server {
        let folder = Folder::new("mysql");
        let authority = folder.certified();
        let read = |name: &str| std::fs::read_to_string(folder.path(name)).expect("the authority wrote it");
        let (certificate, key) = (read("server.pem"), read("server.key"));
        std::fs::remove_dir_all(&folder.0).expect("the folder is ours");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn(async move { mysql.serve(listener, &certificate, &key).await });
        Server {
            engine: DatabaseEngine::MySql,
            engine_name: "mysql",
            port,
            authority,
            log: Log::default(),
            process: None,
        }
    }

    /// What the server has written into its log, up to a text that it is about to write.
    pub fn log_up_to(&self, text: &str) -> String {
        self.log.wait_for(text)
    }

    /// Whom the function trusts.
    pub fn trust(&self) -> Trust {
        Trust::bundle(self.authority.bundle().as_bytes()).expect("the test's authority is one")
    }

    /// A login of this server.
    pub fn login(&self, username: &str, password: &str, database: Option<&str>) -> Login {
        Login {
            host: "localhost".to_owned(),
            port: self.port,
            database: database.map(str::to_owned),
            username: username.to_owned(),
            password: SecretValue::new(password.to_owned()),
        }
    }

    /// Logs in.
    pub async fn enter(&self, login: &Login) -> Result<Box<dyn Session>, ConnectError> {
        engine::connector(self.engine, &self.trust()).connect(login).await
    }

    /// Runs statements as the user who may do everything.
    pub async fn prepare(&self, database: Option<&str>, statements: &[&str]) {
        let login = self.login(OWNER, ADMINISTRATORS_PASSWORD, database);
        let mut session = self.enter(&login).await.unwrap_or_else(|error| panic!("the owner is let in: {error:?}"));
        for statement in statements {
            let ran = session.run(&Statement::new(*statement)).await;
            ran.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    }

    /// What somebody's query answers: the first column.
    pub async fn ask(&self, login: &Login, query: &str) -> Result<Vec<String>, String> {
        let mut session = self.enter(login).await.map_err(|error| format!("{error:?}"))?;
        let rows = session.run(&Statement::new(query)).await.map_err(|error| format!("{error:?}"))?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has ports").port()
}

/// Where a program is; what is missing is installed, as every set-up of these tests does.
fn program(name: &str, package: &str, places: &[&str]) -> PathBuf {
    let find = || {
        let path = std::iter::once("/usr/bin").chain(["/usr/local/bin"]).chain(places.iter().copied());
        path.map(|place| Path::new(place).join(name)).find(|program| program.exists())
    };
    find().unwrap_or_else(|| {
        let installer = sandbox::world::repository().join("tests/strangers/install.sh");
        let status = Command::new(installer).arg(format!("{name}={package}")).status();
        assert!(status.is_ok_and(|status| status.success()), "{package} can be installed");
        find().unwrap_or_else(|| panic!("{package} has no {name}"))
    })
}

/// Debian keeps each version of PostgreSQL in a folder of its own.
fn newest_first(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, String)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin").to_str()?.to_owned()))
        })
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// A user of this machine: servers refuse to run as root.
#[derive(Clone, Copy)]
struct SystemUser {
    uid: u32,
    gid: u32,
}

/// A server's own folder.
struct Folder(PathBuf);

impl Folder {
    fn new(server: &str) -> Folder {
        // Not below the target folder: a server's own user must be able to enter every folder above its own, and the
        // path of a socket is short.
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::SeqCst);
        let name = format!("rotate-database-user-{server}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _nothing_there = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("data")).expect("the folder can be made");
        Folder(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("the path is text").to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("the folder can be written");
    }

    fn certified(&self) -> Authority {
        let authority = Authority::new();
        authority.certify(&self.0, &["localhost"]);
        authority
    }

    /// The package's own user, where the tests run as root.
    fn owner(&self, name: &str) -> Option<SystemUser> {
        use std::os::unix::fs::MetadataExt;
        let is_root = std::fs::metadata(&self.0).expect("the folder is there").uid() == 0;
        is_root.then(|| {
            let find = || {
                let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
                let user =
                    users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user[0] == name)?;
                Some(SystemUser { uid: user.get(2)?.parse().ok()?, gid: user.get(3)?.parse().ok()? })
            };
            let package = if name == "mysql" { "mariadb-server" } else { "postgresql" };
            let daemon = if name == "mysql" { "mariadbd" } else { "initdb" };
            find()
                .or_else(|| {
                    program(daemon, package, &["/usr/sbin"]);
                    find()
                })
                .unwrap_or_else(|| panic!("{package} makes a user {name}"))
        })
    }

    /// Gives all that is in the folder to the server's user; a key is read by nobody else.
    fn hand_over(&self, owner: Option<SystemUser>) {
        use std::os::unix::fs::{PermissionsExt, chown};
        let mut paths = vec![self.0.clone(), self.0.join("data")];
        paths.extend(std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path()));
        for path in paths {
            let mode = if path.is_dir() { 0o700 } else { 0o600 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("the folder is ours");
            if let Some(owner) = owner {
                chown(&path, Some(owner.uid), Some(owner.gid)).expect("root gives away what it has");
            }
        }
    }

    /// Runs a command of the server's set-up to its end.
    fn finish(&self, command: &mut Command, owner: Option<SystemUser>) {
        self.hand_over(owner);
        let output = as_owner(command, owner).current_dir(&self.0).output().expect("the command starts");
        let words = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&words));
    }

    /// Starts the server and waits until it says that it is ready.
    fn start(&self, server: &Command, owner: Option<SystemUser>, ready: &str) -> (Child, Log) {
        self.hand_over(owner);
        // The shell ends the server, and takes its folder away, as soon as its own input ends: when the test's process is
        // no more.
        let mut shell = Command::new("/bin/sh");
        shell.args([
            "-c",
            "\"$@\" </dev/null & server=$!; read -r _; kill -QUIT $server; wait $server; rm -rf \"$PWD\"",
        ]);
        shell.arg("server").arg(server.get_program()).args(server.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).current_dir(&self.0);
        let mut process = as_owner(&mut shell, owner).process_group(0).spawn().expect("the server starts");
        let lines = BufReader::new(process.stderr.take().expect("stderr is piped")).lines();
        let log = Log::default();
        let writer = log.clone();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| writer.write(&line)));
        log.wait_for(ready);
        (process, log)
    }
}

/// What a server says, as it says it.
#[derive(Clone, Default)]
struct Log(Arc<(Mutex<String>, Condvar)>);

impl Log {
    fn write(&self, line: &str) {
        let (said, more) = &*self.0;
        let mut said = said.lock().expect("nobody panics in here");
        said.push_str(line);
        said.push('\n');
        more.notify_all();
    }

    /// All that was said, once this is in it.
    fn wait_for(&self, text: &str) -> String {
        let (said, more) = &*self.0;
        let said = said.lock().expect("nobody panics in here");
        let waited = more.wait_timeout_while(said, PATIENCE, |said| !said.contains(text));
        let (said, waited) = waited.expect("nobody panics in here");
        assert!(!waited.timed_out(), "the server does not say {text:?}: {said}");
        said.clone()
    }
}

fn as_owner(command: &mut Command, owner: Option<SystemUser>) -> &mut Command {
    match owner {
        Some(user) => command.uid(user.uid).gid(user.gid),
        None => command,
    }
}
