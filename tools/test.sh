#!/usr/bin/env bash
# Sets up what is missing and runs all tests: `tools/test.sh [FILTER]`. No GPU is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PATH:$HOME/.cargo/bin"

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run "$@"
    # The example on the library's front page, which nextest does not run.
    [[ $# -gt 0 ]] || cargo test --doc
    exit
fi
exec cargo test "$@"
