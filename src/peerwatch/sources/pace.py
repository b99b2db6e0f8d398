"""Any finished source at the speed of its own clock, or a multiple of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk, Source


def part(chunk: Chunk, first: int, stop: int) -> Chunk:
    """Events first … stop-1 of a chunk, with their messages and rows.

    Position, watermark and end of the whole chunk go with the part that has its last event; before, the watermark is the latest
    event so far in the chunk.
    """

    def span(events: Array) -> tuple[int, int]:
        return int(np.searchsorted(events, first)), int(np.searchsorted(events, stop))

    low, high = span(chunk.message_events)
    spans = {name: span(events) for name, events in chunk.row_events.items()}
    last = stop >= len(chunk.events)
    return replace(
        chunk,
        messages=chunk.messages.slice(low, high),
        events=chunk.events[first:stop],
        message_events=chunk.message_events[low:high] - first,
        rows={name: chunk.rows[name].slice(a, b - a) for name, (a, b) in spans.items() if a < b},
        row_events={name: chunk.row_events[name][a:b] - first for name, (a, b) in spans.items() if a < b},
        watermark=chunk.watermark if last else int(chunk.events[:stop].max(initial=0)),
        position=chunk.position if last else {},
        ended=chunk.ended and last,
    )


class Paced:
    """A source whose events come when it is their time. Becomes live by that."""

    live = True

    def __init__(self, source: Source, speed: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Let `speed` seconds of the source pass in a second; `clock` is monotonic, ns."""
        self.name = source.name
        self._source = source
        self._speed = speed
        self._clock = clock
        self._waiting: list[Chunk] = []
        self._marks: dict[Identity, int] = {}
        """Up to which time everything was given, by identity."""
        self._began: tuple[int, int] | None = None
        """When pacing began: on the clock, and in the source's time."""

    def read(self) -> Sequence[Chunk] | None:
        """What is due by now; of an identity with nothing due an empty chunk each second, as long as it has not ended."""
        if not self._waiting:
            more = self._source.read()
            if more is None:
                return None
            self._waiting = list(more)
        if not self._waiting:
            return []
        if self._began is None:
            self._began = self._clock(), min(int(c.events.min(initial=c.watermark)) for c in self._waiting)
        began, origin = self._began
        due = origin + int((self._clock() - began) * self._speed)
        out: list[Chunk] = []
        left: list[Chunk] = []
        blocked: set[Identity] = set()
        for chunk in self._waiting:
            if chunk.identity in blocked:
                left.append(chunk)
                continue
            late = np.flatnonzero(np.maximum.accumulate(chunk.events) > due)
            if len(late) == 0 and chunk.watermark <= due:
                out.append(self._marked(chunk, chunk.watermark))
                continue
            blocked.add(chunk.identity)
            stop = int(late[0]) if len(late) else len(chunk.events)
            if stop or due // SECOND > self._marks.get(chunk.identity, 0) // SECOND:
                out.append(self._marked(_head(chunk, stop), min(due, chunk.watermark)))
                chunk = part(chunk, stop, len(chunk.events))  # noqa: PLW2901 - what is left of it
            left.append(chunk)
        self._waiting = left
        return out

    def finish(self) -> Sequence[Chunk]:
        """What is not due yet is left out."""
        self._waiting.clear()
        return []

    def commit(self) -> None:
        """Pass it on."""
        self._source.commit()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _marked(self, chunk: Chunk, watermark: int) -> Chunk:
        """A chunk with a watermark that does not go back."""
        self._marks[chunk.identity] = mark = max(watermark, self._marks.get(chunk.identity, 0))
        return replace(chunk, watermark=mark)


def _head(chunk: Chunk, stop: int) -> Chunk:
    """Events 0 … stop-1 of a chunk of which more is to come, be it only its watermark."""
    return replace(part(chunk, 0, stop), position={}, ended=False)
