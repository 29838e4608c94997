//! Guarantee 6: a secret value is seen by no one.

use super::*;
use crate::auditor::secrecy::search;

#[test]
fn a_secret_in_a_tag_of_the_secret_is_found_by_the_auditor_itself() {
    let world = watched("tag");
    world.tag_secret(&[("note", OLD.1)]);
    let findings = world.auditor.findings();
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding.guarantee == 6), "{findings:?}");
    assert!(findings[0].what.contains("secretsmanager:TagResource"), "{findings:?}");
    assert!(!format!("{findings:?}").contains(OLD.1), "a finding must not hold what it has found");
}

#[test]
fn a_secret_in_a_hosts_output_or_a_label_is_found() {
    let world = watched("label");
    let key = world.stage();
    world.move_label("rotate-iam-key", &key.1, None, Some(TOKEN));
    assert!(world.auditor.findings().iter().any(|finding| finding.guarantee == 6), "a label");
    let world = watched("output");
    let plugin = crate::cloud::PluginResult {
        name: "act".to_owned(),
        status: crate::cloud::InvocationStatus::Failed,
        response_code: 1,
        standard_output: String::new(),
        standard_error: format!("cannot sign with {}", OLD.1),
    };
    let update = crate::cloud::InvocationUpdate::ended(crate::cloud::InvocationStatus::Failed, vec![plugin]);
    world.cloud.record_output("a-command", "i-0aaa", update);
    world.assert_found(6, &["ssm:InvocationEnded"]);
}

#[test]
fn every_form_that_text_takes_is_searched_for() {
    let world = watched("forms");
    let quoted = ("AKIAQUOTED0000000000", "it's/a+\"quoted\\secret\"");
    world.cloud.add_access_key(USER, quoted, KeyStatus::Active, world.cloud.clock().now());
    let forms = [
        ("as it is", format!("…{}…", OLD.1)),
        ("percent-encoded", format!("signature={}", OLD.1.replace('+', "%2B").replace('/', "%2F"))),
        ("percent-encoded", OLD.1.replace('+', "%2b").replace('/', "%2f")),
        ("escaped as in JSON", OLD.1.replace('/', "\\/")),
        ("escaped as in JSON", OLD.1.replace('+', "\\u002B")),
        ("escaped as in JSON", json!({ "value": quoted.1 }).to_string()),
        ("escaped as in JSON", format!("{:?}", [quoted.1])),
        ("quoted as in T-SQL", format!("SECRET = N'{}'", quoted.1.replace('\'', "''"))),
    ];
    for (form, text) in forms {
        let found = search(&world.cloud, std::iter::once(("a log".to_owned(), text)));
        assert_eq!(found.len(), 1, "{form}: {found:?}");
        assert_eq!((found[0].place.as_str(), found[0].form), ("a log", form));
    }
}

#[test]
fn a_value_of_a_role_session_is_a_secret_too() {
    let world = watched("session");
    let session = world.cloud.credentials_for(Caller::function("rotate-iam-key", ACCOUNT));
    let texts = [("a log".to_owned(), session.secret_access_key), ("a report".to_owned(), OLD.0.to_owned())];
    let found = search(&world.cloud, texts.into_iter());
    assert_eq!(found.len(), 1, "a key's id is no secret: {found:?}");
    assert_eq!((found[0].place.as_str(), found[0].position), ("a log", 0));
}
