//! The AWS CLI, as far as the scripts use it: two commands, `--query`, text output and the exit codes.
//!
//! Exit codes as the CLI documents them: 252 for a command line that it does not know, 254 when a service answers with
//! an error, which it prints as `An error occurred (Code) when calling the Operation operation: message`.

use serde_json::{Value, json};

use super::protocol::{Call, Reply};
use super::{CloudError, HostCloud};

/// A service's operation, as the command line names it.
struct Operation {
    command: [&'static str; 2],
    name: &'static str,
    /// Options and the members of the request that they fill.
    options: &'static [(&'static str, &'static str)],
}

const OPERATIONS: [Operation; 2] = [
    Operation {
        command: ["secretsmanager", "get-secret-value"],
        name: "GetSecretValue",
        options: &[("--secret-id", "SecretId"), ("--version-id", "VersionId"), ("--version-stage", "VersionStage")],
    },
    Operation { command: ["sts", "get-caller-identity"], name: "GetCallerIdentity", options: &[] },
];

/// Runs one call of the CLI on a host.
pub fn run(call: &Call, instance_id: &str, cloud: &dyn HostCloud) -> Reply {
    let operation = OPERATIONS.iter().find(|operation| call.arguments.iter().take(2).eq(operation.command.iter()));
    let Some(operation) = operation else {
        return usage(&format!("Found invalid choice '{}'", call.arguments.join(" ")));
    };
    let line = match Line::parse(operation, &call.arguments[2..]) {
        Ok(line) => line,
        Err(complaint) => return usage(&complaint),
    };
    match ask(call, operation, &line, instance_id, cloud) {
        Ok(answer) => Reply { stdout: format!("{}\n", text(&answer, &line.query)).into_bytes(), ..Reply::default() },
        Err(CloudError { code, message }) => {
            let complaint =
                format!("\nAn error occurred ({code}) when calling the {} operation: {message}\n", operation.name);
            Reply { exit_code: 254, stdout: Vec::new(), stderr: complaint.into_bytes() }
        }
    }
}

/// A key in the environment wins over the instance's role, as in every SDK.
fn ask(
    call: &Call,
    operation: &Operation,
    line: &Line,
    instance_id: &str,
    cloud: &dyn HostCloud,
) -> Result<Value, CloudError> {
    let key = call.variable("AWS_ACCESS_KEY_ID").zip(call.variable("AWS_SECRET_ACCESS_KEY"));
    match (operation.name, key) {
        ("GetCallerIdentity", Some((id, secret))) => cloud.caller_identity(&line.region, id, secret),
        ("GetSecretValue", None) => cloud.secret_value(instance_id, &line.region, line.input.clone()),
        (name, _) => Err(CloudError {
            code: "AccessDeniedException".to_owned(),
            message: format!("on a host {name} is asked with the other kind of credentials"),
        }),
    }
}

/// What the rest of the command line asks for.
struct Line {
    region: String,
    query: String,
    input: Value,
}

impl Line {
    fn parse(operation: &Operation, arguments: &[String]) -> Result<Line, String> {
        let mut line = Line { region: String::new(), query: String::new(), input: json!({}) };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("argument {option}: expected one argument"))?;
            let member = operation.options.iter().find(|(known, _)| known == option).map(|(_, member)| *member);
            match (option.as_str(), member) {
                (_, Some(member)) => line.input[member] = json!(value),
                ("--region", None) => line.region.clone_from(value),
                ("--query", None) => line.query.clone_from(value),
                ("--output", None) if value == "text" => {}
                _ => return Err(format!("Unknown options: {option} {value}")),
            }
        }
        if line.region.is_empty() {
            return Err("You must specify a region.".to_owned());
        }
        Ok(line)
    }
}

/// JMESPath as far as `Member` and `[Member,Member]`, in text output: one line, separated by tabs.
fn text(answer: &Value, query: &str) -> String {
    let members = query.trim_start_matches('[').trim_end_matches(']').split(',');
    let values = members.map(|member| match &answer[member.trim()] {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    });
    values.collect::<Vec<_>>().join("\t")
}

fn usage(complaint: &str) -> Reply {
    let complaint = format!("usage: aws [options] <command> <subcommand> [parameters]\n\naws: [ERROR]: {complaint}\n");
    Reply { exit_code: 252, stdout: Vec::new(), stderr: complaint.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneSecret;

    impl HostCloud for OneSecret {
        fn secret_value(&self, _: &str, region: &str, input: Value) -> Result<Value, CloudError> {
            if input["VersionStage"] == "AWSPENDING" {
                let message = "Secrets Manager can't find the specified secret value for staging label: AWSPENDING";
                return Err(CloudError::new("ResourceNotFoundException", message));
            }
            Ok(json!({ "VersionId": "v1", "SecretString": region }))
        }

        fn caller_identity(&self, _: &str, access_key_id: &str, _: &str) -> Result<Value, CloudError> {
            Ok(json!({ "Arn": access_key_id }))
        }

        fn put_object(&self, _: super::super::BackupObject<'_>) -> Result<(), CloudError> {
            Ok(())
        }
    }

    fn aws(line: &str, environment: &[(&str, &str)]) -> Reply {
        let call = Call {
            program: "aws".to_owned(),
            arguments: line.split(' ').map(str::to_owned).collect(),
            environment: environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            ..Call::default()
        };
        run(&call, "i-1", &OneSecret)
    }

    const GET: &str = "secretsmanager get-secret-value --secret-id s --region eu-west-1 --query [VersionId,SecretString] \
                       --output text --version-stage";

    #[test]
    fn a_list_is_one_line_with_tabs() {
        let reply = aws(&format!("{GET} AWSCURRENT"), &[]);
        assert_eq!(String::from_utf8(reply.stdout).unwrap(), "v1\teu-west-1\n");
    }

    #[test]
    fn a_service_error_is_254_and_names_the_code() {
        let reply = aws(&format!("{GET} AWSPENDING"), &[]);
        assert_eq!(reply.exit_code, 254);
        let stderr = String::from_utf8(reply.stderr).unwrap();
        assert!(stderr.contains("(ResourceNotFoundException) when calling the GetSecretValue operation"), "{stderr}");
    }

    #[test]
    fn a_key_in_the_environment_signs_the_identity_call() {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "x")];
        let reply = aws("sts get-caller-identity --region eu-west-1 --query Arn --output text", &keys);
        assert_eq!(String::from_utf8(reply.stdout).unwrap(), "AKIAEXAMPLE\n");
    }

    #[test]
    fn an_unknown_option_is_a_usage_error() {
        assert_eq!(aws("sts get-caller-identity --region eu-west-1 --debug yes", &[]).exit_code, 252);
    }
}
