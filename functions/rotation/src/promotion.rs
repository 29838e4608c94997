//! Whether the proofs suffice to move AWSCURRENT.

use crate::error::StepError;
use crate::host_answer::HostError;
use crate::names::VersionId;
use crate::summary::PlaceSummary;

/// Refuses the promotion with what is missing and whom it is missing from.
///
/// Online are the running hosts whose agent answered within the deadline. A place where nobody proved although
/// somebody is online is a place whose canary failed.
pub fn judge(version: &VersionId, share: f64, places: &[PlaceSummary]) -> Result<(), StepError> {
    let missing = |problem: String| {
        Err(StepError::ProofsMissing { version: version.clone(), problem, named: name_failures(places) })
    };
    let online: u32 = places.iter().map(PlaceSummary::online).sum();
    let proved: u32 = places.iter().map(|place| place.proved).sum();
    if let Some(place) = places.iter().find(|place| place.error.is_some()) {
        return missing(format!("{} in {} could not be commanded", place.region, place.account));
    }
    if let Some(place) = places.iter().find(|place| place.version.as_ref() != Some(version)) {
        return missing(format!(
            "the proofs of {} in {} are about another version: somebody moved AWSPENDING meanwhile",
            place.region, place.account
        ));
    }
    if online == 0 {
        return missing("no host is online".to_owned());
    }
    if let Some(place) = places.iter().find(|place| place.online() > 0 && place.proved == 0) {
        return missing(format!(
            "the canary in {} of {} failed, so nobody else there was commanded",
            place.region, place.account
        ));
    }
    // The margin is for the share's own rounding: 0.9 of 10 is 9.
    if f64::from(proved) + 1e-9 < share * f64::from(online) {
        return missing(format!("{proved} of {online} online hosts proved it, and promoteShare is {share}"));
    }
    Ok(())
}

/// Whether a host's own policy refused the version's password: the same one will be refused again, so that another has to
/// be made.
pub fn is_password_refused(places: &[PlaceSummary]) -> bool {
    let refused = HostError::PasswordRefused.name();
    places.iter().flat_map(|place| &place.failures).any(|report| report.error == refused)
}

/// The failures of all places, each with cause and remedy.
pub fn name_failures(places: &[PlaceSummary]) -> String {
    let of_place = |place: &PlaceSummary| {
        let broken = place
            .error
            .as_ref()
            .map(|error| format!("{} in {}: {}: {}", place.region, place.account, error.error, error.message()));
        broken.into_iter().chain(place.failures.iter().map(|report| report.describe())).collect::<Vec<_>>()
    };
    places.iter().flat_map(of_place).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::HostReport;

    fn place(running: u32, proved: u32, unreachable: u32) -> PlaceSummary {
        let failures = vec![HostReport::new("i-1".into(), "", "ProofFailed", "Msg 3201")];
        PlaceSummary { version: Some("v2".into()), running, proved, unreachable, failures, ..PlaceSummary::default() }
    }

    fn judged(share: f64, places: &[PlaceSummary]) -> Result<(), String> {
        judge(&"v2".into(), share, places).map_err(|error| error.to_string())
    }

    #[test]
    fn nine_of_ten_online_hosts_are_enough_for_a_share_of_nine_tenths_and_eight_are_not() {
        assert!(judged(0.9, &[place(10, 9, 0)]).is_ok());
        assert!(judged(0.9, &[place(10, 8, 0)]).unwrap_err().contains("8 of 10"));
        assert!(judged(0.9, &[place(12, 9, 2)]).is_ok(), "who is not online does not count");
    }

    #[test]
    fn a_region_whose_canary_failed_holds_up_promotion_whatever_the_share() {
        assert!(judged(0.5, &[place(100, 100, 0), place(1, 0, 0)]).unwrap_err().contains("canary"));
    }

    #[test]
    fn a_fleet_of_which_nobody_answers_promotes_nothing() {
        assert!(judged(0.0, &[place(3, 0, 3)]).unwrap_err().contains("no host is online"));
        assert!(judged(0.9, &[]).is_err());
    }

    #[test]
    fn proofs_of_another_version_promote_nothing() {
        let mut stale = place(1, 1, 0);
        stale.version = Some("v1".into());
        assert!(judged(0.9, &[stale]).unwrap_err().contains("another version"));
    }

    #[test]
    fn a_refusal_names_host_cause_and_remedy() {
        let said = judged(1.0, &[place(2, 1, 0)]).unwrap_err();
        assert!(said.contains("i-1: ProofFailed: Msg 3201 → check the bucket's policy"), "{said}");
    }
}
