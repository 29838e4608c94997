//! Reads the few T-SQL statements that the scripts send, and refuses every other one as SQL Server would.
//!
//! Strict on purpose: a statement that this parser does not know is a change of the script that nobody judged.
//! Microsoft's own parsers judge the rendered statements elsewhere (issue 3); this one only has to be sure of what
//! each statement does.

use std::sync::LazyLock;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Version, engine edition and the right to alter credentials, in one row.
    SelectInstance,
    /// The right to back up model.
    SelectRightToBackUp,
    /// The S3 credentials, one a row.
    SelectCredentials,
    /// `CREATE CREDENTIAL`.
    Create(CredentialDefinition),
    /// `ALTER CREDENTIAL`, which resets identity *and* secret (FACTS B).
    Alter(CredentialDefinition),
    /// `DROP CREDENTIAL`.
    Drop {
        /// Its name.
        name: String,
    },
    /// `BACKUP DATABASE … TO URL`.
    Backup {
        /// The database.
        database: String,
        /// Where to.
        url: String,
        /// The region of BACKUP_OPTIONS; SQL Server assumes us-east-1 without it (FACTS B).
        region: Option<String>,
    },
}

/// What CREATE and ALTER CREDENTIAL say.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialDefinition {
    /// The credential's name, a URL.
    pub name: String,
    /// The identity.
    pub identity: String,
    /// The secret; without one the stored secret becomes NULL.
    pub secret: Option<String>,
}

impl std::fmt::Debug for CredentialDefinition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CredentialDefinition").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where reading stopped; SQL Server's Msg 102.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The text near which it stopped.
    pub near: String,
}

/// The query for an instance's facts, token by token; see `look_at_instance` in `host/linux.sh`.
const SELECT_INSTANCE: &str = "SELECT N'~instance~' + CONVERT(nvarchar(128), \
     SERVERPROPERTY(N'ProductVersion')) + N'~' + CONVERT(nvarchar(10), SERVERPROPERTY(N'EngineEdition')) + N'~' + \
     CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL'));";

/// The query for the right that a proof needs; see `require_right_to_back_up` in `inspect.sh`.
const SELECT_RIGHT_TO_BACK_UP: &str = "SELECT N'~backup~' + CONVERT(nvarchar(10), \
     ISNULL(HAS_PERMS_BY_NAME(N'model', N'DATABASE', N'BACKUP DATABASE'), 0));";

/// The query for an instance's S3 credentials; see `read_credentials` in `host/linux.sh`.
const SELECT_CREDENTIALS: &str = "SELECT N'~credential~' + CONVERT(nvarchar(33), modify_date, 126) + N'~' + \
     CASE WHEN credential_identity = N'S3 Access Key' THEN N's3' ELSE N'other' END + N'~' + name \
     FROM sys.credentials WHERE LOWER(name) LIKE N's3://%' ORDER BY name;";

/// The queries that are known as a whole.
static QUERIES: LazyLock<Vec<(Vec<Token>, Statement)>> = LazyLock::new(|| {
    let known = [
        (SELECT_INSTANCE, Statement::SelectInstance),
        (SELECT_RIGHT_TO_BACK_UP, Statement::SelectRightToBackUp),
        (SELECT_CREDENTIALS, Statement::SelectCredentials),
    ];
    known.into_iter().filter_map(|(query, statement)| Some((tokenize(query).ok()?, statement))).collect()
});

/// Reads one batch, which in our scripts is one statement.
///
/// # Errors
/// When the batch is none of the known statements.
pub fn parse(batch: &str) -> Result<Statement, SyntaxError> {
    let tokens = tokenize(batch)?;
    if let Some((_, statement)) = QUERIES.iter().find(|(query, _)| *query == tokens) {
        return Ok(statement.clone());
    }
    let mut reader = Reader { tokens: &tokens, at: 0 };
    let statement = reader.statement()?;
    reader.end()?;
    Ok(statement)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A keyword or a bare name, in upper case.
    Word(String),
    /// A name in brackets.
    Name(String),
    /// A literal, with or without its N.
    Text(String),
    /// One character of punctuation.
    Mark(char),
}

fn tokenize(batch: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut rest = batch.trim_start();
    while let Some(first) = rest.chars().next() {
        let national = rest.starts_with("N'") || rest.starts_with("n'");
        let (token, length) = if first == '[' {
            let (name, length) = quoted(&rest[1..], ']')?;
            (Token::Name(name), length + 1)
        } else if first == '\'' || national {
            let open = if national { 2 } else { 1 };
            let (text, length) = quoted(&rest[open..], '\'')?;
            (Token::Text(text), length + open)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Token::Word(rest[..length].to_ascii_uppercase()), length)
        } else {
            (Token::Mark(first), first.len_utf8())
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// Reads up to the closing character, which is doubled where it is meant itself. SQL Server calls a missing one Msg 105.
fn quoted(rest: &str, close: char) -> Result<(String, usize), SyntaxError> {
    let mut value = String::new();
    let mut characters = rest.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != close {
            value.push(character);
        } else if characters.next_if(|(_, next)| *next == close).is_some() {
            value.push(close);
        } else {
            return Ok((value, at + close.len_utf8()));
        }
    }
    Err(SyntaxError { near: close.to_string() })
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn statement(&mut self) -> Result<Statement, SyntaxError> {
        if self.accept_words(&["CREATE", "CREDENTIAL"]) {
            return self.definition().map(Statement::Create);
        }
        if self.accept_words(&["ALTER", "CREDENTIAL"]) {
            return self.definition().map(Statement::Alter);
        }
        if self.accept_words(&["DROP", "CREDENTIAL"]) {
            return Ok(Statement::Drop { name: self.name()? });
        }
        if self.accept_words(&["BACKUP", "DATABASE"]) {
            return self.backup();
        }
        Err(self.unexpected())
    }

    fn definition(&mut self) -> Result<CredentialDefinition, SyntaxError> {
        let name = self.name()?;
        self.words(&["WITH", "IDENTITY"])?;
        self.mark('=')?;
        let identity = self.text()?;
        let mut secret = None;
        if self.accept_mark(',') {
            self.words(&["SECRET"])?;
            self.mark('=')?;
            secret = Some(self.text()?);
        }
        Ok(CredentialDefinition { name, identity, secret })
    }

    fn backup(&mut self) -> Result<Statement, SyntaxError> {
        let database = self.name()?;
        self.words(&["TO", "URL"])?;
        self.mark('=')?;
        let url = self.text()?;
        // The proof overwrites its object and must not break a chain of backups.
        self.words(&["WITH", "COPY_ONLY"])?;
        self.mark(',')?;
        self.words(&["FORMAT"])?;
        let mut region = None;
        if self.accept_mark(',') {
            self.words(&["BACKUP_OPTIONS"])?;
            self.mark('=')?;
            let options = self.text()?;
            region = serde_json::from_str::<serde_json::Value>(&options)
                .ok()
                .and_then(|options| options["s3"]["region"].as_str().map(str::to_owned));
            if region.is_none() {
                return Err(SyntaxError { near: "BACKUP_OPTIONS".to_owned() });
            }
        }
        Ok(Statement::Backup { database, url, region })
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        match self.tokens.get(self.at) {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name.clone())
            }
            Some(Token::Word(_) | Token::Text(_) | Token::Mark(_)) | None => Err(self.unexpected()),
        }
    }

    fn text(&mut self) -> Result<String, SyntaxError> {
        match self.tokens.get(self.at) {
            Some(Token::Text(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            Some(Token::Word(_) | Token::Name(_) | Token::Mark(_)) | None => Err(self.unexpected()),
        }
    }

    fn accept_words(&mut self, words: &[&str]) -> bool {
        let found = words
            .iter()
            .enumerate()
            .all(|(offset, word)| self.tokens.get(self.at + offset) == Some(&Token::Word((*word).to_owned())));
        if found {
            self.at += words.len();
        }
        found
    }

    fn words(&mut self, words: &[&str]) -> Result<(), SyntaxError> {
        if self.accept_words(words) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn accept_mark(&mut self, mark: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Mark(mark));
        if found {
            self.at += 1;
        }
        found
    }

    fn mark(&mut self, mark: char) -> Result<(), SyntaxError> {
        if self.accept_mark(mark) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn end(&mut self) -> Result<(), SyntaxError> {
        self.accept_mark(';');
        if self.at == self.tokens.len() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> SyntaxError {
        let near = match self.tokens.get(self.at) {
            Some(Token::Word(text) | Token::Name(text) | Token::Text(text)) => text.clone(),
            Some(Token::Mark(mark)) => mark.to_string(),
            None => "the end".to_owned(),
        };
        SyntaxError { near }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_brackets_in_values_stay_values() {
        let batch = "CREATE CREDENTIAL [s3://b/a]]b] WITH IDENTITY = 'S3 Access Key', SECRET = N'AKIA:x''; DROP';";
        let Ok(Statement::Create(definition)) = parse(batch) else { panic!("{:?}", parse(batch)) };
        assert_eq!(definition.name, "s3://b/a]b");
        assert_eq!(definition.secret.unwrap(), "AKIA:x'; DROP");
    }

    #[test]
    fn a_second_statement_in_a_batch_is_refused() {
        let error = parse("DROP CREDENTIAL [s3://b]; DROP CREDENTIAL [s3://c];").unwrap_err();
        assert_eq!(error.near, "DROP");
    }

    #[test]
    fn a_statement_that_no_script_sends_is_refused() {
        for batch in ["SELECT 1", "EXEC(N'ALTER CREDENTIAL')", "BACKUP DATABASE [model] TO URL = N's3://b/x'", "DROP"] {
            assert!(parse(batch).is_err(), "{batch}");
        }
    }

    #[test]
    fn a_backup_names_its_region() {
        let batch = "BACKUP DATABASE [model] TO URL = N's3://b/x' WITH COPY_ONLY, FORMAT, \
                     BACKUP_OPTIONS = N'{\"s3\": {\"region\":\"eu-west-1\"}}';";
        let Ok(Statement::Backup { region, .. }) = parse(batch) else { panic!("{:?}", parse(batch)) };
        assert_eq!(region.as_deref(), Some("eu-west-1"));
    }
}
