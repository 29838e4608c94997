//! Turns EC2's description of an instance into a fact. Missing tags, names and times are ordinary.

use aws_sdk_ec2::types::Instance;
use jiff::Timestamp;
use rotation::fleet::{Host, HostState};
use rotation::ledger::LedgerEntry;

/// The host, unless it is gone or on its way.
pub(crate) fn host(instance: Instance, ledger_tag: &str) -> Option<Host> {
    let state = match instance.state.as_ref().and_then(|state| state.name.as_ref())?.as_str() {
        "running" => HostState::Running,
        "pending" => HostState::Starting,
        "stopped" | "stopping" => HostState::Stopped,
        // Terminated, shutting down, and whatever EC2 may add: nothing that could hold a credential for us.
        _ => return None,
    };
    let tag = |name: &str| {
        let tags = instance.tags.iter().flatten();
        tags.filter(|tag| tag.key() == Some(name)).find_map(|tag| tag.value().map(str::to_owned))
    };
    let own_tags = instance.tags.iter().flatten().filter(|tag| !tag.key().unwrap_or_default().starts_with("aws:"));
    let attached = instance.block_device_mappings.iter().flatten().filter_map(|device| device.ebs()?.attach_time());
    let renewed = attached.chain(instance.launch_time()).map(|time| time.secs()).max();
    Some(Host {
        id: instance.instance_id.as_deref()?.into(),
        name: tag("Name").filter(|name| !name.is_empty()),
        state,
        // An instance that tells no time at all has proved nothing.
        renewed: renewed.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX),
        ledger: tag(ledger_tag).and_then(|text| LedgerEntry::parse(&text)),
        matches: true,
        tag_count: own_tags.count(),
    })
}
