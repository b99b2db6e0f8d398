"""The capture source: what a node run with `-capturemessages` wrote, replayed when finished or followed while it grows.

It needs no privileges and no BPF, and sees every message whole. It does not see when a connection opens or closes: `opened` is
the first message, `closed` the last one (of a finished capture, or before the next connection of the same address and port).
Which connection a message belongs to: see `sources.capture_connections`.

Rows are the same however the capture is cut into chunks, and after a crash go on exactly behind the last recorded `position`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.loss import Loss
from peerwatch.sources._api import Chunk
from peerwatch.sources.capture_connections import CaptureConnections, Peer, address, connection_rows
from peerwatch.sources.capture_files import CaptureFile, Progress, read_payloads
from peerwatch.sources.capture_folder import GIVEN_UP, CaptureFolder
from peerwatch.sources.capture_merge import Merge
from peerwatch.wire.capture_format import TYPE_BYTES
from peerwatch.wire.raw import RawMessages, TypeNames

NAME = "capture"
FOLDER = "message_capture"

CHUNK_MESSAGES = 1 << 16
CHUNK_BYTES = 32 << 20
"""Payload bytes of a chunk at most; a single message may be up to 4 MB more."""

POLL_NS = SECOND // 10
"""How often a followed folder is looked at."""
QUIET_NS = SECOND // 2
"""After so long without messages a followed capture says how late it is."""
FAR_NS = 86_400 * SECOND
"""A record of a followed capture so far ahead of now does not say what time it is."""
LAG_NS = 2 * SECOND
"""A record is in its file this long after its time, at the latest."""


class CaptureError(Exception):
    """A folder that cannot be replayed or followed; the message says why, in one sentence."""


class CaptureSource:
    """One node's capture. See the module; `sources._api.Source` says what the methods promise."""

    name = NAME

    def __init__(  # noqa: PLR0913 - each says something of its own
        self,
        directory: Path,
        node: str,
        *,
        follow: bool = False,
        position: Mapping[str, Any] | None = None,
        limits: tuple[int, int] = (CHUNK_MESSAGES, CHUNK_BYTES),
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open a capture.

        Args:
            directory: a folder `message_capture`, or one that holds it.
            node: name of the node.
            follow: whether to go on when the node writes more; else what is there now is delivered, and that is all.
            position: that of the last chunk that was recorded, to go on there.
            limits: most messages and most payload bytes of a chunk.
            clock: ns, monotonic.

        Raises:
            CaptureError: there is no such folder, it cannot be read, or there is no capture in it.
        """
        self.live = follow
        self._node = node
        self._limits = limits
        self._clock = clock
        self._names = TypeNames()
        self._merge = Merge()
        start = dict(position or {})
        self.session: int | None = start.get("session")
        """Time of the first record, ns UTC; None as long as there is none."""
        self._seq = int(start.get("seq", 0))
        self._newest = int(start.get("newest", 0))
        self._mark = int(start.get("mark", 0))
        self._ended = bool(start.get("ended", False))
        self._connections = CaptureConnections(int(start.get("next_id", 0)))
        self._scanned: int | None = None
        self._arrival = self._said = clock()
        self._folder = CaptureFolder(capture_root(directory), cold=int(start.get("cold", 0)))
        for folder, (peer, received, sent) in restored(start.get("peers", {})):
            if peer is not None:
                self._connections.open[folder] = Peer(*peer)
            self._folder.resume(folder, sent=False, progress=Progress(*received))
            self._folder.resume(folder, sent=True, progress=Progress(*sent))
        self._scan()
        if not follow:
            self._check_whole()

    def read(self) -> Sequence[Chunk] | None:
        """The next chunk; of a followed capture, nothing as long as it has no record at all."""
        if self._ended:
            return None
        if self.live:
            self._scan()
        records = self._merge.take(*self._limits)
        if self.live and not len(records) and not self._quiet():
            return []
        if self.session is None:
            if self.live:
                return []
            self.session = 0  # not one whole record: nothing tells a time
        return [self._chunk(Identity(self._node, self.session, NAME), records)]

    def finish(self) -> Sequence[Chunk]:
        """Nothing is held back."""
        return []

    def commit(self) -> None:
        """The node's files keep everything; a position is all that is needed to go on."""

    def close(self) -> None:
        """Nothing is held open."""

    def _scan(self) -> None:
        now = self._clock()
        if self._scanned is not None and now - self._scanned < POLL_NS:
            return
        self._scanned = now
        try:
            files = self._folder.scan(now)
        except OSError as error:
            raise CaptureError(f"the capture {error.filename} cannot be read: {str(error.strerror).lower()}") from error
        for file in files:
            self._merge.offer(file)
        for folder in self._connections.open.keys() - self._folder.peers.keys():
            del self._connections.open[folder]  # long over, or removed: should it come again, then as another connection
        if self.session is None:
            self.session = min((file.first[0] for file in files if file.first), default=None)

    def _check_whole(self) -> None:
        files = self._folder.files.values()
        if not files:
            raise CaptureError(
                f"there is no capture in {self._folder.root}: it holds no <peer address>/msgs_recv.dat or msgs_sent.dat"
            )
        for file in files:
            if not os.access(file.path, os.R_OK, effective_ids=True):
                raise CaptureError(f"the capture file {file.path} cannot be read: permission denied")

    def _quiet(self) -> bool:
        return self.session is not None and self._clock() - self._said >= QUIET_NS

    def _chunk(self, identity: Identity, records: Array) -> Chunk:
        """What follows for `records` (RECORD, just taken from the merge)."""
        self._ended = not self.live and not len(records)
        times = records["ts"]
        if self.live:  # a node's clock that ran ahead for a moment must not take our idea of the present with it
            times = times[times <= time.time_ns() + FAR_NS]
        self._newest = max(self._newest, int(times.max(initial=0)))
        numbers, which = np.unique(records["file"], return_inverse=True)
        met = [self._folder.files[number] for number in numbers.tolist()]
        peer, marks = self._connections.follow(records, [self._folder.peers[file.folder] for file in met], which, live=self.live)
        lost = self._lost()
        of_message, of_mark = event_numbers(len(records), [mark.before for mark in marks])
        events = np.full(len(of_message) + len(of_mark) + len(lost), self._newest)
        events[of_message] = records["ts"]
        events[of_mark] = [mark.ts for mark in marks]
        of_lost = np.arange(len(events) - len(lost), len(events))
        seq = np.arange(self._seq, self._seq + len(events))
        self._seq += len(events)
        rows, row_events = {}, {}
        if len(of_mark):
            row_events[Connection.name] = of_mark
            rows[Connection.name] = connection_rows(identity, marks, seq[of_mark])
        if lost:
            row_events[Loss.name] = of_lost
            rows[Loss.name] = self._losses(identity, lost, seq[of_lost])
        return Chunk(
            identity=identity,
            watermark=self._watermark(len(events)),
            messages=self._messages(records, met, which, peer, seq[of_message]),
            events=events,
            message_events=of_message,
            rows=rows,
            row_events=row_events,
            position=self._position(),
            ended=self._ended,
        )

    def _messages(self, records: Array, met: Sequence[CaptureFile], which: Array, peer: Array, seq: Array) -> RawMessages:
        if not len(records):
            return RawMessages.none(self._names.names)
        buf, start, readable = read_payloads(met, which, records)
        size = records["size"].copy()
        return RawMessages(
            buf=buf,
            ts=records["ts"].copy(),
            seq=seq,
            peer=peer,
            inbound=np.array([not file.sent for file in met], bool)[which],
            type=self._names.codes(records["type"].copy().view(np.uint8).reshape(-1, TYPE_BYTES)),
            size=size,
            kept=np.where(readable, size, 0),
            start=start,
            unreadable=~readable,
            names=self._names.names,
        )

    def _lost(self) -> list[CaptureFile]:
        """Files of which something could not be delivered, each once, when everything before it was."""
        if not self.live and not self._ended:
            return []
        lost = [f for f in self._folder.files.values() if not f.told and f.done and (f.broken or (self._ended and f.left))]
        for file in lost:
            file.told = True
        return sorted(lost, key=lambda f: (f.folder, f.sent))

    def _losses(self, identity: Identity, lost: Sequence[CaptureFile], seq: Array) -> pa.RecordBatch:
        return Loss.build(
            identity,
            {
                "ts": np.full(len(lost), self._newest),
                "seq": seq,
                "kind": ["unreadable" if f.broken else "truncated" for f in lost],
                "probe": ["sent" if f.sent else "received" for f in lost],
                "first_ts": np.array([f.key or self.session for f in lost], np.int64),
                "last_ts": np.full(len(lost), self._newest),
                "count": np.array([0 if f.broken else 1 for f in lost], np.int64),
                "bytes": np.array([f.left for f in lost], np.int64),
                "reason": [reason(f) for f in lost],
            },
        )

    def _watermark(self, events: int) -> int:
        """What has come is delivered. When nothing comes, the node's clock is taken to run on as ours does."""
        now = self._clock()
        self._said = now
        if events:
            self._arrival = now
            self._mark = max(self._mark, self._newest)
        elif self.live:
            self._mark = max(self._mark, self._newest + now - self._arrival - LAG_NS)
        return self._mark

    def _position(self) -> dict[str, Any]:
        peers: dict[str, list[Any]] = {}
        for folder, files in self._folder.peers.items():
            state: list[Any] = [self._connections.open.get(folder), Progress(0, 0), Progress(0, 0)]
            for file in files:
                given_up = file.broken and file.told
                state[2 if file.sent else 1] = file.progress._replace(delivered=GIVEN_UP) if given_up else file.progress
            peers[folder] = state
        return {
            "session": self.session,
            "seq": self._seq,
            "newest": self._newest,
            "mark": self._mark,
            "next_id": self._connections.next_id,
            "cold": self._folder.cold,
            "ended": self._ended,
            "peers": peers,
        }


def restored(peers: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Folders of a position and what is known of each: its open connection, and the progress of what was received and sent.

    Positions that were recorded before connections of one address were told apart have six numbers for it.
    """
    for folder, state in peers.items():
        if len(state) == 6:  # noqa: PLR2004 - said above
            number, inbound, received, received_key, sent, sent_key = state
            peer = None if number is None else [number, inbound]
            yield folder, [peer, [received, received_key, received_key], [sent, sent_key, sent_key]]
        else:
            yield folder, state


def capture_root(directory: Path) -> Path:
    """The folder `message_capture`, which is `directory` or lies in it.

    Raises:
        CaptureError: there is none, or it cannot be read.
    """
    try:
        if not directory.is_dir():
            raise CaptureError(f"{directory} is no folder" if directory.exists() else f"there is no folder {directory}")
        root = directory / FOLDER if (directory / FOLDER).is_dir() else directory
        next(root.iterdir(), None)
    except PermissionError as error:
        raise CaptureError(f"the folder {error.filename} cannot be read: permission denied") from error
    return root


def event_numbers(count: int, before: Sequence[int]) -> tuple[Array, Array]:
    """Number, in one order, `count` messages and the marks before some of them (indices, ascending; `count` for behind all).

    Returns:
        The numbers of the messages, and those of the marks.
    """
    places = np.array(before, np.int64)
    at = np.arange(count)
    return at + np.searchsorted(places, at, side="right"), places + np.arange(len(places))


def reason(file: CaptureFile) -> str:
    """Why something of a file is lost."""
    what = f"the file of what was {'sent to' if file.sent else 'received from'} {address(file.folder)}"
    return f"{what} {file.broken}; the rest was given up." if file.broken else f"{what} ends inside a record."
