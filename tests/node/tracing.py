"""A node's tracepoints as a source like any other: tracer and watcher in one process, with all its rights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt.discover import NODE_PROBE, Wanted
from peerwatch.sources.usdt.elf_notes import ElfError, read_notes
from peerwatch.sources.usdt.kernel import Kernel, KernelError
from peerwatch.sources.usdt.link import Link, pair
from peerwatch.sources.usdt.slots import CaptureLimits
from peerwatch.sources.usdt.source import UsdtSource
from peerwatch.sources.usdt.tracer import Tracer

RING_BYTES = 16 << 20
KEPT = 256
"""Bytes of each message: sizes are what counts."""


class NotTraceableError(Exception):
    """There is nothing to trace, or it cannot be traced; the message says why."""


class TracedNode:
    """Traces the processes of one binary that have certain arguments; `sources._api.Source` says what the methods promise."""

    name = "usdt"
    live = True

    def __init__(self, binary: Path, name: str, *args: str) -> None:
        """Attach; processes that start later are traced from their first message.

        Raises:
            NotTraceableError: the binary has no tracepoints, or tracing is not possible here.
        """
        if not has_probes(binary):
            raise NotTraceableError(f"{binary.name} was built without tracepoints")
        try:
            self._kernel = Kernel.load(ring_bytes=RING_BYTES)
        except KernelError as error:
            raise NotTraceableError(str(error)) from error
        self._tracer = Tracer(self._kernel, [Wanted(name, binary=str(binary), args=args)], lambda _: None)
        self._tracer.start()
        ours, theirs = pair()
        self._tracer.admit(ours)
        self._source = UsdtSource(Link(theirs), lambda _: name, lambda _: {}, CaptureLimits({}, KEPT))

    def read(self) -> Sequence[Chunk]:
        """What has come."""
        self._tracer.step(0.0)
        return self._source.read()

    def finish(self) -> Sequence[Chunk]:
        """What there is."""
        self._tracer.step(0.0)
        return self._source.finish()

    def commit(self) -> None:
        """It need not be kept."""
        self._source.commit()

    def close(self) -> None:
        """Trace no longer."""
        self._source.close()
        self._tracer.close()
        self._kernel.close()


def has_probes(binary: Path) -> bool:
    """Whether a binary has the tracepoint of received messages."""
    with binary.open("rb") as file:
        try:
            return any(note.full_name == NODE_PROBE for note in read_notes(file.fileno()))
        except ElfError:
            return False
