#!/usr/bin/env bats
# What a host says: one JSON object that SSM does not cut, with no secret in it, and an exit code of its own list.

load load

setup() {
  load_script apply
  rotation=sql-backups endpoint=localhost
}

@test "quotes and backslashes are escaped, and what is not printable becomes a blank" {
  equals "$(json_text $'a"b\\c\nd\te\x01f\x7fg')" 'a\"b\\c d e f g'
}

@test "bytes are counted, whatever the locale of the host" {
  equals "$(json_text é)" '  '
}

@test "a text is cut before it is escaped, so that no escape is cut in two" {
  local text
  text=$(json_text "$(printf '"%.0s' {1..500})")
  equals "${#text}" "$((2 * MESSAGE_LIMIT_BYTES))"
}

@test "every byte can stand in a message, and the answer stays JSON" {
  local bytes='' code
  for code in {1..255}; do bytes+=$(printf '%b.' "$(printf '\\x%02x' "$code")"); done
  failed=2
  failures=("{\"message\":\"$(json_text "$bytes")\"}" "{\"message\":\"$(json_text "${bytes:240}")\"}")
  equals "$(print_answer | read_answers 'len(answer["failures"])')" 2
}

@test "no message holds the secret access key or the administrator's password, in any spelling that a tool may echo" {
  administrator_password='p[a*]s?s'
  read_access_key "AKIAIOSFODNN7EXAMPLE:it's/se+cret"
  equals "$(without_secrets "SECRET = N'AKIA:it''s/se+cret' -P p[a*]s?s it's/se+cret")" "SECRET = N'AKIA:***' -P *** ***"
}

@test "a password that is a pattern takes out itself and nothing else" {
  administrator_password='*'
  equals "$(without_secrets 'all of this stays')" 'all of this stays'
}

@test "no secret means that nothing is taken out" {
  secret_values=('' '') administrator_password=''
  equals "$(without_secrets 'all of this stays')" 'all of this stays'
}

@test "a secret at the place where a message is cut is taken out whole" {
  local text
  read_access_key AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMIK7MDENG
  printf -v text '%*s%s' "$((MESSAGE_LIMIT_BYTES - 5))" '' "$secret_access_key"
  [[ $(json_text "$text") != *wJal* ]]
}

@test "the log holds no secret, on the host and in what SSM sends on" {
  read_access_key AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMIK7MDENG
  mkdir "$state_directory"
  log_file=$state_directory/log
  log "with wJalrXUtnFEMIK7MDENG in it" 2>"$BATS_TEST_TMPDIR/stderr"
  [[ $(<"$log_file") == *"with *** in it" && $(<"$BATS_TEST_TMPDIR/stderr") == *"with *** in it" ]]
}

@test "an answer says what was counted" {
  version=v found=f proved=3 nothing_to_hold=2 failed=1 changed=([a]=1 [b]=1)
  equals "$(print_answer)" '{"rotation":"sql-backups","version":"v","found":"f","proved":3,"changed":2,"nothingToHold":2,"failed":1,"failures":[],"blocking":[]}'
}

@test "an answer is never longer than SSM keeps, however many instances fail or are blocked, and the counts stay whole" {
  local -i number
  version=f1b2c3d4-0000-4000-8000-000000000001 found=f1b2c3d4-0000-4000-8000-000000000002
  for number in {1..50}; do
    endpoint=sql-$number.example.com,14$number
    fail_instance ProofFailedNotRestored "$(printf '"%.0s' {1..300})" 2>/dev/null
    blocking+=("{\"instance\":\"$endpoint\",\"credential\":\"s3://bucket-$number/prod\",\"why\":\"shadows\"}")
    print_answer
  done >"$BATS_TEST_TMPDIR/answers"
  equals "$(wc -l <"$BATS_TEST_TMPDIR/answers")" 50
  equals "$(read_answers 'answer["failed"]' <"$BATS_TEST_TMPDIR/answers" | tail -n 1)" 50
  equals "$(read_answers 'len(answer["failures"]) > 0' <"$BATS_TEST_TMPDIR/answers" | sort -u)" True
  # The contract says 2,000 bytes; SSM lists 2,500 characters.
  (($(longest_line "$BATS_TEST_TMPDIR/answers") < 2000))
}

@test "an answer is filled up to 1,950 bytes and never above, so that 50 of the contract's 2,000 stay free" {
  local -i length
  endpoint=localhost
  for length in {1..240}; do
    failed=0 failures=()
    for _ in {1..12}; do fail_instance ProofFailed "$(printf "%${length}s" '')" 2>/dev/null; done
    # One that fits to the byte makes an arithmetic command false: bats would stop at it, the script does not.
    print_answer || return 1
  done >"$BATS_TEST_TMPDIR/answers"
  local -i longest
  longest=$(longest_line "$BATS_TEST_TMPDIR/answers")
  ((longest <= 1950 && longest > 1900)) || { echo "$longest bytes"; return 1; }
}

answer_and_be_stopped() { # signal
  trap 'fail_host Interrupted "stopped by a signal"' TERM INT HUP
  print_answer
  kill -s "$1" "$BASHPID"
  echo "went on"
}

@test "after the answer no signal prints a second one" {
  local signal
  for signal in TERM INT HUP; do
    run -0 --separate-stderr answer_and_be_stopped "$signal"
    equals "${#lines[@]} ${lines[1]}" "2 went on"
  done
}

@test "the exit code says how far the host came" {
  run -2 --separate-stderr fail_host SecretNotReadable refused
  run -3 --separate-stderr fail_host VersionNotVisibleYet "not yet"
  touched=true
  run -1 --separate-stderr fail_host Interrupted stopped
  run -0 --separate-stderr answer_and_exit
  failed=1
  run -1 --separate-stderr answer_and_exit
}

@test "no exit code is one that the SSM agent gives a meaning of its own" {
  local name
  for name in "${!EXIT_@}"; do
    [[ ${!name} != 194 && ${!name} != 168 && ${!name} != 169 && ${!name} != 3010 ]]
  done
}
