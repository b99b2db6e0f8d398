"""Transactions that are waited for: bounded, many at once, and the same however events are batched.

An answer (a transaction, or a `notfound`) answers the last request for that item on its connection, and ends the earlier ones
with it. A request also ends with its connection, when nobody believes any more that an answer comes, or when so many others of
that side came after it (then it is forgotten). All of that follows from the order of events alone.

There are many requests, and few have their answer in the same batch. So only those whose key an answer may have, as a table of
bits tells, are looked at one by one; the others are appended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from peerwatch.peers.states import FAR
from peerwatch.peers.stretch import Stretch
from peerwatch.schema.batch import SECOND, Array
from peerwatch.stats.packing import pack, unpack

GETDATA_TX_INTERVAL = 60 * SECOND
"""After that Core asks another peer (node/txdownloadman.h)."""

LATE = 20 * 60 * SECOND
"""What comes within this time still was asked for."""

BITS = 18
"""Keys are told apart by so many bits, roughly, before they are compared."""

_SHIFT, _LOW = np.uint64(64 - BITS), np.uint64((1 << BITS) - 1)
_SALT = np.uint64(0x9E3779B97F4A7C15)
_GONE, _WAITS, _TOLD = range(3)
"""What a request is: ended, waiting, or waiting although it is not to be called unanswered any more."""


def salts(peers: Array, sides: Array | int) -> Array:
    """What makes items, which are keyed hashes, by xor keys of what `sides` (1: peers) ask for on connections with `peers`."""
    return np.asarray((peers * 2 + sides + 1).astype(np.uint64) * _SALT)


@dataclass(frozen=True, slots=True)
class Asks:
    """Requests of one side, by ordinal: key, ordinal, time and clock (ns), and the slot of the connection."""

    key: Array
    ordinal: Array
    ts: Array
    now: Array
    slot: Array

    @classmethod
    def none(cls) -> Asks:
        """No requests."""
        none = np.zeros(0, np.int64)
        return cls(none.astype(np.uint64), none, none, none, none)

    def __len__(self) -> int:
        """Number of requests."""
        return len(self.ordinal)

    @property
    def columns(self) -> tuple[Array, ...]:
        """All of them, in order."""
        return self.key, self.ordinal, self.ts, self.now, self.slot

    def take(self, index: Array | slice) -> Asks:
        """Some of them."""
        return Asks(*(column[index] for column in self.columns))

    def followed_by(self, others: Asks) -> Asks:
        """These and others."""
        return Asks(*(np.concatenate(both) for both in zip(self.columns, others.columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Became:
    """What became of requests of one side.

    `overdue`: slots of those not answered in time, and at which ordinal; `forgotten`: slots of those that nothing is known of any
    more, and from which ordinal on, the last `pushed` of them because so many came after them; `answered`: which of those that
    had an answer did not end before it.
    """

    overdue: tuple[Array, Array]
    forgotten: tuple[Array, Array]
    pushed: int
    answered: Array


class Wanted:
    """Requests that wait, at most `capacity` of each side."""

    def __init__(self, capacity: int) -> None:
        """Start without any."""
        self.sides = (Side(capacity), Side(capacity))
        self._bits = np.zeros(1 << BITS, bool)

    def take(
        self, stretch: Stretch, asks: tuple[Asks, Asks], answers: tuple[Array, Array], closed: Mapping[int, int]
    ) -> tuple[Array, tuple[Became, Became]]:
        """Take what each side asks for in a stretch, and what may answer it: keys and ordinals, in any order.

        `closed` are the slots of connections that ended, with the ordinals.

        Returns:
            For each answer the time at which what it answers was asked for, -1 if nothing was; and what became of each side's.
        """
        for side, more in zip(self.sides, asks, strict=True):
            side.append(more)
        asked = np.full(len(answers[0]), -1)
        hot, which = self._meet(answers[0])
        sizes = [len(h) for h in hot]
        then, by = (
            match(
                np.concatenate([s.asks.key[h] for s, h in zip(self.sides, hot, strict=True)]),
                np.concatenate([s.asks.ordinal[h] for s, h in zip(self.sides, hot, strict=True)]),
                answers[0][which],
                answers[1][which],
            )
            if len(which)
            else (np.zeros(0, np.int64), np.zeros(0, np.int64))
        )
        became = []
        for side, own, first in zip(self.sides, hot, (0, sizes[0]), strict=True):
            ends = then[first : first + len(own)]
            met = np.flatnonzero(ends >= 0)
            told = side.end(stretch, closed, own[met], answers[1][which[ends[met]]])
            became.append(told)
            mine = np.flatnonzero((by >= first) & (by < first + len(own)))
            good = np.zeros(len(own), bool)
            good[met[told.answered]] = True
            mine = mine[good[by[mine] - first]]
            asked[which[mine]] = side.asks.ts[own[by[mine] - first]]
        for side in self.sides:
            side.trim()
        return asked, (became[0], became[1])

    def _meet(self, keys: Array) -> tuple[tuple[Array, Array], Array]:
        """Which requests of each side and which answers (by their keys) may belong together."""
        none = np.zeros(0, np.int64)
        if not len(keys) or not any(len(side.asks) for side in self.sides):
            return (none, none), none
        bits = self._bits
        bits[keys >> _SHIFT] = True
        hot = [side.meeting(bits) for side in self.sides]
        bits[keys >> _SHIFT] = False
        mine = [side.asks.key[h] for side, h in zip(self.sides, hot, strict=True)]
        for part in mine:  # by other bits than before
            bits[part & _LOW] = True
        which = np.flatnonzero(bits[keys & _LOW])
        for part in mine:
            bits[part & _LOW] = False
        cells = keys[which] & _LOW
        bits[cells] = True
        hot = [h[bits[part & _LOW]] for h, part in zip(hot, mine, strict=True)]
        bits[cells] = False
        return (hot[0], hot[1]), which

    def drop(self, slots: Array) -> None:
        """These connections are let go, and their slots will be those of others."""
        if len(slots):
            for side in self.sides:
                side.state[np.isin(side.asks.slot, slots)] = _GONE

    def excuse(self) -> None:
        """What waits goes on waiting, but is not called unanswered any more."""
        for side in self.sides:
            side.state[side.state == _WAITS] = _TOLD

    def drop_all(self) -> int:
        """Forget everything that waits; how much that was."""
        count = sum(int((side.state != _GONE).sum()) for side in self.sides)
        for side in self.sides:
            side.clear()
        return count


class Side:
    """What one side asked for, in order, and what became of each (`state`); the place after a request is that of the next one."""

    def __init__(self, capacity: int) -> None:
        """Start without any."""
        self.capacity = capacity
        self.clear()

    def clear(self) -> None:
        """Forget all of it."""
        self.asks = Asks.none()
        self.state = np.zeros(0, np.uint8)
        self.seen = 0
        """How many of the first have been judged to be overdue or not."""

    def append(self, more: Asks) -> None:
        """Take new requests; `trim` is to be called before the next time."""
        if len(more):
            self.asks = self.asks.followed_by(more) if len(self.asks) else more
            self.state = np.concatenate([self.state, np.full(len(more), _WAITS, np.uint8)])

    def meeting(self, bits: Array) -> Array:
        """Those that wait and whose bit is set."""
        if not len(self.asks):
            return np.zeros(0, np.int64)
        found = np.flatnonzero(bits[self.asks.key >> _SHIFT])
        return np.asarray(found[self.state[found] != _GONE])

    def end(self, stretch: Stretch, closed: Mapping[int, int], met: Array, then: Array) -> Became:
        """End what ends in a stretch: `met` have an answer, at the ordinals `then`."""
        none = np.zeros(0, np.int64)
        asks, state, over = self.asks, self.state, len(self.asks) - self.capacity
        due = int(np.searchsorted(asks.now, stretch.end - GETDATA_TX_INTERVAL))
        late = int(np.searchsorted(asks.now, stretch.end - LATE))
        if not len(met) and not closed and due <= self.seen and not late and over <= 0:
            return Became((none, none), (none, none), 0, none)
        parts = [met, np.flatnonzero(state[:late]), np.flatnonzero(state[self.seen : due]) + self.seen]
        if closed:
            parts.append(np.flatnonzero(np.isin(asks.slot, list(closed)) & (state != _GONE)))
        some = np.unique(np.concatenate(parts))
        self.seen = max(self.seen, due)
        at = _Ends(asks.take(some), stretch, closed)
        at.answer[np.searchsorted(some, met)] = then
        pushed = np.flatnonzero(some < over)
        at.push[pushed] = asks.ordinal[some[pushed] + self.capacity]
        overdue = at.overdue(state[some] == _WAITS)
        state[some[asks.now[some] + GETDATA_TX_INTERVAL < stretch.end]] = _TOLD
        state[some[(at.first < FAR) & ((at.first != at.push) | (at.first == at.late))]] = _GONE
        given_up = np.flatnonzero((at.late == at.first) & (at.late < FAR))
        lost = np.flatnonzero(state[: max(over, 0)])
        forgotten = (
            np.concatenate([at.asks.slot[given_up], asks.slot[lost]]),
            np.concatenate([at.late[given_up], asks.ordinal[lost + self.capacity]]),
        )
        return Became(overdue, forgotten, len(lost), np.flatnonzero(at.by_answer[np.searchsorted(some, met)]))

    def trim(self) -> None:
        """Let go of what there is no room for, and of what came before all that waits."""
        if not len(self.state):
            return
        waits = self.state != _GONE
        first = max(int(waits.argmax()) if waits.any() else len(waits), len(waits) - self.capacity)
        if first:
            self.asks, self.state = self.asks.take(slice(first, None)), self.state[first:]
            self.seen = max(0, self.seen - first)

    def saved(self, peers: Array) -> dict[str, Any]:
        """Everything, as JSON-able values; `peers` are those in the slots, which may be in others later."""
        columns = [*self.asks.columns[:-1], peers[self.asks.slot], self.state]
        return {"columns": [pack(c) for c in columns], "seen": self.seen}

    def resume(self, saved: Mapping[str, Any], slots_of: Callable[[Array], Array]) -> None:
        """Go on from `saved()`."""
        key, ordinal, ts, now, peers, self.state = (unpack(c) for c in saved["columns"])
        self.asks, self.seen = Asks(key, ordinal, ts, now, slots_of(peers)), int(saved["seen"])


class _Ends:
    """When requests of a stretch end: the ordinal of each possible end, FAR where there is none."""

    def __init__(self, asks: Asks, stretch: Stretch, closed: Mapping[int, int]) -> None:
        """Of these; `answer` and `push` are to be filled in."""
        self.asks, self._stretch = asks, stretch
        self.answer, self.push = np.full(len(asks), FAR), np.full(len(asks), FAR)
        self.late, self._closed = np.full(len(asks), FAR), np.full(len(asks), FAR)
        over = np.flatnonzero(asks.now < stretch.end - LATE)
        self.late[over] = stretch.moment(asks.now[over] + LATE)
        for slot, ordinal in closed.items():
            self._closed[(asks.slot == slot) & (asks.ordinal < ordinal)] = ordinal

    @property
    def first(self) -> Array:
        """The end."""
        return np.asarray(np.minimum(np.minimum(self.answer, self.push), np.minimum(self.late, self._closed)))

    @property
    def by_answer(self) -> Array:
        """Mask of those answered; with an event that ends a request for another reason, too, it is for that one."""
        return np.asarray(self.answer < np.minimum(self.push, np.minimum(self.late, self._closed)))

    def overdue(self, waits: Array) -> tuple[Array, Array]:
        """Slots and ordinals of those (`waits`) that are not answered in time."""
        late = np.flatnonzero(waits & (self.asks.now < self._stretch.end - GETDATA_TX_INTERVAL))
        at = self._stretch.moment(self.asks.now[late] + GETDATA_TX_INTERVAL)
        kept = at <= self.first[late]
        return self.asks.slot[late[kept]], at[kept]


def match(asked: Array, asked_at: Array, answers: Array, answered_at: Array) -> tuple[Array, Array]:
    """Requests and answers by key, with their ordinals; a request comes before an answer of the same event.

    Returns:
        Which answer ends each request (-1: none), and which request each answer answers (-1: none), the last before it.
    """
    count = len(asked)
    key, ordinal = np.concatenate([asked, answers]), np.concatenate([asked_at, answered_at])
    order = np.lexsort((ordinal, key))  # stable: requests first
    key, is_answer = key[order], order >= count
    place = np.arange(len(key))
    following = np.minimum.accumulate(np.where(is_answer, place, len(key))[::-1])[::-1]
    following = np.minimum(following, len(key) - 1)
    same = is_answer[following] & (key[following] == key)
    ends = np.where(same, order[following] - count, -1)
    then, by = np.empty(count, np.int64), np.full(len(answers), -1)
    then[order[~is_answer]] = ends[~is_answer]
    right = np.flatnonzero(is_answer[1:] & ~is_answer[:-1] & (key[1:] == key[:-1]))
    by[order[right + 1] - count] = order[right]
    return then, by
