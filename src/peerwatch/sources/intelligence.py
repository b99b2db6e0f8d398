"""What is known about addresses from files that the operator provides: autonomous systems, and lists.

Nothing is ever downloaded. The operator may replace or rewrite the files at any time: `refresh` notices.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from peerwatch.peers.asmap import Asmap, AsmapError
from peerwatch.peers.netgroup import mappable
from peerwatch.peers.origins import NamedList, Origins
from peerwatch.schema.batch import SECOND
from peerwatch.sources.address_list import AddressList, AddressListError
from peerwatch.sources.mmdb import Mmdb, MmdbError

MOST_BYTES = 256 << 20
"""Size of a file at most."""

_Content = TypeVar("_Content")


class IntelligenceError(Exception):
    """A file cannot be used; the message says which, why, and what to do, in one sentence."""


def load_origins(asmap: str | None = None, mmdb: str | None = None, lists: Mapping[str, str] | None = None) -> Origins:
    """What files say about addresses, once. Arguments and errors as of Intelligence."""
    return Intelligence(asmap, mmdb, lists).origins


class Intelligence:
    """Files about addresses. `origins` is what they say at present."""

    def __init__(self, asmap: str | None = None, mmdb: str | None = None, lists: Mapping[str, str] | None = None) -> None:
        """Read all of them, which may take seconds (about 1 for each MB of an asmap).

        Args:
            asmap: path of a map in Bitcoin Core's format.
            mmdb: path of a MaxMind database with autonomous systems, which is asked where the asmap has none.
            lists: paths of lists of addresses, by name.

        Raises:
            IntelligenceError: one of them cannot be read, or is none.
        """
        self._maps: list[_File[Asmap] | _File[Mmdb]] = []
        if asmap is not None:
            self._maps.append(_File(asmap, Asmap, "asmap"))
        if mmdb is not None:
            self._maps.append(_File(mmdb, Mmdb, "database"))
        self._lists = {name: _File(path, AddressList, "list") for name, path in (lists or {}).items()}
        if bad := [name for name in self._lists if "," in name]:
            raise IntelligenceError(f"A list cannot be called {bad[0]!r}: give it a name without a comma.")
        self.origins = Origins(self._asn_of)
        self._tell()

    @property
    def remarks(self) -> Sequence[str]:
        """What is not as it should be, a sentence each: files that cannot be used any more, and lines that are no address."""
        failed = [file.failed for file in (*self._maps, *self._lists.values()) if file.failed]
        return [*failed, *(_remark(name, file.content) for name, file in self._lists.items() if file.content.wrong)]

    def refresh(self) -> bool:
        """Read again what has changed; returns whether anything has. What cannot be used any more stays as it was, with a remark.

        It takes as long as the constructor when large files have changed. `origins` stays the same object.
        """
        changed = [file for file in (*self._maps, *self._lists.values()) if file.changed()]
        for file in changed:
            file.reload()
        if changed:
            self._tell()
        return bool(changed)

    def _tell(self) -> None:
        self.origins.asn_map = ", then ".join(f"{file.path.name} ({file.date})" for file in self._maps) or None
        self.origins.lists = [NamedList(f"{name} ({file.date})", file.content.has) for name, file in self._lists.items()]

    def _asn_of(self, address: str) -> int | None:
        if not self._maps:
            return None
        ip = mappable(address)
        return next((asn for file in self._maps if (asn := file.content.lookup(ip))), None) if ip else None


def _remark(name: str, found: AddressList) -> str:
    return (
        f"Of the {found.entries} entries of the list {name}, {found.wrong} are no address, the first in line {found.first_wrong}."
    )


class _File(Generic[_Content]):
    """One file, read as a whole."""

    def __init__(self, path: str, read: Callable[[bytes], _Content], what: str) -> None:
        """Read it.

        Raises:
            IntelligenceError: it cannot be read, or is not what it should be.
        """
        self.path = Path(path)
        self.failed: str | None = None
        """Why the present file could not be read, when it was changed into one that cannot."""
        self._read = read
        self._what = what
        self._stamp = _stamp(self.path)
        self.content, self.date = self._load()

    def changed(self) -> bool:
        """Whether it is another file than when it was last looked at."""
        return _stamp(self.path) != self._stamp

    def reload(self) -> None:
        """Read it again; `content` stays as it is if that fails."""
        self._stamp = _stamp(self.path)
        try:
            self.content, self.date = self._load()
        except IntelligenceError as error:
            self.failed = f"{error} Until then what it said on {self.date} holds."
        else:
            self.failed = None

    def _load(self) -> tuple[_Content, str]:
        """What it says, and the day of its last change (UTC)."""
        whole = f"The {self._what} {str(self.path)!r} cannot be"
        try:
            state = self.path.stat()
            if not stat.S_ISREG(state.st_mode) or state.st_size > MOST_BYTES:
                raise IntelligenceError(f"{whole} used: name a file of at most {MOST_BYTES >> 20} MiB.")
            data = self.path.read_bytes()
        except OSError as error:
            do = "name a file that the user who runs the watcher can read"
            raise IntelligenceError(f"{whole} read ({error.strerror}): {do}, or take it out of the configuration.") from error
        try:
            content = self._read(data)
        except (AsmapError, MmdbError, AddressListError) as error:
            raise IntelligenceError(f"{whole} used, for {error}: put a whole one there, or name another.") from error
        return content, datetime.fromtimestamp(state.st_mtime_ns // SECOND, UTC).date().isoformat()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file; None when it is not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns
