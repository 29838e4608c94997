//! The metrics of a run in CloudWatch's embedded metric format: a view of its record, like the report and the evidence.
//!
//! One line of the function's log, which CloudWatch turns into metrics by itself: no call, no permission, and nothing
//! that could fail a run. The alarms of `cdk/lib/alarms.ts` read them by these names.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::report::Record;
use crate::summary::PlaceSummary;

/// The namespace of every metric.
pub const NAMESPACE: &str = "CredentialRotation";

const SECONDS_OF_A_DAY: f64 = 86_400.0;

impl Record<'_> {
    /// The metrics as the line to log.
    pub fn metrics(&self) -> Value {
        let failed: u32 = self.places.iter().map(left_without_proof).sum();
        let measured = [
            // Without a current key there is none to tell, and the alarm on its absence is right.
            self.current_key_created.map(|created| ("CredentialAgeDays", "None", days(created, self.now))),
            Some(("HostsWithoutProof", "Count", number(self.roster.running().saturating_sub(self.proved())))),
            Some(("HostFailures", "Count", f64::from(failed))),
            Some(("DurationSeconds", "Seconds", seconds(self.started, self.now))),
            Some(("OldKeyUsed", "Count", f64::from(u8::from(self.is_old_key_used)))),
        ];
        let measured: Vec<(&str, &str, f64)> = measured.into_iter().flatten().collect();
        let described = measured.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }));
        let metadata = json!({
            "Timestamp": self.now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Rotation"]],
                "Metrics": described.collect::<Vec<_>>(),
            }],
        });
        let mut line = Map::from_iter([
            ("_aws".to_owned(), metadata),
            ("Rotation".to_owned(), json!(self.settings.rotation)),
            ("execution".to_owned(), json!(self.execution)),
        ]);
        line.extend(measured.into_iter().map(|(name, _, value)| (name.to_owned(), json!(value))));
        Value::Object(line)
    }
}

/// Hosts that answered, and that the run's commands left without a proof all the same.
fn left_without_proof(place: &PlaceSummary) -> u32 {
    place.online().saturating_sub(place.proved)
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn days(from: Timestamp, to: Timestamp) -> f64 {
    seconds(from, to) / SECONDS_OF_A_DAY
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::contracts::{Promoted, StageOutcome, Staged};
    use crate::fleet::{Host, HostState, Roster};
    use crate::ledger::LedgerEntry;
    use crate::request::{Mode, Request};
    use crate::secret::Target;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn host(id: &str, ledger: Option<&str>) -> Host {
        Host {
            id: id.into(),
            name: None,
            state: HostState::Running,
            renewed: at("2026-01-01T00:00:00Z"),
            ledger: ledger.and_then(LedgerEntry::parse),
            matches: true,
            tag_count: 1,
        }
    }

    /// The metrics of a run that began at six and took five minutes, over a host that has proved and one that has not.
    fn metrics_of(change: impl FnOnce(&mut Record<'_>)) -> Value {
        let place = PlaceSummary { running: 5, proved: 2, unreachable: 1, ..PlaceSummary::default() };
        metrics_in(&place, &Promoted::none(), change)
    }

    /// The same where its commands came to `place`.
    fn metrics_in(place: &PlaceSummary, promoted: &Promoted, change: impl FnOnce(&mut Record<'_>)) -> Value {
        let (settings, request) = (Settings::example(), Request::for_mode(Mode::Converge));
        let target = Target { version: "v2".into(), pending: false, since: at("2026-11-20T00:00:00Z"), scoped: None };
        let hosts = vec![host("i-1", Some("v2 2026-11-21T00:00:00Z")), host("i-2", None)];
        let mut record = Record {
            settings: &settings,
            execution: "arn:aws:states:eu-west-1:111122223333:execution:m:e",
            started: at("2026-11-24T06:00:00Z"),
            now: at("2026-11-24T06:05:00Z"),
            request: &request,
            staged: &Staged::new(StageOutcome::NotAsked, ""),
            promoted,
            places: std::slice::from_ref(place),
            target: Some(&target),
            target_key: None,
            target_login: None,
            roster: &Roster::new(hosts, Some(&target)),
            retired: &[],
            warnings: &[],
            next_rotation: None,
            current_key_created: Some(at("2026-11-19T18:05:00Z")),
            is_old_key_used: false,
        };
        change(&mut record);
        record.metrics()
    }

    fn names(of: &Value, pointer: &str) -> Vec<String> {
        let entries = of.pointer(pointer).and_then(Value::as_array);
        let name = |entry: &Value| entry.get("Name").unwrap_or(entry).as_str().map(str::to_owned);
        entries.into_iter().flatten().filter_map(name).collect()
    }

    /// What the embedded metric format's specification ("Specification: Embedded metric format", CloudWatch user guide)
    /// asks of a line, and CloudWatch drops in silence where it is not so.
    fn faults(line: &Value) -> Vec<String> {
        /// The units of the API reference's MetricDatum that we use, of 27.
        const UNITS: [&str; 3] = ["Seconds", "Count", "None"];
        let mut faults = Vec::new();
        let mut require = |holds: bool, what: &str| {
            if !holds {
                faults.push(what.to_owned());
            }
        };
        require(line["_aws"]["Timestamp"].as_u64().is_some_and(|millis| millis > 1_000_000_000_000), "milliseconds");
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().map(Vec::as_slice).unwrap_or_default();
        require(!directives.is_empty(), "a metric directive");
        for directive in directives {
            let namespace = directive["Namespace"].as_str().unwrap_or_default();
            require((1..=1024).contains(&namespace.len()), "a namespace");
            let sets = directive["Dimensions"].as_array().map(Vec::as_slice).unwrap_or_default();
            require(!sets.is_empty(), "a dimension set");
            for set in sets {
                let dimensions = names(set, "");
                require(dimensions.len() <= 30, "at most 30 dimensions");
                for name in dimensions {
                    let is_text = line[&name].as_str().is_some_and(|value| (1..=1024).contains(&value.len()));
                    require(is_text, &format!("the dimension {name} as text at the root"));
                }
            }
            let metrics = directive["Metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
            require((1..=100).contains(&metrics.len()), "1 to 100 metrics");
            for metric in metrics {
                let (name, unit) = (metric["Name"].as_str().unwrap_or_default(), metric["Unit"].as_str());
                require(line[name].is_number(), &format!("the metric {name} as a number at the root"));
                require(unit.is_some_and(|unit| UNITS.contains(&unit)), &format!("a unit of {name}"));
            }
        }
        faults
    }

    #[test]
    fn a_line_of_metrics_is_as_the_embedded_metric_format_asks_for() {
        let whole = metrics_of(|_| {});
        assert_eq!(faults(&whole), Vec::<String>::new(), "{whole}");
        let ageless = metrics_of(|record| record.current_key_created = None);
        assert_eq!(faults(&ageless), Vec::<String>::new(), "{ageless}");
        let mut broken = whole;
        broken["HostFailures"] = json!("2");
        assert_eq!(faults(&broken), ["the metric HostFailures as a number at the root"]);
    }

    #[test]
    fn a_run_tells_the_keys_age_who_lacks_a_proof_and_how_long_it_took() {
        let told = metrics_of(|_| {});
        assert_eq!(told["Rotation"], json!(Settings::example().rotation));
        let values = ["CredentialAgeDays", "HostsWithoutProof", "HostFailures", "DurationSeconds", "OldKeyUsed"];
        assert_eq!(values.map(|name| told[name].as_f64().unwrap()), [4.5, 1.0, 2.0, 300.0, 0.0]);
        assert_eq!(names(&told, "/_aws/CloudWatchMetrics/0/Metrics"), values);
    }

    #[test]
    fn an_age_that_no_look_told_is_left_out_and_is_not_nought() {
        let told = metrics_of(|record| record.current_key_created = None);
        assert!(told.get("CredentialAgeDays").is_none());
        assert!(!names(&told, "/_aws/CloudWatchMetrics/0/Metrics").contains(&"CredentialAgeDays".to_owned()));
    }

    #[test]
    fn a_promotion_lets_no_proof_of_its_own_run_count_as_lacking() {
        let promoted = Promoted { promoted: true, version: Some("v2".into()), ..Promoted::none() };
        let both = PlaceSummary { running: 2, proved: 2, ..PlaceSummary::default() };
        let told = metrics_in(&both, &promoted, |_| {});
        assert_eq!((told["HostsWithoutProof"].as_f64(), told["HostFailures"].as_f64()), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn a_use_of_an_old_key_is_one() {
        assert_eq!(metrics_of(|record| record.is_old_key_used = true)["OldKeyUsed"].as_f64(), Some(1.0));
    }
}
