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
from typing import Any

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk
from peerwatch.sources.usdt.clock import UtcClock
from peerwatch.sources.usdt.link import Blind, Exited, Hello, Link, Process, Recorded, Who
from peerwatch.sources.usdt.records import headers
from peerwatch.sources.usdt.ring import Ring
from peerwatch.sources.usdt.slots import Control, Slots
from peerwatch.sources.usdt.traced import NAME, Traced

READ_BYTES = 8 << 20
"""Ring bytes taken in one read: about 25 k messages of the usual mix."""

HELLO_S = 10.0
"""How long to wait for the tracer's first words."""

POISONED = 3
"""After so many watchers in a row that ended before they recorded anything, what lies in the ring is skipped, and said so."""

_NOT_OURS = None


class UsdtSource:
    """All traced nodes of this machine. See the module; `sources._api.Source` says what the methods promise."""

    name = NAME
    live = True

    def __init__(
        self,
        link: Link,
        name_of: Callable[[str], str],
        recorded: Callable[[Identity], Mapping[str, Any]],
        limits: Mapping[str, int],
        clock: UtcClock | None = None,
    ) -> None:
        """Take over from the tracer.

        Args:
            link: the tracer's other end.
            name_of: name of a node that was found, by its key.
            recorded: position of an identity in the archive, empty when it has none.
            limits: bytes kept of a message by type, `default` for all others.
            clock: UTC for kernel time.

        Raises:
            TimeoutError: the tracer says nothing.
        """
        hello = link.receive(HELLO_S)
        if not isinstance(hello, Hello):
            raise TimeoutError("the tracer does not answer; is it running?")
        descriptors = link.descriptors
        self._hello = hello
        self._link = link
        self._name_of = name_of
        self._recorded = recorded
        self._clock = clock or UtcClock()
        self._ring = Ring(descriptors.ring, hello.ring_bytes)
        self._slots = Slots(descriptors.slots)
        self._control = Control(descriptors.control)
        self._control.set_limits({t: n for t, n in limits.items() if t != "default"}, limits["default"])
        self._traced: dict[Identity, Traced] = {}
        self._by_slot: dict[int, Traced | None] = {}
        self._held: tuple[Array, Array, Array, int] | None = None
        """Records that wait for a process to be told: buffer, offsets, headers, ring position of the buffer's start."""
        self._handed_over = self._ring.position
        self._fact = 0
        self._general: list[Blind] = []
        self._unassigned = self._control.unassigned
        self._skipped: dict[int, list[Array]] = {}
        """Ring positions of records that were passed over, by slot."""
        self._second = self._clock.now()
        self.drained = True
        """Whether the last read took all that was there."""
        if hello.barren >= POISONED:
            self._skip_ring()

    def read(self) -> Sequence[Chunk]:
        """What the ring holds, by process; every process gets a chunk at least once a second."""
        return self._read(due=self._clock.now() - self._second >= SECOND)

    def finish(self) -> Sequence[Chunk]:
        """What is left, with the counters as they stand."""
        return self._read(due=True)

    def commit(self) -> None:
        """Let the kernel have the ring's space, and the tracer forget its facts."""
        if self._handed_over > self._ring.published:
            self._ring.publish(self._handed_over)
        waiting = min((b.number for b in self._general), default=self._fact + 1)
        self._link.send(Recorded(min(self._fact, waiting - 1)))

    def close(self) -> None:
        """Leave the tracer."""
        self._link.close()

    def fileno(self) -> int:
        """Readable when the tracer has news; for waiting."""
        return self._link.fileno()

    @property
    def nodes(self) -> list[str]:
        """Names of the nodes traced at this moment."""
        return sorted({t.identity.node for t in self._traced.values()})

    # -- facts ---------------------------------------------------------------------------------------------------------------

    def _facts(self) -> None:
        while (fact := self._link.receive(0)) is not None:
            if isinstance(fact, Hello):
                continue
            self._fact = fact.number
            match fact:
                case Process():
                    self._process(fact)
                case Exited():
                    if (traced := self._traced.get(self._identity(fact))) is not None:
                        traced.exited(fact)
                case Blind():
                    self._blind(fact)
        if self._general and self._traced:
            for blind in self._general:
                for traced in self._traced.values():
                    traced.blind(blind)
            self._general.clear()

    def _identity(self, fact: Process | Exited | Blind) -> Identity:
        session = self._hello.session if isinstance(fact, Blind) else fact.session
        return Identity(fact.node or self._name_of(fact.key or ""), session, NAME)

    def _process(self, fact: Process) -> None:
        if not fact.ours:
            if fact.slot is not None:
                self._by_slot[fact.slot] = _NOT_OURS
            return
        traced = self._open(self._identity(fact))
        traced.told(fact)
        if fact.slot is not None:
            self._by_slot[fact.slot] = traced
            for positions in self._skipped.pop(fact.slot, []):
                if lost := int((positions >= traced.recorded_to).sum()):
                    reason = f"Records were passed over: they had ended the watcher {self._hello.barren} times in a row."
                    traced.made.loss("dropped", reason, (self._hello.session, self._hello.session), count=lost)

    def _open(self, identity: Identity) -> Traced:
        if identity not in self._traced:
            self._traced[identity] = Traced(identity, self._hello.session, self._recorded(identity))
        return self._traced[identity]

    def _blind(self, fact: Blind) -> None:
        if fact.key is None and fact.node is None:
            self._general.append(fact)
            return
        node = fact.node or self._name_of(fact.key or "")
        running = [t for t in self._traced.values() if t.identity.node == node]
        (running[-1] if running else self._open(self._identity(fact))).blind(fact)

    # -- records -------------------------------------------------------------------------------------------------------------

    def _read(self, *, due: bool) -> Sequence[Chunk]:
        step = self._clock.update()
        now = self._clock.now()
        self._facts()
        self._take_records()
        if due:
            self._second = now
            self._account(now, step)
        utc = now + self._clock.offset
        chunks = [t.chunk(self._handed_over, utc if self.drained else None) for t in self._traced.values() if due or t.has_news]
        if self.drained:
            for identity in [i for i, t in self._traced.items() if t.is_over]:
                self._forget(identity)
        return chunks

    def _take_records(self) -> None:
        if self._held is None:
            start, there = self._ring.position, self._ring.produced
            buf, offsets, _ = self._ring.read(READ_BYTES)
            self.drained = self._ring.position >= there
            if not len(offsets):
                self._handed_over = self._ring.position
                return
            head = headers(buf, offsets)
        else:
            buf, offsets, head, start = self._held
            self._held = None
        slots = head["slot"]
        present = np.unique(slots).tolist()
        if unknown := [s for s in present if s not in self._by_slot]:
            stop = int(np.flatnonzero(np.isin(slots, unknown))[0])
            for slot in unknown:
                self._link.send(Who(slot))
            self._held = (buf, offsets[stop:], head[stop:], start)
            self._handed_over = start + int(offsets[stop]) - 8
            self.drained = False
            offsets, head = offsets[:stop], head[:stop]
        else:
            self._handed_over = self._ring.position
        if len(offsets):
            self._distribute(buf, offsets, head, start)

    def _distribute(self, buf: Array, offsets: Array, head: Array, start: int) -> None:
        slots = head["slot"]
        for slot in np.unique(slots).tolist():
            traced = self._by_slot[slot]
            if traced is None:
                continue
            mine = slots == slot
            if traced.recorded_to > start:
                mine &= start + offsets >= traced.recorded_to
            if mine.all():
                traced.records(buf, offsets, head, self._clock.offset)
            elif mine.any():
                traced.records(buf, offsets[mine], head[mine], self._clock.offset)

    # -- accounting ----------------------------------------------------------------------------------------------------------

    def _account(self, now: int, step: int) -> None:
        utc = now + self._clock.offset
        for slot, traced in self._by_slot.items():
            if traced is not None:
                traced.account(self._slots.live[slot].copy(), utc)
        for traced in self._traced.values():
            if step:
                traced.made.loss("clock", f"The wall clock stepped by {step / 1e6:.0f} ms.", (utc, utc))
        if (unassigned := self._control.unassigned) > self._unassigned:
            for traced in self._traced.values():
                reason = "Processes came when all slots were taken; restart the tracer to see them."
                traced.made.loss("blind", reason, (utc - SECOND, utc), count=unassigned - self._unassigned)
            self._unassigned = unassigned

    def _forget(self, identity: Identity) -> None:
        gone = self._traced.pop(identity)
        self._by_slot = {slot: t for slot, t in self._by_slot.items() if t is not gone}

    def _skip_ring(self) -> None:
        """Pass over what is in the ring; said as soon as it is known whose it was."""
        while True:
            start = self._ring.position
            buf, offsets, _ = self._ring.read(READ_BYTES)
            if not len(offsets):
                break
            slots = headers(buf, offsets)["slot"]
            for slot in np.unique(slots).tolist():
                self._skipped.setdefault(slot, []).append(start + offsets[slots == slot])
        self._handed_over = self._ring.position
