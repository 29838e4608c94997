#!/usr/bin/env bats
# A host reads secrets that are JSON with bash alone: a database host may have no other tool. What it takes, what it
# refuses, and that a hostile value stays a value.

load load

setup() { load_script apply; }

@test "an object's strings are read, whatever white space stands between" {
  parse_flat_object $' {\n\t"username" : "sa" ,"password":"p"\r\n} '
  equals "${members[username]}" sa
  equals "${members[password]}" p
}

@test "numbers, true and null are passed over" {
  parse_flat_object '{"port":1433,"scale":-1.5e+3,"encrypt":true,"host":null,"username":"sa"}'
  equals "${!members[*]}" username
}

@test "of two members with one name the last counts, as in every JSON reader" {
  parse_flat_object '{"username":"first","username":"last"}'
  equals "${members[username]}" last
}

@test "what an earlier secret left is forgotten" {
  parse_flat_object '{"password":"old"}'
  parse_flat_object '{"username":"sa"}'
  equals "${members[password]-nothing}" nothing
}

@test "what is no flat object is refused" {
  local text
  local refused=(
    '' ' ' 'null' '"text"' '[]' '["a"]' '{' '{}' '}' '{"a"}' '{"a":}' '{"a":"b"' '{"a":"b",}' '{"a" "b"}' '{a:"b"}'
    "{'a':'b'}" '{"a":"b"}{"c":"d"}' '{"a":"b"} and more' '{"a":{"b":"c"}}' '{"a":["b"]}' '{"a":"b","c":{}}' '{"a":"b""c"}'
    '{"a":"unfinished\"}' '{"a":"b":"c"}'
  )
  for text in "${refused[@]}"; do
    refuses parse_flat_object "$text" || { echo "taken: $text"; return 1; }
  done
}

@test "every escape of JSON is undone" {
  unescape '\"\\\/\b\f\n\r\t'
  equals "$unescaped" $'"\\/\b\f\n\r\t'
}

@test "escapes are undone once, from left to right" {
  unescape '\\n\\\\u0041\u005cn'
  equals "$unescaped" '\n\\u0041\n'
}

@test "an escape that JSON does not know is refused" {
  local text
  for text in '\x41' '\a' "\\'" '\u' '\u12' '\u12G4' '\U0041' '\0' '\ '; do
    refuses unescape "$text" || { echo "taken: $text"; return 1; }
  done
}

@test "a code point becomes its UTF-8 bytes, at every edge of their length" {
  local edge
  for edge in 1:01 7F:7f 80:c280 7FF:dfbf 800:e0a080 20AC:e282ac FFFF:efbfbf 10000:f0908080 1F511:f09f9491 10FFFF:f48fbfbf; do
    unescaped=''
    append_utf8 "$((16#${edge%:*}))"
    equals "$(bytes_of "$unescaped")" "${edge#*:}"
  done
}

@test "two halves make one character" {
  unescape 'a\ud83d\udd11b\uD83D\uDD11c'
  equals "$(bytes_of "$unescaped")" 61f09f949162f09f949163
}

@test "a half without its other half swallows nothing of what follows" {
  local text
  for text in '\ud83dkey' '\ud83d\nkey' '\ud83d\u0041key' '\ud83d\ud83dkey' '\udd11key'; do
    unescape "$text"
    [[ $unescaped == *key ]] || { echo "swallowed: $text"; return 1; }
  done
  unescape '\ud83d\u0041'
  [[ $unescaped == *A ]]
}

@test "a character that was never escaped keeps its bytes" {
  parse_flat_object '{"password":"é€🔑"}'
  equals "$(bytes_of "${members[password]}")" c3a9e282acf09f9491
}

@test "nothing in a value or a name is run or expanded" {
  cd "$BATS_TEST_TMPDIR"
  parse_flat_object '{"password":"$(touch ran) `touch ran` ${HOME} * ; touch ran #","$(touch ran)":"a","x]=1; touch ran; y[":"b"}'
  equals "${members[password]}" '$(touch ran) `touch ran` ${HOME} * ; touch ran #'
  [[ ! -e ran ]]
}

@test "a name that bash would take for every element is a name" {
  parse_flat_object '{"@":"at","*":"star","username":"sa"}'
  equals "${members[username]}" sa
}

@test "an access key is read from AKID:SECRET and from JSON in either spelling" {
  local value
  local values=(
    'AKIAIOSFODNN7EXAMPLE:wJalr/XUtn+FEMI'
    '{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"wJalr/XUtn+FEMI"}'
    '{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalr\/XUtn\u002bFEMI"}'
    $'AKIAIOSFODNN7EXAMPLE:wJalr/XUtn+FEMI\r\n'
    $'\n {"UserName":"u","AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"wJalr/XUtn+FEMI","n":1}\n'
  )
  for value in "${values[@]}"; do
    read_access_key "$value"
    equals "$access_key_id" AKIAIOSFODNN7EXAMPLE
    equals "$secret_access_key" wJalr/XUtn+FEMI
  done
}

@test "what SQL Server could not split at the colon, or could not hold, is no access key" {
  local value
  local refused=(
    '' ':' 'AKIAIOSFODNN7EXAMPLE' 'AKIAIOSFODNN7EXAMPLE:' ':secret' 'AKIAIOSFODNN7EXAMPLE:se:cret'
    'AKIASHORT:secret' 'AKIA-OSFODNN7EXAMPLE:secret' 'AKIAIOSFODNN7EXAMPLE:se cret' $'AKIAIOSFODNN7EXAMPLE:se\ncret'
    'AKIAIOSFODNN7EXAMPLE:sécret' '{"accessKeyId":"AKIAIOSFODNN7EXAMPLE"}' '{"secretAccessKey":"secret"}'
    '{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"se:cret"}'
    '{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":"se\ncret"}'
    '{"accessKeyId":"AKIAIOSFODNN7EXAMPLE","secretAccessKey":{"value":"secret"}}' "{}" 'null'
  )
  for value in "${refused[@]}"; do
    refuses read_access_key "$value" || { echo "taken: $value"; return 1; }
  done
}

@test "a value that is refused leaves no half of an earlier key behind" {
  read_access_key AKIAIOSFODNN7EXAMPLE:secret
  refuses read_access_key '{"broken":'
  equals "$access_key_id$secret_access_key" ''
}
