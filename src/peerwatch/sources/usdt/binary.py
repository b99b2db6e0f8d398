"""What can be traced in a binary: which probes it has, where, and which of them are understood."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peerwatch.schema.batch import Array
from peerwatch.sources.usdt.arguments import NotUnderstoodError, spec_of
from peerwatch.sources.usdt.elf_notes import ElfError, Note, read_notes
from peerwatch.sources.usdt.probes import PROBES

MAX_SITES = 256
"""Places of recorded probes in one binary; Bitcoin Core has one or two of each."""


@dataclass(frozen=True, slots=True)
class Site:
    """One place of an understood probe: the probe's number, its note, and the entry for BPF's `specs` map."""

    probe: int
    note: Note
    spec: Array


@dataclass(frozen=True, slots=True, eq=False)
class Binary:
    """A binary and its probes.

    `missing` are the probes that it does not have, `not_understood` says why one that it has cannot be attached. `device` and
    `inode` identify the file: after an upgrade the same path leads to another one.
    """

    path: str
    device: int
    inode: int
    sites: tuple[Site, ...]
    missing: tuple[str, ...]
    not_understood: dict[str, str]

    @property
    def attached(self) -> dict[str, int]:
        """At how many places each understood probe is."""
        return dict(Counter(site.note.full_name for site in self.sites))

    @property
    def blind(self) -> dict[str, str]:
        """Why each of the other probes is not attached."""
        return {**dict.fromkeys(self.missing, "the binary does not have it"), **self.not_understood}


@contextmanager
def opened(path: str | Path) -> Iterator[tuple[int, Binary]]:
    """Open and examine a binary, and keep it open: `/proc/self/fd/N` is what was examined, whatever becomes of the path.

    Raises OSError, and `ElfError` for what is not an intact x86-64 binary.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ElfError("not a file")
        sites, not_understood = _understand(read_notes(fd))
        if len(sites) > MAX_SITES:
            raise ElfError(f"{len(sites)} probe sites")
        found = {site.note.full_name for site in sites} | not_understood.keys()
        missing = tuple(probe.full_name for probe in PROBES if probe.full_name not in found)
        yield fd, Binary(str(path), status.st_dev, status.st_ino, sites, missing, not_understood)
    finally:
        os.close(fd)


def _understand(notes: list[Note]) -> tuple[tuple[Site, ...], dict[str, str]]:
    """Sites of the probes that are understood at all their places, and why others are not."""
    sites: list[Site] = []
    not_understood: dict[str, str] = {}
    for number, probe in enumerate(PROBES):
        places = [note for note in notes if note.full_name == probe.full_name]
        try:
            sites += [Site(number, note, spec_of(probe, number, note.arguments)) for note in places]
        except NotUnderstoodError as reason:
            not_understood[probe.full_name] = str(reason)
    return tuple(sites), not_understood
