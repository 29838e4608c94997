//! Which version a host applies when labels move.

use super::*;

#[tokio::test]
async fn a_hint_that_is_not_the_target_is_never_applied() {
    let mut world = world("not-visible", vec![("localhost", sql_server(16))]);
    world.cloud().labels.remove("AWSPENDING");
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.errors()), (3, vec![(HostError::VersionNotVisibleYet, "")]));
    assert_eq!(outcome.answer.version.as_deref(), Some(OLD));
    assert_eq!(world.held("localhost"), one_credential(OLD_KEY));
}

#[tokio::test]
async fn a_target_that_moves_meanwhile_is_applied_instead() {
    let mut world = world("moved", vec![("localhost", sql_server(16))]);
    // The pending version is abandoned between the first read and the last.
    world.cloud().label_changes.insert(2, ("AWSPENDING", None));
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.answer.version.as_deref()), (0, Some(OLD)));
    assert_eq!(outcome.counts(), (1, 1, 0, 0));
    assert_eq!(world.held("localhost"), one_credential(OLD_KEY));
}

#[tokio::test]
async fn a_target_that_keeps_moving_ends_the_command() {
    let mut world = world("moving", vec![("localhost", sql_server(16))]);
    world.cloud().label_changes = BTreeMap::from([
        (2, ("AWSPENDING", Some(OLD))),
        (3, ("AWSPENDING", Some(NEW))),
        (4, ("AWSPENDING", Some(OLD))),
    ]);
    let outcome = world.run().await;
    assert_eq!((outcome.exit_code, outcome.errors()), (1, vec![(HostError::TargetKeepsChanging, "")]));
}
