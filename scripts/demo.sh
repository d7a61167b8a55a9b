#!/usr/bin/env bash
# Shows beamctl on the example cluster, and that nothing is left of it afterwards. Exits non-zero if something is.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "beamctl demo: installs Erlang and Elixir if they are missing, builds beamctl, and runs a cluster of three nodes."
scripts/install-deps.sh demo
make --no-print-directory build
PATH="$PWD/bin:$PATH"
cd examples/erlang-kv

# Inherited by everything that the demo starts: it tells this cluster from others that may run on the machine.
export DEMO_MARK="$$.$RANDOM"

step() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# Prints the pids of what belongs to the demo's cluster: by environment, as `beamctl clean` does, never by name.
processes() {
    local environ
    for environ in /proc/[0-9]*/environ; do
        # What ends meanwhile, or belongs to others, cannot be read.
        tr '\0' '\n' <"$environ" | grep -qx "DEMO_MARK=$DEMO_MARK" || continue
        tr '\0' '\n' <"$environ" | grep -q '^BEAMCTL_CLUSTER=' && basename "$(dirname "$environ")"
    done 2>/dev/null || true
}

# Prints address:port, in the kernel's hexadecimal notation, of the TCP sockets that the processes $@ listen on.
listeners() {
    local pid inodes
    inodes="$(for pid in "$@"; do find "/proc/$pid/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null || true; done)"
    awk 'NR == FNR { gsub(/[^0-9]/, ""); ours[$0]; next } $4 == "0A" && $10 in ours { print $2 }' \
        <(echo "$inodes") <(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null) | sort -u
}

trap 'beamctl stop || true' EXIT
step beamctl start
mapfile -t pids < <(processes)
mapfile -t sockets < <(listeners "${pids[@]}")

step beamctl health
step beamctl rpc --all 'kv:members()'
step beamctl rpc node1 'kv:put(greeting, <<"hello">>)'
step beamctl rpc --all 'kv:get(greeting)'

trap - EXIT
step beamctl stop
step beamctl list

echo
left=0
mapfile -t remaining < <(processes)
echo "processes: ${#pids[@]} while it ran, ${#remaining[@]} now"
for pid in "${remaining[@]}"; do
    left=1
    echo "  left: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
done
mapfile -t remaining < <(comm -12 <(printf '%s\n' "${sockets[@]}") \
    <(awk '$4 == "0A" { print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u))
echo "listening sockets: ${#sockets[@]} while it ran, ${#remaining[@]} now"
((${#remaining[@]})) && left=1 && printf '  left: %s\n' "${remaining[@]}"

# A demo that saw nothing while the cluster ran has proven nothing.
((left == 0 && ${#pids[@]} >= 3 && ${#sockets[@]} >= 3))
echo "Nothing is left."
