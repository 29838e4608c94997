//! The SSM agent's rules for a document of schema 2.2 (EMULATORS.md, FACTS C), applied to real processes.
//!
//! What stands here is which steps run, with which parameters, and what their ends mean; the processes themselves are
//! in [`super::script`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::script::{self, Interpreter, Script, Signals};
use super::windows::Engine;
use super::{Host, model};
use crate::clock::Clock;

/// Characters of an output that the agent keeps (FACTS C).
const STDOUT_LIMIT: usize = 24_000;
const STDERR_LIMIT: usize = 8_000;
/// Exit codes with a meaning of their own.
const REBOOT: i32 = 194;
const STOP_AS_SUCCESS: i32 = 168;
const STOP_AS_FAILURE: i32 = 169;
/// 128 + SIGKILL, reported at a time-out.
pub(super) const KILLED: i32 = 137;

/// How the agent hands parameters to a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agent {
    /// Replaces `{{ name }}` in the text, whatever `interpolationType` says: agents before 3.3.2746.0.
    Old,
    /// Sets SSM_<name> for parameters with `interpolationType` ENV_VAR and leaves their text alone.
    #[default]
    New,
}

/// A host's operating system, as `platformType` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Platform {
    /// Linux.
    #[default]
    Linux,
    /// Windows.
    Windows,
}

impl Platform {
    /// The word in preconditions.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Linux => "Linux",
            Platform::Windows => "Windows",
        }
    }
}

/// Where and as what a document runs.
#[derive(Clone)]
pub struct Machine {
    /// The agent's generation.
    pub agent: Agent,
    /// The operating system.
    pub platform: Platform,
    /// The managed node's id.
    pub instance_id: String,
    /// Its region.
    pub region: String,
    /// The command.
    pub command_id: String,
    /// The orchestration folder of this command.
    pub folder: PathBuf,
    /// The variables that a script finds, besides the agent's own. Nothing else of this process's environment is passed.
    pub variables: Vec<(String, String)>,
    /// How long a script may run in real time, however long the document allows: a test must end.
    pub real_time_limit: Duration,
    /// How a running script is stopped.
    pub signals: Arc<Signals>,
    /// Whose model is played in place of the scripts, where one is.
    pub model: Option<Arc<Host>>,
    /// What runs PowerShell scripts, where anything does.
    pub engine: Option<Engine>,
    /// The simulated time that each script takes.
    pub slow: Duration,
    /// Simulated time.
    pub clock: Clock,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStatus {
    /// Exit code 0, or 168.
    Success,
    /// Exit code 194: the host reboots.
    SuccessAndReboot,
    /// The precondition was not met, which counts as a success (FACTS C).
    Skipped,
    /// Any other exit code, or a step that the agent does not understand.
    Failed,
    /// Killed at its time-out.
    TimedOut,
}

impl StepStatus {
    /// Whether SSM calls it a success.
    pub fn is_success(self) -> bool {
        matches!(self, StepStatus::Success | StepStatus::SuccessAndReboot | StepStatus::Skipped)
    }
}

/// A step's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepResult {
    /// The step's name.
    pub name: String,
    /// The plugin, for example `aws:runShellScript`.
    pub action: String,
    /// How it ended.
    pub status: StepStatus,
    /// The exit code; 0 for a skipped step.
    pub exit_code: i32,
    /// What SSM keeps of stdout.
    pub stdout: String,
    /// What SSM keeps of stderr.
    pub stderr: String,
}

/// Runs a document: every step, also after a failed one, unless the step or an exit code says otherwise.
pub async fn run_document(document: &Value, given: &BTreeMap<String, String>, machine: &Machine) -> Vec<StepResult> {
    let parameters = match parameters(document, given) {
        Ok(parameters) => parameters,
        Err(complaint) => return vec![refused("document", "", complaint)],
    };
    let mut results = Vec::new();
    for step in document["mainSteps"].as_array().into_iter().flatten() {
        let result = run_step(document, step, &parameters, machine).await;
        let stop = [STOP_AS_SUCCESS, STOP_AS_FAILURE].contains(&result.exit_code)
            || (!result.status.is_success() && step["onFailure"] == "exit");
        results.push(result);
        if stop {
            break;
        }
    }
    results
}

/// Whether the document as a whole is a success, as the agent aggregates its steps.
pub fn succeeded(results: &[StepResult]) -> bool {
    results.iter().all(|result| result.status.is_success())
}

/// What was given, else the default; a parameter that has neither, or does not match its pattern, ends the document.
fn parameters(document: &Value, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let declared = document["parameters"].as_object().into_iter().flatten();
    declared
        .map(|(name, parameter)| {
            let default = parameter["default"].as_str().map(str::to_owned);
            let value = given.get(name).cloned().or(default).ok_or_else(|| format!("parameter {name} has no value"))?;
            // A match anywhere in the value is enough: the agent does not anchor the pattern.
            let pattern = parameter["allowedPattern"].as_str().unwrap_or_default();
            if is_allowed(pattern, &value) {
                Ok((name.clone(), value))
            } else {
                Err(format!("parameter {name} does not match {pattern}"))
            }
        })
        .collect()
}

/// To compile a pattern takes longer than all the rest of a model's command, and documents have the same few.
fn is_allowed(pattern: &str, value: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<BTreeMap<String, Option<Regex>>> = const { RefCell::new(BTreeMap::new()) };
    }
    COMPILED.with_borrow_mut(|compiled| {
        if !compiled.contains_key(pattern) {
            compiled.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        compiled.get(pattern).and_then(Option::as_ref).is_some_and(|pattern| pattern.is_match(value))
    })
}

async fn run_step(
    document: &Value,
    step: &Value,
    parameters: &BTreeMap<String, String>,
    machine: &Machine,
) -> StepResult {
    let name = step["name"].as_str().unwrap_or_default().to_owned();
    let action = step["action"].as_str().unwrap_or_default().to_owned();
    match precondition(step, machine) {
        Precondition::Met => {}
        Precondition::NotMet => {
            let (exit_code, stdout) = (0, "Step execution skipped due to unsatisfied preconditions".to_owned());
            return StepResult { name, action, status: StepStatus::Skipped, exit_code, stdout, stderr: String::new() };
        }
        Precondition::NotUnderstood => return refused(&name, &action, "unrecognized precondition".to_owned()),
    }
    let substituted = substituted(document, parameters, machine.agent);
    let limit = time_limit(&step["inputs"]["timeoutSeconds"], &substituted);
    if !machine.slow.is_zero() {
        machine.clock.sleep(machine.slow.min(limit)).await;
    }
    if machine.slow > limit {
        return into_result(script::End::killed(), name, action);
    }
    let played = match &machine.model {
        Some(host) => model::play(host, &name, parameters, limit.saturating_sub(machine.slow)).await,
        None => run_script(document, step, parameters, &substituted, limit, machine).await,
    };
    match played {
        Ok(end) => into_result(end, name, action),
        Err(complaint) => refused(&name, &action, complaint),
    }
}

/// The error says why the script could not be run at all.
async fn run_script(
    document: &Value,
    step: &Value,
    parameters: &BTreeMap<String, String>,
    substituted: &BTreeMap<String, String>,
    limit: Duration,
    machine: &Machine,
) -> Result<script::End, String> {
    let interpreter = match (step["action"].as_str().unwrap_or_default(), &machine.engine) {
        ("aws:runShellScript", _) => Interpreter::Shell,
        ("aws:runPowerShellScript", Some(engine)) => Interpreter::PowerShell(engine),
        (action, _) => return Err(format!("plugin {action} cannot run here")),
    };
    let lines = step["inputs"]["runCommand"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let text = substituted.iter().fold(lines.collect::<Vec<_>>().join("\n"), |text, (name, value)| {
        text.replace(&format!("{{{{ {name} }}}}"), value).replace(&format!("{{{{{name}}}}}"), value)
    });
    let mut variables = machine.variables.clone();
    variables.extend(agent_variables(machine));
    variables.extend(environment_parameters(document, parameters, machine.agent));
    let folder = machine.folder.join(step["name"].as_str().unwrap_or_default());
    let script = Script { folder: &folder, text: &text, interpreter, variables: &variables };
    let ended = script.run(limit.min(machine.real_time_limit), &machine.signals).await;
    ended.map_err(|error| format!("{}: {error}", folder.display()))
}

enum Precondition {
    Met,
    NotMet,
    NotUnderstood,
}

/// StringEquals with exactly two arguments, of which one is platformType.
fn precondition(step: &Value, machine: &Machine) -> Precondition {
    let Some(conditions) = step["precondition"].as_object() else { return Precondition::Met };
    let arguments = conditions.get("StringEquals").and_then(Value::as_array);
    match arguments.map(Vec::as_slice) {
        Some([left, right]) if conditions.len() == 1 && left == "platformType" => {
            if *right == machine.platform.name() {
                Precondition::Met
            } else {
                Precondition::NotMet
            }
        }
        Some(_) | None => Precondition::NotUnderstood,
    }
}

fn is_environment_parameter(document: &Value, name: &str) -> bool {
    document["parameters"][name]["interpolationType"] == "ENV_VAR"
}

/// The parameters whose text is replaced.
fn substituted(document: &Value, parameters: &BTreeMap<String, String>, agent: Agent) -> BTreeMap<String, String> {
    let mut substituted = parameters.clone();
    if agent == Agent::New {
        substituted.retain(|name, _| !is_environment_parameter(document, name));
    }
    substituted
}

fn environment_parameters(
    document: &Value,
    parameters: &BTreeMap<String, String>,
    agent: Agent,
) -> Vec<(String, String)> {
    if agent == Agent::Old {
        return Vec::new();
    }
    let environment = parameters.iter().filter(|(name, _)| is_environment_parameter(document, name));
    environment.map(|(name, value)| (format!("SSM_{name}"), value.clone())).collect()
}

fn agent_variables(machine: &Machine) -> [(String, String); 3] {
    [
        ("AWS_SSM_INSTANCE_ID".to_owned(), machine.instance_id.clone()),
        ("AWS_SSM_REGION_NAME".to_owned(), machine.region.clone()),
        ("SSM_COMMAND_ID".to_owned(), machine.command_id.clone()),
    ]
}

/// A time-out outside 5 to 172,800 seconds becomes an hour.
fn time_limit(value: &Value, substituted: &BTreeMap<String, String>) -> Duration {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let name = text.trim_start_matches("{{").trim_end_matches("}}").trim();
    let seconds = substituted.get(name).unwrap_or(&text).parse().ok().filter(|seconds| (5..=172_800).contains(seconds));
    Duration::from_secs(seconds.unwrap_or(3_600))
}

fn refused(name: &str, action: &str, complaint: String) -> StepResult {
    StepResult {
        name: name.to_owned(),
        action: action.to_owned(),
        status: StepStatus::Failed,
        exit_code: 1,
        stdout: String::new(),
        stderr: complaint,
    }
}

fn into_result(end: script::End, name: String, action: String) -> StepResult {
    let exit_code = end.exit_code.unwrap_or(KILLED);
    let status = match end.exit_code {
        None => StepStatus::TimedOut,
        Some(0 | STOP_AS_SUCCESS) => StepStatus::Success,
        Some(REBOOT) => StepStatus::SuccessAndReboot,
        Some(_) => StepStatus::Failed,
    };
    let stdout = kept(&end.stdout, STDOUT_LIMIT);
    StepResult { name, action, status, exit_code, stdout, stderr: kept(&end.stderr, STDERR_LIMIT) }
}

fn kept(output: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(output).chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Runs one step with these lines as a new Linux agent.
    async fn run(name: &str, document: Value, given: &[(&str, &str)]) -> Vec<StepResult> {
        let folder = std::env::temp_dir().join(format!("sandbox-agent-{}-{name}", std::process::id()));
        let machine = Machine {
            agent: Agent::New,
            platform: Platform::Linux,
            instance_id: "i-0abc".to_owned(),
            region: "eu-west-1".to_owned(),
            command_id: "command".to_owned(),
            folder: folder.clone(),
            variables: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            real_time_limit: Duration::from_secs(60),
            signals: Arc::default(),
            model: None,
            engine: None,
            slow: Duration::from_secs(if name == "slow" { 301 } else { 0 }),
            clock: Clock::starting_at(jiff::Timestamp::UNIX_EPOCH),
        };
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let results = run_document(&document, &given, &machine).await;
        let _ = std::fs::remove_dir_all(folder);
        results
    }

    fn step(name: &str, lines: &[&str]) -> Value {
        json!({ "name": name, "action": "aws:runShellScript", "inputs": { "runCommand": lines, "timeoutSeconds": "300" } })
    }

    #[tokio::test]
    async fn exit_codes_mean_what_the_agent_makes_of_them() {
        for (exit_code, status) in [
            (0, StepStatus::Success),
            (1, StepStatus::Failed),
            (168, StepStatus::Success),
            (194, StepStatus::SuccessAndReboot),
        ] {
            let document = json!({ "mainSteps": [step("a", &[&format!("exit {exit_code}")])] });
            let results = run(&format!("exit-{exit_code}"), document, &[]).await;
            assert_eq!((results[0].status, results[0].exit_code), (status, exit_code));
        }
    }

    #[tokio::test]
    async fn a_powershell_step_without_an_engine_fails_loudly() {
        let step = json!({ "name": "a", "action": "aws:runPowerShellScript", "inputs": { "runCommand": ["exit 0"] } });
        let results = run("no-engine", json!({ "mainSteps": [step] }), &[]).await;
        assert_eq!((results[0].status, results[0].exit_code), (StepStatus::Failed, 1));
        assert_eq!(results[0].stderr, "plugin aws:runPowerShellScript cannot run here");
    }

    #[tokio::test]
    async fn a_step_for_another_platform_is_skipped_which_counts_as_a_success() {
        let mut windows = step("a", &["exit 1"]);
        windows["precondition"] = json!({ "StringEquals": ["platformType", "Windows"] });
        let results = run("skipped", json!({ "mainSteps": [windows.clone()] }), &[]).await;
        assert_eq!((results[0].status, results[0].exit_code, succeeded(&results)), (StepStatus::Skipped, 0, true));
        windows["precondition"] = json!({ "StringEquals": ["platform", "Windows"] });
        let results = run("unrecognized", json!({ "mainSteps": [windows] }), &[]).await;
        assert_eq!(results[0].status, StepStatus::Failed, "a precondition that is not understood fails");
    }

    #[tokio::test]
    async fn a_failed_step_does_not_stop_the_next_unless_it_says_so() {
        let mut document = json!({ "mainSteps": [step("a", &["exit 1"]), step("b", &["echo b"])] });
        assert_eq!(run("next", document.clone(), &[]).await.len(), 2);
        document["mainSteps"][0]["onFailure"] = json!("exit");
        assert_eq!(run("stop", document, &[]).await.len(), 1);
    }

    #[tokio::test]
    async fn a_parameter_is_a_variable_and_its_text_stays() {
        let parameter = json!({ "type": "String", "allowedPattern": "^[a-z']+$", "interpolationType": "ENV_VAR" });
        let document =
            json!({ "parameters": { "p": parameter }, "mainSteps": [step("a", &["echo \"$SSM_p\" '{{ p }}'"])] });
        assert_eq!(run("variable", document.clone(), &[("p", "it's")]).await[0].stdout, "it's {{ p }}\n");
        let refused = run("pattern", document, &[("p", "$(id)")]).await;
        assert_eq!((refused[0].status, refused[0].stdout.as_str()), (StepStatus::Failed, ""));
    }

    #[tokio::test]
    async fn a_script_that_takes_longer_than_its_time_out_is_killed() {
        let results = run("slow", json!({ "mainSteps": [step("a", &["echo never"])] }), &[]).await;
        assert_eq!(
            (results[0].status, results[0].exit_code, results[0].stdout.as_str()),
            (StepStatus::TimedOut, 137, "")
        );
    }

    #[tokio::test]
    async fn an_output_is_cut_where_ssm_cuts_it() {
        let lines = ["head -c 30000 /dev/zero | tr '\\0' x", "head -c 9000 /dev/zero | tr '\\0' y >&2"];
        let results = run("long", json!({ "mainSteps": [step("a", &lines)] }), &[]).await;
        assert_eq!((results[0].stdout.len(), results[0].stderr.len()), (24_000, 8_000));
    }

    #[test]
    fn a_time_out_outside_the_agents_range_is_an_hour() {
        let seconds = |text: &str| time_limit(&json!(text), &BTreeMap::new()).as_secs();
        assert_eq!([seconds("4"), seconds("5"), seconds("172801"), seconds("x")], [3_600, 5, 3_600, 3_600]);
    }
}
