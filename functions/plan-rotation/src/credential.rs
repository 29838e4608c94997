//! The credential as it is and the plan for it, of either kind, as far as either could be had.

use rotation::StepError;
use rotation::contracts::PlanInput;
use rotation::fleet::Roster;
use rotation::login;
use rotation::login::plan::LoginPlan;
use rotation::plan::{Plan, Settling, plan};
use rotation::preview::{KeyProspect, LoginProspect, Prospect};
use rotation::secret::SecretFacts;
use rotation::settings::{Credential, Settings};

/// What a look found.
pub(crate) enum Look {
    AccessKey(access_keys::Look),
    Login(login_passwords::Look),
}

/// What would be done.
pub(crate) enum Outlook {
    AccessKey(Box<Plan>),
    Login(Box<LoginPlan>),
}

impl Look {
    /// Looks at the credential of the settings' kind.
    pub(crate) async fn at(
        secretsmanager: &aws_sdk_secretsmanager::Client,
        iam: &aws_sdk_iam::Client,
        settings: &Settings,
    ) -> Result<Look, StepError> {
        match &settings.credential {
            Credential::AccessKey(_) => access_keys::look(secretsmanager, iam, settings).await.map(Look::AccessKey),
            Credential::Login(_) => login_passwords::look(secretsmanager, settings).await.map(Look::Login),
        }
    }

    /// The secret's labels and tags.
    pub(crate) fn secret(&self) -> &SecretFacts {
        match self {
            Look::AccessKey(look) => &look.secret,
            Look::Login(look) => &look.secret,
        }
    }

    /// The plan.
    pub(crate) fn plan(&self, input: &PlanInput, fleet: Option<&Roster>) -> Result<Outlook, StepError> {
        let (request, settings) = (&input.request, &input.settings);
        match self {
            Look::AccessKey(look) => {
                let when = (input.started, input.now);
                let facts = look.clone().into_facts(when, request, settings, &input.execution, fleet)?;
                plan(&facts).map(Box::new).map(Outlook::AccessKey)
            }
            Look::Login(look) => {
                let facts = look.clone().into_facts(input.now, request, settings, fleet)?;
                login::plan::plan(&facts).map(Box::new).map(Outlook::Login)
            }
        }
    }
}

impl Outlook {
    /// Records that would be put in order first.
    pub(crate) fn settle(&self) -> &[Settling] {
        match self {
            Outlook::AccessKey(plan) => &plan.settle,
            Outlook::Login(plan) => &plan.settle,
        }
    }
}

/// What a plan tells of the credential.
pub(crate) fn prospect<'a>(
    settings: &'a Settings,
    look: Option<&'a Look>,
    outlook: Option<&'a Outlook>,
) -> Prospect<'a> {
    match &settings.credential {
        Credential::AccessKey(settings) => {
            let keys = look.and_then(|look| match look {
                Look::AccessKey(look) => Some(look.keys.as_slice()),
                Look::Login(_) => None,
            });
            let plan = outlook.and_then(|outlook| match outlook {
                Outlook::AccessKey(plan) => Some(plan.as_ref()),
                Outlook::Login(_) => None,
            });
            Prospect::AccessKey(KeyProspect { settings, keys, plan })
        }
        Credential::Login(settings) => {
            let plan = outlook.and_then(|outlook| match outlook {
                Outlook::Login(plan) => Some(plan.as_ref()),
                Outlook::AccessKey(_) => None,
            });
            Prospect::Login(LoginProspect { settings, plan })
        }
    }
}
