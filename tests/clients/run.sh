#!/usr/bin/env bash
# The clients for Python and TypeScript, and `mcp` with the inspector's command line.
#
# tests/clients/run.sh PATH_OF_USAGE_LEDGER
#
# Builds the wheel and the npm package from this tree, installs them from the built files into a new environment and a new
# project, and tests them with the SDKs of OpenAI and Anthropic against a local server. Packages come from PyPI and npm;
# the tests themselves ask no other machine. Without the packages the checks are left out; with REQUIRE_CLIENT_TOOLS=1
# that is an error.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
command="$(realpath "$1")"
. "$root/tests/servers.sh"
cache="${XDG_CACHE_HOME:-/tmp}/usage-ledger-clients"
absent() {
    echo "$1 cannot be installed: its checks are left out" >&2
    [ -z "${REQUIRE_CLIENT_TOOLS:-}" ] && exit 0
    exit 1
}
step() { echo "== $1 (${SECONDS} s)"; }

step "the types of both clients are those of this build"
USAGE_LEDGER="$work/types.db" "$command" serve --listen 127.0.0.1:0 >"$work/serve" 2>&1 &
servers+=($!)
python3 - "$(address "$work/serve")" >"$work/openapi.json" <<'PYTHON'
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1] + "/api/v1/openapi.json", timeout=60).read().decode())
PYTHON
python3 "$root/clients/types.py" "$work/openapi.json" --check

python3 "$here/stub.py" >"$work/stub" &
servers+=($!)
stub="$(address "$work/stub")"

step "the wheel"
[ -x "$cache/venv/bin/mypy" ] && [ -x "$cache/venv/bin/maturin" ] || {
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet 'maturin==1.16.0' 'mypy==2.4.1' || absent "maturin and mypy"
}
# The profile and the directory of the tested command, so that the wheel needs no build of its own.
target="$(dirname "$(dirname "$command")")"
case "$(basename "$(dirname "$command")")" in debug) profile=dev ;; *) profile=release ;; esac
(cd "$root/clients/python" && "$cache/venv/bin/maturin" build --quiet --locked --profile "$profile" --target-dir "$target" \
    --strip false --compression-level 1 --auditwheel skip --out "$work/wheel")
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "$work"/wheel/*.whl 'openai==3.57.0' 'anthropic==2.14.0' || absent "the SDKs for Python"
step "the Python client"
export HOME="$work" USAGE_LEDGER_NOW=
cd "$work"
"$cache/venv/bin/mypy" --strict --cache-dir "$cache/mypy" --python-executable "$work/venv/bin/python" \
    "$here/python_client.py"
"$cache/venv/bin/mypy" --strict --cache-dir "$cache/mypy" "$root/clients/python/src"
"$work/venv/bin/python" -W ignore::DeprecationWarning "$here/python_client.py" "$stub"

step "the npm package"
mkdir "$work/project"
cd "$work/project"
cp "$here/typescript_client.ts" .
cat >package.json <<'JSON'
{ "name": "project", "private": true, "type": "module" }
JSON
npm install --silent --no-audit --no-fund openai@6.49.0 @anthropic-ai/sdk@1.14.0 typescript@7.0.2 @types/node@20.19.43 \
    --cache "$cache/npm" --prefer-offline || absent "the SDKs for TypeScript"
ln -s "$work/project/node_modules" "$work/node_modules"
cp -r "$root/clients/typescript" "$work/typescript"
TSC="$work/project/node_modules/.bin/tsc" node "$work/typescript/pack.mjs" "$command" "$work/package"
npm install --silent --no-audit --no-fund --cache "$cache/npm" --prefer-offline "$work"/package/*.tgz
rm "$work/node_modules"
step "the TypeScript client"
node_modules/.bin/tsc --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --target es2022 --module nodenext \
    --types node --lib es2023,esnext.disposable typescript_client.ts
node --no-deprecation typescript_client.js "$stub"
[ "$(node_modules/.bin/usage-ledger --version)" = "$("$command" --version)" ]

step "mcp with the inspector's command line"
# The last version of the command line that runs on Node 20.
[ -x "$cache/inspector/node_modules/.bin/mcp-inspector-cli" ] ||
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$cache/inspector" \
        @modelcontextprotocol/inspector-cli@0.15.0 || absent "the MCP inspector"
export USAGE_LEDGER="$work/mcp.db"
inspect() { "$cache/inspector/node_modules/.bin/mcp-inspector-cli" --cli "$command" mcp "$@"; }
"$command" limit set anthropic --session 1000 >/dev/null
inspect --allow-record --method tools/list >"$work/tools.json"
inspect --allow-record --method tools/call --tool-name record \
    --tool-arg provider=anthropic --tool-arg model=claude-opus-4-5 --tool-arg input=120 --tool-arg key=msg_1 >"$work/record.json"
inspect --method tools/call --tool-name gate --tool-arg provider=anthropic >"$work/gate.json"
inspect --method tools/call --tool-name report --tool-arg 'by=["model"]' >"$work/report.json"
inspect --method tools/call --tool-name gate --tool-arg provider=antropic >"$work/wrong.json"
python3 - "$work" <<'PYTHON'
import json, sys
load = lambda name: json.load(open(f"{sys.argv[1]}/{name}.json"))
tools = {tool["name"]: tool for tool in load("tools")["tools"]}
assert set(tools) == {"usage", "report", "gate", "forecast", "explain", "record"}, set(tools)
assert all(tool["outputSchema"]["type"] == "object" for tool in tools.values())
assert {name for name, tool in tools.items() if not tool["annotations"]["readOnlyHint"]} == {"record"}
assert load("record")["structuredContent"]["recorded"] == 1
gate = load("gate")["structuredContent"]
assert (gate["gated"], gate["evidence"]) == (False, [1, 2]), gate
row, = load("report")["structuredContent"]["rows"]
assert (row["model"], row["tokens"]["input"]) == ("claude-opus-4-5", 120), row
wrong = load("wrong")
assert wrong["isError"] and json.loads(wrong["content"][0]["text"])["candidates"] == ["anthropic"], wrong
PYTHON
"$command" verify
step "done"
