#!/usr/bin/env bash
# Sets up what is missing and runs all tests: `tools/test.sh [FILTER]`. No GPU is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PATH:$HOME/.cargo/bin"

if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run "$@"
fi
exec cargo test "$@"
