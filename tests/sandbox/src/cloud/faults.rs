//! Faults injected into single calls: refused before they act, or acted upon and never answered.
//!
//! CreateAccessKey and SendCommand have no client token (FACTS A, C), so a lost reply is the fault that matters most.

use super::{Service, ServiceError};

/// One fault, used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The service whose call fails.
    pub service: Service,
    /// The API action.
    pub action: String,
    /// The how-manieth such call from now on fails, counted from 1.
    pub nth: u32,
    /// What happens.
    pub kind: FaultKind,
}

/// What happens to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is refused with this code and HTTP status, and has no effect.
    RefuseBefore(String, u16),
    /// It takes effect and the connection drops before the reply.
    LoseReplyAfterEffect,
    /// It is throttled, and has no effect.
    ThrottleBefore,
}

impl FaultKind {
    pub(super) fn refusal(&self, service: Service) -> Option<ServiceError> {
        match self {
            FaultKind::RefuseBefore(code, status) => {
                Some(ServiceError::new(*status, code, "The request was refused by an injected fault."))
            }
            FaultKind::ThrottleBefore => {
                let code = match service {
                    Service::SecretsManager | Service::Ssm | Service::States | Service::Logs | Service::Events => {
                        "ThrottlingException"
                    }
                    Service::Ec2 => "RequestLimitExceeded",
                    Service::Iam | Service::Sts | Service::Sns => "Throttling",
                    Service::S3 => "SlowDown",
                };
                Some(ServiceError::new(400, code, "Rate exceeded"))
            }
            FaultKind::LoseReplyAfterEffect => None,
        }
    }
}

/// The faults that wait for their call.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Counts this call against every fault that waits for one like it, and takes the first that is due.
    /// Two that are due at once are two calls' worth: the second waits for the next call.
    pub(super) fn take(&mut self, service: Service, action: &str) -> Option<FaultKind> {
        let mut due = None;
        for (index, fault) in self.0.iter_mut().enumerate() {
            if fault.service != service || fault.action != action {
                continue;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth == 0 && due.is_none() {
                due = Some(index);
            }
        }
        due.map(|index| self.0.remove(index).kind)
    }
}
