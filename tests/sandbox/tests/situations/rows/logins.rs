//! One login: its password is changed, proved by a login, and left alone where it is the right one already.

use rotation::host_answer::HostError;

use crate::cloud::{NEW, NEW_PASSWORD, NEWER, NEWER_PASSWORD, OLD, OLD_PASSWORD};
use crate::logins::{APP, with_a_login};
use crate::situation::{Row, Situation, altered, failed, host_failed, nothing_to_hold, proved, rows};
use crate::stage::{DEFAULT, PROD, empty_sql_server};

pub const ROWS: &[Row] = rows![
    a_login_gets_its_new_password_and_proves_it,
    a_password_that_is_right_already_is_not_set_again,
    a_command_that_is_killed_between_change_and_marker_finds_its_work_done,
    a_login_that_two_failures_lock_is_not_locked_by_a_rotation,
    where_the_marker_knows_better_no_password_is_tried,
    a_password_that_a_person_set_is_replaced,
    names_with_anything_in_them_are_names,
    a_name_that_a_person_misspelt_makes_no_login,
    a_login_that_is_missing_is_made_where_the_settings_say_so,
    an_instance_without_the_login_has_nothing_to_hold_where_another_has_it,
    an_instance_that_the_settings_name_has_to_have_the_login,
    instances_that_the_settings_do_not_name_are_left_alone,
    of_two_instances_one_fails_and_the_other_is_brought_in,
    an_express_edition_has_logins_too,
    before_2016_there_is_nothing_to_hold,
    a_value_that_is_the_password_alone_is_taken,
    a_value_for_another_login_touches_nothing,
    a_value_without_a_password_touches_nothing,
    a_password_with_a_line_break_touches_nothing,
    a_target_that_moves_meanwhile_is_followed,
    an_old_agent_replaces_the_same_parameters,
    a_list_that_is_no_list_is_refused,
    a_disk_that_is_full_is_noticed_before_any_login_is_touched,
];

fn a_login_gets_its_new_password_and_proves_it() -> Situation {
    Situation::of_a_login()
        .answers(altered(1))
        .and(|stage| {
            stage.has_password(APP, NEW_PASSWORD);
            let marker = stage.state_file("sql-backups.marker");
            assert!(marker.contains(&format!(" {NEW} ")) && marker.contains(&format!("={NEW}=2026-")), "{marker}");
        })
        .answers(proved(1))
        .and(|stage| assert_eq!(stage.said().found.as_deref(), Some(NEW)))
}

fn a_password_that_is_right_already_is_not_set_again() -> Situation {
    Situation::of_a_login()
        .so(|stage| stage.has(&[(DEFAULT, empty_sql_server(16).with_login(APP, NEW_PASSWORD))]))
        .answers(proved(1))
        .and(|stage| {
            let history = stage.instance(DEFAULT, |server| server.logins[APP].password_history.len());
            assert_eq!(history, 0, "SQL Server's history would refuse the same one");
        })
}

/// The exit code is lost with the command: what it did is not.
fn a_command_that_is_killed_between_change_and_marker_finds_its_work_done() -> Situation {
    Situation::of_a_login()
        .answers(altered(1))
        .so(|stage| {
            stage.cloud().labels.insert("AWSPENDING", NEWER);
            stage.set("versionId", NEWER);
            stage.faults(|faults| faults.hanging_statement = Some("SELECT N'~who~".to_owned()));
        })
        .ends_killed()
        .and(|stage| stage.has_password(APP, NEWER_PASSWORD))
        .so(|stage| stage.faults(|faults| faults.hanging_statement = None))
        .answers(proved(1))
        .and(|stage| assert_eq!(stage.said().found.as_deref(), Some(NEW), "the marker is still of before"))
}

fn a_login_that_two_failures_lock_is_not_locked_by_a_rotation() -> Situation {
    Situation::of_a_login()
        .so(|stage| stage.instance(DEFAULT, |server| server.policy.lockout_threshold = 2))
        .answers(altered(1))
        .and(|stage| stage.has_password(APP, NEW_PASSWORD))
}

fn where_the_marker_knows_better_no_password_is_tried() -> Situation {
    Situation::of_a_login()
        .answers(altered(1))
        .so(|stage| {
            stage.instance(DEFAULT, |server| server.policy.lockout_threshold = 1);
            stage.cloud().labels.insert("AWSPENDING", NEWER);
            stage.set("versionId", NEWER);
        })
        .answers(altered(1))
        .and(|stage| stage.has_password(APP, NEWER_PASSWORD))
}

fn a_password_that_a_person_set_is_replaced() -> Situation {
    Situation::of_a_login()
        .answers(altered(1))
        .so(|stage| {
            stage.login(APP, |login| {
                login.password = "Somebody's-9".to_owned();
                login.password_last_set = "2026-11-25T00:00:00Z".parse().unwrap();
            });
        })
        .answers(altered(1))
        .and(|stage| stage.has_password(APP, NEW_PASSWORD))
}

/// What could end a name, a literal, a word of the shell or a variable of sqlcmd.
const NAMES: [&str; 10] = [
    "it's",
    "a]b[c]]",
    "$(reboot)",
    "`reboot` ; reboot",
    "with blanks ",
    r"back\slash\\n",
    "\"quoted\", %s",
    "na\u{ef}ve \u{1f600}",
    "x]; DROP LOGIN [sa]; --",
    "x'; ALTER LOGIN [sa] DISABLE; --",
];

fn names_with_anything_in_them_are_names() -> Situation {
    let longest: &'static str = "\u{e9}".repeat(128).leak();
    NAMES.into_iter().chain([longest]).fold(Situation::of_a_login(), |situation, name| {
        situation
            .so(move |stage| {
                stage.rotates(&[name]);
                stage.cloud().rotates_logins(name, name);
                stage.has(&[(
                    DEFAULT,
                    empty_sql_server(16).with_login(name, OLD_PASSWORD).with_login("sa", "S-a-1234"),
                )]);
            })
            .answers(altered(1))
            .and(move |stage| {
                stage.has_password(name, NEW_PASSWORD);
                stage.has_password("sa", "S-a-1234");
            })
    })
}

fn a_name_that_a_person_misspelt_makes_no_login() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.rotates(&["ap"]);
            stage.cloud().rotates_logins("ap", "ap");
        })
        .answers(failed(HostError::LoginMissing).for_the_host())
        .and(|stage| {
            stage.has_password(APP, OLD_PASSWORD);
            stage.instance(DEFAULT, |server| assert!(!server.logins.contains_key("ap")));
        })
}

fn a_login_that_is_missing_is_made_where_the_settings_say_so() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.has(&[(DEFAULT, empty_sql_server(16)), (PROD, empty_sql_server(16))]);
            stage.set("createMissing", "true");
        })
        .answers(altered(2))
        .and(|stage| {
            stage.has_password(APP, NEW_PASSWORD);
            let sids = [DEFAULT, PROD].map(|name| stage.instance(name, |server| server.logins[APP].sid.to_string()));
            // The first 16 bytes of SHA-256 of "sql-backups\napp".
            assert_eq!(sids, [SID_OF_APP, SID_OF_APP].map(str::to_owned), "replicas have to agree");
        })
        .answers(proved(2))
}

const SID_OF_APP: &str = "0x7C90CD3F31D175C9FD93EA5C55A4B11C";

fn an_instance_without_the_login_has_nothing_to_hold_where_another_has_it() -> Situation {
    Situation::of_a_login()
        .so(|stage| stage.has(&[(DEFAULT, empty_sql_server(16)), (PROD, with_a_login())]))
        .answers(crate::situation::Answer { nothing_to_hold: 1, ..altered(1) })
}

fn an_instance_that_the_settings_name_has_to_have_the_login() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.has(&[(DEFAULT, empty_sql_server(16)), (PROD, with_a_login())]);
            stage.names_instances(&[DEFAULT, PROD]);
        })
        .answers(altered(1).failing(DEFAULT, HostError::LoginMissing))
}

fn instances_that_the_settings_do_not_name_are_left_alone() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.has(&[(DEFAULT, with_a_login()), (PROD, with_a_login())]);
            stage.names_instances(&[PROD]);
        })
        .answers(crate::situation::Answer { nothing_to_hold: 1, ..altered(1) })
        .and(|stage| {
            stage.instance_has_password(DEFAULT, APP, OLD_PASSWORD);
            stage.instance_has_password(PROD, APP, NEW_PASSWORD);
        })
}

fn of_two_instances_one_fails_and_the_other_is_brought_in() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.has(&[(DEFAULT, with_a_login()), (PROD, with_a_login())]);
            stage.instance(DEFAULT, |server| server.running = false);
        })
        .answers(altered(1).failing(DEFAULT, HostError::ConnectFailed))
        .and(|stage| stage.instance_has_password(PROD, APP, NEW_PASSWORD))
}

fn an_express_edition_has_logins_too() -> Situation {
    Situation::of_a_login().so(|stage| stage.instance(DEFAULT, |server| server.engine_edition = 4)).answers(altered(1))
}

fn before_2016_there_is_nothing_to_hold() -> Situation {
    Situation::of_a_login()
        .so(|stage| stage.instance(DEFAULT, |server| server.major_version = 12))
        .answers(nothing_to_hold(1))
        .so(|stage| stage.instance(DEFAULT, |server| server.major_version = 13))
        .answers(altered(1))
}

fn with_the_value(value: &'static str) -> Situation {
    Situation::of_a_login().so(move |stage| {
        stage.cloud().values.insert(NEW, value.to_owned());
    })
}

fn a_value_that_is_the_password_alone_is_taken() -> Situation {
    with_the_value(NEW_PASSWORD).answers(altered(1)).and(|stage| stage.has_password(APP, NEW_PASSWORD))
}

fn that_touches_nothing(value: &'static str) -> Situation {
    with_the_value(value)
        .answers(host_failed(HostError::SecretValueInvalid))
        .and(|stage| stage.has_password(APP, OLD_PASSWORD))
}

fn a_value_for_another_login_touches_nothing() -> Situation {
    that_touches_nothing("{\"username\":\"sa\",\"password\":\"Another-Secret-1\"}")
}

fn a_value_without_a_password_touches_nothing() -> Situation {
    that_touches_nothing("{\"username\":\"app\"}")
}

/// A GO on a line of its own would end the batch in the middle of the literal.
fn a_password_with_a_line_break_touches_nothing() -> Situation {
    that_touches_nothing("{\"username\":\"app\",\"password\":\"Aa1!\\nGO\\nbbbb\"}")
}

fn a_target_that_moves_meanwhile_is_followed() -> Situation {
    Situation::of_a_login()
        .so(|stage| {
            stage.cloud().label_changes.insert(2, ("AWSPENDING", Some(NEWER)));
        })
        .answers(altered(1))
        .and(|stage| {
            assert_eq!(stage.said().version.as_deref(), Some(NEWER));
            stage.has_password(APP, NEWER_PASSWORD);
        })
}

fn an_old_agent_replaces_the_same_parameters() -> Situation {
    Situation::of_a_login().so(|stage| stage.has_an_old_agent()).answers(altered(1))
}

fn a_list_that_is_no_list_is_refused() -> Situation {
    let broken = ["", "app", "[]", "[\"\"]", "[\"a\",]", "[\"a\" \"b\"]", "[1]", "[\"a\",\"b\",\"c\"]", "[\"a\\nGO\"]"];
    let situation = Situation::of_a_login().so(|stage| {
        stage.has_documents_without_patterns();
        stage.cloud().labels.insert("AWSCURRENT", OLD);
    });
    broken.into_iter().fold(situation, |situation, list| {
        situation
            .so(move |stage| stage.set("logins", &crate::logins::base64(list.as_bytes())))
            .answers(host_failed(HostError::InvalidParameter))
    })
}

fn a_disk_that_is_full_is_noticed_before_any_login_is_touched() -> Situation {
    Situation::of_a_login()
        .so(|stage| stage.faults(|faults| faults.disk_full = true))
        .answers(host_failed(HostError::StateNotWritable))
        .and(|stage| stage.has_password(APP, OLD_PASSWORD))
}
