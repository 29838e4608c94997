//! What one rotation was told, as far as the guarantees depend on it.

use jiff::SignedDuration;
use rotation::names::ledger_tag;
use rotation::settings::{FleetSettings, ProofKind, RetirementSettings, Settings};

use crate::cloud::views::InstanceView;

/// The measures of one rotation.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The rotation's name.
    pub rotation: String,
    /// The secret.
    pub secret_arn: String,
    /// The IAM user whose keys they are.
    pub user: String,
    /// The logins whose passwords they are; none where a key is rotated.
    pub logins: Vec<String>,
    /// The SQL Server credentials that hold the key.
    pub credentials: Vec<String>,
    /// The SQL Server instances of a host.
    pub endpoints: Vec<String>,
    /// Which instances are the fleet.
    pub fleet: FleetSettings,
    /// What a host's proof is.
    pub proof: ProofKind,
    /// The share of online hosts that a promotion needs.
    pub promote_share: f64,
    /// Overlap, quiet period and deletion, where there is a key to retire.
    pub retirement: Option<RetirementSettings>,
    /// How late EC2 shows a host that has just come up. A host that a function could not see in its last look is not
    /// held against it.
    pub host_shown_after: SignedDuration,
}

impl Rules {
    /// The measures that settings give.
    pub fn new(settings: &Settings, secret_arn: &str) -> Rules {
        let key = settings.access_key().ok();
        Rules {
            rotation: settings.rotation.clone(),
            secret_arn: secret_arn.to_owned(),
            user: settings.subject(),
            logins: settings.login().map(|login| login.names.clone()).unwrap_or_default(),
            credentials: settings.credentials().to_vec(),
            endpoints: settings.sql_server.endpoints.iter().map(|name| name.trim_end_matches('?').to_owned()).collect(),
            fleet: settings.fleet.clone(),
            proof: key.map_or(ProofKind::None, |key| key.proof.kind),
            promote_share: settings.promote_share(),
            retirement: key.map(|key| key.retirement.clone()),
            host_shown_after: SignedDuration::from_secs(5),
        }
    }

    /// Whether a SQL Server credential is one of the rotation's. SQL Server compares names without case.
    pub(super) fn is_listed(&self, credential: &str) -> bool {
        self.credentials.iter().any(|listed| listed.eq_ignore_ascii_case(credential))
    }

    /// Whether an instance is where the fleet is looked for and matches its tag conditions.
    pub(super) fn matches(&self, instance: &InstanceView) -> bool {
        let holds = |condition: &rotation::settings::TagCondition| {
            let value = instance.tags.get(&condition.key);
            value.is_some_and(|value| condition.values.contains(value))
        };
        self.is_looked_for(instance) && self.fleet.tags.iter().all(holds)
    }

    /// Whether an instance is of the fleet: it matches, or it bears the ledger's tag (DESIGN section 2, fleet).
    pub(super) fn is_of_fleet(&self, instance: &InstanceView) -> bool {
        let bears_ledger = instance.tags.contains_key(&ledger_tag(&self.rotation));
        self.matches(instance) || (bears_ledger && self.is_looked_for(instance))
    }

    fn is_looked_for(&self, instance: &InstanceView) -> bool {
        let mut targets = self.fleet.targets.iter();
        targets.any(|target| target.account == instance.account && target.regions.contains(&instance.region))
    }
}
