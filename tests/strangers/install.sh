#!/usr/bin/env bash
# Installs the Debian packages of programs that are missing, or says what to install to who may not: PROGRAM, or
# PROGRAM=PACKAGE where the package has another name.

set -euo pipefail

missing=()
for wanted in "$@"; do
  command -v "${wanted%=*}" >/dev/null || missing+=("${wanted#*=}")
done
if ((${#missing[@]} == 0)); then exit; fi

if ! command -v apt-get >/dev/null; then
  printf 'error: these are missing, and there is no apt-get to install them: %s\n' "${missing[*]}" >&2
  exit 1
fi
if [[ $(id -u) != 0 ]]; then
  printf 'error: packages are missing; run as root: apt-get update && apt-get install %s\n' "${missing[*]}" >&2
  exit 1
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
