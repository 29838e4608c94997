# Loads the functions of a document's script for Linux into a test, without running it.
#
# What the whole script does on a host is shown by the table of situations (tests/sandbox/tests/situations). Here stand
# the functions that only turn one text into another: with inputs that no host of that table would ever send.

bats_require_minimum_version 1.5.0

documents=$BATS_TEST_DIRNAME/../../statemachine/documents

# A document's script, as the document splices it.
parts_of() { # apply or inspect, credential or login
  local kind=s3-$2
  if [[ $2 == login ]]; then kind=sql-login; fi
  cat "$documents/host/linux.sh" "$documents/host/$2s.sh"
  if [[ $1 == apply ]]; then cat "$documents/host/marker.sh"; fi
  cat "$documents/$1-$kind/$1.sh"
}

load_script() { # apply or inspect, credential (the default) or login
  [[ $(parts_of "$1" "${2-credential}" | tail -n 1) == main ]] || { echo "$* does not end with main"; return 1; }
  # The agent's variables, and a state directory that ends with the test.
  export AWS_SSM_INSTANCE_ID=i-0abc CREDENTIAL_ROTATION_STATE_DIRECTORY=$BATS_TEST_TMPDIR/state
  export CREDENTIAL_ROTATION_SQL_SERVER_PROGRAM=$BATS_TEST_TMPDIR/sqlservr CREDENTIAL_ROTATION_PATIENCE=0
  # A host's locale may count characters; the script is to count bytes all the same.
  export LC_ALL=C.UTF-8
  # What the script declares at its top level is to be global here too.
  # shellcheck source=/dev/null
  source <(parts_of "$1" "${2-credential}" | sed '$d; s/^declare -A/declare -gA/')
}

# The bytes of a text, as pairs of hexadecimal digits.
bytes_of() { # text
  printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'
}

# Fails, and says what was there in place of what was meant.
equals() { # actual, expected
  [[ $1 == "$2" ]] || { printf 'expected: %q\nactual:   %q\n' "$2" "$1"; return 1; }
}

# Fails if the command succeeds. Written as `! command`, a success would be passed over (bats stops at a failure only).
refuses() { # command, in this shell
  if "$@"; then return 1; fi
}

# Reads one answer a line and fails unless each is one JSON object; prints a Python expression's value for each.
read_answers() { # expression over answer
  python3 -c 'import json, sys
for line in sys.stdin: answer = json.loads(line); print(eval(sys.argv[1]))' "$1"
}

longest_line() { # file; in bytes
  LC_ALL=C awk '{ if (length($0) > longest) longest = length($0) } END { print longest }' "$1"
}
