"""Blocks: asked for by `getdata` and sent, and compact blocks whose transactions are asked for.

Blocks are seldom, so they are taken one by one. What a `block` answers cannot be told by hash: `inventory` has ids only as keyed
hashes. It answers the oldest request of its connection that it can answer, which is right for who answers in order, as Core does.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from peerwatch.peers.exchanges import KIND, LIMIT, tell
from peerwatch.peers.inventories import BLOCKS, GETDATA, WITNESS, Lists
from peerwatch.peers.requests import Ended, Requests, Why
from peerwatch.peers.roster import Roster
from peerwatch.peers.states import FAR, TYPE, UNKNOWN
from peerwatch.peers.stretch import Messages, Output, Stretch
from peerwatch.peers.weirds import Weirds

PER_SIDE = 1024
"""Blocks that one side waits for on one connection; Core asks for 16 at once (MAX_BLOCKS_IN_TRANSIT_PER_PEER)."""

SIDES = 1024
"""Connections and sides that wait for blocks at once; the one whose first request is the oldest is forgotten first."""

ANNOUNCED = 1 << 14
"""Compact blocks remembered, each for one connection: those of a day to 100 peers."""

_BLOCK, _FILTERED, _COMPACT = BLOCKS
_ANSWERS = {TYPE["block"]: (_BLOCK, _COMPACT), TYPE["cmpctblock"]: (_COMPACT,), TYPE["merkleblock"]: (_FILTERED,)}
"""What each type answers: a block that is old is sent whole where it was wanted compact (Core: MAX_CMPCTBLOCK_DEPTH)."""


class _Wanted(NamedTuple):
    """A block that is waited for."""

    kind: int
    item: int
    ordinal: int
    ts: int
    seq: int
    until: int


_IS_BLOCK = np.isin(np.arange(UNKNOWN + 1), list(_ANSWERS))

_Step = tuple[int, int, int, int, int, int, int]
"""What happens: ordinal, number among those of that event, peer, side that waits, what, kind (or type code), item (or 0)."""

_ASK, _FOUND, _NOT_FOUND, _CLOSED = range(4)


class Blocks:
    """Blocks that are waited for, and compact blocks sent."""

    def __init__(self, roster: Roster) -> None:
        """Start without any."""
        self._roster = roster
        self._wanted: OrderedDict[tuple[int, int], deque[_Wanted]] = OrderedDict()
        self._sent: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._next = FAR
        self._ended: list[tuple[_Wanted, tuple[int, int], Why, int]] = []
        self.forgotten = 0

    def take(self, stretch: Stretch, messages: Messages, lists: Lists, ends: Mapping[int, int]) -> None:
        """Take what a stretch says of blocks, and the connections that ended in it (peer to ordinal); `tell` gives the rows."""
        steps = self._listed(lists)
        if steps or self._wanted:
            steps += self._sent_blocks(messages)
            steps += [(at, 0, peer, side, _CLOSED, 0, 0) for peer, at in ends.items() for side in (0, 1)]
        if not steps and stretch.end <= self._next:
            return
        for ordinal, _, peer, side, what, kind, item in sorted(steps):
            who, event = (peer, side), ordinal - stretch.arrivals.base
            self._expire(stretch, int(stretch.arrivals.now[event]))
            if what == _ASK:
                self._ask(stretch, who, event, (kind, item))
            elif what == _CLOSED:
                self._ended += [(wanted, who, Why.CLOSED, ordinal) for wanted in self._wanted.pop(who, ())]
            else:
                self._answer(who, ordinal, _ANSWERS[kind] if what == _FOUND else BLOCKS, item)
        self._expire(stretch, stretch.end)

    def _listed(self, lists: Lists) -> list[_Step]:
        """Blocks asked for, and said not to be there."""
        others = lists.others
        if not len(others):
            return []
        some = others[(lists.list[lists.of(others)] >= GETDATA) & np.isin(lists.kind[others] & ~np.uint32(WITNESS), BLOCKS)]
        of = lists.of(some)
        peers, asks, side = self._roster.conn["key"][lists.slot[of]], lists.list[of] == GETDATA, lists.side[of]
        side = np.where(asks, side, 1 - side)
        columns = (
            lists.ordinal[of], some, peers, side, np.where(asks, _ASK, _NOT_FOUND), lists.kind[some] & ~np.uint32(WITNESS),
            lists.item[some],
        )  # fmt: skip
        return list(zip(*(c.tolist() for c in columns), strict=True))

    def _sent_blocks(self, messages: Messages) -> list[_Step]:
        some = messages.take(np.flatnonzero(_IS_BLOCK[messages.code]))
        none = np.zeros(len(some.row), np.int64)
        peers = self._roster.conn["key"][some.slot]
        columns = (some.ordinal, none, peers, 1 - some.side, none + _FOUND, some.code.astype(np.int64), none)
        return list(zip(*(c.tolist() for c in columns), strict=True))

    def _ask(self, stretch: Stretch, who: tuple[int, int], event: int, what: tuple[int, int]) -> None:
        arrivals = stretch.arrivals
        until = int(arrivals.now[event]) + int(LIMIT[KIND["block"]])
        waiting = self._wanted.setdefault(who, deque())
        seq = int(arrivals.seq(np.array([event]))[0])
        waiting.append(_Wanted(*what, event + arrivals.base, int(arrivals.events[event]), seq, until))
        self._next = min(self._next, until)
        if len(waiting) > PER_SIDE:
            waiting.popleft()
            self.forgotten += 1
        if len(self._wanted) > SIDES:
            self.forgotten += len(self._wanted.popitem(last=False)[1])

    def _answer(self, who: tuple[int, int], ordinal: int, kinds: Sequence[int], item: int) -> None:
        """The oldest request of these kinds (for that item, if it is known) is answered."""
        waiting = self._wanted.get(who, ())
        for wanted in waiting:
            if wanted.kind in kinds and (not item or wanted.item == item):
                self._ended.append((wanted, who, Why.ANSWERED, ordinal))
                self._wanted[who].remove(wanted)
                break
        if who in self._wanted and not self._wanted[who]:
            del self._wanted[who]

    def _expire(self, stretch: Stretch, now: int) -> None:
        """Stop waiting for what is overdue."""
        if now <= self._next:
            return
        for who, waiting in list(self._wanted.items()):
            while waiting and waiting[0].until < now:
                wanted = waiting.popleft()
                at = int(stretch.moment(np.array([wanted.until]))[0])
                self._ended.append((wanted, who, Why.UNANSWERED, at))
            if not waiting:
                del self._wanted[who]
        self._next = min((waiting[0].until for waiting in self._wanted.values()), default=FAR)

    def compact(self, stretch: Stretch, weirds: Weirds) -> None:
        """Judge each `getblocktxn` by the compact blocks sent before it."""
        rows = stretch.rows("block_relay", "peer", "inbound", "message", "hash")
        if rows is None:
            return
        ordinals = stretch.ordinals("block_relay")
        sent, asks = rows.where("message", "cmpctblock"), rows.where("message", "getblocktxn")
        some = np.flatnonzero((sent | asks) & (stretch.slots_of(ordinals) >= 0))
        item = np.ascontiguousarray(rows["hash"]).view("<u8")[:, 0]
        columns = (some, ordinals[some], rows["peer"][some], rows["inbound"][some], item[some], sent[some])
        wrong = []
        for _, ordinal, peer, inbound, block, is_sent in zip(*(c.tolist() for c in columns), strict=True):
            key = (peer, int(inbound if is_sent else not inbound), block)
            if not is_sent:
                wrong += [ordinal] if key not in self._sent else []
                continue
            self._sent[key] = None
            self._sent.move_to_end(key)
            if len(self._sent) > ANNOUNCED:
                gone, _ = self._sent.popitem(last=False)
                self._roster.forget(np.array([gone[0]]), np.array([ordinal]), "compact_blocks")
        at = np.array(wrong, np.int64)
        at = at[self._roster.remembered(stretch, at, "compact_blocks")]
        weirds.add("getblocktxn_unannounced", np.unique(stretch.arrivals.row_of(at - stretch.arrivals.base)))

    def tell(self, stretch: Stretch, out: Output) -> None:
        """Rows of `exchange` for what ended since the last time."""
        if self._ended:
            columns = [
                (0, w.ordinal, w.ts, w.seq, peer, side, KIND["block"], w.until, why, at)
                for w, (peer, side), why, at in self._ended
            ]
            *requests, why, at = (np.array(c) for c in zip(*columns, strict=True))
            tell(stretch, Ended(Requests(*requests), why, at, np.full(len(at), -1)), out)
            self._ended = []

    def close_all(self, ordinal: int) -> None:
        """The node is gone, and with it every connection."""
        self._ended += [(wanted, who, Why.CLOSED, ordinal) for who, waiting in self._wanted.items() for wanted in waiting]
        self._wanted.clear()
        self._sent.clear()
        self._next = FAR

    def forget_all(self) -> None:
        """Times mean nothing any more: stop waiting."""
        self.forgotten += sum(len(waiting) for waiting in self._wanted.values())
        self._wanted.clear()
        self._next = FAR

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        wanted = [[*who, [list(w) for w in waiting]] for who, waiting in self._wanted.items()]
        return {"wanted": wanted, "sent": [list(key) for key in self._sent], "next": self._next, "forgotten": self.forgotten}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._wanted = OrderedDict(((peer, side), deque(_Wanted(*w) for w in waiting)) for peer, side, waiting in state["wanted"])
        self._sent = OrderedDict.fromkeys(tuple(key) for key in state["sent"])
        self._next, self.forgotten = int(state["next"]), int(state["forgotten"])
