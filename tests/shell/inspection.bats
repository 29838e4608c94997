#!/usr/bin/env bats
# What a host says that is only looked at, and that nothing which changes anything can be said at all.

load load

setup() {
  load_script inspect
  rotation=sql-backups endpoint=localhost version=f1b2c3d4-0000-4000-8000-000000000001 product=16.0.4165.4
}

@test "an inspection's answer says what was seen" {
  version=v
  record_seen v 2>/dev/null
  endpoint=sql-2,1434 product=17.0.1000.6
  record_seen '' 2>/dev/null
  equals "$(print_answer)" \
    '{"rotation":"sql-backups","version":"v","proved":0,"changed":0,"nothingToHold":0,"failed":0,"failures":[],"blocking":[],"inspected":{"instances":2,"seen":[{"instance":"localhost","product":"16.0.4165.4","holds":"v"},{"instance":"sql-2,1434","product":"17.0.1000.6"}]}}'
}

@test "its counts stay whole and failures come first, however little fits" {
  local -i number
  for number in {1..50}; do
    endpoint=sql-$number.example.com,14$number
    record_seen "$version" 2>/dev/null
    if ((number % 2)); then fail_instance BackupNotPermitted "$(printf '"%.0s' {1..300})" 2>/dev/null; fi
    print_answer || return 1
  done >"$BATS_TEST_TMPDIR/answers"
  equals "$(read_answers 'answer["inspected"]["instances"]' <"$BATS_TEST_TMPDIR/answers" | tail -n 1)" 50
  equals "$(read_answers 'len(answer["failures"])' <"$BATS_TEST_TMPDIR/answers" | tail -n 1)" 3
  (($(longest_line "$BATS_TEST_TMPDIR/answers") <= 1950))
}

@test "an answer is filled up to 1,950 bytes and never above, so that 50 of the contract's 2,000 stay free" {
  local -i length longest
  for length in {1..240}; do
    seen=() instances=0 endpoint=$(printf "%${length}s" '')
    for _ in {1..50}; do record_seen '' 2>/dev/null; done
    print_answer || return 1
  done >"$BATS_TEST_TMPDIR/answers"
  longest=$(longest_line "$BATS_TEST_TMPDIR/answers")
  ((longest <= 1950 && longest > 1900)) || { echo "$longest bytes"; return 1; }
}

@test "only a clear yes is the right to back up model" {
  local said
  administrator=rotator
  run_sql() { sql_output=$said; }
  for said in '~backup~0' NULL '' '(1 rows affected)'; do
    failures=()
    require_right_to_back_up 2>/dev/null
    [[ ${failures[0]} == *'"error":"BackupNotPermitted"'* ]] || { echo "$said: ${failures[*]}"; return 1; }
  done
  said=$'~backup~1\n\n(1 rows affected)' failures=()
  require_right_to_back_up
  equals "${#failures[@]}" 0
}

@test "an inspection knows no function that changes anything" {
  local name
  for name in write_marker drop_leftovers back_up replace_every_credential put_back with_access_key prove_by_signed_call; do
    refuses declare -F "$name"
  done
}

@test "each document's files are one script in which shellcheck misses nothing" {
  local document kind
  for document in apply inspect; do
    for kind in credential login; do
      # Of what the first files set and define, an inspection leaves some unread.
      parts_of "$document" "$kind" | shellcheck --norc --shell=bash --exclude=SC2034,SC2317 -
    done
  done
}
