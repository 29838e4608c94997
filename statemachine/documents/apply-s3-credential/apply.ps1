# Brings every SQL Server instance of this host to the target version of a rotation's secret, and proves it. Follows
# host/windows.ps1 and host/credentials.ps1; the same as apply.sh, word for word.
#
# The host reads the target under a lock, and once more at the end: so an old, late or doubled command does no harm.
# Nothing here replaces a working credential before the new key was proved from this very instance, through a temporary
# credential that is more specific than the working one and that covers no other path.

$roundLimit = 3

function Invoke-Work {
  Read-Parameter
  $command.Proof = Get-Parameter $env:SSM_proof '{{ proof }}'
  Confirm-Parameter
  Confirm-Proof
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

# A signed call with the new key takes the CLI: a cmdlet would have the key as a parameter.
function Confirm-Proof {
  if ($command.Proof -cnotmatch '^(backup|none)\z') { Deny-Parameter 'proof' }
  if ('none' -eq $command.Proof -and -not (Find-AwsCli)) {
    Stop-Host 'ToolMissing' 'proof none needs the AWS CLI, which is not installed'
  }
}

# ---- Every instance ----

function Set-EveryInstance {
  $run.Proved = $run.NothingToHold = $run.Failed = 0
  $run.Failures = $run.Blocking = @()
  $run.SignedCall = ''
  $run.Owner.Clear()
  $run.Passive.Clear()
  Read-TargetKey
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
}

function Set-Instance($instance) {
  if (-not (Test-InstanceHolds $instance)) { return }
  if (-not ((Confirm-RightToAlter $instance) -and (Read-Credential $instance))) { return }
  $instance.Seen = $instance.Dates
  Add-Blocking $instance
  if (-not ((Remove-Leftover $instance) -and (Test-CredentialFits $instance))) { return }
  $instance.PutBack = Get-BelievedVersion $instance
  if ($instance.PutBack -ceq $run.Version) {
    # The marker alone is no proof, and a backup alone does not say with which key: both together are.
    if (Test-EveryHeld $instance) {
      Complete-Instance $instance 'already held'
      return
    }
    # The target is no version from before, to which this instance could be put back.
    $instance.PutBack = ''
  }
  if ((Test-KeyBeforeAltering $instance) -and (Set-EveryCredential $instance)) {
    Complete-Instance $instance 'altered'
  }
}

function Complete-Instance($instance, $how) {
  if (-not (Read-Credential $instance)) { return }
  foreach ($url in $command.Urls) {
    if ($instance.Dates[$url] -ceq $instance.Seen[$url]) { continue }
    [void](Add-Failure $instance.Name 'AlteredMeanwhile' "somebody altered $url while it was being proved")
    return
  }
  $instance.Held, $instance.Since, $instance.HeldDates = $run.Version, (Get-Timestamp), $instance.ModifyDates
  $refusal = Write-Marker
  if ($refusal) {
    [void](Add-Failure $instance.Name 'StateNotWritable' $refusal)
    return
  }
  $run.Proved++
  Add-Owner $instance
  Write-Log "$($instance.Name): proved, $how"
}

# This host's own temporary credentials, left by a command that was killed. Another host's may be proving a key at this
# moment, where nodes share an instance; one that came with an image covers nobody's backups.
function Remove-Leftover($instance) {
  foreach ($name in $instance.Names) {
    $isOurs = (Test-Leftover $name) -and $name.EndsWith("/$($command.HostId)", [StringComparison]::OrdinalIgnoreCase)
    if ($isOurs -and -not (Invoke-Statement $instance "DROP CREDENTIAL $(Get-QuotedName $name);")) {
      return Add-SqlFailure $instance 'AlterFailed'
    }
  }
  return $true
}

# ---- Prove, then alter, then prove again ----

function Test-EveryHeld($instance) {
  foreach ($url in $command.Urls) {
    if (-not (Test-KeyThroughHeld $instance $url)) { return $false }
  }
  return $true
}

function Test-KeyBeforeAltering($instance) {
  foreach ($url in $command.Urls) {
    if (-not (Test-KeyThroughTemporary $instance $url)) { return $false }
    # What cannot be put back is proved twice before it is replaced.
    if (-not $instance.PutBack -and -not (Test-KeyThroughTemporary $instance $url)) { return $false }
  }
  return $true
}

# CREATE, BACKUP, DROP of a credential that covers a folder of its own: the working one is not touched.
function Test-KeyThroughTemporary($instance, $url) {
  if ('none' -eq $command.Proof) {
    if (Test-KeyBySignedCall) { return $true }
    return Add-Failure $instance.Name 'ProofFailed' $run.Sql.Message
  }
  $name = "$url/$($command.ProofPrefix)/$($command.HostId)"
  if (-not (Invoke-KeyStatement $instance 'CREATE' $name)) { return Add-SqlFailure $instance 'AlterFailed' }
  $proved = Backup-Model $instance "$name/proof.bak"
  if (-not $proved) { [void](Add-SqlFailure $instance 'ProofFailed') }
  if (-not (Invoke-Statement $instance "DROP CREDENTIAL $(Get-QuotedName $name);")) {
    # Gone already: the backup may have been signed with the key that is held, and proves nothing.
    if ($proved -and 15151 -eq $run.Sql.Number) {
      return Add-Failure $instance.Name 'AlteredMeanwhile' "somebody dropped $name while it was proving the key"
    }
    # One that stays covers nobody's backups; the next command drops it.
    Write-Log "$($instance.Name): $name stays: $($run.Sql.Message)"
  }
  return $proved
}

# A folder that is not below the temporary credential's name, so that only the held one covers it.
function Test-KeyThroughHeld($instance, $url) {
  if ('none' -eq $command.Proof) { return Test-KeyBySignedCall }
  return Backup-Model $instance "$url/$($command.ProofPrefix)/held/$($command.HostId)/proof.bak"
}

# With proof "none" the key is known to work from this host, and nothing is known of the bucket.
function Test-KeyBySignedCall {
  if ($run.SignedCall -ceq $run.Version) { return $true }
  $region = $command.SecretArn.Split([char[]]':')[3]
  # By the CLI only, since a cmdlet takes the key as a parameter.
  $refusal = (Invoke-AwsCli "sts get-caller-identity --region $region --query Arn --output text" -WithKey).Error
  if ($refusal) {
    $run.Sql = @{ Rows = @(); Number = -1; Message = $refusal }
    return $false
  }
  $run.SignedCall = $run.Version
  return $true
}

# model is the smallest database that every instance has. Two backups of it at a time refuse each other (Msg 3023).
function Backup-Model($instance, $url) {
  $options = 'COPY_ONLY, FORMAT'
  # SQL Server assumes us-east-1 unless told (FACTS B). A host name that is not AWS's needs no region; of AWS's,
  # PrivateLink, FIPS and access points have names of their own.
  $ofAws = '^s3://([^/]*\.)?s3(-fips|-accesspoint|-accesspoint-fips)?[.-](dualstack\.)?([a-z]{2}(-[a-z]+)+-[0-9]+)\.(vpce\.)?amazonaws\.com'
  if ($url.ToLowerInvariant() -cmatch $ofAws) {
    $options += ', BACKUP_OPTIONS = N''{"s3": {"region":"' + $Matches[4] + '"}}'''
  }
  $deadline = Get-Deadline
  while (-not (Invoke-Statement $instance "BACKUP DATABASE [model] TO URL = N'$url' WITH $options;")) {
    if (3023 -ne $run.Sql.Number -or (Test-Passed $deadline)) { return $false }
    [Threading.Thread]::Sleep(1000)
  }
  return $true
}

function Set-EveryCredential($instance) {
  foreach ($url in $command.Urls) {
    $verb = 'ALTER'
    if ($null -eq $instance.Kinds[$url]) { $verb = 'CREATE' }
    if (-not (Invoke-KeyStatement $instance $verb (Get-SpelledName $instance $url))) {
      return Add-SqlFailure $instance 'AlterFailed'
    }
    $instance.Changed = $true
    # Whoever alters the credential from here on is noticed.
    $listed = Find-Credential $instance
    $instance.Seen[$url] = $instance.Dates[$url]
    if (-not ($listed -and (Test-KeyThroughHeld $instance $url))) {
      return Restore-Credential $instance $url $verb
    }
  }
  return $true
}

# The version held before is read again by its id; where it is not known, there is nothing to put back.
function Restore-Credential($instance, $url, $verb) {
  $cause = $run.Sql.Message
  $outcome = 'ProofFailedNotRestored'
  if ('CREATE' -eq $verb) {
    if (Invoke-Statement $instance "DROP CREDENTIAL $(Get-QuotedName (Get-SpelledName $instance $url));") { $outcome = 'ProofFailedRestored' }
  } elseif ($instance.PutBack) {
    $answer = Get-SecretVersion $command.SecretArn '' $instance.PutBack
    $secret.Text = $answer.Value
    if ('' -eq $answer.Error -and (Read-AccessKey) -and (Invoke-KeyStatement $instance 'ALTER' (Get-SpelledName $instance $url))) {
      $outcome = 'ProofFailedRestored'
    }
  }
  Read-TargetKey
  return Add-Failure $instance.Name $outcome $cause
}

# ---- SQL ----

# CREATE or ALTER with the key in $secret: one plain batch, since only then SQL Server keeps the secret out of its
# traces (FACTS B).
function Invoke-KeyStatement($instance, $verb, $name) {
  $batch.Statement = "$verb CREDENTIAL $(Get-QuotedName $name) WITH IDENTITY = 'S3 Access Key', SECRET = N'" +
    $secret.AccessKeyId + ':' + $secret.SecretAccessKey.Replace("'", "''") + "';"
  return Send-Batch $instance
}

# A credential's name as the instance has it: a server whose collation tells cases apart knows no other.
function Get-SpelledName($instance, $name) {
  if ($instance.Spelled.ContainsKey($name)) { return $instance.Spelled[$name] }
  return $name
}

# ---- The answer ----

function Write-Answer {
  Send-Answer ((Get-Answer 0) + '}')
}

exit (Invoke-Document)
