"""The archive: one directory with everything recorded, open for writing."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity, Level
from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import FORMAT, KEY, LOCK, META, WAL, Meta
from peerwatch.store.lease import Leases
from peerwatch.store.retention import Retention
from peerwatch.store.sealer import Sealer
from peerwatch.store.writer import Limits, Writer

KEY_BYTES = 40
"""Length of the inventory key."""


class Archive:
    """An archive open for writing. Several nodes and sources write it through a Writer each.

    Attributes:
        path: its directory.
        inventory_key: secret that `item` hashes are keyed with; never leaves the archive.
    """

    def __init__(
        self, path: Path, limits: Limits | None = None, *, level: Level = Level.FULL, retention: Retention | None = None
    ) -> None:
        """Open an archive that is there; `create_or_open` makes one as well.

        Of what is recorded, rows of tables beyond `level` are kept for minutes only. Without `retention` the rest stays for good.

        Raises:
            ArchiveError: no archive, one of a newer format, or one that cannot be read or written.
        """
        _describe_tables(path)
        self.path = path
        try:
            self.inventory_key = (path / KEY).read_bytes()
        except OSError as error:
            raise ArchiveError(f"cannot read {path / KEY}: {error.strerror}") from error
        self._limits = limits or Limits()
        self._sealer = Sealer(path, level=level, retention=retention)
        self._leases = Leases(path)
        self._writers: dict[Identity, Writer] = {}

    @classmethod
    def create_or_open(
        cls, path: Path, limits: Limits | None = None, *, level: Level = Level.FULL, retention: Retention | None = None
    ) -> Self:
        """Open the archive at `path`, making it where there is nothing or an empty directory.

        Raises:
            ArchiveError: something else is there, it is of a newer format, or it cannot be written.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - without resolving: it may lead through /proc, past closed folders
        try:
            _create(path)
        except OSError as error:
            raise ArchiveError(f"cannot write the archive {path}: {error.strerror}") from error
        return cls(path, limits, level=level, retention=retention)

    def writer(self, identity: Identity) -> Writer:
        """Open the writer of an identity. It goes on after what is recorded of it.

        Raises:
            ArchiveError: it is being written by another process or already by this one, or cannot be read or written.
        """
        writer = Writer(self.path, identity, self._sealer, self._limits, leases=self._leases)
        self._writers[identity] = writer
        return writer

    def last_session(self, node: str, source: str) -> int | None:
        """Newest session that a source of a node recorded here, for one that goes on with it; None when there is none."""
        found = [n.identity for n, _ in layout.segments(self.path)]
        return max((i.session for i in found if (i.node, i.source) == (node, source)), default=None)

    def node_name(self, found: str) -> str:
        """Name of a node that was found automatically: random, and always the same for the same `found`.

        Raises:
            ArchiveError: archive.json cannot be read or written.
        """
        with layout.locked(self.path, exclusive=True):
            meta = layout.read_meta(self.path)
            if found not in meta.nodes:
                meta.nodes[found] = f"node-{secrets.token_hex(4)}"
                layout.write_meta(self.path, meta)
            return meta.nodes[found]

    @property
    def sealing_failure(self) -> str | None:
        """Why segments cannot be turned into Parquet at present, in one line; None when they can. Nothing is lost meanwhile."""
        return self._sealer.failure

    @property
    def upkeep_failure(self) -> str | None:
        """Why small files cannot be put together, or old rows not be removed, in one line; None when they can."""
        return self._sealer.upkeep_failure

    def close(self) -> None:
        """Close all writers and seal what they recorded. May be called twice."""
        for writer in self._writers.values():
            writer.close()
        self._sealer.close()

    def __enter__(self) -> Self:
        """Nothing but the archive itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()


def _create(path: Path) -> None:
    """Make an archive where there is none. Two processes that do so at once make one."""
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
    if (path / META).exists():
        return
    if others := {entry.name for entry in path.iterdir()} - {LOCK, KEY, WAL, f"{KEY}.new", f"{META}.new"}:
        raise ArchiveError(f"{path} is not an archive and not empty (it holds {min(others)!r}); name an empty or new directory")
    os.close(os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    with layout.locked(path, exclusive=True):
        if (path / META).exists():
            return
        (path / WAL).mkdir(mode=0o750, exist_ok=True)
        layout.replace(path / KEY, secrets.token_bytes(KEY_BYTES), 0o600)
        layout.write_meta(path, Meta(FORMAT, time.time_ns()))


def _describe_tables(path: Path) -> None:
    """Make sure that the archive says with which columns its tables are recorded from now on."""
    present = {name: list(table.columns) for name, table in all_tables().items()}
    if _described(layout.read_meta(path), present):
        return
    with layout.locked(path, exclusive=True):
        meta = layout.read_meta(path)
        for name, columns in present.items():
            if columns not in meta.tables.setdefault(name, []):
                meta.tables[name].append(columns)
        layout.write_meta(path, meta)


def _described(meta: Meta, tables: dict[str, list[str]]) -> bool:
    return all(columns in meta.tables.get(name, []) for name, columns in tables.items())
