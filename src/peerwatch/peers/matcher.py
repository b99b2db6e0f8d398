"""Requests and their answers: bounded, all of a batch at once, and the same however events are batched.

A request waits under a key (connection, who asks, what for). It ends with the first of: its answer; another request with the same
key, which supersedes it; the end of its connection; the first event at which its time is over; the request that is so many
requests of that side later (then it is forgotten). All of that follows from the order of events alone.

Waiting requests lie in a ring, each side's in the order of asking, so that only key and place in the ring (together 64 bits) have
to be sorted to find what belongs together; only that is looked at any further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from peerwatch.peers.requests import COLUMNS, KEY_BITS, Answers, Ended, Lost, Requests, Result, Why
from peerwatch.peers.states import FAR
from peerwatch.peers.stretch import Stretch
from peerwatch.schema.batch import Array
from peerwatch.stats.packing import pack, unpack

PLACE_BITS = 64 - KEY_BITS
"""Of a sorted word, the low bits that say which request or answer it is; the others are of the key."""

MOST = 1 << (PLACE_BITS - 4)
"""Largest capacity of a matcher."""

_PLACE = (1 << PLACE_BITS) - 1


class Matcher:
    """Requests that wait, at most `capacity` of each side."""

    def __init__(self, capacity: int, until: Array) -> None:
        """Start without any. `until` says for each kind how long an answer is waited for, ns.

        Raises:
            ValueError: a capacity that leaves no place for new requests in a word.
        """
        if not 0 < capacity <= MOST:
            raise ValueError(f"a matcher holds between 1 and {MOST} requests of a side, not {capacity}")
        self.capacity = capacity
        self.forgotten = 0
        self._until = until
        self._ring = Requests.none(2 * capacity)
        self._waiting = np.zeros(0, np.uint64)
        self._taken = np.zeros(2 * capacity, bool)
        """Which places of the ring have a request that waits."""
        self._count = [0, 0]
        self._next = FAR

    def __len__(self) -> int:
        """Number of requests that wait."""
        return len(self._waiting)

    def waiting(self) -> Requests:
        """The requests that wait, in no order."""
        return self._ring.take(_places(self._waiting))

    def run(self, stretch: Stretch, requests: Requests, answers: Answers, closed: Mapping[int, int]) -> Iterator[Result]:
        """Take requests and answers of a stretch.

        Args:
            stretch: tells the time.
            requests: new ones.
            answers: what may answer them, or earlier ones. One of the same event as a request comes after it.
            closed: peers whose connections ended, with the ordinal.

        Yields:
            What became of them.
        """
        total = len(requests) + len(answers)
        if not total and (not self._waiting.size or (not closed and stretch.end <= self._next)):
            return
        first, step = (0, 0), (1 << PLACE_BITS) - 2 * self.capacity
        ordinals = np.sort(np.concatenate([requests.ordinal, answers.ordinal])) if total > step else None
        while ordinals is not None and sum(first) + step < total:  # so many do not fit: take whole events, as many as do
            until = int(ordinals[sum(first) + step])
            stop = int(np.searchsorted(requests.ordinal, until)), int(np.searchsorted(answers.ordinal, until))
            parts = requests.take(slice(first[0], stop[0])), answers.take(slice(first[1], stop[1]))
            yield self._piece(_Piece(stretch, *parts, closed, until), first[1])
            first = stop
        parts = requests.take(slice(first[0], None)), answers.take(slice(first[1], None))
        yield self._piece(_Piece(stretch, *parts, closed, FAR), first[1])

    def _piece(self, piece: _Piece, answers_before: int) -> Result:
        """Take requests and answers that fit into words. An *id* is the place in the ring of what waited, then the new requests
        follow, and then the answers.
        """
        new, base = piece.requests, 2 * self.capacity
        start = list(self._count)
        for side in (0, 1):
            self._count[side] += int((new.side == side).sum()) if len(new) else 0
        ids = np.arange(base, base + len(new) + len(piece.answers), dtype=np.uint64)
        words = (np.concatenate([new.key, piece.answers.key]) << np.uint64(PLACE_BITS)) | ids
        words = np.sort(np.concatenate([self._waiting, words]))
        ring = _Ring(self, piece, start)
        then, reply = self._followed(piece, words)
        gone = np.zeros(base + len(new), bool)
        ended = self._end(ring, (then, reply), gone)
        lost = self._push_out(ring, gone)
        self._keep(piece, words, gone, start)
        return Result(replace(ended, answer=np.where(ended.answer < 0, -1, ended.answer + answers_before)), lost)

    def _end(self, ring: _Ring, follows: tuple[Array, Array], gone: Array) -> Ended:
        """What ends because something follows, or because of time or the end of its connection; marks it as `gone`."""
        then, reply = follows
        asked = np.flatnonzero(then < FAR)
        rest = ring.timed(self._waiting)
        if not len(asked) and not len(rest):
            return _NOTHING
        end, why = ring.ends(asked)
        by_next = asked[(then[asked] < end) | ((then[asked] == end) & (why == Why.FORGOTTEN))]
        gone[by_next] = True
        rest = rest[~gone[rest]]
        end, why = ring.ends(rest)
        over = end < FAR
        ids = np.concatenate([by_next, rest[over]])
        gone[ids] = True
        answer = np.concatenate([reply[by_next], np.full(int(over.sum()), -1)])
        reason = np.concatenate([np.where(reply[by_next] >= 0, int(Why.ANSWERED), int(Why.SUPERSEDED)), why[over]])
        self.forgotten += int((reason == Why.FORGOTTEN).sum())
        return Ended(ring.requests(ids), reason, np.concatenate([then[by_next], end[over]]), answer)

    def _push_out(self, ring: _Ring, gone: Array) -> Lost:
        """Forget what newer requests take the place of, but for what is `gone`; marks it there."""
        none = np.zeros(0, np.int64)
        peers, kinds, ordinals = [none], [none], [none]
        for ids, at in ring.pushed():
            left = ~gone[ids]
            gone[ids] = True
            peers.append(ring.column("peer", ids[left]))
            kinds.append(ring.column("kind", ids[left]))
            ordinals.append(at[left])
            self.forgotten += int(left.sum())
        return np.concatenate(peers), np.concatenate(kinds), np.concatenate(ordinals)

    def _followed(self, piece: _Piece, words: Array) -> tuple[Array, Array]:
        """By id of a request: the ordinal of what follows under the same key, or FAR; and which answer that is, or -1."""
        base, new = 2 * self.capacity, len(piece.requests)
        then, reply = np.full(base + new, FAR), np.full(base + new, -1)
        same = np.flatnonzero((words[1:] ^ words[:-1]) >> np.uint64(PLACE_BITS) == 0)
        if not len(same):
            return then, reply
        some = words[np.union1d(same, same + 1)]
        ids, key = _places(some), some >> np.uint64(PLACE_BITS)
        ordinal = np.concatenate([self._ring.ordinal, piece.requests.ordinal, piece.answers.ordinal])[ids]
        order = np.lexsort((ids, ordinal, key))
        ids, key, ordinal = ids[order], key[order], ordinal[order]
        left = np.flatnonzero((key[1:] == key[:-1]) & (ids[:-1] < base + new))
        then[ids[left]] = ordinal[left + 1]
        reply[ids[left]] = np.maximum(ids[left + 1] - base - new, -1)
        return then, reply

    def _keep(self, piece: _Piece, words: Array, gone: Array, start: Sequence[int]) -> None:
        """Let those go on waiting that did not end."""
        new, base = piece.requests, 2 * self.capacity
        place = _places(words)
        stays = ~np.append(gone, np.ones(len(piece.answers), bool))[place]
        words, place = words[stays], place[stays]
        fresh = place >= base
        added = place[fresh] - base
        slot = np.empty(len(new), np.int64)
        for side in (0, 1):
            mine = np.flatnonzero(new.side == side)
            slot[mine] = side * self.capacity + (start[side] + np.arange(len(mine))) % self.capacity
        slot = slot[added]
        for name in COLUMNS[1:]:
            getattr(self._ring, name)[slot] = getattr(new, name)[added]
        self._taken[gone[:base]] = False
        self._taken[slot] = True
        words[fresh] = (words[fresh] & ~np.uint64(_PLACE)) | slot.astype(np.uint64)
        self._waiting = words
        if piece.end > self._next:
            place = _places(words)
            self._next = int((self._ring.now[place] + self._until[self._ring.kind[place]]).min(initial=FAR))
        else:
            self._next = min(self._next, int((new.now[added] + self._until[new.kind[added]]).min(initial=FAR)))

    def drop_all(self) -> Requests:
        """Forget everything that waits; what that was."""
        dropped = self.waiting()
        self._waiting = self._waiting[:0]
        self._taken[:] = False
        self._next = FAR
        return dropped

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values; takes about 90 bytes for each request that waits."""
        place = _places(self._waiting)
        columns = {name: pack(getattr(self._ring, name)[place]) for name in COLUMNS[1:]}
        return {
            "columns": columns,
            "waiting": pack(self._waiting),
            "count": self._count,
            "next": self._next,
            "forgotten": self.forgotten,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()` of one with the same capacity and kinds."""
        self._waiting = unpack(state["waiting"])
        place = _places(self._waiting)
        self._taken[place] = True
        for name in COLUMNS[1:]:
            getattr(self._ring, name)[place] = unpack(state["columns"][name])
        self._count = [int(n) for n in state["count"]]
        self._next, self.forgotten = int(state["next"]), int(state["forgotten"])


@dataclass(frozen=True, slots=True)
class _Piece:
    """Requests and answers of events before the ordinal `until`, FAR for all that the stretch still has."""

    stretch: Stretch
    requests: Requests
    answers: Answers
    closed: Mapping[int, int]
    until: int

    @property
    def end(self) -> int:
        """The clock at its last event, ns."""
        arrivals = self.stretch.arrivals
        last = self.stretch.stop - 1 if self.until == FAR else max(self.until - arrivals.base - 1, self.stretch.first)
        return int(arrivals.now[last])


class _Ring:
    """Requests by id in one piece: those in the ring of a matcher, and the new ones."""

    def __init__(self, matcher: Matcher, piece: _Piece, start: Sequence[int]) -> None:
        """`start`: how many requests each side had made before."""
        self._matcher = matcher
        self._piece = piece
        self._start = start
        self._base = 2 * matcher.capacity
        self._mine = [np.flatnonzero(piece.requests.side == side) for side in (0, 1)]

    def column(self, name: str, ids: Array) -> Array:
        """A column of these requests."""
        old, new = getattr(self._matcher._ring, name), getattr(self._piece.requests, name)  # noqa: SLF001 - a part of it
        values = np.empty(len(ids), old.dtype)
        waited = ids < self._base
        values[waited], values[~waited] = old[ids[waited]], new[ids[~waited] - self._base]
        return values

    def requests(self, ids: Array) -> Requests:
        """These requests."""
        return Requests(*(self.column(name, ids) for name in COLUMNS))

    def timed(self, waiting: Array) -> Array:
        """Ids of all requests that may end because of time or the end of their connection."""
        matcher, piece = self._matcher, self._piece
        found = []
        if piece.end > matcher._next:  # noqa: SLF001 - a part of it
            found.append(_places(waiting))
        elif piece.closed:
            old = _places(waiting)
            found.append(old[np.isin(matcher._ring.peer[old], list(piece.closed))])  # noqa: SLF001 - a part of it
        if len(piece.requests):
            soon = piece.requests.now + matcher._until[piece.requests.kind] < piece.end  # noqa: SLF001 - a part of it
            if piece.closed:
                soon |= np.isin(piece.requests.peer, list(piece.closed))
            found.append(np.flatnonzero(soon) + self._base)
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def pushed(self) -> Iterator[tuple[Array, Array]]:
        """Ids of requests whose place newer ones take, and the ordinals of these."""
        for side, mine in enumerate(self._mine):
            if len(mine):
                capacity = self._matcher.capacity
                place = side * capacity + (self._start[side] + np.arange(min(len(mine), capacity))) % capacity
                hit = np.flatnonzero(self._matcher._taken[place])  # noqa: SLF001 - a part of it
                yield place[hit], self._piece.requests.ordinal[mine[hit]]
                over = len(mine) - capacity
                if over > 0:
                    yield mine[:over] + self._base, self._piece.requests.ordinal[mine[-over:]]

    def _distance(self, old: Array, side: int) -> Array:
        """How many new requests of this side come before the one that takes each place."""
        return np.asarray((old - self._start[side]) % self._matcher.capacity)

    def ends(self, ids: Array) -> tuple[Array, Array]:
        """For each request the ordinal at which it ends if nothing follows, FAR if not in this piece, and why."""
        matcher, piece = self._matcher, self._piece
        until = self.column("now", ids) + matcher._until[self.column("kind", ids)]  # noqa: SLF001 - a part of it
        end, why = np.full(len(ids), FAR), np.full(len(ids), int(Why.UNANSWERED))
        over = np.flatnonzero(until < piece.end)
        end[over] = piece.stretch.moment(until[over])
        if piece.closed and len(ids):
            peer, asked = self.column("peer", ids), self.column("ordinal", ids)
            for i in np.flatnonzero(np.isin(peer, list(piece.closed))).tolist():
                closed = piece.closed[int(peer[i])]
                if asked[i] < closed < min(int(end[i]), piece.until):
                    end[i], why[i] = closed, Why.CLOSED
        for side, mine in enumerate(self._mine):
            if len(mine):
                of_side = self.column("side", ids) == side
                old = ids < self._base
                nth = np.where(old, self._distance(ids, side), matcher.capacity + np.searchsorted(mine, ids - self._base))
                pushed = np.flatnonzero(of_side & (nth < len(mine)))
                at = piece.requests.ordinal[mine[nth[pushed]]]
                first = at < end[pushed]
                end[pushed[first]], why[pushed[first]] = at[first], Why.FORGOTTEN
        return end, why


_NOTHING = Ended(Requests.none(), *[np.zeros(0, np.int64)] * 3)


def _places(words: Array) -> Array:
    return np.asarray((words & np.uint64(_PLACE)).astype(np.int64))
