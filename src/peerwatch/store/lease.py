"""Who may record: one process at a time for each node and source, and in it one writer for each session.

A node that is restarted has a new session while the last rows of the former one are still being written, so several sessions of a
node and source may be open in one process.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from peerwatch.schema.table import Identity
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import WAL

_Key = tuple[str, str]


class Leases:
    """What this process records into one archive. The locks go with the process."""

    def __init__(self, root: Path) -> None:
        """Hold nothing yet."""
        self._root = root
        self._locks: dict[_Key, int] = {}
        self._open: dict[_Key, set[Identity]] = {}
        self._given_back: set[Identity] = set()

    def take(self, identity: Identity) -> bool:
        """Record under an identity. Returns whether this process did so before.

        Raises:
            ArchiveError: another process records the node and source, this one the identity, or the archive cannot be written.
        """
        key = identity.node, identity.source
        if identity in self._open.get(key, ()):
            raise ArchiveError(_taken(self._root, identity))
        if key not in self._locks:
            self._locks[key] = _lock(self._root, identity)
        self._open.setdefault(key, set()).add(identity)
        return identity in self._given_back

    def give_back(self, identity: Identity) -> None:
        """Record no more under an identity; with the last one of a node and source, other processes may."""
        key = identity.node, identity.source
        self._given_back.add(identity)
        self._open[key].discard(identity)
        if not self._open[key]:
            os.close(self._locks.pop(key))

    def beside(self, identity: Identity) -> set[Identity]:
        """Other identities of the same node and source under which this process records."""
        return self._open.get((identity.node, identity.source), set()) - {identity}


def _taken(root: Path, identity: Identity) -> str:
    return f"another peerwatch records {identity.source} of node {identity.node} in {root}; stop it, or use another archive"


def _lock(root: Path, identity: Identity) -> int:
    path = root / WAL / f"{identity.source}-{identity.node}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ArchiveError(f"cannot write the archive {root}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ArchiveError(_taken(root, identity)) from None
    return handle
