# Looks at every SQL Server instance of this host as a rotation would find it, and changes nothing: no credential, no
# marker, no object in S3. Follows host/windows.ps1 and host/credentials.ps1; the same as inspect.sh, word for word.
#
# What would stand in the way of a rotation is a failure here by the name that it would have there. All that is written
# is the host's own log, which shows beforehand that the disk takes a marker, and the event log.

$inspection = @{ Instances = 0; Seen = @() }

function Invoke-Work {
  Read-Parameter
  Confirm-Parameter
  Open-StateDirectory
  # A command at work would be seen half done.
  Enter-Lock
  Write-Log 'looking, and changing nothing'
  if ($state.LogLost) { Stop-Host 'StateNotWritable' "$($state.Log) cannot be written" }
  Find-Instance
  Read-Marker
  Wait-HintedTarget
  Read-TargetKey
  Read-Administrator
  foreach ($instance in $run.Instances) {
    # One instance's failure is recorded and the next instance is looked at.
    try {
      Show-Instance $instance
    } catch {
      if ($run.HostError) { throw }
      [void](Add-Failure $instance.Name 'ConnectFailed' (Get-Mistake $_))
    }
  }
}

# Everything that an instance lacks is told at once, so that a person mends it once.
function Show-Instance($instance) {
  $held = ''
  if (-not (Test-InstanceHolds $instance)) { return }
  if ((Confirm-RightToAlter $instance) -and (Read-Credential $instance)) {
    Add-Blocking $instance
    [void](Test-CredentialFits $instance)
    $held = Get-BelievedVersion $instance
  }
  [void](Confirm-RightToBackUp $instance)
  Add-Seen $instance $held
}

# A rotation proves a key by a backup of model. Where the login may not even enter model, the answer is NULL.
function Confirm-RightToBackUp($instance) {
  if (-not (Invoke-Statement $instance ("SELECT N'~backup~' + " +
        "CONVERT(nvarchar(10), ISNULL(HAS_PERMS_BY_NAME(N'model', N'DATABASE', N'BACKUP DATABASE'), 0));"))) {
    return Add-SqlFailure $instance 'ConnectFailed'
  }
  if ("$($run.Sql.Rows)".Contains('~backup~1')) { return $true }
  return Add-Failure $instance.Name 'BackupNotPermitted' "$(Get-LoginName) may not back up model"
}

function Add-Seen($instance, $held) {
  $inspection.Instances++
  $holds = ''
  $said = 'a version that no marker vouches for'
  if ($held) {
    $holds = ',"holds":"' + $held + '"'
    $said = $held
  }
  $inspection.Seen += '{"instance":"' + (ConvertTo-JsonText $instance.Name) + '","product":"' + $instance.Product + '"' +
    $holds + '}'
  Write-Log "$($instance.Name): version $($instance.Product), holds $said"
}

function Write-Answer {
  $inspected = ",""inspected"":{""instances"":$($inspection.Instances),""seen"":["
  $answer = (Get-Answer ($inspected.Length + 3)) + $inspected
  Send-Answer ($answer + (Get-WhatFits $inspection.Seen) + ']}}')
}

exit (Invoke-Document)
