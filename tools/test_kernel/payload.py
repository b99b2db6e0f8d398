"""The disk with the repository as it stands, made anew for each run."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from tools.test_kernel.rootfs import write_image
from tools.test_kernel.steps import StepError

FOLDERS = ("src", "tests", "tools", "build/player")
FILES = ("pyproject.toml",)
BUILT = ("src/peerwatch/sources/usdt/trace.bpf.o", "build/player/peerwatch-player")
"""What `make` builds and the tests need."""

SPARE = 64 << 20
"""Bytes left free on the disk."""


def make_payload(root: Path, cache: Path, arguments: list[str], environment: dict[str, str]) -> Path:
    """Write the disk image with the repository, and with what the guest shall run; return its file.

    Args:
        root: The repository.
        cache: Folder for the image.
        arguments: Arguments of pytest.
        environment: Variables set for the tests.

    Raises:
        StepError: Something that the tests need is not built, or mke2fs failed.
    """
    missing = [name for name in BUILT if not (root / name).is_file()]
    if missing:
        raise StepError(f"not built: {', '.join(missing)}; run make first")
    image = cache / "payload.ext4"
    with tempfile.TemporaryDirectory(dir=cache) as name:
        work = Path(name)
        work.chmod(0o755)  # becomes the root of the disk, which tests without privileges must enter
        for folder in FOLDERS:
            shutil.copytree(root / folder, work / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        for file in FILES:
            shutil.copy2(root / file, work / file)
        (work / "guest.json").write_text(json.dumps({"arguments": arguments, "environment": environment}))
        write_image(work, image, spare=SPARE, log=cache / "logs/mke2fs.log")
    return image
