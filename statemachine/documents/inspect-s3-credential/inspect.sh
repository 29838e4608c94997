# shellcheck shell=bash
# Looks at every SQL Server instance of this host as a rotation would find it, and changes nothing: no credential, no
# marker, no object in S3. Follows host/linux.sh and host/credentials.sh in one shell.
#
# What would stand in the way of a rotation is a failure here by the name that it would have there. All that is written
# is the host's own log, which shows beforehand that the disk takes a marker.

instances=0 seen=()

main() {
  trap 'fail_host Interrupted "stopped by a signal"' TERM INT HUP
  check_parameters
  check_tools
  open_state_directory
  # A command at work would be seen half done.
  take_lock
  log "looking, and changing nothing" || fail_host StateNotWritable "$log_file cannot be written"
  read_marker
  await_hinted_target
  read_target_key
  read_administrator
  local endpoint
  for endpoint in "${endpoint_names[@]}"; do inspect_instance; done
  answer_and_exit
}

# Everything that an instance lacks is told at once, so that a person mends it once.
inspect_instance() {
  local held=''
  look_at_instance || return
  if require_right_to_alter && list_credentials; then
    report_blocking
    refuse_unfit_credentials
    held=$(believed_version)
  fi
  require_right_to_back_up
  record_seen "$held"
}

# A rotation proves a key by a backup of model. Where the login may not even enter model, the answer is NULL.
require_right_to_back_up() {
  if ! run_sql "SELECT N'~backup~' +
  CONVERT(nvarchar(10), ISNULL(HAS_PERMS_BY_NAME(N'model', N'DATABASE', N'BACKUP DATABASE'), 0));"; then
    name_sql_failure ConnectFailed
    fail_instance "$sql_failure" "$sql_output"
  elif [[ $sql_output != *'~backup~1'* ]]; then
    fail_instance BackupNotPermitted "$administrator may not back up model"
  fi
}

record_seen() { # the version held, or nothing
  local holds=''
  ((instances += 1))
  if [[ -n $1 ]]; then holds=",\"holds\":\"$1\""; fi
  seen+=("{\"instance\":\"$(json_text "$endpoint")\",\"product\":\"$product\"$holds}")
  log "$endpoint: version $product, holds ${1:-a version that no marker vouches for}"
}

print_answer() {
  local inspected=",\"inspected\":{\"instances\":$instances,\"seen\":["
  begin_answer $((${#inspected} + 3))
  answer+=$inspected
  add_what_fits "${seen[@]}"
  printf '%s]}}\n' "$answer"
}

main
