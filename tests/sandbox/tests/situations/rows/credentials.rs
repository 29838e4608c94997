//! The credentials on an instance: ours, missing or unfit; those that stand in the way of retirement; and our own that a
//! command left behind.

use rotation::host_answer::{Blocking, HostError};
use sandbox::host::{Host, SqlServer};

use crate::cloud::{NEW_KEY, OLD_KEY};
use crate::situation::{Answer, Row, Situation, altered, failed, proved, rows};
use crate::stage::{DEFAULT, Stage, URL, empty_sql_server, sql_server};

pub const ROWS: &[Row] = rows![
    a_missing_credential_is_created_only_where_the_settings_allow_it,
    a_credential_of_another_identity_is_left_alone,
    names_of_credentials_compare_without_case,
    every_url_of_a_rotation_is_proved_and_altered,
    a_url_with_the_bucket_in_its_path_is_signed_for_its_region,
    a_url_of_private_link_is_signed_for_its_region,
    a_url_without_a_region_is_signed_for_us_east_1,
    another_makers_s3_is_told_no_region,
    a_credential_below_ours_is_used_in_our_place_and_blocks_retirement,
    another_keys_credential_blocks_retirement_unless_it_is_declared_foreign,
    leftovers_of_this_host_are_dropped_and_another_hosts_are_left_alone,
    a_temporary_credential_that_somebody_drops_while_it_proves_proves_nothing,
    a_credential_that_somebody_alters_while_others_are_proved_is_not_taken_for_proved,
    a_leftover_that_cannot_be_dropped_is_a_failure,
];

const FOREIGN_KEY: (&str, &str) = ("AKIAFOREIGN000000000", "foreign");

fn a_missing_credential_is_created_only_where_the_settings_allow_it() -> Situation {
    Situation::new()
        .so(|stage| stage.has(&[(DEFAULT, empty_sql_server(16))]))
        .answers(failed(HostError::CredentialMissing))
        .and(|stage| stage.holds(&[]))
        .so(|stage| stage.set("createMissing", "true"))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}

fn a_credential_of_another_identity_is_left_alone() -> Situation {
    Situation::new()
        .so(|stage| {
            stage.instance(DEFAULT, |server| {
                server.credentials.get_mut(URL).unwrap().identity = "Managed Identity".to_owned();
            });
        })
        .answers(failed(HostError::CredentialNotS3))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
}

fn names_of_credentials_compare_without_case() -> Situation {
    const AS_A_PERSON_WROTE_IT: &str = "S3://SQL-Backups.s3.eu-west-1.amazonaws.com/prod";
    Situation::new()
        .so(|stage| {
            let server = empty_sql_server(16).with_credential(AS_A_PERSON_WROTE_IT, OLD_KEY.0, OLD_KEY.1);
            stage.has(&[(DEFAULT, server)]);
        })
        .answers(altered(1))
        .and(|stage| {
            stage.holds(&[(AS_A_PERSON_WROTE_IT, NEW_KEY)]);
            assert!(stage.said().blocking.is_empty());
        })
        .answers(proved(1))
}

/// The rotation's only URLs are these.
fn urls(stage: &mut Stage, urls: &[&str]) {
    let with = |server: SqlServer, url: &&str| server.with_credential(url, OLD_KEY.0, OLD_KEY.1);
    stage.has(&[(DEFAULT, urls.iter().fold(empty_sql_server(16), with))]);
    stage.set("credentials", &urls.join(" "));
}

fn every_url_of_a_rotation_is_proved_and_altered() -> Situation {
    const SECOND: &str = "s3://sql-archive.s3.eu-central-1.amazonaws.com";
    Situation::new().so(|stage| urls(stage, &[URL, SECOND])).answers(altered(1)).and(|stage| {
        stage.holds(&[(URL, NEW_KEY), (SECOND, NEW_KEY)]);
        let proofs = stage.cloud().objects.clone();
        for proof in ["i-0abc/proof.bak", "held/i-0abc/proof.bak"] {
            for folder in ["eu-west-1 sql-backups/prod", "eu-central-1 sql-archive"] {
                let object = format!("{folder}/.credential-rotation/{proof}");
                assert!(proofs.contains(&object), "{object} in {proofs:?}");
            }
        }
    })
}

/// Every object of the row was signed for this region and is below this place.
fn all_backed_up_to(stage: &Stage, place: &str) {
    let objects = stage.cloud().objects.clone();
    assert!(!objects.is_empty() && objects.iter().all(|object| object.starts_with(place)), "{objects:?}");
}

fn a_url_with_the_bucket_in_its_path_is_signed_for_its_region() -> Situation {
    Situation::new()
        .so(|stage| urls(stage, &["s3://s3.eu-west-1.amazonaws.com:443/sql-backups/prod"]))
        .answers(altered(1))
        .and(|stage| all_backed_up_to(stage, "eu-west-1 sql-backups/prod/.credential-rotation/"))
}

fn a_url_of_private_link_is_signed_for_its_region() -> Situation {
    Situation::new()
        .so(|stage| urls(stage, &["s3://sql-backups.bucket.vpce-0abc1-de2.s3.eu-west-1.vpce.amazonaws.com/x"]))
        .answers(altered(1))
        .and(|stage| all_backed_up_to(stage, "eu-west-1 sql-backups/x/.credential-rotation/"))
}

/// SQL Server assumes this region unless it is told another one (FACTS B).
fn a_url_without_a_region_is_signed_for_us_east_1() -> Situation {
    Situation::new()
        .so(|stage| urls(stage, &["s3://sql-backups.s3.amazonaws.com/prod"]))
        .answers(altered(1))
        .and(|stage| all_backed_up_to(stage, "us-east-1 sql-backups/prod/.credential-rotation/"))
}

fn another_makers_s3_is_told_no_region() -> Situation {
    Situation::new()
        .so(|stage| urls(stage, &["s3://s3.eu-west-1.example.com:9000/sql-backups"]))
        .answers(altered(1))
        .and(|stage| all_backed_up_to(stage, "us-east-1 sql-backups/.credential-rotation/"))
}

fn blocking(stage: &Stage) -> Vec<(String, Blocking)> {
    stage.said().blocking.iter().map(|blocking| (blocking.credential.clone(), blocking.why)).collect()
}

fn a_credential_below_ours_is_used_in_our_place_and_blocks_retirement() -> Situation {
    const SHADOW: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod/daily";
    Situation::new()
        .so(|stage| stage.has(&[(DEFAULT, sql_server(16).with_credential(SHADOW, OLD_KEY.0, OLD_KEY.1))]))
        .answers(altered(1))
        .and(|stage| {
            assert_eq!(blocking(stage), [(SHADOW.to_owned(), Blocking::Shadows)]);
            stage.holds(&[(URL, NEW_KEY), (SHADOW, OLD_KEY)]);
        })
}

fn another_keys_credential_blocks_retirement_unless_it_is_declared_foreign() -> Situation {
    const OTHERS: &str = "s3://reports.s3.eu-west-1.amazonaws.com";
    Situation::new()
        .so(|stage| stage.has(&[(DEFAULT, sql_server(16).with_credential(OTHERS, FOREIGN_KEY.0, FOREIGN_KEY.1))]))
        .answers(altered(1))
        .and(|stage| {
            assert_eq!(blocking(stage), [(OTHERS.to_owned(), Blocking::Undeclared)]);
            stage.holds(&[(URL, NEW_KEY), (OTHERS, FOREIGN_KEY)]);
        })
        .so(|stage| stage.set("foreignCredentials", OTHERS))
        .answers(proved(1))
        .and(|stage| assert_eq!(blocking(stage), []))
}

/// The leftovers of commands that were killed; they hold a key that is not ours to keep.
fn leftovers(stage: &mut Stage, names: &[&str]) {
    let with = |server: SqlServer, name: &&str| {
        server.with_credential(&format!("{URL}/.credential-rotation/{name}"), FOREIGN_KEY.0, FOREIGN_KEY.1)
    };
    stage.has(&[(DEFAULT, names.iter().fold(sql_server(16), with))]);
}

/// Another host's may be proving a key at this moment, where several nodes share an instance.
fn leftovers_of_this_host_are_dropped_and_another_hosts_are_left_alone() -> Situation {
    const OTHERS: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod/.credential-rotation/i-0fedcba9876543210";
    Situation::new().so(|stage| leftovers(stage, &["i-0abc", "i-0fedcba9876543210"])).answers(altered(1)).and(|stage| {
        stage.holds(&[(URL, NEW_KEY), (OTHERS, FOREIGN_KEY)]);
        assert!(stage.said().blocking.is_empty(), "a temporary credential blocks nothing");
    })
}

/// The backup through it may have been signed with the key that is held, and would pass for a proof.
fn a_temporary_credential_that_somebody_drops_while_it_proves_proves_nothing() -> Situation {
    const TEMPORARY: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com/prod/.credential-rotation/i-0abc";
    fn drop_it(host: &Host) {
        host.with_sql_server("localhost", |server| server.credentials.remove(TEMPORARY));
    }
    Situation::new()
        .so(|stage| stage.once_changed(TEMPORARY, drop_it))
        .answers(failed(HostError::AlteredMeanwhile))
        .and(|stage| stage.holds(&[(URL, OLD_KEY)]))
        .answers(altered(1))
}

fn a_credential_that_somebody_alters_while_others_are_proved_is_not_taken_for_proved() -> Situation {
    const SECOND: &str = "s3://sql-archive.s3.eu-central-1.amazonaws.com";
    fn alter_the_first(host: &Host) {
        host.with_sql_server("localhost", |server| {
            let held = server.credentials.get_mut(URL).unwrap();
            held.secret = Some(format!("{}:{}", OLD_KEY.0, OLD_KEY.1));
            held.modify_date = "2026-11-24T23:00:00Z".parse().unwrap();
        });
    }
    Situation::new()
        .so(|stage| {
            urls(stage, &[URL, SECOND]);
            stage.once_changed(SECOND, alter_the_first);
        })
        .answers(Answer { changed: 1, ..failed(HostError::AlteredMeanwhile) })
        .answers(altered(1))
}

fn a_leftover_that_cannot_be_dropped_is_a_failure() -> Situation {
    Situation::new()
        .so(|stage| {
            leftovers(stage, &["i-0abc"]);
            stage.instance(DEFAULT, |server| server.faults.failed_drops = 1);
        })
        .answers(failed(HostError::AlterFailed))
        .answers(altered(1))
        .and(|stage| stage.holds(&[(URL, NEW_KEY)]))
}
