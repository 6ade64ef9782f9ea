#!/bin/bash
# Run a command as the first process of namespaces of its own, with which all ends that it started. SIGTERM goes to that
# command, since unshare lets none through, and its end is waited for: it removes what it made.
set -euo pipefail

unshare --mount --pid --fork --kill-child=TERM --mount-proc --propagation private "$@" &
trap 'kill -TERM $(< "/proc/$!/task/$!/children")' TERM INT HUP
# a signal ends the first of them
wait $! || wait $!
