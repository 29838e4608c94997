//! What must not be rotated like that, recognised before anything is changed: a pending value that means something
//! else than the current one, an administrator of another server, RDS Proxy, a name that is too long.

use rotation::database_secret::DatabaseSecret;
use serde_json::Value;

use crate::engine::Pair;
use crate::error::RotationError;
use crate::settings::Strategy;

/// What AWS's own functions append for the second user: secrets that they have rotated go on with the same two.
const TWIN: &str = "_clone";
/// The member of a secret's value that names the two users, where `_clone` is not to be appended.
const USERS: &str = "users";

/// The users that take turns, by the name of either.
pub fn pair(secret: &DatabaseSecret, arn: &str) -> Result<Pair, RotationError> {
    let username = secret.username();
    if let Some(users) = secret.member(USERS) {
        let names: Vec<&str> = users.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        return match names[..] {
            [original, twin] if original != twin && names.contains(&username) => {
                Ok(Pair { original: original.to_owned(), twin: twin.to_owned() })
            }
            _ => Err(RotationError::UsersNotAPair { secret: arn.to_owned(), username: username.to_owned() }),
        };
    }
    let original = username.strip_suffix(TWIN).filter(|original| !original.is_empty()).unwrap_or(username);
    let twin = format!("{original}{TWIN}");
    let longest = secret.engine().longest_name();
    let length = if longest == 63 { twin.len() } else { twin.chars().count() };
    if length > longest {
        let engine = secret.engine().name();
        return Err(RotationError::NameTooLong { username: username.to_owned(), twin, engine, longest });
    }
    Ok(Pair { original: original.to_owned(), twin })
}

/// The user of the next version. A value without a password is nobody's yet: its own user gets the first one.
pub fn next_user(secret: &DatabaseSecret, arn: &str, strategy: Strategy) -> Result<String, RotationError> {
    match strategy {
        Strategy::Single | Strategy::DualPassword => Ok(secret.username().to_owned()),
        Strategy::Alternating if secret.password().is_none() => Ok(secret.username().to_owned()),
        Strategy::Alternating => {
            let pair = pair(secret, arn)?;
            Ok(if secret.username() == pair.twin { pair.original } else { pair.twin })
        }
    }
}

/// The pending value is the current one but for the password and, with alternating users, the user. Who may write the
/// secret could else send an administrator's session to a host or a user of their choice.
pub fn same(
    pending: &DatabaseSecret,
    current: &DatabaseSecret,
    arn: &str,
    strategy: Strategy,
) -> Result<(), RotationError> {
    let user = next_user(current, arn, strategy)?;
    let members = [
        ("engine", pending.engine().name().to_owned(), current.engine().name().to_owned()),
        ("host", pending.host().to_ascii_lowercase(), current.host().to_ascii_lowercase()),
        ("port", pending.port().to_string(), current.port().to_string()),
        ("username", pending.username().to_owned(), user),
        ("masterarn", pending.master().unwrap_or_default().to_owned(), current.master().unwrap_or_default().to_owned()),
    ];
    match members.into_iter().find(|(_, pending, current)| pending != current) {
        None => Ok(()),
        Some((member, pending, current)) => {
            Err(RotationError::DifferentInPending { secret: arn.to_owned(), member, pending, current })
        }
    }
}

/// The host is a database's own. RDS's proxies are named `….proxy-….<region>.rds.amazonaws.com`.
pub fn no_proxy(secret: &DatabaseSecret) -> Result<(), RotationError> {
    let host = secret.host().to_ascii_lowercase();
    let is_proxy = host.contains(".proxy-") && host.contains(".rds.amazonaws.com");
    if is_proxy { Err(RotationError::BehindProxy { host: secret.host().to_owned() }) } else { Ok(()) }
}

/// The tags by which RDS says whose master a secret is that it manages itself: such a secret names no host.
const OWNERS: [&str; 2] = ["aws:rds:primaryDBInstanceArn", "aws:rds:primaryDBClusterArn"];

/// The administrator's secret is for the same server: by its own engine and host; by RDS's tag on it, whose identifier
/// is the first label of the endpoint. RDS itself need not be asked.
pub fn same_server(
    master: &serde_json::Map<String, Value>,
    tag: impl Fn(&str) -> Option<String>,
    master_id: &str,
    secret: &DatabaseSecret,
    arn: &str,
) -> Result<(), RotationError> {
    let refused = |theirs: &str, ours: &str| RotationError::MasterOfAnotherServer {
        master: master_id.to_owned(),
        theirs: theirs.to_owned(),
        secret: arn.to_owned(),
        ours: ours.to_owned(),
    };
    let text = |name: &str| master.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(engine) = text("engine") {
        let same = rotation::database_secret::DatabaseEngine::parse(engine).is_ok_and(|one| one == secret.engine());
        if !same {
            return Err(refused(engine, secret.engine().name()));
        }
    }
    let ours = secret.host();
    if let Some(host) = text("host") {
        return if host.eq_ignore_ascii_case(ours) { Ok(()) } else { Err(refused(host, ours)) };
    }
    let owner = OWNERS.iter().find_map(|key| tag(key));
    let identifier = owner.as_deref().and_then(|owner| owner.rsplit(':').next()).unwrap_or_default();
    let label = ours.split('.').next().unwrap_or_default();
    if !identifier.is_empty() && identifier.eq_ignore_ascii_case(label) {
        return Ok(());
    }
    let theirs = owner.unwrap_or_else(|| "no host, and no tag of RDS's that says whose master it is".to_owned());
    Err(refused(&theirs, ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rotation::access_key::SecretValue;
    use serde_json::json;

    fn secret(value: Value) -> DatabaseSecret {
        DatabaseSecret::parse(&SecretValue::new(value.to_string())).unwrap()
    }

    fn app(changes: &[(&str, Value)]) -> DatabaseSecret {
        let mut value = json!({ "engine": "mysql", "host": "shop.abc.eu-west-1.rds.amazonaws.com", "username": "app", "password": "p" });
        for (name, change) in changes {
            value[*name] = change.clone();
        }
        secret(value)
    }

    #[test]
    fn two_users_take_turns_by_the_names_that_awss_functions_use() {
        let next = |secret: &DatabaseSecret| next_user(secret, "arn", Strategy::Alternating).unwrap();
        assert_eq!(next(&app(&[])), "app_clone");
        assert_eq!(next(&app(&[("username", json!("app_clone"))])), "app");
        let named = |username: &str| app(&[("username", json!(username)), ("users", json!(["blue", "green"]))]);
        assert_eq!((next(&named("blue")), next(&named("green"))), ("green".to_owned(), "blue".to_owned()));
        assert_eq!(pair(&named("red"), "arn").unwrap_err().name(), "UsersNotAPair");
        assert_eq!(next_user(&app(&[]), "arn", Strategy::Single).unwrap(), "app");
    }

    #[test]
    fn a_name_that_leaves_no_room_for_a_twin_is_refused() {
        let long = "a".repeat(27);
        let error = pair(&app(&[("username", json!(long))]), "arn").unwrap_err();
        assert_eq!(error.name(), "NameTooLong");
        assert!(pair(&app(&[("username", json!("a".repeat(26)))]), "arn").is_ok());
        let postgres = app(&[("username", json!("é".repeat(29))), ("engine", json!("postgres"))]);
        assert_eq!(pair(&postgres, "arn").unwrap_err().name(), "NameTooLong", "PostgreSQL counts bytes");
    }

    #[test]
    fn a_pending_value_of_another_user_engine_host_or_administrator_is_refused() {
        let pending = app(&[("username", json!("app_clone"))]);
        assert!(same(&pending, &app(&[]), "arn", Strategy::Alternating).is_ok());
        assert!(same(&app(&[]), &app(&[]), "arn", Strategy::Single).is_ok());
        for (member, value) in [
            ("engine", json!("postgres")),
            ("host", json!("elsewhere")),
            ("port", json!(1)),
            ("username", json!("root")),
            ("masterarn", json!("arn:other")),
        ] {
            let error = same(&app(&[(member, value)]), &app(&[]), "arn", Strategy::Single).unwrap_err();
            assert!(error.to_string().contains(&format!("differs from the current one in {member}")), "{error}");
        }
    }

    #[test]
    fn an_administrator_of_another_server_is_refused() {
        let check = |master: Value, tag: Option<&str>| {
            let tag = tag.map(str::to_owned);
            same_server(
                master.as_object().unwrap(),
                |key| tag.clone().filter(|_| key == OWNERS[0]),
                "m",
                &app(&[]),
                "a",
            )
        };
        let ours = "SHOP.abc.eu-west-1.rds.amazonaws.com";
        assert!(check(json!({ "username": "admin", "host": ours, "engine": "mysql" }), None).is_ok());
        assert!(check(json!({ "username": "admin", "host": "other.abc", "engine": "mysql" }), None).is_err());
        assert!(check(json!({ "username": "admin", "host": ours, "engine": "postgres" }), None).is_err());
    }

    #[test]
    fn a_master_secret_that_rds_manages_is_known_by_its_tag() {
        let check = |tag: Option<&str>| {
            let master = json!({ "username": "admin", "password": "p" });
            let tag = tag.map(str::to_owned);
            same_server(
                master.as_object().unwrap(),
                |key| tag.clone().filter(|_| key == OWNERS[0]),
                "m",
                &app(&[]),
                "a",
            )
        };
        assert!(check(Some("arn:aws:rds:eu-west-1:111122223333:db:shop")).is_ok());
        assert!(check(Some("arn:aws:rds:eu-west-1:111122223333:db:other")).is_err());
        assert!(check(None).is_err(), "nothing says whose it is");
    }

    #[test]
    fn a_proxy_is_refused_by_name() {
        let host = json!("shop.proxy-abcdefghijkl.eu-west-1.rds.amazonaws.com");
        assert_eq!(no_proxy(&app(&[("host", host)])).unwrap_err().name(), "BehindProxy");
        assert!(no_proxy(&app(&[])).is_ok());
    }
}
