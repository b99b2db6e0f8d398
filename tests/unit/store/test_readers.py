"""Tests of knowing who reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from peerwatch.store import layout, readers
from peerwatch.store.errors import ArchiveError
from peerwatch.store.readers import Hold


def test_a_reader_holds_what_was_there_when_it_began(root: Path) -> None:
    """What was replaced since must wait; nobody waits for readers that began later."""
    before = readers.now()
    hold = Hold(root)
    after = readers.now()
    assert readers.unread(root, before)
    assert not readers.unread(root, after)
    later = Hold(root)
    hold.release()
    assert readers.unread(root, after)
    assert not readers.unread(root, readers.now())
    later.release()
    later.release()
    assert readers.unread(root, readers.now())


def test_a_reader_that_is_forgotten_holds_nothing(root: Path) -> None:
    """Neither in this process nor when another one dies."""
    hold = Hold(root)
    del hold
    assert readers.unread(root, readers.now())
    code = f"""
import time
from pathlib import Path
from peerwatch.store.readers import Hold
hold = Hold(Path({str(root)!r}))
print("reading", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "reading\n"
        assert not readers.unread(root, readers.now())
        program.kill()
    assert readers.unread(root, readers.now())


def test_a_reader_needs_no_right_to_write_and_holds_up_no_sealing(root: Path) -> None:
    """The lock is shared, on a file opened for reading, and not the lock of the whole file."""
    (root / layout.LOCK).chmod(0o440)
    hold = Hold(root)
    with layout.locked(root, exclusive=True):
        assert not readers.unread(root, readers.now())
    hold.release()


def test_without_an_archive_there_is_nothing_to_read(tmp_path: Path) -> None:
    """Said in one line."""
    with pytest.raises(ArchiveError, match="cannot lock the archive"):
        Hold(tmp_path)
