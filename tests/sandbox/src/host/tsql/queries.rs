//! The queries of the scripts. Each is known as a whole, but for the names that a host puts into it: those stand here
//! in braces.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::tokens::{Token, tokenize};
use super::{LoginStatement, Statement};

/// See `look_at_instance` in `host/credentials.sh`.
const SELECT_INSTANCE: &str = "SELECT N'~instance~' + CONVERT(nvarchar(128), \
     SERVERPROPERTY(N'ProductVersion')) + N'~' + CONVERT(nvarchar(10), SERVERPROPERTY(N'EngineEdition')) + N'~' + \
     CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL'));";

/// The query for the right that a proof needs; see `require_right_to_back_up` in `inspect.sh`.
const SELECT_RIGHT_TO_BACK_UP: &str = "SELECT N'~backup~' + CONVERT(nvarchar(10), \
     ISNULL(HAS_PERMS_BY_NAME(N'model', N'DATABASE', N'BACKUP DATABASE'), 0));";

/// See `read_credentials` in `host/credentials.sh`.
const SELECT_CREDENTIALS: &str = "SELECT N'~credential~' + CONVERT(nvarchar(33), modify_date, 126) + N'~' + \
     CASE WHEN credential_identity = N'S3 Access Key' THEN N's3' ELSE N'other' END + N'~' + name \
     FROM sys.credentials WHERE LOWER(name) LIKE N's3://%' ORDER BY name;";

/// This and all that follow: see `host/logins.sh`.
const SELECT_WHO: &str = "SELECT N'~who~' + CONVERT(nvarchar(10), CASE WHEN ORIGINAL_LOGIN() = N'{login}' \
     AND DB_NAME() = N'{database}' THEN 1 ELSE 0 END);";

const SELECT_SERVER: &str = "SELECT N'~server~' + CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')) + N'~' + \
     CONVERT(nvarchar(10), SERVERPROPERTY(N'IsIntegratedSecurityOnly')) + N'~' + \
     CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY LOGIN')) + \
     CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'CONTROL SERVER')) + \
     CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE')) + \
     CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW ANY DEFINITION')) + \
     CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'CONNECT ANY DATABASE'));";

const SELECT_REPLICAS: &str = "SELECT N'~replica~' + CONVERT(nvarchar(10), ISNULL(s.role, 0)) + N'~' + \
     CONVERT(nvarchar(10), (SELECT COUNT(*) FROM sys.availability_replicas AS r WHERE r.group_id = g.group_id)) + N'~' + \
     CASE WHEN g.is_distributed = 1 OR EXISTS (SELECT 1 FROM sys.availability_replicas AS m \
     JOIN sys.availability_groups AS d ON d.group_id = m.group_id \
     WHERE d.is_distributed = 1 AND m.replica_server_name = g.name) THEN N'distributed' \
     WHEN g.is_contained = 1 THEN N'contained' ELSE N'plain' END + N'~' + g.name \
     FROM sys.availability_groups AS g \
     LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id AND s.is_local = 1 \
     WHERE g.name IN (N'{groups…}') ORDER BY g.name;";

const SELECT_LOGIN: &str = "SELECT N'~login~' + CONVERT(nvarchar(10), l.is_disabled) + \
     CONVERT(nvarchar(10), ISNULL(CONVERT(int, LOGINPROPERTY(l.name, N'IsLocked')), 0)) + \
     CASE WHEN IS_SRVROLEMEMBER(N'sysadmin', l.name) = 1 OR EXISTS (SELECT 1 FROM sys.server_permissions AS p \
     WHERE p.grantee_principal_id = l.principal_id AND p.type = N'CL' AND p.state IN (N'G', N'W')) \
     THEN N'1' ELSE N'0' END + N'~' + \
     CONVERT(nvarchar(33), ISNULL(CONVERT(datetime, LOGINPROPERTY(l.name, N'PasswordLastSetTime')), l.modify_date), 126) \
     + N'~' + CONVERT(nvarchar(172), l.sid, 1) \
     FROM sys.sql_logins AS l WHERE l.name = N'{name}';";

const SELECT_DATABASES: &str = "SELECT N'~database~' + CONVERT(nvarchar(10), ISNULL(HAS_DBACCESS(d.name), 0)) + N'~' + \
     d.name FROM sys.databases AS d \
     WHERE d.state = 0 AND d.source_database_id IS NULL AND d.database_id <> 2 \
     AND ISNULL(sys.fn_hadr_is_primary_replica(d.name), 1) = 1 {AND d.name IN (N'{names…}')} ORDER BY d.name;";

const SELECT_USER: &str = "SELECT N'~user~' + \
     CONVERT(nvarchar(10), ISNULL(HAS_PERMS_BY_NAME(N'{securable}', N'DATABASE', N'ALTER ANY USER'), 0)) + N'~' + \
     CONVERT(nvarchar(33), u.modify_date, 126) + N'~' + CONVERT(nvarchar(172), u.sid, 1) \
     FROM [{database}].sys.database_principals AS u WHERE u.authentication_type = 2 AND u.name = N'{name}';";

const SELECT_SESSIONS: &str = "SELECT TOP (3) N'~session~' + ISNULL(s.host_name, N'?') + N' (' + \
     ISNULL(s.program_name, N'?') + N')' FROM sys.dm_exec_sessions AS s \
     WHERE s.is_user_process = 1 AND s.session_id <> @@SPID AND s.original_login_name = N'{name}' \
     AND s.authenticating_database_id IN (0, 1) \
     GROUP BY s.host_name, s.program_name ORDER BY s.host_name, s.program_name;";

const SELECT_SERVER_RIGHTS: &str = "SELECT N'~right~' + CASE WHEN p.name = N'{first}' THEN N'1' ELSE N'2' END + N'~' + h.held \
     FROM sys.server_principals AS p CROSS APPLY (\
     SELECT N'D~WITH DEFAULT_DATABASE = ' + QUOTENAME(p.default_database_name) + N', DEFAULT_LANGUAGE = ' + \
     QUOTENAME(p.default_language_name) AS held \
     UNION ALL SELECT N'S~ALTER SERVER ROLE ' + QUOTENAME(r.name) + N' ADD MEMBER' FROM sys.server_role_members AS m \
     JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id WHERE m.member_principal_id = p.principal_id \
     UNION ALL SELECT CASE WHEN q.class <> 100 THEN N'X~' WHEN q.state = N'W' THEN N'W~' ELSE N'P~' END + \
     CASE q.state WHEN N'D' THEN N'DENY ' ELSE N'GRANT ' END + q.permission_name COLLATE DATABASE_DEFAULT + \
     CASE q.class WHEN 100 THEN N'' ELSE N' ON ' + q.class_desc COLLATE DATABASE_DEFAULT + N'::' + \
     CONVERT(nvarchar(10), q.major_id) END + N' TO' \
     FROM sys.server_permissions AS q WHERE q.grantee_principal_id = p.principal_id) AS h \
     WHERE p.name IN (N'{names…}');";

const SELECT_DATABASE_RIGHTS: &str = "SELECT N'~right~' + CASE WHEN {who} = N'{first}' THEN N'1' ELSE N'2' END + N'~' + h.held \
     FROM [{database}].sys.database_principals AS p LEFT JOIN sys.sql_logins AS l ON l.sid = p.sid CROSS APPLY (\
     SELECT N'U~WITH DEFAULT_SCHEMA = ' + QUOTENAME(ISNULL(p.default_schema_name, N'dbo')) AS held \
     UNION ALL SELECT N'R~ALTER ROLE ' + QUOTENAME(r.name) + N' ADD MEMBER' FROM [{database}].sys.database_role_members AS m \
     JOIN [{database}].sys.database_principals AS r ON r.principal_id = m.role_principal_id \
     WHERE m.member_principal_id = p.principal_id \
     UNION ALL SELECT CASE WHEN q.class NOT IN (0, 1, 3) THEN N'X~' WHEN q.state = N'W' THEN N'W~' ELSE N'P~' END + \
     CASE q.state WHEN N'D' THEN N'DENY ' ELSE N'GRANT ' END + q.permission_name COLLATE DATABASE_DEFAULT + \
     CASE q.class WHEN 0 THEN N'' \
     WHEN 1 THEN N' ON OBJECT::' + (SELECT QUOTENAME(s.name) + N'.' + QUOTENAME(o.name) \
     FROM [{database}].sys.all_objects AS o JOIN [{database}].sys.schemas AS s ON s.schema_id = o.schema_id \
     WHERE o.object_id = q.major_id) + ISNULL((SELECT N' (' + QUOTENAME(c.name) + N')' \
     FROM [{database}].sys.all_columns AS c WHERE c.object_id = q.major_id AND c.column_id = q.minor_id), N'') \
     WHEN 3 THEN N' ON SCHEMA::' + (SELECT QUOTENAME(s.name) FROM [{database}].sys.schemas AS s \
     WHERE s.schema_id = q.major_id) \
     ELSE N' ON ' + q.class_desc COLLATE DATABASE_DEFAULT + N'::' + CONVERT(nvarchar(10), q.major_id) END + N' TO' \
     FROM [{database}].sys.database_permissions AS q WHERE q.grantee_principal_id = p.principal_id) AS h \
     WHERE {which};";

/// What a host put into a query.
type Names = BTreeMap<String, Vec<String>>;

/// A query, and what it asks.
struct Query {
    tokens: Vec<Token>,
    statement: fn(&mut Names) -> Option<Statement>,
}

static QUERIES: LazyLock<Vec<Query>> = LazyLock::new(|| {
    let query = |text: &str, statement| Some(Query { tokens: tokenize(text).ok()?, statement });
    let some_databases = SELECT_DATABASES.replace("{AND d.name IN (N'{names…}')}", "AND d.name IN (N'{names…}')");
    let all_databases = SELECT_DATABASES.replace("{AND d.name IN (N'{names…}')}", "");
    let before_2022 = SELECT_REPLICAS.replace("g.is_contained = 1", "0 = 1");
    let of_a_database = SELECT_SESSIONS
        .replace("s.authenticating_database_id IN (0, 1)", "s.authenticating_database_id = DB_ID(N'{database}')");
    let of_logins = SELECT_DATABASE_RIGHTS.replace("{who}", "l.name").replace("{which}", "l.name IN (N'{names…}')");
    let of_users = SELECT_DATABASE_RIGHTS
        .replace("{who}", "p.name")
        .replace("{which}", "p.authentication_type = 2 AND p.name IN (N'{names…}')");
    [
        query(SELECT_INSTANCE, |_| Some(Statement::SelectInstance)),
        query(SELECT_RIGHT_TO_BACK_UP, |_| Some(Statement::SelectRightToBackUp)),
        query(SELECT_CREDENTIALS, |_| Some(Statement::SelectCredentials)),
        query(SELECT_WHO, |names| {
            Some(Statement::SelectWho { login: one(names, "login")?, database: one(names, "database")? })
        }),
        query(SELECT_SERVER, |_| Some(Statement::OfLogins(LoginStatement::SelectServer))),
        query(SELECT_REPLICAS, replicas),
        query(&before_2022, replicas),
        query(SELECT_LOGIN, |names| of(LoginStatement::SelectLogin { name: one(names, "name")? })),
        query(&all_databases, databases),
        query(&some_databases, databases),
        query(SELECT_USER, |names| {
            of(LoginStatement::SelectUser { database: one(names, "database")?, name: one(names, "name")? })
        }),
        query(SELECT_SESSIONS, |names| {
            of(LoginStatement::SelectSessions { name: one(names, "name")?, database: None })
        }),
        query(&of_a_database, |names| {
            of(LoginStatement::SelectSessions {
                name: one(names, "name")?,
                database: names_of(names, "database").pop(),
            })
        }),
        query(SELECT_SERVER_RIGHTS, |names| of(LoginStatement::SelectServerRights { names: names_of(names, "names") })),
        query(&of_logins, |names| database_rights(names, false)),
        query(&of_users, |names| database_rights(names, true)),
    ]
    .into_iter()
    .flatten()
    .collect()
});

fn of(statement: LoginStatement) -> Option<Statement> {
    Some(Statement::OfLogins(statement))
}

fn one(names: &mut Names, slot: &str) -> Option<String> {
    names.remove(slot)?.pop()
}

fn names_of(names: &mut Names, slot: &str) -> Vec<String> {
    names.remove(slot).unwrap_or_default()
}

fn replicas(names: &mut Names) -> Option<Statement> {
    of(LoginStatement::SelectReplicas { groups: names_of(names, "groups") })
}

fn databases(names: &mut Names) -> Option<Statement> {
    of(LoginStatement::SelectDatabases { names: names_of(names, "names") })
}

fn database_rights(names: &mut Names, are_contained: bool) -> Option<Statement> {
    let (database, names) = (one(names, "database")?, names_of(names, "names"));
    of(LoginStatement::SelectDatabaseRights { database, names, are_contained })
}

/// The query that a batch is, with the names in it.
pub(super) fn known(batch: &[Token]) -> Option<Statement> {
    QUERIES.iter().find_map(|query| (query.statement)(&mut names_in(&query.tokens, batch)?))
}

/// The names, where a batch is this query: what stands twice in it has to be the same both times.
fn names_in(query: &[Token], batch: &[Token]) -> Option<Names> {
    let mut names = Names::new();
    let mut rest = batch;
    for token in query {
        let found = match slot(token) {
            Some((slot, true)) => {
                let (found, left) = list(rest)?;
                rest = left;
                (slot, found)
            }
            Some((slot, false)) => {
                let (first, left) = rest.split_first()?;
                let name = match (token, first) {
                    (Token::Text(_), Token::Text(name)) | (Token::Name(_), Token::Name(name)) => name.clone(),
                    (Token::Word(_) | Token::Name(_) | Token::Text(_) | Token::Mark(_), _) => return None,
                };
                rest = left;
                (slot, vec![name])
            }
            None => {
                rest = rest.split_first().filter(|(first, _)| *first == token)?.1;
                continue;
            }
        };
        let (slot, found) = found;
        if names.get(slot).is_some_and(|before| *before != found) {
            return None;
        }
        names.insert(slot.to_owned(), found);
    }
    rest.is_empty().then_some(names)
}

/// `{slot}` or `{slot…}`, and whether it takes several.
fn slot(token: &Token) -> Option<(&str, bool)> {
    let text = match token {
        Token::Text(text) | Token::Name(text) => text,
        Token::Word(_) | Token::Mark(_) => return None,
    };
    let slot = text.strip_prefix('{')?.strip_suffix('}')?;
    Some(slot.strip_suffix('…').map_or((slot, false), |slot| (slot, true)))
}

/// Literals with commas between them.
fn list(batch: &[Token]) -> Option<(Vec<String>, &[Token])> {
    let mut found = Vec::new();
    let mut rest = batch;
    while let Some((Token::Text(name), left)) = rest.split_first() {
        found.push(name.clone());
        rest = left;
        match rest.split_first() {
            Some((Token::Mark(','), left)) => rest = left,
            Some(_) | None => break,
        }
    }
    (!found.is_empty()).then_some((found, rest))
}
