//! Gives the twin the original's rights on MySQL and MariaDB: at every host the same account, with the same privileges,
//! roles, default roles, requirements and limits; compared again afterwards.

use rotation::access_key::SecretValue;

use super::super::{Pair, Row, Session, Statement, StatementError};
use super::grants::{Rights, requirements};
use super::{Account, Server, accounts, hiding, literal};

/// Makes the accounts of the twin equal to the original's; what was changed.
pub(super) async fn equalise(
    session: &mut dyn Session,
    pair: &Pair,
    password: &SecretValue,
) -> Result<Vec<String>, StatementError> {
    let server = Server::ask(session).await?;
    let (originals, twins) = (accounts(session, &pair.original).await?, accounts(session, &pair.twin).await?);
    let mut changes = Vec::new();
    for original in &originals {
        let twin = original.at(&pair.twin);
        let name = twin.name();
        let identified = twin.identified(server, password)?;
        if !twins.iter().any(|one| one.host == twin.host) {
            session.run(&hiding(format!("CREATE USER IF NOT EXISTS {name} {identified}"), password)).await?;
            changes.push(format!("created {name}"));
        }
        for statement in differences(session, server, original, &twin).await? {
            session.run(&Statement::new(statement.clone())).await?;
            changes.push(statement);
        }
        let left = differences(session, server, original, &twin).await?;
        if !left.is_empty() {
            let problem = format!("its twin's rights cannot be made the same; this has no effect: {}", left.join("; "));
            return Err(StatementError::NotPossible { problem });
        }
    }
    for spare in twins.iter().filter(|twin| originals.iter().all(|original| original.host != twin.host)) {
        let statement = format!("DROP USER IF EXISTS {}", spare.name());
        session.run(&Statement::new(statement.clone())).await?;
        changes.push(statement);
    }
    Ok(changes)
}

/// The statements that make the twin what the original is.
async fn differences(
    session: &mut dyn Session,
    server: Server,
    original: &Account,
    twin: &Account,
) -> Result<Vec<String>, StatementError> {
    let name = twin.name();
    let (wanted, found) = (rights(session, original).await?, rights(session, twin).await?);
    let mut statements = found.statements_to_become(&wanted, &name);
    let wanted = requirements(&created(session, original).await?);
    if requirements(&created(session, twin).await?) != wanted {
        statements.push(format!("ALTER USER {name} {wanted}"));
    }
    let wanted = default_roles(session, server, original).await?;
    if default_roles(session, server, twin).await? != wanted {
        let keyword = if server.is_mariadb { "FOR" } else { "TO" };
        let roles = if wanted.is_empty() { "NONE".to_owned() } else { wanted.join(", ") };
        statements.push(format!("SET DEFAULT ROLE {roles} {keyword} {name}"));
    }
    Ok(statements)
}

async fn rights(session: &mut dyn Session, account: &Account) -> Result<Rights, StatementError> {
    let rows = session.run(&Statement::new(format!("SHOW GRANTS FOR {}", account.name()))).await?;
    let lines = first_column(&rows);
    Rights::parse(lines.iter().map(String::as_str)).map_err(|problem| StatementError::NotPossible { problem })
}

async fn created(session: &mut dyn Session, account: &Account) -> Result<String, StatementError> {
    let rows = session.run(&Statement::new(format!("SHOW CREATE USER {}", account.name()))).await?;
    Ok(first_column(&rows).into_iter().next().unwrap_or_default())
}

/// The roles that are active as soon as the account logs in.
async fn default_roles(
    session: &mut dyn Session,
    server: Server,
    account: &Account,
) -> Result<Vec<String>, StatementError> {
    let (user, host) = (literal(&account.user), literal(&account.host));
    let text = if server.is_mariadb {
        format!(
            "SELECT CONCAT('`', REPLACE(default_role, '`', '``'), '`') FROM mysql.user WHERE User = {user} AND Host = {host} AND default_role <> ''"
        )
    } else if server.has_mysql_roles() {
        format!(
            "SELECT CONCAT('`', REPLACE(DEFAULT_ROLE_USER, '`', '``'), '`@`', REPLACE(DEFAULT_ROLE_HOST, '`', '``'), '`') FROM mysql.default_roles WHERE USER = {user} AND HOST = {host} ORDER BY 1"
        )
    } else {
        return Ok(Vec::new());
    };
    Ok(first_column(&session.run(&Statement::new(text)).await?))
}

fn first_column(rows: &[Row]) -> Vec<String> {
    rows.iter().filter_map(|row| row.first().cloned().flatten()).collect()
}
