//! What would become of a login's password.

use super::Preview;
use crate::login::labels::Made;
use crate::login::plan::{LoginPlan, LoginStage};
use crate::secret::SecretFacts;
use crate::settings::LoginSettings;

/// The plan for a login, or for two that take turns.
pub struct LoginProspect<'a> {
    /// What the settings say of it.
    pub settings: &'a LoginSettings,
    /// The plan, where one can be made.
    pub plan: Option<&'a LoginPlan>,
}

impl LoginProspect<'_> {
    pub(super) fn is_new(&self) -> bool {
        match self.plan.map(|plan| &plan.stage) {
            Some(LoginStage::Inspect | LoginStage::Make { .. } | LoginStage::Label { .. }) => true,
            Some(
                LoginStage::NotAsked
                | LoginStage::Pending(_)
                | LoginStage::Abandon { .. }
                | LoginStage::Rollback(_)
                | LoginStage::HeldUp(_)
                | LoginStage::Refused(_),
            )
            | None => false,
        }
    }

    pub(super) fn staging(&self) -> Vec<String> {
        let Some(plan) = self.plan else { return vec!["Nothing would be staged.".to_owned()] };
        let turns = if self.settings.is_alternating() { ", the login that applications do not use now" } else { "" };
        let line = match &plan.stage {
            LoginStage::Inspect | LoginStage::Make { .. } | LoginStage::Label { .. } => format!(
                "Every running host would be asked whether it can take a new password; then one would be made by the rules of login.password{turns}, stored and labelled AWSPENDING."
            ),
            LoginStage::Pending(Made { version, login, .. }) => {
                format!("The run would go on with the pending version {version} (a password of {login}).")
            }
            LoginStage::HeldUp(why) => {
                format!("The run would bring the hosts to the current version first. {why}")
            }
            LoginStage::Abandon { .. } | LoginStage::Rollback(_) => "AWSPENDING would be moved back.".to_owned(),
            LoginStage::NotAsked | LoginStage::Refused(_) => "Nothing would be staged.".to_owned(),
        };
        vec![line]
    }

    /// Our versions and what each is now.
    pub(super) fn holders(&self, secret: &SecretFacts) -> Vec<String> {
        let of = |made: Made| {
            let version = Some(&made.version);
            let what = match () {
                () if secret.pending() == version => "pending",
                () if secret.current() == version => "current",
                () if secret.promoted_of(&made.login) == version => {
                    "what hosts hold for the login whose turn it is not"
                }
                () => "of an earlier version; a host that was off may hold it",
            };
            format!("Version {}: a password of {}, made {}: {what}.", made.version, made.login, made.at)
        };
        secret.made().into_iter().map(of).collect()
    }

    pub(super) fn afterwards(&self, preview: &Preview<'_>) -> Vec<String> {
        let Some(plan) = self.plan else { return Vec::new() };
        let mut lines = Vec::new();
        if self.is_new() || matches!(plan.stage, LoginStage::Pending(_)) {
            lines.push("AWSCURRENT would move once every online host has proved the new password.".to_owned());
            if !self.settings.is_alternating() {
                lines.push(
                    "Until then a host that has changed refuses applications that have read the old password."
                        .to_owned(),
                );
            }
        }
        let schedule = &preview.settings.schedule;
        lines.extend(plan.next_rotation.map(|due| {
            let paused = if schedule.paused { ", and the schedules are paused (schedule.paused)" } else { "" };
            format!("By its age the current password is due on {}{paused}.", due.strftime("%Y-%m-%d"))
        }));
        lines
    }

    pub(super) fn refused(&self) -> Option<String> {
        match &self.plan?.stage {
            LoginStage::Refused(refusal) => Some(refusal.to_string()),
            LoginStage::NotAsked
            | LoginStage::Pending(_)
            | LoginStage::Inspect
            | LoginStage::Make { .. }
            | LoginStage::Label { .. }
            | LoginStage::Abandon { .. }
            | LoginStage::Rollback(_)
            | LoginStage::HeldUp(_) => None,
        }
    }
}
