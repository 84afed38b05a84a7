#!/usr/bin/env bash
# The web page in a browser: tests/web/run.sh PATH_OF_USAGE_LEDGER [DIRECTORY_FOR_PICTURES]
#
# Needs Node 20, Debian's chromium, and playwright-core and axe-core from npm. Without them the checks are left out, unless
# REQUIRE_WEB_TOOLS=1.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
command="$(realpath "$1")"
pictures="${2:+$(realpath -m "$2")}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

absent() {
    echo "$1: the checks of the web page in a browser are left out" >&2
    if [ -n "${REQUIRE_WEB_TOOLS:-}" ]; then exit 1; else exit 0; fi
}
# What needs no browser.
node "$here/hashes.mjs" "$here/../../src/web/page"

browser="$(command -v chromium || command -v chromium-browser || true)"
[ -n "$browser" ] || absent "chromium is not installed"
tools="${WEB_TOOLS:-${XDG_CACHE_HOME:-/tmp}/usage-ledger-web-tools}"
if [ ! -d "$tools/node_modules/playwright-core" ] || [ ! -d "$tools/node_modules/axe-core" ]; then
    npm install --silent --no-audit --no-fund --prefix "$tools" playwright-core@1.65.1 axe-core@4.14.1 ||
        absent "playwright-core and axe-core cannot be installed"
fi
export HOME="$work/home" XDG_CACHE_HOME="$work/cache" TZ=UTC
unset USAGE_LEDGER_NOW USAGE_LEDGER_TOKEN
mkdir -p "$HOME"
WEB_TOOLS="$tools" BROWSER_PATH="$browser" node "$here/page.mjs" "$command" "$work" ${pictures:+"$pictures"}
WEB_TOOLS="$tools" BROWSER_PATH="$browser" node "$here/attacks.mjs" "$command" "$work"
