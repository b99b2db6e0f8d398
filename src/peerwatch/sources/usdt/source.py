"""The USDT source inside the watcher: ring and facts in, chunks out. It has no privileges and calls no bpf(2).

What makes it exact:

- The ring's consumer position is published only after the rows are recorded (`commit`), and each chunk's `position` says up to
  which byte of the ring a process's records are in it. After a crash the ring is read again from the published position, and
  records below the recorded one are skipped: every record is recorded once.
- Losses come from counters that BPF keeps, and how much of them was declared is part of the position, too.
- A record of a process that the tracer has not told about yet stops the reading there, until it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt.clock import UtcClock
from peerwatch.sources.usdt.link import Blind, Exited, FromWatcher, Hello, Link, LinkClosedError, Process, Recorded, Who
from peerwatch.sources.usdt.records import headers
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.slots import CaptureLimits, Control, Slots
from peerwatch.sources.usdt.traced import NAME, Traced

READ_BYTES = 8 << 20
"""Ring bytes taken in one read: about 25 k messages of the usual mix."""

HELLO_S = 10.0
"""How long to wait for the tracer's first words."""

POISONED = 3
"""After so many watchers in a row that ended before they recorded anything, what lies in the ring is skipped, and said so."""

RECORD_HEADER = 8
"""Bytes of the ring's own before each record."""

_NOT_OURS = None


class _Batch(NamedTuple):
    """Records read from the ring."""

    buf: Array
    offsets: Array
    """Where each begins in `buf`."""
    head: Array
    """Their headers (probes.HEADER)."""
    start: int
    """Ring position of the beginning of `buf`."""

    def take(self, which: Any) -> _Batch:
        """Some of them: a slice, or a mask."""
        return self._replace(offsets=self.offsets[which], head=self.head[which])


class UsdtSource:
    """All traced nodes of this machine. See the module; `sources._api.Source` says what the methods promise."""

    name = NAME
    live = True

    def __init__(
        self,
        link: Link,
        name_of: Callable[[str], str],
        recorded: Callable[[Identity], Mapping[str, Any]],
        limits: CaptureLimits,
        clock: UtcClock | None = None,
    ) -> None:
        """Take over from the tracer.

        Args:
            link: the tracer's other end.
            name_of: name of a node that was found, by its key.
            recorded: position of an identity in the archive or on its way there, empty when it has none.
            limits: bytes kept of messages.
            clock: UTC for kernel time.

        Raises:
            TimeoutError: the tracer says nothing.
            LinkError: it is gone, or says what is no hello.
        """
        hello = link.receive(HELLO_S)
        if not isinstance(hello, Hello):
            raise TimeoutError("the tracer does not answer; is it running?")
        descriptors = link.descriptors
        self._hello = hello
        self._link = link
        self._closed: LinkClosedError | None = None
        self._name_of = name_of
        self._recorded = recorded
        self._clock = clock or UtcClock()
        self._ring = Ring(descriptors.ring, hello.ring_bytes)
        self._slots = Slots(descriptors.slots)
        self._control = Control(descriptors.control)
        self._control.set_limits(limits.by_type, limits.default, limits.sent)
        self._traced: dict[Identity, Traced] = {}
        self._by_slot: dict[int, Traced | None] = {}
        self._names: dict[int, str] = {}
        """Nodes by the ids of their processes."""
        self._asked: set[int] = set()
        """Slots that the tracer was asked about and has not told."""
        self._held: _Batch | None = None
        """Records that wait for a process to be told."""
        self._skipped: list[_Batch] = []
        """Records to be passed over, when it is known whose they all are; their bytes are not kept."""
        self._sent_before = self._slots.live["sent"].astype(np.int64)
        """Records in the ring so far, by slot; read before the next line, so that these are all in front of it."""
        self._before: int | None = self._ring.produced
        """Ring position up to which there may be records that a former watcher gave up; None once that is settled."""
        self._handled_since: dict[int, int] = {}
        """Records handed over since that lay behind that position, by slot."""
        self._handed_over = self._ring.position
        self._drained = True
        """Whether the last read took all that was there."""
        self._until: int | None = None
        """Ring position up to which `finish` hands over, once it was called."""
        self._fact = 0
        self._waiting: list[Blind] = []
        """Facts that concern all nodes and came when there was none; the next one tells them."""
        self._second = self._clock.now()
        if hello.barren >= POISONED:
            self._skip_ring()

    def read(self) -> Sequence[Chunk]:
        """What the ring holds, by process; every node has a chunk at least once a second, under its newest process.

        Raises:
            LinkClosedError: the tracer is gone, and everything that can still be read has been.
            LinkError: it broke the protocol.
        """
        if self._closed is None:
            return self._read(due=self._clock.now() - self._second >= SECOND)
        if chunks := self.finish():
            return chunks
        raise self._closed

    def finish(self) -> Sequence[Chunk]:
        """A part of what was there when this was called first, with the counters as they stand; nothing when that is all."""
        if self._until is None:
            self._until = self._ring.produced
        elif self._handed_over >= self._until:
            return []
        before = self._handed_over
        chunks = self._read(due=True)
        if self._handed_over == before:
            self._until = before
        return chunks

    def commit(self) -> None:
        """Let the kernel have the ring's space, and the tracer forget its facts."""
        if self._handed_over > self._ring.published:
            self._ring.publish(self._handed_over)
        waiting = min((b.number for b in self._waiting), default=self._fact + 1)
        self._say(Recorded(min(self._fact, waiting - 1)))

    def close(self) -> None:
        """Leave the tracer. May be called twice."""
        self._link.close()

    def node_of(self, pid: int) -> str | None:
        """Name of the node that a running process is, by its id; None for one that is not traced."""
        return self._names.get(pid)

    # -- facts ---------------------------------------------------------------------------------------------------------------

    def _facts(self) -> None:
        try:
            while (fact := self._link.receive(0)) is not None:
                match fact:
                    case Process():
                        self._process(fact)
                    case Exited():
                        self._names.pop(fact.tgid, None)
                        self._at_slot(fact).exited(fact)
                    case Blind():
                        self._blind(fact)
                    case Hello():
                        continue
                self._fact = max(self._fact, fact.number)
        except LinkClosedError as error:
            self._closed = error

    def _say(self, message: FromWatcher) -> None:
        try:
            self._link.send(message)
        except LinkClosedError as error:
            self._closed = error

    def _identity(self, fact: Process | Exited | Blind) -> Identity:
        session = self._hello.session if isinstance(fact, Blind) else fact.session
        return Identity(fact.node or self._name_of(fact.key or ""), session, NAME)

    def _process(self, fact: Process) -> None:
        if not fact.ours:
            if fact.slot is not None:
                self._by_slot[fact.slot] = _NOT_OURS
            return
        traced = self._at_slot(fact)
        self._names[fact.tgid] = traced.identity.node
        traced.told(fact, answer=fact.slot in self._asked)
        if fact.slot is not None:
            self._asked.discard(fact.slot)
        if not traced.gone:
            for waiting in self._waiting:
                traced.blind_with_all(waiting)
            self._waiting.clear()

    def _at_slot(self, fact: Process | Exited) -> Traced:
        """The process that a fact is about. After a crash its end may be told without its beginning, which was recorded."""
        traced = self._open(self._identity(fact))
        if fact.slot is not None:
            traced.slot = fact.slot
            self._by_slot[fact.slot] = traced
        return traced

    def _open(self, identity: Identity) -> Traced:
        if identity not in self._traced:
            position = self._recorded(identity)
            self._traced[identity] = Traced(identity, self._hello.session, position, self._control.unassigned)
        return self._traced[identity]

    def _blind(self, fact: Blind) -> None:
        if fact.key is not None or fact.node is not None:
            # Whether it has a process just now may be told differently after a crash: this is counted for the node.
            self._open(self._identity(fact)).blind(fact)
        elif running := [t for t in self._traced.values() if t.runs]:
            for traced in running:
                traced.blind_with_all(fact)
        else:
            self._waiting.append(fact)

    # -- records -------------------------------------------------------------------------------------------------------------

    def _read(self, *, due: bool) -> Sequence[Chunk]:
        step = self._clock.update()
        now = self._clock.now()
        utc = now + self._clock.offset
        self._facts()
        # Said before anything that has the new time.
        chunks = [t.clock_stepped(step, utc, self._handed_over) for t in self._traced.values()] if step else []
        self._take_records()
        self._settle(utc)
        self._account(utc, due=due)
        if due:
            self._second = now
        newest = {t.identity.node: t for t in sorted(self._traced.values(), key=lambda t: t.order)}
        for identity, traced in list(self._traced.items()):
            succeeded = newest[identity.node] is not traced
            over = succeeded and traced.is_over and self._drained
            if traced.has_news or over or (due and not succeeded):
                chunks.append(traced.chunk(self._handed_over, utc if self._drained else None, last=over))
            if over:
                self._forget(identity)
        return chunks

    def _take_records(self) -> None:
        if not self._declare_skipped():
            return
        batch, self._held = self._held, None
        if batch is None:
            start, there = self._ring.position, self._ring.produced
            buf, offsets, _ = self._ring.read(READ_BYTES)
            self._drained = self._ring.position >= there
            if not len(offsets):
                self._handed_over = self._ring.position
                return
            batch = _Batch(buf, offsets, headers(buf, offsets), start)
        if unknown := self._unknown(batch):
            stop = int(np.flatnonzero(np.isin(batch.head["slot"], unknown))[0])
            self._held = batch.take(slice(stop, None))
            self._handed_over = batch.start + int(batch.offsets[stop]) - RECORD_HEADER
            self._drained = False
            batch = batch.take(slice(stop))
        else:
            self._handed_over = self._ring.position
        for slot in np.unique(batch.head["slot"]).tolist():
            if (traced := self._by_slot[slot]) is not None:
                buf, offsets, head, _ = _fresh(batch, slot, traced)
                if len(offsets):
                    traced.records(buf, offsets, head, self._clock.offset)
                if self._before is not None:
                    behind = int((batch.start + offsets > self._before).sum())
                    self._handled_since[slot] = self._handled_since.get(slot, 0) + behind

    def _settle(self, utc: int) -> None:
        """Once what was in the ring at the start has been read: say what of each process is neither here nor in the archive."""
        if self._before is None or self._handed_over < self._before:
            return
        for slot, traced in self._by_slot.items():
            if traced is not None:
                lost = int(self._sent_before[slot]) - (traced.handled - self._handled_since.get(slot, 0))
                if lost > 0:
                    traced.given_up(lost, utc)
        self._before = None
        self._handled_since.clear()

    def _unknown(self, batch: _Batch) -> list[int]:
        """Slots of records of which it is not known whose they are; the tracer is asked."""
        unknown = [slot for slot in np.unique(batch.head["slot"]).tolist() if slot not in self._by_slot]
        for slot in unknown:
            self._asked.add(slot)
            self._say(Who(slot))
        return unknown

    def _account(self, utc: int, *, due: bool) -> None:
        """Declare what was counted: each second, and with the end of a process, which the tracer forgets once it is recorded."""
        unassigned = self._control.unassigned
        for traced in self._traced.values():
            if due or (traced.gone and not traced.is_over):
                counters = None if traced.slot is None else self._slots.live[traced.slot].copy()
                traced.account(counters, unassigned, utc)

    def _forget(self, identity: Identity) -> None:
        gone = self._traced.pop(identity)
        self._by_slot = {slot: t for slot, t in self._by_slot.items() if t is not gone}

    # -- records that are passed over ----------------------------------------------------------------------------------------

    def _skip_ring(self) -> None:
        """Read past what is in the ring. It counts as handed over when it was said, of each process, how much of it."""
        while True:
            start = self._ring.position
            buf, offsets, _ = self._ring.read(READ_BYTES)
            if not len(offsets):
                break
            self._skipped.append(_Batch(np.zeros(0, np.uint8), offsets, headers(buf, offsets), start))

    def _declare_skipped(self) -> bool:
        """Say what was passed over. False while it is not known yet whose all of it is."""
        if [slot for batch in self._skipped for slot in self._unknown(batch)]:
            self._drained = False
            return False
        reason = f"Records were passed over: {self._hello.barren} watchers in a row had ended before they recorded anything."
        for batch in self._skipped:
            for slot in np.unique(batch.head["slot"]).tolist():
                if (traced := self._by_slot[slot]) is not None and len(head := _fresh(batch, slot, traced).head):
                    ts = head["ts"].astype(np.int64) + self._clock.offset
                    span = (int(ts.min()), int(ts.max()))
                    traced.made.loss("dropped", reason, span, count=len(head), nbytes=int(head["size"].sum()))
                    traced.handled += len(head)
        if self._skipped:
            self._skipped.clear()
            self._handed_over = self._ring.position
        return True


def _fresh(batch: _Batch, slot: int, traced: Traced) -> _Batch:
    """Those records of a process that are not in the archive yet."""
    mine = batch.head["slot"] == slot
    if traced.recorded_to > batch.start:
        mine &= batch.start + batch.offsets >= traced.recorded_to
    return batch if mine.all() else batch.take(mine)
