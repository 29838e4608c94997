//! Keeps what a run leaves in its log: evidence, which the deployment keeps for as long as auditors ask, and metrics.

use rotation::contracts::Report;
use rotation::deed::Deed;
use rotation::report::Record;
use serde_json::{Value, json};

/// Notes what a step has just done: a run that ends in an error has done it all the same.
pub fn note(deed: &Deed<'_>) {
    write(&deed.evidence());
}

/// Keeps the record of a run; then its metrics, which CloudWatch takes only from a line that is nothing else.
pub fn keep(record: &Record<'_>) {
    record.evidence_lines().iter().for_each(write);
    line(&record.metrics());
}

/// Keeps what a plan has told.
pub fn keep_plan(report: &Report) {
    write(&report.evidence);
}

/// A log event of its own, under the name by which queries find evidence.
fn write(evidence: &Value) {
    line(&json!({ "level": "INFO", "evidence": evidence }));
}

#[allow(clippy::print_stdout, reason = "a function's stdout is its log")]
fn line(line: &Value) {
    println!("{line}");
}
