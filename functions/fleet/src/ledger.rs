//! Writes the ledger: in batches, since 10,000 hosts prove in one wave; bisected, since CreateTags fails as a whole
//! when one instance of a batch is gone or full (FACTS C).

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Tag;
use lambda::AwsResult;
use rotation::StepError;
use rotation::ledger::LedgerEntry;
use rotation::names::{InstanceId, ledger_tag};

use crate::PlaceClients;

/// CreateTags takes up to 1,000 resources.
const BATCH: usize = 1000;

/// Writes one entry for each host, and returns the hosts whose entry could not be written.
///
/// Hosts without a cluster have the same entry, so a wave of any size is one call for each thousand of them.
pub async fn write(
    clients: &PlaceClients,
    rotation: &str,
    entries: &BTreeMap<InstanceId, LedgerEntry>,
) -> Result<Vec<InstanceId>, StepError> {
    let mut by_value: BTreeMap<String, Vec<InstanceId>> = BTreeMap::new();
    for (host, entry) in entries {
        by_value.entry(entry.to_string()).or_default().push(host.clone());
    }
    let mut unwritten = Vec::new();
    for (value, hosts) in &by_value {
        // A stack instead of recursion: the batches that are still to be written.
        let mut batches: Vec<&[InstanceId]> = hosts.chunks(BATCH).collect();
        while let Some(batch) = batches.pop() {
            match create_tags(clients, rotation, value, batch).await? {
                Written::All => {}
                Written::None if batch.len() == 1 => unwritten.extend(batch.iter().cloned()),
                Written::None => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([first, second]);
                }
            }
        }
    }
    Ok(unwritten)
}

enum Written {
    All,
    None,
}

async fn create_tags(
    clients: &PlaceClients,
    rotation: &str,
    value: &str,
    hosts: &[InstanceId],
) -> Result<Written, StepError> {
    let tag = Tag::builder().key(ledger_tag(rotation)).value(value).build();
    let ids = hosts.iter().map(|host| host.0.clone()).collect();
    let call = clients.ec2.create_tags().set_resources(Some(ids)).tags(tag).send().await;
    match call.named("ec2", "CreateTags") {
        Ok(_) => Ok(Written::All),
        Err(failure) if ["InvalidInstanceID.NotFound", "TagLimitExceeded", "InvalidID"].contains(&failure.code()) => {
            Ok(Written::None)
        }
        Err(failure) => Err(failure.into()),
    }
}
