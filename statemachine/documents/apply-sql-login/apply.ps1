# Brings the rotation's logins on every SQL Server instance of this host to their versions of the secret, and proves
# each by a login. Follows host/windows.ps1 and host/logins.ps1; the same as apply.sh, word for word.
#
# The host reads the target under a lock, and once more at the end: so an old, late or doubled command does no harm.
#
# A login has one password, so nothing can be proved beforehand and nothing put back. Everything that could stand in the
# way is looked for first: what is found then has changed nothing. And no account is locked by us: a login is tried once
# with a password that may be wrong, and not even once where the marker knows better.

$roundLimit = 3
# An instance and a login: tried with a password that was refused.
$refusedBefore = @{}

function Invoke-Work {
  Read-Parameter
  Confirm-Parameter
  Open-StateDirectory
  Enter-Lock
  Find-Instance
  Read-Marker
  # Everything that may not be writable is written once before any instance is touched.
  $refusal = Write-Marker
  if ($refusal) { Stop-Host 'StateNotWritable' $refusal }
  Wait-HintedTarget
  Read-Administrator
  Invoke-Round
}

function Invoke-Round {
  for ($round = 1; $round -le $roundLimit; $round++) {
    Set-EveryInstance
    $before = $run.Version
    Read-Target
    if ($run.Version -ceq $before) { return }
    Write-Log "the target moved from $before to $($run.Version): starting over"
  }
  Stop-Host 'TargetKeepsChanging' "the target moved $roundLimit times, last to $($run.Version)"
}

# ---- Every instance ----

function Set-EveryInstance {
  $run.Proved = $run.NothingToHold = $run.Failed = 0
  $run.Failures = @()
  $run.Owner.Clear()
  $run.Passive.Clear()
  $wanted.Lacking = $wanted.Holding = 0
  Read-WantedPassword
  $run.Touched = $true
  foreach ($instance in $run.Instances) {
    # One instance's failure is recorded and the next instance is looked at.
    try {
      Set-Instance $instance
    } catch {
      if ($run.HostError) { throw }
      [void](Add-Failure $instance.Name 'ConnectFailed' (Get-Mistake $_))
    }
  }
  Confirm-Holder
}

function Set-Instance($instance) {
  if (-not (Test-AskedFor $instance)) { return }
  if (-not (Test-Server $instance)) { return }
  if (-not (Confirm-PasswordLogin $instance)) { return }
  if (-not (Confirm-ServerRight $instance)) { return }
  if (-not (Confirm-Replica $instance)) { return }
  if (-not (Find-Place $instance)) { return }
  $instance.Marks = ''
  $instance.How = 'already held'
  foreach ($name in $instance.Places) {
    if (-not (Set-Place $instance (Read-Place $instance $name))) { return }
  }
  $instance.Held, $instance.Since, $instance.HeldDates = $run.Version, (Get-Timestamp), $instance.Marks
  $refusal = Write-Marker
  if ($refusal) {
    [void](Add-Failure $instance.Name 'StateNotWritable' $refusal)
    return
  }
  $run.Proved++
  Add-Owner $instance
  Write-Log "$($instance.Name): proved, $($instance.How)"
}

# All that can be refused is refused before the first change.
function Set-Place($instance, $place) {
  if (-not $place.Known -or -not (Test-HeldHere $instance $place)) { return $false }
  $numbers = @(Get-WantedNumber)
  foreach ($number in $numbers) {
    if (-not (Confirm-Login $instance $place $number)) { return $false }
  }
  $place.Plan = @{}
  foreach ($number in $numbers) {
    if (-not (Select-Plan $instance $place $number)) { return $false }
  }
  $changing = @($numbers | Where-Object { 'change' -eq $place.Plan[$_] })
  foreach ($number in $changing) {
    if (-not (Confirm-Change $instance $place $number)) { return $false }
  }
  if (-not (Add-LoginAndRight $instance $place)) { return $false }
  foreach ($number in $changing) {
    if (-not (Set-Password $instance $place $number)) { return $false }
  }
  foreach ($number in $numbers) {
    if (-not (Add-Proof $instance $place $number)) { return $false }
  }
  return $true
}

# What is done with a login: create, change or hold. A locked login refuses the right password as well.
function Select-Plan($instance, $place, $number) {
  $login = $place.Logins[$number]
  $place.Plan[$number] = 'create'
  if ('missing' -eq $login.State) { return $true }
  $place.Plan[$number] = 'change'
  if ('locked' -eq $login.State) { return $true }
  $held = Get-BelievedLoginVersion $instance $login
  if ($held -and $held -cne $wanted.Versions[$number]) { return $true }
  $key = "$($instance.Name)~$number"
  if ($refusedBefore.ContainsKey($key)) { return $true }
  if (Test-LogIn $instance $place $number) {
    $place.Plan[$number] = 'hold'
    return $true
  }
  if ('wrong password' -eq $run.LogInFailure) {
    $refusedBefore[$key] = 1
    return $true
  }
  return Add-Failure $instance.Name $run.LogInFailure $run.Sql.Message
}

# Of a version that is promoted already applications read the password now: what speaks against a rotation's beginning
# does not speak against a late host's being brought in.
function Confirm-Change($instance, $place, $number) {
  if (-not (Confirm-RightOver $instance $place $number)) { return $false }
  if (-not ((Test-Alternating) -and 'AWSPENDING' -ceq $run.TargetLabel -and (Test-Next $number))) { return $true }
  return Confirm-NoSession $instance $place $number
}

# ---- The twin ----

function Add-LoginAndRight($instance, $place) {
  foreach ($number in @(Get-WantedNumber)) {
    if ('create' -eq $place.Plan[$number] -and -not (Add-Login $instance $place $number)) { return $false }
  }
  if (-not ((Test-Alternating) -and 'AWSPENDING' -ceq $run.TargetLabel -and 2 -eq $place.Plan.get_Count())) {
    return $true
  }
  if ('true' -eq $command.Provision -and -not $place.Name) {
    if (-not (Add-LackingRight $instance $place)) { return $false }
  }
  return Confirm-EqualRight $instance $place
}

# The SID follows from the names, so that every replica of a group makes the same, and a database that moves to another
# one knows the login.
function Add-Login($instance, $place, $number) {
  $sid = (Get-Sha256 "$($command.Rotation)`n$($command.Logins[$number])").Substring(0, 32)
  $batch.Statement = "CREATE LOGIN $(Get-QuotedName $command.Logins[$number]) WITH PASSWORD = N'" +
    $secret.Wanted[$number].Replace("'", "''") + "', SID = 0x$sid, CHECK_POLICY = ON;"
  if (-not (Send-Change $instance 'master')) { return $false }
  return Test-Change $instance $place $number
}

# Gives the login whose turn it is what it lacks of the other, and takes nothing away.
function Add-LackingRight($instance, $place) {
  $rights = Get-Right $instance $place
  if ($null -eq $rights) { return $false }
  foreach ($right in $rights) {
    # What the other one has alone.
    if ($right.Held -ne 2 - $wanted.Target) { continue }
    $statement = Get-GrantingStatement $right $rights
    if ('' -eq $statement) { continue }
    $database = 'master'
    if ($right.Database) { $database = $right.Database }
    $batch.Statement = "$statement;"
    if (-not (Send-Change $instance $database)) { return $false }
    Write-Log "$($instance.Name): $statement"
  }
  return $true
}

function Get-GrantingStatement($right, $rights) {
  $member = Get-QuotedName $command.Logins[$wanted.Target]
  switch -CaseSensitive ($right.Flag) {
    'D' { return "ALTER LOGIN $member $($right.Statement)" }
    'U' {
      if (Test-User $rights $right.Database) { return "ALTER USER $member $($right.Statement)" }
      return "CREATE USER $member FOR LOGIN $member $($right.Statement)"
    }
    'W' { return "$($right.Statement) $member WITH GRANT OPTION" }
    { 'S', 'R', 'P' -ccontains $_ } { return "$($right.Statement) $member" }
  }
  return ''
}

# Whether the login whose turn it is has a user in a database, be it with another schema.
function Test-User($rights, $database) {
  foreach ($right in $rights) {
    if ('U' -cne $right.Flag -or $database -cne $right.Database) { continue }
    if ($right.Held -eq $wanted.Target + 1) { return $true }
  }
  return $false
}

# ---- Change, then prove ----

function Set-Password($instance, $place, $number) {
  $name = Get-QuotedName $command.Logins[$number]
  $kind, $database, $options = 'LOGIN', 'master', ''
  if ($place.Name) {
    $kind, $database = 'USER', $place.Name
  } elseif ('true' -eq $command.Unlock) {
    $options = ' UNLOCK'
  }
  # One plain batch, since only then SQL Server keeps the password out of its traces (FACTS B).
  $batch.Statement = "ALTER $kind $name WITH PASSWORD = N'" + $secret.Wanted[$number].Replace("'", "''") + "'$options;"
  if (-not (Send-Change $instance $database)) { return $false }
  return Test-Change $instance $place $number
}

function Test-Change($instance, $place, $number) {
  $instance.How = 'altered'
  $instance.Changed = $true
  # Whoever changes the login from here on is noticed.
  if (-not (Read-Login $instance $place $number)) { return $false }
  if (Test-LogIn $instance $place $number) { return $true }
  $name = 'LoginProofFailed'
  if ('LoginLocked' -eq $run.LogInFailure) { $name = 'LoginLocked' }
  return Add-Failure $instance.Name $name $run.Sql.Message
}

function Add-Proof($instance, $place, $number) {
  $login = $place.Logins[$number]
  $provedAt = $login.Date
  if (-not (Read-Login $instance $place $number)) { return $false }
  if ($login.Date -cne $provedAt) {
    return Add-Failure $instance.Name 'AlteredMeanwhile' (
      "somebody altered $($command.Logins[$number]) while it was being proved")
  }
  $instance.Marks += "$($login.Sid)=$($wanted.Versions[$number])=$provedAt+"
  return $true
}

# ---- SQL ----

# Logs in with the password that a login ought to have, in a database that lets everybody in: its default one may be
# closed here. On failure $run.LogInFailure names it: wrong password, or an error.
function Test-LogIn($instance, $place, $number) {
  $database = 'master'
  if ($place.Name) { $database = $place.Name }
  $batch.Database = $database
  $batch.Login = $command.Logins[$number]
  $batch.Password = $secret.Wanted[$number]
  if (Invoke-Statement $instance ("SELECT N'~who~' + CONVERT(nvarchar(10), CASE WHEN " +
        "ORIGINAL_LOGIN() = $(Get-QuotedText $command.Logins[$number]) AND DB_NAME() = $(Get-QuotedText $database) " +
        'THEN 1 ELSE 0 END);')) {
    if ("$($run.Sql.Rows)".Contains('~who~1')) { return $true }
    $run.Sql.Message = "$($run.Sql.Rows)"
  }
  switch ($run.Sql.Number) {
    18486 { $run.LogInFailure = 'LoginLocked'; break }
    18470 { $run.LogInFailure = 'LoginDisabled'; break }
    { 0, 4060 -contains $_ } { $run.LogInFailure = 'LoginProofFailed'; break }
    # A trigger refused it, which SqlClient takes for a failure of the connection.
    { $run.Sql.Message.Contains('Msg 17892,') } { $run.LogInFailure = 'LoginProofFailed'; break }
    { Test-LoginRefused $_ } { $run.LogInFailure = 'wrong password'; break }
    default { $run.LogInFailure = 'ConnectFailed' }
  }
  return $false
}

# Sends the administrator's statement in $batch, and records what was refused.
function Send-Change($instance, $database) {
  $batch.Database = $database
  if (Send-Batch $instance) { return $true }
  if ($run.Sql.Number -ge 15114 -and $run.Sql.Number -le 15119) {
    return Add-Failure $instance.Name 'PasswordRefused' $run.Sql.Message
  }
  if (4613, 4617, 916 -contains $run.Sql.Number) {
    return Add-Failure $instance.Name 'AlterNotPermitted' $run.Sql.Message
  }
  return Add-SqlFailure $instance 'AlterFailed'
}

# ---- The answer ----

function Write-Answer {
  Send-Answer ((Get-Answer 0) + '}')
}

exit (Invoke-Document)
