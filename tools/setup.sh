#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks. Says nothing where all is there; may be run again.
#
# Debian and Ubuntu, as root or with sudo: installs by apt. Elsewhere: names the packages and fails.
set -euo pipefail

has_library() {
    # ldconfig lies in /sbin, which is not on every user's path. Its list is read to the end: it fails if cut short.
    PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep "$1" >/dev/null
}

has_vulkan_driver() {
    [[ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]] && return 0
    compgen -G "/usr/share/vulkan/icd.d/*.json" >/dev/null ||
        compgen -G "/usr/local/share/vulkan/icd.d/*.json" >/dev/null ||
        compgen -G "/etc/vulkan/icd.d/*.json" >/dev/null
}

missing_packages() {
    # Rust links by the C compiler, and the hash library brings a little assembly.
    command -v cc >/dev/null || echo gcc libc6-dev
    if [[ "$(uname -s)" == Linux ]]; then
        has_library 'libvulkan\.so\.1' || echo libvulkan1
        # With a driver of the GPU's maker in place, a software driver would only be in the way.
        has_vulkan_driver || echo mesa-vulkan-drivers
    fi
}

install_by_apt() {
    local become=()
    if [[ "$(id -u)" != 0 ]]; then
        command -v sudo >/dev/null || return 1
        become=(sudo)
    fi
    command -v apt-get >/dev/null || return 1
    echo "installing $*" >&2
    "${become[@]}" apt-get update -qq >&2
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

if ! command -v cargo >/dev/null && [[ ! -x "$HOME/.cargo/bin/cargo" ]]; then
    echo "Rust is missing: install it as https://rustup.rs says (1.90 or newer), then run this again" >&2
    exit 1
fi

read -r -a packages <<<"$(missing_packages | tr '\n' ' ')"
if [[ ${#packages[@]} -gt 0 ]] && ! install_by_apt "${packages[@]}"; then
    echo "please install what Debian calls ${packages[*]} (libvulkan1 is the Vulkan loader, mesa-vulkan-drivers" \
        "a set of Vulkan drivers with one for the CPU), then run this again" >&2
    exit 1
fi
