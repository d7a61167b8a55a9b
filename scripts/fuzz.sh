#!/usr/bin/env bash
# Runs every fuzz target of the module for a while, one by one: go test -fuzz takes one target of one package.
#
#   scripts/fuzz.sh 5s
set -euo pipefail
cd "$(dirname "$0")/.."

fuzztime="${1:?usage: $0 DURATION}"
total=0
while read -r package; do
    while read -r target; do
        echo "$package $target"
        go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" -fuzzminimizetime=1x "$package"
        total=$((total + 1))
    done < <(go test -list='^Fuzz' "$package" | grep '^Fuzz')
done < <(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r dirname | sort -u)

echo "$total fuzz targets"
((total)) # none found: the search is broken
