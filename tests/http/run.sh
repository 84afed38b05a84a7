#!/usr/bin/env bash
# The HTTP API against programs that share no code with it: the example loops and schemathesis.
#
# tests/http/run.sh PATH_OF_USAGE_LEDGER
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
command="$(realpath "$1")"
. "$root/tests/servers.sh"
export HOME="$work" USAGE_LEDGER="$work/usage.db" USAGE_LEDGER_NOW=

"$command" key generate "$work/ledger.key" >/dev/null 2>&1
"$command" serve --listen 127.0.0.1:0 --key "$work/ledger.key" >"$work/serve" &
servers+=($!)
python3 "$here/fake_model.py" >"$work/model" &
servers+=($!)
ledger="$(address "$work/serve")"
model="$(address "$work/model")"

python3 "$root/examples/agent_loop.py" "$ledger" "$model"
calls=3
# Says that a program cannot be had; with REQUIRE_HTTP_TOOLS=1 that is an error.
absent() {
    echo "$1 cannot be installed: its checks are left out" >&2
    [ -z "${REQUIRE_HTTP_TOOLS:-}" ]
}
# Node 22.6 reads types itself; an older one gets the file without them.
if node --experimental-strip-types -e '' 2>/dev/null; then
    node --experimental-strip-types --no-warnings "$root/examples/agent_loop.ts" "$ledger" "$model"
    calls=6
else
    cache="${XDG_CACHE_HOME:-/tmp}/usage-ledger-esbuild"
    [ -x "$cache/node_modules/.bin/esbuild" ] ||
        npm install --silent --no-audit --no-fund --prefix "$cache" esbuild@0.25 || absent esbuild
    if [ -x "$cache/node_modules/.bin/esbuild" ]; then
        "$cache/node_modules/.bin/esbuild" "$root/examples/agent_loop.ts" --format=esm --outfile="$work/agent_loop.mjs" \
            --log-level=error
        node "$work/agent_loop.mjs" "$ledger" "$model"
        calls=6
    fi
fi
"$command" --json report --by agent,project | python3 -c '
import json, sys
rows = json.load(sys.stdin)["rows"]
assert [(row["agent"], row["project"], row["requests"]) for row in rows] == [("my-agent", "acme", int(sys.argv[1]))], rows' "$calls"

venv="${SCHEMATHESIS_VENV:-${XDG_CACHE_HOME:-/tmp}/usage-ledger-schemathesis}"
if [ ! -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'schemathesis==4.32.5' || absent schemathesis
fi
cd "$work"
if [ -x "$venv/bin/schemathesis" ]; then
    "$venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run "$ledger/api/v1/openapi.json" --no-color \
        --phases examples,coverage,fuzzing --seed "${SCHEMATHESIS_SEED:-$RANDOM}"
fi
"$command" verify
