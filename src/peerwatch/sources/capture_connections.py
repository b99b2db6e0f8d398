"""Which connection each message of a capture belongs to.

A node files all messages of one address and port together, whatever connection they were said on. The first message begins a
connection. After that, a `version` begins another one when the side that says it had said one on the present connection already,
unless the other side is known to have opened it: who opens a connection says `version` first, and only who opened a connection
can open it again. Messages of both sides belong to the connection that is open at their place in merged order. Whoever opened the
first connection is taken to have opened those that follow. Connections are numbered in the order of their first messages.

So a peer that connected to us and says `version` twice is taken for two connections: in a capture these look alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import Array
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.connection import Connection
from peerwatch.sources.capture_files import OPENING, CaptureFile, is_opening
from peerwatch.wire.raw import printable

_THEIRS, _OURS = 1, 2
"""Who said `version`, as bits."""
_NEW = -1
"""In place of the number of a connection that has none yet."""


class Peer(NamedTuple):
    """An open connection."""

    number: int
    inbound: bool | None
    """Whether the peer opened it; None if that cannot be told."""
    said: int = 0
    """Who said `version` on it: bits 1 (the peer) and 2 (we)."""
    last: int = 0
    """Time of its latest message, ns."""


class Mark(NamedTuple):
    """A connection opened or closed, before the message with the index `before`, at the time `ts` (ns)."""

    before: int
    ts: int
    event: str
    peer: Peer
    folder: str


class _Stretch(NamedTuple):
    """Records of one folder (indices), the connections that they belong to, and from which of them on each of these."""

    folder: str
    records: Array
    peers: list[Peer]
    begins: list[int]


class CaptureConnections:
    """The connections of a capture, from chunk to chunk."""

    def __init__(self, next_id: int = 0) -> None:
        """Know no connection. `next_id` is the number of the next one."""
        self.next_id = next_id
        self.open: dict[str, Peer] = {}
        """By folder, as long as it may go on."""

    def follow(
        self, records: Array, met: Sequence[Sequence[CaptureFile]], which: Array, *, live: bool
    ) -> tuple[Array, list[Mark]]:
        """Say which connection the next records belong to, and what opens and closes.

        Args:
            records: RECORD, in merged order.
            met: for each file that they come from, the files of its folder.
            which: for each record its file, as an index into `met`.
            live: whether files may go on.

        Returns:
            For each record the number of its connection (int64), and marks in order.
        """
        folders = {files[0].folder: files for files in met}
        names = {name: nth for nth, name in enumerate(folders)}
        of = np.array([names[files[0].folder] for files in met], np.int64)[which]
        order = np.argsort(of, kind="stable")
        edges = np.searchsorted(of[order], np.arange(len(folders) + 1)).tolist()
        openings = np.flatnonzero(is_opening(records)[order])
        cuts = np.searchsorted(openings, edges)
        stretches = [
            self._stretch(files, records, order[first:stop], (openings[cuts[nth] : cuts[nth + 1]] - first).tolist())
            for nth, (files, (first, stop)) in enumerate(zip(folders.values(), pairwise(edges), strict=True))
        ]
        begun = self._number(stretches, records["ts"])
        number = np.zeros(len(records), np.int64)
        ended: list[Mark] = []
        for (name, files), stretch in zip(folders.items(), stretches, strict=True):
            lengths = np.diff([*stretch.begins, len(stretch.records)])
            number[stretch.records] = np.repeat([peer.number for peer in stretch.peers], lengths)
            now = self.open[name] = stretch.peers[-1]
            if not live and all(file.done for file in files):
                ended.append(Mark(int(stretch.records[-1]) + 1, now.last, "closed", now, name))
        # What closes behind a message comes before what opens with the next one.
        return number, sorted([*ended, *begun], key=lambda mark: mark.before)

    def _stretch(self, files: Sequence[CaptureFile], records: Array, mine: Array, openings: list[int]) -> _Stretch:
        """The connections of one folder that the records with the indices `mine` belong to; new ones have no number yet.

        `openings` are the positions in `mine` of those that are a `version`.
        """
        sides = {file.number: _OURS if file.sent else _THEIRS for file in files}
        present = self.open.get(files[0].folder)
        peers = [present or Peer(_NEW, opened_inbound(files))]
        begins = [0]
        times = records["ts"][mine]
        for at in openings:
            side, now = sides[int(records["file"][mine[at]])], peers[-1]
            if now.said & side and now.inbound is not (side == _OURS):
                peers[-1] = now._replace(last=int(times[at - 1])) if at else now
                peers.append(Peer(_NEW, now.inbound, side))
                begins.append(at)
            else:
                peers[-1] = now._replace(said=now.said | side)
        peers[-1] = peers[-1]._replace(last=int(times[-1]))
        return _Stretch(files[0].folder, mine, peers, begins)

    def _number(self, stretches: Sequence[_Stretch], times: Array) -> list[Mark]:
        """Give new connections their numbers, in order of their first records; returns what opens and what closes before."""
        new = [(int(s.records[at]), nth, s) for s in stretches for nth, at in enumerate(s.begins) if s.peers[nth].number == _NEW]
        marks: list[Mark] = []
        for before, nth, (folder, _, peers, _) in sorted(new, key=lambda each: each[0]):
            peers[nth] = peers[nth]._replace(number=self.next_id)
            self.next_id += 1
            if nth:
                marks.append(Mark(before, peers[nth - 1].last, "closed", peers[nth - 1], folder))
            marks.append(Mark(before, int(times[before]), "opened", peers[nth], folder))
        return marks


def connection_rows(identity: Identity, marks: Sequence[Mark], seq: Array) -> pa.RecordBatch:
    """Rows of the table `connection`; `seq` is their sequence numbers."""
    return Connection.build(
        identity,
        {
            "ts": np.array([mark.ts for mark in marks], np.int64),
            "seq": seq,
            "peer": np.array([mark.peer.number for mark in marks], np.int64),
            "event": [mark.event for mark in marks],
            "inbound": [mark.peer.inbound for mark in marks],
            "address": [address(mark.folder) for mark in marks],
        },
    )


def opened_inbound(files: Sequence[CaptureFile]) -> bool | None:
    """Whether the peer opened the connection: who does sends the first `version`. None if that cannot be told."""
    times = {file.sent: file.first[0] for file in files if file.first and file.first[1] == OPENING}
    if not times or times.get(True) == times.get(False):
        return None
    return min(times, key=lambda sent: times[sent]) is False


def address(folder: str) -> str:
    """A peer's address and port, of its folder's name: Core replaces every colon by an underscore, and no address has others."""
    return printable(os.fsencode(folder)).replace("_", ":")
