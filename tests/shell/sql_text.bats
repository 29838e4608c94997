#!/usr/bin/env bats
# The parts of statements that a host renders, and the words in which SQL Server and its client complain.

load load

setup() { load_script apply; }

@test "a name stands in brackets, and only its closing brackets are doubled" {
  equals "$(quoted_name 's3://bucket/prod')" '[s3://bucket/prod]'
  equals "$(quoted_name 'a]b')" '[a]]b]'
  equals "$(quoted_name 'a[b]]c')" '[a[b]]]]c]'
  equals "$(quoted_name "x]; DROP CREDENTIAL [y'--")" "[x]]; DROP CREDENTIAL [y'--]"
}

@test "a quote in a secret is doubled, and nothing else of it is touched" {
  access_key_id=AKIAIOSFODNN7EXAMPLE
  secret_access_key="it's \$(x) %s \\n ''"
  equals "$(with_access_key)" \
    "WITH IDENTITY = 'S3 Access Key', SECRET = N'AKIAIOSFODNN7EXAMPLE:it''s \$(x) %s \\n ''''';"
}

@test "the region is read from every form of AWS's host names" {
  local url
  for url in s3://b.s3.eu-west-1.amazonaws.com s3://B.S3.EU-WEST-1.AMAZONAWS.COM/x s3://s3.eu-west-1.amazonaws.com:443/b \
    s3://b.s3-eu-west-1.amazonaws.com s3://b.s3.dualstack.eu-west-1.amazonaws.com/x s3://a.b.s3.eu-west-1.amazonaws.com \
    s3://b.s3.eu-west-1.amazonaws.com.cn/x; do
    equals "$url $(region_of "$url")" "$url eu-west-1"
  done
  equals "$(region_of s3://b.s3.us-gov-west-1.amazonaws.com/x)" us-gov-west-1
  equals "$(region_of s3://b.s3-fips.us-gov-west-1.amazonaws.com/x)" us-gov-west-1
  equals "$(region_of s3://b.s3-fips.dualstack.us-east-2.amazonaws.com/x)" us-east-2
  equals "$(region_of s3://b.bucket.vpce-0abc1-de2.s3.eu-west-1.vpce.amazonaws.com/x)" eu-west-1
  equals "$(region_of s3://point-111122223333.s3-accesspoint.eu-central-1.amazonaws.com/x)" eu-central-1
}

@test "a host name that names no region of AWS's gives none" {
  local url
  for url in s3://b.s3.amazonaws.com s3://minio.example.com:9000/b s3://s3.eu-west-1.example.com/b \
    s3://example.com/s3.eu-west-1.amazonaws.com s3://b.xs3.eu-west-1.amazonaws.com ''; do
    equals "$url $(region_of "$url")" "$url "
  done
}

@test "names are compared as SQL Server compares them, without regard to case and as a whole" {
  is_listed S3://Bucket/Prod s3://other s3://bucket/prod
  refuses is_listed s3://bucket s3://bucket/prod
  refuses is_listed s3://bucket/prod 's3://bucket/*' 's3://bucket/????'
  refuses is_listed s3://bucket
}

@test "nobody listens where the connection was refused or the name is unknown" {
  for sql_output in 'Sqlcmd: Error: Microsoft ODBC Driver 18: TCP Provider: Error code 0x2749.' \
    'TCP Provider: Error code 0x274D' 'TCP Provider: Error code 0x2AF9.' \
    'dial tcp 127.0.0.1:1433: connect: connection refused' 'lookup sql-2: no such host'; do
    nobody_listens || { echo "taken for somebody: $sql_output"; return 1; }
  done
}

@test "a server that is not trusted, too slow, or refuses the login is somebody" {
  for sql_output in 'SSL Provider: Error code 0x2749' 'x509: certificate signed by unknown authority: connection refused' \
    'Login timeout expired.' "Login failed for user 'sa'." 'TCP Provider: Error code 0x2746.' ''; do
    refuses nobody_listens || { echo "taken for nobody: $sql_output"; return 1; }
  done
}

@test "what SQL Server says is named by its message numbers" {
  local expected
  while IFS='|' read -r expected sql_output; do
    name_sql_failure AlterFailed
    equals "$sql_output: $sql_failure" "$sql_output: $expected"
  done <<'TABLE'
LoginFailed|Login failed for user 'rotation'.
LoginFailed|Msg 4060, Level 11, State 1: Cannot open database "model"
AlterNotPermitted|Msg 15247, Level 16, State 1: User does not have permission to perform this action.
AlterNotPermitted|Msg 15151, Level 16, State 1: Cannot alter the credential, because it does not exist
BackupNotPermitted|Msg 262, Level 14, State 1: BACKUP DATABASE permission denied in database 'model'.
BackupNotPermitted|Msg 916, Level 14, State 1: not able to access the database "model"
ModelBusy|Msg 3023, Level 16, State 2: Backup operations on a database must be serialized.
AlterFailed|Msg 2627, Level 14, State 1: another message whose number only begins alike
AlterFailed|Msg 30230, Level 16: another message whose number only begins alike
AlterFailed|Msg 3201, Level 16, State 1: Cannot open backup device
AlterFailed|Query timeout expired
ConnectFailed|TCP Provider: Error code 0x2749.
ConnectFailed|
TABLE
}

@test "a backup asks for the region of its URL, and for none where there is none" {
  run_sql() { printf '%s\n' "$1" >"$BATS_TEST_TMPDIR/statement"; }
  back_up s3://b.s3.eu-west-1.amazonaws.com/x.bak
  equals "$(<"$BATS_TEST_TMPDIR/statement")" "BACKUP DATABASE [model] TO URL = N's3://b.s3.eu-west-1.amazonaws.com/x.bak' \
WITH COPY_ONLY, FORMAT, BACKUP_OPTIONS = N'{\"s3\": {\"region\":\"eu-west-1\"}}';"
  back_up s3://minio.example.com/b/x.bak
  equals "$(<"$BATS_TEST_TMPDIR/statement")" \
    "BACKUP DATABASE [model] TO URL = N's3://minio.example.com/b/x.bak' WITH COPY_ONLY, FORMAT;"
}

@test "the statement reaches sqlcmd through its input, the password through a variable, and neither is an argument" {
  mkdir "$BATS_TEST_TMPDIR/bin"
  cat >"$BATS_TEST_TMPDIR/bin/sqlcmd" <<'TOOL'
#!/bin/bash
printf '%s\n' "$@" >"$BATS_TEST_TMPDIR/arguments"
cat >"$BATS_TEST_TMPDIR/input"
printf '%s' "$SQLCMDPASSWORD" >"$BATS_TEST_TMPDIR/password"
TOOL
  chmod +x "$BATS_TEST_TMPDIR/bin/sqlcmd"
  PATH=$BATS_TEST_TMPDIR/bin:$PATH
  endpoint=localhost administrator=rotation administrator_password='pass$(word)' sqlcmd_options=(-b)
  run_sql "SELECT N'secret';"
  equals "$(<"$BATS_TEST_TMPDIR/input")" $'SELECT N\'secret\';\nGO'
  equals "$(<"$BATS_TEST_TMPDIR/password")" 'pass$(word)'
  equals "$(<"$BATS_TEST_TMPDIR/arguments")" $'-S\ntcp:localhost\n-U\nrotation\n-b'
}
