//! Gives the twin the original's rights on SQL Server: server roles and permissions of the login; in every database the
//! user, its roles, its permissions, and nothing of its own.
//!
//! The server writes the statements itself, with QUOTENAME; what it cannot name comes back as NULL, and is an error: a
//! right that is passed over would be missed by an application one day.

use super::super::{Pair, Session, Statement, StatementError};
use super::{identifier, literal};

/// Makes the twin, which exists, equal to the original; what was changed.
pub(super) async fn equalise(session: &mut dyn Session, pair: &Pair) -> Result<Vec<String>, StatementError> {
    let mut changes = Vec::new();
    session.run(&Statement::new("USE [master]")).await?;
    let server = Place::server(pair);
    for question in [options(pair), server.roles_lacking(), server.lacking(), server.roles_spare(), server.spare()] {
        changes.extend(apply(session, question).await?);
    }
    for database in asked(session, DATABASES.to_owned()).await? {
        session.run(&Statement::new(format!("USE {}", identifier(&database)))).await?;
        changes.extend(equalise_here(session, pair, &database).await?);
    }
    session.run(&Statement::new("USE [master]")).await?;
    for database in asked(session, OUT_OF_REACH.to_owned()).await? {
        changes
            .push(format!("the administrator cannot enter {}: rights there are not compared", identifier(&database)));
    }
    Ok(changes)
}

/// Databases whose users can be compared. What is in tempdb goes with the next restart.
const DATABASES: &str = "SELECT name FROM sys.databases WHERE state = 0 AND is_read_only = 0 AND database_id <> 2 \
                         AND HAS_DBACCESS(name) = 1 ORDER BY database_id";
const OUT_OF_REACH: &str = "SELECT name FROM sys.databases WHERE state = 0 AND is_read_only = 0 \
                            AND HAS_DBACCESS(name) = 0 ORDER BY database_id";

/// In the database that the session is in.
async fn equalise_here(session: &mut dyn Session, pair: &Pair, database: &str) -> Result<Vec<String>, StatementError> {
    let (original, twin) = (user_of(session, &pair.original).await?, user_of(session, &pair.twin).await?);
    let note = |changes: Vec<String>| changes.into_iter().map(|change| format!("in {database}: {change}")).collect();
    let statement = match (&original, &twin) {
        (None, None) => return Ok(Vec::new()),
        (None, Some(spare)) => Some(format!("DROP USER {}", identifier(spare))),
        (Some(_), Some(_)) => None,
        (Some(_), None) => Some(format!("CREATE USER {0} FOR LOGIN {0}", identifier(&pair.twin))),
    };
    let mut changes = Vec::new();
    if let Some(statement) = statement {
        session.run(&Statement::new(statement.clone())).await?;
        changes.push(statement);
    }
    let Some(original) = original else { return Ok(note(changes)) };
    let place = Place::database(&original, twin.as_deref().unwrap_or(&pair.twin));
    for question in [
        place.default_schema(),
        place.roles_lacking(),
        place.lacking(),
        place.handed_over(),
        place.roles_spare(),
        place.spare(),
    ] {
        changes.extend(apply(session, question).await?);
    }
    Ok(note(changes))
}

/// The user of a login in this database; `dbo` where it owns the database.
async fn user_of(session: &mut dyn Session, login: &str) -> Result<Option<String>, StatementError> {
    let text = format!("SELECT name FROM sys.database_principals WHERE sid = SUSER_SID({})", literal(login));
    Ok(asked(session, text).await?.into_iter().next())
}

/// The first column of an answer; NULL is what the server could not name.
async fn asked(session: &mut dyn Session, question: String) -> Result<Vec<String>, StatementError> {
    let rows = session.run(&Statement::new(question)).await?;
    let named = |row: Vec<Option<String>>| {
        row.into_iter().next().flatten().ok_or_else(|| StatementError::NotPossible {
            problem: "it has a permission on something that the rotation cannot name (a service broker's, a full-text \
                      catalog's, …); grant that to a role, and make both users members of it"
                .to_owned(),
        })
    };
    rows.into_iter().map(named).collect()
}

/// Runs the statements that a question answers with, until it answers with none.
async fn apply(session: &mut dyn Session, question: String) -> Result<Vec<String>, StatementError> {
    let statements = asked(session, question.clone()).await?;
    if statements.is_empty() {
        return Ok(statements);
    }
    for statement in &statements {
        session.run(&Statement::new(statement.clone())).await?;
    }
    let left = asked(session, question).await?;
    if left.is_empty() {
        return Ok(statements);
    }
    let problem = format!("its twin's rights cannot be made the same; this has no effect: {}", left.join("; "));
    Err(StatementError::NotPossible { problem })
}

fn options(pair: &Pair) -> String {
    format!(
        "SELECT N'ALTER LOGIN ' + QUOTENAME(t.name) + N' WITH DEFAULT_DATABASE = ' + QUOTENAME(o.default_database_name) \
         + N', DEFAULT_LANGUAGE = ' + QUOTENAME(o.default_language_name) FROM sys.sql_logins o, sys.sql_logins t \
         WHERE o.name = {} AND t.name = {} AND (o.default_database_name <> t.default_database_name \
         OR o.default_language_name <> t.default_language_name)",
        literal(&pair.original),
        literal(&pair.twin)
    )
}

/// The server, or one database: the same questions, of other catalogs.
struct Place {
    original: String,
    twin: String,
    /// `server` or `database`, as the catalogs are named.
    catalog: &'static str,
    /// What turns a name into a principal's number.
    id: &'static str,
    role: &'static str,
    /// What a permission is on, as GRANT names it.
    securable: &'static str,
}

impl Place {
    fn server(pair: &Pair) -> Place {
        Place {
            original: literal(&pair.original),
            twin: literal(&pair.twin),
            catalog: "server",
            id: "SUSER_ID",
            role: "SERVER ROLE",
            securable: "CASE s.class WHEN 100 THEN N'' WHEN 101 THEN N' ON LOGIN::' + QUOTENAME(SUSER_NAME(s.major_id)) \
                        WHEN 105 THEN N' ON ENDPOINT::' + (SELECT QUOTENAME(e.name) FROM sys.endpoints e \
                        WHERE e.endpoint_id = s.major_id) END",
        }
    }

    fn database(original: &str, twin: &str) -> Place {
        Place {
            original: literal(original),
            twin: literal(twin),
            catalog: "database",
            id: "DATABASE_PRINCIPAL_ID",
            role: "ROLE",
            securable: "CASE s.class WHEN 0 THEN N'' \
                        WHEN 1 THEN N' ON OBJECT::' + QUOTENAME(OBJECT_SCHEMA_NAME(s.major_id)) + N'.' \
                        + QUOTENAME(OBJECT_NAME(s.major_id)) + CASE s.minor_id WHEN 0 THEN N'' \
                        ELSE N' (' + QUOTENAME(COL_NAME(s.major_id, s.minor_id)) + N')' END \
                        WHEN 3 THEN N' ON SCHEMA::' + QUOTENAME(SCHEMA_NAME(s.major_id)) \
                        WHEN 4 THEN (SELECT CASE c.type WHEN 'R' THEN N' ON ROLE::' ELSE N' ON USER::' END \
                        + QUOTENAME(c.name) FROM sys.database_principals c WHERE c.principal_id = s.major_id) \
                        WHEN 5 THEN (SELECT N' ON ASSEMBLY::' + QUOTENAME(c.name) FROM sys.assemblies c \
                        WHERE c.assembly_id = s.major_id) \
                        WHEN 6 THEN (SELECT N' ON TYPE::' + QUOTENAME(SCHEMA_NAME(c.schema_id)) + N'.' \
                        + QUOTENAME(c.name) FROM sys.types c WHERE c.user_type_id = s.major_id) \
                        WHEN 24 THEN (SELECT N' ON SYMMETRIC KEY::' + QUOTENAME(c.name) FROM sys.symmetric_keys c \
                        WHERE c.symmetric_key_id = s.major_id) \
                        WHEN 25 THEN (SELECT N' ON CERTIFICATE::' + QUOTENAME(c.name) FROM sys.certificates c \
                        WHERE c.certificate_id = s.major_id) \
                        WHEN 26 THEN (SELECT N' ON ASYMMETRIC KEY::' + QUOTENAME(c.name) FROM sys.asymmetric_keys c \
                        WHERE c.asymmetric_key_id = s.major_id) END",
        }
    }

    /// Roles by number; who owns a database is in db_owner without being a member.
    fn roles(&self, name: &str) -> String {
        let (catalog, id) = (self.catalog, self.id);
        let owner = match catalog {
            "database" => format!(" UNION SELECT DATABASE_PRINCIPAL_ID(N'db_owner') WHERE {name} = N'dbo'"),
            _ => String::new(),
        };
        format!(
            "SELECT role_principal_id FROM sys.{catalog}_role_members WHERE member_principal_id = {id}({name}){owner}"
        )
    }

    fn roles_lacking(&self) -> String {
        self.roles_apart("ADD", &self.roles(&self.original), &self.roles(&self.twin))
    }

    fn roles_spare(&self) -> String {
        self.roles_apart("DROP", &self.roles(&self.twin), &self.roles(&self.original))
    }

    fn roles_apart(&self, verb: &str, these: &str, those: &str) -> String {
        let Place { catalog, role, twin, .. } = self;
        format!(
            "SELECT N'ALTER {role} ' + QUOTENAME(r.name) + N' {verb} MEMBER ' + QUOTENAME({twin}) \
             FROM sys.{catalog}_principals r WHERE r.principal_id IN ({these}) AND r.principal_id NOT IN ({those})"
        )
    }

    /// The permissions of both, `p`. A schema's owner may do what CONTROL of it allows.
    fn permissions(&self) -> String {
        let Place { catalog, id, original, twin, securable, .. } = self;
        let owned = match *catalog {
            "database" => format!(
                " UNION ALL SELECT c.principal_id, N'G', N'CONTROL', N' ON SCHEMA::' + QUOTENAME(c.name) \
                 FROM sys.schemas c WHERE c.principal_id = {id}({original}) AND {original} <> N'dbo'"
            ),
            _ => String::new(),
        };
        format!(
            "WITH p AS (SELECT s.grantee_principal_id AS grantee, s.state COLLATE DATABASE_DEFAULT AS state, \
             s.permission_name COLLATE DATABASE_DEFAULT AS permission, {securable} AS securable \
             FROM sys.{catalog}_permissions s WHERE s.grantee_principal_id IN ({id}({original}), {id}({twin})){owned})"
        )
    }

    fn lacking(&self) -> String {
        let Place { id, original, twin, .. } = self;
        format!(
            "{} SELECT CASE o.state WHEN 'D' THEN N'DENY ' ELSE N'GRANT ' END + o.permission + o.securable + N' TO ' \
             + QUOTENAME({twin}) + CASE o.state WHEN 'W' THEN N' WITH GRANT OPTION' ELSE N'' END FROM p o \
             WHERE o.grantee = {id}({original}) AND NOT EXISTS (SELECT 1 FROM p t WHERE t.grantee = {id}({twin}) \
             AND t.permission = o.permission AND t.securable = o.securable \
             AND (t.state = o.state OR (o.state = 'G' AND t.state = 'W')))",
            self.permissions()
        )
    }

    /// Asked after what was lacking is there: GRANT takes a DENY off, and DENY a GRANT.
    fn spare(&self) -> String {
        let Place { id, original, twin, .. } = self;
        format!(
            "{} SELECT N'REVOKE ' + CASE WHEN o.state IS NULL THEN N'' ELSE N'GRANT OPTION FOR ' END + t.permission \
             + t.securable + N' FROM ' + QUOTENAME({twin}) + N' CASCADE' FROM p t \
             LEFT JOIN p o ON o.grantee = {id}({original}) AND o.permission = t.permission AND o.securable = t.securable \
             WHERE t.grantee = {id}({twin}) AND (o.state IS NULL OR (o.state = 'G' AND t.state = 'W'))",
            self.permissions()
        )
    }

    fn default_schema(&self) -> String {
        let Place { original, twin, .. } = self;
        format!(
            "SELECT N'ALTER USER ' + QUOTENAME(t.name) + N' WITH DEFAULT_SCHEMA = ' \
             + QUOTENAME(ISNULL(o.default_schema_name, N'dbo')) FROM sys.database_principals o, \
             sys.database_principals t WHERE o.name = {original} AND t.name = {twin} \
             AND ISNULL(o.default_schema_name, N'dbo') <> ISNULL(t.default_schema_name, N'')"
        )
    }

    /// What the twin owns becomes the original's.
    fn handed_over(&self) -> String {
        let Place { id, original, twin, .. } = self;
        format!(
            "SELECT N'ALTER AUTHORIZATION ON SCHEMA::' + QUOTENAME(c.name) + N' TO ' + QUOTENAME({original}) \
             FROM sys.schemas c WHERE c.principal_id = {id}({twin}) UNION ALL \
             SELECT N'ALTER AUTHORIZATION ON OBJECT::' + QUOTENAME(OBJECT_SCHEMA_NAME(c.object_id)) + N'.' \
             + QUOTENAME(c.name) + N' TO ' + QUOTENAME({original}) FROM sys.objects c WHERE c.principal_id = {id}({twin})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Answer, Row};
    use super::*;

    /// Answers questions by what is in them, each answer once; and remembers what it ran.
    struct Script {
        answers: Vec<(&'static str, Vec<Option<&'static str>>)>,
        ran: Vec<String>,
    }

    impl Session for Script {
        fn run<'a>(&'a mut self, statement: &'a Statement) -> Answer<'a, Vec<Row>> {
            let text = statement.text().to_owned();
            let found = self.answers.iter().position(|(part, _)| text.contains(part));
            let rows = found.map(|at| self.answers.remove(at).1).unwrap_or_default();
            if !text.starts_with("SELECT") && !text.starts_with("WITH") {
                self.ran.push(text);
            }
            let rows = rows.into_iter().map(|row| vec![row.map(str::to_owned)]).collect();
            Box::pin(async move { Ok(rows) })
        }
    }

    fn pair() -> Pair {
        Pair { original: "app".to_owned(), twin: "app_clone".to_owned() }
    }

    #[tokio::test]
    async fn the_server_comes_first_then_every_database_and_what_is_new_before_what_is_spare() {
        let mut script = Script {
            answers: vec![
                ("sys.server_permissions s WHERE", vec![Some("GRANT VIEW SERVER STATE TO [app_clone]")]),
                ("HAS_DBACCESS(name) = 1", vec![Some("shop"), Some("other")]),
                ("SUSER_SID(N'app')", vec![Some("app")]),
                ("SUSER_SID(N'app_clone')", vec![]),
                ("ADD MEMBER", vec![Some("ALTER ROLE [db_datareader] ADD MEMBER [app_clone]")]),
                ("N'REVOKE '", vec![]),
                ("N'REVOKE '", vec![Some("REVOKE DELETE FROM [app_clone] CASCADE")]),
                ("HAS_DBACCESS(name) = 0", vec![Some("rdsadmin")]),
            ],
            ran: Vec::new(),
        };
        let changes = equalise(&mut script, &pair()).await.unwrap();
        // ADD MEMBER is asked for the server's roles first.
        assert_eq!(
            script.ran,
            [
                "USE [master]",
                "ALTER ROLE [db_datareader] ADD MEMBER [app_clone]",
                "GRANT VIEW SERVER STATE TO [app_clone]",
                "USE [shop]",
                "CREATE USER [app_clone] FOR LOGIN [app_clone]",
                "REVOKE DELETE FROM [app_clone] CASCADE",
                "USE [other]",
                "USE [master]",
            ]
        );
        assert!(changes.contains(&"in shop: CREATE USER [app_clone] FOR LOGIN [app_clone]".to_owned()));
        assert!(changes.last().unwrap().contains("[rdsadmin]"), "what cannot be compared is told");
    }

    #[tokio::test]
    async fn a_user_of_the_twins_where_the_original_has_none_goes() {
        let mut script = Script {
            answers: vec![
                ("HAS_DBACCESS(name) = 1", vec![Some("shop")]),
                ("SUSER_SID(N'app_clone')", vec![Some("app_clone")]),
            ],
            ran: Vec::new(),
        };
        equalise(&mut script, &pair()).await.unwrap();
        assert_eq!(script.ran, ["USE [master]", "USE [shop]", "DROP USER [app_clone]", "USE [master]"]);
    }

    #[tokio::test]
    async fn a_permission_that_cannot_be_named_and_one_that_does_not_take_are_errors() {
        let cannot = vec![("sys.server_permissions s WHERE", vec![None])];
        let does_not_take =
            vec![("DEFAULT_DATABASE", vec![Some("ALTER LOGIN x")]), ("DEFAULT_DATABASE", vec![Some("ALTER LOGIN x")])];
        for (answers, words) in [(cannot, "cannot name"), (does_not_take, "has no effect: ALTER LOGIN x")] {
            let mut script = Script { answers, ran: Vec::new() };
            match equalise(&mut script, &pair()).await {
                Err(StatementError::NotPossible { problem }) => assert!(problem.contains(words), "{problem}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn names_are_literals_in_every_question() {
        let place = Place::database("it's", "twin's");
        for question in
            [place.roles_lacking(), place.lacking(), place.spare(), place.default_schema(), place.handed_over()]
        {
            assert!(question.contains("N'twin''s'") && !question.contains("twin's"), "{question}");
        }
    }
}
