//! The machine itself: a disk that is full, tools that are missing, two commands at once, a command that is killed.

use rotation::host_answer::HostError;
use sandbox::host::{Host, Platform};

use crate::cloud::{NEW, NEW_KEY, OLD_KEY};
use crate::situation::{Row, Situation, altered, failed, host_failed, proved, rows};
use crate::stage::{Stage, URL};

pub const ROWS: &[Row] = rows![
    a_full_disk_is_noticed_before_anything_is_touched,
    a_disk_that_fills_up_after_the_alter_is_not_taken_for_a_proof,
    without_the_aws_cli_nothing_is_touched,
    without_sqlcmd_nothing_is_touched,
    without_flock_nothing_is_touched,
    a_second_command_waits_for_the_lock_and_then_says_so,
    of_two_commands_at_once_one_alters_and_the_other_finds_it_done,
    a_hanging_backup_dies_at_the_time_out_and_leaves_the_working_credential,
    a_command_that_is_killed_between_alter_and_marker_is_made_good_by_the_next,
    a_script_that_is_stopped_with_the_agent_answers_all_the_same,
    a_marker_that_makes_no_sense_is_not_believed,
    the_log_on_the_host_stays_small_and_the_marker_is_private,
];

fn a_full_disk_is_noticed_before_anything_is_touched() -> Situation {
    Situation::new()
        .so(|stage| stage.faults(|faults| faults.disk_full = true))
        .answers(host_failed(HostError::StateNotWritable))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
        .so(|stage| stage.faults(|faults| faults.disk_full = false))
        .answers(altered(1))
}

fn a_disk_that_fills_up_after_the_alter_is_not_taken_for_a_proof() -> Situation {
    Situation::new()
        .so(|stage| stage.once_altered(fill_the_disk))
        .answers(failed(HostError::StateNotWritable).having_changed(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
        .answers(altered(1))
}

fn fill_the_disk(host: &Host) {
    host.become_full("sql-backups").unwrap();
}

fn without(tool: &'static str) -> Situation {
    Situation::new()
        .so(move |stage| stage.faults(|faults| faults.missing_tools = vec![tool.to_owned()]))
        .answers(host_failed(HostError::ToolMissing))
        .and(move |stage| {
            assert!(stage.message().to_lowercase().contains(tool), "{}", stage.message());
            stage.holds(&[(URL, OLD_KEY)]);
        })
}

fn without_the_aws_cli_nothing_is_touched() -> Situation {
    without("aws")
}

fn without_sqlcmd_nothing_is_touched() -> Situation {
    without("sqlcmd").only(Platform::Linux, "Windows has .NET's SqlClient")
}

fn without_flock_nothing_is_touched() -> Situation {
    without("flock").only(Platform::Linux, "Windows locks a file by opening it")
}

fn a_second_command_waits_for_the_lock_and_then_says_so() -> Situation {
    Situation::new()
        .so(Stage::hold_the_lock)
        .answers(host_failed(HostError::LockTimeout))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
        .so(Stage::let_go_of_the_lock)
        .answers(altered(1))
}

fn of_two_commands_at_once_one_alters_and_the_other_finds_it_done() -> Situation {
    Situation::new()
        .so(Stage::has_patience)
        .answers_twice_at_once(|first, second| {
            assert_eq!((first.exit_code, second.exit_code), (0, 0));
            assert_eq!((first.answer.proved, second.answer.proved), (1, 1));
            assert_eq!(first.answer.changed + second.answer.changed, 1, "the second one finds the work done");
        })
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

const TEMPORARY: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod/.credential-rotation/i-0abc";

fn a_hanging_backup_dies_at_the_time_out_and_leaves_the_working_credential() -> Situation {
    Situation::new()
        .so(|stage| stage.faults(|faults| faults.hanging_statement = Some("BACKUP".to_owned())))
        .ends_killed()
        .and(|stage| stage.holds(&[(URL, OLD_KEY), (TEMPORARY, NEW_KEY)]))
        .so(|stage| stage.faults(|faults| faults.hanging_statement = None))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_command_that_is_killed_between_alter_and_marker_is_made_good_by_the_next() -> Situation {
    const HELD: &str = "BACKUP DATABASE [model] TO URL = \
                        N's3://sql-backups.s3.eu-west-1.amazonaws.com/prod/.credential-rotation/held";
    Situation::new()
        .so(|stage| stage.faults(|faults| faults.hanging_statement = Some(HELD.to_owned())))
        .ends_killed()
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
        .so(|stage| stage.faults(|faults| faults.hanging_statement = None))
        .answers(altered(1))
        .and(|stage| assert_eq!(stage.said().found, None, "no marker vouches for what the killed command did"))
        .answers(proved(1))
}

/// A service manager that stops the agent signals the script's whole process group.
fn a_script_that_is_stopped_with_the_agent_answers_all_the_same() -> Situation {
    Situation::new()
        .only(Platform::Linux, "Windows kills without a warning")
        .so(|stage| stage.faults(|faults| faults.stopped_during = Some("BACKUP".to_owned())))
        .answers_that(|said| {
            assert_eq!(said.answer.failures[0].error, HostError::Interrupted);
            // The signal may kill the agent's own sh before it hands on the script's exit code.
            assert_ne!(said.exit_code, 0);
        })
        .and(|stage| stage.holds(&[(URL, OLD_KEY), (TEMPORARY, NEW_KEY)]))
        .so(|stage| stage.faults(|faults| faults.stopped_during = None))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

/// Somebody's editor, half a line, an instance that is no more: none of it proves anything, and none of it is kept.
fn a_marker_that_makes_no_sense_is_not_believed() -> Situation {
    Situation::new()
        .so(|stage| {
            let gone = format!("gone,1433 {NEW} 2026-01-01T00:00:00Z none+\n");
            let marker =
                format!("\n# localhost {NEW}\n{gone}localhost\nMSSQLSERVER\nlocalhost ../../x y\n$(x) `y` *\n");
            stage.write_state_file("sql-backups.marker", &marker);
        })
        .answers(altered(1))
        .and(|stage| {
            assert_eq!(stage.said().found, None);
            let marker = stage.state_file("sql-backups.marker");
            let lines: Vec<&str> = marker.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(matches!(lines.as_slice(), [line] if line.contains(NEW)), "{marker}");
        })
}

fn the_log_on_the_host_stays_small_and_the_marker_is_private() -> Situation {
    Situation::new()
        .so(|stage| stage.write_state_file("sql-backups.log", &"x".repeat(300_000)))
        .answers(altered(1))
        .and(|stage| {
            let log = stage.state_file("sql-backups.log");
            assert!(log.contains("proved, altered") && log.len() < 10_000, "{log}");
            assert_eq!(stage.state_file("sql-backups.log.1").len(), 300_000);
            assert!(stage.mode("sql-backups.marker").is_none_or(|mode| mode == 0o600), "nobody else reads the marker");
        })
}
