# Sourced by tests that start servers: a working directory, and servers that stop when the test ends.
work="$(mktemp -d)"
servers=()
finish() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

# Prints the first address in a file that a server writes.
address() {
    for _ in $(seq 400); do
        if grep -om1 'http://127\.0\.0\.1:[0-9]*' "$1"; then return 0; fi
        sleep 0.05
    done
    echo "no server came up: $(cat "$1")" >&2
    return 1
}
