#!/usr/bin/env bash
# Several OTP releases, each with its Elixir, side by side on one Debian machine and without touching it: packages of
# Debian's suites are unpacked under .cache/otp/<suite>, and their programs are told where their own libc is.
#
#   scripts/otp-releases.sh            all of them
#   scripts/otp-releases.sh trixie     only this suite's
#
# Prints a line `suite major folder` each: the folder has that release's erl, erlc, epmd, erl_call, escript, elixir, iex and mix.
# The first run takes a minute or two, the next ones nothing; rm -r .cache/otp/<suite> asks for the suite's newest again.
# Needs apt, dpkg and patchelf (scripts/install-deps.sh test), and no root.
set -euo pipefail
cd "$(dirname "$0")/.."

# Suite, and the OTP release that it has; a moving suite may have moved on: its release is at least this.
releases=("bullseye 23" "bookworm 25" "trixie 27" "forky 29+")
packages=(erlang-base erlang-crypto erlang-asn1 erlang-public-key erlang-ssl erlang-syntax-tools erlang-tools
    erlang-runtime-tools erlang-mnesia erlang-inets erlang-dev elixir)
commands=(erl erlc epmd erl_call escript elixir iex mix)
# What programs of an unpacked package never need, and what would only be slow to unpack.
unneeded='^(systemd|perl-base|coreutils|passwd|dpkg|tar|debconf|adduser|login.*|libperl.*|perl.*)_'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

cache="$PWD/.cache/otp"
# What was unpacked is good for this script at this place: programs hold absolute paths.
identity="$(sha256sum <"$0") $cache"

fail() {
    echo "otp-releases: $*" >&2
    exit 1
}

# Where this system takes its own suite from. It is asked each time and kept in no file but the private sources.list.
mirror() {
    # shellcheck disable=SC2016 # $(…) is apt's
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v suite="$(codename)" '$1 == suite && $2 == "main" { print $3; exit }'
}

# Writes the configuration of an apt for suite $1 alone, in folder $2: nothing of the system's but how it downloads.
private_apt() {
    local suite="$1" dir="$2" from
    from="$(mirror)"
    [[ $from ]] || fail "the apt sources of this system name no mirror of its own suite (is it a Debian?)"
    [[ -e $keyring ]] || fail "$keyring is missing (package debian-archive-keyring)"
    mkdir -p "$dir"/{etc/apt.conf.d,etc/preferences.d,lists/partial,archives/partial}
    : >"$dir/status"
    echo "deb [signed-by=$keyring] $from $suite main" >"$dir/etc/sources.list"
    {
        apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets'
        cat <<CONF
Dir::Etc "$dir/etc";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::State "$dir";
Dir::State::status "$dir/status";
Dir::Cache "$dir";
Dir::Log "$dir";
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
CONF
    } >"$dir/apt.conf"
    chmod 600 "$dir/apt.conf"
}

# Unpacks the newest of suite $1 below folder $2.
unpack() {
    local suite="$1" dir="$2" deb
    private_apt "$suite" "$dir/apt"
    export APT_CONFIG="$dir/apt/apt.conf"
    {
        apt-get -q update &&
            apt-get -q install -y --no-install-recommends --download-only "${packages[@]}"
    } >"$dir/apt.log" 2>&1 || {
        tail -n 20 "$dir/apt.log" >&2
        fail "this system's mirror does not give the packages of $suite"
    }
    mkdir "$dir/root"
    for deb in "$dir"/apt/archives/*.deb; do
        [[ $(basename "$deb") =~ $unneeded ]] || dpkg -x "$deb" "$dir/root"
    done
    rm -r "$dir/apt" "$dir/root/usr/share/doc" "$dir/root/usr/share/man"
}

# Makes the programs below $1 start where they are. An RPATH (unlike a RUNPATH, patchelf's default) counts for what
# the libraries need in turn, so that only the executables have to be changed.
relocate() {
    local root="$1" loader libs
    loader="$(find "$root" -path '*-linux-gnu*/ld-linux*.so.*' | head -n 1)"
    [[ $loader ]] || fail "no dynamic loader below $root"
    libs="$(find "$root" -type d -name "$(basename "$(dirname "$loader")")" -path '*/lib/*' | paste -sd:)"
    find "$root/usr/lib/erlang" -type f -perm /111 -print0 | while IFS= read -r -d '' file; do
        patchelf --print-interpreter "$file" >/dev/null 2>&1 || continue # a script
        patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libs" "$file"
    done
    grep -rlIZ --include=erl --include=start '/usr/lib/erlang' "$root/usr/lib/erlang" |
        xargs -0 sed -i "s|/usr/lib/erlang|$root&|"
}

# Puts a program of the same name into folder $2 for each of the commands that root $1 has.
wrap() {
    local root="$1" bin="$2" command
    mkdir "$bin"
    for command in "${commands[@]}"; do
        [[ -e $root/usr/bin/$command ]] || fail "no $command in $root"
        # shellcheck disable=SC2016 # for the wrapper to expand
        printf '#!/bin/sh\nPATH="%s:$PATH" exec "%s" "$@"\n' "$bin" "$root/usr/bin/$command" >"$bin/$command"
    done
    chmod 755 "$bin"/*
}

# Whether all of $@ are on PATH.
have() {
    local command
    for command; do
        command -v "$command" >/dev/null || return
    done
}

# This system's suite. (In a shell of its own: os-release sets much else.)
codename() (
    # shellcheck source=/dev/null
    . /etc/os-release && echo "${VERSION_CODENAME:-}"
)

# The OTP release of erl $1.
major() {
    "$1" -noinput -boot start_clean -eval 'io:put_chars(erlang:system_info(otp_release)), halt().'
}

# Whether release $2 is what was asked for as $1: 27, or 29+ for at least 29.
is() {
    if [[ $1 == *+ ]]; then (($2 >= ${1%+})); else [[ $2 == "$1" ]]; fi
}

# Has suite $1 with release $2 ready and prints its line.
provide() {
    local suite="$1" want="$2" dir="$cache/$1" got
    # The system's own, where it is that release.
    if [[ $(codename) == "$suite" ]] && have erl elixir erl_call &&
        got="$(major erl)" && is "$want" "$got"; then
        echo "$suite $got $(dirname "$(command -v erl)")"
        return
    fi
    mkdir -p "$cache"
    exec 9>"$cache/$suite.lock"
    flock 9 # another run may be at it
    if [[ ! -e $dir/ready || $(head -n 1 "$dir/ready") != "$identity" ]]; then
        have apt-get dpkg patchelf || fail "apt-get, dpkg and patchelf are needed"
        echo "otp-releases: unpacking OTP $want of $suite" >&2
        rm -rf "$dir"
        mkdir "$dir"
        unpack "$suite" "$dir"
        relocate "$dir/root"
        wrap "$dir/root" "$dir/bin"
        got="$(major "$dir/bin/erl")" || fail "erl of $suite does not run"
        is "$want" "$got" || fail "$suite has OTP $got, not $want"
        "$dir/bin/elixir" -e 'IO.puts("ok")' >/dev/null || fail "elixir of $suite does not run"
        printf '%s\n%s\n' "$identity" "$suite $got $dir/bin" >"$dir/ready"
    fi
    tail -n 1 "$dir/ready"
}

wanted=()
for release in "${releases[@]}"; do
    ((!$#)) || [[ " $* " == *" ${release% *} "* ]] || continue
    wanted+=("$release")
done
((${#wanted[@]} && (!$# || ${#wanted[@]} == $#))) || fail "usage: $0 [SUITE]..., of ${releases[*]% *}"

# The suites at the same time: they wait for the network and for the disk, each in turn.
pids=()
results="$(mktemp -d)"
trap 'rm -rf "$results"' EXIT
for release in "${wanted[@]}"; do
    read -r suite want <<<"$release"
    (trap - EXIT && provide "$suite" "$want" >"$results/$suite") &
    pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
    wait "$pid" || status=1
done
((status == 0)) || exit 1
for release in "${wanted[@]}"; do
    cat "$results/${release% *}"
done
