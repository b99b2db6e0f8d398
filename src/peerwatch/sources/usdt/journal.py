"""The tracer's facts, kept until the watcher has recorded them."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from peerwatch.sources.usdt.link import Blind, Exited, Fact, Process

MAX_FACTS = 20_000
"""Facts kept while no watcher listens: each slot's process comes and goes, and some more."""

_number = attrgetter("number")


class Journal:
    """Numbered facts in order. What is recorded and no longer true is dropped; what is true now stays for the next watcher."""

    def __init__(self, most: int = MAX_FACTS) -> None:
        """Nothing has happened; keep at most `most` facts."""
        self._most = most
        self._facts: list[Fact] = []
        self._present: dict[tuple[int, int], int] = {}
        self._of_slot: dict[int, Process] = {}
        self._recorded = 0
        self._last = 0
        self.forgotten = 0
        """Facts given up because nobody recorded them; `take_forgotten` sets it back."""

    @property
    def next(self) -> int:
        """The number that the next fact must have."""
        return self._last + 1

    def add(self, fact: Fact) -> None:
        """Append a fact with the number `next`."""
        self._last = fact.number
        self._facts.append(fact)
        if isinstance(fact, Process):
            if fact.slot is not None:
                self._of_slot[fact.slot] = fact
            if fact.ours:
                self._present[fact.tgid, fact.session] = fact.number
        elif isinstance(fact, Exited):
            self._present.pop((fact.tgid, fact.session), None)
        if len(self._facts) > self._most:
            self._give_up()

    def after(self, number: int) -> list[Fact]:
        """The facts after one that was sent, in order."""
        return self._facts[bisect_right(self._facts, number, key=_number) :]

    def of_slot(self, slot: int) -> Process | None:
        """Whose a slot is. Known for good: the ring may still hold records of a process whose end has been recorded."""
        return self._of_slot.get(slot)

    def recorded(self, number: int) -> None:
        """The watcher has recorded all facts up to `number` (one that does not exist counts as the last)."""
        if number <= self._recorded:
            return
        self._recorded = min(number, self._last)
        self._facts = [fact for fact in self._facts if fact.number > self._recorded or self._is_present(fact)]

    def take_forgotten(self) -> int:
        """How many facts were given up since the last call."""
        forgotten, self.forgotten = self.forgotten, 0
        return forgotten

    def _is_present(self, fact: Fact) -> bool:
        return isinstance(fact, Process) and self._present.get((fact.tgid, fact.session)) == fact.number

    def _give_up(self) -> None:
        """Drop the oldest half of what can be spared, at once, so that it is not done for every fact."""
        spare = [fact for fact in self._facts if isinstance(fact, Blind | Exited) or not self._is_present(fact)]
        gone = {fact.number for fact in spare[: max(1, len(spare) // 2)]}
        self._facts = [fact for fact in self._facts if fact.number not in gone]
        self.forgotten += len(gone)
