# Looks at the rotation's logins on every SQL Server instance of this host as a rotation would find them, and changes
# nothing: no login, no right, no marker. Follows host/windows.ps1 and host/logins.ps1; the same as inspect.sh, word for
# word.
#
# What would stand in the way of a rotation is a failure here by the name that it would have there. Nobody logs in by
# the logins themselves, so that none is locked. All that is written is the host's own log, and the event log.

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
  Read-WantedPassword
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
  Confirm-Holder
}

# Everything that stands in the way is told at once, so that a person mends it once.
function Show-Instance($instance) {
  if (-not (Test-AskedFor $instance) -or -not (Test-Server $instance)) { return }
  $instance.Sids = ''
  $instance.Replica = $null
  $instance.AreHeld = $true
  [void](Confirm-PasswordLogin $instance)
  if (Confirm-ServerRight $instance) {
    [void](Confirm-Replica $instance)
    if (-not (Find-Place $instance)) { return }
    foreach ($name in $instance.Places) {
      if (-not (Show-Place $instance (Read-Place $instance $name))) { return }
    }
  }
  Add-Seen $instance
}

function Show-Place($instance, $place) {
  if (-not $place.Known -or -not (Test-HeldHere $instance $place)) { return $false }
  $areThere = $true
  for ($number = 0; $number -lt $command.Logins.Length; $number++) {
    [void](Confirm-Login $instance $place $number)
    Add-SeenLogin $instance $place $number
    if ('missing' -eq $place.Logins[$number].State) {
      $areThere = $false
    } elseif (Test-Next $number) {
      [void](Confirm-RightOver $instance $place $number)
      if (Test-Alternating) { [void](Confirm-NoSession $instance $place $number) }
    }
  }
  if ((Test-Alternating) -and 'false' -eq $command.Provision -and $areThere) {
    [void](Confirm-EqualRight $instance $place)
  }
  return $true
}

function Add-SeenLogin($instance, $place, $number) {
  $login = $place.Logins[$number]
  $sid = 'none'
  if ($login.Sid) { $sid = $login.Sid }
  if (-not $place.Name) { $instance.Sids += "$($command.Logins[$number])=$sid`n" }
  $version = $wanted.Versions[$number]
  if ($version -and $version -cne (Get-BelievedLoginVersion $instance $login)) { $instance.AreHeld = $false }
}

function Add-Seen($instance) {
  $inspection.Instances++
  $more = ''
  $said = 'a version that no marker vouches for'
  if ($instance.Held -and $instance.AreHeld -and $instance.Held -ceq $run.Version) {
    $more = ',"holds":"' + $instance.Held + '"'
    $said = $instance.Held
  }
  if ($null -ne $instance.Replica) {
    $replica = $instance.Replica
    $more += ',"replica":{"group":"' + (ConvertTo-JsonText $replica.Group) + '","role":"' + $replica.Role +
      '","replicas":' + $replica.Count + ',"sids":"' + (Get-Sha256 $instance.Sids).Substring(0, 8) + '"}'
  }
  $inspection.Seen += '{"instance":"' + (ConvertTo-JsonText $instance.Name) +
    '","product":"' + $instance.Product + '"' + $more + '}'
  Write-Log "$($instance.Name): version $($instance.Product), holds $said"
}

function Write-Answer {
  $inspected = ",""inspected"":{""instances"":$($inspection.Instances),""seen"":["
  $answer = (Get-Answer ($inspected.Length + 3)) + $inspected
  Send-Answer ($answer + (Get-WhatFits $inspection.Seen) + ']}}')
}

exit (Invoke-Document)
