"""A line of live figures for the terminal: what comes in and out, from how many peers, what was lost, how far recording is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from peerwatch.app.pipeline import Outcome
from peerwatch.schema.batch import SECOND, Rows
from peerwatch.sinks.terminal import Stream
from peerwatch.sources._api import Chunk

TOP_TYPES = 4
"""Message types shown by name."""


UNSEEN = {"blind": "is not seen", "gap": "was not seen"}
"""What is said of a part of a node, by the kind of loss."""


class RateLine:
    """Writes a line every so often; an Observer of the loop. Falls silent when nobody reads it any more."""

    def __init__(self, stream: Stream, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._every = every_s
        self._clock = clock
        self._since = clock()
        self._types: Counter[str] = Counter()
        self._inbound = self._bytes = self._lost = 0
        self._peers: set[tuple[str, int]] = set()
        self._newest = 0
        self._broken = False

    def saw(self, chunk: Chunk, outcome: Outcome) -> None:
        """Count a chunk."""
        if (rates := outcome.rows.get("rate")) is not None:
            rows = Rows(rates)
            for name, inbound, messages, size in zip(rows["type"], rows["inbound"], rows["messages"], rows["bytes"], strict=True):
                self._types[name] += int(messages)
                self._inbound += int(messages) if inbound else 0
                self._bytes += int(size)
        if (messages := outcome.rows.get("message")) is not None:
            self._peers.update((chunk.identity.node, peer) for peer in np.unique(Rows(messages)["peer"]).tolist())
        if (nodes := outcome.rows.get("node")) is not None:
            for node in nodes.to_pylist():
                process = f", process {node['pid']}" if node["pid"] else ""
                self._stream.write(f"{node['node']}: {node['event']}{process}\n")
        if (losses := outcome.rows.get("loss")) is not None:
            self._lost += int(Rows(losses)["count"].sum())
            for loss in losses.to_pylist():
                if loss["probe"] and loss["kind"] in UNSEEN:
                    self._stream.write(f"{loss['node']}: {loss['probe']} {UNSEEN[loss['kind']]}: {loss['reason']}\n")
        self._newest = max(self._newest, chunk.watermark)

    def pulse(self) -> None:
        """Write the line if it is time."""
        passed = self._clock() - self._since
        if passed < self._every or self._broken:
            return
        messages = self._types.total()
        top = "  ".join(f"{name} {count / passed:,.0f}" for name, count in self._types.most_common(TOP_TYPES))
        when = time.strftime("%H:%M:%S", time.gmtime(self._newest / SECOND)) if self._newest else "--:--:--"
        line = (
            f"{when}  {self._inbound / passed:7,.0f} msg/s in  {(messages - self._inbound) / passed:7,.0f} out  "
            f"{self._bytes / passed / 1000:8,.0f} kB/s  {len(self._peers):4d} peers  lost {self._lost}  | {top}"
        )
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._broken = True
        self._since += passed
        self._types.clear()
        self._inbound = self._bytes = 0
        self._peers.clear()
