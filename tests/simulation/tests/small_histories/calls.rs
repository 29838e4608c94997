//! One call that goes wrong, where a published solution loses a key or a host.

use std::time::Duration;

use sandbox::cloud::Visibility;
use serde_json::json;
use simulation::beginning::{OLD_KEY, USER, fleet};
use simulation::history::History;
use simulation::wire::Fault;

use super::{Faults, begin_with, end, end_without_backups, idle_days, rotate, struck};

const CREATE: (&str, &str) = ("rotate-iam-key", "CreateAccessKey");
const STORE: (&str, &str) = ("rotate-iam-key", "PutSecretValue");

async fn a_rotation(faults: Faults) -> History {
    let mut history = begin_with(&fleet(2).unwrap(), &json!({}), faults);
    rotate(&mut history).await;
    end(history).await
}

pub(super) async fn a_death_after_create_access_key() -> History {
    struck(a_rotation, CREATE, Fault::DiesAfter).await
}

pub(super) async fn a_store_that_is_refused() -> History {
    struck(a_rotation, STORE, Fault::Denied).await
}

/// A person has deleted the only key, so that nothing but the intent stands between a second try and two new keys.
async fn without_a_key(lists: Duration, faults: Faults) -> History {
    let mut history = begin_with(&fleet(2).unwrap(), &json!({}), faults);
    let mut visibility = Visibility::immediate();
    visibility.access_key_list = lists;
    history.world.cloud.set_visibility(visibility);
    history.run(json!({ "mode": "converge" })).await;
    history.world.cloud.delete_access_key(USER, OLD_KEY).unwrap();
    history.world.clock.sleep(Duration::from_secs(3600)).await;
    rotate(&mut history).await;
    end_without_backups(history).await
}

pub(super) async fn a_lost_key_and_a_lost_reply() -> History {
    struck(async |faults| without_a_key(Duration::ZERO, faults).await, CREATE, Fault::ReplyLost).await
}

pub(super) async fn a_lost_key_and_a_late_list() -> History {
    struck(async |faults| without_a_key(Duration::from_secs(90), faults).await, CREATE, Fault::DiesAfter).await
}

/// A host holds the new key, and its ledger entry is of the old one, of before; then the rotation is abandoned.
pub(super) async fn proofs_that_nobody_could_record() -> History {
    let tell = async |faults| {
        let mut history = begin_with(&fleet(2).unwrap(), &json!({}), faults);
        history.run(json!({ "mode": "converge" })).await;
        rotate(&mut history).await;
        history.run(json!({ "mode": "abandon" })).await;
        idle_days(&history, 8).await;
        history.run(json!({ "mode": "converge" })).await;
        for days in [8, 8] {
            history.converge_after(days).await;
        }
        rotate(&mut history).await;
        end(history).await
    };
    // The converge writes the ledger twice, for the canary and for the other host.
    let quiet = tell(Faults::new()).await;
    let points = quiet.wire.points();
    let writes = points.iter().enumerate().filter(|(_, point)| point.operation == "CreateTags").map(|(call, _)| call);
    tell(writes.skip(2).take(1).map(|call| (call, Fault::Denied)).collect()).await
}
