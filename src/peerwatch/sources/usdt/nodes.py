"""Whose records are whose: the processes that fire probes or run a node's binary, from their first probe to their end.

BPF gives a process its slot with the first probe that it fires, so nothing here is in a hurry: what a new slot holds waits in the
ring until it has been told whose it is. What is told comes from /proc and from maps that the watcher cannot write.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from peerwatch.sources.usdt.binaries import Binaries, Traced
from peerwatch.sources.usdt.clock import UtcClock
from peerwatch.sources.usdt.discover import Found, Scanner, Wanted, chain_of, described, node_key, usual_binaries
from peerwatch.sources.usdt.journal import Journal
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.link import Blind, Exited, Process
from peerwatch.sources.usdt.poller import Poller
from peerwatch.sources.usdt.processes import ProcessFacts, read_process, shown, start_ticks
from peerwatch.sources.usdt.slots import MAX_SLOTS, Slots

MAX_TWINS = 64
"""Nodes found with the same binary, arguments and user (in containers, say) that are told apart by number."""

MAX_REASON = 256
"""Characters of why a probe is not attached; a binary can have anything in its notes."""


@dataclass(slots=True, eq=False)
class _Tracked:
    """A process that was met, ours or not."""

    tgid: int
    facts: ProcessFacts | None
    traced: Traced | None
    ours: bool
    key: str
    node: str | None
    slot: int | None = None
    session: int = 0
    reason: str = ""
    pidfd: int | None = None


def _configured(node: str) -> str:
    """Key of a configured node; no digest looks like it."""
    return f"configured {node}"


def _is_same(before: ProcessFacts, now: ProcessFacts) -> bool:
    """Whether a process is still the same program, as the same node."""
    return (before.ticks, before.file, node_key(before)) == (now.ticks, now.file, node_key(now))


class Nodes:
    """Follows processes and writes facts about them."""

    def __init__(
        self, kernel: Kernel, wanted: Sequence[Wanted], journal: Journal, poller: Poller, say: Callable[[str], None]
    ) -> None:
        """Nothing is attached yet."""
        self._kernel = kernel
        self._wanted = tuple(wanted)
        self._journal = journal
        self._poller = poller
        self._say = say
        self._clock = UtcClock()
        self.session = time.time_ns()
        """UTC ns from which slots count."""
        self._slots = Slots(kernel.fds["slots"])
        self._known = np.zeros(MAX_SLOTS, np.uint32)
        self._scanner = Scanner(wanted)
        self._binaries = Binaries(kernel, time.time_ns, self._trouble)
        self._tracked: dict[int, _Tracked] = {}
        self._owner: dict[str, _Tracked] = {}
        self._left: dict[str, int] = {}
        self._exhausted = False

    def start(self) -> None:
        """Attach to all binaries that are known, and look for nodes that run."""
        for path in [w.binary for w in self._wanted if w.binary] if self._wanted else usual_binaries():
            self._binaries.watch(path)
        self.each_second()
        running = {tracked.node for tracked in self._tracked.values()}
        for missing in [w.name for w in self._wanted if w.name not in running]:
            self._say(f"{missing} does not run yet or has no tracepoints; it is traced as soon as it does")
        if not self._wanted and not running:
            self._say("no node with tracepoints runs yet; one is traced as soon as it does")

    def each_second(self) -> None:
        """Look for replaced binaries and new processes, and for ends that the kernel did not tell."""
        self._clock.update()
        self._check_binaries()
        for tracked in list(self._tracked.values()):
            if tracked.pidfd is None and self._is_gone(tracked):
                self._exited(tracked)
        for found in self._scanner.scan():
            self._found(found)

    def close(self) -> None:
        """Follow nothing any more. May be called twice."""
        for tracked in self._tracked.values():
            self._unwatch(tracked)
        self._tracked.clear()

    def look_at_slots(self, asked: int | None = None) -> None:
        """See which processes have got a slot; `asked` is one that the watcher has met, so it is not in between any more."""
        held = self._slots.live["tgid"]
        for slot in np.flatnonzero(held != self._known).tolist():
            tgid = int(held[slot])
            # Of two threads that fire first at once, one holds a second slot for a moment.
            if tgid and slot != asked and self._kernel.slot_of(tgid) != slot:
                continue
            self._known[slot] = tgid
            if tgid:
                self._met(tgid, slot)
        if not self._exhausted and self._slots.live["first_ns"][-1]:
            self._exhausted = True
            reason = f"{MAX_SLOTS} processes have been traced, and later ones cannot be told apart: restart peerwatch"
            self.blind(reason, time.time_ns())

    def _met(self, tgid: int, slot: int) -> None:
        """A process has fired its first probe."""
        tracked = self._tracked.get(tgid)
        if tracked is not None and tracked.slot is None and not self._is_gone(tracked):
            tracked.slot = slot
            self._report(tracked)
            return
        if tracked is not None:
            self._exited(tracked)
        facts = read_process(tgid)
        if facts is None:
            reason = f"process {tgid} was gone before it could be told whose it is"
            self.blind(reason, time.time_ns())
            self._not_ours(tgid, None, slot, reason)
            return
        key, node, reason = self._claim(facts)
        if key:
            self._track(_Tracked(tgid, facts, self._binaries.of(facts), True, key, node, slot=slot))
        else:
            self._not_ours(tgid, facts, slot, reason)

    def _claim(self, facts: ProcessFacts) -> tuple[str, str | None, str]:
        """Which node a process that fires is: its key and configured name; or no key and the reason."""
        if self._wanted:
            node = self._name(facts)
            if node is None:
                return "", None, "no configured node is described like this"
            if self._is_free(_configured(node), firing=True):
                return _configured(node), node, ""
            reason = f"process {self._owner[_configured(node)].tgid} is node {node} already: tell them apart in the configuration"
            self.blind(f"process {facts.pid} is not watched: {reason}", time.time_ns(), node=node)
            return "", None, reason
        for twin in range(MAX_TWINS):
            if self._is_free(key := node_key(facts, twin), firing=True):
                return key, None, ""
        return "", None, f"there are {MAX_TWINS} nodes with the same binary, arguments and user"

    def _name(self, facts: ProcessFacts) -> str | None:
        wanted = described(self._wanted, facts)
        return wanted.name if wanted else None

    def _is_free(self, key: str, *, firing: bool) -> bool:
        """Whether no living process is that node. One that fires takes over from one that never did: its parent, before it went
        into the background.
        """
        owner = self._owner.get(key)
        if owner is not None:
            self._settle(owner)
            if (firing and owner.slot is None) or self._is_gone(owner):
                self._exited(owner)
        return key not in self._owner

    def _settle(self, tracked: _Tracked) -> None:
        """Give a process of ours its slot, if it has fired since the last look."""
        if tracked.slot is None and (slot := self._kernel.slot_of(tracked.tgid)) is not None:
            self._known[slot] = tracked.tgid
            tracked.slot = slot
            self._report(tracked)

    def _found(self, found: Found) -> None:
        """The scanner saw a node that may not have fired anything yet, or a process that has become another program."""
        facts = found.facts
        node = self._name(facts)
        key = _configured(node) if node else node_key(facts)
        tracked = self._tracked.get(facts.pid)
        session = 0
        if tracked is not None:
            if tracked.ours and tracked.facts and _is_same(tracked.facts, facts) and tracked.node == node:
                return
            session = time.time_ns()
            self._exited(tracked)
        traced = self._binaries.run_by(facts, found.path)
        # A second one may be about to take over from the first; whether it is a node of its own is told when it fires.
        if traced and self._is_free(key, firing=False):
            self._track(_Tracked(facts.pid, facts, traced, True, key, node, session=session))

    def _track(self, tracked: _Tracked) -> None:
        """Remember a node's process, and tell."""
        facts, traced = tracked.facts, tracked.traced
        began = traced.began if traced else self.session
        tracked.session = max(tracked.session, facts.started_ns if facts else 0, began)
        self._tracked[tracked.tgid] = tracked
        self._owner[tracked.key] = tracked
        self._report(tracked)
        probes = len(traced.binary.attached) if traced else 0
        self._say(f"{tracked.node or 'a node'} is process {tracked.tgid}, {probes} probes attached")
        for probe, why in (traced.binary.blind if traced else {}).items():
            self.blind(why, tracked.session, probe=probe, of=tracked)
        self._watch(tracked)

    def _not_ours(self, tgid: int, facts: ProcessFacts | None, slot: int, reason: str) -> None:
        tracked = _Tracked(tgid, facts, None, False, "", None, slot=slot, session=self.session, reason=reason)
        self._tracked[tgid] = tracked
        with contextlib.suppress(OSError):  # the map is full: the watcher throws its records away
            self._kernel.ignore(tgid)
        self._report(tracked)
        self._watch(tracked)

    def _watch(self, tracked: _Tracked) -> None:
        """Notice the end of a process at once, or, where the kernel does not tell, within a second."""
        try:
            tracked.pidfd = os.pidfd_open(tracked.tgid)
        except ProcessLookupError:
            self._exited(tracked)
        except OSError:
            tracked.pidfd = None
        else:
            self._poller.on(tracked.pidfd, lambda: self._ended(tracked))
            if tracked.facts and start_ticks(tracked.tgid) != tracked.facts.ticks:
                self._exited(tracked)

    def _unwatch(self, tracked: _Tracked) -> None:
        if tracked.pidfd is not None:
            self._poller.off(tracked.pidfd)
            os.close(tracked.pidfd)
            tracked.pidfd = None

    def _is_gone(self, tracked: _Tracked) -> bool:
        if tracked.pidfd is not None:
            return bool(select.select([tracked.pidfd], [], [], 0)[0])
        return tracked.facts is None or start_ticks(tracked.tgid) != tracked.facts.ticks

    def _check_binaries(self) -> None:
        self._binaries.check(tracked.traced for tracked in self._tracked.values() if tracked.traced)

    def _ended(self, tracked: _Tracked) -> None:
        if self._tracked.get(tracked.tgid) is tracked and self._is_gone(tracked):
            self._exited(tracked)
            self._check_binaries()  # it may have ended to be replaced

    def _exited(self, tracked: _Tracked) -> None:
        """A process is gone, or no node any more: when its number is met again, it is as another process."""
        now = time.time_ns()
        if tracked.ours:
            self._settle(tracked)
        del self._tracked[tracked.tgid]
        self._unwatch(tracked)
        with contextlib.suppress(OSError):
            self._kernel.forget(tracked.tgid)
        if tracked.ours:
            self._scanner.again()  # another process may have waited to be this node
            del self._owner[tracked.key]
            if tracked.slot is not None:
                self._left[tracked.key] = now
            number = self._journal.next
            self._journal.add(Exited(number, tracked.tgid, tracked.slot, tracked.key, tracked.node, tracked.session, now))
            self._say(f"{tracked.node or 'a node'} (process {tracked.tgid}) has ended")

    def _report(self, tracked: _Tracked) -> None:
        """Write down whose a process is, as far as is known now."""
        facts, traced = tracked.facts, tracked.traced
        gap = None
        if tracked.slot is not None and tracked.key in self._left:
            gap = (self._left.pop(tracked.key), int(self._slots.live["first_ns"][tracked.slot]) + self._clock.offset)
        # Starts are known to the tick (10 ms), rounded down: in doubt it is said to have run before.
        attached_before = facts is not None and traced is not None and facts.started_ns >= traced.since
        fact = Process(
            number=self._journal.next,
            tgid=tracked.tgid,
            slot=tracked.slot,
            ours=tracked.ours,
            key=tracked.key,
            node=tracked.node,
            session=tracked.session,
            started=facts.started_ns if facts else None,
            event="started" if attached_before else "found",
            binary=shown(facts.binary) if facts and facts.binary else None,
            chain=chain_of(facts.args) if facts else None,
            attached=tuple(traced.binary.attached) if traced else (),
            missing={name: shown(why, MAX_REASON) for name, why in traced.binary.blind.items()} if traced else {},
            gap=gap,
            reason=tracked.reason,
        )
        self._journal.add(fact)

    def blind(
        self, reason: str, first: int, *, probe: str | None = None, of: _Tracked | None = None, node: str | None = None
    ) -> None:
        """Write down that something cannot be seen: since when (UTC ns), and of whom, if not of the source as a whole."""
        now = time.time_ns()
        key, node = (of.key, of.node) if of else (_configured(node) if node else None, node)
        self._journal.add(Blind(self._journal.next, now, min(first, now), now, probe, key, node, shown(reason)))

    def _trouble(self, path: str, reason: str, first: int) -> None:
        """A binary cannot be traced: concerns the nodes that are described by it."""
        self._say(shown(reason))
        nodes: list[str | None] = [wanted.name for wanted in self._wanted if wanted.binary == path]
        for node in nodes or [None]:
            self.blind(reason, first, node=node)
