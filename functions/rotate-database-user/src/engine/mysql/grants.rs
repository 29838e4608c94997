//! What SHOW GRANTS and SHOW CREATE USER say, apart and together again for another user. Pure.
//!
//! AWS's functions cut each line at ` TO ` and lose WITH GRANT OPTION and default roles (FACTS G). Here a line is read
//! word by word, with its quotes, and a line that is not understood is an error: a right that is passed over would be
//! missed by an application one day.

use std::collections::{BTreeMap, BTreeSet};

/// The rights of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// Privileges by what they are on: `` `shop`.* ``, `` PROCEDURE `shop`.`close` ``.
    privileges: BTreeMap<String, BTreeSet<String>>,
    /// MySQL's partial revokes: privileges that a wider grant gives and that are taken back here.
    withheld: BTreeMap<String, BTreeSet<String>>,
    /// Roles, and whether they may be passed on.
    roles: BTreeMap<String, bool>,
}

/// The privilege that GRANT … WITH GRANT OPTION gives.
const GRANT_OPTION: &str = "GRANT OPTION";
/// What the servers show in place of every privilege that there is for an object.
const ALL: &str = "ALL PRIVILEGES";

/// The next word of a text: quoted text, a parenthesis with all that is in it, a comma, or anything up to a blank.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let first = text.chars().next()?;
    if first == ',' {
        return Some(text.split_at(1));
    }
    let (mut quote, mut depth) = (None, 0_u32);
    for (at, one) in text.char_indices() {
        match (quote, one) {
            (Some(open), one) if one == open => quote = None,
            (Some(_), _) => {}
            (None, '`' | '\'' | '"') => quote = Some(one),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => return Some(text.split_at(at)),
            (None, one) if one.is_whitespace() && depth == 0 => return Some(text.split_at(at)),
            (None, _) => {}
        }
    }
    Some((text, ""))
}

fn words(mut text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    while let Some((next, rest)) = word(text) {
        words.push(next);
        text = rest;
    }
    words
}

/// A list's members, each of one word or more: `SELECT, INSERT (a, b), CREATE VIEW`.
fn members(words: &[&str]) -> BTreeSet<String> {
    words.split(|word| *word == ",").filter(|member| !member.is_empty()).map(|member| member.join(" ")).collect()
}

fn place(words: &[&str], wanted: &str) -> Option<usize> {
    words.iter().position(|word| *word == wanted)
}

impl Rights {
    /// Reads the lines of SHOW GRANTS.
    pub(super) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Rights, String> {
        let mut rights = Rights::default();
        for line in lines {
            let words = words(line);
            rights.read(&words).ok_or_else(|| {
                let shown: Vec<&str> = words.iter().take_while(|word| **word != "IDENTIFIED").copied().collect();
                format!("this right is not understood: {}", shown.join(" "))
            })?;
        }
        Ok(rights)
    }

    fn read(&mut self, words: &[&str]) -> Option<()> {
        match (*words.first()?, place(words, "ON"), place(words, "TO"), place(words, "FROM")) {
            // MariaDB shows the default role among the grants; it is asked for elsewhere.
            ("SET", ..) => Some(()),
            // Who may act for whom is no right of a rotated user's to pass on.
            ("GRANT", ..) if words.get(1) == Some(&"PROXY") => Some(()),
            ("GRANT", Some(on), Some(to), _) if on < to => {
                let object = words[on + 1..to].join(" ");
                let privileges = self.privileges.entry(object).or_default();
                privileges.extend(members(&words[1..on]).into_iter().filter(|one| one != "USAGE"));
                if words[to..].windows(3).any(|three| three == ["WITH", "GRANT", "OPTION"])
                    || words[to..].windows(2).any(|two| two == ["GRANT", "OPTION"])
                {
                    privileges.insert(GRANT_OPTION.to_owned());
                }
                Some(())
            }
            ("GRANT", None, Some(to), _) => {
                let may_pass_on = words[to..].windows(2).any(|two| two == ["ADMIN", "OPTION"]);
                self.roles.extend(members(&words[1..to]).into_iter().map(|role| (role, may_pass_on)));
                Some(())
            }
            ("REVOKE", Some(on), _, Some(from)) if on < from => {
                self.withheld.entry(words[on + 1..from].join(" ")).or_default().extend(members(&words[1..on]));
                Some(())
            }
            _ => None,
        }
    }

    /// The statements that make the rights of `account`, which are `self`, those of another account. What is new comes
    /// first, so that nobody who may do something is refused meanwhile.
    pub(super) fn statements_to_become(&self, other: &Rights, account: &str) -> Vec<String> {
        let mut statements = Vec::new();
        for (object, privileges) in &other.privileges {
            statements.extend(given(object, &without(privileges, self.privileges.get(object)), account));
        }
        for (role, may_pass_on) in &other.roles {
            if self.roles.get(role).is_none_or(|already| *may_pass_on && !already) {
                let admin = if *may_pass_on { " WITH ADMIN OPTION" } else { "" };
                statements.push(format!("GRANT {role} TO {account}{admin}"));
            }
        }
        for (object, privileges) in &self.withheld {
            statements.extend(given(object, &without(privileges, other.withheld.get(object)), account));
        }
        for (object, privileges) in &other.withheld {
            statements.extend(taken(object, &without(privileges, self.withheld.get(object)), account));
        }
        for (object, privileges) in &self.privileges {
            statements.extend(lessened(object, privileges, other.privileges.get(object), account));
        }
        for (role, may_pass_on) in &self.roles {
            match other.roles.get(role) {
                None => statements.push(format!("REVOKE {role} FROM {account}")),
                Some(allowed) if *may_pass_on && !allowed => {
                    // The option alone cannot be taken away in every version: the role goes and comes back.
                    statements.push(format!("REVOKE {role} FROM {account}"));
                    statements.push(format!("GRANT {role} TO {account}"));
                }
                Some(_) => {}
            }
        }
        statements
    }
}

fn without(these: &BTreeSet<String>, those: Option<&BTreeSet<String>>) -> BTreeSet<String> {
    these.iter().filter(|one| those.is_none_or(|those| !those.contains(*one))).cloned().collect()
}

/// GRANT; a grant option that stands alone needs a privilege to go with.
fn given(object: &str, privileges: &BTreeSet<String>, account: &str) -> Option<String> {
    let named: Vec<&str> = privileges.iter().map(String::as_str).filter(|one| *one != GRANT_OPTION).collect();
    let option = if privileges.contains(GRANT_OPTION) { " WITH GRANT OPTION" } else { "" };
    let named = if named.is_empty() { "USAGE".to_owned() } else { named.join(", ") };
    (!privileges.is_empty()).then(|| format!("GRANT {named} ON {object} TO {account}{option}"))
}

/// REVOKE; the grant option goes by itself, since no server takes it beside ALL PRIVILEGES.
fn taken(object: &str, privileges: &BTreeSet<String>, account: &str) -> Vec<String> {
    let (option, named): (Vec<&str>, Vec<&str>) =
        privileges.iter().map(String::as_str).partition(|one| *one == GRANT_OPTION);
    [option, named]
        .into_iter()
        .filter(|list| !list.is_empty())
        .map(|list| format!("REVOKE {} ON {object} FROM {account}", list.join(", ")))
        .collect()
}

/// What takes away what is too much. ALL PRIVILEGES has the single ones in it: it goes as a whole and they come back,
/// and where it is to stay they are not too much.
fn lessened(object: &str, these: &BTreeSet<String>, those: Option<&BTreeSet<String>>, account: &str) -> Vec<String> {
    let has_all = |set: &BTreeSet<String>| set.contains(ALL);
    let mut spare = without(these, those);
    if those.is_some_and(has_all) {
        spare.retain(|privilege| privilege == GRANT_OPTION);
    }
    let mut statements = taken(object, &spare, account);
    if let Some(those) = those.filter(|_| has_all(&spare)) {
        statements.extend(given(object, those, account));
    }
    statements
}

/// How an account must connect and how much it may use, from SHOW CREATE USER, complete: what is not said there is
/// unlimited. What follows in it (password expiry, locks) is the account's own.
pub(super) fn requirements(create_user: &str) -> String {
    let words = words(create_user);
    let own = |word: &&&str| ["WITH", "PASSWORD", "ACCOUNT", "COMMENT", "ATTRIBUTE"].contains(*word);
    let require = place(&words, "REQUIRE").map_or("NONE".to_owned(), |start| {
        let taken: Vec<&str> = words[start + 1..].iter().take_while(|word| !own(word)).copied().collect();
        taken.join(" ")
    });
    let limits = LIMITS.map(|limit| {
        let most = place(&words, limit).and_then(|at| words.get(at + 1)).copied().unwrap_or("0");
        format!("{limit} {most}")
    });
    format!("REQUIRE {require} WITH {}", limits.join(" "))
}

/// The limits that both servers have.
const LIMITS: [&str; 4] =
    ["MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"];

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(lines: &[&str]) -> Rights {
        Rights::parse(lines.iter().copied()).unwrap()
    }

    const APP: [&str; 5] = [
        "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*2470C0C0' REQUIRE SSL",
        "GRANT SELECT, INSERT, UPDATE (`a`, `b TO c`), CREATE VIEW ON `shop`.* TO `app`@`%` WITH GRANT OPTION",
        "GRANT EXECUTE ON PROCEDURE `shop`.`close` TO `app`@`%`",
        "GRANT `reader`@`%`,`writer`@`%` TO `app`@`%` WITH ADMIN OPTION",
        "REVOKE INSERT ON `mysql`.* FROM `app`@`%`",
    ];

    #[test]
    fn a_new_user_gets_every_right_with_its_options() {
        assert_eq!(
            Rights::default().statements_to_become(&rights(&APP), "'app_clone'@'%'"),
            [
                "GRANT EXECUTE ON PROCEDURE `shop`.`close` TO 'app_clone'@'%'",
                "GRANT CREATE VIEW, INSERT, SELECT, UPDATE (`a`, `b TO c`) ON `shop`.* TO 'app_clone'@'%' WITH GRANT OPTION",
                "GRANT `reader`@`%` TO 'app_clone'@'%' WITH ADMIN OPTION",
                "GRANT `writer`@`%` TO 'app_clone'@'%' WITH ADMIN OPTION",
                "REVOKE INSERT ON `mysql`.* FROM 'app_clone'@'%'",
            ]
        );
    }

    #[test]
    fn equal_rights_need_no_statement_and_what_is_too_much_is_taken_away() {
        let app = rights(&APP);
        assert_eq!(app.statements_to_become(&app, "x"), Vec::<String>::new());
        assert_eq!(
            app.statements_to_become(&rights(&["GRANT SELECT ON `shop`.* TO `app`@`%`", APP[2]]), "x"),
            [
                "GRANT INSERT ON `mysql`.* TO x",
                "REVOKE GRANT OPTION ON `shop`.* FROM x",
                "REVOKE CREATE VIEW, INSERT, UPDATE (`a`, `b TO c`) ON `shop`.* FROM x",
                "REVOKE `reader`@`%` FROM x",
                "REVOKE `writer`@`%` FROM x",
            ]
        );
    }

    #[test]
    fn a_grant_option_alone_is_passed_on() {
        let with = rights(&["GRANT SELECT ON `shop`.* TO `app`@`%` WITH GRANT OPTION"]);
        let without = rights(&["GRANT SELECT ON `shop`.* TO `app`@`%`"]);
        assert_eq!(without.statements_to_become(&with, "x"), ["GRANT USAGE ON `shop`.* TO x WITH GRANT OPTION"]);
        assert_eq!(with.statements_to_become(&without, "x"), ["REVOKE GRANT OPTION ON `shop`.* FROM x"]);
    }

    #[test]
    fn a_right_that_is_not_understood_is_an_error_without_its_password() {
        let error = Rights::parse(["ALLOW ALL IDENTIFIED BY PASSWORD '*2470'"]).unwrap_err();
        assert_eq!(error, "this right is not understood: ALLOW ALL");
    }

    #[test]
    fn all_privileges_holds_the_single_ones() {
        let all = rights(&["GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`%`"]);
        let some = rights(&["GRANT SELECT ON `shop`.* TO `app`@`%`"]);
        assert_eq!(some.statements_to_become(&all, "x"), ["GRANT ALL PRIVILEGES ON `shop`.* TO x"]);
        assert_eq!(
            all.statements_to_become(&some, "x"),
            [
                "GRANT SELECT ON `shop`.* TO x",
                "REVOKE ALL PRIVILEGES ON `shop`.* FROM x",
                "GRANT SELECT ON `shop`.* TO x"
            ]
        );
    }

    #[test]
    fn requirements_are_read_from_both_servers() {
        let unlimited = "MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS";
        let mariadb = "CREATE USER `app`@`%` IDENTIFIED BY PASSWORD '*24' REQUIRE SSL WITH MAX_USER_CONNECTIONS 5";
        assert_eq!(requirements(mariadb), format!("REQUIRE SSL WITH {unlimited} 5"));
        let mysql = "CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$x' DEFAULT ROLE `r`@`%` REQUIRE NONE PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK";
        assert_eq!(requirements(mysql), format!("REQUIRE NONE WITH {unlimited} 0"));
        let plain = "CREATE USER `app`@`%` IDENTIFIED BY PASSWORD '*24'";
        assert_eq!(requirements(plain), format!("REQUIRE NONE WITH {unlimited} 0"));
    }
}
