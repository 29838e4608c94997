# Windows, as far as the scripts for Windows touch it, on a machine that has none: these functions stand between a
# script's own definitions and its last line, and take the place of those of the same names.
#
# The registry, the services and the cluster are lines of the file that CREDENTIAL_ROTATION_FIXTURE names, written by the
# host's model before each command: path|name|value, service|name|state, cluster|virtual name|node|state. SQL Server is
# the stand-in `sqlcmd`, a real process. Secrets Manager and STS need no replacement: the script starts `aws`, and finds
# the stand-in.

# The lines whose first words, of a fixed number, are these.
function Find-Fixture([string[]] $words) {
  $found = @()
  foreach ($line in [IO.File]::ReadAllLines($env:CREDENTIAL_ROTATION_FIXTURE)) {
    $parts = $line.Split([char[]]'|')
    $matching = $parts.Length -gt $words.Length
    for ($index = 0; $matching -and $index -lt $words.Length; $index++) {
      $matching = $parts[$index] -eq $words[$index]
    }
    if ($matching) { $found += , $parts }
  }
  return , $found
}

function Get-RegistryValue($path, $name) {
  foreach ($parts in (Find-Fixture $path, $name)) { return $parts[2] }
  return $null
}

function Get-RegistryValueName($path) {
  foreach ($parts in (Find-Fixture $path)) { $parts[1] }
}

function Get-RegistrySubkeyName($path) {
  $names = @()
  foreach ($line in [IO.File]::ReadAllLines($env:CREDENTIAL_ROTATION_FIXTURE)) {
    if (-not $line.StartsWith("$path\", [StringComparison]::OrdinalIgnoreCase)) { continue }
    $name = $line.Substring($path.Length + 1).Split([char[]]'\|')[0]
    if ($names -notcontains $name) { $names += $name }
  }
  return $names
}

function Get-ServiceState($name) {
  foreach ($parts in (Find-Fixture 'service', $name)) { return $parts[2] }
  return $null
}

function Get-ClusterOwner($virtualName) {
  foreach ($parts in (Find-Fixture 'cluster', $virtualName)) { return @{ Node = $parts[2]; State = $parts[3] } }
  return $null
}

function Get-NodeName {
  return 'LOCALHOST'
}

function Get-FullComputerName {
  return 'localhost'
}

function Protect-StateDirectory($path) {
  return
}

function Write-EventLogEntry($text, $isFailure) {
  return
}

function Invoke-SqlBatch($instance) {
  $arguments = "-S $(Get-QuotedArgument $instance.DataSource) -b -x -r 1 -h -1 -W -w 4096 -l 8 -t 120 -N -i /dev/stdin"
  if ($batch.Login) { $arguments += " -U $(Get-QuotedArgument $batch.Login)" } else { $arguments += ' -E' }
  if ($batch.Database) { $arguments += " -d $(Get-QuotedArgument $batch.Database)" }
  if ('true' -ceq $command.TrustCertificate) { $arguments += ' -C' }
  $start = [Diagnostics.ProcessStartInfo]::new('sqlcmd', $arguments)
  $start.UseShellExecute = $false
  $start.RedirectStandardInput = $true
  $start.RedirectStandardOutput = $true
  $start.RedirectStandardError = $true
  $start.EnvironmentVariables['SQLCMDPASSWORD'] = $batch.Password
  $process = [Diagnostics.Process]::Start($start)
  $process.StandardInput.Write($batch.Statement + "`nGO`n")
  $process.StandardInput.Close()
  $complaint = $process.StandardError.ReadToEndAsync()
  $rows = @($process.StandardOutput.ReadToEnd().Split([char[]]"`n", [StringSplitOptions]::RemoveEmptyEntries))
  $process.WaitForExit()
  $said = $complaint.GetAwaiter().GetResult()
  # The driver passes this one on without its number.
  if ($said.Contains('Logon failed for login')) { $said = "Msg 17892, $said" }
  if (0 -eq $process.ExitCode) { return @{ Rows = $rows; Number = 0; Message = '' } }
  return @{ Rows = @(); Number = Get-SaidNumber $said; Message = $said }
}

# SqlClient's numbers out of sqlcmd's words: by phrases, where the driver passes on a message without its number.
function Get-SaidNumber($said) {
  $message = [regex]::Match($said, 'Msg ([0-9]+),')
  if ($said.Contains('Query timeout expired')) { return -2 }
  if ($said.Contains('Cannot open database')) { return 4060 }
  if ($said.Contains('currently locked out')) { return 18486 }
  if ($said.Contains('account is disabled')) { return 18470 }
  if ($said.Contains('Login failed for user')) { return 18456 }
  if ($said.Contains('Logon failed for login')) { return -1 }
  if ($message.Success) { return [int]$message.Groups[1].Value }
  return -1
}
