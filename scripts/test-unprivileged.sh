#!/usr/bin/env bash
# Runs the tests that start clusters (launcher, cmd) as a user that is not root, whoever calls it.
#
#   scripts/test-unprivileged.sh 10m      each package's timeout
#
# For root the test binaries are compiled as usual and then run by nobody, in a copy of the repository and with a HOME and a
# temporary directory that are nobody's: root's are out of reach.
set -euo pipefail
cd "$(dirname "$0")/.."

timeout="${1:?usage: $0 TIMEOUT}"
packages=(./launcher/... ./cmd/...)

if ((EUID)); then
    exec go test -race -shuffle=on -timeout="$timeout" "${packages[@]}"
fi

uid=65534
room="$(mktemp -d)"
trap 'rm -rf "$room"' EXIT
mkdir "$room"/{repo,bin,home,tmp}
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$room/repo"
CGO_ENABLED=0 go build -trimpath -o "$room/repo/bin/beamctl" ./cmd/beamctl
go test -c -race -o "$room/bin/" "${packages[@]}"
chown -R "$uid:$uid" "$room"

# What takes long and has nothing to do with who runs it is left to the run as root.
skip='^Test(InterruptedStart|RabbitMQ|Releases|Rebar3|Soak|EightClustersAtOnce|MixedCluster|LogsAreRotated|RunExitCodes|SupervisorIsSmall|FailuresAsTheyAreRead|RestartOnCrash|RunKilled|MeshModes|ForeignBrokers|Diagnose.*|Sync.*|Health.*|Shell.*|DoctorFaultsOfTheMachine|DoctorThreads)$'

# A clean environment: what root's says of HOME, XDG_RUNTIME_DIR or caches is not for others.
as_nobody=(setpriv "--reuid=$uid" "--regid=$uid" --clear-groups env -i "PATH=$PATH" LC_ALL=C.UTF-8 USER=nobody
    "HOME=$room/home" "TMPDIR=$room/tmp" "BEAMCTL_TEST_BINARY=$room/repo/bin/beamctl")

status=0
while read -r package dir; do
    binary="$room/bin/$(basename "$package").test"
    [[ -x $binary ]] || continue # a package without tests
    echo "== $package as uid $uid"
    (cd "$room/repo/${dir#"$PWD"/}" && "${as_nobody[@]}" "$binary" -test.shuffle=on "-test.timeout=$timeout" "-test.skip=$skip") || status=1
done < <(go list -f '{{.ImportPath}} {{.Dir}}' "${packages[@]}")
exit $status
