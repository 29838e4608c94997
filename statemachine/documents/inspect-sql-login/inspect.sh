# shellcheck shell=bash
# Looks at the rotation's logins on every SQL Server instance of this host as a rotation would find them, and changes
# nothing: no login, no right, no marker. Follows host/linux.sh and host/logins.sh in one shell.
#
# What would stand in the way of a rotation is a failure here by the name that it would have there. Nobody logs in by the
# logins themselves, so that none is locked. All that is written is the host's own log.

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
  read_wanted_passwords
  read_administrator
  local endpoint
  for endpoint in "${endpoint_names[@]}"; do inspect_instance; done
  require_a_holder
  answer_and_exit
}

# Everything that stands in the way is told at once, so that a person mends it once.
inspect_instance() {
  is_asked_for && look_at_server || return
  local place sids='' are_held=true
  require_password_logins
  require_rights || { record_seen; return; }
  look_at_replica
  find_places || return
  for place in "${places[@]}"; do inspect_place || return; done
  record_seen
}

inspect_place() {
  local number
  for number in "${!login_names[@]}"; do read_login "$number" "$place" || return 1; done
  is_held_here "$place" || return 1
  for number in "${!login_names[@]}"; do
    require_login "$number" "$place"
    note_login "$number"
    if [[ ${login_states[number]} != missing ]] && is_next "$number"; then
      require_right_over "$number"
      if is_alternating; then require_no_sessions "$number" "$place"; fi
    fi
  done
  if is_alternating && [[ $provision == false && " ${login_states[*]} " != *' missing '* ]]; then
    require_equal_rights "$place"
  fi
  return 0
}

note_login() { # number
  if [[ -z $place ]]; then sids+="${login_names[$1]}=${login_sids[$1]:-none}"$'\n'; fi
  if [[ -n ${wanted_versions[$1]-} && $(believed_login_version "$1") != "${wanted_versions[$1]}" ]]; then are_held=false; fi
}

record_seen() {
  local more='' held='' hash
  ((instances += 1))
  read -r held _ <<<"${marker["$endpoint"]-}"
  if [[ -n $held && $are_held == true && $held == "$version" ]]; then more=",\"holds\":\"$held\""; else held=''; fi
  if [[ -n ${replica_group-} ]]; then
    hash=$(printf '%s' "$sids" | sha256sum)
    more+=",\"replica\":{\"group\":\"$(json_text "$replica_group")\",\"role\":\"$replica_role\""
    more+=",\"replicas\":$replica_count,\"sids\":\"${hash:0:8}\"}"
  fi
  seen+=("{\"instance\":\"$(json_text "$endpoint")\",\"product\":\"$product\"$more}")
  log "$endpoint: version $product, holds ${held:-a version that no marker vouches for}"
}

print_answer() {
  local inspected=",\"inspected\":{\"instances\":$instances,\"seen\":["
  begin_answer $((${#inspected} + 3))
  answer+=$inspected
  add_what_fits "${seen[@]}"
  printf '%s]}}\n' "$answer"
}

main
