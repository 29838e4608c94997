//! A stand-in for MySQL 8, which no package of Debian's brings: the real protocol over TLS, and users with their
//! passwords, kept by the rules of MySQL's manual for dual passwords and roles.
//!
//! It knows the statements that a rotation sends and refuses every other with a syntax error, so a statement that is
//! sent one day and was never thought through fails its test. What it cannot prove is that MySQL itself would take them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mysql_common::scramble::scramble_native;
use old_tokio_rustls::rustls::ServerConfig;
use old_tokio_rustls::rustls::pki_types::pem::PemObject;
use old_tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use opensrv_mysql::{
    AsyncMysqlIntermediary, AsyncMysqlShim, Column, ColumnFlags, ColumnType, ErrorKind, InitWriter,
    IntermediaryOptions, OkResponse, ParamParser, QueryResultWriter, StatementMetaWriter,
};
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;

/// One account: a name at a host.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The password.
    pub password: String,
    /// The one that RETAIN CURRENT PASSWORD kept.
    pub retained: Option<String>,
    /// Privileges by object, as SHOW GRANTS names them.
    pub privileges: BTreeMap<String, BTreeSet<String>>,
    /// Objects for which the account has the grant option.
    pub grantable: BTreeSet<String>,
    /// Roles, and whether they may be passed on.
    pub roles: BTreeMap<String, bool>,
    /// Roles that are active from the login on.
    pub default_roles: Vec<String>,
    /// REQUIRE and limits.
    pub requirements: String,
}

/// What a client is told: rows, nothing, or an error.
type Reply = Result<Vec<Vec<String>>, (ErrorKind, String)>;

/// The server's state, by user and host.
#[derive(Clone, Default)]
pub struct MySql {
    version: &'static str,
    accounts: Arc<Mutex<BTreeMap<(String, String), Account>>>,
}

impl MySql {
    /// A server of a version, with no account.
    pub fn new(version: &'static str) -> MySql {
        MySql { version, accounts: Arc::default() }
    }

    /// Changes an account, or makes it.
    pub fn account<T>(&self, user: &str, host: &str, change: impl FnOnce(&mut Account) -> T) -> T {
        let mut accounts = self.accounts.lock().expect("nobody panics in here");
        change(accounts.entry((user.to_owned(), host.to_owned())).or_default())
    }

    /// Serves until the listener's task ends.
    pub async fn serve(self, listener: TcpListener, certificate: &str, key: &str) {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let tls =
            ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("they belong together");
        let tls = Arc::new(tls);
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("the stream is open");
            let (mut session, tls) = (Session { server: self.clone(), user: Mutex::default() }, tls.clone());
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let hello =
                    AsyncMysqlIntermediary::init_before_ssl(&mut session, reader, &mut writer, &Some(tls.clone()))
                        .await;
                let Ok((true, hello)) = hello else { return };
                let options = IntermediaryOptions::default();
                let _ended = opensrv_mysql::secure_run_with_options(session, writer, options, tls, hello).await;
            });
        }
    }
}

struct Session {
    server: MySql,
    user: Mutex<String>,
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> AsyncMysqlShim<W> for Session {
    type Error = io::Error;

    fn version(&self) -> String {
        self.server.version.to_owned()
    }

    /// Accounts are the name's at host %, as the stand-in's clients all come from one place.
    async fn authenticate(&self, _: &str, username: &[u8], salt: &[u8], answer: &[u8]) -> bool {
        let username = String::from_utf8_lossy(username).into_owned();
        let accounts = self.server.accounts.lock().expect("nobody panics in here");
        let Some(account) = accounts.get(&(username.clone(), "%".to_owned())) else { return false };
        let passwords = std::iter::once(&account.password).chain(&account.retained);
        let opens = |password: &String| scramble_native(salt, password.as_bytes()).is_some_and(|right| right == answer);
        let is_right = passwords.into_iter().any(opens);
        *self.user.lock().expect("nobody panics in here") = username;
        is_right
    }

    async fn on_prepare<'a>(&'a mut self, _: &'a str, info: StatementMetaWriter<'a, W>) -> io::Result<()> {
        info.error(ErrorKind::ER_PARSE_ERROR, b"nothing is prepared here").await
    }

    async fn on_execute<'a>(
        &'a mut self,
        _: u32,
        _: ParamParser<'a>,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        results.error(ErrorKind::ER_PARSE_ERROR, b"nothing is prepared here").await
    }

    async fn on_close<'a>(&'a mut self, _: u32)
    where
        W: 'async_trait,
    {
    }

    async fn on_init<'a>(&'a mut self, _: &'a str, writer: InitWriter<'a, W>) -> io::Result<()> {
        writer.ok().await
    }

    async fn on_query<'a>(&'a mut self, query: &'a str, results: QueryResultWriter<'a, W>) -> io::Result<()> {
        let user = self.user.lock().expect("nobody panics in here").clone();
        match self.server.answer(&user, query) {
            Err((kind, words)) => results.error(kind, words.as_bytes()).await,
            Ok(rows) if rows.is_empty() => results.completed(OkResponse::default()).await,
            Ok(rows) => {
                let column = |number: usize| Column {
                    table: String::new(),
                    column: format!("c{number}"),
                    coltype: ColumnType::MYSQL_TYPE_VAR_STRING,
                    colflags: ColumnFlags::empty(),
                };
                let columns: Vec<Column> = (0..rows[0].len()).map(column).collect();
                let mut writer = results.start(&columns).await?;
                for row in rows {
                    writer.write_row(row).await?;
                }
                writer.finish().await
            }
        }
    }
}

/// `'it''s'@'%' rest`, or the same in backticks: user, host and the rest.
fn account_in(text: &str) -> Option<((String, String), &str)> {
    let (user, rest) = quoted(text)?;
    let (host, rest) = quoted(rest.strip_prefix('@')?)?;
    Some(((user, host), rest.trim_start()))
}

/// A quoted text at the start, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|one| "'`".contains(*one))?;
    let mut value = String::new();
    let mut rest = text[1..].char_indices().peekable();
    while let Some((at, one)) = rest.next() {
        if one != quote {
            value.push(one);
        } else if rest.peek().is_some_and(|(_, next)| *next == quote) {
            rest.next();
            value.push(quote);
        } else {
            return Some((value, &text[at + 2..]));
        }
    }
    None
}

fn list(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(',').map(|member| member.trim().to_owned())
}

fn unknown(query: &str) -> (ErrorKind, String) {
    let near: String = query.chars().take(80).collect();
    (ErrorKind::ER_PARSE_ERROR, format!("You have an error in your SQL syntax near '{near}'"))
}

impl MySql {
    fn answer(&self, user: &str, query: &str) -> Reply {
        let one = |text: &str| Ok(vec![vec![text.to_owned()]]);
        match query {
            "SELECT VERSION()" => return one(self.version),
            "SELECT CURRENT_USER()" => return one(&format!("{user}@%")),
            _ if query.starts_with("SHOW GLOBAL VARIABLES") || query.starts_with("SET SESSION sql_mode") => {
                return Ok(Vec::new());
            }
            _ => {}
        }
        let mut accounts = self.accounts.lock().expect("nobody panics in here");
        let reply = if let Some(rest) = query.strip_prefix("SET PASSWORD = ") {
            own_password(accounts.get_mut(&(user.to_owned(), "%".to_owned())), rest)
        } else if query.starts_with("SELECT Host, plugin FROM mysql.user WHERE User = ") {
            let name = query.split("User = ").nth(1).and_then(quoted).map(|(name, _)| name);
            let named = accounts.keys().filter(|(user, _)| Some(user) == name.as_ref());
            Some(Ok(named.map(|(_, host)| vec![host.clone(), "caching_sha2_password".to_owned()]).collect()))
        } else if query.contains("FROM mysql.default_roles WHERE USER = ") {
            let name = query.split("USER = ").nth(1).and_then(quoted).map(|(name, _)| name).unwrap_or_default();
            let roles = accounts.get(&(name, "%".to_owned())).map(|account| account.default_roles.clone());
            Some(Ok(roles.unwrap_or_default().into_iter().map(|role| vec![role]).collect()))
        } else {
            about_an_account(&mut accounts, query)
        };
        reply.unwrap_or_else(|| Err(unknown(query)))
    }
}

/// MySQL 8.0's manual, "Dual Password Support": an own second password needs APPLICATION_PASSWORD_ADMIN; RETAIN keeps
/// the password that is current and drops the one kept before; without RETAIN the one kept before stays.
fn own_password(account: Option<&mut Account>, rest: &str) -> Option<Reply> {
    let account = account?;
    let (password, rest) = quoted(rest)?;
    match rest.trim() {
        "" => account.password = password,
        "RETAIN CURRENT PASSWORD" => {
            let may = account.privileges.get("*.*").is_some_and(|held| held.contains("APPLICATION_PASSWORD_ADMIN"));
            if !may {
                let words = "Access denied; you need (at least one of) the APPLICATION_PASSWORD_ADMIN privilege(s)";
                return Some(Err((ErrorKind::ER_SPECIFIC_ACCESS_DENIED_ERROR, words.to_owned())));
            }
            account.retained = Some(std::mem::replace(&mut account.password, password));
        }
        _ => return None,
    }
    Some(Ok(Vec::new()))
}

type Accounts = BTreeMap<(String, String), Account>;

fn about_an_account(accounts: &mut Accounts, query: &str) -> Option<Reply> {
    let done = || Some(Ok(Vec::new()));
    if let Some(rest) = query.strip_prefix("CREATE USER IF NOT EXISTS ") {
        let (name, rest) = account_in(rest)?;
        let password = quoted(rest.split_once(" BY ")?.1)?.0;
        accounts.entry(name).or_insert_with(|| Account { password, ..Account::default() });
        return done();
    }
    if let Some(rest) = query.strip_prefix("ALTER USER ") {
        let (name, rest) = account_in(rest)?;
        let account = accounts.get_mut(&name)?;
        if rest.starts_with("REQUIRE ") {
            account.requirements = rest.to_owned();
            return done();
        }
        let (password, rest) = quoted(rest.strip_prefix("IDENTIFIED WITH caching_sha2_password BY ")?)?;
        let before = std::mem::replace(&mut account.password, password);
        match rest.trim() {
            "" => {}
            "RETAIN CURRENT PASSWORD" => account.retained = Some(before),
            _ => return None,
        }
        return done();
    }
    if let Some(rest) = query.strip_prefix("SET DEFAULT ROLE ") {
        let (roles, name) = rest.rsplit_once(" TO ")?;
        let account = accounts.get_mut(&account_in(name)?.0)?;
        account.default_roles = list(roles).filter(|role| role != "NONE").collect();
        return done();
    }
    if let Some(rest) = query.strip_prefix("SHOW GRANTS FOR ") {
        let (name, _) = account_in(rest)?;
        return Some(Ok(shown(accounts.get(&name)?, &name)));
    }
    if let Some(rest) = query.strip_prefix("SHOW CREATE USER ") {
        let ((user, host), _) = account_in(rest)?;
        let account = accounts.get(&(user.clone(), host.clone()))?;
        let require = if account.requirements.is_empty() { "REQUIRE NONE" } else { &account.requirements };
        let text = format!(
            "CREATE USER `{user}`@`{host}` IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$salt' {require} PASSWORD \
             EXPIRE DEFAULT ACCOUNT UNLOCK"
        );
        return Some(Ok(vec![vec![text]]));
    }
    granted(accounts, query)
}

/// SHOW GRANTS, as MySQL 8 writes it.
fn shown(account: &Account, (user, host): &(String, String)) -> Vec<Vec<String>> {
    let mut lines = vec![vec![format!("GRANT USAGE ON *.* TO `{user}`@`{host}`")]];
    for (object, privileges) in account.privileges.iter().filter(|(_, privileges)| !privileges.is_empty()) {
        let option = if account.grantable.contains(object) { " WITH GRANT OPTION" } else { "" };
        let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
        lines.push(vec![format!("GRANT {} ON {object} TO `{user}`@`{host}`{option}", privileges.join(", "))]);
    }
    for (role, may_pass_on) in &account.roles {
        let option = if *may_pass_on { " WITH ADMIN OPTION" } else { "" };
        lines.push(vec![format!("GRANT {role} TO `{user}`@`{host}`{option}")]);
    }
    lines
}

fn granted(accounts: &mut Accounts, query: &str) -> Option<Reply> {
    let (verb, rest) = query.split_once(' ')?;
    let preposition = match verb {
        "GRANT" => " TO ",
        "REVOKE" => " FROM ",
        _ => return None,
    };
    let (what, whom) = rest.rsplit_once(preposition)?;
    let (name, option) = account_in(whom)?;
    let account = accounts.get_mut(&name)?;
    match (verb, what.rsplit_once(" ON ")) {
        ("GRANT", Some((privileges, object))) => {
            let held = account.privileges.entry(object.to_owned()).or_default();
            held.extend(list(privileges).filter(|one| one != "USAGE"));
            if option == "WITH GRANT OPTION" {
                account.grantable.insert(object.to_owned());
            }
        }
        ("GRANT", None) => account.roles.extend(list(what).map(|role| (role, option == "WITH ADMIN OPTION"))),
        (_, Some(("GRANT OPTION", object))) => {
            account.grantable.remove(object);
        }
        (_, Some((privileges, object))) => {
            let gone: BTreeSet<String> = list(privileges).collect();
            account.privileges.get_mut(object)?.retain(|one| !gone.contains(one));
        }
        (_, None) => list(what).for_each(|role| {
            account.roles.remove(&role);
        }),
    }
    Some(Ok(Vec::new()))
}
