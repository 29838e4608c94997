# What both documents for SQL Server logins do on a Windows host: read their parameters and the passwords, and look at
# an instance, its replica's role, its logins, their sessions and their rights. Follows host/windows.ps1; the same as
# logins.sh, word for word. Nothing here changes an instance.
#
# A *place* is where a login's password is kept: the server (an empty name), or a contained database.

# One line: one of its own could be a GO, at which tools cut a batch in two. A name and a password have 128 characters
# at most, of which those beyond the first 65,536 have two halves here.
$linePattern = '^[^\x00-\x1f\x7f]+\z'
$secondHalves = '[\uDC00-\uDFFF]'
$longestName = 128
# By the number of a login in the command, 0 and 1: the versions, and in $secret their passwords. Of the instances so
# many have none of the logins, and so many have one.
$wanted = @{ Versions = @{}; Target = 0; Lacking = 0; Holding = 0 }
$secret.Wanted = @{}
$secret.Login = $secret.LoginPassword = ''

# ---- What the command asks for ----

function Confirm-OwnParameter {
  $command.Logins = @(Read-Name (Get-Parameter $env:SSM_logins '{{ logins }}') 'logins')
  if ($command.Logins.Length -lt 1 -or $command.Logins.Length -gt 2) { Deny-Parameter 'logins' }
  $command.Instances = @(Read-Name (Get-Parameter $env:SSM_instances '{{ instances }}') 'instances')
  $databases = Get-Parameter $env:SSM_containedDatabases '{{ containedDatabases }}'
  $command.Databases = @(Read-Name $databases 'containedDatabases')
  $command.Groups = @(Read-Name (Get-Parameter $env:SSM_replicaGroups '{{ replicaGroups }}') 'replicaGroups')
  $command.CreateMissing = Get-Parameter $env:SSM_createMissing '{{ createMissing }}'
  $command.Unlock = Get-Parameter $env:SSM_unlock '{{ unlock }}'
  $command.Provision = Get-Parameter $env:SSM_provision '{{ provision }}'
  $command.WhileInUse = Get-Parameter $env:SSM_whileInUse '{{ whileInUse }}'
  if ($command.CreateMissing -cnotmatch '^(true|false)\z') { Deny-Parameter 'createMissing' }
  if ($command.Unlock -cnotmatch '^(true|false)\z') { Deny-Parameter 'unlock' }
  if ($command.Provision -cnotmatch '^(true|false)\z') { Deny-Parameter 'provision' }
  if ($command.WhileInUse -cnotmatch '^(refuse|change)\z') { Deny-Parameter 'whileInUse' }
}

# Names are people's: they may hold quotes, brackets and blanks, which no pattern could admit. So they come as base64 of
# a JSON array of strings.
function Read-Name($text, $parameter) {
  try {
    $json = [Text.UTF8Encoding]::new($false, $true).GetString([Convert]::FromBase64String($text))
  } catch {
    Deny-Parameter $parameter
  }
  if (-not [regex]::IsMatch($json, "^\s*\[\s*(?:$jsonString(?:\s*,\s*$jsonString)*)?\s*\]\s*\z")) {
    Deny-Parameter $parameter
  }
  foreach ($match in [regex]::Matches($json, $jsonString)) {
    $name = [regex]::Unescape($match.Value.Substring(1, $match.Value.Length - 2))
    if ($name -cnotmatch $linePattern -or ($name -creplace $secondHalves, '').Length -gt $longestName) {
      Deny-Parameter $parameter
    }
    $name
  }
}

function Test-Alternating {
  return ($command.Logins.Length -eq 2)
}

# ---- The passwords ----

# The target names the login that it is for; with two logins the other one has its own latest promoted version.
function Read-WantedPassword {
  $wanted.Versions = @{}
  $secret.Wanted = @{}
  $secret.Hidden = @()
  $secret.Text = $secret.Target
  if (-not (Read-LoginValue)) { Stop-Host 'SecretValueInvalid' "version $($run.Version) holds no login's password" }
  $wanted.Target = Get-LoginNumber $secret.Login
  if ($wanted.Target -lt 0) {
    Stop-Host 'SecretValueInvalid' ("version $($run.Version) is for the login $($secret.Login), " +
      'which the settings do not name')
  }
  Add-Wanted $wanted.Target $run.Version
  if (Test-Alternating) { Read-OtherPassword (1 - $wanted.Target) }
}

function Read-OtherPassword($other) {
  $name = $command.Logins[$other]
  $answer = Get-SecretVersion $command.SecretArn "login:$name"
  if ('' -eq $answer.Error) {
    $secret.Text = $answer.Value
    if (-not (Read-LoginValue) -or $other -ne (Get-LoginNumber $secret.Login)) {
      Stop-Host 'SecretValueInvalid' "version $($answer.Version), labelled for $name, holds no password of it"
    }
    Add-Wanted $other $answer.Version
  } elseif (-not $answer.Error.Contains('ResourceNotFoundException')) {
    Stop-Host 'SecretNotReadable' $answer.Error
  }
}

function Add-Wanted($number, $version) {
  $wanted.Versions[$number] = $version
  $secret.Wanted[$number] = $secret.LoginPassword
  $secret.Hidden += $secret.LoginPassword
  $secret.Hidden += $secret.LoginPassword.Replace("'", "''")
}

# $secret.Text is AWS's own JSON object for SQL Server, or where there is one login only its password.
function Read-LoginValue {
  $secret.Login = $command.Logins[0]
  $secret.LoginPassword = $secret.Text
  if ($secret.Text -cmatch '^\s*\{') {
    if (-not (Read-FlatObject)) { return $false }
    $secret.LoginPassword = [string]$secret.Members['password']
    $name = $secret.Members['username']
    if ($null -ne $name -or (Test-Alternating)) { $secret.Login = [string]$name }
  } elseif (Test-Alternating) {
    return $false
  }
  # What SQL Server takes as a password.
  return ('' -ne $secret.Login -and $secret.LoginPassword -cmatch $linePattern -and
    ($secret.LoginPassword -creplace $secondHalves, '').Length -le $longestName)
}

# As most servers compare names; -1 where the settings do not name it.
function Get-LoginNumber($name) {
  for ($number = 0; $number -lt $command.Logins.Length; $number++) {
    if ([string]::Equals($command.Logins[$number], $name, [StringComparison]::OrdinalIgnoreCase)) { return $number }
  }
  return -1
}

# Those that have a version, in order.
function Get-WantedNumber {
  foreach ($number in 0, 1) {
    if ($wanted.Versions.ContainsKey($number)) { $number }
  }
}

# ---- Every instance ----

# Whether the settings mean this instance.
function Test-AskedFor($instance) {
  if (0 -eq $command.Instances.Length -or $command.Instances -contains $instance.Name) { return $true }
  $run.NothingToHold++
  Write-Log "$($instance.Name): not among the instances of the settings"
  return $false
}

# Logins are on every edition; before 13.x (2016) are catalog views that this script does not know.
function Test-Server($instance) {
  $service = Get-ServiceState $instance.Service
  if ('Running' -ne $service) { return Test-StoppedInstance $instance $service }
  $instance.DataSource = Get-DataSource $instance
  if (-not (Invoke-Question $instance ("SELECT N'~server~' + " +
        "CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')) + N'~' + " +
        "CONVERT(nvarchar(10), SERVERPROPERTY(N'IsIntegratedSecurityOnly')) + N'~' + " +
        "CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY LOGIN')) + " +
        "CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'CONTROL SERVER')) + " +
        "CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE')) + " +
        "CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW ANY DEFINITION')) + " +
        "CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'CONNECT ANY DATABASE'));"))) {
    return $false
  }
  $facts = [regex]::Match("$($run.Sql.Rows)", '~server~(([0-9]+)\.[0-9.]+)~([01])~([01]{5})')
  if (-not $facts.Success) {
    return Add-Failure $instance.Name 'ConnectFailed' "no answer of SQL Server: $($run.Sql.Rows)"
  }
  $instance.Product = $facts.Groups[1].Value
  $instance.WindowsOnly = $facts.Groups[3].Value
  $instance.Rights = $facts.Groups[4].Value
  if ([int]$facts.Groups[2].Value -ge 13) { return $true }
  Write-Log "$($instance.Name): version $($instance.Product): nothing to hold"
  return Add-NothingToHold $instance
}

# The same of an instance that is stopped, by what the registry knows.
function Test-HoldsNothing($instance) {
  return ($instance.Version -match '^([0-9]|1[0-2])\.')
}

# False, for whoever returns it.
function Add-NothingToHold($instance) {
  $run.NothingToHold++
  Add-Owner $instance
  return $false
}

function Confirm-PasswordLogin($instance) {
  if ('0' -eq $instance.WindowsOnly) { return $true }
  return Add-Failure $instance.Name 'WindowsAuthenticationOnly' 'the instance takes Windows accounts only'
}

# HAS_PERMS_BY_NAME says of each right whether it is granted or covered by another.
function Confirm-ServerRight($instance) {
  $lacked = @()
  if (0 -eq $command.Databases.Length -and $instance.Rights -match '^0') { $lacked += 'ALTER ANY LOGIN' }
  if ((Test-NeedsServerState) -and $instance.Rights -match '^..0') { $lacked += 'VIEW SERVER STATE' }
  if (Test-Alternating) {
    if ($instance.Rights -match '^...0') { $lacked += 'VIEW ANY DEFINITION' }
    if ($instance.Rights -match '^....0') { $lacked += 'CONNECT ANY DATABASE' }
  }
  if (0 -eq $lacked.Length) { return $true }
  return Add-Failure $instance.Name 'AlterNotPermitted' "$(Get-LoginName) lacks $([string]::Join(', ', $lacked))"
}

# Sessions, and the roles of replicas.
function Test-NeedsServerState {
  return ((Test-Alternating) -or $command.Groups.Length -gt 0 -or $command.Databases.Length -gt 0)
}

# A group without a primary is failing over: a password that is changed now might be changed on half of it.
function Confirm-Replica($instance) {
  $instance.Replica = $null
  if (0 -eq $command.Groups.Length) { return $true }
  $contained = '0'
  if ([int]$instance.Product.Split([char[]]'.')[0] -ge 16) { $contained = 'g.is_contained' }
  if (-not (Invoke-Question $instance ("SELECT N'~replica~' + CONVERT(nvarchar(10), ISNULL(s.role, 0)) + N'~' + " +
        'CONVERT(nvarchar(10), (SELECT COUNT(*) FROM sys.availability_replicas AS r ' +
        "WHERE r.group_id = g.group_id)) + N'~' + " +
        'CASE WHEN g.is_distributed = 1 OR EXISTS (SELECT 1 FROM sys.availability_replicas AS m ' +
        'JOIN sys.availability_groups AS d ON d.group_id = m.group_id ' +
        "WHERE d.is_distributed = 1 AND m.replica_server_name = g.name) THEN N'distributed' " +
        "WHEN $contained = 1 THEN N'contained' ELSE N'plain' END + N'~' + g.name " +
        'FROM sys.availability_groups AS g LEFT JOIN sys.dm_hadr_availability_replica_states AS s ' +
        'ON s.group_id = g.group_id AND s.is_local = 1 ' +
        "WHERE g.name IN ($(Get-QuotedList $command.Groups)) ORDER BY g.name;"))) {
    return $false
  }
  $fits = $true
  foreach ($told in @(Get-Told 'replica')) {
    $role, $count, $kind, $group = $told.Split([char[]]'~', 4)
    if ($null -eq $instance.Replica) {
      $instance.Replica = @{ Group = $group; Role = 'resolving'; Count = $count }
      if ('1' -eq $role) { $instance.Replica.Role = 'primary' }
      if ('2' -eq $role) { $instance.Replica.Role = 'secondary' }
    }
    if ('plain' -ne $kind) {
      $fits = Add-Failure $instance.Name 'GroupNotSupported' "$group is a $kind availability group, or a member of one"
    } elseif ('1', '2' -notcontains $role) {
      $fits = Add-Failure $instance.Name 'ReplicaNotReady' "this replica of $group is neither primary nor secondary"
    }
  }
  return $fits
}

# The server, or the contained databases that are primary here: a secondary takes no ALTER USER and follows by itself.
function Find-Place($instance) {
  $instance.Places = @('')
  if (0 -eq $command.Databases.Length) { return $true }
  if (-not (Find-Database $instance $command.Databases)) { return $false }
  $instance.Places = $instance.Databases
  if ($instance.Places.Length -gt 0) { return $true }
  Write-Log "$($instance.Name): none of the contained databases is primary here"
  return Add-NothingToHold $instance
}

# The databases of these names, or all, that are online and no secondary's; tempdb is another at each start.
function Find-Database($instance, $names) {
  $instance.Databases = @()
  $some = ''
  if ($names.Length -gt 0) { $some = " AND d.name IN ($(Get-QuotedList $names))" }
  if (-not (Invoke-Question $instance ("SELECT N'~database~' + " +
        "CONVERT(nvarchar(10), ISNULL(HAS_DBACCESS(d.name), 0)) + N'~' + d.name FROM sys.databases AS d " +
        'WHERE d.state = 0 AND d.source_database_id IS NULL AND d.database_id <> 2 ' +
        "AND ISNULL(sys.fn_hadr_is_primary_replica(d.name), 1) = 1$some ORDER BY d.name;"))) {
    return $false
  }
  foreach ($told in @(Get-Told 'database')) {
    $access, $name = $told.Split([char[]]'~', 2)
    if ('1' -ne $access) {
      return Add-Failure $instance.Name 'AlterNotPermitted' "$(Get-LoginName) may not enter $name"
    }
    $instance.Databases += $name
  }
  return $true
}

# ---- A place's logins ----

# A place, with the state of each login: missing, or what is the matter with it, or usable.
function Read-Place($instance, $name) {
  $place = @{ Name = $name; Logins = @(); Known = $true }
  for ($number = 0; $place.Known -and $number -lt $command.Logins.Length; $number++) {
    $place.Logins += @{ State = 'missing'; Date = ''; Sid = ''; Controls = $false }
    $place.Known = Read-Login $instance $place $number
  }
  return $place
}

function Read-Login($instance, $place, $number) {
  $login = $place.Logins[$number]
  $login.State, $login.Date, $login.Sid, $login.Controls = 'missing', '', '', $false
  if ($place.Name) { return Read-User $instance $place $number }
  if (-not (Invoke-Question $instance ("SELECT N'~login~' + CONVERT(nvarchar(10), l.is_disabled) + " +
        "CONVERT(nvarchar(10), ISNULL(CONVERT(int, LOGINPROPERTY(l.name, N'IsLocked')), 0)) + " +
        "CASE WHEN IS_SRVROLEMEMBER(N'sysadmin', l.name) = 1 OR EXISTS (SELECT 1 FROM sys.server_permissions AS p " +
        "WHERE p.grantee_principal_id = l.principal_id AND p.type = N'CL' AND p.state IN (N'G', N'W')) " +
        "THEN N'1' ELSE N'0' END + N'~' + CONVERT(nvarchar(33), ISNULL(CONVERT(datetime, " +
        "LOGINPROPERTY(l.name, N'PasswordLastSetTime')), l.modify_date), 126) + N'~' + " +
        'CONVERT(nvarchar(172), l.sid, 1) ' +
        "FROM sys.sql_logins AS l WHERE l.name = $(Get-QuotedText $command.Logins[$number]);"))) {
    return $false
  }
  $facts = [regex]::Match("$($run.Sql.Rows)", '~login~([01])([01])([01])~([^~]*)~(0x[0-9A-F]*)')
  if (-not $facts.Success) { return $true }
  $login.State = 'usable'
  if ('1' -eq $facts.Groups[2].Value) { $login.State = 'locked' }
  if ('1' -eq $facts.Groups[1].Value) { $login.State = 'disabled' }
  $login.Controls = '1' -eq $facts.Groups[3].Value
  $login.Date, $login.Sid = $facts.Groups[4].Value, $facts.Groups[5].Value
  return $true
}

function Read-User($instance, $place, $number) {
  $database = Get-QuotedName $place.Name
  if (-not (Invoke-Question $instance ("SELECT N'~user~' + CONVERT(nvarchar(10), ISNULL(HAS_PERMS_BY_NAME(" +
        "$(Get-QuotedText $database), N'DATABASE', N'ALTER ANY USER'), 0)) + N'~' + " +
        "CONVERT(nvarchar(33), u.modify_date, 126) + N'~' + CONVERT(nvarchar(172), u.sid, 1) " +
        "FROM $database.sys.database_principals AS u " +
        "WHERE u.authentication_type = 2 AND u.name = $(Get-QuotedText $command.Logins[$number]);"))) {
    return $false
  }
  $facts = [regex]::Match("$($run.Sql.Rows)", '~user~([01])~([^~]*)~(0x[0-9A-F]*)')
  if (-not $facts.Success) { return $true }
  $login = $place.Logins[$number]
  $login.State, $login.Date, $login.Sid = 'usable', $facts.Groups[2].Value, $facts.Groups[3].Value
  if ('1' -eq $facts.Groups[1].Value) { return $true }
  return Add-Failure $instance.Name 'AlterNotPermitted' "$(Get-LoginName) lacks ALTER ANY USER in $($place.Name)"
}

# Where the settings name no instances, one that has none of the logins is none of the rotation's.
function Test-HeldHere($instance, $place) {
  foreach ($login in $place.Logins) {
    if ('missing' -ne $login.State) {
      $wanted.Holding++
      return $true
    }
  }
  if ($place.Name -or 'true' -eq $command.CreateMissing -or $command.Instances.Length -gt 0) { return $true }
  $wanted.Lacking++
  Write-Log "$($instance.Name): no login of the rotation"
  return Add-NothingToHold $instance
}

# A name with a slip in it, which no instance has, would otherwise look like a fleet with nothing to do.
function Confirm-Holder {
  if (0 -eq $wanted.Lacking -or $wanted.Holding -gt 0 -or $run.Failed -gt 0) { return }
  $run.NothingToHold -= $wanted.Lacking
  $names = [string]::Join(' or ', $command.Logins)
  [void](Add-Failure '' 'LoginMissing' "no instance of this host has the login $names")
}

function Confirm-Login($instance, $place, $number) {
  $name = $command.Logins[$number]
  $found = $place.Logins[$number].State
  if ('missing' -eq $found) {
    if (Test-ToBeCreated $place $number) { return $true }
    if ($place.Name) {
      return Add-Failure $instance.Name 'ContainedUserMissing' (
        "the database $($place.Name) has no user $name with a password")
    }
    return Add-Failure $instance.Name 'LoginMissing' "there is no login $name"
  }
  if ('disabled' -eq $found) { return Add-Failure $instance.Name 'LoginDisabled' "the login $name is disabled" }
  if ('locked' -eq $found -and 'false' -eq $command.Unlock) {
    return Add-Failure $instance.Name 'LoginLocked' "the login $name is locked out"
  }
  return $true
}

# The twin is made from the other one, which has to be there.
function Test-ToBeCreated($place, $number) {
  if ($place.Name) { return $false }
  if ('true' -eq $command.CreateMissing) { return $true }
  return ((Test-Alternating) -and 'true' -eq $command.Provision -and
    'missing' -ne $place.Logins[1 - $number].State -and (Test-Next $number))
}

# The login whose turn it is: the pending version's; where none is pending, the one that is not current.
function Test-Next($number) {
  if (-not (Test-Alternating) -or 'AWSPENDING' -ceq $run.TargetLabel) { return ($number -eq $wanted.Target) }
  return ($number -ne $wanted.Target)
}

# A login that controls the server is changed by its like only (FACTS B).
function Confirm-RightOver($instance, $place, $number) {
  if (-not $place.Logins[$number].Controls -or $instance.Rights -match '^.1') { return $true }
  return Add-Failure $instance.Name 'AlterNotPermitted' (
    "$(Get-LoginName) lacks CONTROL SERVER, which $($command.Logins[$number]) has")
}

# Whoever is logged in by the login whose turn it is has not read its password for a whole rotation.
function Confirm-NoSession($instance, $place, $number) {
  if ('refuse' -ne $command.WhileInUse) { return $true }
  $of = 'IN (0, 1)'
  if ($place.Name) { $of = "= DB_ID($(Get-QuotedText $place.Name))" }
  if (-not (Invoke-Question $instance ("SELECT TOP (3) N'~session~' + ISNULL(s.host_name, N'?') + N' (' + " +
        "ISNULL(s.program_name, N'?') + N')' FROM sys.dm_exec_sessions AS s WHERE s.is_user_process = 1 " +
        "AND s.session_id <> @@SPID AND s.original_login_name = $(Get-QuotedText $command.Logins[$number]) " +
        "AND s.authenticating_database_id $of " +
        'GROUP BY s.host_name, s.program_name ORDER BY s.host_name, s.program_name;'))) {
    return $false
  }
  $who = @(Get-Told 'session')
  if (0 -eq $who.Length) { return $true }
  return Add-Failure $instance.Name 'LoginInUse' (
    "$($command.Logins[$number]) is logged in from $([string]::Join(', ', $who))")
}

# ---- The rights of two logins ----

# Reads what both logins may do, each right as the statement that gives it and who has it (1, 2, or 3 for both), in
# order. $null where SQL Server refused to say.
function Get-Right($instance, $place) {
  $rights = [Collections.Specialized.OrderedDictionary]::new([StringComparer]::Ordinal)
  if ($place.Name) {
    $instance.Databases = @($place.Name)
  } else {
    if (-not (Invoke-Question $instance (Get-ServerRightQuery))) { return $null }
    Add-Right $rights ''
    if (-not (Find-Database $instance @())) { return $null }
  }
  foreach ($database in $instance.Databases) {
    if (-not (Invoke-Question $instance (Get-DatabaseRightQuery $database $place.Name))) { return $null }
    Add-Right $rights $database
  }
  return , @($rights.get_Values())
}

function Add-Right($rights, $database) {
  foreach ($told in @(Get-Told 'right')) {
    $number, $flag, $statement = $told.Split([char[]]'~', 3)
    $key = "$flag~$statement~$database"
    if (-not $rights.Contains($key)) {
      $rights.Add($key, @{ Flag = $flag; Statement = $statement; Database = $database; Held = 0 })
    }
    $rights[$key].Held = $rights[$key].Held -bor [int]$number
  }
}

function Get-ServerRightQuery {
  $first = Get-QuotedText $command.Logins[0]
  return ("SELECT N'~right~' + CASE WHEN p.name = $first THEN N'1' ELSE N'2' END + N'~' + h.held " +
    'FROM sys.server_principals AS p CROSS APPLY (' +
    "SELECT N'D~WITH DEFAULT_DATABASE = ' + QUOTENAME(p.default_database_name) + N', DEFAULT_LANGUAGE = ' + " +
    'QUOTENAME(p.default_language_name) AS held ' +
    "UNION ALL SELECT N'S~ALTER SERVER ROLE ' + QUOTENAME(r.name) + N' ADD MEMBER' " +
    'FROM sys.server_role_members AS m JOIN sys.server_principals AS r ON r.principal_id = m.role_principal_id ' +
    'WHERE m.member_principal_id = p.principal_id ' +
    "UNION ALL SELECT CASE WHEN q.class <> 100 THEN N'X~' WHEN q.state = N'W' THEN N'W~' ELSE N'P~' END + " +
    "CASE q.state WHEN N'D' THEN N'DENY ' ELSE N'GRANT ' END + q.permission_name COLLATE DATABASE_DEFAULT + " +
    "CASE q.class WHEN 100 THEN N'' ELSE N' ON ' + q.class_desc COLLATE DATABASE_DEFAULT + N'::' + " +
    "CONVERT(nvarchar(10), q.major_id) END + N' TO' " +
    'FROM sys.server_permissions AS q WHERE q.grantee_principal_id = p.principal_id) AS h ' +
    "WHERE p.name IN ($first, $(Get-QuotedText $command.Logins[1]));")
}

# A database knows a login by its SID, and its own users by their names.
function Get-DatabaseRightQuery($database, $contained) {
  $first = Get-QuotedText $command.Logins[0]
  $at = Get-QuotedName $database
  $known, $which = 'l.name', ''
  if ($contained) { $known, $which = 'p.name', 'p.authentication_type = 2 AND ' }
  return ("SELECT N'~right~' + CASE WHEN $known = $first THEN N'1' ELSE N'2' END + N'~' + h.held " +
    "FROM $at.sys.database_principals AS p LEFT JOIN sys.sql_logins AS l ON l.sid = p.sid CROSS APPLY (" +
    "SELECT N'U~WITH DEFAULT_SCHEMA = ' + QUOTENAME(ISNULL(p.default_schema_name, N'dbo')) AS held " +
    "UNION ALL SELECT N'R~ALTER ROLE ' + QUOTENAME(r.name) + N' ADD MEMBER' FROM $at.sys.database_role_members AS m " +
    "JOIN $at.sys.database_principals AS r ON r.principal_id = m.role_principal_id " +
    'WHERE m.member_principal_id = p.principal_id ' +
    "UNION ALL SELECT CASE WHEN q.class NOT IN (0, 1, 3) THEN N'X~' WHEN q.state = N'W' THEN N'W~' ELSE N'P~' END + " +
    "CASE q.state WHEN N'D' THEN N'DENY ' ELSE N'GRANT ' END + q.permission_name COLLATE DATABASE_DEFAULT + " +
    "CASE q.class WHEN 0 THEN N'' " +
    "WHEN 1 THEN N' ON OBJECT::' + (SELECT QUOTENAME(s.name) + N'.' + QUOTENAME(o.name) " +
    "FROM $at.sys.all_objects AS o JOIN $at.sys.schemas AS s ON s.schema_id = o.schema_id " +
    "WHERE o.object_id = q.major_id) + ISNULL((SELECT N' (' + QUOTENAME(c.name) + N')' " +
    "FROM $at.sys.all_columns AS c WHERE c.object_id = q.major_id AND c.column_id = q.minor_id), N'') " +
    "WHEN 3 THEN N' ON SCHEMA::' + (SELECT QUOTENAME(s.name) FROM $at.sys.schemas AS s " +
    'WHERE s.schema_id = q.major_id) ' +
    "ELSE N' ON ' + q.class_desc COLLATE DATABASE_DEFAULT + N'::' + CONVERT(nvarchar(10), q.major_id) END + N' TO' " +
    "FROM $at.sys.database_permissions AS q WHERE q.grantee_principal_id = p.principal_id) AS h " +
    "WHERE $which$known IN ($first, $(Get-QuotedText $command.Logins[1]));")
}

function Confirm-EqualRight($instance, $place) {
  $rights = Get-Right $instance $place
  if ($null -eq $rights) { return $false }
  $told = @()
  foreach ($number in 1, 0) {
    foreach ($right in $rights) {
      # What the other one has alone.
      if ($right.Held -ne 2 - $number) { continue }
      $told += "$($command.Logins[$number]) lacks $(Get-RightInWords $right)"
    }
  }
  if (0 -eq $told.Length) { return $true }
  return Add-Failure $instance.Name 'RightsDiffer' ([string]::Join('; ', $told))
}

function Get-RightInWords($right) {
  $words = $right.Statement
  if ('U' -ceq $right.Flag) { $words = "a user $words" }
  if ('D' -ceq $right.Flag) { $words = 'the defaults of ' + ($words -creplace '^WITH ', '') }
  if ($right.Database) { $words += " in $($right.Database)" }
  return $words
}

# ---- The marker ----

# What the marker's line of an instance says of a login, where its password has the date of then.
function Get-BelievedLoginVersion($instance, $login) {
  foreach ($mark in $instance.HeldDates.Split([char[]]'+')) {
    $sid, $version, $date = $mark.Split([char[]]'=', 3)
    if ($sid -ceq $login.Sid -and $date -ceq $login.Date) { return $version }
  }
  return ''
}

# ---- SQL ----

# Asks, and records what was refused.
function Invoke-Question($instance, $statement) {
  if (Invoke-Statement $instance $statement) { return $true }
  return Add-SqlFailure $instance 'ConnectFailed'
}

# The rows that begin with a word between tildes, without it.
function Get-Told($word) {
  foreach ($row in $run.Sql.Rows) {
    if ($row.StartsWith("~$word~", [StringComparison]::Ordinal)) { $row.Substring($word.Length + 2) }
  }
}

function Get-QuotedText($text) {
  return "N'" + $text.Replace("'", "''") + "'"
}

function Get-QuotedList($texts) {
  $quoted = @()
  foreach ($text in $texts) { $quoted += Get-QuotedText $text }
  return [string]::Join(', ', $quoted)
}
