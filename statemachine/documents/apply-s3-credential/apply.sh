# shellcheck shell=bash
# Brings every SQL Server instance of this host to the target version of a rotation's secret, and proves it. Follows
# host/linux.sh, host/credentials.sh and host/marker.sh in one shell.
#
# The host reads the target under a lock, and once more at the end: so an old, late or doubled command does no harm.
#
# Nothing here replaces a working credential before the new key was proved from this very instance, through a temporary
# credential that is more specific than the working one and that covers no other path.

proof=${SSM_proof-'{{ proof }}'}
readonly ROUNDS=3

main() {
  trap 'fail_host Interrupted "stopped by a signal"' TERM INT HUP
  check_parameters
  check_proof
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

check_proof() {
  [[ $proof == backup || $proof == none ]] || refuse_parameter proof
}

# ---- Every instance ----

apply_to_every_instance() {
  proved=0 nothing_to_hold=0 failed=0 failures=() blocking=() signed_call=''
  read_target_key
  touched=true
  local endpoint
  for endpoint in "${endpoint_names[@]}"; do apply_to_instance; done
}

# One instance's failure is recorded and the next instance is looked at.
apply_to_instance() {
  look_at_instance || return
  require_right_to_alter || return
  list_credentials || return
  local -A seen_dates=()
  local url held
  for url in "${credential_urls[@]}"; do seen_dates["${url,,}"]=${modified_of["${url,,}"]-}; done
  report_blocking
  drop_leftovers || return
  refuse_unfit_credentials || return
  held=$(believed_version)
  if holds_target_already "$held"; then
    record_proof "already held"
    return
  fi
  # The target is no version from before, to which this instance could be put back.
  if [[ $held == "$version" ]]; then held=''; fi
  prove_before_altering "$held" || return
  replace_every_credential "$held" || return
  record_proof "altered"
}

record_proof() { # how
  local url
  list_credentials || return
  for url in "${credential_urls[@]}"; do
    [[ ${modified_of["${url,,}"]-} == "${seen_dates["${url,,}"]-}" ]] && continue
    fail_instance AlteredMeanwhile "somebody altered $url while it was being proved"
    return
  done
  marker["$endpoint"]="$version $(date -u +%Y-%m-%dT%H:%M:%SZ) $modify_dates"
  write_marker || { fail_instance StateNotWritable "$marker_file cannot be written"; return; }
  ((proved += 1))
  log "$endpoint: proved, $1"
}

# This host's own temporary credentials, left by a command that was killed. Another host's may be proving a key at this
# moment, where several nodes share an instance; one that came with an image covers nobody's backups.
drop_leftovers() {
  local name url
  for name in "${credential_names[@]}"; do
    for url in "${credential_urls[@]}"; do
      [[ ${name,,} == "${url,,}/${proof_prefix,,}/${host,,}" ]] || continue
      run_sql "DROP CREDENTIAL $(quoted_name "$name");" && continue
      name_sql_failure AlterFailed
      fail_instance "$sql_failure" "$sql_output"
      return 1
    done
  done
}

# ---- Prove, then alter, then prove again ----

# The marker alone is no proof, and a backup alone does not say with which key: both together are.
holds_target_already() { # the version held, or nothing
  local url
  [[ $1 == "$version" ]] || return 1
  for url in "${credential_urls[@]}"; do prove_through_held "$url" || return 1; done
}

prove_before_altering() { # the version held, or nothing
  local url
  for url in "${credential_urls[@]}"; do
    prove_through_temporary "$url" || return 1
    # What cannot be put back is proved twice before it is replaced.
    if [[ -z $1 ]]; then prove_through_temporary "$url" || return 1; fi
  done
}

# CREATE, BACKUP, DROP of a credential that covers a folder of its own: the working one is not touched.
prove_through_temporary() { # url
  local name="$1/$proof_prefix/$host" outcome=0
  if [[ $proof == none ]]; then
    prove_by_signed_call || { fail_instance ProofFailed "$sql_output"; return 1; }
    return 0
  fi
  if ! run_sql "CREATE CREDENTIAL $(quoted_name "$name") $(with_access_key)"; then
    name_sql_failure AlterFailed
    fail_instance "$sql_failure" "$sql_output"
    return 1
  fi
  if ! back_up "$name/proof.bak"; then
    outcome=1
    name_sql_failure ProofFailed
    fail_instance "$sql_failure" "$sql_output"
  fi
  if ! run_sql "DROP CREDENTIAL $(quoted_name "$name");"; then
    # Gone already: the backup may have been signed with the key that is held, and proves nothing.
    if [[ $outcome == 0 && $sql_output == *"Msg 15151,"* ]]; then
      fail_instance AlteredMeanwhile "somebody dropped $name while it was proving the key"
      return 1
    fi
    # One that stays covers nobody's backups; the next command drops it.
    log "$endpoint: $name stays: $sql_output"
  fi
  return "$outcome"
}

# A folder that is not below the temporary credential's name, so that only the held one covers it.
prove_through_held() { # url
  if [[ $proof == none ]]; then prove_by_signed_call; return; fi
  back_up "$1/$proof_prefix/held/$host/proof.bak"
}

# With proof "none" the key is known to work from this host, and nothing is known of the bucket.
prove_by_signed_call() { # on failure sql_output says why
  local region
  if [[ $signed_call == "$version" ]]; then return 0; fi
  IFS=: read -r _ _ _ region _ <<<"$secret_arn"
  if ! (
    unset AWS_SESSION_TOKEN AWS_PROFILE
    AWS_ACCESS_KEY_ID=$access_key_id AWS_SECRET_ACCESS_KEY=$secret_access_key \
      aws sts get-caller-identity --region "$region" --query Arn --output text >/dev/null 2>"$message_file"
  ); then
    sql_output=$(tail -n 1 "$message_file")
    return 1
  fi
  signed_call=$version
}

# model is the smallest database that every instance has. Two backups of it at a time refuse each other (Msg 3023).
back_up() { # url
  local options='COPY_ONLY, FORMAT' deadline=$((SECONDS + patience_seconds)) region
  region=$(region_of "$1")
  if [[ -n $region ]]; then options+=", BACKUP_OPTIONS = N'{\"s3\": {\"region\":\"$region\"}}'"; fi
  until run_sql "BACKUP DATABASE [model] TO URL = N'$1' WITH $options;"; do
    [[ $sql_output == *"Msg 3023,"* ]] && ((SECONDS < deadline)) || return 1
    sleep 1
  done
}

# SQL Server assumes us-east-1 unless told (FACTS B). A host name that is not AWS's needs no region; of AWS's, PrivateLink,
# FIPS and access points have names of their own.
region_of() { # url
  local url=${1,,} service='s3(-fips|-accesspoint|-accesspoint-fips)?[.-](dualstack\.)?'
  if [[ $url =~ ^s3://([^/]*\.)?$service([a-z]{2}(-[a-z]+)+-[0-9]+)\.(vpce\.)?amazonaws\.com ]]; then
    printf '%s' "${BASH_REMATCH[4]}"
  fi
}

replace_every_credential() { # the version held, or nothing
  local url verb
  for url in "${credential_urls[@]}"; do
    verb=ALTER
    if [[ -z ${credential_kinds["${url,,}"]-} ]]; then verb=CREATE; fi
    if ! run_sql "$verb CREDENTIAL $(quoted_name "$(as_spelled "$url")") $(with_access_key)"; then
      name_sql_failure AlterFailed
      fail_instance "$sql_failure" "$sql_output"
      return 1
    fi
    changed["$endpoint"]=1
    { note_date "$url" && prove_through_held "$url"; } || put_back "$url" "$verb" "$1" || return 1
  done
}

# Whoever alters the credential from here on is noticed.
note_date() { # url
  read_credentials && seen_dates["${url,,}"]=${modified_of["${url,,}"]-}
}

put_back() { # url, verb that changed it, the version held before or nothing
  local cause=$sql_output outcome=ProofFailedNotRestored
  if [[ $2 == CREATE ]]; then
    run_sql "DROP CREDENTIAL $(quoted_name "$(as_spelled "$1")");" && outcome=ProofFailedRestored
  elif [[ -n $3 ]] && fetch_secret "$secret_arn" --version-id "$3" && read_access_key "$fetched_value"; then
    run_sql "ALTER CREDENTIAL $(quoted_name "$(as_spelled "$1")") $(with_access_key)" && outcome=ProofFailedRestored
  fi
  read_access_key "$target_value"
  fail_instance "$outcome" "$cause"
  return 1
}

# ---- SQL ----

with_access_key() {
  printf "WITH IDENTITY = 'S3 Access Key', SECRET = N'%s:%s';" "$access_key_id" "${secret_access_key//\'/\'\'}"
}

# A credential's name as the instance has it: a server whose collation tells cases apart knows no other.
as_spelled() { # name
  printf '%s' "${spelled["${1,,}"]-$1}"
}

# ---- The answer ----

print_answer() {
  begin_answer 0
  printf '%s}\n' "$answer"
}

main
