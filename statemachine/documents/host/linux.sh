#!/usr/bin/env bash
# What every document does on a Linux host, whatever it brings there: read the parameters, the marker and the secrets,
# hold the lock, ask SQL Server, and answer. Nothing here changes an instance.
#
# The command only says which rotation; the version in it is a hint. What the target is, the host reads itself.
#
# In the same shell follow what both documents of a kind share (credentials.sh or logins.sh), for one that changes a host
# marker.sh, and the document's own script. That holds main and print_answer, and its last line is the only one that does anything.
#
# stdout carries one JSON object (its fields: functions/rotation/src/host_answer.rs) and nothing else; a line for each
# instance goes to stderr, from where SSM sends it to CloudWatch, and to a size-limited log on the host.
#
# Exit codes. Never 194 or 168 or 169, which the SSM agent reads as reboot, stop with success, stop with failure.
# 0: every instance is as the command wants it, or has nothing to hold.
# 1: at least one instance failed, or the command was stopped in the middle.
# 2: the host failed before any instance was touched.
# 3: the hinted version is not this host's target (yet).
readonly EXIT_SUCCEEDED=0 EXIT_INSTANCE_FAILED=1 EXIT_HOST_FAILED=2 EXIT_NOT_VISIBLE_YET=3

# A shell that traces would write the secret to its trace.
set +x -u -o pipefail
umask 077
# Bytes, not characters: lengths and patterns must not depend on the host's locale.
# The format of the CLI's complaints is read below, whatever this host's own configuration says.
export LC_ALL=C AWS_PAGER='' AWS_CLI_ERROR_FORMAT=legacy
# Where Microsoft's packages install sqlcmd, and people the AWS CLI; root's PATH under the agent has neither.
PATH=$PATH:/opt/mssql-tools18/bin:/opt/mssql-tools/bin:/usr/local/bin

# A new agent sets SSM_<name>; for an older one, which does not know interpolationType, the text between the quotes was
# replaced. The document's allowedPatterns admit no quote, so that the replacement cannot leave the quotes.
rotation=${SSM_rotation-'{{ rotation }}'}
secret_arn=${SSM_secretArn-'{{ secretArn }}'}
hint=${SSM_versionId-'{{ versionId }}'}
endpoints=${SSM_endpoints-'{{ endpoints }}'}
administrator_secret_arn=${SSM_administratorSecretArn-'{{ administratorSecretArn }}'}
trust_server_certificate=${SSM_trustServerCertificate-'{{ trustServerCertificate }}'}

host=${AWS_SSM_INSTANCE_ID-}
# The two seams of the local AWS: hosts that share one machine need a folder each, and have no /opt of their own.
state_directory=${CREDENTIAL_ROTATION_STATE_DIRECTORY:-/var/lib/credential-rotation}
sql_server_program=${CREDENTIAL_ROTATION_SQL_SERVER_PROGRAM:-/opt/mssql/bin/sqlservr}
# How long the host waits for the lock and for the hinted version.
patience_seconds=${CREDENTIAL_ROTATION_PATIENCE:-30}

readonly LOG_LIMIT_BYTES=262144 ANSWER_LIMIT_BYTES=1950 MESSAGE_LIMIT_BYTES=240

version='' found=''
proved=0 nothing_to_hold=0 failed=0 touched=false
failures=() blocking=() secret_values=()
declare -A changed=() marker=() may_be_absent=()

# ---- What the command asks for ----

check_parameters() {
  [[ $rotation =~ ^[a-z][a-z0-9-]{0,31}$ ]] || { rotation=unknown; refuse_parameter rotation; }
  [[ $host =~ ^m?i-[0-9a-f]+$ ]] || refuse_parameter AWS_SSM_INSTANCE_ID
  [[ $secret_arn == arn:*:secretsmanager:*:*:secret:* ]] || refuse_parameter secretArn
  [[ $hint =~ ^[A-Za-z0-9-]{32,64}$ ]] || refuse_parameter versionId
  [[ $administrator_secret_arn == arn:*:secretsmanager:*:*:secret:* ]] || refuse_parameter administratorSecretArn
  read -ra endpoint_names <<<"$endpoints"
  note_optional_endpoints
  ((${#endpoint_names[@]} >= 1)) || refuse_parameter endpoints
  check_own_parameters
}

# An endpoint with a question mark is not on every host of the fleet.
note_optional_endpoints() {
  local index name
  for index in "${!endpoint_names[@]}"; do
    name=${endpoint_names[index]}
    if [[ $name == *\? ]]; then may_be_absent["${name%\?}"]=1; fi
    endpoint_names[index]=${name%\?}
  done
}

refuse_parameter() { # name
  fail_host InvalidParameter "the parameter $1 is missing or malformed"
}

check_tools() {
  local tool
  for tool in aws sqlcmd flock; do
    command -v "$tool" >/dev/null || fail_host ToolMissing "$tool is not installed"
  done
}

# ---- What the host keeps: lock, log, marker ----

open_state_directory() {
  local refused="$state_directory cannot be written: the disk is full, or it is no directory"
  log_file=$state_directory/$rotation.log
  marker_file=$state_directory/$rotation.marker
  message_file=$state_directory/$rotation.message
  mkdir -p "$state_directory" 2>/dev/null || fail_host StateNotWritable "$refused"
  if [[ -f $log_file ]] && (($(wc -c <"$log_file") > LOG_LIMIT_BYTES)); then mv -f "$log_file" "$log_file.1"; fi
}

take_lock() {
  exec {lock}>"$state_directory/$rotation.lock" ||
    fail_host StateNotWritable "$state_directory/$rotation.lock cannot be opened"
  flock -w "$patience_seconds" "$lock" ||
    fail_host LockTimeout "another command held the lock for $patience_seconds s"
}

# The marker has one line for each instance: endpoint, version, time, and the modify dates that the credentials had
# then. Where a credential's date is another today, somebody else altered it and the line says nothing of it.
read_marker() {
  local endpoint held rest
  if [[ -f $marker_file ]]; then
    while read -r endpoint held rest; do
      if [[ ! $held =~ ^[A-Za-z0-9-]{32,64}$ ]] || ! is_listed "$endpoint" "${endpoint_names[@]}"; then continue; fi
      marker["$endpoint"]="$held $rest"
      # One version stands for the host: the one that lags, if any does.
      if [[ -z $found || $held != "$hint" ]]; then found=$held; fi
    done <"$marker_file"
  fi
}

# Fails where the line is not on the disk, which stops nobody who does not ask.
log() { # text
  local line
  line="$(date -u +%Y-%m-%dT%H:%M:%SZ) $rotation ${version:-?} $(without_secrets "$1")"
  printf '%s\n' "$line" >&2
  if [[ -d $state_directory ]]; then printf '%s\n' "$line" 2>/dev/null >>"${log_file:-/dev/null}"; fi
}

# ---- The target and the secrets ----

# Reads a version's value into fetched_version and fetched_value. The value stays in this shell's memory; only the
# CLI's complaint goes through a file, since a pipe would need a second call to tell them apart.
fetch_secret() { # arn, then which version
  local arn=$1 region answer
  shift
  IFS=: read -r _ _ _ region _ <<<"$arn"
  fetch_error=''
  if ! answer=$(aws secretsmanager get-secret-value --region "$region" --secret-id "$arn" "$@" \
    --query '[VersionId,SecretString]' --output text 2>"$message_file"); then
    fetch_error=$(tail -n 1 "$message_file")
    return 1
  fi
  fetched_version=${answer%%$'\t'*}
  fetched_value=${answer#*$'\t'}
}

# The target is the version labelled AWSPENDING if there is one, else AWSCURRENT. A label without a version, and a
# version that RotateSecret left empty, both answer ResourceNotFoundException (FACTS D).
read_target() { # sets version, target_value and target_label
  local label
  for label in AWSPENDING AWSCURRENT; do
    if fetch_secret "$secret_arn" --version-stage "$label"; then
      version=$fetched_version target_value=$fetched_value target_label=$label
      return
    fi
    [[ $fetch_error == *"(ResourceNotFoundException)"* ]] || break
  done
  fail_host SecretNotReadable "$fetch_error"
}

# Secrets Manager is eventually consistent: the host that was asked first may still see the labels of before.
await_hinted_target() {
  local deadline=$((SECONDS + patience_seconds))
  while read_target && [[ $version != "$hint" ]]; do
    ((SECONDS < deadline)) ||
      fail_host VersionNotVisibleYet "the target here is $version, not $hint"
    sleep 1
  done
}

read_administrator() {
  fetch_secret "$administrator_secret_arn" --version-stage AWSCURRENT ||
    fail_host SecretNotReadable "administrator: $fetch_error"
  parse_flat_object "$fetched_value" && administrator=${members[username]-} administrator_password=${members[password]-}
  [[ -n ${administrator-} && -n ${administrator_password-} ]] ||
    fail_host SecretValueInvalid "the administrator's secret is no JSON object with username and password"
  # -b: an SQL error is an exit code. -x: a password may hold $(…). -N: encrypted whatever the driver's default is.
  # /dev/stdin and not bare stdin, which would print prompts.
  sqlcmd_options=(-b -x -r 1 -h -1 -W -w 4096 -l 8 -t 120 -N -i /dev/stdin)
  if [[ $trust_server_certificate == true ]]; then sqlcmd_options+=(-C); fi
}

# ---- Every instance ----

# A server that is there and is not trusted, or does not answer in time, is not absent. The driver's codes for a refused
# connection and for an unknown name, and go-sqlcmd's words for both.
nobody_listens() {
  case $sql_output in
    *"SSL Provider"* | *certificate*) return 1 ;;
    *"Error code 0x2749"* | *"Error code 0x274D"* | *"Error code 0x2AF9"* | *"connection refused"* | *"no such host"*) ;;
    *) return 1 ;;
  esac
}

# The default endpoint is absent where SQL Server is not installed; an optional one where no command has ever proved it.
is_absent() {
  if [[ $endpoint == localhost ]]; then [[ ! -e $sql_server_program ]]; return; fi
  [[ -n ${may_be_absent["$endpoint"]-} && -z ${marker["$endpoint"]-} ]]
}

is_listed() { # name, list…
  local name=${1,,} listed
  shift
  for listed in "$@"; do
    [[ $name == "${listed,,}" ]] && return 0
  done
  return 1
}

# ---- SQL ----

# The statement reaches sqlcmd through a pipe from a builtin: it is in no argument, file or here-document. A statement
# that holds the secret is one plain batch, since only then SQL Server keeps it out of its traces (FACTS B).
run_sql() { # statement; sets sql_output
  sql_output=$(printf '%s\nGO\n' "$1" |
    SQLCMDPASSWORD=$administrator_password sqlcmd -S "tcp:$endpoint" -U "$administrator" "${sqlcmd_options[@]}" 2>&1)
}

quoted_name() { # name
  printf '[%s]' "${1//]/]]}"
}

# Names what SQL Server said, by its message numbers; the client has none for what it says itself.
name_sql_failure() { # name for anything else; sets sql_failure
  case $sql_output in
    *"Login failed for user"* | *"Msg 4060,"*) sql_failure=LoginFailed ;;
    *"Msg 15247,"* | *"Msg 15151,"*) sql_failure=AlterNotPermitted ;;
    *"Msg 262,"* | *"Msg 916,"*) sql_failure=BackupNotPermitted ;;
    *"Msg 3023,"*) sql_failure=ModelBusy ;;
    *"Msg "* | *"Query timeout expired"*) sql_failure=$1 ;;
    *) sql_failure=ConnectFailed ;;
  esac
}

# ---- The answer ----

fail_instance() { # error, message
  ((failed += 1))
  failures+=("{\"instance\":\"$(json_text "$endpoint")\",\"error\":\"$1\",\"message\":\"$(json_text "$2")\"}")
  log "$endpoint: $1: $2"
}

fail_host() { # error, message
  local endpoint=''
  fail_instance "$1" "$2"
  print_answer
  if [[ $1 == VersionNotVisibleYet ]]; then exit "$EXIT_NOT_VISIBLE_YET"; fi
  if [[ $touched == true ]]; then exit "$EXIT_INSTANCE_FAILED"; fi
  exit "$EXIT_HOST_FAILED"
}

answer_and_exit() {
  print_answer
  if ((failed > 0)); then exit "$EXIT_INSTANCE_FAILED"; fi
  exit "$EXIT_SUCCEEDED"
}

# Sets answer, all but what closes it; of that many bytes it leaves room. SSM keeps 2,500 characters of an output in
# lists (FACTS C): counts always, names as many as fit.
begin_answer() { # bytes for what follows
  # A signal from here on would print a second object.
  trap '' TERM INT HUP
  answer="{\"rotation\":\"$rotation\""
  [[ -n $version ]] && answer+=",\"version\":\"$version\""
  [[ -n $found ]] && answer+=",\"found\":\"$found\""
  answer+=",\"proved\":$proved,\"changed\":${#changed[@]},\"nothingToHold\":$nothing_to_hold,\"failed\":$failed"
  room=$((ANSWER_LIMIT_BYTES - ${#answer} - 32 - $1))
  answer+=',"failures":['
  add_what_fits "${failures[@]}"
  answer+='],"blocking":['
  add_what_fits "${blocking[@]}"
  answer+=']'
}

add_what_fits() { # item…
  local item comma=''
  for item in "$@"; do
    ((room -= ${#item} + 1))
    ((room < 0)) && break
    answer+=$comma$item comma=,
  done
}

# No message of a tool is passed on before the secret values were taken out of it.
without_secrets() { # text
  local text=$1 value
  for value in "${secret_values[@]}" "${administrator_password-}"; do
    if [[ -n $value ]]; then text=${text//"$value"/***}; fi
  done
  printf '%s' "${text//[^ -~]/ }"
}

json_text() { # text, shortened
  local text
  text=$(without_secrets "$1")
  text=${text:0:MESSAGE_LIMIT_BYTES}
  text=${text//\\/\\\\}
  printf '%s' "${text//\"/\\\"}"
}

# ---- JSON in, without a tool that a database host may lack ----

# Reads a flat object's strings into members; other scalars are passed over, a nested value is refused.
parse_flat_object() { # text
  local string='"(([^"\\]|\\.)*)"' rest name value end
  local member="^[[:space:]]*${string}[[:space:]]*:[[:space:]]*(${string}|[-+.A-Za-z0-9]+)[[:space:]]*([,}])(.*)\$"
  declare -gA members=()
  [[ $1 =~ ^[[:space:]]*\{(.*)$ ]] || return 1
  rest=${BASH_REMATCH[1]}
  while [[ $rest =~ $member ]]; do
    name=${BASH_REMATCH[1]} value=${BASH_REMATCH[3]} end=${BASH_REMATCH[6]} rest=${BASH_REMATCH[7]}
    if [[ $value == \"* && -n $name ]]; then
      unescape "${value:1:${#value}-2}" || return 1
      members["$name"]=$unescaped
    fi
    if [[ $end == '}' ]]; then [[ $rest =~ ^[[:space:]]*$ ]]; return; fi
  done
  return 1
}

unescape() { # the inside of a JSON string; sets unescaped
  local rest=$1 code
  unescaped=''
  while [[ $rest == *\\* ]]; do
    unescaped+=${rest%%\\*}
    rest=${rest#*\\}
    case $rest in
      [\"\\/]*) unescaped+=${rest:0:1} ;;
      b*) unescaped+=$'\b' ;;
      f*) unescaped+=$'\f' ;;
      n*) unescaped+=$'\n' ;;
      r*) unescaped+=$'\r' ;;
      t*) unescaped+=$'\t' ;;
      u[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]*)
        code=$((16#${rest:1:4}))
        rest=${rest:4}
        # A character beyond the first 65,536 comes as two halves.
        if ((code >= 0xD800 && code <= 0xDBFF)) && [[ ${rest:1} =~ ^\\u([Dd][C-Fc-f][0-9A-Fa-f]{2}) ]]; then
          code=$((0x10000 + ((code - 0xD800) << 10) + (16#${BASH_REMATCH[1]} - 0xDC00)))
          rest=${rest:6}
        fi
        append_utf8 "$code" ;;
      *) return 1 ;;
    esac
    rest=${rest:1}
  done
  unescaped+=$rest
}

# By hand, because printf's \u obeys the locale and a host's locale is anybody's.
append_utf8() { # code point; appends to unescaped
  local bytes octets
  if (($1 < 0x80)); then
    bytes=("$1")
  elif (($1 < 0x800)); then
    bytes=($((0xC0 | $1 >> 6)) $((0x80 | $1 & 0x3F)))
  elif (($1 < 0x10000)); then
    bytes=($((0xE0 | $1 >> 12)) $((0x80 | $1 >> 6 & 0x3F)) $((0x80 | $1 & 0x3F)))
  else
    bytes=($((0xF0 | $1 >> 18)) $((0x80 | $1 >> 12 & 0x3F)) $((0x80 | $1 >> 6 & 0x3F)) $((0x80 | $1 & 0x3F)))
  fi
  printf -v octets '\\x%02x' "${bytes[@]}"
  printf -v octets '%b' "$octets"
  unescaped+=$octets
}
