//! What a fleet file must hold to beyond its fields' types: a mistake in it must not become a world that nobody meant,
//! nor an id a path outside a host's folder.

use std::collections::BTreeSet;

use super::check_story::check_story;
use super::{FleetFile, HostEntry, SqlServerEntry};

/// SQL Server 2012 to 2025; S3 credentials came with 16, and older ones are there to be refused.
const MAJOR_VERSIONS: std::ops::RangeInclusive<u32> = 11..=17;

/// What is wrong, and at which JSON path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) place: String,
    pub(super) problem: String,
}

pub(super) fn flaw<T>(place: impl Into<String>, problem: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw { place: place.into(), problem: problem.into() })
}

/// The first thing that is wrong.
pub(super) fn check(file: &FleetFile) -> Result<(), Flaw> {
    check_account("account", &file.account)?;
    let mut ids = BTreeSet::new();
    for (index, host) in file.hosts.iter().enumerate() {
        let place = format!("hosts[{index}]");
        check_host(&place, host)?;
        if !ids.insert(&host.id) {
            return flaw(format!("{place}.id"), format!("there is a host {} already", host.id));
        }
    }
    check_story(file)
}

fn check_account(place: &str, account: &str) -> Result<(), Flaw> {
    if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    flaw(place, format!("an account has 12 digits, unlike `{account}`"))
}

pub(super) fn check_host(place: &str, host: &HostEntry) -> Result<(), Flaw> {
    if !is_instance_id(&host.id) {
        return flaw(
            format!("{place}.id"),
            format!("an instance's id is i- and hexadecimal digits (0-9, a-f), unlike `{}`", host.id),
        );
    }
    if let Some(account) = &host.account {
        check_account(&format!("{place}.account"), account)?;
    }
    let mut addresses = BTreeSet::new();
    for (index, server) in host.sql_servers.iter().enumerate() {
        let place = format!("{place}.sqlServers[{index}]");
        let address = check_server(&place, server)?;
        if !addresses.insert(address) {
            let problem = format!("another SQL Server of {} listens at {} already", host.id, server.address());
            return flaw(format!("{place}.endpoint"), problem);
        }
    }
    Ok(())
}

/// Whether a text is an instance's id. A host's folder is named by it.
pub(crate) fn is_instance_id(id: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    id.strip_prefix("i-").is_some_and(|digits| !digits.is_empty() && digits.bytes().all(is_digit))
}

/// The name, in lower case, and the port at which the instance listens.
fn check_server(place: &str, server: &SqlServerEntry) -> Result<(String, u16), Flaw> {
    if !MAJOR_VERSIONS.contains(&server.major_version) {
        let (oldest, newest) = (MAJOR_VERSIONS.start(), MAJOR_VERSIONS.end());
        let problem = format!("a major version is {oldest} to {newest}, unlike {}", server.major_version);
        return flaw(format!("{place}.majorVersion"), problem);
    }
    if address(&server.endpoint).is_none() {
        let problem =
            format!("an endpoint is a name, or a name and a port as in host,1434, unlike `{}`", server.endpoint);
        return flaw(format!("{place}.endpoint"), problem);
    }
    let name =
        || format!("a virtual name is a host's name, unlike `{}`", server.virtual_name.as_deref().unwrap_or_default());
    address(&server.address()).ok_or_else(|| Flaw { place: format!("{place}.virtualName"), problem: name() })
}

/// `host` or `host,port`; 1433 is the default instance's port.
fn address(endpoint: &str) -> Option<(String, u16)> {
    let (name, port) = match endpoint.split_once(',') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port.parse().ok()?),
        Some(_) => return None,
        None => (endpoint, 1433),
    };
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let holds = port > 0 && !name.is_empty() && name.bytes().all(is_of_a_name);
    holds.then(|| (name.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is said of a file of two hosts after a change of it.
    fn said(change: impl FnOnce(&mut Value)) -> Option<Flaw> {
        let host =
            |id: &str| json!({ "id": id, "region": "eu-west-1", "sqlServers": [{}, { "endpoint": "localhost,1434" }] });
        let mut file = json!({
            "account": "111122223333",
            "region": "eu-west-1",
            "startsAt": "2026-11-24T06:00:00Z",
            "hosts": [host("i-01"), host("i-0f")],
        });
        change(&mut file);
        check(&serde_json::from_value(file).unwrap()).err()
    }

    #[test]
    fn a_file_without_a_flaw_is_taken() {
        assert_eq!(said(|_| {}), None);
        assert_eq!(said(|file| file["hosts"][1]["sqlServers"][1]["virtualName"] = json!("SQLPROD")), None);
    }

    #[test]
    fn each_flaw_is_named_with_its_place() {
        for (pointer, value, place) in [
            ("/account", json!("11112222333"), "account"),
            ("/account", json!("11112222333x"), "account"),
            ("/hosts/1/account", json!("other"), "hosts[1].account"),
            ("/hosts/1/id", json!("i-01"), "hosts[1].id"),
            ("/hosts/1/id", json!("i-../../x"), "hosts[1].id"),
            ("/hosts/1/id", json!("i-0F"), "hosts[1].id"),
            ("/hosts/1/id", json!("i-"), "hosts[1].id"),
            ("/hosts/0/id", json!("../x"), "hosts[0].id"),
            ("/hosts/1/sqlServers/1/endpoint", json!("LOCALHOST,1433"), "hosts[1].sqlServers[1].endpoint"),
            ("/hosts/1/sqlServers/1/endpoint", json!("localhost,"), "hosts[1].sqlServers[1].endpoint"),
            ("/hosts/1/sqlServers/1/endpoint", json!("localhost,0"), "hosts[1].sqlServers[1].endpoint"),
            ("/hosts/1/sqlServers/1/endpoint", json!("localhost,65536"), "hosts[1].sqlServers[1].endpoint"),
            ("/hosts/1/sqlServers/1/endpoint", json!("a b"), "hosts[1].sqlServers[1].endpoint"),
            ("/hosts/1/sqlServers/1/endpoint", json!(""), "hosts[1].sqlServers[1].endpoint"),
            ("/hosts/1/sqlServers/1/virtualName", json!("a|b"), "hosts[1].sqlServers[1].virtualName"),
            ("/hosts/0/sqlServers/0/majorVersion", json!(10), "hosts[0].sqlServers[0].majorVersion"),
            ("/hosts/0/sqlServers/0/majorVersion", json!(18), "hosts[0].sqlServers[0].majorVersion"),
        ] {
            let (parent, member) = pointer.rsplit_once('/').unwrap();
            let found = said(|file| file.pointer_mut(parent).unwrap()[member] = value.clone());
            assert_eq!(found.map(|flaw| flaw.place).as_deref(), Some(place), "{pointer} {value}");
        }
    }
}
