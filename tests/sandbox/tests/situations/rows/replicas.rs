//! Availability groups and contained databases: what a replica is at the moment, and what is changed at the primary only.

use rotation::host_answer::{HostError, ReplicaRole};
use sandbox::host::{AvailabilityGroup, Database, DatabaseUser, Role, Sid, SqlServer};

use crate::cloud::{NEW_PASSWORD, OLD_PASSWORD};
use crate::logins::{APP, with_a_login};
use crate::situation::{Answer, Row, Situation, altered, failed, nothing_to_hold, rows, seen};
use crate::stage::{DEFAULT, PROD, Stage};

pub const ROWS: &[Row] = rows![
    a_secondary_takes_the_password_as_well_as_the_primary,
    a_group_without_a_primary_is_not_touched,
    a_contained_group_is_refused_by_name,
    a_member_of_a_distributed_group_is_refused_by_name,
    before_2022_nobody_asks_whether_a_group_is_contained,
    a_group_that_the_settings_do_not_name_is_none_of_the_rotations,
    an_inspection_says_what_each_replica_is_and_whether_sids_agree,
    a_contained_user_is_changed_at_the_primary_and_its_namesake_is_not,
    a_contained_user_is_not_touched_at_a_secondary,
    a_contained_database_without_the_user_is_named,
    without_the_right_to_alter_users_a_contained_user_is_not_touched,
];

fn in_a_group(role: Role) -> SqlServer {
    let mut server = with_a_login();
    server.availability_groups.insert("ag1".to_owned(), AvailabilityGroup::new(role, 3));
    server
}

fn of_a_group(servers: fn(&mut Stage)) -> Situation {
    Situation::of_a_login().so(move |stage| {
        stage.set_names("replicaGroups", &["ag1", "o'ther]"]);
        servers(stage);
    })
}

fn a_secondary_takes_the_password_as_well_as_the_primary() -> Situation {
    of_a_group(|stage| stage.has(&[(DEFAULT, in_a_group(Role::Primary)), (PROD, in_a_group(Role::Secondary))]))
        .answers(altered(2))
        .and(|stage| stage.instance_has_password(PROD, APP, NEW_PASSWORD))
}

/// Nothing was changed.
fn refused(group: fn(&mut AvailabilityGroup), error: HostError) -> Situation {
    of_a_group(|stage| stage.has(&[(DEFAULT, in_a_group(Role::Primary))]))
        .so(move |stage| stage.instance(DEFAULT, |server| group(server.availability_groups.get_mut("ag1").unwrap())))
        .answers(failed(error))
        .and(|stage| stage.has_password(APP, OLD_PASSWORD))
}

fn a_group_without_a_primary_is_not_touched() -> Situation {
    refused(|group| group.role = Role::Resolving, HostError::ReplicaNotReady)
}

fn a_contained_group_is_refused_by_name() -> Situation {
    refused(|group| group.is_contained = true, HostError::GroupNotSupported)
        .and(|stage| assert!(stage.message().contains("ag1 is a contained"), "{}", stage.message()))
}

fn a_member_of_a_distributed_group_is_refused_by_name() -> Situation {
    refused(|group| group.is_in_distributed_group = true, HostError::GroupNotSupported)
}

fn before_2022_nobody_asks_whether_a_group_is_contained() -> Situation {
    of_a_group(|stage| {
        stage.has(&[(DEFAULT, in_a_group(Role::Secondary))]);
        stage.instance(DEFAULT, |server| server.major_version = 15);
    })
    .answers(altered(1))
}

fn a_group_that_the_settings_do_not_name_is_none_of_the_rotations() -> Situation {
    Situation::of_a_login().so(|stage| stage.has(&[(DEFAULT, in_a_group(Role::Resolving))])).answers(altered(1))
}

fn an_inspection_says_what_each_replica_is_and_whether_sids_agree() -> Situation {
    of_a_group(|stage| {
        let mut stranger = in_a_group(Role::Secondary);
        stranger.logins.get_mut(APP).unwrap().sid = Sid(vec![1; 16]);
        let replicas = [in_a_group(Role::Primary), in_a_group(Role::Secondary), stranger];
        let [primary, secondary, stranger] = replicas;
        stage.has(&[(DEFAULT, primary), (PROD, secondary), ("SQL1500", stranger)]);
    })
    .shows(seen(3))
    .and(|stage| {
        let seen = &stage.said().inspected.as_ref().unwrap().seen;
        let replicas: Vec<_> = seen.iter().map(|seen| seen.replica.clone().unwrap()).collect();
        // The sandbox lists instances as the settings do.
        let [primary, secondary, stranger] = replicas.as_slice() else { panic!("{replicas:?}") };
        assert_eq!((primary.group.as_str(), primary.role, primary.replicas), ("ag1", ReplicaRole::Primary, 3));
        assert_eq!(secondary.role, ReplicaRole::Secondary);
        assert_eq!((primary.sids.len(), &primary.sids), (8, &secondary.sids));
        assert_ne!(primary.sids, stranger.sids);
    })
}

fn with_a_contained_user(role: Role) -> SqlServer {
    let mut server = in_a_group(role);
    let users = [(APP.to_owned(), DatabaseUser::contained(APP, OLD_PASSWORD))].into();
    let shop = Database { users, group: Some("ag1".to_owned()), ..Database::default() };
    server.databases.insert("shop's [1]".to_owned(), shop);
    server.logins.get_mut("rotator").unwrap().server_roles.insert("sysadmin".to_owned());
    server
}

fn contained(role: fn() -> Role) -> Situation {
    Situation::of_a_login().so(move |stage| {
        stage.set_names("containedDatabases", &["shop's [1]", "elsewhere"]);
        stage.has(&[(DEFAULT, with_a_contained_user(role()))]);
    })
}

fn has_contained_password(stage: &Stage, password: &str) {
    stage.instance(DEFAULT, |server| {
        assert!(server.databases["shop's [1]"].users[APP].password.as_deref() == Some(password), "another password");
    });
}

fn a_contained_user_is_changed_at_the_primary_and_its_namesake_is_not() -> Situation {
    contained(|| Role::Primary)
        .answers(altered(1))
        .and(|stage| {
            has_contained_password(stage, NEW_PASSWORD);
            stage.has_password(APP, OLD_PASSWORD);
        })
        .answers(crate::situation::proved(1))
}

fn a_contained_user_is_not_touched_at_a_secondary() -> Situation {
    contained(|| Role::Secondary).answers(nothing_to_hold(1)).and(|stage| has_contained_password(stage, OLD_PASSWORD))
}

fn a_contained_database_without_the_user_is_named() -> Situation {
    contained(|| Role::Primary)
        .so(|stage| {
            stage.instance(DEFAULT, |server| server.databases.get_mut("shop's [1]").unwrap().users.clear());
            stage.set("createMissing", "true");
        })
        .answers(Answer { ..failed(HostError::ContainedUserMissing) })
}

fn without_the_right_to_alter_users_a_contained_user_is_not_touched() -> Situation {
    contained(|| Role::Primary)
        .so(|stage| stage.login("rotator", |login| login.server_roles.clear()))
        .answers(failed(HostError::AlterNotPermitted))
        .and(|stage| has_contained_password(stage, OLD_PASSWORD))
}
