//! Reads the statements that change something, word by word.

use super::tokens::Token;
use super::{CredentialDefinition, Grant, LoginStatement, Statement, SyntaxError};

pub(super) struct Reader<'a> {
    pub(super) tokens: &'a [Token],
    pub(super) at: usize,
}

impl Reader<'_> {
    pub(super) fn statement(&mut self) -> Result<Statement, SyntaxError> {
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
        self.login_statement().map(Statement::OfLogins)
    }

    fn login_statement(&mut self) -> Result<LoginStatement, SyntaxError> {
        if self.accept_words(&["CREATE", "LOGIN"]) {
            return self.create_login();
        }
        if self.accept_words(&["ALTER", "LOGIN"]) {
            return self.alter_login();
        }
        if self.accept_words(&["CREATE", "USER"]) {
            let name = self.name()?;
            self.words(&["FOR", "LOGIN"])?;
            let login = self.name()?;
            return Ok(LoginStatement::CreateUser { name, login, schema: self.default_schema()? });
        }
        if self.accept_words(&["ALTER", "USER"]) {
            return self.alter_user();
        }
        if self.accept_words(&["ALTER", "SERVER", "ROLE"]) {
            let (role, member) = self.new_member()?;
            return Ok(LoginStatement::AddServerRoleMember { role, member });
        }
        if self.accept_words(&["ALTER", "ROLE"]) {
            let (role, member) = self.new_member()?;
            return Ok(LoginStatement::AddRoleMember { role, member });
        }
        if self.accept_words(&["GRANT"]) {
            return self.permission("GRANT").map(LoginStatement::Permit);
        }
        if self.accept_words(&["DENY"]) {
            return self.permission("DENY").map(LoginStatement::Permit);
        }
        Err(self.unexpected())
    }

    /// The SID makes replicas agree; the policy is never left out.
    fn create_login(&mut self) -> Result<LoginStatement, SyntaxError> {
        let name = self.name()?;
        let password = self.password()?;
        self.mark(',')?;
        self.words(&["SID"])?;
        self.mark('=')?;
        let sid = self.bytes()?;
        self.mark(',')?;
        self.words(&["CHECK_POLICY"])?;
        self.mark('=')?;
        self.words(&["ON"])?;
        Ok(LoginStatement::Create { name, password, sid })
    }

    fn alter_login(&mut self) -> Result<LoginStatement, SyntaxError> {
        let name = self.name()?;
        if self.accept_words(&["WITH", "DEFAULT_DATABASE"]) {
            self.mark('=')?;
            let database = self.name()?;
            self.mark(',')?;
            self.words(&["DEFAULT_LANGUAGE"])?;
            self.mark('=')?;
            return Ok(LoginStatement::AlterDefaults { name, database, language: self.name()? });
        }
        let password = self.password()?;
        Ok(LoginStatement::AlterPassword { name, password, unlock: self.accept_words(&["UNLOCK"]) })
    }

    fn alter_user(&mut self) -> Result<LoginStatement, SyntaxError> {
        let name = self.name()?;
        if self.tokens.get(self.at + 1) == Some(&Token::Word("DEFAULT_SCHEMA".to_owned())) {
            return Ok(LoginStatement::AlterUserSchema { name, schema: self.default_schema()? });
        }
        Ok(LoginStatement::AlterUserPassword { name, password: self.password()? })
    }

    fn password(&mut self) -> Result<String, SyntaxError> {
        self.words(&["WITH", "PASSWORD"])?;
        self.mark('=')?;
        self.text()
    }

    fn default_schema(&mut self) -> Result<String, SyntaxError> {
        self.words(&["WITH", "DEFAULT_SCHEMA"])?;
        self.mark('=')?;
        self.name()
    }

    fn new_member(&mut self) -> Result<(String, String), SyntaxError> {
        let role = self.name()?;
        self.words(&["ADD", "MEMBER"])?;
        Ok((role, self.name()?))
    }

    /// Everything up to ON is the right, everything up to TO is what it is on.
    fn permission(&mut self, verb: &str) -> Result<Grant, SyntaxError> {
        let permission = self.words_up_to(&["ON", "TO"]);
        let on = if self.accept_words(&["ON"]) { self.securable()? } else { String::new() };
        self.words(&["TO"])?;
        let grantee = self.name()?;
        let with_option = verb == "GRANT" && self.accept_words(&["WITH", "GRANT", "OPTION"]);
        let state = if with_option { "GRANT_WITH_GRANT_OPTION" } else { verb };
        Ok(Grant { state: state.to_owned(), permission, on, grantee })
    }

    fn words_up_to(&mut self, ends: &[&str]) -> String {
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.tokens.get(self.at) {
            if ends.contains(&word.as_str()) {
                break;
            }
            words.push(word.clone());
            self.at += 1;
        }
        words.join(" ")
    }

    /// `SCHEMA::[name]` or `OBJECT::[schema].[name]`, perhaps with a column.
    fn securable(&mut self) -> Result<String, SyntaxError> {
        let class = self.words_up_to(&[]);
        self.mark(':')?;
        self.mark(':')?;
        let mut on = format!("{class}::[{}]", self.name()?.replace(']', "]]"));
        if self.accept_mark('.') {
            on.push_str(&format!(".[{}]", self.name()?.replace(']', "]]")));
        }
        if self.accept_mark('(') {
            on.push_str(&format!(" ([{}])", self.name()?.replace(']', "]]")));
            self.mark(')')?;
        }
        Ok(on)
    }

    /// A binary constant, 0x and an even number of digits.
    fn bytes(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let Some(Token::Word(word)) = self.tokens.get(self.at) else { return Err(self.unexpected()) };
        let digits = word.strip_prefix("0X").filter(|digits| digits.len() % 2 == 0 && digits.is_ascii());
        let digits = digits.ok_or_else(|| self.unexpected())?;
        let bytes: Result<Vec<u8>, _> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16)).collect();
        let bytes = bytes.map_err(|_| self.unexpected())?;
        self.at += 1;
        Ok(bytes)
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

    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
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
