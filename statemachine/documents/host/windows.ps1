# What every document does on a Windows host, whatever it brings there. The same as linux.sh, word for word: nothing
# here changes an instance; what the target is, the host reads itself.
#
# What is Windows' own: the instances are found in the registry; a clustered instance that runs on another node is
# passive, which is neither a proof nor a failure; SQL Server is asked through .NET's SqlClient.
#
# Two files follow this one: what both documents of a kind share (credentials.ps1 or logins.ps1), and the document's
# own script. That holds Invoke-Work and Write-Answer, and its last line is the only one of all that does anything: a
# test puts its own functions in place of those under "What touches Windows" before that line.
#
# stdout carries one JSON object (its fields: functions/rotation/src/host_answer.rs) and nothing else; a line for each
# instance goes to stderr, from where SSM sends it to CloudWatch, and to a size-limited log on the host.
#
# Runs in Windows PowerShell 5.1, which is what the SSM agent starts, and in PowerShell 7. It uses .NET's methods in
# place of cmdlets. A secret is in no cmdlet's pipeline and in no parameter, not even a function's, since module logging
# writes those to the event log: it stays in the holders $secret and $batch.

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
# powershell.exe prints warnings and progress to stdout, where only the answer belongs.
$WarningPreference = 'SilentlyContinue'
$ProgressPreference = 'SilentlyContinue'

$logLimitBytes = 262144
$answerLimitBytes = 1950
$messageLimit = 240
$instancesKey = 'SOFTWARE\Microsoft\Microsoft SQL Server'
$versionPattern = '^[A-Za-z0-9-]{32,64}\z'
$arnPattern = '^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]{5,25}:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}\z'
$clock = [Diagnostics.Stopwatch]::StartNew()

# What the command asks for, what the host keeps, and what has come out so far.
$command = @{ Rotation = 'unknown' }
$state = @{ Directory = ''; Log = ''; LogLost = $false; Marker = ''; Lock = $null }
$run = @{
  Version = ''; TargetLabel = ''; Found = ''; Touched = $false; HostError = ''; Sql = $null; Instances = @()
  Proved = 0; NothingToHold = 0; Failed = 0; Failures = @(); Blocking = @(); Room = 0
  # The hashes of virtual names, sorted, each once.
  Owner = [Collections.SortedList]::new(); Passive = [Collections.SortedList]::new()
}
# The holders of the secrets, with what no message may show, and of the one statement that may have a secret in it: in
# which database, where not in the login's own, and by which login, where not by the administrator.
$secret = @{ Target = ''; Text = ''; Members = $null; Hidden = @(); Administrator = ''; Password = '' }
$batch = @{ Statement = ''; Database = ''; Login = ''; Password = '' }
# A string in JSON. Its escapes are among those that [regex]::Unescape knows.
$jsonString = '"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*"'

function Invoke-Document {
  try {
    Invoke-Work
  } catch {
    # A host's failure is in the answer already; anything else is a mistake in this script.
    if ('' -eq $run.HostError) {
      $run.HostError = 'ConnectFailed'
      [void](Add-Failure '' 'ConnectFailed' (Get-Mistake $_))
    }
  }
  Write-Answer
  if ($null -ne $state.Lock) { $state.Lock.Dispose() }
  return Get-ExitCode
}

# ---- What the command asks for ----

function Read-Parameter {
  $command.Rotation = Get-Parameter $env:SSM_rotation '{{ rotation }}'
  $command.SecretArn = Get-Parameter $env:SSM_secretArn '{{ secretArn }}'
  $command.Hint = Get-Parameter $env:SSM_versionId '{{ versionId }}'
  $command.AdministratorArn = Get-Parameter $env:SSM_administratorSecretArn '{{ administratorSecretArn }}'
  $command.TrustCertificate = Get-Parameter $env:SSM_trustServerCertificate '{{ trustServerCertificate }}'
  $command.HostId = [string]$env:AWS_SSM_INSTANCE_ID
  # The two seams of the local AWS: hosts that share one machine need a folder each; and how long a host waits for the
  # lock and for the hinted version.
  $state.Directory = [string]$env:CREDENTIAL_ROTATION_STATE_DIRECTORY
  $command.Patience = 30
  if ($env:CREDENTIAL_ROTATION_PATIENCE) { $command.Patience = [int]$env:CREDENTIAL_ROTATION_PATIENCE }
}

# A new agent sets SSM_<name>; for an older one, which does not know interpolationType, the text between the quotes was
# replaced. The document's allowedPatterns admit no quote, so that the replacement cannot leave the quotes. Windows may
# drop a variable that is empty; the rotation's never is, so that it tells a new agent.
function Get-Parameter($variable, $text) {
  if ($null -ne $variable) { return $variable }
  if ($null -ne $env:SSM_rotation) { return '' }
  return $text
}

function Confirm-Parameter {
  if ($command.Rotation -cnotmatch '^[a-z][a-z0-9-]{0,31}\z') {
    $command.Rotation = 'unknown'
    Deny-Parameter 'rotation'
  }
  if ($command.HostId -cnotmatch '^m?i-[0-9a-f]+\z') { Deny-Parameter 'AWS_SSM_INSTANCE_ID' }
  if ($command.SecretArn -cnotmatch $arnPattern) { Deny-Parameter 'secretArn' }
  if ($command.Hint -cnotmatch $versionPattern) { Deny-Parameter 'versionId' }
  if ($command.AdministratorArn -and $command.AdministratorArn -cnotmatch $arnPattern) {
    Deny-Parameter 'administratorSecretArn'
  }
  Confirm-OwnParameter
}

function Deny-Parameter($name) {
  Stop-Host 'InvalidParameter' "the parameter $name is missing or malformed"
}

# ---- What the host keeps: lock, log, marker ----

function Open-StateDirectory {
  if ('' -eq $state.Directory) {
    $state.Directory = [IO.Path]::Combine([Environment]::GetFolderPath('CommonApplicationData'), 'credential-rotation')
  }
  try {
    [void][IO.Directory]::CreateDirectory($state.Directory)
    Protect-StateDirectory $state.Directory
  } catch {
    Stop-Host 'StateNotWritable' "$($state.Directory) cannot be written: $(Get-Cause $_)"
  }
  $state.Marker = Get-StatePath '.marker'
  $state.Log = Get-StatePath '.log'
  try {
    $log = [IO.FileInfo]::new($state.Log)
    if ($log.Exists -and $log.Length -gt $logLimitBytes) {
      [IO.File]::Delete($state.Log + '.1')
      [IO.File]::Move($state.Log, $state.Log + '.1')
    }
  } catch {
    Write-Log "the log could not be turned over: $(Get-Cause $_)"
  }
}

function Get-StatePath($extension) {
  return [IO.Path]::Combine($state.Directory, $command.Rotation + $extension)
}

# A file that is open for nobody else is the lock: Windows lets go of it however this process ends.
function Enter-Lock {
  $path = Get-StatePath '.lock'
  $deadline = Get-Deadline
  while ($true) {
    try {
      $state.Lock = [IO.File]::Open($path, 'OpenOrCreate', 'ReadWrite', 'None')
      return
    } catch {
      # A file in use is a plain IOException; one that cannot be made or opened is something more special.
      if (-not $_.Exception.GetBaseException().GetType().Equals([IO.IOException])) {
        Stop-Host 'StateNotWritable' "$path cannot be opened: $(Get-Cause $_)"
      }
    }
    if (Test-Passed $deadline) { Stop-Host 'LockTimeout' "another command held the lock for $($command.Patience) s" }
    [Threading.Thread]::Sleep(200)
  }
}

# The marker has one line for each instance: name, version, time, and the modify dates that the credentials had then.
# Where a credential's date is another today, somebody else altered it and the line says nothing.
function Read-Marker {
  try {
    $lines = @()
    if ([IO.File]::Exists($state.Marker)) { $lines = [IO.File]::ReadAllLines($state.Marker) }
    foreach ($line in $lines) {
      $words = $line.Split([char[]]' ')
      if ($words.Length -ne 4 -or $words[1] -cnotmatch $versionPattern) { continue }
      foreach ($instance in $run.Instances) {
        if ($instance.Name -ne $words[0]) { continue }
        $instance.Held, $instance.Since, $instance.HeldDates = $words[1], $words[2], $words[3]
        # One version stands for the host: the one that lags, if any does.
        if ('' -eq $run.Found -or $words[1] -cne $command.Hint) { $run.Found = $words[1] }
      }
    }
  } catch {
    Stop-Host 'StateNotWritable' "$($state.Marker) cannot be read: $(Get-Cause $_)"
  }
}

# Written beside and renamed, so that a host that dies here has the old marker or the new one. Nothing, or why not.
function Write-Marker {
  $text = "# instance, version held, since when, modify dates of its credentials`r`n"
  foreach ($instance in $run.Instances) {
    if ($instance.Held) { $text += "$($instance.Name) $($instance.Held) $($instance.Since) $($instance.HeldDates)`r`n" }
  }
  $new = $state.Marker + '.new'
  try {
    [IO.File]::WriteAllText($new, $text)
    if ([IO.File]::Exists($state.Marker)) {
      # In place of $null PowerShell would hand over an empty name.
      [IO.File]::Replace($new, $state.Marker, [NullString]::Value)
    } else {
      [IO.File]::Move($new, $state.Marker)
    }
  } catch {
    return "$($state.Marker) cannot be written: $(Get-Cause $_)"
  }
}

# That a line is not on the disk stops nobody who does not ask.
function Write-Log($text) {
  $version = $run.Version
  if ('' -eq $version) { $version = '?' }
  $line = "$(Get-Timestamp) $($command.Rotation) $version $(Get-PublicText $text)"
  [Console]::Error.WriteLine($line)
  if ('' -eq $state.Log) { return }
  try {
    [IO.File]::AppendAllText($state.Log, "$line`r`n")
  } catch {
    $state.LogLost = $true
    [Console]::Error.WriteLine('this line is not in the log on the host')
  }
}

function Get-Timestamp {
  return [DateTime]::UtcNow.ToString('u').Replace(' ', 'T')
}

function Get-Deadline {
  return $clock.Elapsed.TotalSeconds + $command.Patience
}

function Test-Passed($deadline) {
  return $clock.Elapsed.TotalSeconds -ge $deadline
}

# ---- The instances of this host ----

function Find-Instance {
  $names = "$instancesKey\Instance Names\SQL"
  foreach ($name in @(Get-RegistryValueName $names)) {
    $key = "$instancesKey\$(Get-RegistryValue $names $name)"
    $service = 'MSSQL$' + $name
    if ('MSSQLSERVER' -eq $name) { $service = $name }
    $run.Instances += @{
      Name = $name; Key = $key; Service = $service
      Version = [string](Get-RegistryValue "$key\Setup" 'Version')
      Edition = [string](Get-RegistryValue "$key\Setup" 'Edition')
      VirtualName = [string](Get-RegistryValue "$key\Cluster" 'ClusterName')
      Changed = $false; Held = ''; Since = ''; HeldDates = ''
    }
  }
}

# By the full names that a certificate can match: a clustered instance's virtual name, else the computer's name.
function Get-DataSource($instance) {
  $tcp = "$($instance.Key)\MSSQLServer\SuperSocketNetLib\Tcp"
  $server = Get-FullComputerName
  if ($instance.VirtualName) { $server = $instance.VirtualName + ($server -creplace '^[^.]*', '') }
  $port = ''
  if ('0' -eq (Get-RegistryValue $tcp 'ListenOnAllIPs')) {
    foreach ($name in @(Get-RegistrySubkeyName $tcp)) {
      if ('' -ne $port -or 'IPAll' -eq $name -or '1' -ne (Get-RegistryValue "$tcp\$name" 'Enabled')) { continue }
      $port = Get-Port "$tcp\$name"
      # The computer's name may lead to another address; but a certificate names no address.
      if ('true' -eq $command.TrustCertificate -and -not $instance.VirtualName) {
        $server = Get-RegistryValue "$tcp\$name" 'IpAddress'
      }
    }
  } else {
    $port = Get-Port "$tcp\IPAll"
  }
  if ('' -ne $port -and '1' -eq (Get-RegistryValue $tcp 'Enabled')) { return "tcp:$server,$port" }
  # Without TCP there is shared memory. The default instance has no name there.
  $server = '.'
  if ($instance.VirtualName) { $server = $instance.VirtualName }
  if ('MSSQLSERVER' -eq $instance.Name) { return "lpc:$server" }
  return "lpc:$server\$($instance.Name)"
}

# The fixed port, of several the first; else the one that Windows gave at the last start (0 before the first start).
function Get-Port($key) {
  foreach ($name in 'TcpPort', 'TcpDynamicPorts') {
    if ("$(Get-RegistryValue $key $name)" -match '^\s*([1-9][0-9]*)') { return $Matches[1] }
  }
  return ''
}

# ---- The target and the secrets ----

# The target is the version labelled AWSPENDING if there is one, else AWSCURRENT. A label without a version, and a
# version that RotateSecret left empty, both answer ResourceNotFoundException (FACTS D).
function Read-Target {
  foreach ($label in 'AWSPENDING', 'AWSCURRENT') {
    $answer = Get-SecretVersion $command.SecretArn $label
    if ('' -eq $answer.Error) {
      $run.Version, $run.TargetLabel = $answer.Version, $label
      $secret.Target = $answer.Value
      return
    }
    if (-not $answer.Error.Contains('ResourceNotFoundException')) { break }
  }
  Stop-Host 'SecretNotReadable' $answer.Error
}

# Secrets Manager is eventually consistent: the host that was asked first may still see the labels of before.
function Wait-HintedTarget {
  $deadline = Get-Deadline
  Read-Target
  while ($run.Version -cne $command.Hint) {
    if (Test-Passed $deadline) {
      Stop-Host 'VersionNotVisibleYet' "the target here is $($run.Version), not $($command.Hint)"
    }
    [Threading.Thread]::Sleep(1000)
    Read-Target
  }
}

# Without an administrator's secret the agent's own account logs in, for which Windows vouches.
function Read-Administrator {
  if ('' -eq $command.AdministratorArn) { return }
  $answer = Get-SecretVersion $command.AdministratorArn 'AWSCURRENT'
  if ('' -ne $answer.Error) { Stop-Host 'SecretNotReadable' "administrator: $($answer.Error)" }
  $secret.Text = $answer.Value
  if (Read-FlatObject) {
    $secret.Administrator = [string]$secret.Members['username']
    $secret.Password = [string]$secret.Members['password']
  }
  if ('' -eq $secret.Administrator -or '' -eq $secret.Password) {
    Stop-Host 'SecretValueInvalid' "the administrator's secret is no JSON object with username and password"
  }
}

# Reads the strings of the flat JSON object in $secret.Text into $secret.Members; other scalars are passed over, a
# nested value is refused. By patterns, since .NET's own reader takes half an object for a whole one.
function Read-FlatObject {
  $secret.Members = [Collections.Hashtable]::new([StringComparer]::Ordinal)
  $member = "\s*($jsonString)\s*:\s*($jsonString|[-+.A-Za-z0-9]+)\s*"
  if (-not [regex]::IsMatch($secret.Text, "^\s*\{$member(?:,$member)*\}\s*\z")) { return $false }
  foreach ($match in [regex]::Matches($secret.Text, $member)) {
    $name = $match.Groups[1].Value.Trim([char[]]'"')
    $value = $match.Groups[2].Value
    if ($value[0] -eq '"') { $secret.Members[$name] = [regex]::Unescape($value.Substring(1, $value.Length - 2)) }
  }
  return $true
}

# ---- Every instance ----

# An instance that is installed and stopped holds what nobody proved: that is a failure, unless by the registry it could
# hold nothing. A clustered one may run on another node, which then has to prove it.
function Test-StoppedInstance($instance, $service) {
  if (Test-HoldsNothing $instance) {
    $run.NothingToHold++
    Write-Log "$($instance.Name): version $($instance.Version), $($instance.Edition): nothing to hold"
    return $false
  }
  if ($null -eq $service) { $service = 'not installed' }
  $message = "its service $($instance.Service) is $service"
  if ($instance.VirtualName) {
    $owner = Get-ClusterOwner $instance.VirtualName
    if ($null -eq $owner) { $owner = @{ State = 'unknown to the cluster'; Node = '' } }
    if ('Online' -eq $owner.State -and $owner.Node -and $owner.Node -ne (Get-NodeName)) {
      $run.Passive[(Get-NameHash $instance.VirtualName)] = 1
      $instance.Held = ''
      Write-Log "$($instance.Name): passive here, $($instance.VirtualName) runs on $($owner.Node)"
      return $false
    }
    $message += " and $($instance.VirtualName) is $($owner.State) $($owner.Node)"
  }
  return Add-Failure $instance.Name 'ConnectFailed' $message
}

function Add-Owner($instance) {
  if ($instance.VirtualName) { $run.Owner[(Get-NameHash $instance.VirtualName)] = 1 }
}

# The first six digits of the SHA-256 of the cluster's id and the name, since two clusters of a fleet may have the same
# names: short enough for a tag, and it tells nothing about the network.
function Get-NameHash($name) {
  $cluster = [string](Get-RegistryValue 'Cluster' 'ClusterInstanceID')
  return (Get-Sha256 "$cluster/$name".ToLowerInvariant()).Substring(0, 6)
}

# In digits of small letters.
function Get-Sha256($text) {
  $bytes = [Text.Encoding]::UTF8.GetBytes($text)
  # The one that Windows also has where its policy allows FIPS 140 algorithms only.
  $hash = [Security.Cryptography.SHA256CryptoServiceProvider]::new().ComputeHash($bytes)
  return [BitConverter]::ToString($hash).Replace('-', '').ToLowerInvariant()
}

function Get-LoginName {
  if ($secret.Administrator) { return $secret.Administrator }
  return [Environment]::UserDomainName + '\' + [Environment]::UserName
}

# ---- SQL ----

# A statement without a secret. Whether it succeeded; all that came of it is in $run.Sql.
function Invoke-Statement($instance, $statement) {
  $batch.Statement = $statement
  return Send-Batch $instance
}

function Send-Batch($instance) {
  if (-not $batch.Login) { $batch.Login, $batch.Password = $secret.Administrator, $secret.Password }
  $run.Sql = Invoke-SqlBatch $instance
  $batch.Statement = $batch.Database = $batch.Login = $batch.Password = ''
  return (0 -eq $run.Sql.Number)
}

function Get-QuotedName($name) {
  return '[' + $name.Replace(']', ']]') + ']'
}

# Names what SQL Server said, by its message numbers; what the client says itself is -1, and -2 at a time-out.
function Add-SqlFailure($instance, $otherwise) {
  switch ($run.Sql.Number) {
    { Test-LoginRefused $_ } { $name = 'LoginFailed'; break }
    { 15247, 15151 -contains $_ } { $name = 'AlterNotPermitted'; break }
    { 262, 916 -contains $_ } { $name = 'BackupNotPermitted'; break }
    { 3023 -eq $_ } { $name = 'ModelBusy'; break }
    { -1 -eq $_ } { $name = 'ConnectFailed'; break }
    default { $name = $otherwise }
  }
  return Add-Failure $instance.Name $name $run.Sql.Message
}

# 18456 and its neighbours, which all begin "Login failed for user"; and 4060, a default database that does not open.
function Test-LoginRefused($number) {
  return (4060 -eq $number -or ($number -ge 18400 -and $number -lt 18500))
}

# ---- The answer ----

# Records a failure; false, for whoever returns it.
function Add-Failure($instanceName, $name, $message) {
  $run.Failed++
  $run.Failures += '{"instance":"' + (ConvertTo-JsonText $instanceName) + '","error":"' + $name + '","message":"' +
    (ConvertTo-JsonText $message) + '"}'
  Write-Log "${instanceName}: ${name}: $message"
  return $false
}

function Stop-Host($name, $message) {
  $run.HostError = $name
  [void](Add-Failure '' $name $message)
  throw $name
}

# Exit codes. Never 3010 or 168 or 169, which the SSM agent reads as reboot, stop with success, stop with failure. At
# its time-out the agent kills the script without a warning, so Windows has no answer Interrupted.
# 0: every instance is as the command wants it, has nothing to hold, or is passive here.
# 1: at least one instance failed.
# 2: the host failed before any instance was touched.
# 3: the hinted version is not this host's target (yet).
function Get-ExitCode {
  if ('VersionNotVisibleYet' -eq $run.HostError) { return 3 }
  if ($run.HostError -and -not $run.Touched) { return 2 }
  if ($run.Failed -gt 0) { return 1 }
  return 0
}

# All of the answer but what closes it, for which it leaves room. SSM keeps 2,500 characters of an output in lists
# (FACTS C): counts always, names as many as fit.
function Get-Answer($bytesThatFollow) {
  $answer = '{"rotation":"' + $command.Rotation + '"'
  if ($run.Version) { $answer += ',"version":"' + $run.Version + '"' }
  if ($run.Found) { $answer += ',"found":"' + $run.Found + '"' }
  $changed = 0
  foreach ($instance in $run.Instances) { $changed += [int]$instance.Changed }
  $answer += ',"proved":' + $run.Proved + ',"changed":' + $changed + ',"nothingToHold":' + $run.NothingToHold
  foreach ($list in 'owner', 'passive') {
    # By its methods: PowerShell takes a dot on a dictionary for one of its keys.
    if ($run[$list].get_Count() -gt 0) {
      $answer += ',"' + $list + '":["' + [string]::Join('","', [string[]]@($run[$list].get_Keys())) + '"]'
    }
  }
  $answer += ',"failed":' + $run.Failed
  $run.Room = $answerLimitBytes - $answer.Length - 32 - $bytesThatFollow
  foreach ($list in 'failures', 'blocking') { $answer += ',"' + $list + '":[' + (Get-WhatFits $run[$list]) + ']' }
  return $answer
}

function Get-WhatFits($items) {
  $named = ''
  foreach ($item in $items) {
    $run.Room -= $item.Length + 1
    if ($run.Room -lt 0) { break }
    if ($named) { $named += ',' }
    $named += $item
  }
  return $named
}

function Send-Answer($answer) {
  [Console]::Out.Write("$answer`n")
  try {
    Write-EventLogEntry $answer ($run.Failed -gt 0)
  } catch {
    Write-Log "the event log could not be written: $(Get-Cause $_)"
  }
}

# No message of a tool is passed on before the secret values were taken out of it.
function Get-PublicText([string] $text) {
  foreach ($value in $secret.Hidden + $secret.Password) {
    if ($value) { $text = $text.Replace($value, '***') }
  }
  return $text -creplace '[^ -~]', ' '
}

function ConvertTo-JsonText($text) {
  $text = Get-PublicText $text
  if ($text.Length -gt $messageLimit) { $text = $text.Substring(0, $messageLimit) }
  return $text.Replace('\', '\\').Replace('"', '\"')
}

# What .NET said, out of what PowerShell wraps round it.
function Get-Cause($record) {
  return $record.Exception.GetBaseException().Message
}

function Get-Mistake($record) {
  return "unexpected, in line $($record.InvocationInfo.ScriptLineNumber): $(Get-Cause $record)"
}

# ---- What touches Windows ----

# The registry as 64-bit programs see it, whoever started this one.
function Open-RegistryKey($path) {
  return [Microsoft.Win32.RegistryKey]::OpenBaseKey('LocalMachine', 'Registry64').OpenSubKey($path)
}

# A value, or $null.
function Get-RegistryValue($path, $name) {
  $key = Open-RegistryKey $path
  if ($null -ne $key) { return $key.GetValue($name) }
}

# The names of a key's values; none where there is no such key.
function Get-RegistryValueName($path) {
  $key = Open-RegistryKey $path
  if ($null -ne $key) { return $key.GetValueNames() }
}

# The names of the keys below a key.
function Get-RegistrySubkeyName($path) {
  $key = Open-RegistryKey $path
  if ($null -ne $key) { return $key.GetSubKeyNames() }
}

# Running, Stopped, StartPending and so on; $null where there is no such service.
function Get-ServiceState($name) {
  [void][Reflection.Assembly]::LoadWithPartialName('System.ServiceProcess')
  foreach ($service in [ServiceProcess.ServiceController]::GetServices()) {
    if ($service.ServiceName -eq $name) { return [string]$service.Status }
  }
}

# The node that runs the SQL Server of a virtual name, and Online, or the number of another state; $null where the
# cluster does not say.
function Get-ClusterOwner($virtualName) {
  [void][Reflection.Assembly]::LoadWithPartialName('System.Management')
  try {
    $searcher = [Management.ManagementObjectSearcher]::new('root\MSCluster',
      "SELECT * FROM MSCluster_Resource WHERE Type = 'SQL Server'")
    # The cluster's provider refuses whoever asks with less.
    $searcher.Scope.Options.Authentication = 'PacketPrivacy'
    foreach ($resource in $searcher.Get()) {
      $own = $resource.GetPropertyValue('PrivateProperties')
      if ($virtualName -ne $own.GetPropertyValue('VirtualServerName')) { continue }
      $current = [string]$resource.GetPropertyValue('State')
      if ('2' -eq $current) { $current = 'Online' }
      return @{ Node = [string]$resource.GetPropertyValue('OwnerNode'); State = $current }
    }
  } catch {
    Write-Log "the cluster does not answer: $(Get-Cause $_)"
  }
}

# This node's name in its cluster.
function Get-NodeName {
  return [Environment]::MachineName
}

# The computer's name with its domain, as certificates have it.
function Get-FullComputerName {
  $network = [Net.NetworkInformation.IPGlobalProperties]::GetIPGlobalProperties()
  return ($network.HostName + '.' + $network.DomainName).TrimEnd([char[]]'.')
}

# The AWS Tools for PowerShell, in whichever edition. The large ones do not load by themselves, and are slow to load, so
# that the CLI goes before them.
function Test-AwsTools {
  if (Get-Command Get-SECSecretValue -ErrorAction Ignore) { return $true }
  if (Find-AwsCli) { return $false }
  foreach ($module in 'AWS.Tools.SecretsManager', 'AWSPowerShell', 'AWSPowerShell.NetCore') {
    try {
      Import-Module $module -ErrorAction Stop
      return $true
    } catch {
      continue
    }
  }
  Stop-Host 'ToolMissing' 'neither the AWS CLI nor the AWS Tools for PowerShell (AWS.Tools.SecretsManager) is installed'
}

# A version by its label or by its id: Version, Value and an empty Error, or what AWS said.
function Get-SecretVersion($arn, $label, $versionId) {
  $region = $arn.Split([char[]]':')[3]
  if (Test-AwsTools) {
    $which = @{ VersionStage = $label }
    if ($versionId) { $which = @{ VersionId = $versionId } }
    try {
      $answer = Get-SECSecretValue -SecretId $arn -Region $region @which
      return @{ Version = [string]$answer.VersionId; Value = [string]$answer.SecretString; Error = '' }
    } catch {
      return @{ Version = ''; Value = ''; Error = Get-AwsError $_ }
    }
  }
  $which = "--version-stage $(Get-QuotedArgument $label)"
  if ($versionId) { $which = "--version-id $versionId" }
  $answer = Invoke-AwsCli ("secretsmanager get-secret-value --region $region --secret-id $arn $which " +
    '--query [VersionId,SecretString] --output text')
  $version, $value = $answer.Output.Split([char[]]"`t", 2)
  return @{ Version = $version; Value = "$value"; Error = $answer.Error }
}

# What an exception of AWS's SDK says, the way the CLI does: (ResourceNotFoundException) and a message.
function Get-AwsError($record) {
  for ($exception = $record.Exception; $null -ne $exception; $exception = $exception.InnerException) {
    $code = $exception.PSObject.Properties['ErrorCode']
    if ($null -ne $code -and $code.Value -is [string]) { return "($($code.Value)) $($exception.Message)" }
  }
  $exception = $record.Exception.GetBaseException()
  return "($($exception.GetType().Name)) $($exception.Message)"
}

# The agent has the PATH of its own start; the CLI may have been installed since.
function Find-AwsCli {
  $folders = "$env:PATH$([IO.Path]::PathSeparator)$env:ProgramFiles\Amazon\AWSCLIV2"
  $program = 'aws'
  if ('\' -eq [IO.Path]::DirectorySeparatorChar) { $program = 'aws.exe' }
  foreach ($folder in $folders.Split([char[]]@([IO.Path]::PathSeparator), [StringSplitOptions]::RemoveEmptyEntries)) {
    $path = [IO.Path]::Combine($folder.Trim([char[]]'" '), $program)
    if ([IO.File]::Exists($path)) { return $path }
  }
  return ''
}

# As a program on Windows takes its command line apart: a backslash counts only before a quote.
function Get-QuotedArgument($text) {
  return '"' + (($text -creplace '(\\*)"', '$1$1\"') -creplace '(\\+)\z', '$1$1') + '"'
}

# The arguments hold no secret. With the key, it is in the child's environment only.
function Invoke-AwsCli($arguments, [switch] $WithKey) {
  $start = [Diagnostics.ProcessStartInfo]::new((Find-AwsCli), $arguments)
  $start.UseShellExecute = $false
  $start.RedirectStandardOutput = $start.RedirectStandardError = $true
  $start.StandardOutputEncoding = [Text.Encoding]::UTF8
  $variables = $start.EnvironmentVariables
  $variables['PYTHONUTF8'] = '1'
  $variables['AWS_CLI_OUTPUT_ENCODING'] = 'UTF-8'
  # Newer versions have other ways to say what a service answered.
  $variables['AWS_CLI_ERROR_FORMAT'] = 'legacy'
  if ($WithKey) {
    $variables.Remove('AWS_SESSION_TOKEN')
    $variables.Remove('AWS_PROFILE')
    $variables['AWS_ACCESS_KEY_ID'] = $secret.AccessKeyId
    $variables['AWS_SECRET_ACCESS_KEY'] = $secret.SecretAccessKey
  }
  $process = [Diagnostics.Process]::Start($start)
  # Both streams at once: a full pipe would stop the child.
  $complaint = $process.StandardError.ReadToEndAsync()
  $output = $process.StandardOutput.ReadToEnd().TrimEnd([char[]]"`r`n")
  $process.WaitForExit()
  if (0 -eq $process.ExitCode) { return @{ Output = $output; Error = '' } }
  $lastLine = $complaint.Result.Trim().Split([char[]]"`n")[-1]
  return @{ Output = ''; Error = "the AWS CLI ended with $($process.ExitCode): $lastLine" }
}

# Sends $batch.Statement: the rows' first columns; the number of the first error, 0 for none, -1 where the client itself
# failed, -2 at a time-out; and a message with every error's number.
function Invoke-SqlBatch($instance) {
  $answer = @{ Rows = @(); Number = 0; Message = '' }
  $connection = $null
  try {
    $connection = Get-SqlConnection $instance
    $connection.Open()
    $request = $connection.CreateCommand()
    $request.CommandTimeout = 120
    $request.CommandText = $batch.Statement
    $reader = $request.ExecuteReader()
    do {
      while ($reader.Read()) { $answer.Rows += [string]$reader.GetValue(0) }
    } while ($reader.NextResult())
  } catch {
    $answer.Number = -1
    $answer.Message = Get-Cause $_
    for ($cause = $_.Exception; $null -ne $cause; $cause = $cause.InnerException) {
      if ('SqlException' -ne $cause.GetType().Name) { continue }
      # While it connects, the client's numbers are its own, but for a login that is refused; from severity 20 the
      # connection is gone.
      $connected = $null -ne $connection -and 'Closed' -ne $connection.State -and $cause.Class -lt 20
      if ($connected -or (Test-LoginRefused $cause.Number)) { $answer.Number = $cause.Number }
      $answer.Message = ''
      foreach ($one in $cause.Errors) { $answer.Message += "Msg $($one.Number), Level $($one.Class): $($one.Message) " }
    }
  } finally {
    if ($null -ne $connection) { $connection.Dispose() }
  }
  return $answer
}

# Always encrypted. Each statement logs in afresh, so that none meets a connection that a failover broke.
function Get-SqlConnection($instance) {
  $options = [Data.SqlClient.SqlConnectionStringBuilder]::new()
  # By index: PowerShell takes a dot on a dictionary for one of its keys.
  $options['Data Source'] = $instance.DataSource
  $options['Encrypt'] = $true
  $options['TrustServerCertificate'] = 'true' -eq $command.TrustCertificate
  $options['Application Name'] = 'credential-rotation'
  $options['Connect Timeout'] = 8
  $options['Pooling'] = $false
  # A cluster across subnets has an address in each, of which one answers.
  $options['MultiSubnetFailover'] = '' -ne $instance.VirtualName -and $instance.DataSource -like 'tcp:*'
  if ($batch.Database) { $options['Initial Catalog'] = $batch.Database }
  $options['Integrated Security'] = '' -eq $batch.Login
  $connection = [Data.SqlClient.SqlConnection]::new($options.ToString())
  if ($batch.Login) {
    $password = [Net.NetworkCredential]::new('', $batch.Password).SecurePassword
    $password.MakeReadOnly()
    $connection.Credential = [Data.SqlClient.SqlCredential]::new($batch.Login, $password)
  }
  return $connection
}

# For SYSTEM and Administrators only: in %ProgramData% every user may make a folder, and what somebody else laid into it
# would keep rights of its own, so that such a folder is made anew. Throws.
function Protect-StateDirectory($path) {
  $directory = [IO.DirectoryInfo]::new($path)
  if ($directory.Attributes -band [IO.FileAttributes]::ReparsePoint) { throw "$path is a link to another place" }
  $owner = [Security.AccessControl.DirectorySecurity]::new($path, 'Owner').GetOwner([Security.Principal.SecurityIdentifier])
  if ('S-1-5-18', 'S-1-5-32-544' -notcontains $owner.Value) {
    $directory.Delete($true)
    $directory.Create()
  }
  $access = [Security.AccessControl.DirectorySecurity]::new()
  $access.SetSecurityDescriptorSddlForm('O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)', 'Owner, Access')
  if ($PSVersionTable.PSVersion.Major -lt 6) {
    $directory.SetAccessControl($access)
  } else {
    [IO.FileSystemAclExtensions]::SetAccessControl($directory, $access)
  }
}

# One entry a command, in the log Application.
function Write-EventLogEntry($text, $isFailure) {
  $source = 'credential-rotation'
  if (-not [Diagnostics.EventLog]::SourceExists($source)) {
    [Diagnostics.EventLog]::CreateEventSource($source, 'Application')
  }
  $type = 'Information'
  if ($isFailure) { $type = 'Error' }
  [Diagnostics.EventLog]::WriteEntry($source, $text, $type, 1)
}
