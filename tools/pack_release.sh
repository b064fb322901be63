#!/usr/bin/env bash
# Packs a release: pack_release.sh NAME FOLDER_WITH_THE_PROGRAM makes NAME.zip here.
set -euo pipefail

name=$1
program=$2/lora-wgpu
[ -e "$program.exe" ] && program=$program.exe

rm -rf "$name" "$name.zip"
mkdir -p "$name/man" "$name/completions"
cp "$program" "$name/"
cp -r configs docs assets README.md README.zh-CN.md LICENSE-MIT LICENSE-APACHE THIRD-PARTY-NOTICES.md "$name/"
rm -f "$name"/assets/demo_model.safetensors # it is inside of the program
"$program" man "$name/man"
for shell in bash zsh fish powershell elvish; do
    "$program" completions "$shell" > "$name/completions/lora-wgpu.$shell"
done

if command -v zip > /dev/null; then zip -qr "$name.zip" "$name"; else 7z a -bso0 "$name.zip" "$name"; fi
echo "packed $name.zip"
