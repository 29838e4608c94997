# shellcheck shell=bash
# How a document that changes a host writes down what it has proved there. One that inspects goes without.

# Written beside and renamed, so that a host that dies here has the old marker or the new one.
write_marker() {
  local endpoint
  {
    printf '# endpoint, version held, since when, modify dates of its credentials\n' || return 1
    for endpoint in "${!marker[@]}"; do
      printf '%s %s\n' "$endpoint" "${marker["$endpoint"]}" || return 1
    done
  } 2>/dev/null >"$marker_file.new" && mv -f "$marker_file.new" "$marker_file"
}
