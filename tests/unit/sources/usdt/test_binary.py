"""What is found in the player's binaries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peerwatch.sources.usdt import binary as module
from peerwatch.sources.usdt.binary import Binary, opened
from peerwatch.sources.usdt.elf_notes import ElfError
from peerwatch.sources.usdt.probes import PROBES

BUILT = Path(__file__).parents[4] / "build/player"


def examine(name: str) -> Binary:
    """A binary of the player."""
    with opened(BUILT / name) as (_fd, binary):
        return binary


def test_all_probes_at_all_their_places() -> None:
    """The player has every probe at four places, each in another kind of operands; nothing is missing."""
    binary = examine("peerwatch-player")
    assert binary.attached.keys() == {probe.full_name for probe in PROBES}
    assert min(binary.attached.values()) == 4  # those with a flag as a constant have one more
    assert binary.blind == {}
    assert all(site.note.semaphore for site in binary.sites)
    assert len({site.note.location for site in binary.sites}) == len(binary.sites)


def test_missing_and_changed_probes_are_told_apart() -> None:
    """What a binary does not have is missing; what it has otherwise than declared is not understood, and not attached."""
    changed, older = examine("player-changed"), examine("player-older")
    assert changed.missing == ()
    assert changed.not_understood.keys() == {"net:inbound_message", "net:closed_connection"}
    assert not changed.not_understood.keys() & changed.attached.keys()
    assert "mempool:added" in older.missing
    assert older.blind["mempool:added"] == "the binary does not have it"
    assert examine("player-noprobes").attached == {}


def test_the_file_stays_the_examined_one(tmp_path: Path) -> None:
    """The descriptor leads to what was examined even when its path does not any more, and is closed afterwards."""
    path = tmp_path / "node"
    path.write_bytes((BUILT / "player-older").read_bytes())
    with opened(path) as (fd, binary):
        path.unlink()
        status = os.fstat(fd)
        assert (status.st_dev, status.st_ino) == (binary.device, binary.inode)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_too_many_sites_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary cannot make the kernel hold any number of breakpoints."""
    monkeypatch.setattr(module, "MAX_SITES", 10)
    with pytest.raises(ElfError, match="probe sites"):
        examine("peerwatch-player")


def test_only_files_are_examined(tmp_path: Path) -> None:
    """A folder and a pipe are refused without waiting for anybody to write."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ElfError, match="not a file"), opened(path):
            pass
