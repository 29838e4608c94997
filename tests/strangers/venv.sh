#!/usr/bin/env bash
# Makes the Python environment of the strangers' tools, once for each content of requirements.txt, and prints its folder.
#
# It lies outside the checkout, so that a fresh clone on the same machine finds it. What no wheel holds is installed
# where it is missing: chromium for the report's page, curl for the README's commands.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A service may run without HOME.
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}

# Microsoft's T-SQL parsers lie in this wheel. It was made for an older Python and an older name of its platform, so
# that pip takes it only where it is asked for by name; of its content only the two libraries are kept.
readonly PARSERS_WHEEL=mssql-cli==1.0.0
readonly PARSERS=(Microsoft.SqlServer.TransactSql.ScriptDom.dll Microsoft.SqlServer.SqlParser.dll)

fill() { # folder
  python3 -m venv --clear "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2
  mkdir "$1/wheel" "$1/tsql-parsers"
  "$1/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --platform manylinux1_x86_64 --python-version 3.7 --dest "$1/wheel" "$PARSERS_WHEEL" >&2
  "$1/bin/python" -m zipfile -e "$1"/wheel/*.whl "$1/wheel"
  (cd "$1/wheel/mssqlcli/mssqltoolsservice/bin" && mv "${PARSERS[@]}" "$1/tsql-parsers")
  rm -r "$1/wheel"
}

programs=(chromium chromedriver=chromium-driver curl)
# Debian's python3 alone makes no environments.
python3 -c 'import ensurepip' 2>/dev/null || programs+=(ensurepip=python3-venv)
"$here/install.sh" "${programs[@]}" >&2
key=$(cat "$here/requirements.txt" "${BASH_SOURCE[0]}" | sha256sum)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/credential-rotation/strangers-${key:0:16}
mkdir -p "${folder%/*}"
# Two runs at once: the second waits for the first. One that was stopped in the middle left no mark, and is made anew.
exec {lock}>"$folder.lock"
flock "$lock"
if [[ ! -e $folder/complete ]]; then
  fill "$folder"
  touch "$folder/complete"
fi
printf '%s\n' "$folder"
