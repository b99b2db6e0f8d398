"""The tracepoint player, what it plays, and a kernel that traces it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import mix
from bench.mix import BUSY, write_play

BUILD = Path(__file__).parents[1] / "build"
BUILT = BUILD / "player/peerwatch-player"

CACHE = BUILD / "bench"
"""Where large inputs are kept between runs."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder that everybody can look into, as the watcher's user must; it goes in the end."""
    with tempfile.TemporaryDirectory(prefix="peerwatch-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def private(folder: Path, name: str = "node") -> Path:
    """A player under an inode of its own, so that nobody else's is traced and nobody else traces this one.

    Raises:
        FileNotFoundError: it is not built; `make install` builds it.
    """
    return Path(shutil.copy2(BUILT, folder / name))


def play(binary: Path, *options: object, meanwhile: Callable[[], object] | None = None) -> dict[str, Any]:
    """Run a player to its end, calling something meanwhile; its report."""
    command = [str(binary), *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while meanwhile and process.poll() is None:
            meanwhile()
        output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return dict(json.loads(output.splitlines()[-1]))


def mix_file(count: int, rate: int = BUSY, without: tuple[str, ...] = ()) -> Path:
    """A play file of so many messages of the mix, so many a second; made once, and anew when the mix changes."""
    name = "-".join(["mix", str(count), str(rate), *without])
    return cached(f"{name}.play", lambda path: write_play(path, count, rate, without), mix.__file__)


def cached(name: str, make: Callable[[Path], None], *depends: str) -> Path:
    """A file or folder in the cache, made by `make` unless it is there and the files it `depends` on are as they were then."""
    state = hashlib.sha256(b"".join(Path(d).read_bytes() for d in depends)).hexdigest()[:12]
    path = CACHE / state / name
    if not path.exists():
        for old in CACHE.glob(f"*/{name}"):
            _remove(old)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            made = Path(folder, name)
            make(made)
            with contextlib.suppress(OSError):  # a folder that is there, because somebody else was faster
                made.rename(path)
    return path


def _remove(path: Path) -> None:
    """Delete a file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
