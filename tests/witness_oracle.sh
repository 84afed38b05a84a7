#!/usr/bin/env bash
# Runs tests/witness_oracle.py with the packages that it needs: witness_oracle.sh USAGE_LEDGER
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
    echo "skipped: the other implementation of witnesses needs Python 3.12, this is $("$python" --version)" >&2
    exit 0
fi
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
"$python" -m venv "$venv"
"$venv/bin/pip" install -q aics-witness==0.1.0 aics-tlog==0.2.1
"$venv/bin/python" tests/witness_oracle.py "$1"
