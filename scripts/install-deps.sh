#!/usr/bin/env bash
# Installs what is missing of what the demo or the tests need, and only that.
#
#   scripts/install-deps.sh demo    Erlang and Elixir
#   scripts/install-deps.sh test    … and the OTP applications, rebar3, a C compiler (for go test -race), patchelf
#                                   (for other OTP releases), Java (for jinterface), RabbitMQ and ejabberd (not as services)
#
# Asks for tools, not for packages: an Erlang from elsewhere on PATH will do. Installs with apt-get, where there is one.
set -euo pipefail

case "${1:-}" in
demo)
    commands=(erl erlc elixir mix)
    applications=()
    ;;
test)
    commands=(erl erlc epmd escript elixir mix rebar3 gcc patchelf java javac
        /usr/lib/rabbitmq/bin/rabbitmq-server # where Debian has the plain script; the one on PATH is for root
        /usr/sbin/ejabberdctl)                # not on everybody's PATH
    applications=(crypto ssl public_key asn1 syntax_tools tools runtime_tools inets mnesia parsetools eunit common_test
        erl_interface jinterface)
    ;;
*)
    echo "usage: $0 demo|test" >&2
    exit 2
    ;;
esac

# Prints the commands that are not on PATH and the OTP applications that erl doesn't have. erl starts no distribution here.
missing() {
    local command
    for command in "${commands[@]}"; do
        command -v "$command" >/dev/null || echo "$command"
    done
    ((${#applications[@]})) || return 0
    if ! command -v erl >/dev/null; then
        printf '%s\n' "${applications[@]}"
    else
        erl -noinput -eval '
            [io:format("~s~n", [A]) || A <- init:get_plain_arguments(),
             case code:lib_dir(list_to_atom(A)) of {error, _} -> true; Dir -> not filelib:is_dir(Dir) end],
            halt().' -extra "${applications[@]}"
    fi
}

# The Debian package that has the command or the application $1.
package() {
    case "$1" in
    erl | erlc | epmd | escript) echo erlang-base ;;
    elixir | mix) echo elixir ;;
    rebar3 | patchelf) echo "$1" ;;
    gcc) printf '%s\n' gcc libc6-dev ;;
    */rabbitmq-server) echo rabbitmq-server ;;
    */ejabberdctl) echo ejabberd ;;
    erl_interface) echo erlang-dev ;;
    java | javac) echo default-jdk-headless ;;
    *) echo "erlang-${1//_/-}" ;;
    esac
}

mapfile -t absent < <(missing)
((${#absent[@]})) || exit 0
echo "Not on this machine: ${absent[*]}"

if ! command -v apt-get >/dev/null; then
    echo "$0 installs with apt-get only. Please put these on PATH (OTP 25 or later, with these applications), then try again." >&2
    exit 1
fi
mapfile -t packages < <(for name in "${absent[@]}"; do package "$name"; done | sort -u)
install=(install -y --no-install-recommends "${packages[@]}")

as_root=()
if ((EUID)); then
    if ! command -v sudo >/dev/null; then
        printf 'Please run as root, then try again:\n  apt-get update\n  apt-get %s\n' "${install[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "Installing from ${as_root[*]:+with ${as_root[*]}, }this system's package sources: ${packages[*]}"

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@"
}

# Another apt-get may be at work: DPkg::Lock::Timeout waits for some of its locks, not for all.
retry() {
    local pause
    for pause in 2 5 10 20; do
        "$@" && return
        sleep $pause
    done
    "$@"
}

# Debian starts services when they are installed: erlang-base an epmd daemon, rabbitmq-server and ejabberd themselves. Nobody
# asked for that: for this installation a policy says no to all of them, unless the machine has a policy of its own.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    # shellcheck disable=SC2016 # $* is for the policy to expand
    printf '#!/bin/sh\ncase "$*" in *epmd*|*rabbitmq*|*ejabberd*) exit 101 ;; esac\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod 755 $policy
    trap '"${as_root[@]}" rm -f $policy' EXIT
fi

# Package lists may be absent, or name files that the mirror no longer has.
apt "${install[@]}" || {
    retry apt update
    retry apt "${install[@]}"
}

mapfile -t absent < <(missing)
if ((${#absent[@]})); then
    echo "Still not found: ${absent[*]} (is another erl before Debian's on PATH?)" >&2
    exit 1
fi
