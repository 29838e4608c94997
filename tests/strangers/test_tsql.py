"""Every statement that a host's script sends is T-SQL by Microsoft's own two parsers.

The statements are those that the table of situations (tests/sandbox/tests/situations) sent to its instances: its run
writes them down. What the judges are worth is shown first, by statements that are broken.
"""

import json
import re
import subprocess

import pytest
import tsql_parsers as microsoft
from local_aws import CHECKOUT, TARGET

DOCUMENTS = CHECKOUT / "statemachine/documents"
# What the documents share on Linux, and each one's own.
SCRIPTS = [
    DOCUMENTS / name
    for name in (
        "host/linux.sh",
        "host/credentials.sh",
        "host/marker.sh",
        "apply-s3-credential/apply.sh",
        "inspect-s3-credential/inspect.sh",
        "host/logins.sh",
        "apply-sql-login/apply.sh",
        "inspect-sql-login/inspect.sh",
    )
]
SENT = TARGET / "tmp/statements.json"
REMEDY = "run: cargo test --workspace --test situations"

ALTER = "ALTER CREDENTIAL [s3://b/p] WITH IDENTITY = 'S3 Access Key', SECRET = N'AKIA:it''s';"
BACKUP = "BACKUP DATABASE [model] TO URL = N's3://b/p.bak' WITH COPY_ONLY, FORMAT;"
TO_A_REGION = BACKUP.replace("FORMAT", """FORMAT, BACKUP_OPTIONS = N'{"s3": {"region":"eu-west-1"}}'""")
LIST = "SELECT CASE WHEN name = N'x' THEN N's3' ELSE N'other' END + N'~' FROM sys.credentials WHERE LOWER(name) LIKE N's3://%';"


def sent() -> list[str]:
    """Every batch that reached an instance."""
    if not SENT.exists():
        pytest.fail(f"{SENT} is missing; {REMEDY}")
    for script in SCRIPTS:
        if SENT.stat().st_mtime < script.stat().st_mtime:
            pytest.fail(f"{SENT} is older than {script.name}; {REMEDY}")
    return [batch.strip() for batch in json.loads(SENT.read_text())]


def grants(document: str = "apply-s3-credential") -> str:
    """grants.sql as sqlcmd runs it for a login."""
    return (DOCUMENTS / document / "grants.sql").read_text().replace("$(administrator)", "backup administrator")


def of_kind(kind: str) -> list:
    """What was sent and is such a statement."""
    found = [one for batch in sent() for block in microsoft.statements(batch) for one in block]
    return [one for one in found if microsoft.kind(one) == kind]


# ---- What the judges are worth ----


@pytest.mark.parametrize("text", [ALTER, BACKUP, TO_A_REGION, LIST], ids=["alter", "backup", "to-a-region", "list"])
def test_a_good_statement_is_accepted_by_both(text):
    assert microsoft.complaints(text) == {}


BROKEN = {
    "a name without brackets": ALTER.replace("[", "").replace("]", ""),
    "a bracket that is not closed": ALTER.replace("]", ""),
    "a bracket in a name that is not doubled": ALTER.replace("b/p", "b/[p]x"),
    "a quote that is not closed": ALTER.replace("s';", "s;"),
    "a quote in a secret that is not doubled": ALTER.replace("it''s", "it's"),
    "a comma that is missing": ALTER.replace(", SECRET", " SECRET"),
    "a word that is misspelt": ALTER.replace("CREDENTIAL", "CREDENTAIL"),
    "an option of a credential that is misspelt": ALTER.replace("SECRET", "SECRTE"),
    "a secret in a variable": ALTER.replace("N'AKIA:it''s'", "@secret"),
    "a database that is misspelt": BACKUP.replace("DATABASE", "DATABSE"),
    "a backup of nothing": BACKUP.replace(" [model]", ""),
    "a device that is misspelt": BACKUP.replace("URL", "URI"),
    "an equals sign that is missing": BACKUP.replace("URL =", "URL"),
    "an option of a backup that is misspelt": BACKUP.replace("COPY_ONLY", "COPYONLY"),
    "an option of 2022 that is misspelt": TO_A_REGION.replace("BACKUP_OPTIONS", "BACKUP_OPTION"),
    "an option of 2022 without its equals sign": TO_A_REGION.replace("OPTIONS =", "OPTIONS"),
    "an end that is missing": LIST.replace(" END", ""),
    "a parenthesis that is missing": LIST.replace("LOWER(name)", "LOWER(name"),
    "a role that is changed by a misspelt word": "ALTER ROLE [db_backupoperator] ADD MEMBR [bob];",
    "a user for a misspelt word": "CREATE USER [bob] FOR LOGN [bob];",
    "a password with a misspelt option": "ALTER LOGIN [app] WITH PASSWORD = N'it''s' UNLOK;",
    "a password whose quote is not doubled": "ALTER LOGIN [app] WITH PASSWORD = N'it's' UNLOCK;",
    "a login with a misspelt option": "CREATE LOGIN [app] WITH PASSWORD = N'x', SSID = 0x01, CHECK_POLICY = ON;",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_statement_is_refused(what):
    assert microsoft.complaints(BROKEN[what]) != {}


def test_each_of_the_two_sees_something_that_the_other_does_not():
    misspelt, for_the_other = (
        BROKEN["an option of a credential that is misspelt"],
        BACKUP.replace("FORMAT", "FORMAT AND"),
    )
    assert list(microsoft.complaints(misspelt)) == ["ScriptDom"]
    assert list(microsoft.complaints(TO_A_REGION.replace("FORMAT,", "FORMAT,,"))) != []
    assert "SqlParser" in microsoft.complaints(for_the_other)


# ---- What was sent ----


def test_every_statement_that_was_sent_is_t_sql():
    refused = {batch: found for batch in sent() if (found := microsoft.complaints(batch))}
    assert refused == {}


def test_every_batch_that_was_sent_is_one_statement_of_a_kind_that_the_script_means():
    shapes = {tuple(microsoft.kind(one) for block in microsoft.statements(batch) for one in block) for batch in sent()}
    assert shapes == {
        ("AlterCredentialStatement",),
        ("AlterLoginOptionsStatement",),
        ("AlterRoleStatement",),
        ("AlterServerRoleStatement",),
        ("AlterUserStatement",),
        ("BackupDatabaseStatement",),
        ("CreateCredentialStatement",),
        ("CreateLoginStatement",),
        ("CreateUserStatement",),
        ("DenyStatement",),
        ("DropCredentialStatement",),
        ("GrantStatement",),
        ("SelectStatement",),
    }


def test_every_credential_that_is_named_is_a_whole_s3_url_in_brackets():
    named = [one.Name for verb in ("Alter", "Create", "Drop") for one in of_kind(f"{verb}CredentialStatement")]
    assert named
    for name in named:
        assert str(name.QuoteType) == "SquareBracket"
        assert re.fullmatch(r"s3://[a-z0-9._:/-]+", name.Value.lower()), "nothing that could end a name is sent"
        assert len(name.Value) <= 128, "SQL Server's names are at most 128 characters"


@pytest.mark.parametrize("name", ["s3://a]b", "s3://a[b]]c", "s3://x]; DROP CREDENTIAL [y]; --", "s3://'; --"])
def test_a_bracket_and_a_quote_in_a_name_end_it_nowhere(name):
    # Such a name is refused long before; should one come through, the host's own function still keeps it whole.
    quote = 'source "$1"; quoted_name "$2"'
    arguments = ["bash", "-c", quote, "quote", SCRIPTS[0], name]
    quoted = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    [[dropped]] = microsoft.statements(f"DROP CREDENTIAL {quoted};")
    assert dropped.Name.Value == name


def test_every_backup_is_a_copy_only_one_of_model_to_one_url_in_a_folder_of_ours():
    backups = of_kind("BackupDatabaseStatement")
    assert backups
    for backup in backups:
        assert backup.DatabaseName.Value == "model"
        [device] = backup.Devices
        assert re.match(
            r"s3://[^?]+/\.credential-rotation/(held/)?i-[0-9a-f]+/proof\.bak\Z", device.PhysicalDevice.Value
        )
        assert sorted(str(option.OptionKind) for option in backup.Options) == ["CopyOnly", "Format"]


def test_the_option_that_no_parser_here_knows_is_json_and_names_the_region_of_the_url():
    with_options = [batch for batch in sent() if "BACKUP_OPTIONS" in batch]
    assert with_options
    for batch in with_options:
        options = json.loads(re.search(r"BACKUP_OPTIONS = N'([^']*)';\Z", batch).group(1))
        assert list(options) == ["s3"] and list(options["s3"]) == ["region"]
        assert re.search(rf"\bs3\.{options['s3']['region']}\.(vpce\.)?amazonaws\.com", batch)


# ---- Where the secret stands ----


def is_plain_credential_batch(text: str) -> bool:
    """Whether SQL Server keeps this batch's secret out of its traces: one CREATE or ALTER CREDENTIAL and nothing else,
    with the secret as a literal."""
    if microsoft.complaints(text):
        return False
    batches = microsoft.statements(text)
    if len(batches) != 1 or len(batches[0]) != 1:
        return False
    [statement] = batches[0]
    if microsoft.kind(statement) not in ("CreateCredentialStatement", "AlterCredentialStatement"):
        return False
    literals = [token for token, _ in microsoft.tokens(text) if token.endswith("StringLiteral")]
    return microsoft.kind(statement.Secret) == "StringLiteral" and len(literals) == 2


HIDDEN = {
    "in EXEC": f"EXEC (N'{ALTER.replace(chr(39), chr(39) * 2)}');",
    "in sp_executesql": f"EXEC sp_executesql N'{ALTER.replace(chr(39), chr(39) * 2)}';",
    "beside another statement": f"{ALTER} SELECT 1;",
    "behind a test": f"IF 1 = 1 {ALTER}",
    "in a variable": "DECLARE @secret nvarchar(99) = N'AKIA:secret';",
    "in a query": "SELECT N'AKIA:secret';",
    "in two batches": f"{ALTER}\nGO\n{ALTER}",
    "in a broken statement": ALTER.replace("WITH", "WIHT"),
}


@pytest.mark.parametrize("where", HIDDEN)
def test_a_secret_elsewhere_is_found_out(where):
    assert is_plain_credential_batch(ALTER)
    assert not is_plain_credential_batch(HIDDEN[where])


def test_every_batch_that_holds_a_secret_is_one_plain_credential_statement():
    statements = of_kind("AlterCredentialStatement") + of_kind("CreateCredentialStatement")
    secrets = {statement.Secret.Value.partition(":")[2] for statement in statements}
    assert all(secrets) and any("'" in secret for secret in secrets), "the table has a secret with a quote"
    spellings = secrets | {secret.replace("'", "''") for secret in secrets}
    holders = [batch for batch in sent() if any(secret in batch for secret in spellings)]
    assert len(holders) == len(statements)
    assert [batch for batch in holders if not is_plain_credential_batch(batch)] == []


def test_every_secret_is_an_access_key_id_a_colon_and_a_secret_of_the_identity_s3_access_key():
    for statement in of_kind("AlterCredentialStatement") + of_kind("CreateCredentialStatement"):
        assert not statement.IsDatabaseScoped
        assert statement.Identity.Value == "S3 Access Key"
        assert re.match(r"[A-Z0-9]{16,128}:[!-9;-~]+\Z", statement.Secret.Value)


# ---- Where a password stands ----

CHANGE_OF_A_PASSWORD = ("AlterLoginOptionsStatement", "AlterUserStatement", "CreateLoginStatement")
PASSWORDS = ("New-Secret-1111", "Newer-Secret-2222", "Old-Secret-0000", "Older-Secret-3333")


def test_every_batch_that_holds_a_password_is_one_plain_change_of_it():
    holders = [batch for batch in sent() if any(password in batch for password in PASSWORDS)]
    assert len(holders) > 10, "the table has passwords with quotes and everything printable"
    for batch in holders:
        [[statement]] = microsoft.statements(batch)
        assert microsoft.kind(statement) in CHANGE_OF_A_PASSWORD
        literals = [text for token, text in microsoft.tokens(batch) if token.endswith("StringLiteral")]
        assert len(literals) == 1, "nothing but the password is a literal"


def test_every_name_of_a_login_stays_whole():
    named = {one.Name.Value for one in of_kind("AlterLoginOptionsStatement")}
    assert {"it's", "a]b[c]]", "x]; DROP LOGIN [sa]; --", "x'; ALTER LOGIN [sa] DISABLE; --"} <= named
    assert all(str(one.Name.QuoteType) == "SquareBracket" for one in of_kind("AlterLoginOptionsStatement"))
    assert "sa" not in named, "no name ends where another statement begins"


# ---- grants.sql ----


def test_the_grants_for_logins_are_t_sql_and_give_the_rights_that_the_script_asks_for():
    assert microsoft.complaints(grants("apply-sql-login")) == {}
    given = [one for block in microsoft.statements(grants("apply-sql-login")) for one in block]
    rights = {
        " ".join(word.Value for word in permission.Identifiers)
        for grant in given
        if microsoft.kind(grant) == "GrantStatement"
        for permission in grant.Permissions
    }
    [asked] = {batch for batch in sent() if batch.startswith("SELECT N'~server~'")}
    assert rights == set(re.findall(r"HAS_PERMS_BY_NAME\(NULL, NULL, N'([A-Z ]+)'\)", asked)) - {"CONTROL SERVER"}


def test_the_grants_are_t_sql():
    assert microsoft.complaints(grants()) == {}


def test_the_grants_give_the_right_that_the_script_asks_for_and_the_one_to_back_up_and_no_other():
    given = [one for block in microsoft.statements(grants()) for one in block if microsoft.kind(one) != "UseStatement"]
    grant, make_user, add_member = given
    [permission] = grant.Permissions
    right = " ".join(word.Value for word in permission.Identifiers)
    assert any(f"HAS_PERMS_BY_NAME(NULL, NULL, N'{right}')" in batch for batch in sent())
    # What Microsoft grants to db_backupoperator.
    assert any("HAS_PERMS_BY_NAME(N'model', N'DATABASE', N'BACKUP DATABASE')" in batch for batch in sent())
    assert microsoft.kind(make_user.ThenStatement) == "CreateUserStatement"
    assert microsoft.kind(add_member) == "AlterRoleStatement" and add_member.Name.Value == "db_backupoperator"
