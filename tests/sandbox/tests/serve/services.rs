//! The other services, as far as people and their tools use them round a rotation.

use aws_sdk_secretsmanager::types::RotationRulesType;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_stopped_and_started_by_ec2s_own_calls() {
    let served = served().await;
    let ec2 = client!(served, aws_sdk_ec2);
    let launched = || served.running.world().cloud.instance(FIRST).unwrap().launch_time;
    let before = launched();
    let stopped = ec2.stop_instances().instance_ids(FIRST).send().await.unwrap();
    let change = &stopped.stopping_instances()[0];
    let names =
        [change.previous_state(), change.current_state()].map(|state| state.unwrap().name().unwrap().to_string());
    assert_eq!(names, ["running", "stopping"]);
    let status = ec2.describe_instance_status().send().await.unwrap();
    let running: Vec<_> = status.instance_statuses().iter().filter_map(|status| status.instance_id()).collect();
    assert_eq!(running, [SECOND]);
    let all = ec2.describe_instance_status().include_all_instances(true).instance_ids(FIRST).send().await.unwrap();
    let state = all.instance_statuses()[0].instance_state().unwrap();
    assert_eq!((state.code(), state.name().unwrap().as_str()), (Some(80), "stopped"));
    let started = ec2.start_instances().instance_ids(FIRST).send().await.unwrap();
    assert_eq!(started.starting_instances()[0].current_state().unwrap().name().unwrap().as_str(), "pending");
    assert!(launched() > before, "a start is a new launch");
    assert_eq!(
        code!(ec2.stop_instances().instance_ids("i-0123456789abcdef0").send().await),
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(code!(ec2.stop_instances().instance_ids("nonsense").send().await), "InvalidInstanceID.Malformed");
    ec2.terminate_instances().instance_ids(SECOND).send().await.unwrap();
    assert_eq!(code!(ec2.start_instances().instance_ids(SECOND).send().await), "IncorrectInstanceState");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_what_each_host_answered() {
    let served = served().await;
    served.rotate("first").await;
    let ssm = client!(served, aws_sdk_ssm);
    let commands = ssm.list_commands().send().await.unwrap();
    let command = commands.commands().last().unwrap().command_id().unwrap().to_owned();
    let get = |instance: &str, step: Option<&str>| {
        let step = step.map(str::to_owned);
        ssm.get_command_invocation().command_id(&command).instance_id(instance).set_plugin_name(step)
    };
    let invocation = get(FIRST, Some("applyOnLinux")).send().await.unwrap();
    assert_eq!((invocation.status().unwrap().as_str(), invocation.response_code()), ("Success", 0));
    let answer: Value = serde_json::from_str(invocation.standard_output_content().unwrap()).unwrap();
    assert_eq!((&answer["proved"], &answer["rotation"]), (&json!(1), &json!("sql-backups")));
    assert_eq!(code!(get(FIRST, Some("another")).send().await), "InvalidPluginName");
    assert_eq!(code!(get("i-0", None).send().await), "InvocationDoesNotExist");
    let unknown = ssm.get_command_invocation().command_id("00000000-0000-0000-0000-000000000000").instance_id(FIRST);
    assert_eq!(code!(unknown.send().await), "InvocationDoesNotExist");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_own_command_runs_although_no_execution_does() {
    let served = served().await;
    let ssm = client!(served, aws_sdk_ssm);
    let document = json!({
        "schemaVersion": "2.2",
        "mainSteps": [{ "name": "say", "action": "aws:runShellScript", "inputs": { "runCommand": ["echo here"] } }],
    });
    let create = ssm.create_document().name("say").document_type("Command".into()).content(document.to_string());
    create.send().await.unwrap();
    let (ended, mut ends) = unbounded_channel();
    served.running.world().cloud.subscribe(Arc::new(move |event| {
        if event.action == "InvocationEnded" {
            let _ = ended.send(());
        }
    }));
    let sent = ssm.send_command().document_name("say").instance_ids(FIRST).send().await.unwrap();
    ends.recv().await.unwrap();
    let command = sent.command().unwrap().command_id().unwrap();
    let invocation = ssm.get_command_invocation().command_id(command).instance_id(FIRST).send().await.unwrap();
    assert_eq!(invocation.standard_output_content(), Some("here\n"));
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_functions_and_commands_are_found_by_group_stream_and_term() {
    let served = served().await;
    served.start("bad-mode", "{\"mode\":\"rotat\"}").await;
    assert_eq!(served.end().await.1, "FAILED");
    served.rotate("first").await;
    let call =
        async |action: &str, input: Value| served.json_call("logs", &format!("Logs_20140328.{action}"), input).await;
    let (_, groups) = call("DescribeLogGroups", json!({ "logGroupNamePrefix": "/aws/lambda/" })).await;
    let names: Vec<&str> =
        groups["logGroups"].as_array().unwrap().iter().filter_map(|group| group["logGroupName"].as_str()).collect();
    assert_eq!(names.len(), 6, "one for each function: {names:?}");
    let group = "/aws/lambda/enumerate-instances";
    let (_, found) = call("FilterLogEvents", json!({ "logGroupName": group, "filterPattern": "InvalidInput" })).await;
    assert!(found["events"][0]["message"].as_str().unwrap().contains("rotat"), "{found}");
    let (_, none) = call("FilterLogEvents", json!({ "logGroupName": group, "filterPattern": "Invalid -Input" })).await;
    assert_eq!(none["events"], json!([]));
    let commands = "/credential-rotation/commands";
    let (_, streams) = call("DescribeLogStreams", json!({ "logGroupName": commands, "limit": 1 })).await;
    let stream = streams["logStreams"][0]["logStreamName"].as_str().unwrap();
    // A wave's command has an id that is drawn, so either host's may come first.
    let is_of = |host: &&str| stream.contains(&format!("/{host}/applyOnLinux/std"));
    assert!([FIRST, SECOND].iter().any(is_of), "{stream}");
    assert!(streams["nextToken"].is_string(), "{streams}");
    let (status, refused) = call("GetLogEvents", json!({ "logGroupName": "none", "logStreamName": "none" })).await;
    assert_eq!((status, refused["__type"].as_str()), (400, Some("ResourceNotFoundException")));
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_events_are_paged_from_either_end_and_a_token_at_the_end_stays() {
    let served = served().await;
    let cloud = &served.running.world().cloud;
    (1..=5).for_each(|line| cloud.put_log_event((ACCOUNT, REGION), "group", "stream", &format!("line {line}")));
    let page = async |options: Value| {
        let mut input = json!({ "logGroupName": "group", "logStreamName": "stream", "limit": 2 });
        input.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let (status, answer) = served.json_call("logs", "Logs_20140328.GetLogEvents", input).await;
        assert_eq!(status, 200, "{answer}");
        let lines: Vec<String> =
            answer["events"].as_array().unwrap().iter().map(|event| event["message"].to_string()).collect();
        (lines.join(" ").replace('"', ""), answer)
    };
    let (newest, answer) = page(json!({})).await;
    assert_eq!(newest, "line 4 line 5");
    let (before, _) = page(json!({ "nextToken": answer["nextBackwardToken"] })).await;
    assert_eq!(before, "line 2 line 3");
    let (after, at_end) = page(json!({ "nextToken": answer["nextForwardToken"] })).await;
    assert_eq!((after.as_str(), &at_end["nextForwardToken"]), ("", &answer["nextForwardToken"]));
    let (oldest, answer) = page(json!({ "startFromHead": true })).await;
    assert_eq!(oldest, "line 1 line 2");
    let (next, _) = page(json!({ "startFromHead": true, "nextToken": answer["nextForwardToken"] })).await;
    assert_eq!(next, "line 3 line 4");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_updated_deleted_and_brought_back() {
    let served = served().await;
    let secrets = client!(served, aws_sdk_secretsmanager);
    let created = secrets.create_secret().name("other").description("one").secret_string("1").send().await.unwrap();
    let first = created.version_id().unwrap();
    let update =
        |token: &str| secrets.update_secret().secret_id("other").secret_string("2").client_request_token(token);
    assert_eq!(code!(update(first).send().await), "ResourceExistsException");
    let second = update(&"2".repeat(32)).send().await.unwrap();
    let read = || secrets.get_secret_value().secret_id("other");
    assert_eq!(read().send().await.unwrap().version_id(), second.version_id());
    let versions = secrets.list_secret_version_ids().secret_id("other").send().await.unwrap();
    let stages: Vec<_> = versions.versions().iter().map(|version| version.version_stages()).collect();
    assert_eq!(stages, [["AWSCURRENT"], ["AWSPREVIOUS"]]);
    let delete = || secrets.delete_secret().secret_id("other");
    assert_eq!(code!(delete().recovery_window_in_days(6).send().await), "InvalidParameterException");
    let deleted = delete().recovery_window_in_days(7).send().await.unwrap();
    let now = served.running.world().clock.now().as_second();
    assert_eq!(deleted.deletion_date().unwrap().secs() - now, 7 * 86_400);
    assert_eq!(code!(read().send().await), "InvalidRequestException");
    assert_eq!(code!(secrets.create_secret().name("other").send().await), "InvalidRequestException");
    let listed = secrets.list_secrets().send().await.unwrap();
    assert!(!listed.secret_list().iter().any(|secret| secret.name() == Some("other")), "{listed:?}");
    secrets.restore_secret().secret_id("other").send().await.unwrap();
    assert_eq!(read().send().await.unwrap().secret_string(), Some("2"));
    delete().force_delete_without_recovery(true).send().await.unwrap();
    assert_eq!(code!(read().send().await), "ResourceNotFoundException");
    secrets.create_secret().name("other").secret_string("3").send().await.expect("the name is free again");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_managers_own_rotation_leaves_an_empty_pending_version_that_ours_refuses() {
    let served = served().await;
    let secrets = client!(served, aws_sdk_secretsmanager);
    let rotate = || secrets.rotate_secret().secret_id(SECRET);
    assert_eq!(code!(rotate().send().await), "InvalidRequestException", "there is no function to call");
    let lambda = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate");
    let rules = RotationRulesType::builder().automatically_after_days(30).build();
    let rotated = rotate().rotation_lambda_arn(&lambda).rotation_rules(rules).send().await.unwrap();
    let described = secrets.describe_secret().secret_id(SECRET).send().await.unwrap();
    assert_eq!((described.rotation_enabled(), described.rotation_lambda_arn()), (Some(true), Some(lambda.as_str())));
    assert_eq!(described.version_ids_to_stages().unwrap()[rotated.version_id().unwrap()], ["AWSPENDING"]);
    let pending = secrets.get_secret_value().secret_id(SECRET).version_stage("AWSPENDING").send().await;
    assert_eq!(code!(pending), "ResourceNotFoundException");
    assert_eq!(code!(rotate().send().await), "InvalidRequestException", "the previous rotation is not complete");
    let arn = served.start("first", "{}").await;
    assert_eq!(served.end().await, (arn.clone(), "FAILED".to_owned()));
    let client = client!(served, aws_sdk_sfn);
    let execution = client.describe_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!(execution.error(), Some("SecretRotatesItself"));
    secrets.cancel_rotate_secret().secret_id(SECRET).send().await.unwrap();
    let described = secrets.describe_secret().secret_id(SECRET).send().await.unwrap();
    assert_eq!(described.rotation_enabled(), None);
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_listed_by_what_is_asked_for_page_by_page() {
    let served = served().await;
    let secrets = client!(served, aws_sdk_secretsmanager);
    let names = |listed: aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput| {
        listed.secret_list().iter().filter_map(|secret| secret.name().map(str::to_owned)).collect::<Vec<_>>()
    };
    let first = secrets.list_secrets().max_results(1).send().await.unwrap();
    let token = first.next_token().unwrap().to_owned();
    let second = secrets.list_secrets().max_results(1).next_token(token).send().await.unwrap();
    assert_eq!(second.next_token(), None);
    assert_eq!([names(first), names(second)].concat(), ["sql-administrator", SECRET]);
    let filter =
        |key: &str, value: &str| aws_sdk_secretsmanager::types::Filter::builder().key(key.into()).values(value).build();
    let found = secrets.list_secrets().filters(filter("name", "sqlc")).send().await.unwrap();
    assert_eq!(names(found), [SECRET]);
    let rest = secrets.list_secrets().filters(filter("name", "!sqlc")).send().await.unwrap();
    assert_eq!(names(rest), ["sql-administrator"]);
    assert_eq!(code!(secrets.list_secrets().next_token("of nobody").send().await), "InvalidNextTokenException");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_password_has_one_of_each_type_that_is_not_excluded() {
    let served = served().await;
    let secrets = client!(served, aws_sdk_secretsmanager);
    for _ in 0..50 {
        let answer = secrets.get_random_password().password_length(4).send().await.unwrap();
        let password = answer.random_password().unwrap();
        assert_eq!(password.chars().count(), 4);
        assert!(password.chars().any(|letter| letter.is_ascii_uppercase()), "{password}");
        assert!(password.chars().any(|letter| letter.is_ascii_lowercase()), "{password}");
        assert!(password.chars().any(|letter| letter.is_ascii_digit()), "{password}");
        assert!(password.chars().any(|letter| letter.is_ascii_punctuation()), "{password}");
    }
    let ask = || secrets.get_random_password().exclude_punctuation(true).exclude_characters("0123456789");
    assert_eq!(code!(ask().send().await), "InvalidParameterException", "numbers are to be there, and none is left");
    let letters = ask().exclude_numbers(true).send().await.unwrap();
    let password = letters.random_password().unwrap();
    assert!(password.len() == 32 && password.chars().all(|letter| letter.is_ascii_alphabetic()), "{password}");
    assert_eq!(code!(secrets.get_random_password().password_length(3).send().await), "InvalidParameterException");
    served.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_topics_and_backups_are_listed() {
    let served = served().await;
    served.rotate("first").await;
    let iam = client!(served, aws_sdk_iam);
    let users = iam.list_users().send().await.unwrap();
    assert_eq!(users.users().iter().map(|user| user.user_name()).collect::<Vec<_>>(), [USER]);
    assert_eq!(code!(iam.get_user().send().await), "ValidationError", "a person is no user");
    let topic = "arn:aws:sns:eu-west-1:111122223333:credential-rotation";
    let (_, topics) = served.query_call("sns", "Action=ListTopics&Version=2010-03-31").await;
    assert!(topics.contains(&format!("<Topics><member><TopicArn>{topic}</TopicArn></member></Topics>")), "{topics}");
    let (_, topic) = served.query_call("sns", &format!("Action=GetTopicAttributes&TopicArn={topic}")).await;
    assert!(topic.contains(&format!("<entry><key>Owner</key><value>{ACCOUNT}</value></entry>")), "{topic}");
    let (status, missing) = served.query_call("sns", "Action=GetTopicAttributes&TopicArn=arn:aws:sns:x").await;
    assert!(status == 404 && missing.contains("<Code>NotFound</Code>"), "{missing}");
    let authorization = signed("s3");
    let list = async |query: &str| {
        served
            .http("GET", &format!("/sql-backups?list-type=2{query}"), &[("authorization", &authorization)], "")
            .await
            .1
    };
    let listed = list("&prefix=.credential-rotation/").await;
    assert!(listed.contains(&format!("<Key>.credential-rotation/held/{FIRST}/proof.bak</Key>")), "{listed}");
    let folders = list("&delimiter=/").await;
    assert!(folders.contains("<CommonPrefixes><Prefix>.credential-rotation/</Prefix></CommonPrefixes>"), "{folders}");
    assert!(!folders.contains("<Contents>"), "{folders}");
    served.conclude().await;
}
