//! The two secrets that a host reads: whatever people stored in them, and whether it may read them at all.

use rotation::host_answer::HostError;

use crate::cloud::{NEW, NEW_KEY, OLD_KEY};
use crate::situation::{Row, Situation, altered, host_failed, rows};
use crate::stage::URL;

pub const ROWS: &[Row] = rows![
    a_value_as_the_published_solution_stores_it_is_a_key,
    a_value_as_json_may_be_written_in_any_legal_way,
    a_value_as_aws_names_its_members_is_a_key,
    a_value_without_a_secret_part_touches_nothing,
    a_value_with_a_second_colon_touches_nothing,
    a_value_that_is_broken_json_touches_nothing,
    an_empty_value_touches_nothing,
    a_secret_that_cannot_be_read_touches_nothing,
    an_administrators_secret_that_cannot_be_read_touches_nothing,
    an_administrators_secret_that_is_no_json_touches_nothing,
    an_administrators_secret_without_a_password_touches_nothing,
];

fn with_the_new_value(value: &'static str) -> Situation {
    Situation::new().so(move |stage| {
        stage.cloud().values.insert(NEW, value.to_owned());
    })
}

fn a_value_as_the_published_solution_stores_it_is_a_key() -> Situation {
    with_the_new_value("AKIANEW0000000000000:new+Secret/1111111111111111111111111111'")
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_value_as_json_may_be_written_in_any_legal_way() -> Situation {
    with_the_new_value(
        "\n{ \"version\" : 2, \"secretAccessKey\":\"new+Secret\\/1111111111111111111\\u00311111111\\u0031\\u0027\",\n\
         \"note\": \"a \\\"quoted\\\" {brace}, a colon: and \\ud83d\\ude00\", \"active\":true, \"until\": null,\n\
         \"accessKeyId\" : \"AKIA\\u004eEW0000000000000\" }\n",
    )
    .answers(altered(1))
    .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_value_as_aws_names_its_members_is_a_key() -> Situation {
    with_the_new_value(
        "{\"AccessKeyId\":\"AKIANEW0000000000000\",\"SecretAccessKey\":\"new+Secret/1111111111111111111111111111'\"}",
    )
    .answers(altered(1))
    .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn that_touches_nothing(value: &'static str) -> Situation {
    with_the_new_value(value)
        .answers(host_failed(HostError::SecretValueInvalid))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
}

fn a_value_without_a_secret_part_touches_nothing() -> Situation {
    that_touches_nothing("AKIANEW0000000000000")
}

/// SQL Server splits SECRET at the colon (FACTS B).
fn a_value_with_a_second_colon_touches_nothing() -> Situation {
    that_touches_nothing("AKIANEW0000000000000:a:b")
}

fn a_value_that_is_broken_json_touches_nothing() -> Situation {
    that_touches_nothing("{\"accessKeyId\":\"AKIANEW0000000000000\",\"secretAccessKey\":\"x\"")
}

fn an_empty_value_touches_nothing() -> Situation {
    that_touches_nothing("")
}

fn a_secret_that_cannot_be_read_touches_nothing() -> Situation {
    Situation::new().so(|stage| stage.cloud().readable = false).answers(host_failed(HostError::SecretNotReadable)).and(
        |stage| {
            assert!(stage.message().contains("AccessDeniedException"), "{}", stage.message());
            assert_eq!(stage.said().version, None);
            stage.holds(&[(URL, OLD_KEY)]);
        },
    )
}

fn with_an_administrator_of(value: Option<&'static str>, error: HostError) -> Situation {
    Situation::new()
        .so(move |stage| stage.cloud().administrator = value.map(str::to_owned))
        .answers(host_failed(error))
        .and(|stage| {
            assert!(stage.message().contains("administrator"), "{}", stage.message());
            stage.holds(&[(URL, OLD_KEY)]);
        })
}

fn an_administrators_secret_that_cannot_be_read_touches_nothing() -> Situation {
    with_an_administrator_of(None, HostError::SecretNotReadable)
}

fn an_administrators_secret_that_is_no_json_touches_nothing() -> Situation {
    with_an_administrator_of(Some("rotator:password"), HostError::SecretValueInvalid)
}

fn an_administrators_secret_without_a_password_touches_nothing() -> Situation {
    with_an_administrator_of(Some("{\"username\":\"rotator\"}"), HostError::SecretValueInvalid)
}
