"""The simulation source: a scenario past the kernel, as it happens or out of a folder.

What it gives is what the USDT source would, had the same events been fired by a node; so everything behind sources can be shown
and tested on machines that cannot trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.sources.simulation.chunks import NAME, Chunks, after
from peerwatch.sources.simulation.events import Events, Window
from peerwatch.sources.simulation.folder import PLAY, FolderError, Labels, labels, read_labels
from peerwatch.sources.simulation.playfile import PlayError
from peerwatch.sources.simulation.playreader import PlayReader
from peerwatch.sources.simulation.simulation import Plan, Simulation

CHUNK_EVENTS = 1 << 15
"""At full speed windows are put together until there are so many events."""

BEAT = SECOND // 10
"""A live simulation gives something this often."""


class SimulationSource:
    """Windows of events as a source. See the module; `sources._api.Source` says what the methods promise."""

    name = NAME

    def __init__(  # noqa: PLR0913 - each says something of its own
        self,
        windows: Generator[Window],
        truth: Callable[[], Labels],
        *,
        speed: float | None = None,
        position: Mapping[str, Any] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        file: BinaryIO | None = None,
    ) -> None:
        """Use `simulated` or `from_folder`.

        Args:
            windows: the events; an iterator that raises PlayError has come to damage, and gives no more.
            truth: labels, as far as the windows have come.
            speed: simulated seconds a second; None for as fast as possible.
            position: that of the last chunk that was recorded, to go on there.
            clock: ns, monotonic.
            file: what the windows are read from, to be closed in the end.
        """
        self.live = speed is not None
        self._windows = windows
        self._file = file
        self._truth = truth
        first = truth()
        self.node = first.node
        self._end = first.start
        self._chunks = Chunks(Identity(first.node, first.start, NAME))
        self._skip = int((position or {}).get("seq", 0))
        self._speed = speed
        self._clock = clock
        self._begun = self._said = clock()
        self._from = int((position or {}).get("end", first.start))
        self._held: Window | None = None
        self._lost: str | None = None
        self._ended = False

    @classmethod
    def simulated(cls, plan: Plan, node: str = "simulated", **how: Any) -> SimulationSource:
        """A simulation as it is made; `how` as in the constructor.

        Raises:
            ValueError: see Simulation.
        """
        simulation = Simulation(plan)
        return cls(iter(simulation), lambda: labels(simulation, node), **how)

    @classmethod
    def from_folder(cls, folder: Path, **how: Any) -> SimulationSource:
        """A simulation that was written into a folder; `how` as in the constructor.

        Raises:
            FolderError: the folder is not a simulation.
        """
        truth = read_labels(folder)
        try:
            file = (folder / PLAY).open("rb")
        except FileNotFoundError as error:
            raise FolderError(f"{folder} is not a simulation: {PLAY} is missing") from error
        except OSError as error:
            raise FolderError(f"{folder / PLAY} cannot be read: {error.strerror}") from error
        try:
            reader = PlayReader(file)
        except PlayError as error:
            file.close()
            raise FolderError(f"{folder / PLAY} is {error}") from error
        return cls(_played(reader, truth), lambda: truth, file=file, **how)

    @property
    def labels(self) -> Labels:
        """The truth, as far as the simulation has come; that is up to a minute further than what was given."""
        return self._truth()

    def read(self) -> Sequence[Chunk] | None:
        """The next chunk: of a live simulation what is due, else as much as is handy."""
        if self._ended:
            return None
        if self._speed is None:
            return self._chunk(self._take(CHUNK_EVENTS, None))
        now = self._clock()
        if now - self._said < BEAT:
            return []
        self._said = now
        return self._chunk(self._take(None, self._from + int((now - self._begun) * self._speed)))

    def finish(self) -> Sequence[Chunk]:
        """Nothing is held back."""
        return []

    def commit(self) -> None:
        """A position is all that is needed to go on: what comes before it is made again and passed over."""

    def close(self) -> None:
        """Stop making events."""
        self._windows.close()
        if self._file is not None:
            self._file.close()

    def _chunk(self, window: Window) -> Sequence[Chunk]:
        made = [self._chunks.chunk(window)]
        if self._ended:
            made.append(self._chunks.finish(max(self._end, window.end), self._lost))
        fresh = [after(c, self._skip) for c in made if c.position["seq"] > self._skip or c.ended or not len(c.events)]
        return fresh if self.live else [c for c in fresh if len(c.events) or c.ended]

    def _take(self, enough: int | None, until: int | None) -> Window:
        """Events until there are `enough`, or until a time (ns); notices the end."""
        parts: list[Window] = []
        count = 0
        while (enough is None or count < enough) and (until is None or self._end < until):
            window = self._held or self._next()
            self._held = None
            if window is None:
                self._ended = True
                self.close()
                break
            if until is not None and window.end > until:
                window, self._held = window.split(until)
            self._end = window.end
            parts.append(window)
            count += len(window.events)
        names = {peer: name for part in parts for peer, name in part.names.items()}
        return Window(Events.joined([p.events for p in parts]), self._end, names)

    def _next(self) -> Window | None:
        try:
            return next(self._windows, None)
        except PlayError as error:
            self._lost = f"The play file is damaged: {error}."
            return None


def _played(reader: PlayReader, truth: Labels) -> Generator[Window]:
    """The events of a play file; commands to the player mean nothing here."""
    end = truth.start
    for played in reader:
        if len(played.events):
            # More of the last moment may follow.
            end = max(end, int(played.events.head["ts"][-1]))
            yield Window(played.events, end, played.names)
    yield Window(Events.joined([]), max(end, truth.start + truth.duration), {})
