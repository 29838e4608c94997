#!/usr/bin/env bats
# What a host is asked for, and what it left on the host at an earlier command: neither is believed without a look.

load load

readonly OLD=f1b2c3d4-0000-4000-8000-000000000001 NEW=f1b2c3d4-0000-4000-8000-000000000002

setup() {
  load_script apply
  rotation=sql-backups hint=$NEW proof=backup proof_prefix=.credential-rotation create_missing=false
  secret_arn=arn:aws:secretsmanager:eu-west-1:111122223333:secret:sqlcredential-AbCdEf
  administrator_secret_arn=arn:aws:secretsmanager:eu-west-1:111122223333:secret:administrator-AbCdEf
  credentials='s3://bucket/prod s3://bucket/archive' foreign_credentials='' endpoints='localhost sql-2,1434?'
  trust_server_certificate=false
}

@test "good parameters are taken, and a question mark makes an endpoint optional" {
  check_parameters
  equals "${credential_urls[*]}" 's3://bucket/prod s3://bucket/archive'
  equals "${endpoint_names[*]}" 'localhost sql-2,1434'
  equals "${!may_be_absent[*]}" sql-2,1434
}

@test "a hostile or empty parameter is refused by name, whoever let it through" {
  local name value
  local hostile=('' ' ' '$(touch ran)' '`touch ran`' "';--" $'a\nb' '../../etc' '{{ rotation }}')
  cd "$BATS_TEST_TMPDIR"
  for name in rotation secret_arn hint administrator_secret_arn proof proof_prefix; do
    for value in "${hostile[@]}"; do
      run -2 --separate-stderr asked_with "$name" "$value"
      [[ $output == *'"error":"InvalidParameter"'* ]] || { echo "$name=$value: $output"; return 1; }
    done
  done
  [[ ! -e ran ]]
}

@test "nothing hostile hides before, in or behind a good value" {
  local name value good
  for name in rotation host hint proof proof_prefix credentials foreign_credentials; do
    good=${!name:-s3://bucket/foreign}
    for value in "$good\$(x)" "x\$$good" "'$good" "$good'" "$good;id" "$good"$'\n' $'\n'"$good" "${good:0:2};${good:2}"; do
      # Of a list the first line is taken, and nothing behind it is looked at.
      [[ $name == *credentials && $value == *$'\n'* ]] && continue
      run -2 --separate-stderr asked_with "$name" "$value"
      [[ $output == *'"error":"InvalidParameter"'* ]] || { echo "$name=$value: $output"; return 1; }
    done
  done
}

@test "a value is as long as the contract allows, and no longer" {
  local a
  printf -v a '%0.sa' {1..200}
  local longest=(rotation 32 hint 64 proof_prefix 40)
  local -i number
  for ((number = 0; number < ${#longest[@]}; number += 2)); do
    run -0 --separate-stderr asked_with "${longest[number]}" "${a:0:longest[number + 1]}"
    run -2 --separate-stderr asked_with "${longest[number]}" "${a:0:longest[number + 1] + 1}"
  done
  run -2 --separate-stderr asked_with hint "${a:0:31}"
  run -0 --separate-stderr asked_with credentials "s3://${a:0:123}"
  run -2 --separate-stderr asked_with credentials "s3://${a:0:124}"
  run -2 --separate-stderr asked_with foreign_credentials "s3://${a:0:124}"
}

@test "both kinds of proof are taken" {
  run -0 --separate-stderr asked_with proof none
  run -0 --separate-stderr asked_with proof backup
}

asked_with() { # parameter, value
  printf -v "$1" '%s' "$2"
  check_parameters
  check_proof
}

@test "no credential, no endpoint, and more credentials than the contract allows are refused" {
  run -2 --separate-stderr asked_with credentials ' '
  run -2 --separate-stderr asked_with endpoints ''
  run -2 --separate-stderr asked_with credentials "$(printf 's3://bucket/%d ' {1..21})"
  run -0 --separate-stderr asked_with credentials "$(printf 's3://bucket/%d ' {1..20})"
}

@test "a command that SSM did not send is refused" {
  local node
  for node in '' i- 'i-0abc; id' ip-10-0-0-1 xi-0abc; do
    run -2 --separate-stderr asked_with host "$node"
  done
  run -0 --separate-stderr asked_with host mi-0abc
}

@test "an asterisk in a list is a name and not the files of a folder" {
  cd "$BATS_TEST_TMPDIR" && touch sql-1 sql-2
  endpoints='sql-*'
  check_parameters
  equals "${endpoint_names[*]}" 'sql-*'
}

@test "the default endpoint is absent where SQL Server is not installed" {
  endpoint=localhost
  is_absent
  touch "$sql_server_program"
  refuses is_absent
}

@test "an optional endpoint is absent only where no command has ever proved it" {
  check_parameters
  endpoint=sql-2,1434
  is_absent
  marker["$endpoint"]="$OLD 2026-11-24T06:00:00Z dates"
  refuses is_absent
  endpoint=sql-3
  refuses is_absent
}

kept() { # lines of the marker
  check_parameters
  open_state_directory
  printf '%s\n' "$@" >"$marker_file"
  read_marker
}

@test "a marker's lines are read, and the version that lags stands for the host" {
  kept '# endpoint, version' "localhost $NEW 2026-11-24T06:00:00Z a+b+" "sql-2,1434 $OLD 2026-11-23T06:00:00Z c+"
  equals "${marker[localhost]}" "$NEW 2026-11-24T06:00:00Z a+b+"
  equals "$found" "$OLD"
}

@test "a line that is broken, or of an endpoint that is not asked for, says nothing" {
  kept "elsewhere $OLD 2026-11-23T06:00:00Z c+" 'localhost' 'localhost $(id) now x' "localhost ${OLD:0:20} now x" '' '[ ]'
  equals "${#marker[@]} $found" '0 '
}

@test "a marker is written whole or not at all" {
  kept "localhost $OLD 2026-11-23T06:00:00Z c+"
  ln -sf /dev/full "$marker_file.new"
  marker[localhost]="$NEW 2026-11-24T06:00:00Z d+"
  refuses write_marker
  grep -q "^localhost $OLD" "$marker_file"
}

@test "the version that was held is believed only while nobody has altered the credential" {
  endpoint=localhost modify_dates=a+
  equals "$(believed_version)" ''
  marker[localhost]="$OLD 2026-11-23T06:00:00Z a+"
  equals "$(believed_version)" "$OLD"
  modify_dates=b+
  equals "$(believed_version)" ''
  marker[localhost]="$NEW 2026-11-24T06:00:00Z b+"
  equals "$(believed_version)" "$NEW"
}

@test "the marker alone is no proof, and a backup alone is none" {
  prove_through_held() { asked+=("$1"); [[ $1 != "${refused-}" ]]; }
  local asked=()
  check_parameters
  version=$NEW
  refuses holds_target_already ''
  refuses holds_target_already "$OLD"
  equals "${#asked[@]}" 0
  holds_target_already "$NEW"
  equals "${asked[*]}" "${credential_urls[*]}"
  refused=s3://bucket/archive
  refuses holds_target_already "$NEW"
}

@test "a log that has grown too long gives way to a new one, and one predecessor is kept" {
  mkdir "$state_directory"
  head -c "$((LOG_LIMIT_BYTES + 1))" /dev/zero >"$state_directory/$rotation.log"
  open_state_directory
  [[ -e $log_file.1 && ! -e $log_file ]]
  head -c "$LOG_LIMIT_BYTES" /dev/zero >"$log_file"
  open_state_directory
  [[ -e $log_file ]]
}
