//! What an instance does with logins, statement by statement, as SQL Server's documentation has it.

use super::*;

const GOOD: &str = "Aa1!aaaaaaaa";
const BETTER: &str = "Bb2!bbbbbbbb";

fn server() -> SqlServer {
    SqlServer::new(16, "rotator", "p").with_login("app", GOOD)
}

fn executed(server: &mut SqlServer, batch: &str) -> Outcome {
    let connection = server.log_in("rotator", "p", None).unwrap();
    server.execute(&connection, batch, Timestamp::UNIX_EPOCH, &|_| Ok(()))
}

fn refusal(outcome: Outcome) -> u32 {
    outcome.unwrap_err()[0].number
}

#[test]
fn a_changed_password_is_the_one_that_lets_in() {
    let mut server = server();
    executed(&mut server, &format!("ALTER LOGIN [app] WITH PASSWORD = N'{BETTER}';")).unwrap();
    assert_eq!(server.log_in("app", GOOD, None).unwrap_err().number, 18456);
    let connection = server.log_in("APP", BETTER, Some("master")).unwrap();
    let who = "SELECT N'~who~' + CONVERT(nvarchar(10), CASE WHEN ORIGINAL_LOGIN() = N'app' AND DB_NAME() = N'master' \
               THEN 1 ELSE 0 END);";
    let said = server.execute(&connection, who, Timestamp::UNIX_EPOCH, &|_| Ok(()));
    assert_eq!(said.unwrap(), ["~who~1"]);
}

#[test]
fn the_policy_refuses_what_is_short_simple_or_was_there_before() {
    for (password, number) in [("Aa1!", 15116), ("aaaaaaaaaaaa", 15118), ("My-App-2026", 15118), (GOOD, 15115)] {
        let outcome = executed(&mut server(), &format!("ALTER LOGIN [app] WITH PASSWORD = N'{password}';"));
        assert_eq!(refusal(outcome), number, "{password}");
    }
    let mut without_policy = server();
    without_policy.logins.get_mut("app").unwrap().check_policy = false;
    executed(&mut without_policy, "ALTER LOGIN [app] WITH PASSWORD = N'a';").unwrap();
}

#[test]
fn failed_logins_in_a_row_lock_a_login_until_it_is_unlocked() {
    let mut server = server();
    server.policy.lockout_threshold = 2;
    server.log_in("app", "x", None).unwrap_err();
    server.log_in("app", GOOD, None).unwrap();
    server.log_in("app", "x", None).unwrap_err();
    server.log_in("app", "x", None).unwrap_err();
    assert_eq!(server.log_in("app", GOOD, None).unwrap_err().number, 18486, "the right password is refused as well");
    executed(&mut server, &format!("ALTER LOGIN [app] WITH PASSWORD = N'{BETTER}';")).unwrap();
    assert_eq!(server.log_in("app", BETTER, None).unwrap_err().number, 18486);
    executed(&mut server, "ALTER LOGIN [app] WITH PASSWORD = N'Cc3!cccccccc' UNLOCK;").unwrap();
    server.log_in("app", "Cc3!cccccccc", None).unwrap();
}

#[test]
fn a_disabled_login_is_told_so_only_with_the_right_password() {
    let mut server = server();
    server.logins.get_mut("app").unwrap().disabled = true;
    assert_eq!(server.log_in("app", GOOD, None).unwrap_err().number, 18470);
    assert_eq!(server.log_in("app", "x", None).unwrap_err().number, 18456);
}

#[test]
fn a_login_that_controls_the_server_is_altered_by_its_like_only() {
    let mut server = server();
    server.logins.get_mut("app").unwrap().server_roles.insert("sysadmin".to_owned());
    let alter = format!("ALTER LOGIN [app] WITH PASSWORD = N'{BETTER}';");
    assert_eq!(refusal(executed(&mut server, &alter)), 15151);
    server.logins.get_mut("rotator").unwrap().permissions.insert(Permission::grant("CONTROL SERVER"));
    executed(&mut server, &alter).unwrap();
}

#[test]
fn a_made_login_has_its_sid_and_no_second_one_takes_it() {
    let mut server = server();
    let create =
        |name: &str| format!("CREATE LOGIN [{name}] WITH PASSWORD = N'{BETTER}', SID = 0x01AB, CHECK_POLICY = ON;");
    executed(&mut server, &create("new")).unwrap();
    assert_eq!(server.logins["new"].sid.to_string(), "0x01AB");
    assert_eq!(refusal(executed(&mut server, &create("other"))), 15433);
    assert_eq!(refusal(executed(&mut server, &create("NEW"))), 15025);
}

#[test]
fn a_contained_database_lets_its_own_user_in_and_no_other_database_does() {
    let mut server = server();
    let users = [("app".to_owned(), DatabaseUser::contained("app", BETTER))].into();
    server.databases.insert("shop".to_owned(), Database { users, ..Database::default() });
    let inside = server.log_in("app", BETTER, Some("shop")).unwrap();
    assert_eq!(inside.principal, Principal::ContainedUser("app".to_owned()));
    assert_eq!(server.log_in("app", BETTER, Some("master")).unwrap_err().number, 18456);
    assert_eq!(server.log_in("app", GOOD, None).unwrap().login(), Some("app"));
}

#[test]
fn a_secondary_does_not_let_anybody_into_its_databases() {
    let mut server = server();
    let database = Database { group: Some("ag1".to_owned()), ..Database::default() };
    server.databases.insert("shop".to_owned(), database);
    server.availability_groups.insert("ag1".to_owned(), AvailabilityGroup::new(Role::Secondary, 2));
    server.logins.get_mut("app").unwrap().default_database = "shop".to_owned();
    assert_eq!(server.log_in("app", GOOD, None).unwrap_err().number, 4060);
    server.log_in("app", GOOD, Some("master")).unwrap();
}
