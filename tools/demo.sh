#!/usr/bin/env bash
# Sets up what is missing, builds the program and trains the demo: `tools/demo.sh`. No GPU and no download of a model is
# needed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PATH:$HOME/.cargo/bin"

exec cargo run --release --locked -- train configs/demo.yaml "$@"
