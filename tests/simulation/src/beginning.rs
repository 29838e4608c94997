//! How histories begin: small fleets, and the settings of the published set-up.

use sandbox::fleet_file::FleetFile;
use serde_json::{Value, json};

/// The key that the hosts hold at the start.
pub const OLD_KEY: &str = "AKIASANDBOXCURRENT00";
/// The user whose key is rotated.
pub const USER: &str = "sql-backups-user";
/// The secret.
pub const SECRET: &str = "sqlcredential";
/// The account of everything.
pub const ACCOUNT: &str = "111122223333";
/// The region of everything.
pub const REGION: &str = "eu-west-1";

/// The credential that the rotation's settings always list.
pub const BACKUPS: &str = "s3://sql-backups.s3.eu-west-1.amazonaws.com";
/// A second bucket's credential, which some hosts hold besides.
pub const ARCHIVE: &str = "s3://sql-archive.s3.eu-west-1.amazonaws.com";

/// The id of the host of a number.
pub fn id(number: u32) -> String {
    format!("i-{number:017x}")
}

/// A running host with one SQL Server 2022.
pub fn host(number: u32) -> Value {
    json!({ "id": id(number), "region": REGION, "tags": { "SQL": "2022" }, "sqlServers": [{}] })
}

/// So many running hosts.
///
/// # Errors
/// None, as long as the fleet file's shape is this.
pub fn fleet(hosts: u32) -> Result<FleetFile, serde_json::Error> {
    fleet_of((1..=hosts).map(host).collect())
}

/// A fleet of these hosts.
///
/// # Errors
/// Where a host is no entry of a fleet file.
pub fn fleet_of(hosts: Vec<Value>) -> Result<FleetFile, serde_json::Error> {
    let starts = "2026-11-24T06:00:00Z";
    serde_json::from_value(json!({ "account": ACCOUNT, "region": REGION, "startsAt": starts, "hosts": hosts }))
}

/// The settings of the published set-up.
pub fn settings() -> Value {
    json!({
        "rotation": "sql-backups",
        "secret": { "id": SECRET },
        "user": USER,
        "credentials": [BACKUPS],
        "fleet": {
            "tags": [{ "key": "SQL", "values": ["2022"] }],
            "targets": [{ "account": ACCOUNT, "regions": [REGION] }]
        },
        "topic": "arn:aws:sns:eu-west-1:111122223333:credential-rotation"
    })
}

/// The settings with the second bucket: its credential is the rotation's too, or declared foreign.
pub fn name_archive(settings: &mut Value, ours: bool) {
    let (credentials, foreign) =
        if ours { (json!([BACKUPS, ARCHIVE]), json!([])) } else { (json!([BACKUPS]), json!([ARCHIVE])) };
    settings["credentials"] = credentials;
    settings["foreignCredentials"] = foreign;
}
