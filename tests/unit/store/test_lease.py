"""Who may record."""

from __future__ import annotations

from pathlib import Path

import pytest

from peerwatch.schema.table import Identity
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import WAL
from peerwatch.store.lease import Leases

OLD = Identity("node-a", 1, "usdt")
NEW = Identity("node-a", 2, "usdt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / WAL).mkdir()
    return tmp_path


def test_sessions_of_a_node_may_be_open_side_by_side(root: Path) -> None:
    """A restarted node is recorded while its former session is still being written."""
    leases = Leases(root)

    assert not leases.take(OLD)
    assert not leases.take(NEW)
    assert leases.beside(NEW) == {OLD}


def test_an_identity_has_one_writer(root: Path) -> None:
    """The same identity twice is refused; after it was given back it may be taken again, and that is told."""
    leases = Leases(root)
    leases.take(OLD)
    with pytest.raises(ArchiveError, match="another peerwatch records usdt of node node-a"):
        leases.take(OLD)
    leases.give_back(OLD)

    assert leases.take(OLD)


def test_another_process_waits_for_the_last_session(root: Path) -> None:
    """The node and source are free for others when no session of it is open any more."""
    leases, others = Leases(root), Leases(root)
    leases.take(OLD)
    leases.take(NEW)
    leases.give_back(OLD)
    with pytest.raises(ArchiveError, match="another peerwatch"):
        others.take(Identity("node-a", 3, "usdt"))
    others.take(Identity("node-b", 3, "usdt"))
    leases.give_back(NEW)

    assert not others.take(Identity("node-a", 3, "usdt"))


def test_an_archive_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """One line that names it."""
    with pytest.raises(ArchiveError, match="cannot write the archive"):
        Leases(tmp_path / "gone").take(OLD)
