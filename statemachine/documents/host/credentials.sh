# shellcheck shell=bash
# What both documents for S3 credentials do on a Linux host: read their parameters and the access key, look at an instance
# and at its credentials. Follows host/linux.sh in one shell; nothing here changes an instance.

credentials=${SSM_credentials-'{{ credentials }}'}
foreign_credentials=${SSM_foreignCredentials-'{{ foreignCredentials }}'}
proof_prefix=${SSM_proofPrefix-'{{ proofPrefix }}'}
create_missing=${SSM_createMissing-'{{ createMissing }}'}

access_key_id='' secret_access_key=''

# ---- What the command asks for ----

check_own_parameters() {
  [[ $proof_prefix =~ ^[A-Za-z0-9._-]{1,40}$ ]] || refuse_parameter proofPrefix
  read -ra credential_urls <<<"$credentials"
  read -ra foreign_urls <<<"$foreign_credentials"
  ((${#credential_urls[@]} >= 1 && ${#credential_urls[@]} <= 20)) || refuse_parameter credentials
  are_urls "${credential_urls[@]}" || refuse_parameter credentials
  are_urls "${foreign_urls[@]}" || refuse_parameter foreignCredentials
}

# Go's patterns cannot count as far as SQL Server's 128 characters of a credential's name.
are_urls() { # name…
  local url
  for url in "$@"; do
    [[ $url =~ ^s3://[A-Za-z0-9._:/-]{1,123}$ ]] || return 1
  done
}

# ---- The key ----

# The value is AKID:SECRET, as the published solution stores it, or a JSON object.
read_access_key() { # value; sets access_key_id and secret_access_key
  local value=$1
  value=${value#"${value%%[![:space:]]*}"} value=${value%"${value##*[![:space:]]}"}
  access_key_id='' secret_access_key=''
  if [[ $value =~ ^[[:space:]]*\{ ]]; then
    parse_flat_object "$value" || return 1
    access_key_id=${members[accessKeyId]-${members[AccessKeyId]-}}
    secret_access_key=${members[secretAccessKey]-${members[SecretAccessKey]-}}
  elif [[ $value == *:* ]]; then
    access_key_id=${value%%:*}
    secret_access_key=${value#*:}
  fi
  secret_values=("$secret_access_key" "${secret_access_key//\'/\'\'}")
  # SQL Server splits SECRET at the colon, so neither part may hold one (FACTS B).
  local printable_without_colon='^[!-9;-~]+$'
  [[ $access_key_id =~ ^[A-Za-z0-9_]{16,128}$ && $secret_access_key =~ $printable_without_colon ]]
}

read_target_key() {
  read_access_key "$target_value" || fail_host SecretValueInvalid "version $version holds no access key"
}

# ---- Every instance ----

# Looks whether there is an instance that can hold an S3 credential: 16.x and later, by number, and not Express
# (FACTS B). An instance that is installed and stopped holds a credential that nobody proved: that is a failure.
look_at_instance() { # sets product and may_alter
  local edition
  if ! run_sql "SELECT N'~instance~' + CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')) + N'~' +
  CONVERT(nvarchar(10), SERVERPROPERTY(N'EngineEdition')) + N'~' +
  CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL'));"; then
    name_sql_failure ConnectFailed
    if [[ $sql_failure == ConnectFailed ]] && nobody_listens && is_absent; then
      log "$endpoint: no SQL Server"
    else
      fail_instance "$sql_failure" "$sql_output"
    fi
    return 1
  fi
  [[ $sql_output =~ ~instance~([0-9]+\.[0-9.]+)~([0-9]+)~([01]) ]] ||
    { fail_instance ConnectFailed "no answer of SQL Server: $sql_output"; return 1; }
  product=${BASH_REMATCH[1]} edition=${BASH_REMATCH[2]} may_alter=${BASH_REMATCH[3]}
  if ((${product%%.*} < 16 || edition == 4)); then
    ((nothing_to_hold += 1))
    log "$endpoint: version $product, engine edition $edition: nothing to hold"
    return 1
  fi
}

# Without this right sys.credentials looks empty, and every credential would seem to be missing.
require_right_to_alter() {
  [[ $may_alter == 1 ]] || { fail_instance AlterNotPermitted "$administrator lacks ALTER ANY CREDENTIAL"; return 1; }
}

list_credentials() {
  read_credentials && return
  name_sql_failure ConnectFailed
  fail_instance "$sql_failure" "$sql_output"
  return 1
}

# Reads the S3 credentials into credential_kinds (lower-case name: s3 or other) and credential_names.
read_credentials() {
  local line kind modified name url
  credential_names=() modify_dates=''
  declare -gA credential_kinds=() modified_of=() spelled=()
  run_sql "SELECT N'~credential~' + CONVERT(nvarchar(33), modify_date, 126) + N'~' +
  CASE WHEN credential_identity = N'S3 Access Key' THEN N's3' ELSE N'other' END + N'~' + name
FROM sys.credentials WHERE LOWER(name) LIKE N's3://%' ORDER BY name;" || return 1
  while IFS= read -r line; do
    [[ $line == *~credential~* ]] || continue
    IFS='~' read -r modified kind name <<<"${line#*~credential~}"
    credential_names+=("$name")
    credential_kinds["${name,,}"]=$kind
    modified_of["${name,,}"]=$modified
    spelled["${name,,}"]=$name
  done <<<"$sql_output"
  for url in "${credential_urls[@]}"; do modify_dates+=${modified_of["${url,,}"]-none}+; done
}

refuse_unfit_credentials() {
  local url
  for url in "${credential_urls[@]}"; do
    case ${credential_kinds["${url,,}"]-missing} in
      s3) ;;
      missing)
        [[ $create_missing == true ]] || { fail_instance CredentialMissing "there is no credential $url"; return 1; } ;;
      *) fail_instance CredentialNotS3 "the identity of $url is not S3 Access Key"; return 1 ;;
    esac
  done
}

# SQL Server uses the most specific credential (FACTS B): one below ours is used in our place. And a key that we retire
# must not be held under a name that nobody declared.
report_blocking() {
  local name why url
  for name in "${credential_names[@]}"; do
    if [[ ${credential_kinds["${name,,}"]} != s3 ]] || is_listed "$name" "${credential_urls[@]}" "${foreign_urls[@]}"; then
      continue
    fi
    why=undeclared
    for url in "${credential_urls[@]}"; do
      [[ ${name,,} == "${url,,}/${proof_prefix,,}/"* ]] && continue 2
      [[ ${name,,} == "${url,,}/"* ]] && why=shadows
    done
    log "$endpoint: the credential $name blocks retirement: $why"
    blocking+=("{\"instance\":\"$(json_text "$endpoint")\",\"credential\":\"$(json_text "$name")\",\"why\":\"$why\"}")
  done
}

# The version that the instance's line of the marker names, where the credentials have the dates of then.
believed_version() {
  local held dates
  read -r held _ dates <<<"${marker["$endpoint"]-}"
  if [[ -n $held && $dates == "$modify_dates" ]]; then printf '%s' "$held"; fi
}
