# shellcheck shell=bash
# Brings the rotation's logins on every SQL Server instance of this host to their versions of the secret, and proves each
# by a login. Follows host/linux.sh, host/logins.sh and host/marker.sh in one shell.
#
# The host reads the target under a lock, and once more at the end: so an old, late or doubled command does no harm.
#
# A login has one password, so nothing can be proved beforehand and nothing put back. Everything that could stand in the
# way is looked for first: what is found then has changed nothing. And no account is locked by us: a login is tried once
# with a password that may be wrong, and not even once where the marker knows better.

readonly ROUNDS=3

# endpoint~login: tried with a password that was refused.
declare -A refused_before=()

main() {
  trap 'fail_host Interrupted "stopped by a signal"' TERM INT HUP
  check_parameters
  check_tools
  open_state_directory
  take_lock
  read_marker
  # Everything that may not be writable is written once before any instance is touched.
  write_marker || fail_host StateNotWritable "$marker_file cannot be written"
  await_hinted_target
  read_administrator
  local round before
  for ((round = 1; round <= ROUNDS; round++)); do
    apply_to_every_instance
    before=$version
    read_target
    if [[ $version == "$before" ]]; then answer_and_exit; fi
    log "the target moved from $before to $version: starting over"
  done
  fail_host TargetKeepsChanging "the target moved $ROUNDS times, last to $version"
}

# ---- Every instance ----

apply_to_every_instance() {
  proved=0 nothing_to_hold=0 failed=0 failures=() lacking=0 holding=0
  read_wanted_passwords
  touched=true
  local endpoint
  for endpoint in "${endpoint_names[@]}"; do apply_to_instance; done
  require_a_holder
}

# One instance's failure is recorded and the next instance is looked at.
apply_to_instance() {
  is_asked_for && look_at_server && require_password_logins && require_rights && look_at_replica || return
  find_places || return
  local place marks='' how='already held'
  for place in "${places[@]}"; do apply_to_place || return; done
  marker["$endpoint"]="$version $(date -u +%Y-%m-%dT%H:%M:%SZ) $marks"
  write_marker || { fail_instance StateNotWritable "$marker_file cannot be written"; return; }
  ((proved += 1))
  log "$endpoint: proved, $how"
}

# All that can be refused is refused before the first change.
apply_to_place() { # appends to marks
  local number plan=()
  for number in "${!login_names[@]}"; do read_login "$number" "$place" || return 1; done
  is_held_here "$place" || return 1
  for number in "${!wanted_versions[@]}"; do require_login "$number" "$place" || return 1; done
  for number in "${!wanted_versions[@]}"; do decide "$number" || return 1; done
  for number in "${!plan[@]}"; do
    if [[ ${plan[number]} == change ]]; then require_change_allowed "$number" || return 1; fi
  done
  make_and_grant || return 1
  for number in "${!plan[@]}"; do
    if [[ ${plan[number]} == change ]]; then change_password "$number" || return 1; fi
  done
  for number in "${!plan[@]}"; do note_proof "$number" || return 1; done
}

# What is done with a login: create, change or hold. A locked login refuses the right password as well.
decide() { # number; sets plan
  local held
  if [[ ${login_states[$1]} == missing ]]; then plan[$1]=create; return; fi
  plan[$1]=change
  if [[ ${login_states[$1]} == locked ]]; then return; fi
  held=$(believed_login_version "$1")
  if [[ -n $held && $held != "${wanted_versions[$1]}" ]] || [[ -n ${refused_before["$endpoint~$1"]-} ]]; then return; fi
  if log_in "$1"; then plan[$1]=hold; return; fi
  if [[ $log_in_failure == wrong_password ]]; then refused_before["$endpoint~$1"]=1; return; fi
  fail_instance "$log_in_failure" "$sql_output"
  return 1
}

# Of a version that is promoted already applications read the password now: what speaks against a rotation's beginning
# does not speak against a late host's being brought in.
require_change_allowed() { # number
  require_right_over "$1" || return 1
  is_alternating && [[ $target_label == AWSPENDING ]] && is_next "$1" || return 0
  require_no_sessions "$1" "$place"
}

# ---- The twin ----

make_and_grant() {
  local number
  for number in "${!plan[@]}"; do
    if [[ ${plan[number]} == create ]]; then create_login "$number" || return 1; fi
  done
  is_alternating && [[ $target_label == AWSPENDING ]] && ((${#wanted_versions[@]} == 2)) || return 0
  if [[ $provision == true && -z $place ]]; then grant_what_is_lacking || return 1; fi
  require_equal_rights "$place"
}

# The SID follows from the names, so that every replica of a group makes the same, and a database that moves to another
# one knows the login.
create_login() { # number
  local sid
  sid=$(printf '%s\n%s' "$rotation" "${login_names[$1]}" | sha256sum)
  change "CREATE LOGIN $(quoted_name "${login_names[$1]}") WITH PASSWORD = $(quoted_text "${wanted_passwords[$1]}"), \
SID = 0x${sid:0:32}, CHECK_POLICY = ON;" || return 1
  prove "$1"
}

# Gives the login whose turn it is what it lacks of the other, and takes nothing away.
grant_what_is_lacking() {
  local member right statement database
  member=$(quoted_name "${login_names[target_login]}")
  compare_rights '' || return 1
  local -n lacks=lacks_$target_login
  for right in "${lacks[@]}"; do
    statement=${right#*~} database=${right##*~}
    statement=${statement%~*}
    case $right in
      D~*) statement="ALTER LOGIN $member $statement" ;;
      U~*) if has_user "$database"; then statement="ALTER USER $member $statement"; else
        statement="CREATE USER $member FOR LOGIN $member $statement"
      fi ;;
      W~*) statement+=" $member WITH GRANT OPTION" ;;
      S~* | R~* | P~*) statement+=" $member" ;;
      *) continue ;;
    esac
    change_in "${database:-master}" "$statement;" || return 1
    log "$endpoint: $statement"
  done
}

# Whether the login whose turn it is has a user in a database, be it with another schema.
has_user() { # database
  local right
  for right in "${rights_in_order[@]}"; do
    [[ $right == U~*"~$1" && ${rights["$right"]} == $((target_login + 1)) ]] && return
  done
  return 1
}

# ---- Change, then prove ----

change_password() { # number
  local name options=''
  name=$(quoted_name "${login_names[$1]}")
  if [[ -n $place ]]; then
    change_in "$place" "ALTER USER $name WITH PASSWORD = $(quoted_text "${wanted_passwords[$1]}");" || return 1
  else
    if [[ $unlock == true ]]; then options=' UNLOCK'; fi
    change "ALTER LOGIN $name WITH PASSWORD = $(quoted_text "${wanted_passwords[$1]}")$options;" || return 1
  fi
  prove "$1"
}

prove() { # number
  how=altered
  changed["$endpoint"]=1
  # Whoever changes the login from here on is noticed.
  read_login "$1" "$place" || return 1
  log_in "$1" && return
  case $log_in_failure in
    LoginLocked) fail_instance LoginLocked "$sql_output" ;;
    *) fail_instance LoginProofFailed "$sql_output" ;;
  esac
  return 1
}

note_proof() { # number; appends to marks
  local proved_at=${login_dates[$1]}
  read_login "$1" "$place" || return 1
  if [[ ${login_dates[$1]} != "$proved_at" ]]; then
    fail_instance AlteredMeanwhile "somebody altered ${login_names[$1]} while it was being proved"
    return 1
  fi
  marks+="${login_sids[$1]}=${wanted_versions[$1]}=$proved_at+"
}

# ---- SQL ----

# Logs in with the password that a login ought to have, in a database that lets everybody in: its default one may be
# closed here. On failure log_in_failure names it: wrong_password, or an error.
log_in() { # number
  local database=${place:-master}
  if sql_output=$(printf '%s\nGO\n' "SELECT N'~who~' + CONVERT(nvarchar(10), CASE WHEN \
ORIGINAL_LOGIN() = $(quoted_text "${login_names[$1]}") AND DB_NAME() = $(quoted_text "$database") THEN 1 ELSE 0 END);" |
    SQLCMDPASSWORD=${wanted_passwords[$1]} sqlcmd -S "tcp:$endpoint" -U "${login_names[$1]}" -d "$database" \
      "${sqlcmd_options[@]}" 2>&1) && [[ $sql_output == *'~who~1'* ]]; then
    return 0
  fi
  case $sql_output in
    *"currently locked out"*) log_in_failure=LoginLocked ;;
    *"account is disabled"*) log_in_failure=LoginDisabled ;;
    *"~who~"* | *"Cannot open database"* | *"Logon failed for login"*) log_in_failure=LoginProofFailed ;;
    *"Login failed for user"*) log_in_failure=wrong_password ;;
    *) log_in_failure=ConnectFailed ;;
  esac
  return 1
}

change() { # statement
  change_in master "$1"
}

# A statement that holds a password is one plain batch, as in run_sql.
change_in() { # database, statement
  sql_output=$(printf '%s\nGO\n' "$2" |
    SQLCMDPASSWORD=$administrator_password sqlcmd -S "tcp:$endpoint" -U "$administrator" -d "$1" \
      "${sqlcmd_options[@]}" 2>&1) && return
  name_change_failure
  fail_instance "$sql_failure" "$sql_output"
  return 1
}

name_change_failure() { # sets sql_failure
  case $sql_output in
    *"Msg 15114,"* | *"Msg 15115,"* | *"Msg 15116,"* | *"Msg 15117,"* | *"Msg 15118,"* | *"Msg 15119,"*)
      sql_failure=PasswordRefused ;;
    *"Msg 4613,"* | *"Msg 4617,"* | *"Msg 916,"*) sql_failure=AlterNotPermitted ;;
    *) name_sql_failure AlterFailed ;;
  esac
}

# ---- The answer ----

print_answer() {
  begin_answer 0
  printf '%s}\n' "$answer"
}

main
