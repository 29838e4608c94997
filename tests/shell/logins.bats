#!/usr/bin/env bats
# What the documents for logins make of texts: names that no pattern could admit, values, marks, refusals.

load load

setup() {
  # A shell reads one script: the last test is about the other.
  [[ $BATS_TEST_DESCRIPTION == 'an inspection'* ]] || load_script apply login
  login_names=(app_a app_b)
  endpoint=localhost
}

base64_of() { # text
  printf '%s' "$1" | base64 -w 0
}

@test "a list of names holds them byte by byte" {
  read_names "$(base64_of '[ "it'\''s", "a]b[c", "$(x)`y`", "back\\slash \"q\"", "na\u00efve \ud83d\ude00" ]')"
  equals "${#names[@]}" 5
  equals "${names[0]}" "it's"
  equals "${names[2]}" '$(x)`y`'
  equals "${names[3]}" 'back\slash "q"'
  equals "$(bytes_of "${names[4]}")" 6e61c3af766520f09f9880
}

@test "an empty list is one, and what is none is refused" {
  read_names W10=
  equals "${#names[@]}" 0
  local text
  for text in '' 'app' '[' '["a"' '["a",]' '["a" "b"]' '[,"a"]' '[1]' '{"a":1}' '[["a"]]' '["a\nGO"]' '[""]' '["\ud83d"' '["a"]]'; do
    refuses read_names "$(base64_of "$text")" || { echo "taken: $text"; return 1; }
  done
  refuses read_names '!!!!'
}

@test "a name has up to 128 characters, however many bytes they are" {
  local long
  printf -v long '%128s' ''
  is_name "${long// /é}"
  is_name "${long// /x}"
  refuses is_name "${long// /é}x"
  refuses is_name $'a\tb'
  refuses is_name ''
}

@test "a value names its login, and one that is the password alone does where there is one login" {
  read_login_value '{"username":"APP_B","password":"p a\"s\\s","port":1433,"engine":"sqlserver"}'
  equals "$(number_of "$value_login")" 1
  equals "$value_password" 'p a"s\s'
  refuses read_login_value 'password'
  refuses read_login_value '{"password":"x"}'
  refuses read_login_value '{"username":"app_b","password":{"nested":1}}'
  login_names=(app)
  read_login_value ' pass word '
  equals "$value_login|$value_password" 'app| pass word '
  read_login_value '{"password":"x"}'
  equals "$value_login" app
  refuses number_of sa
}

@test "a password of more than 128 characters is no password" {
  login_names=(app)
  local long
  printf -v long '%128s' ''
  read_login_value "${long// /ü}"
  refuses read_login_value "${long// /x}y"
}

@test "no message holds a password that the host reads, as it is or as T-SQL spells it" {
  read_login_value "{\"username\":\"app_b\",\"password\":\"it's\"}"
  want 1 v2
  read_login_value '{"username":"app_a","password":"other"}'
  want 0 v1
  equals "$(without_secrets "N'it''s' it's other")" "N'***' *** ***"
}

@test "a quote in a name or a password is doubled, and nothing else of it is touched" {
  equals "$(quoted_text "it's \$(x) %s \\n ''")" "N'it''s \$(x) %s \\n '''''"
  equals "$(quoted_list a "b'c" 'd]')" "N'a', N'b''c', N'd]'"
}

@test "the marker says of a login what it was, for as long as its password has the date of then" {
  login_sids=(0x01 0x02) login_dates=(2026-01-01T00:00:00.000 2026-01-02T00:00:00.000)
  marker[localhost]='version-x time 0x01=v1=2026-01-01T00:00:00.000+0x02=v2=2026-01-02T00:00:00.003+'
  equals "$(believed_login_version 0)" v1
  equals "$(believed_login_version 1)" ''
  marker[localhost]='version-x time nonsense'
  equals "$(believed_login_version 0)" ''
  marker[localhost]='version-x time 0x01=v1=2026-01-01T00:00:00.000'
  equals "$(believed_login_version 0)" ''
}

@test "somebody who alters a login while it is proved is noticed" {
  login_dates=(2026-01-01) wanted_versions=(v1) login_sids=(0x01) place='' marks=''
  # The names are the script's: it calls these in place of its own.
  # shellcheck disable=SC2317
  read_login() { login_dates[$1]=2026-01-02; }
  log() { :; }
  refuses note_proof 0
  [[ ${failures[0]} == *AlteredMeanwhile* ]]
  # The name is the script's: it calls this in place of its own.
  # shellcheck disable=SC2317
  read_login() { :; }
  note_proof 0
  equals "$marks" '0x01=v1=2026-01-02+'
}

@test "each refusal of a login has its name" {
  local expected
  wanted_passwords=(p) administrator_password=p sqlcmd_options=()
  sqlcmd() { cat >/dev/null; printf '%s\n' "$said"; return "$code"; }
  while IFS='|' read -r expected code said; do
    log_in_failure=none
    log_in 0 || :
    equals "$said: $log_in_failure" "$said: $expected"
  done <<'TABLE'
none|0|~who~1
LoginProofFailed|0|~who~0
wrong_password|1|Login failed for user 'app'.
wrong_password|1|Login failed for user 'app'. Reason: The password of the account must be changed.
LoginLocked|1|Login failed for user 'app' because the account is currently locked out.
LoginDisabled|1|Login failed for user 'app'. Reason: The account is disabled.
LoginProofFailed|1|Cannot open database "shop" requested by the login. The login failed. Login failed for user 'app'.
LoginProofFailed|1|Logon failed for login 'app' due to trigger execution.
ConnectFailed|1|Login timeout expired.
TABLE
}

@test "what the policy refuses is told from what nobody may" {
  local expected
  while IFS='|' read -r expected sql_output; do
    name_change_failure
    equals "$sql_output: $sql_failure" "$sql_output: $expected"
  done <<'TABLE'
PasswordRefused|Msg 15114, Level 16: The password for the user is too recent to change.
PasswordRefused|Msg 15116, Level 16: too short
PasswordRefused|Msg 15118, Level 16: not complex enough
PasswordRefused|Msg 15119, Level 16: the password filter DLL
AlterNotPermitted|Msg 15151, Level 16: Cannot alter the login 'app'
AlterNotPermitted|Msg 4613, Level 16: Grantor does not have GRANT permission.
AlterFailed|Msg 15121, Level 16: An error occurred during the execution
AlterFailed|Msg 151160, Level 16: another number
LoginFailed|Login failed for user 'rotation'.
TABLE
}

@test "a right that one of two logins lacks is told in words" {
  equals "$(right_in_words 'R~ALTER ROLE [a~b] ADD MEMBER~shop')" 'ALTER ROLE [a~b] ADD MEMBER in shop'
  equals "$(right_in_words 'P~GRANT VIEW SERVER STATE TO~')" 'GRANT VIEW SERVER STATE TO'
  equals "$(right_in_words 'U~WITH DEFAULT_SCHEMA = [dbo]~shop')" 'a user WITH DEFAULT_SCHEMA = [dbo] in shop'
}

@test "an inspection of logins knows no function that changes anything, and none that logs in" {
  local name
  load_script inspect login
  for name in write_marker change change_in create_login change_password grant_what_is_lacking log_in; do
    refuses declare -F "$name"
  done
}
