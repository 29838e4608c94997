//! Makes the twin a member of the original that becomes it at login, and takes away whatever else it has.
//!
//! The server writes most of the statements itself: `format('%I')` quotes names as only it knows how.

use super::super::{Administrator, Connector, Login, Pair, Row, Session, Statement, StatementError};
use super::{identifier, literal};

/// Makes the twin equal to the original; what was changed.
pub(super) async fn equalise(
    connector: &dyn Connector,
    administrator: &mut Administrator<'_>,
    pair: &Pair,
) -> Result<Vec<String>, StatementError> {
    let session = administrator.session.as_mut();
    let mut changes = Vec::new();
    // In this order: what the twin is to have, before what it is to lose.
    for question in [membership(pair), settings(pair), attributes(pair), other_memberships(pair)] {
        for statement in asked(session, question).await? {
            session.run(&Statement::new(statement.clone())).await?;
            changes.push(statement);
        }
    }
    for database in asked(session, databases_with_own_things(pair)).await? {
        let login = Login { database: Some(database.clone()), ..administrator.login.clone() };
        let opened = connector.connect(&login).await;
        let mut there = opened.map_err(|error| StatementError::NotPossible {
            problem: format!("its twin owns things in the database {database}, which cannot be entered: {error:?}"),
        })?;
        changes.extend(hand_over(there.as_mut(), pair).await?);
    }
    let left = asked(administrator.session.as_mut(), own_things(pair)).await?;
    if left.is_empty() {
        return Ok(changes);
    }
    let problem = format!(
        "its twin {} has rights of its own which this administrator cannot take away: {}. Run as their grantor: DROP \
         OWNED BY {}",
        pair.twin,
        left.join("; "),
        identifier(&pair.twin)
    );
    Err(StatementError::NotPossible { problem })
}

/// What the twin owns in this database becomes the original's, and what it was granted directly goes.
async fn hand_over(session: &mut dyn Session, pair: &Pair) -> Result<Vec<String>, StatementError> {
    let reassign = format!("REASSIGN OWNED BY {} TO {}", identifier(&pair.twin), identifier(&pair.original));
    let mut changes = Vec::new();
    if !asked(session, owns_here(pair)).await?.is_empty() {
        session.run(&Statement::new(reassign.clone())).await?;
        changes.push(reassign);
    }
    for statement in asked(session, grants_here(pair)).await? {
        session.run(&Statement::new(statement.clone())).await?;
        changes.push(statement);
    }
    Ok(changes)
}

/// The first column of an answer.
async fn asked(session: &mut dyn Session, question: String) -> Result<Vec<String>, StatementError> {
    let rows: Vec<Row> = session.run(&Statement::new(question)).await?;
    Ok(rows.into_iter().filter_map(|mut row| if row.is_empty() { None } else { row.swap_remove(0) }).collect())
}

/// `o` is the original and `t` the twin in every question.
fn both(pair: &Pair) -> String {
    let (original, twin) = (literal(&pair.original), literal(&pair.twin));
    format!(
        "(SELECT * FROM pg_catalog.pg_roles WHERE rolname = {original}) o, \
         (SELECT * FROM pg_catalog.pg_roles WHERE rolname = {twin}) t"
    )
}

fn membership(pair: &Pair) -> String {
    format!(
        "SELECT format('GRANT %I TO %I', o.rolname, t.rolname) FROM {} WHERE NOT EXISTS \
         (SELECT 1 FROM pg_catalog.pg_auth_members m WHERE m.roleid = o.oid AND m.member = t.oid)",
        both(pair)
    )
}

/// Every other role; and the original's, where it may be passed on.
fn other_memberships(pair: &Pair) -> String {
    format!(
        "SELECT format(CASE WHEN g.oid = o.oid THEN 'REVOKE ADMIN OPTION FOR %I FROM %I' ELSE 'REVOKE %I FROM %I' END, \
         g.rolname, t.rolname) FROM {}, pg_catalog.pg_auth_members m, pg_catalog.pg_roles g \
         WHERE m.member = t.oid AND g.oid = m.roleid AND (g.oid <> o.oid OR m.admin_option)",
        both(pair)
    )
}

/// The attributes come with the original as whom the twin acts; those of its own may only be fewer. Limits are its own.
fn attributes(pair: &Pair) -> String {
    format!(
        "SELECT * FROM (SELECT format('ALTER ROLE %I', t.rolname) || \
         CASE WHEN NOT t.rolcanlogin THEN ' LOGIN' ELSE '' END || \
         CASE WHEN NOT t.rolinherit THEN ' INHERIT' ELSE '' END || \
         CASE WHEN t.rolsuper AND NOT o.rolsuper THEN ' NOSUPERUSER' ELSE '' END || \
         CASE WHEN t.rolcreatedb AND NOT o.rolcreatedb THEN ' NOCREATEDB' ELSE '' END || \
         CASE WHEN t.rolcreaterole AND NOT o.rolcreaterole THEN ' NOCREATEROLE' ELSE '' END || \
         CASE WHEN t.rolbypassrls AND NOT o.rolbypassrls THEN ' NOBYPASSRLS' ELSE '' END || \
         CASE WHEN t.rolreplication AND NOT o.rolreplication THEN ' NOREPLICATION' ELSE '' END || \
         CASE WHEN t.rolconnlimit <> o.rolconnlimit THEN ' CONNECTION LIMIT ' || o.rolconnlimit ELSE '' END || \
         CASE WHEN coalesce(t.rolvaliduntil, 'infinity') <> coalesce(o.rolvaliduntil, 'infinity') \
         THEN format(' VALID UNTIL %L', coalesce(o.rolvaliduntil, 'infinity')) ELSE '' END AS statement, \
         format('ALTER ROLE %I', t.rolname) AS nothing FROM {}) a WHERE statement <> nothing",
        both(pair)
    )
}

/// The settings that a role has from its login on: the original's, and `role` where it has none of its own. Values go
/// through set_config, which takes lists as they are stored; the implicit transaction ends that.
fn settings(pair: &Pair) -> String {
    format!(
        "WITH both_roles AS (SELECT o.oid AS original, t.oid AS twin, o.rolname AS original_name, t.rolname AS twin_name \
         FROM {}), \
         found AS (SELECT s.setrole, CASE WHEN d.datname IS NULL THEN '' ELSE format(' IN DATABASE %I', d.datname) END AS place, \
         split_part(e, '=', 1) AS name, substr(e, strpos(e, '=') + 1) AS value \
         FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, \
         unnest(s.setconfig) e), \
         wanted AS (SELECT place, name, value FROM found, both_roles WHERE setrole = original UNION ALL \
         SELECT '', 'role', original_name FROM both_roles WHERE NOT EXISTS \
         (SELECT 1 FROM found WHERE setrole = original AND place = '' AND name = 'role')), \
         held AS (SELECT place, name, value FROM found, both_roles WHERE setrole = twin) \
         SELECT CASE WHEN name = 'role' THEN format('ALTER ROLE %I%s SET role TO %L', twin_name, place, value) \
         ELSE format('SELECT pg_catalog.set_config(%L, %L, true); ALTER ROLE %I%s SET %I FROM CURRENT', \
         name, value, twin_name, place, name) END \
         FROM both_roles, (SELECT * FROM wanted EXCEPT SELECT * FROM held) lacking UNION ALL \
         SELECT format('ALTER ROLE %I%s RESET %I', twin_name, place, name) FROM both_roles, held \
         WHERE NOT EXISTS (SELECT 1 FROM wanted WHERE wanted.place = held.place AND wanted.name = held.name)",
        both(pair)
    )
}

/// `o` for what the twin owns, `a` for what it was granted by name.
fn dependencies(pair: &Pair) -> String {
    format!(
        "pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
         WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.deptype IN ('o', 'a') \
         AND s.refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {})",
        literal(&pair.twin)
    )
}

/// Shared things can be handed over from any database.
fn databases_with_own_things(pair: &Pair) -> String {
    format!("SELECT DISTINCT coalesce(d.datname, current_database()) FROM {}", dependencies(pair))
}

fn own_things(pair: &Pair) -> String {
    format!(
        "SELECT format('%s %s of %s in %s', count(*), CASE s.deptype WHEN 'o' THEN 'own' ELSE 'granted' END, \
         s.classid::regclass, coalesce(d.datname, 'the server')) FROM {} GROUP BY s.deptype, s.classid, d.datname",
        dependencies(pair)
    )
}

fn owns_here(pair: &Pair) -> String {
    format!(
        "SELECT 1 FROM {} AND s.deptype = 'o' AND coalesce(d.datname, current_database()) = current_database()",
        dependencies(pair)
    )
}

/// REVOKE for each thing that names the twin in its list of grants.
fn grants_here(pair: &Pair) -> String {
    let twin = literal(&pair.twin);
    let of = |catalog: &str, list: &str, kind: &str, name: &str| {
        format!(
            "SELECT format('REVOKE ALL ON %s %s FROM %I', {kind}, {name}, t.rolname) FROM pg_catalog.{catalog} c, \
             aclexplode(c.{list}) g JOIN pg_catalog.pg_roles t ON t.oid = g.grantee WHERE t.rolname = {twin}"
        )
    };
    [
        of("pg_class", "relacl", "CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END", "c.oid::regclass"),
        of("pg_namespace", "nspacl", "'SCHEMA'", "quote_ident(c.nspname)"),
        of("pg_database", "datacl", "'DATABASE'", "quote_ident(c.datname)"),
        of("pg_proc", "proacl", "'ROUTINE'", "c.oid::regprocedure"),
        of("pg_type", "typacl", "'TYPE'", "c.oid::regtype"),
        of("pg_language", "lanacl", "'LANGUAGE'", "quote_ident(c.lanname)"),
        of("pg_foreign_server", "srvacl", "'FOREIGN SERVER'", "quote_ident(c.srvname)"),
        format!(
            "SELECT format('REVOKE ALL (%I) ON TABLE %s FROM %I', c.attname, c.attrelid::regclass, t.rolname) \
             FROM pg_catalog.pg_attribute c, aclexplode(c.attacl) g JOIN pg_catalog.pg_roles t ON t.oid = g.grantee \
             WHERE t.rolname = {twin}"
        ),
    ]
    .join(" UNION ")
}
