//! The reason for it all: every night every SQL Server instance backs up with the key that it holds, and no rotation
//! may make a backup fail.

use jiff::Timestamp;

use super::*;
use crate::host::s3_url::S3Url;

/// A backup that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedBackup {
    /// When.
    pub time: Timestamp,
    /// Where.
    pub host: String,
    /// The SQL Server instance.
    pub endpoint: String,
    /// S3's answer.
    pub cause: String,
}

/// Backs up every instance of every running host through each of the settings' credentials.
pub(super) fn back_up_every_host(
    cloud: &Cloud,
    fleet: &Fleet,
    settings: &Settings,
    now: Timestamp,
) -> Vec<FailedBackup> {
    let mut failed = Vec::new();
    for host in fleet.hosts() {
        let is_up = cloud.instance(host.instance_id()).is_some_and(|instance| instance.state == InstanceState::Running);
        for (endpoint, server) in host.sql_servers().into_iter().filter(|(_, server)| is_up && server.running) {
            for url in settings.credentials() {
                if let Err(cause) = back_up(cloud, &server, &format!("{url}/nightly/{}.bak", host.instance_id())) {
                    let host = host.instance_id().to_owned();
                    failed.push(FailedBackup { time: now, host, endpoint: endpoint.clone(), cause });
                }
            }
        }
    }
    failed
}

/// One backup. An instance without a credential for the URL has nothing to back up there.
fn back_up(cloud: &Cloud, server: &SqlServer, url: &str) -> Result<(), String> {
    let Some(credential) = server.credential_for(url) else { return Ok(()) };
    let (Some(url), Some(pair)) = (S3Url::parse(url), credential.secret.as_deref()) else { return Ok(()) };
    let Some((key, secret)) = pair.split_once(':') else { return Ok(()) };
    let region = url.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
    cloud
        .s3_put(&region, &url.bucket, &url.key, key, secret)
        .map_err(|error| format!("{}: {}", error.code, error.message))
}
