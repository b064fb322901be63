#!/usr/bin/env bash
# Sets up what is missing and tests the page for correcting captions in Chromium: `tools/test_browser.sh`.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
export PATH="$PATH:$HOME/.cargo/bin"

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
    become=()
    [[ "$(id -u)" == 0 ]] || become=(sudo)
    if ! command -v apt-get >/dev/null; then
        echo "please install Chromium and its driver as 'chromium' and 'chromedriver', then run this again" >&2
        exit 1
    fi
    "${become[@]}" apt-get update -qq >&2
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends chromium chromium-driver >&2
fi

exec cargo test --test correction_page -- --ignored "$@"
