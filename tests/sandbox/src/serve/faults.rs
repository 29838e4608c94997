//! A call to come that is throttled, refused, or done and never answered.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Service;
use super::admin::Refusal;
use crate::cloud::{self, Fault, FaultKind};

/// One fault, used once.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FaultEntry {
    service: String,
    action: String,
    #[serde(default = "first")]
    nth: u32,
    kind: Kind,
    code: Option<String>,
    status: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Throttle,
    LoseReply,
    Refuse,
}

fn first() -> u32 {
    1
}

impl Service {
    pub(super) fn inject(&self, entry: FaultEntry) -> Result<Value, Refusal> {
        let FaultEntry { service, action, nth, kind, code, status } = entry;
        let found = cloud::Service::by_name(&service).ok_or_else(|| {
            let served = cloud::Service::ALL.map(cloud::Service::name).join(", ");
            Refusal::bad(format!("service is one of {served}, and not `{service}`"))
        })?;
        if !cloud::Cloud::serves(found, &action) {
            return Err(Refusal::bad(format!(
                "the local AWS does not serve {service}:{action}, so no such call can fail"
            )));
        }
        if nth == 0 {
            return Err(Refusal::bad("nth counts such calls from 1"));
        }
        let kind = match (kind, code, status) {
            (Kind::Throttle, None, None) => FaultKind::ThrottleBefore,
            (Kind::LoseReply, None, None) => FaultKind::LoseReplyAfterEffect,
            (Kind::Refuse, Some(code), Some(status @ 400..=599)) => FaultKind::RefuseBefore(code, status),
            (Kind::Refuse, ..) => return Err(Refusal::bad("refuse takes a code, and a status from 400 to 599")),
            (Kind::Throttle | Kind::LoseReply, ..) => {
                return Err(Refusal::bad("only refuse takes a code and a status"));
            }
        };
        self.world.cloud.inject(Fault { service: found, action: action.clone(), nth, kind });
        Ok(json!({ "service": service, "action": action, "nth": nth }))
    }
}
