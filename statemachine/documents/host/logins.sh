# shellcheck shell=bash
# What both documents for SQL Server logins do on a Linux host: read their parameters and the passwords, and look at an
# instance, its replica's role, its logins, their sessions and their rights. Follows host/linux.sh in one shell; nothing
# here changes an instance.
#
# A *place* is where a login's password is kept: the server (an empty name), or a contained database.

logins_text=${SSM_logins-'{{ logins }}'}
instances_text=${SSM_instances-'{{ instances }}'}
contained_databases_text=${SSM_containedDatabases-'{{ containedDatabases }}'}
replica_groups_text=${SSM_replicaGroups-'{{ replicaGroups }}'}
create_missing=${SSM_createMissing-'{{ createMissing }}'}
unlock=${SSM_unlock-'{{ unlock }}'}
provision=${SSM_provision-'{{ provision }}'}
while_in_use=${SSM_whileInUse-'{{ whileInUse }}'}

readonly LONGEST_NAME=128

# By the number of a login in the command: 0, or 0 and 1.
wanted_versions=() wanted_passwords=()
# The same of the place that is looked at.
login_states=() login_dates=() login_sids=() login_controls=()
# How many instances have none of the logins, and how many have one.
lacking=0 holding=0

# ---- What the command asks for ----

check_own_parameters() {
  read_names "$logins_text" || refuse_parameter logins
  login_names=("${names[@]}")
  ((${#login_names[@]} == 1 || ${#login_names[@]} == 2)) || refuse_parameter logins
  read_names "$instances_text" || refuse_parameter instances
  instance_names=("${names[@]}")
  read_names "$contained_databases_text" || refuse_parameter containedDatabases
  contained_databases=("${names[@]}")
  read_names "$replica_groups_text" || refuse_parameter replicaGroups
  replica_groups=("${names[@]}")
  [[ $create_missing == true || $create_missing == false ]] || refuse_parameter createMissing
  [[ $unlock == true || $unlock == false ]] || refuse_parameter unlock
  [[ $provision == true || $provision == false ]] || refuse_parameter provision
  [[ $while_in_use == refuse || $while_in_use == change ]] || refuse_parameter whileInUse
}

# Names are people's: they may hold quotes, brackets and blanks, which no pattern could admit. So they come as base64.
read_names() { # base64 of a JSON array of strings; sets names
  local text rest element='^[[:space:]]*"(([^"\\]|\\.)*)"[[:space:]]*(,(.*))?$'
  names=()
  text=$(printf '%s' "$1" | base64 -d 2>/dev/null) && [[ $text =~ ^[[:space:]]*\[(.*)\][[:space:]]*$ ]] || return 1
  rest=${BASH_REMATCH[1]}
  [[ $rest =~ ^[[:space:]]*$ ]] && return
  while [[ $rest =~ $element ]]; do
    local name=${BASH_REMATCH[1]} more=${BASH_REMATCH[3]}
    rest=${BASH_REMATCH[4]}
    unescape "$name" && is_name "$unescaped" || return 1
    names+=("$unescaped")
    [[ -n $more ]] || return 0
  done
  return 1
}

# A line of its own could be a GO, at which sqlcmd cuts a batch in two.
is_name() { # text
  [[ -n $1 && $1 != *[[:cntrl:]]* ]] && (($(characters_in "$1") <= LONGEST_NAME))
}

# LC_ALL=C counts bytes; a character's second and later ones begin with the bits 10.
characters_in() { # text
  local first_bytes=${1//[$'\x80'-$'\xbf']/}
  printf '%d' "${#first_bytes}"
}

is_alternating() {
  ((${#login_names[@]} == 2))
}

# ---- The passwords ----

# The target names the login that it is for; with two logins the other one has its own latest promoted version.
read_wanted_passwords() { # sets wanted_versions, wanted_passwords and target_login
  wanted_versions=() wanted_passwords=() secret_values=()
  read_login_value "$target_value" || fail_host SecretValueInvalid "version $version holds no login's password"
  target_login=$(number_of "$value_login") ||
    fail_host SecretValueInvalid "version $version is for the login $value_login, which the settings do not name"
  want "$target_login" "$version"
  is_alternating || return 0
  local other=$((1 - target_login))
  if fetch_secret "$secret_arn" --version-stage "login:${login_names[other]}"; then
    if ! read_login_value "$fetched_value" || [[ $(number_of "$value_login") != "$other" ]]; then
      fail_host SecretValueInvalid "version $fetched_version, labelled for ${login_names[other]}, holds no password of it"
    fi
    want "$other" "$fetched_version"
  elif [[ $fetch_error != *"(ResourceNotFoundException)"* ]]; then
    fail_host SecretNotReadable "$fetch_error"
  fi
}

want() { # number of a login, version
  wanted_versions[$1]=$2 wanted_passwords[$1]=$value_password
  secret_values+=("$value_password" "${value_password//\'/\'\'}")
}

# The value is AWS's own JSON object for SQL Server, or where there is one login only its password.
read_login_value() { # value; sets value_login and value_password
  value_login=${login_names[0]} value_password=$1
  if [[ $1 =~ ^[[:space:]]*\{ ]]; then
    parse_flat_object "$1" || return 1
    value_password=${members[password]-}
    if is_alternating; then value_login=${members[username]-}; else value_login=${members[username]-$value_login}; fi
  elif is_alternating; then
    return 1
  fi
  # What SQL Server takes as a password. A line break would cut the batch in two.
  [[ -n $value_login && -n $value_password && $value_password != *[[:cntrl:]]* ]] &&
    (($(characters_in "$value_password") <= 128))
}

# As SQL Server compares names, but for letters beyond ASCII, which the settings have to spell as the secret does.
number_of() { # login
  local number
  for number in "${!login_names[@]}"; do
    if [[ ${login_names[number],,} == "${1,,}" ]]; then printf '%d' "$number"; return; fi
  done
  return 1
}

# ---- Every instance ----

is_asked_for() {
  if ((${#instance_names[@]} == 0)) || is_listed "$endpoint" "${instance_names[@]}"; then return 0; fi
  ((nothing_to_hold += 1))
  log "$endpoint: not among the instances of the settings"
  return 1
}

# Logins are on every edition; before 13.x (2016) are catalog views that this script does not know.
look_at_server() { # sets product and server_rights
  if ! run_sql "SELECT N'~server~' + CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')) + N'~' +
  CONVERT(nvarchar(10), SERVERPROPERTY(N'IsIntegratedSecurityOnly')) + N'~' +
  CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY LOGIN')) +
  CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'CONTROL SERVER')) +
  CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE')) +
  CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW ANY DEFINITION')) +
  CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'CONNECT ANY DATABASE'));"; then
    name_sql_failure ConnectFailed
    if [[ $sql_failure == ConnectFailed ]] && nobody_listens && is_absent; then
      log "$endpoint: no SQL Server"
    else
      fail_instance "$sql_failure" "$sql_output"
    fi
    return 1
  fi
  [[ $sql_output =~ ~server~([0-9]+\.[0-9.]+)~([01])~([01]{5}) ]] ||
    { fail_instance ConnectFailed "no answer of SQL Server: $sql_output"; return 1; }
  product=${BASH_REMATCH[1]} windows_only=${BASH_REMATCH[2]} server_rights=${BASH_REMATCH[3]}
  if ((${product%%.*} < 13)); then
    ((nothing_to_hold += 1))
    log "$endpoint: version $product: nothing to hold"
    return 1
  fi
}

require_password_logins() {
  [[ $windows_only == 0 ]] ||
    { fail_instance WindowsAuthenticationOnly "the instance takes Windows accounts only"; return 1; }
}

# HAS_PERMS_BY_NAME says of each right whether it is granted or covered by another.
require_rights() {
  local lacked=()
  if ((${#contained_databases[@]} == 0)) && [[ $server_rights == 0???? ]]; then lacked+=("ALTER ANY LOGIN"); fi
  if needs_server_state && [[ $server_rights == ??0?? ]]; then lacked+=("VIEW SERVER STATE"); fi
  if is_alternating; then
    if [[ $server_rights == ???0? ]]; then lacked+=("VIEW ANY DEFINITION"); fi
    if [[ $server_rights == ????0 ]]; then lacked+=("CONNECT ANY DATABASE"); fi
  fi
  ((${#lacked[@]} == 0)) && return
  local all
  printf -v all ', %s' "${lacked[@]}"
  fail_instance AlterNotPermitted "$administrator lacks ${all:2}"
  return 1
}

# Sessions, and the roles of replicas.
needs_server_state() {
  is_alternating || ((${#replica_groups[@]} > 0 || ${#contained_databases[@]} > 0))
}

# A group without a primary is failing over: a password that is changed now might be changed on half of it.
look_at_replica() { # sets replica_group, replica_role and replica_count; fails where the group cannot be served
  local contained='0' line role count kind group outcome=0
  replica_group='' replica_role='' replica_count=0
  ((${#replica_groups[@]} > 0)) || return 0
  if ((${product%%.*} >= 16)); then contained=g.is_contained; fi
  ask "SELECT N'~replica~' + CONVERT(nvarchar(10), ISNULL(s.role, 0)) + N'~' +
  CONVERT(nvarchar(10), (SELECT COUNT(*) FROM sys.availability_replicas AS r WHERE r.group_id = g.group_id)) + N'~' +
  CASE WHEN g.is_distributed = 1 OR EXISTS (SELECT 1 FROM sys.availability_replicas AS m
    JOIN sys.availability_groups AS d ON d.group_id = m.group_id
    WHERE d.is_distributed = 1 AND m.replica_server_name = g.name) THEN N'distributed'
  WHEN $contained = 1 THEN N'contained' ELSE N'plain' END + N'~' + g.name
FROM sys.availability_groups AS g
LEFT JOIN sys.dm_hadr_availability_replica_states AS s ON s.group_id = g.group_id AND s.is_local = 1
WHERE g.name IN ($(quoted_list "${replica_groups[@]}")) ORDER BY g.name;" || return 1
  while IFS= read -r line; do
    [[ $line == *~replica~* ]] || continue
    IFS='~' read -r role count kind group <<<"${line#*~replica~}"
    if [[ -z $replica_group ]]; then
      replica_group=$group replica_count=$count
      case $role in 1) replica_role=primary ;; 2) replica_role=secondary ;; *) replica_role=resolving ;; esac
    fi
    if [[ $kind != plain ]]; then
      fail_instance GroupNotSupported "$group is a $kind availability group, or a member of one"
      outcome=1
    elif [[ $role != [12] ]]; then
      fail_instance ReplicaNotReady "this replica of $group is neither primary nor secondary"
      outcome=1
    fi
  done <<<"$sql_output"
  return "$outcome"
}

# The server, or the contained databases that are primary here: a secondary takes no ALTER USER and follows by itself.
find_places() { # sets places
  if ((${#contained_databases[@]} == 0)); then places=(''); return; fi
  list_databases "${contained_databases[@]}" || return 1
  places=("${database_names[@]}")
  ((${#places[@]} == 0)) || return 0
  ((nothing_to_hold += 1))
  log "$endpoint: none of the contained databases is primary here"
  return 1
}

# The databases of these names, or all, that are online and no secondary's; tempdb is another at each start.
list_databases() { # name…; sets database_names
  local some='' line
  database_names=()
  if (($# > 0)); then some=" AND d.name IN ($(quoted_list "$@"))"; fi
  ask "SELECT N'~database~' + CONVERT(nvarchar(10), ISNULL(HAS_DBACCESS(d.name), 0)) + N'~' + d.name
FROM sys.databases AS d
WHERE d.state = 0 AND d.source_database_id IS NULL AND d.database_id <> 2
  AND ISNULL(sys.fn_hadr_is_primary_replica(d.name), 1) = 1$some ORDER BY d.name;" || return 1
  while IFS= read -r line; do
    [[ $line == *~database~* ]] || continue
    line=${line#*~database~}
    [[ $line == 1~* ]] || { fail_instance AlterNotPermitted "$administrator may not enter ${line#*~}"; return 1; }
    database_names+=("${line#*~}")
  done <<<"$sql_output"
}

# ---- A place's logins ----

# A login's state is missing, or what is the matter with it, or usable.
read_login() { # number, place
  login_states[$1]=missing login_dates[$1]='' login_sids[$1]='' login_controls[$1]=0
  if [[ -n $2 ]]; then read_user "$1" "$2"; return; fi
  ask "SELECT N'~login~' + CONVERT(nvarchar(10), l.is_disabled) +
  CONVERT(nvarchar(10), ISNULL(CONVERT(int, LOGINPROPERTY(l.name, N'IsLocked')), 0)) +
  CASE WHEN IS_SRVROLEMEMBER(N'sysadmin', l.name) = 1 OR EXISTS (SELECT 1 FROM sys.server_permissions AS p
    WHERE p.grantee_principal_id = l.principal_id AND p.type = N'CL' AND p.state IN (N'G', N'W'))
  THEN N'1' ELSE N'0' END + N'~' +
  CONVERT(nvarchar(33), ISNULL(CONVERT(datetime, LOGINPROPERTY(l.name, N'PasswordLastSetTime')), l.modify_date), 126)
  + N'~' + CONVERT(nvarchar(172), l.sid, 1)
FROM sys.sql_logins AS l WHERE l.name = $(quoted_text "${login_names[$1]}");" || return 1
  [[ $sql_output =~ ~login~([01])([01])([01])~([^~]*)~(0x[0-9A-F]*) ]] || return 0
  login_dates[$1]=${BASH_REMATCH[4]} login_sids[$1]=${BASH_REMATCH[5]} login_controls[$1]=${BASH_REMATCH[3]}
  case ${BASH_REMATCH[1]}${BASH_REMATCH[2]} in
    1?) login_states[$1]=disabled ;;
    01) login_states[$1]=locked ;;
    *) login_states[$1]=usable ;;
  esac
}

read_user() { # number, database
  ask "SELECT N'~user~' +
  CONVERT(nvarchar(10), ISNULL(HAS_PERMS_BY_NAME($(quoted_text "$(quoted_name "$2")"), N'DATABASE', N'ALTER ANY USER'), 0)) +
  N'~' + CONVERT(nvarchar(33), u.modify_date, 126) + N'~' + CONVERT(nvarchar(172), u.sid, 1)
FROM $(quoted_name "$2").sys.database_principals AS u
WHERE u.authentication_type = 2 AND u.name = $(quoted_text "${login_names[$1]}");" || return 1
  [[ $sql_output =~ ~user~([01])~([^~]*)~(0x[0-9A-F]*) ]] || return 0
  login_states[$1]=usable login_dates[$1]=${BASH_REMATCH[2]} login_sids[$1]=${BASH_REMATCH[3]}
  [[ ${BASH_REMATCH[1]} == 1 ]] ||
    { fail_instance AlterNotPermitted "$administrator lacks ALTER ANY USER in $2"; return 1; }
}

# Where the settings name no instances, one that has none of the logins is none of the rotation's.
is_held_here() { # place
  local state
  for state in "${login_states[@]}"; do
    if [[ $state != missing ]]; then ((holding += 1)); return 0; fi
  done
  if [[ -n $1 || $create_missing == true ]] || ((${#instance_names[@]} > 0)); then return 0; fi
  ((nothing_to_hold += 1, lacking += 1))
  log "$endpoint: no login of the rotation"
  return 1
}

# A name with a slip in it, which no instance has, would otherwise look like a fleet with nothing to do.
require_a_holder() {
  local endpoint='' all
  if ((lacking == 0 || holding > 0 || failed > 0)); then return; fi
  ((nothing_to_hold -= lacking))
  printf -v all ' or %s' "${login_names[@]}"
  fail_instance LoginMissing "no instance of this host has the login ${all:4}"
}

require_login() { # number, place
  if [[ ${login_states[$1]} == missing ]]; then
    is_to_be_created "$1" "$2" && return
    if [[ -n $2 ]]; then
      fail_instance ContainedUserMissing "the database $2 has no user ${login_names[$1]} with a password"
    else
      fail_instance LoginMissing "there is no login ${login_names[$1]}"
    fi
    return 1
  fi
  case ${login_states[$1]} in
    disabled) fail_instance LoginDisabled "the login ${login_names[$1]} is disabled"; return 1 ;;
    locked)
      if [[ $unlock == false ]]; then fail_instance LoginLocked "the login ${login_names[$1]} is locked out"; return 1; fi ;;
  esac
}

# The twin is made from the other one, which has to be there.
is_to_be_created() { # number, place
  [[ -z $2 ]] || return 1
  if [[ $create_missing == true ]]; then return 0; fi
  is_alternating && [[ $provision == true && ${login_states[1 - $1]} != missing ]] && is_next "$1"
}

# The login whose turn it is: the pending version's; where none is pending, the one that is not current.
is_next() { # number
  if ! is_alternating || [[ $target_label == AWSPENDING ]]; then
    (($1 == target_login))
  else
    (($1 != target_login))
  fi
}

# A login that controls the server is changed by its like only (FACTS B).
require_right_over() { # number
  [[ ${login_controls[$1]} == 0 || $server_rights == ?1??? ]] && return
  fail_instance AlterNotPermitted "$administrator lacks CONTROL SERVER, which ${login_names[$1]} has"
  return 1
}

# Whoever is logged in by the login whose turn it is has not read its password for a whole rotation.
require_no_sessions() { # number, place
  local of="IN (0, 1)" line who=()
  [[ $while_in_use == refuse ]] || return 0
  if [[ -n $2 ]]; then of="= DB_ID($(quoted_text "$2"))"; fi
  ask "SELECT TOP (3) N'~session~' + ISNULL(s.host_name, N'?') + N' (' + ISNULL(s.program_name, N'?') + N')'
FROM sys.dm_exec_sessions AS s
WHERE s.is_user_process = 1 AND s.session_id <> @@SPID AND s.original_login_name = $(quoted_text "${login_names[$1]}")
  AND s.authenticating_database_id $of
GROUP BY s.host_name, s.program_name ORDER BY s.host_name, s.program_name;" || return 1
  while IFS= read -r line; do
    if [[ $line == *~session~* ]]; then who+=("${line#*~session~}"); fi
  done <<<"$sql_output"
  ((${#who[@]} == 0)) && return
  printf -v line ', %s' "${who[@]}"
  fail_instance LoginInUse "${login_names[$1]} is logged in from ${line:2}"
  return 1
}

# ---- The rights of two logins ----

# Reads what both logins may do, each right as the statement that gives it, and what each lacks of the other.
compare_rights() { # place; sets lacks_0 and lacks_1: flag~statement~database
  local database
  declare -gA rights=()
  rights_in_order=()
  if [[ -n $1 ]]; then
    database_names=("$1")
  else
    ask "$(server_rights_of)" && note_rights '' && list_databases || return 1
  fi
  for database in "${database_names[@]}"; do
    ask "$(database_rights_of "$database" "$1")" && note_rights "$database" || return 1
  done
  lacks_0=() lacks_1=()
  local right
  for right in "${rights_in_order[@]}"; do
    case ${rights["$right"]} in 1) lacks_1+=("$right") ;; 2) lacks_0+=("$right") ;; esac
  done
}

note_rights() { # database
  local line number right
  while IFS= read -r line; do
    [[ $line == *~right~* ]] || continue
    line=${line#*~right~}
    number=${line%%~*} right="${line#*~}~$1"
    if [[ -z ${rights["$right"]-} ]]; then rights_in_order+=("$right"); fi
    if [[ ${rights["$right"]-$number} == "$number" ]]; then rights["$right"]=$number; else rights["$right"]=both; fi
  done <<<"$sql_output"
}

server_rights_of() {
  local first
  first=$(quoted_text "${login_names[0]}")
  printf '%s' "SELECT N'~right~' + CASE WHEN p.name = $first THEN N'1' ELSE N'2' END + N'~' + h.held
FROM sys.server_principals AS p CROSS APPLY (
  SELECT N'D~WITH DEFAULT_DATABASE = ' + QUOTENAME(p.default_database_name) + N', DEFAULT_LANGUAGE = ' +
    QUOTENAME(p.default_language_name) AS held
  UNION ALL SELECT N'S~ALTER SERVER ROLE ' + QUOTENAME(r.name) + N' ADD MEMBER' FROM sys.server_role_members AS m
    JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id WHERE m.member_principal_id = p.principal_id
  UNION ALL SELECT CASE WHEN q.class <> 100 THEN N'X~' WHEN q.state = N'W' THEN N'W~' ELSE N'P~' END +
    CASE q.state WHEN N'D' THEN N'DENY ' ELSE N'GRANT ' END + q.permission_name COLLATE DATABASE_DEFAULT +
    CASE q.class WHEN 100 THEN N'' ELSE N' ON ' + q.class_desc COLLATE DATABASE_DEFAULT + N'::' +
    CONVERT(nvarchar(10), q.major_id) END + N' TO'
    FROM sys.server_permissions AS q WHERE q.grantee_principal_id = p.principal_id) AS h
WHERE p.name IN ($first, $(quoted_text "${login_names[1]}"));"
}

# A database knows a login by its SID, and its own users by their names.
database_rights_of() { # database, place
  local first second known_as=l.name which='' at
  first=$(quoted_text "${login_names[0]}") second=$(quoted_text "${login_names[1]}") at=$(quoted_name "$1")
  if [[ -n $2 ]]; then known_as=p.name which='p.authentication_type = 2 AND '; fi
  printf '%s' "SELECT N'~right~' + CASE WHEN $known_as = $first THEN N'1' ELSE N'2' END + N'~' + h.held
FROM $at.sys.database_principals AS p LEFT JOIN sys.sql_logins AS l ON l.sid = p.sid CROSS APPLY (
  SELECT N'U~WITH DEFAULT_SCHEMA = ' + QUOTENAME(ISNULL(p.default_schema_name, N'dbo')) AS held
  UNION ALL SELECT N'R~ALTER ROLE ' + QUOTENAME(r.name) + N' ADD MEMBER' FROM $at.sys.database_role_members AS m
    JOIN $at.sys.database_principals AS r ON r.principal_id = m.role_principal_id
    WHERE m.member_principal_id = p.principal_id
  UNION ALL SELECT CASE WHEN q.class NOT IN (0, 1, 3) THEN N'X~' WHEN q.state = N'W' THEN N'W~' ELSE N'P~' END +
    CASE q.state WHEN N'D' THEN N'DENY ' ELSE N'GRANT ' END + q.permission_name COLLATE DATABASE_DEFAULT +
    CASE q.class WHEN 0 THEN N''
    WHEN 1 THEN N' ON OBJECT::' + (SELECT QUOTENAME(s.name) + N'.' + QUOTENAME(o.name)
      FROM $at.sys.all_objects AS o JOIN $at.sys.schemas AS s ON s.schema_id = o.schema_id
      WHERE o.object_id = q.major_id) + ISNULL((SELECT N' (' + QUOTENAME(c.name) + N')'
      FROM $at.sys.all_columns AS c WHERE c.object_id = q.major_id AND c.column_id = q.minor_id), N'')
    WHEN 3 THEN N' ON SCHEMA::' + (SELECT QUOTENAME(s.name) FROM $at.sys.schemas AS s
      WHERE s.schema_id = q.major_id)
    ELSE N' ON ' + q.class_desc COLLATE DATABASE_DEFAULT + N'::' + CONVERT(nvarchar(10), q.major_id) END + N' TO'
    FROM $at.sys.database_permissions AS q WHERE q.grantee_principal_id = p.principal_id) AS h
WHERE $which$known_as IN ($first, $second);"
}

require_equal_rights() { # place
  local right told=''
  compare_rights "$1" || return 1
  ((${#lacks_0[@]} + ${#lacks_1[@]} == 0)) && return
  for right in "${lacks_1[@]}"; do told+="; ${login_names[1]} lacks $(right_in_words "$right")"; done
  for right in "${lacks_0[@]}"; do told+="; ${login_names[0]} lacks $(right_in_words "$right")"; done
  fail_instance RightsDiffer "${told:2}"
  return 1
}

right_in_words() { # flag~statement~database
  local statement=${1#*~} words
  words=${statement%~*}
  case $1 in U~*) words="a user $words" ;; D~*) words="the defaults of ${words#WITH }" ;; esac
  if [[ -n ${statement##*~} ]]; then words+=" in ${statement##*~}"; fi
  printf '%s' "$words"
}

# ---- The marker ----

# What the marker's line of an instance says of a login, where its password has the date of then.
believed_login_version() { # number
  local marks mark version_of
  read -r _ _ marks <<<"${marker["$endpoint"]-}"
  while [[ $marks == *+* ]]; do
    mark=${marks%%+*} marks=${marks#*+}
    version_of=${mark#*=}
    if [[ ${mark%%=*} == "${login_sids[$1]}" && ${version_of#*=} == "${login_dates[$1]}" ]]; then
      printf '%s' "${version_of%%=*}"
      return
    fi
  done
}

# ---- SQL ----

# Asks, and records what was refused.
ask() { # statement
  run_sql "$1" && return
  name_sql_failure ConnectFailed
  fail_instance "$sql_failure" "$sql_output"
  return 1
}

quoted_text() { # text
  printf "N'%s'" "${1//\'/\'\'}"
}

quoted_list() { # text…
  local text list=''
  for text in "$@"; do list+=", $(quoted_text "$text")"; done
  printf '%s' "${list:2}"
}
