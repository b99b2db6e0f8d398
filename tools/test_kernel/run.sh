#!/usr/bin/env bash
# Boot Debian's kernels in a virtual machine and run the kernel tests inside; --help says more. For root, on Debian 12.
set -euo pipefail
cd "$(dirname "$0")/../.."

((EUID == 0)) || { echo "test-kernel: must be root, to make a system with debootstrap" >&2; exit 2; }
missing=()
for package in debootstrap e2fsprogs; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    echo "test-kernel: installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
fi
exec .venv/bin/python -m tools.test_kernel "$@"
