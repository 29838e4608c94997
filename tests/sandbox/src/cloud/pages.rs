//! Pages of a list, with opaque tokens.

use super::ServiceError;

/// One page: the items, and the token of the next one if there is more.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_token: Option<String>,
}

/// Cuts a page out of `items`, which must come in an order that later calls keep.
/// The token names the last item's key and not a position, so that a page is not skewed by what was added meanwhile.
pub(super) fn page<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    size: usize,
    token: Option<&str>,
    invalid: impl Fn() -> ServiceError,
) -> Result<Page<T>, ServiceError> {
    let start = match token {
        None => 0,
        Some(token) => {
            let last = key_of(token).ok_or_else(&invalid)?;
            items.iter().position(|item| key(item) == last).ok_or_else(&invalid)? + 1
        }
    };
    let more = items.len() > start + size;
    let items: Vec<T> = items.into_iter().skip(start).take(size).collect();
    let next_token = items.last().filter(|_| more).map(|item| token_of(&key(item)));
    Ok(Page { items, next_token })
}

/// The key that a token names.
fn key_of(token: &str) -> Option<String> {
    let pairs = (0..token.len()).step_by(2).rev();
    let bytes: Option<Vec<u8>> = pairs.map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}

fn token_of(key: &str) -> String {
    key.bytes().rev().map(|byte| format!("{byte:02x}")).collect()
}
