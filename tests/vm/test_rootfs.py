"""The guest has what the project declares, on disks with its files and room to write."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.test_kernel.rootfs import requirements, write_image

ROOT = Path(__file__).parents[2]


def test_dependencies_and_test_runner_are_installed() -> None:
    """What the package needs at run time and what runs its tests; none of the other development tools."""
    names = [re.split(r"[<>=]", line)[0] for line in requirements(ROOT)]
    assert {"numpy", "pyarrow", "msgspec", "pytest", "pytest-timeout", "pytest-xdist"} <= set(names)
    assert not {"mypy", "ruff"} & set(names)


@pytest.mark.skipif(not shutil.which("debugfs"), reason="e2fsprogs is not installed")
def test_an_image_holds_the_tree_and_the_spare_room(tmp_path: Path) -> None:
    """Files come back as they were, and at least the spare bytes are free."""
    tree, image = tmp_path / "tree", tmp_path / "image.ext4"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder/file").write_bytes(b"\x00\xff" * 100_000)
    write_image(tree, image, spare=8 << 20, log=tmp_path / "log")
    assert debugfs(image, "cat /folder/file") == b"\x00\xff" * 100_000
    stats = dict(re.findall(r"^(Free blocks|Block size): +(\d+)$", debugfs(image, "stats -h").decode(), re.MULTILINE))
    assert int(stats["Free blocks"]) * int(stats["Block size"]) >= 8 << 20


def debugfs(image: Path, request: str) -> bytes:
    return subprocess.run(["debugfs", "-R", request, str(image)], capture_output=True, check=True).stdout
