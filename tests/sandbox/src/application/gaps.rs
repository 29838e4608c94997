//! The gaps: how long an instance refused the application without a break.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::Place;
use super::secret::Held;
use crate::host::sql_server::SqlMessage;

/// A time in which an instance refused every log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The host's instance id.
    pub host: String,
    /// The SQL Server instance, `host,port`.
    pub endpoint: String,
    /// The version that the application held when it began.
    pub version: String,
    /// The login that this names.
    pub login: String,
    /// SQL Server's last word: 18456, 18470, 18486, …
    pub message: u32,
    /// The first log-in that was refused.
    pub began: Timestamp,
    /// The first one that was not, or when there was no door any more; none while it lasts.
    pub ended: Option<Timestamp>,
    /// How many were refused.
    pub failed_log_ins: u64,
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gap { host, endpoint, version, login, message, began, ended, failed_log_ins } = self;
        let lasted = match ended {
            Some(ended) => format!("for {} s", ended.duration_since(*began).as_secs()),
            None => "until now".to_owned(),
        };
        write!(
            formatter,
            "{host} at {endpoint} refused {login} of version {version} from {} {lasted}: {failed_log_ins} log-ins failed \
             with Msg {message}",
            began.strftime("%H:%M:%S")
        )
    }
}

/// Every gap so far.
#[derive(Default)]
pub(super) struct Gaps {
    open: BTreeMap<Place, Gap>,
    closed: Vec<Gap>,
}

impl Gaps {
    /// What came of a log-in; nothing where there was no door.
    pub(super) fn record(
        &mut self,
        place: Place,
        held: &Held,
        now: Timestamp,
        outcome: Option<Result<(), SqlMessage>>,
    ) {
        let Some(Err(message)) = outcome else {
            let ended = self.open.remove(&place).map(|gap| Gap { ended: Some(now), ..gap });
            self.closed.extend(ended);
            return;
        };
        let gap = self.open.entry(place).or_insert_with_key(|(host, endpoint)| Gap {
            host: host.clone(),
            endpoint: endpoint.clone(),
            version: held.version.clone(),
            login: held.login.clone(),
            message: message.number,
            began: now,
            ended: None,
            failed_log_ins: 0,
        });
        (gap.failed_log_ins, gap.message) = (gap.failed_log_ins + 1, message.number);
    }

    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn all(&self) -> Vec<Gap> {
        let mut all: Vec<Gap> = self.closed.iter().chain(self.open.values()).cloned().collect();
        all.sort_by(|left, right| {
            (left.began, &left.host, &left.endpoint).cmp(&(right.began, &right.host, &right.endpoint))
        });
        all
    }
}
