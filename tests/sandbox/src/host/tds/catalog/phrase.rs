//! A statement as its words and its values: what makes it this statement, and what it is about.

/// A statement, taken apart. No Debug: some values are passwords.
pub(super) struct Phrase {
    text: String,
    shape: String,
    values: Vec<String>,
}

impl Phrase {
    /// Every literal becomes `?` and every name in brackets `[]`; blanks, case and a last semicolon do not matter.
    pub(super) fn of(batch: &str) -> Phrase {
        let (mut shape, mut values) = (String::new(), Vec::new());
        let mut rest = batch.trim().trim_end_matches(';');
        while let Some(first) = rest.chars().next() {
            let national = rest.starts_with("N'");
            let (mark, start, close) = match first {
                '[' => ("[]", 1, ']'),
                '\'' => ("?", 1, '\''),
                'N' if national => ("?", 2, '\''),
                _ => {
                    let blank = first.is_whitespace();
                    if !blank {
                        shape.extend(first.to_lowercase());
                    } else if !shape.ends_with(' ') {
                        shape.push(' ');
                    }
                    rest = &rest[first.len_utf8()..];
                    continue;
                }
            };
            let (value, length) = quoted(&rest[start..], close);
            values.push(value);
            shape.push_str(mark);
            rest = &rest[start + length..];
        }
        Phrase { text: batch.trim().to_owned(), shape: shape.trim_end().to_owned(), values }
    }

    /// The words.
    pub(super) fn shape(&self) -> &str {
        &self.shape
    }

    /// Literals and names in their order.
    pub(super) fn values(&self) -> &[String] {
        &self.values
    }

    /// As it was said.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Up to the closing character, which is doubled where it is meant itself; how long it was with its end.
fn quoted(rest: &str, close: char) -> (String, usize) {
    let mut value = String::new();
    let mut characters = rest.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != close {
            value.push(character);
        } else if characters.next_if(|(_, next)| *next == close).is_some() {
            value.push(close);
        } else {
            return (value, at + close.len_utf8());
        }
    }
    (value, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_make_the_statement_and_values_are_what_it_is_about() {
        let phrase = Phrase::of("ALTER  LOGIN [a]]b]\n WITH PASSWORD = N'it''s [x] ö'; ");
        assert_eq!(phrase.shape(), "alter login [] with password = ?");
        assert_eq!(phrase.values(), ["a]b", "it's [x] ö"]);
        assert_eq!(Phrase::of("SELECT 1").shape(), "select 1");
    }
}
