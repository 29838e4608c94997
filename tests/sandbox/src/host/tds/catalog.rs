//! The queries that clients on the wire send besides the scripts' statements, each known as a whole.
//!
//! Strict on purpose, as [`tsql`](crate::host::tsql) is: a query that is not here is refused, so that nobody takes an
//! answer for SQL Server's that is only a guess. A new one is a line in [`QUERIES`] and a function.

use jiff::Timestamp;

use super::{Request, RowSet};
use crate::host::sql_server::{Connection, Principal, SqlMessage, SqlServer};

/// What a query answers.
type Answer = Result<Vec<RowSet>, Vec<SqlMessage>>;

/// Who asks whom, and with what.
struct Question<'a> {
    server: &'a mut SqlServer,
    connection: &'a Connection,
}

/// Every query with what answers it; blanks and case do not matter.
const QUERIES: &[(&str, fn(Question<'_>) -> Answer)] =
    &[("SELECT 1", |_| text(["1"])), ("SELECT SUSER_SNAME()", |asked| text([asked.name()]))];

/// The answer, where the query is one of these.
pub(super) fn answer(
    server: &mut SqlServer,
    connection: &Connection,
    request: &Request,
    _now: Timestamp,
) -> Option<Answer> {
    let asked = folded(&request.batch);
    let (_, answer) = QUERIES.iter().find(|(query, _)| folded(query) == asked)?;
    Some(answer(Question { server, connection }))
}

impl Question<'_> {
    fn name(&self) -> &str {
        let (Principal::Login(name) | Principal::ContainedUser(name)) = &self.connection.principal;
        name
    }
}

fn text<const N: usize>(rows: [&str; N]) -> Answer {
    Ok(vec![RowSet::of_text(rows.map(str::to_owned).to_vec())])
}

/// A query without what makes no difference.
fn folded(query: &str) -> String {
    let words: Vec<&str> = query.trim_end_matches([';', ' ', '\n']).split_whitespace().collect();
    words.join(" ").to_lowercase()
}
