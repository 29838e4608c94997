//! GetRandomPassword: by default 32 characters with at least one of each type that is not excluded (FACTS D).

use serde_json::{Value, json};

use super::super::ServiceError;
use super::super::request::Turn;
use super::super::state::State;
use super::refused;

const MOST_CHARACTERS: usize = 4096;
const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const NUMBERS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub(super) fn get_random_password(state: &mut State, turn: &Turn<'_>) -> Result<Value, ServiceError> {
    let length = turn.number("PasswordLength", 32, 1, MOST_CHARACTERS)?;
    let excluded = turn.optional_text("ExcludeCharacters").unwrap_or_default();
    let kept = |(flag, characters): (&str, &str)| {
        let left: Vec<char> = characters.chars().filter(|character| !excluded.contains(*character)).collect();
        (!turn.flag(flag)).then_some(left)
    };
    let types = [
        ("ExcludeUppercase", UPPERCASE),
        ("ExcludeLowercase", LOWERCASE),
        ("ExcludeNumbers", NUMBERS),
        ("ExcludePunctuation", PUNCTUATION),
    ];
    let mut types: Vec<Vec<char>> = types.into_iter().filter_map(kept).collect();
    if turn.flag("IncludeSpace") {
        types.push(vec![' ']);
    }
    let each = turn.optional_text("RequireEachIncludedType").is_none_or(|text| text == "true");
    if types.iter().all(Vec::is_empty) || (each && types.iter().any(Vec::is_empty)) {
        let message = "The exclusions leave no character of a type that must be included.";
        return Err(refused("InvalidParameterException", message));
    }
    if each && types.len() > length {
        let message = "The password length is too short based on the required types.";
        return Err(refused("InvalidParameterException", message));
    }
    let all: Vec<char> = types.concat();
    // One of each required type, then any; the order is mixed, so that nobody knows where the digits are.
    let required = types.iter().filter(|_| each).map(|characters| state.identifiers.one_of(characters));
    let mut password: Vec<char> = required.collect();
    while password.len() < length {
        password.push(state.identifiers.one_of(&all));
    }
    for index in (1..password.len()).rev() {
        let other = state.identifiers.below(index + 1);
        password.swap(index, other);
    }
    Ok(json!({ "RandomPassword": password.into_iter().collect::<String>() }))
}
