"""Sources that come and go while a run goes on: one for each way in which each node can be looked at.

What there should be is asked for again every few seconds. A source that fails is closed, said in a `loss` row, and opened again
later: the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from peerwatch.schema.batch import SECOND
from peerwatch.sources._api import Chunk, Source
from peerwatch.sources.gathered import Gathered
from peerwatch.wire.raw import printable

LOOK_NS = 5 * SECOND
"""How often it is asked what there should be."""
RETRY_NS = 10 * SECOND
"""How long after its failure a source is opened again."""

SOURCE = "sources"
"""Source of the rows that say which sources failed."""


class Part(NamedTuple):
    """Which source: of what node, and in which way it looks at it."""

    node: str
    way: str


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open one source. It is closed and opened anew when `what` becomes another."""

    what: object
    """Everything that the source is made of, comparable."""
    open: Callable[[], Source]


@dataclass(slots=True)
class _Open:
    what: object
    source: Source
    over: bool = False


class Several:
    """Sources as one. See the module; `sources._api.Source` says what the methods promise."""

    name = SOURCE
    live = True

    def __init__(
        self,
        wanted: Callable[[], Mapping[Part, Opening]],
        clock: Callable[[], int] = time.monotonic_ns,
        utc: Callable[[], int] = time.time_ns,
    ) -> None:
        """`wanted` tells what there should be; a part that it no longer names stays open. `clock` is monotonic, ns."""
        self._wanted = wanted
        self._clock = clock
        self._utc = utc
        self._open: dict[Part, _Open] = {}
        self._retry: dict[Part, int] = {}
        self._next = 0
        self._told: dict[str, Gathered] = {}

    @property
    def parts(self) -> frozenset[Part]:
        """What is open."""
        return frozenset(self._open)

    def read(self) -> Sequence[Chunk]:
        """What all of them have."""
        now = self._clock()
        chunks: list[Chunk] = []
        if now >= self._next:
            self._next = now + LOOK_NS
            chunks += self._look(now)
        for part, each in list(self._open.items()):
            if each.over:
                continue
            try:
                more = each.source.read()
            except Exception as error:  # noqa: BLE001 - whatever it is, the others must go on
                self._failed(part, error, now)
                continue
            each.over = more is None
            chunks += more or ()
        return [*chunks, *self._losses()]

    def finish(self) -> Sequence[Chunk]:
        """What is left of all of them."""
        chunks: list[Chunk] = []
        for part, each in list(self._open.items()):
            try:
                chunks += each.source.finish()
            except Exception as error:  # noqa: BLE001 - as in read
                self._failed(part, error, self._clock())
        return [*chunks, *self._losses()]

    def commit(self) -> None:
        """Tell them."""
        for part, each in list(self._open.items()):
            try:
                each.source.commit()
            except Exception as error:  # noqa: BLE001 - as in read
                self._failed(part, error, self._clock())

    def close(self) -> None:
        """Close them."""
        while self._open:
            self._open.popitem()[1].source.close()

    def _look(self, now: int) -> list[Chunk]:
        """Open what is missing, and open anew what has become something else. Returns what the former one still had."""
        chunks: list[Chunk] = []
        for part, opening in self._wanted().items():
            each = self._open.get(part)
            if (each and each.what == opening.what) or now < self._retry.get(part, 0):
                continue
            if each:
                chunks += each.source.finish()
                each.source.close()
                del self._open[part]
            try:
                self._open[part] = _Open(opening.what, opening.open())
            except Exception as error:  # noqa: BLE001 - as in read
                self._say(part, error)
                self._retry[part] = now + RETRY_NS
            else:
                self._gathered(part.node).seen(part.way, self._utc())
        return chunks

    def _failed(self, part: Part, error: Exception, now: int) -> None:
        self._open.pop(part).source.close()
        self._retry[part] = now + RETRY_NS
        self._say(part, error)

    def _say(self, part: Part, error: Exception) -> None:
        why = printable(str(error).encode(errors="replace")[:200]) or type(error).__name__
        self._gathered(part.node).unseen(part.way, f"{why[:1].upper()}{why[1:]}.", self._utc())

    def _gathered(self, node: str) -> Gathered:
        if node not in self._told:
            self._told[node] = Gathered(node, SOURCE, self._utc())
        return self._told[node]

    def _losses(self) -> list[Chunk]:
        now = self._utc()
        return [chunk for told in self._told.values() if told.waiting for chunk in told.take(now)]
