# What both documents for S3 credentials do on a Windows host: read their parameters and the access key, look at an
# instance and at its credentials. Follows host/windows.ps1; the same as credentials.sh, word for word. Nothing here
# changes an instance.

# ---- What the command asks for ----

function Confirm-OwnParameter {
  $command.ProofPrefix = Get-Parameter $env:SSM_proofPrefix '{{ proofPrefix }}'
  $command.CreateMissing = Get-Parameter $env:SSM_createMissing '{{ createMissing }}'
  if ($command.ProofPrefix -cnotmatch '^[A-Za-z0-9._-]{1,40}\z') { Deny-Parameter 'proofPrefix' }
  $command.Urls = @(Split-Url (Get-Parameter $env:SSM_credentials '{{ credentials }}') 'credentials')
  $foreign = Get-Parameter $env:SSM_foreignCredentials '{{ foreignCredentials }}'
  $command.ForeignUrls = @(Split-Url $foreign 'foreignCredentials')
  if ($command.Urls.Length -lt 1 -or $command.Urls.Length -gt 20) { Deny-Parameter 'credentials' }
}

function Split-Url($text, $parameter) {
  foreach ($url in $text.Split([char[]]' ', [StringSplitOptions]::RemoveEmptyEntries)) {
    if ($url -cnotmatch '^s3://[A-Za-z0-9._:/-]{1,123}\z') { Deny-Parameter $parameter }
    $url
  }
}

# ---- The key ----

function Read-TargetKey {
  $secret.Text = $secret.Target
  if (-not (Read-AccessKey)) { Stop-Host 'SecretValueInvalid' "version $($run.Version) holds no access key" }
}

# $secret.Text is AKID:SECRET, as the published solution stores it, or a JSON object.
function Read-AccessKey {
  $text = $secret.Text.Trim()
  if ($text -cmatch '^\s*\{') {
    if (-not (Read-FlatObject)) { return $false }
    $secret.AccessKeyId = Get-JsonMember 'accessKeyId' 'AccessKeyId'
    $secret.SecretAccessKey = Get-JsonMember 'secretAccessKey' 'SecretAccessKey'
  } else {
    $parts = $text.Split([char[]]':', 2)
    if ($parts.Length -ne 2) { return $false }
    $secret.AccessKeyId = $parts[0]
    $secret.SecretAccessKey = $parts[1]
  }
  $secret.Hidden = @($secret.SecretAccessKey, $secret.SecretAccessKey.Replace("'", "''"))
  # SQL Server splits SECRET at the colon, so neither part may hold one (FACTS B).
  return ($secret.AccessKeyId -cmatch '^[A-Za-z0-9_]{16,128}\z' -and $secret.SecretAccessKey -cmatch '^[!-9;-~]+\z')
}

function Get-JsonMember($name, $otherName) {
  if ($null -ne $secret.Members[$name]) { return $secret.Members[$name] }
  return [string]$secret.Members[$otherName]
}

# ---- Every instance ----

# Looks whether there is an instance here that can hold an S3 credential: 16.x and later, by number, and not Express
# (FACTS B). A running one says so itself; of a stopped one the registry does.
function Test-InstanceHolds($instance) {
  $service = Get-ServiceState $instance.Service
  if ('Running' -ne $service) { return Test-StoppedInstance $instance $service }
  $instance.DataSource = Get-DataSource $instance
  if (-not (Invoke-Statement $instance "SELECT N'~instance~' + CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion'))
        + N'~' + CONVERT(nvarchar(10), SERVERPROPERTY(N'EngineEdition')) + N'~'
        + CONVERT(nvarchar(10), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CREDENTIAL'));")) {
    return Add-SqlFailure $instance 'ConnectFailed'
  }
  $facts = [regex]::Match("$($run.Sql.Rows)", '~instance~(([0-9]+)\.[0-9.]+)~([0-9]+)~([01])')
  if (-not $facts.Success) {
    return Add-Failure $instance.Name 'ConnectFailed' "no answer of SQL Server: $($run.Sql.Rows)"
  }
  $instance.Product = $facts.Groups[1].Value
  $instance.MayAlter = '1' -eq $facts.Groups[4].Value
  $edition = $facts.Groups[3].Value
  if ([int]$facts.Groups[2].Value -lt 16 -or '4' -eq $edition) {
    $run.NothingToHold++
    Add-Owner $instance
    Write-Log "$($instance.Name): version $($instance.Product), engine edition ${edition}: nothing to hold"
    return $false
  }
  return $true
}

# The same of an instance that is stopped, by what the registry knows.
function Test-HoldsNothing($instance) {
  return ($instance.Edition -like 'Express*' -or $instance.Version -match '^([0-9]|1[0-5])\.')
}

# Without this right sys.credentials looks empty, and every credential would seem to be missing.
function Confirm-RightToAlter($instance) {
  if ($instance.MayAlter) { return $true }
  return Add-Failure $instance.Name 'AlterNotPermitted' "$(Get-LoginName) lacks ALTER ANY CREDENTIAL"
}

function Read-Credential($instance) {
  if (Find-Credential $instance) { return $true }
  return Add-SqlFailure $instance 'ConnectFailed'
}

# Reads the S3 credentials into Names, and of a name, whatever its case, into Kinds (s3 or other), Dates and Spelled.
function Find-Credential($instance) {
  $instance.Names = @()
  $instance.ModifyDates = ''
  foreach ($table in 'Kinds', 'Dates', 'Spelled') {
    $instance[$table] = [Collections.Hashtable]::new([StringComparer]::OrdinalIgnoreCase)
  }
  if (-not (Invoke-Statement $instance "SELECT N'~credential~' + CONVERT(nvarchar(33), modify_date, 126) + N'~'
        + CASE WHEN credential_identity = N'S3 Access Key' THEN N's3' ELSE N'other' END + N'~' + name
        FROM sys.credentials WHERE LOWER(name) LIKE N's3://%' ORDER BY name;")) {
    return $false
  }
  foreach ($row in $run.Sql.Rows) {
    $null, $word, $date, $kind, $name = $row.Split([char[]]'~', 5)
    if ('credential' -ne $word) { continue }
    $instance.Names += $name
    $instance.Kinds[$name], $instance.Dates[$name], $instance.Spelled[$name] = $kind, $date, $name
  }
  foreach ($url in $command.Urls) {
    if ($null -eq $instance.Dates[$url]) { $instance.Dates[$url] = 'none' }
    $instance.ModifyDates += $instance.Dates[$url] + '+'
  }
  return $true
}

# SQL Server uses the most specific credential (FACTS B): one below ours is used in our place. And a key that we retire
# must not be held under a name that nobody declared.
function Add-Blocking($instance) {
  foreach ($name in $instance.Names) {
    $declared = ($command.Urls + $command.ForeignUrls) -contains $name
    if ($declared -or 's3' -ne $instance.Kinds[$name] -or (Test-Leftover $name)) { continue }
    $why = 'undeclared'
    foreach ($url in $command.Urls) {
      if (Test-Below $name $url) { $why = 'shadows' }
    }
    Write-Log "$($instance.Name): the credential $name blocks retirement: $why"
    $run.Blocking += '{"instance":"' + (ConvertTo-JsonText $instance.Name) + '","credential":"' +
      (ConvertTo-JsonText $name) + '","why":"' + $why + '"}'
  }
}

function Test-Leftover($name) {
  foreach ($url in $command.Urls) {
    if (Test-Below $name "$url/$($command.ProofPrefix)") { return $true }
  }
  return $false
}

# Names of credentials compare without case.
function Test-Below($name, $folder) {
  return $name.StartsWith("$folder/", [StringComparison]::OrdinalIgnoreCase)
}

function Test-CredentialFits($instance) {
  foreach ($url in $command.Urls) {
    $kind = $instance.Kinds[$url]
    if ($null -eq $kind -and 'true' -ne $command.CreateMissing) {
      return Add-Failure $instance.Name 'CredentialMissing' "there is no credential $url"
    }
    if ('other' -eq $kind) {
      return Add-Failure $instance.Name 'CredentialNotS3' "the identity of $url is not S3 Access Key"
    }
  }
  return $true
}

# The version that the instance's line of the marker names, where the credentials have the dates of then.
function Get-BelievedVersion($instance) {
  if ($instance.HeldDates -ceq $instance.ModifyDates) { return $instance.Held }
  return ''
}
