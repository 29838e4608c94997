//! `*` and `?`, as the values of EC2's filters and the actions of IAM's policies use them.

/// Whether a text is what a pattern says: `*` stands for any characters and `?` for one.
pub(super) fn matches_wildcards(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '*' => text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches_wildcards(rest, &text[at..])),
        _ => text.chars().next().is_some_and(|character| {
            (first == '?' || first == character) && matches_wildcards(rest, &text[character.len_utf8()..])
        }),
    }
}
