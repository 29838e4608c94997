//! T-SQL taken apart into words, names, literals and marks.

use super::SyntaxError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a bare name, in upper case.
    Word(String),
    /// A name in brackets.
    Name(String),
    /// A literal, with or without its N.
    Text(String),
    /// One character of punctuation.
    Mark(char),
}

pub(super) fn tokenize(batch: &str) -> Result<Vec<Token>, SyntaxError> {
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
