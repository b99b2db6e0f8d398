#!/usr/bin/env bash
# Set up a checkout on Debian 12 or Ubuntu 24.04: system packages, virtual environment, BPF object, tracepoint player.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(debootstrap gcc make clang llvm libbpf-dev libbpf1 systemtap-sdt-dev binutils python3-venv tshark util-linux)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    sudo=()
    if ((EUID)); then
        command -v sudo >/dev/null || { echo "setup: as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
        sudo=(sudo)
    fi
    echo "setup: installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: Python 3.11 or newer is needed" >&2; exit 1; }
[ -x .venv/bin/python ] || python3 -m venv .venv
# Installing also compiles the BPF object (tools/build_bpf.py).
.venv/bin/pip install -qq --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
make --silent -C player
echo "setup: done; the command is .venv/bin/peerwatch"
