"""Build hook: compile the BPF program once, when the package is built or installed.

Nothing is compiled at run time. Without clang the package is still built; `peerwatch doctor` then says what is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHITECTURES = {"x86_64": "x86"}
"""Machines whose registers the argument reader knows."""


def compile_bpf(folder: Path) -> Path | None:
    """Compile `trace.bpf.c` in `folder`; None where there is no clang or the machine is not supported."""
    clang = os.environ.get("BPF_CLANG") or shutil.which("clang")
    architecture = ARCHITECTURES.get(platform.machine())
    if clang is None or architecture is None:
        return None
    target = folder / "trace.bpf.o"
    include = f"/usr/include/{platform.machine()}-linux-gnu"
    options = ["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3", f"-D__TARGET_ARCH_{architecture}", f"-I{include}"]
    subprocess.run([clang, *options, "-c", str(folder / "trace.bpf.c"), "-o", str(target)], check=True)
    strip = shutil.which("llvm-strip") or shutil.which("llvm-strip-14")
    if strip:  # drops DWARF, keeps BTF
        subprocess.run([strip, "-g", str(target)], check=True)
    return target


class BpfBuildHook(BuildHookInterface):
    """Called by hatchling for wheels and editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before files are collected."""
        del version
        folder = Path(self.root) / "src/peerwatch/sources/usdt"
        if self.target_name == "wheel" and (folder / "trace.bpf.c").exists() and compile_bpf(folder):
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-linux_{platform.machine()}"
