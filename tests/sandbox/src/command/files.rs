//! The two files that say what a world is like.

use std::path::PathBuf;

use sandbox::fleet_file::FleetFile;
use sandbox::settings_file::read_json;
use sandbox::world::WorldError;
use serde_json::Value;

/// Where they are.
#[derive(clap::Args)]
pub struct Files {
    /// The fleet: hosts, SQL Server instances, faults. See tests/sandbox/examples.
    #[arg(long)]
    fleet: PathBuf,
    /// The rotation's settings, as statemachine/settings.schema.json has them.
    #[arg(long)]
    settings: PathBuf,
}

impl Files {
    /// The fleet and the settings.
    pub fn read(&self) -> Result<(FleetFile, Value), WorldError> {
        Ok((FleetFile::read(&self.fleet)?, read_json(&self.settings)?))
    }
}
