//! Images of hosts' disks. What comes back from an image holds the key of its time, and a marker that says so.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::host::fleet::Fleet;
use crate::host::{Host, SqlServer};

/// A host's disks at one moment: what its instances hold, and the script's own files.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pub(crate) sql_servers: Vec<(String, SqlServer)>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The image of every host: from the start of the world, and from when somebody last made one.
pub(crate) struct Images {
    first: BTreeMap<String, Image>,
    latest: Mutex<BTreeMap<String, Image>>,
}

impl Images {
    /// One of every host as it is.
    pub(super) fn of(fleet: &Fleet) -> Images {
        let image = |host: &Arc<Host>| (host.instance_id().to_owned(), Image::of(host).unwrap_or_default());
        let first: BTreeMap<String, Image> = fleet.hosts().iter().map(image).collect();
        Images { latest: Mutex::new(first.clone()), first }
    }

    /// A host's image from now on.
    pub(crate) fn keep(&self, id: &str, image: Image) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), image);
    }

    /// A host's image.
    pub(crate) fn get(&self, id: &str) -> Option<Image> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Whether an instance ran at the start; a host that was launched later has running ones only.
    pub(crate) fn ran_at_first(&self, id: &str, endpoint: &str) -> bool {
        let servers = self.first.get(id).map(|image| image.sql_servers.as_slice()).unwrap_or_default();
        servers.iter().find(|(name, _)| name == endpoint).is_none_or(|(_, server)| server.running)
    }
}

impl Image {
    /// The disks as they are now.
    pub(crate) fn of(host: &Host) -> io::Result<Image> {
        Ok(Image { sql_servers: host.sql_servers(), files: host.state_files()? })
    }

    /// Puts the disks in place of the host's own: an older key, and an older marker beside it.
    pub(crate) fn put_back(&self, host: &Host) -> io::Result<()> {
        for (endpoint, server) in &self.sql_servers {
            host.with_sql_server(endpoint, |present| *present = server.clone());
        }
        self.put_files(host)
    }

    /// A disk that comes back holds nothing that was written later.
    pub(crate) fn put_files(&self, host: &Host) -> io::Result<()> {
        host.put_state_files(self.files.clone())
    }
}
