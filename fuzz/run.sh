#!/usr/bin/env bash
# Fuzzes each target for so many seconds: run.sh SECONDS [TARGET…]
# Needs cargo-fuzz and a C++ compiler. The stable toolchain will do. New inputs stay in fuzz/corpus; an input that a target
# does not hold for goes to fuzz/artifacts, and to tests/fixtures/fuzz once it is understood.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls tests/fixtures/fuzz)
export RUSTC_BOOTSTRAP=1
cargo fuzz build --sanitizer none one
# Logs and databases are written for each input: they belong in memory.
if [ -d /dev/shm ] && [ -z "${TMPDIR:-}" ]; then export TMPDIR=/dev/shm; fi
failed=()
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    echo "== $target"
    TARGET=$target cargo fuzz run --sanitizer none one "fuzz/corpus/$target" "tests/fixtures/fuzz/$target" -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/" 2>&1 | grep -E '^(SUMMARY|stat::|==[0-9]+==|thread|#[0-9]+.*DONE|artifact)' ||
        true
    [ -z "$(ls "fuzz/artifacts/$target")" ] || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { echo "findings of: ${failed[*]}"; exit 1; }
