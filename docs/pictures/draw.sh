#!/usr/bin/env bash
# Draws the pictures of the README from real output: docs/pictures/draw.sh PATH_OF_usage-ledger
# Needs tmux and Python with the package `rich`.
set -euo pipefail
bin=$(realpath "$1"); cd "$(dirname "$0")"
dir=$(mktemp -d); trap 'rm -rf "$dir"; tmux -L usage-ledger kill-server 2>/dev/null || true' EXIT
export USAGE_LEDGER="$dir/usage.db" HOME="$dir" TZ=UTC USAGE_LEDGER_NOW=2026-06-12T16:20:00Z
tmux -L usage-ledger new-session -d -s idle 'sleep 600' # keeps the server between the pictures
at() { "$bin" --now "$@" >/dev/null; }
at 2026-06-06T07:00:00Z limit set anthropic --session 60000 --weekly 900000
at 2026-06-12T15:00:00Z record --jsonl <(awk -F'"occurred_at": "' 'substr($2, 1, 16) < "2026-06-12T15:00"' calls.jsonl)
at 2026-06-12T15:00:00Z switch openai --reason "session at 70 %"
at 2026-06-12T15:40:00Z switch anthropic --reason "back to work"
at 2026-06-12T16:20:00Z record --jsonl calls.jsonl
draw() { # NAME WIDTH HEIGHT COMMAND...
  local name=$1 width=$2 height=$3; shift 3
  tmux -L usage-ledger new-session -d -s picture -x "$width" -y "$height" "env USAGE_LEDGER=$USAGE_LEDGER HOME=$HOME TZ=UTC USAGE_LEDGER_NOW=$USAGE_LEDGER_NOW COLORTERM=truecolor $bin $*; sleep 20"
  for _ in $(seq 50); do tmux -L usage-ledger capture-pane -p -t picture | grep -q '[^[:space:]]' && break; sleep 0.1; done
  sleep 0.5
  tmux -L usage-ledger capture-pane -e -p -t picture | python3 -c "
import sys
from rich.console import Console
from rich.text import Text
console = Console(record=True, width=$width, file=open('/dev/null', 'w'))
console.print(Text.from_ansi(sys.stdin.read().rstrip()))
console.save_svg('$name.svg', title='usage-ledger $*')"
  tmux -L usage-ledger kill-session -t picture
}
draw report 90 16 report --by provider,model
draw watch 100 32 watch
