//! MySQL, MariaDB and Aurora MySQL. A user is a name *and* a host: `app@%` and `app@10.%` are two, with rights and a
//! password each. A secret names only the name, so a rotation means all of them.
//!
//! [`grants`] reads what SHOW GRANTS says, [`twin`] makes two users' rights equal.

mod client;
mod grants;
mod twin;

use std::sync::Arc;

use rotation::access_key::SecretValue;

pub use client::Client;

use super::{
    Administrator, Answer, Connector, Engine, NewPassword, OldPassword, Pair, Session, Statement, StatementError,
};

/// The SQL of MySQL and MariaDB.
pub struct MySql(Arc<dyn Connector>);

impl MySql {
    /// Over a client.
    pub fn new(connector: Arc<dyn Connector>) -> MySql {
        MySql(connector)
    }
}

/// What the server is; the engine's name in a secret often says `mysql` for either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Server {
    is_mariadb: bool,
    version: (u32, u32, u32),
}

impl Server {
    /// Dual passwords and roles came with MySQL 8 (FACTS G); MariaDB has roles, and no second password.
    const DUAL_PASSWORDS: (u32, u32, u32) = (8, 0, 14);

    /// `10.11.6-MariaDB-0+deb12u1`, `8.0.36`, `5.5.5-10.6.1-MariaDB` where a proxy stands before it.
    fn parse(version: &str) -> Server {
        let is_mariadb = version.contains("MariaDB");
        let version = version.strip_prefix("5.5.5-").filter(|_| is_mariadb).unwrap_or(version);
        let mut numbers = version.split(|one: char| !one.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Server { is_mariadb, version: (next(), next(), next()) }
    }

    async fn ask(session: &mut dyn Session) -> Result<Server, StatementError> {
        let rows = session.run(&Statement::new("SELECT VERSION()")).await?;
        Ok(Server::parse(rows.first().and_then(|row| row.first()?.as_deref()).unwrap_or_default()))
    }

    fn has_mysql_roles(self) -> bool {
        !self.is_mariadb && self.version >= (8, 0, 0)
    }

    /// The words that keep the password before.
    fn retaining(self, old: OldPassword) -> Result<&'static str, StatementError> {
        match old {
            OldPassword::Ends => Ok(""),
            OldPassword::Stays if !self.is_mariadb && self.version >= Server::DUAL_PASSWORDS => {
                Ok(" RETAIN CURRENT PASSWORD")
            }
            OldPassword::Stays => {
                let what = if self.is_mariadb { "it is MariaDB" } else { "it is older" };
                let problem = format!("dual passwords need MySQL 8.0.14 or later, and {what}; use alternating users");
                Err(StatementError::NotPossible { problem })
            }
        }
    }
}

/// A text as a literal; the client's session takes backslashes for themselves (NO_BACKSLASH_ESCAPES).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A user as statements name it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    user: String,
    host: String,
    plugin: String,
}

impl Account {
    fn at(&self, user: &str) -> Account {
        Account { user: user.to_owned(), ..self.clone() }
    }

    fn name(&self) -> String {
        format!("{}@{}", literal(&self.user), literal(&self.host))
    }

    /// How the account's own plugin is told a password. MariaDB keeps the plugin only where it is named as well.
    fn identified(&self, server: Server, password: &SecretValue) -> Result<String, StatementError> {
        let literal = literal(password.reveal());
        match (self.plugin.as_str(), server.is_mariadb) {
            ("" | "mysql_native_password", true) => Ok(format!("IDENTIFIED BY {literal}")),
            ("ed25519", true) => Ok(format!("IDENTIFIED VIA ed25519 USING PASSWORD({literal})")),
            ("mysql_native_password" | "caching_sha2_password" | "sha256_password", false) => {
                Ok(format!("IDENTIFIED WITH {} BY {literal}", self.plugin))
            }
            (plugin, _) => Err(StatementError::NotPossible {
                problem: format!("{} logs in by {plugin}, which has no password to set", self.name()),
            }),
        }
    }
}

/// All accounts of a name.
async fn accounts(session: &mut dyn Session, user: &str) -> Result<Vec<Account>, StatementError> {
    // MariaDB keeps roles here too, as users of no host.
    let text =
        format!("SELECT Host, plugin FROM mysql.user WHERE User = {} AND Host <> '' ORDER BY Host", literal(user));
    let rows = session.run(&Statement::new(text)).await?;
    let account = |row: Vec<Option<String>>| {
        let mut columns = row.into_iter().map(Option::unwrap_or_default);
        let (host, plugin) = (columns.next()?, columns.next()?);
        Some(Account { user: user.to_owned(), host, plugin })
    };
    Ok(rows.into_iter().filter_map(account).collect())
}

fn hiding(text: String, password: &SecretValue) -> Statement {
    let quoted = password.reveal().replace('\'', "''");
    Statement::new(text).hiding(&[password.reveal(), &quoted])
}

impl Engine for MySql {
    fn connector(&self) -> &dyn Connector {
        self.0.as_ref()
    }

    fn only_reads<'a>(&'a self, session: &'a mut dyn Session) -> Answer<'a, bool> {
        Box::pin(async move {
            // Aurora's readers say so by the second; a server that does not know a variable answers with no row.
            let text =
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'innodb_read_only') AND Value = 'ON'";
            Ok(!session.run(&Statement::new(text)).await?.is_empty())
        })
    }

    fn set_own_password<'a>(&'a self, session: &'a mut dyn Session, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let server = Server::ask(session).await?;
            let (literal, retaining) = (literal(new.password.reveal()), server.retaining(new.old)?);
            // SET PASSWORD keeps the account's plugin, and needs no right but to be oneself.
            let text = match server.is_mariadb {
                true => format!("SET PASSWORD = PASSWORD({literal})"),
                false => format!("SET PASSWORD = {literal}{retaining}"),
            };
            session.run(&hiding(text, new.password)).await.map(drop)
        })
    }

    fn knows<'a>(&'a self, administrator: &'a mut Administrator<'_>, username: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { Ok(!accounts(administrator.session.as_mut(), username).await?.is_empty()) })
    }

    fn create_user<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let (name, password) = (literal(new.username), literal(new.password.reveal()));
            let text = format!("CREATE USER IF NOT EXISTS {name}@'%' IDENTIFIED BY {password}");
            administrator.session.run(&hiding(text, new.password)).await.map(drop)
        })
    }

    fn set_password<'a>(&'a self, administrator: &'a mut Administrator<'_>, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let session = administrator.session.as_mut();
            let server = Server::ask(session).await?;
            let retaining = server.retaining(new.old)?;
            let accounts = accounts(session, new.username).await?;
            if new.old == OldPassword::Stays && accounts.len() > 1 {
                // A second run could not tell which of them already keeps the right password, and would drop it.
                let problem =
                    "it stands for several users (one a host), of which dual passwords can keep only one; use \
                               alternating users"
                        .to_owned();
                return Err(StatementError::NotPossible { problem });
            }
            for account in accounts {
                let identified = account.identified(server, new.password)?;
                let text = format!("ALTER USER {} {identified}{retaining}", account.name());
                session.run(&hiding(text, new.password)).await?;
            }
            Ok(())
        })
    }

    fn has_one_user_a_name(&self) -> bool {
        false
    }

    fn equalise<'a>(
        &'a self,
        administrator: &'a mut Administrator<'_>,
        pair: &'a Pair,
        password: &'a SecretValue,
    ) -> Answer<'a, Vec<String>> {
        Box::pin(twin::equalise(administrator.session.as_mut(), pair, password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_version() {
        assert_eq!(Server::parse("10.11.6-MariaDB-0+deb12u1"), Server { is_mariadb: true, version: (10, 11, 6) });
        assert_eq!(Server::parse("5.5.5-10.6.1-MariaDB-log"), Server { is_mariadb: true, version: (10, 6, 1) });
        assert_eq!(Server::parse("9.0.1"), Server { is_mariadb: false, version: (9, 0, 1) });
        assert!(Server::parse("9.0.1").retaining(OldPassword::Stays).is_ok(), "9 is later than 8.0.14");
        assert!(Server::parse("8.0.13").retaining(OldPassword::Stays).is_err());
        assert!(Server::parse("10.11.6-MariaDB").retaining(OldPassword::Stays).is_err());
    }

    #[test]
    fn a_password_keeps_the_plugin_that_the_account_has() {
        let account = |plugin: &str| Account { user: "a'b".into(), host: "%".into(), plugin: plugin.into() };
        let (mysql, mariadb) = (Server::parse("8.0.36"), Server::parse("10.11.6-MariaDB"));
        let password = SecretValue::new("p'w\\".to_owned());
        assert_eq!(account("").name(), "'a''b'@'%'");
        let identified = |plugin: &str, server| account(plugin).identified(server, &password);
        assert_eq!(
            identified("caching_sha2_password", mysql).unwrap(),
            "IDENTIFIED WITH caching_sha2_password BY 'p''w\\'"
        );
        assert_eq!(identified("mysql_native_password", mariadb).unwrap(), "IDENTIFIED BY 'p''w\\'");
        for plugin in ["auth_socket", "AWSAuthenticationPlugin"] {
            assert!(matches!(identified(plugin, mysql), Err(StatementError::NotPossible { .. })), "{plugin}");
        }
    }
}
