//! What hosts and keys meet while nothing goes wrong on the wire.

use serde_json::json;
use simulation::beginning::{OLD_KEY, SECRET, USER, fleet, fleet_of, host, id};
use simulation::history::History;

use super::{Faults, act, begin, begin_with, end, host_but, idle_days, rotate};

pub(super) async fn a_quiet_rotation() -> History {
    let mut history = begin(vec![host(1), host(2)], &json!({}));
    rotate(&mut history).await;
    end(history).await
}

/// Deletion is due a week after the key went Inactive, and a run looks every day before.
pub(super) async fn a_rotation_with_a_run_every_day() -> History {
    let mut history = begin(vec![host(1), host(2)], &json!({}));
    rotate(&mut history).await;
    for _ in 0..20 {
        history.converge_after(1).await;
    }
    history
}

/// S3 has not learnt of the new key yet where one host asks it; the next day's run finishes what the first one began,
/// since the key is young and no other rotation is due.
pub(super) async fn a_host_on_which_the_new_key_fails_at_first() -> History {
    let failing = host_but(2, &json!({ "sqlServers": [{ "neverWorks": true }] }));
    let mut file = fleet_of(vec![host(1), failing]).unwrap();
    file.key_age_days = 2;
    let mut history = begin_with(&file, &json!({}), Faults::new());
    rotate(&mut history).await;
    if let Some(host) = history.world.fleet.host(&id(2)) {
        host.with_sql_server("localhost", |server| server.faults.refused_backups = 0);
    }
    end(history).await
}

pub(super) async fn a_host_that_is_silent_while_another_rotation_is_asked_for() -> History {
    let mut history = begin(vec![host(1), host_but(2, &json!({ "unreachable": true }))], &json!({}));
    rotate(&mut history).await;
    history.converge_after(1).await;
    rotate(&mut history).await;
    idle_days(&history, 10).await;
    history.run(json!({ "mode": "converge" })).await;
    act(&mut history, &json!({ "reachable": [id(2)] })).await;
    end(history).await
}

/// The same key in a new version: AWSPREVIOUS is on the version of before, and says nothing of the key of before.
pub(super) async fn a_value_that_a_person_stores_again() -> History {
    let mut history = begin(vec![host(1), host_but(2, &json!({ "unreachable": true }))], &json!({}));
    rotate(&mut history).await;
    let cloud = &history.world.cloud;
    let value = cloud.secret(SECRET).and_then(|secret| cloud.secret_value(SECRET, secret.labels.get("AWSCURRENT")?));
    cloud.put_secret_value(SECRET, &format!("{} ", value.unwrap_or_default()), &[]).unwrap();
    history.converge_after(1).await;
    act(&mut history, &json!({ "reachable": [id(2)] })).await;
    end(history).await
}

/// SSM calls the command a success, and the script did nothing; it works when it is tried again.
pub(super) async fn a_host_that_says_success_and_does_nothing() -> History {
    let idle = host_but(3, &json!({ "lies": "PASSWORDUPDATESUCCESSFUL" }));
    let mut history = begin(vec![host(1), host(2), idle], &json!({}));
    rotate(&mut history).await;
    if let Some(host) = history.world.fleet.host(&id(3)) {
        host.set_faults(|faults| faults.lie = None);
    }
    end(history).await
}

pub(super) async fn a_fleet_of_which_nobody_answers() -> History {
    let silent = json!({ "unreachable": true });
    let mut history = begin(vec![host_but(1, &silent), host_but(2, &silent)], &json!({}));
    rotate(&mut history).await;
    act(&mut history, &json!({ "reachable": [id(1), id(2)] })).await;
    end(history).await
}

/// Its first backup after its start comes before anybody has brought it to the new key.
pub(super) async fn a_stopped_host_that_comes_back_within_the_overlap() -> History {
    let mut history = begin(vec![host(1), host_but(2, &json!({ "stopped": true }))], &json!({}));
    rotate(&mut history).await;
    for _ in 0..4 {
        history.converge_after(1).await;
    }
    act(&mut history, &json!({ "start": [id(2)] })).await;
    history.converge_after(1).await;
    end(history).await
}

pub(super) async fn a_stopped_host_that_holds_the_old_key_alive() -> History {
    let stopped = host_but(2, &json!({ "stopped": true }));
    let mut history = begin(vec![host(1), stopped], &json!({ "stoppedHosts": "hold" }));
    rotate(&mut history).await;
    for days in [1, 8, 8, 8] {
        history.converge_after(days).await;
    }
    act(&mut history, &json!({ "start": [id(2)] })).await;
    history.converge_after(1).await;
    end(history).await
}

pub(super) async fn a_host_that_is_restored_and_backs_up_once_a_month() -> History {
    let mut history = begin(vec![host(1), host(2)], &json!({}));
    rotate(&mut history).await;
    history.converge_after(1).await;
    act(&mut history, &json!({ "restore": [id(2)] })).await;
    idle_days(&history, 8).await;
    history.run(json!({ "mode": "converge" })).await;
    end(history).await
}

/// Nobody told the rotation of it, so that only the last use of the key does.
pub(super) async fn a_program_outside_the_fleet_that_uses_the_key() -> History {
    let mut history = begin(vec![host(1), host_but(2, &json!({ "tags": {} }))], &json!({}));
    rotate(&mut history).await;
    for days in [1, 8, 8, 8] {
        history.converge_after(days).await;
    }
    act(&mut history, &json!({ "tag": [{ "id": id(2), "key": "SQL", "value": "2022" }] })).await;
    end(history).await
}

/// A person must say what it is; here it is nothing, and goes.
pub(super) async fn a_key_that_nothing_explains() -> History {
    let mut file = fleet_of(vec![host(1), host(2)]).unwrap();
    file.second_key = serde_json::from_value(json!("unknown")).unwrap();
    let mut history = begin_with(&file, &json!({}), Faults::new());
    rotate(&mut history).await;
    for days in [8, 8, 8] {
        history.converge_after(days).await;
    }
    // Where a mistake has taken it already, there is nothing to delete.
    let _ = history.world.cloud.delete_access_key(USER, "AKIASANDBOXSECOND000");
    rotate(&mut history).await;
    end(history).await
}

/// The one host that loses its key is named before it does, and has no backup to make before it is back.
pub(super) async fn a_leaked_key_and_a_silent_host() -> History {
    let mut history = begin_with(&fleet(2).unwrap(), &json!({}), Faults::new());
    act(&mut history, &json!({ "unreachable": [id(2)] })).await;
    history.run(json!({ "mode": "rotate", "compromised": OLD_KEY })).await;
    act(&mut history, &json!({ "reachable": [id(2)] })).await;
    history.run(json!({ "mode": "converge" })).await;
    end(history).await
}
