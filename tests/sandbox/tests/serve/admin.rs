//! The admin calls: what AWS has no API for, and clear words for who calls them wrongly.

use super::*;

/// The row of a host in the fleet's table.
async fn row(served: &Served, host: &str) -> Value {
    let fleet = served.done("GET", "fleet", Value::Null).await;
    let hosts = fleet["hosts"].as_array().unwrap();
    hosts.iter().find(|row| row["id"] == host).unwrap_or_else(|| panic!("{host} is not in {fleet}")).clone()
}

/// A day, a week and another pass, each followed by a converge that must succeed.
async fn live_through_the_overlap(served: &Served) {
    for (name, days) in [("day", 1), ("overlap", 8), ("end", 8)] {
        served.done("POST", "clock", json!({ "days": days })).await;
        let arn = served.start(name, "{\"mode\":\"converge\"}").await;
        assert_eq!(served.end().await, (arn, "SUCCEEDED".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_pass_and_the_old_key_goes_inactive_and_is_deleted() {
    let served = served().await;
    served.rotate("first").await;
    let before = served.done("GET", "clock", Value::Null).await;
    assert!(before["now"].as_str().unwrap().starts_with("2026-11-24T06:"), "{before}");
    live_through_the_overlap(&served).await;
    let after = served.done("GET", "clock", Value::Null).await;
    assert!(after["now"].as_str().unwrap().starts_with("2026-12-11T06:"), "{after}");
    let keys = served.done("GET", "keys", Value::Null).await;
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[0]["id"]), (1, &json!(served.current_key())));
    let notices = served.done("GET", "notices", Value::Null).await;
    assert!(notices["notices"][0]["message"].as_str().unwrap().contains("is now AWSCURRENT"), "{notices}");
    assert_eq!(served.done("GET", "findings", Value::Null).await, json!({ "findings": [] }));
    assert_eq!(served.done("GET", "backups", Value::Null).await, json!({ "failed": [] }));
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_and_a_guarantee_that_is_broken_are_told() {
    let served = served().await;
    let iam = client!(served, aws_sdk_iam);
    let inactive = iam.update_access_key().user_name(USER).access_key_id(OLD_KEY).status("Inactive".into());
    inactive.send().await.unwrap();
    served.done("POST", "clock", json!({ "days": 1 })).await;
    let failed = served.done("GET", "backups", Value::Null).await;
    assert_eq!(failed["failed"].as_array().unwrap().len(), 2, "{failed}");
    assert_eq!(failed["failed"][0]["host"], FIRST);
    assert!(failed["failed"][0]["cause"].as_str().unwrap().contains("InvalidAccessKeyId"), "{failed}");
    served.running.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_broken_keeps_its_old_key_until_it_is_repaired() {
    let served = served().await;
    served.done("POST", &format!("hosts/{SECOND}/break"), json!({ "agentOffline": true })).await;
    assert_eq!(
        (&row(&served, SECOND).await["online"], &row(&served, SECOND).await["state"]),
        (&json!(false), &json!("running"))
    );
    served.rotate("first").await;
    let held = &row(&served, SECOND).await["holds"][0]["key"];
    assert_eq!(held, OLD_KEY);
    assert_eq!(row(&served, FIRST).await["holds"][0]["key"], served.current_key());
    assert_eq!(row(&served, SECOND).await["ledger"], Value::Null);
    served.done("POST", &format!("hosts/{SECOND}/repair"), Value::Null).await;
    let arn = served.start("late", "{\"mode\":\"converge\"}").await;
    assert_eq!(served.end().await, (arn, "SUCCEEDED".to_owned()));
    assert_eq!(row(&served, SECOND).await["holds"][0]["key"], served.current_key());
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_shows_in_what_the_host_answers() {
    let troubles = [
        ("full", json!({ "diskFull": true }), "StateNotWritable"),
        ("refused", json!({ "refusedBackups": 100, "endpoint": "localhost" }), "ProofFailed"),
        ("tools", json!({ "missingTools": ["sqlcmd"] }), "ToolMissing"),
        ("stopped", json!({ "sqlServerStopped": true }), "ConnectFailed"),
        ("lies", json!({ "lies": "PASSWORDUPDATESUCCESSFUL" }), "PASSWORDUPDATESUCCESSFUL"),
    ];
    let served = served().await;
    let ssm = client!(served, aws_sdk_ssm);
    for (name, trouble, failure) in troubles {
        served.done("POST", &format!("hosts/{FIRST}/break"), trouble).await;
        let arn = served.start(name, "{}").await;
        assert_eq!(served.end().await, (arn, "FAILED".to_owned()), "{name}");
        assert_eq!(served.held_by(FIRST), [OLD_KEY], "{name}");
        let answers = ssm.list_command_invocations().instance_id(FIRST).details(true).send().await.unwrap();
        let newest = &answers.command_invocations()[0];
        let said = newest.command_plugins().iter().find_map(|step| step.output()).unwrap();
        assert!(said.contains(failure), "{name}: {said}");
        served.done("POST", &format!("hosts/{FIRST}/repair"), Value::Null).await;
    }
    served.rotate("repaired").await;
    assert_eq!(served.held_by(FIRST), [served.current_key()]);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_disk_brings_the_old_key_back_and_the_next_run_brings_the_host_in() {
    let served = served().await;
    served.rotate("first").await;
    served.done("POST", &format!("hosts/{SECOND}/restore"), Value::Null).await;
    assert_eq!(served.held_by(SECOND), [OLD_KEY]);
    live_through_the_overlap(&served).await;
    assert_eq!(served.held_by(SECOND), [served.current_key()]);
    served.done("POST", &format!("hosts/{SECOND}/image"), Value::Null).await;
    served.done("POST", &format!("hosts/{SECOND}/restore"), Value::Null).await;
    assert_eq!(served.held_by(SECOND), [served.current_key()], "the image is newer now");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_launched_from_an_old_image_is_brought_to_the_new_key() {
    let served = served().await;
    served.rotate("first").await;
    let third = "i-00000000000000003";
    served.done("POST", &format!("hosts/{FIRST}/launch"), json!({ "id": third })).await;
    assert_eq!(served.held_by(third), [OLD_KEY]);
    live_through_the_overlap(&served).await;
    assert_eq!(served.held_by(third), [served.current_key()]);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_answers_as_late_after_a_start_or_a_launch_as_the_call_says() {
    let served = served().await;
    served.rotate("first").await;
    let third = "i-00000000000000003";
    served.done("POST", &format!("hosts/{SECOND}/stop"), Value::Null).await;
    let late = json!({ "agentAfterSeconds": 90 });
    served.done("POST", &format!("hosts/{SECOND}/start"), late.clone()).await;
    served.done("POST", &format!("hosts/{FIRST}/launch"), json!({ "id": third, "agentAfterSeconds": 90 })).await;
    for host in [SECOND, third] {
        let row = row(&served, host).await;
        assert_eq!((&row["state"], &row["online"]), (&json!("running"), &json!(false)), "{host}");
    }
    let input = json!({ "mode": "converge", "instanceIds": [SECOND, third] }).to_string();
    let arn = served.start("second", &input).await;
    assert_eq!(served.end().await, (arn, "SUCCEEDED".to_owned()));
    assert_eq!(served.held_by(third), [served.current_key()], "the run waited for its agent");
    served.done("POST", &format!("hosts/{SECOND}/stop"), Value::Null).await;
    let answer = served.done("POST", &format!("hosts/{SECOND}/start"), Value::Null).await;
    assert_eq!(answer["online"], json!(true), "at once, where the call says nothing");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_loses_its_tag_is_named_as_left_until_the_ledgers_tag_is_taken_away() {
    let served = served().await;
    served.rotate("first").await;
    let untag = |key: &str| (format!("hosts/{SECOND}/untag"), json!({ "key": key }));
    let (path, body) = untag("SQL");
    let answer = served.done("POST", &path, body).await;
    assert_eq!(answer["tags"]["SQL"], Value::Null, "{answer}");
    assert!(said(&served, "left").await.contains(SECOND));
    let (path, body) = untag("credential-rotation:sql-backups");
    served.done("POST", &path, body.clone()).await;
    assert!(!said(&served, "gone").await.contains(SECOND));
    let (status, answer) = served.admin("POST", &path, body).await;
    assert!(status == 404 && answer["error"].as_str().unwrap().contains("has no tag"), "{answer}");
    served.done("POST", &format!("hosts/{SECOND}/tag"), json!({ "key": "SQL", "value": "2022" })).await;
    assert!(said(&served, "back").await.contains("2 of 2 running hosts"));
    served.conclude().await;
}

/// What a converge that succeeds tells people.
async fn said(served: &Served, name: &str) -> String {
    served.done("POST", "clock", json!({ "days": 1 })).await;
    let arn = served.start(name, "{\"mode\":\"converge\"}").await;
    assert_eq!(served.end().await, (arn, "SUCCEEDED".to_owned()));
    let executions = served.running.world().executions();
    let output = executions.iter().find(|execution| execution.name == name).unwrap().output.clone().unwrap();
    output["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_that_iams_changes_do_not_reach_refuses_a_new_key_and_knows_the_old_one() {
    let served = served().await;
    served.done("POST", "iam", json!({ "reachesS3": false })).await;
    let arn = served.start("refused", "{}").await;
    assert_eq!(served.end().await, (arn, "FAILED".to_owned()));
    let refused = served.running.world().executions()[0].error.clone();
    assert_eq!(refused.as_deref(), Some("ProofsMissing"));
    served.done("POST", "clock", json!({ "days": 1 })).await;
    assert_eq!(served.done("GET", "backups", Value::Null).await, json!({ "failed": [] }));
    served.done("POST", "iam", json!({ "reachesS3": true })).await;
    served.rotate("again").await;
    assert_eq!(served.held_by(FIRST), [served.current_key()]);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_host_is_started_and_a_terminated_one_is_gone() {
    let served = served().await;
    for (verb, state) in [("stop", "stopped"), ("start", "running"), ("terminate", "terminated")] {
        let answer = served.done("POST", &format!("hosts/{FIRST}/{verb}"), Value::Null).await;
        assert_eq!(answer["state"], state);
        assert_eq!(row(&served, FIRST).await["state"], state);
    }
    for verb in ["start", "stop", "restore", "repair", "break"] {
        let body = json!({ "diskFull": true });
        let (status, answer) = served.admin("POST", &format!("hosts/{FIRST}/{verb}"), body).await;
        assert_eq!((status, row(&served, FIRST).await["state"].as_str()), (400, Some("terminated")), "{verb}");
        assert!(answer["error"].as_str().unwrap().contains("is terminated"), "{verb}: {answer}");
    }
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_wrongly_is_told_what_is_wrong() {
    let served = served().await;
    let host = format!("hosts/{FIRST}");
    for (method, path, body, status, said) in [
        ("POST", "clock".to_owned(), json!({ "day": 1 }), 400, "unknown field `day`"),
        ("POST", "clock".to_owned(), json!({}), 400, "either days"),
        ("POST", "clock".to_owned(), json!({ "days": 1, "seconds": 1 }), 400, "either days"),
        ("POST", "clock".to_owned(), json!({ "days": 100_000 }), 400, "1 to 1000"),
        ("POST", "clock".to_owned(), json!({ "days": -1 }), 400, "`days`"),
        ("GET", "hosts".to_owned(), Value::Null, 404, "there is no GET /sandbox/hosts"),
        ("DELETE", "fleet".to_owned(), Value::Null, 405, "GET or POST"),
        ("POST", "hosts/i-0/stop".to_owned(), Value::Null, 404, "there is no host i-0"),
        ("POST", format!("{host}/explode"), Value::Null, 404, "not `explode`"),
        ("POST", format!("{host}/break"), json!({ "disk": "full" }), 400, "unknown field `disk`"),
        (
            "POST",
            format!("{host}/break"),
            json!({ "refusedBackups": 1, "endpoint": "localhost,99" }),
            404,
            "localhost,99",
        ),
        ("POST", format!("{host}/launch"), json!({}), 400, "missing field `id`"),
        ("POST", format!("{host}/launch"), json!({ "id": SECOND }), 400, "already"),
        ("POST", format!("{host}/launch"), json!({ "id": "host 3" }), 400, "no instance id"),
        ("POST", format!("{host}/start"), json!({ "agentAfter": 60 }), 400, "unknown field `agentAfter`"),
        ("POST", format!("{host}/start"), json!({ "agentAfterSeconds": 86_401 }), 400, "a day, at most"),
        ("POST", format!("{host}/launch"), json!({ "id": "i-03", "agentAfterSeconds": 86_401 }), 400, "a day"),
        ("POST", format!("{host}/tag"), json!({ "key": "SQL" }), 400, "has a value"),
        ("POST", format!("{host}/untag"), json!({ "key": "SQL", "value": "2022" }), 400, "by its key alone"),
        ("POST", format!("{host}/untag"), json!({ "key": "SQL2" }), 404, "it has"),
        ("POST", "iam".to_owned(), Value::Null, 400, "missing field `reachesS3`"),
        ("GET", "definition?functionArn=arn".to_owned(), Value::Null, 400, "one *"),
        ("POST", "faults".to_owned(), json!({ "service": "s4", "action": "x", "kind": "throttle" }), 400, "not `s4`"),
        ("POST", "faults".to_owned(), json!({ "service": "s3", "action": "x", "kind": "slow" }), 400, "`kind`"),
        (
            "POST",
            "faults".to_owned(),
            json!({ "service": "s3", "action": "PutObject", "kind": "refuse" }),
            400,
            "takes a code",
        ),
        (
            "POST",
            "faults".to_owned(),
            json!({ "service": "s3", "action": "CreateAccessKey", "kind": "throttle" }),
            400,
            "does not serve s3:CreateAccessKey",
        ),
        ("POST", format!("{host}/break"), Value::Null, 400, "nothing is to go wrong"),
        ("POST", format!("{host}/break"), json!({ "endpoint": "localhost" }), 400, "nothing is to go wrong"),
        ("POST", format!("{host}/break"), json!({ "missingTools": ["awz"] }), 400, "no host has a tool `awz`"),
        ("POST", format!("{host}/break"), json!({ "missingTools": ["../bin/ls"] }), 400, "no host has a tool"),
        ("POST", format!("{host}/break"), json!({ "slowSeconds": 86_401 }), 400, "a day, at most"),
        ("POST", "executions".to_owned(), json!({ "arn": "x", "status": "RUNNING" }), 400, "no ARN of an execution"),
        (
            "POST",
            "executions".to_owned(),
            json!({ "arn": served.execution("x"), "status": "RUNNING" }),
            400,
            "own state machine",
        ),
        ("POST", "executions".to_owned(), json!({ "arn": foreign(), "status": "ENDED" }), 400, "not `ENDED`"),
    ] {
        let (answered, answer) = served.admin(method, &path, body.clone()).await;
        assert_eq!(answered, status, "{method} {path} {body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(said), "{method} {path} {body}: {answer}");
    }
    let (status, answer) = served.http("POST", "/sandbox/clock", &[], "{\"days\"").await;
    assert!(status == 400 && answer.contains("no JSON"), "{answer}");
    for path in ["/", "/sandbox", "/sandbox/"] {
        let (status, answer) = served.http("GET", path, &[], "").await;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"));
        assert_eq!((status, answer["error"].as_str().unwrap().contains("see the table")), (404, true), "{answer}");
    }
    served.conclude().await;
}

fn foreign() -> String {
    "arn:aws:states:us-east-1:000000000000:execution:rotation:first".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_orchestrator_gets_the_definition_the_functions_and_a_word_about_its_executions() {
    let served = served().await;
    let pattern = "arn:aws:lambda:us-east-1:000000000000:function:*";
    let definition = served.done("GET", &format!("definition?functionArn={pattern}"), Value::Null).await;
    assert_eq!(definition["States"]["PromoteStage"]["Resource"], pattern.replace('*', "promote-stage"));
    assert_eq!(definition["States"]["Settings"]["Result"]["rotation"], "sql-backups");
    let functions = served.done("GET", "functions", Value::Null).await;
    let functions = functions["functions"].as_array().unwrap();
    assert_eq!(functions.len(), 9);
    for function in functions {
        assert!(std::path::Path::new(function["binary"].as_str().unwrap()).exists(), "{function}");
        assert_eq!(function["environment"]["AWS_ENDPOINT_URL"], served.running.url());
    }
    let environment = &functions[0]["environment"];
    let session = |name: &str| environment[name].as_str().unwrap().to_owned();
    let sts = client!(served, aws_sdk_sts, session("AWS_ACCESS_KEY_ID"), session("AWS_SECRET_ACCESS_KEY"));
    let arn = sts.get_caller_identity().send().await.unwrap().arn.unwrap();
    assert!(arn.contains(functions[0]["name"].as_str().unwrap()), "its credentials are the function's own: {arn}");
    let sfn = client!(served, aws_sdk_sfn);
    let describe = || sfn.describe_execution().execution_arn(foreign());
    assert_eq!(code!(describe().send().await), "ExecutionDoesNotExist");
    served.done("POST", "executions", json!({ "arn": foreign(), "status": "RUNNING" })).await;
    assert_eq!(describe().send().await.unwrap().status().as_str(), "RUNNING");
    served.done("POST", "executions", json!({ "arn": foreign(), "status": "TIMED_OUT" })).await;
    let described = describe().send().await.unwrap();
    assert_eq!((described.status().as_str(), described.stop_date().is_some()), ("TIMED_OUT", true));
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_to_fail_fails_once_and_the_rotation_gets_over_it() {
    let served = served().await;
    let throttled = json!({ "service": "iam", "action": "ListUsers", "kind": "throttle" });
    served.done("POST", "faults", throttled).await;
    let iam = client!(served, aws_sdk_iam);
    assert_eq!(code!(iam.list_users().send().await), "Throttling");
    iam.list_users().send().await.expect("only one call is throttled");
    let refuse = json!({ "service": "iam", "action": "ListUsers", "kind": "refuse", "code": "ServiceFailure", "status": 500, "nth": 2 });
    served.done("POST", "faults", refuse).await;
    iam.list_users().send().await.expect("the second call is meant");
    assert_eq!(code!(iam.list_users().send().await), "ServiceFailure");
    let lost = json!({ "service": "secretsmanager", "action": "PutSecretValue", "kind": "loseReply" });
    served.done("POST", "faults", lost).await;
    served.rotate("first").await;
    assert_eq!(served.held_by(FIRST), [served.current_key()]);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_time_stands_still_while_nothing_runs() {
    let served = served().await;
    let now = || served.done("GET", "clock", Value::Null);
    let before = now().await;
    for _ in 0..20 {
        served.done("GET", "fleet", Value::Null).await;
    }
    assert_eq!(now().await, before);
    let after = served.done("POST", "clock", json!({ "seconds": 90 })).await;
    let times = [&before, &after].map(|time| time["now"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    assert_eq!(times[1].duration_since(times[0]).as_secs(), 90);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_is_taken_back_alone() {
    let served = served().await;
    let host = served.running.world().fleet.host(FIRST).unwrap();
    served.done("POST", &format!("hosts/{FIRST}/break"), json!({ "lies": "all is well", "slowSeconds": 60 })).await;
    served.done("POST", &format!("hosts/{FIRST}/break"), json!({ "slowSeconds": 1 })).await;
    host.set_faults(|faults| assert_eq!(faults.lie.as_deref(), Some("all is well"), "nobody named it"));
    served.done("POST", &format!("hosts/{FIRST}/break"), json!({ "lies": null })).await;
    host.set_faults(|faults| assert_eq!((faults.lie.as_deref(), faults.slow.as_secs()), (None, 1)));
    served.conclude().await;
}

#[test]
fn the_page_and_the_code_have_the_same_table_of_calls() {
    let rows = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim_start_matches("//! "));
        lines.filter(|line| line.contains("/sandbox/") && line.starts_with("| `")).map(str::to_owned).collect()
    };
    let [page, code] = [include_str!("../../README.md"), include_str!("../../src/serve/mod.rs")].map(rows);
    assert!(page.len() > 10, "{page:#?}");
    assert_eq!(page, code);
}
