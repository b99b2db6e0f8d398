"""How transactions are relayed: announced, asked for, delivered; summed up by connection, direction and minute.

The counters are columns of the roster: `relay` has the transactions listed for each side and list (inventories.Lists.list); the
others are by direction, 1 when transactions move from the peer to the node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from peerwatch.peers.announced import Announced, Items
from peerwatch.peers.inventories import GETDATA, INV, LISTS, MSG_FILTERED_BLOCK, MSG_WTX, NOTFOUND, WITNESS, Lists, Spoken
from peerwatch.peers.roster import FORGETTERS, Roster
from peerwatch.peers.states import FAR, TYPE, UNKNOWN
from peerwatch.peers.stretch import Messages, Output, Stretch
from peerwatch.peers.wanted import Asks, Wanted, salts
from peerwatch.peers.weirds import Weirds
from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.tables.relay import Relay as RelayTable
from peerwatch.stats.keyed import REFUSED
from peerwatch.stats.tally import tally

WAITING = 1 << 13
"""Transactions of each side that are waited for; Core asks a peer for 100 at once (MAX_PEER_TX_REQUEST_IN_FLIGHT)."""

MINUTE = 60 * SECOND

_LISTS = np.isin(np.arange(UNKNOWN + 1), [TYPE[name] for name in LISTS])
_SUMS = ("delivered", "not_found", "unasked", "unanswered", "delay_sum", "delay_max")


class Relay:
    """Transactions that are waited for, and those announced."""

    def __init__(self, roster: Roster) -> None:
        """Start without any."""
        self._roster = roster
        self._wanted = Wanted(WAITING)
        self._announced = Announced()
        self.forgotten = 0
        """Requests forgotten because so many came after them."""

    def take(self, stretch: Stretch, messages: Messages, lists: Lists, ends: Mapping[int, int], weirds: Weirds) -> None:
        """Take a stretch: messages, what they list, and the connections that ended in it (peer to ordinal)."""
        asks = [lists.speaking(np.flatnonzero((lists.list == GETDATA) & (lists.side == side))) for side in (0, 1)]
        if len(lists):
            self._count(lists)
            self._cut(messages, stretch)
            if self._roster.any_whole:
                self._unannounced(stretch, lists, asks[1], weirds)
        found = self._transactions(stretch)
        which = np.flatnonzero(lists.list == NOTFOUND)
        missing, sender = lists.speaking(which), lists.side[which]
        key = missing.item ^ salts(self._roster.conn["key"][missing.slot], 1 - sender)[missing.of]
        answers = (
            np.concatenate([found.by_txid, found.by_wtxid, key]),
            np.concatenate([found.ordinal, found.ordinal, missing.ordinal[missing.of]]),
        )
        slots = {self._roster.conn.slot(peer): ordinal for peer, ordinal in ends.items()}
        closed = {slot: ordinal for slot, ordinal in slots.items() if slot != REFUSED}
        asked, became = self._wanted.take(stretch, self._asks(stretch, asks), answers, closed)
        for side, each in enumerate(became):
            tally(self._roster.conn["unanswered"].reshape(-1), each.overdue[0] * 2 + 1 - side)
            self._roster.forget_of(*each.forgotten, "transactions")
            self.forgotten += each.pushed
        count = len(found.ordinal)
        self._delivered(stretch, found, np.maximum(asked[:count], asked[count : 2 * count]), weirds)
        self._not_found(stretch, missing, sender, asked[2 * count :] >= 0, weirds)

    def _count(self, lists: Lists) -> None:
        """Count entries."""
        conn = self._roster.conn
        tally(conn["relay"].reshape(-1), (lists.slot * 2 + lists.side) * 4 + lists.list, lists.transactions())
        if len(lists.others):
            filtered = lists.others[lists.kind[lists.others] & ~np.uint32(WITNESS) == MSG_FILTERED_BLOCK]
            of = lists.of(filtered)
            of = of[lists.list[of] == GETDATA]
            # Its transactions come unasked (BIP 37).
            np.minimum.at(conn["forgot"][:, FORGETTERS.index("transactions")], lists.slot[of], lists.ordinal[of])

    def _cut(self, messages: Messages, stretch: Stretch) -> None:
        """Of well-formed lists that were not kept whole, nobody can say what was not in them."""
        rows = stretch.arrivals.messages()
        cut = np.flatnonzero(rows["kept"] < rows["size"])
        some = np.searchsorted(messages.row, cut)
        some = some[some < len(messages.row)]
        some = some[_LISTS[messages.code[some]] & np.isin(messages.row[some], cut)]
        if len(some):
            some = some[~rows.valid("error")[messages.row[some]]]
            self._roster.lose_some(messages.slot[some], messages.ordinal[some])

    def _asks(self, stretch: Stretch, asks: Sequence[Spoken]) -> tuple[Asks, Asks]:
        """What each side asks for: the node, the peers."""
        arrivals, made = stretch.arrivals, []
        for side, some in enumerate(asks):
            event = some.ordinal - arrivals.base
            key = some.item ^ salts(self._roster.conn["key"][some.slot], side)[some.of]
            columns = (some.ordinal, arrivals.events[event], arrivals.now[event], some.slot)
            made.append(Asks(key, *(column[some.of] for column in columns)))
        return made[0], made[1]

    def _transactions(self, stretch: Stretch) -> _Transactions:
        rows = stretch.rows("transaction", "peer", "inbound", "txid_item", "wtxid_item")
        if rows is None:
            return _Transactions.none()
        ordinal = stretch.ordinals("transaction")
        known = np.flatnonzero(stretch.slots_of(ordinal) >= 0)
        peer, side = rows["peer"][known], rows["inbound"][known].astype(np.int64)
        salt = salts(peer, 1 - side)
        txid, wtxid = (rows[name][known] ^ salt for name in ("txid_item", "wtxid_item"))
        return _Transactions(ordinal[known], stretch.slots_of(ordinal[known]), side, txid, wtxid)

    def _unannounced(self, stretch: Stretch, lists: Lists, asks: Spoken, weirds: Weirds) -> None:
        """Judge what peers ask for by what the node announced to them; only of connections seen from their beginning."""
        began, peers = self._roster.conn["whole_from"], self._roster.conn["key"]
        ours = lists.speaking(np.flatnonzero((lists.list == INV) & (lists.side == 0) & (began[lists.slot] < FAR)))
        sure = self._roster.whole(asks.slot, asks.ordinal) & stretch.in_order(asks.ordinal)
        theirs = np.flatnonzero(sure[asks.of])

        def items(some: Spoken, which: Array | slice) -> Items:
            of = some.of[which]
            return Items(peers[some.slot][of], some.item[which], some.ordinal[of], began[some.slot][of])

        wrong = theirs[self._announced.missing(items(ours, slice(None)), items(asks, theirs), stretch.start)]
        by_wtxid = lists.kind[asks.entry[wrong]] == MSG_WTX
        for kind, which in (("requested_unannounced", wrong[by_wtxid]), ("requested_unannounced_txid", wrong[~by_wtxid])):
            if len(which):
                weirds.add(kind, np.unique(stretch.arrivals.row_of(asks.ordinal[asks.of[which]] - stretch.arrivals.base)))

    def _delivered(self, stretch: Stretch, found: _Transactions, asked: Array, weirds: Weirds) -> None:
        """Count transactions; `asked` says when each was asked for, -1 for those that were not."""
        if not len(found.ordinal):
            return
        conn = self._roster.conn
        wanted = np.flatnonzero(asked >= 0)
        event = found.ordinal[wanted] - stretch.arrivals.base
        delay = np.maximum(stretch.arrivals.events[event] - asked[wanted], 0)
        at = (found.slot[wanted], found.side[wanted])
        np.add.at(conn["delivered"], at, 1)
        np.add.at(conn["delay_sum"], at, delay)
        np.maximum.at(conn["delay_max"], at, delay)
        unasked = np.flatnonzero(asked < 0)
        if len(unasked):
            tally(conn["unasked"].reshape(-1), found.slot[unasked] * 2 + found.side[unasked])
            self._unrequested(stretch, "tx_unrequested", found.ordinal[unasked], weirds)

    def _not_found(self, stretch: Stretch, missing: Spoken, side: Array, hit: Array, weirds: Weirds) -> None:
        if not len(missing.of):
            return
        answers, others = missing.of[hit], missing.of[~hit]
        tally(self._roster.conn["not_found"].reshape(-1), missing.slot[answers] * 2 + side[answers])
        self._unrequested(stretch, "notfound_unrequested", missing.ordinal[np.unique(others)], weirds)

    def _unrequested(self, stretch: Stretch, kind: str, ordinals: Array, weirds: Weirds) -> None:
        sure = self._roster.remembered(stretch, ordinals, "transactions")
        if sure.any():
            weirds.add(kind, stretch.arrivals.row_of(ordinals[sure] - stretch.arrivals.base))

    def drop(self, slots: Array) -> None:
        """These connections are let go."""
        self._wanted.drop(slots)

    def tell(self, slots: Array, minute: int, event: int, out: Output) -> None:
        """The minute (ns) of these connections is over with this event: rows of those with anything to count, and start over."""
        for row in self.rows(slots, minute):
            out.add(RelayTable, event, row)

    def rows(self, slots: Array, minute: int) -> list[dict[str, Any]]:
        """Rows of the minute of these connections, but for ts and seq; their counters start over."""
        conn = self._roster.conn
        lists = conn["relay"][slots].reshape(-1, 2, 4)
        busy = (lists[:, :, INV] + lists[:, ::-1, GETDATA] > 0) | (sum(conn[name][slots] for name in _SUMS) > 0)
        made = []
        for i, side in zip(*(c.tolist() for c in np.nonzero(busy)), strict=True):
            slot = slots[i]
            sums = {name: int(conn[name][slot, side]) for name in _SUMS}
            made.append({
                "peer": int(conn["key"][slot]), "inbound": bool(side), "minute": minute,
                "announced": int(lists[i, side, INV]), "requested": int(lists[i, 1 - side, GETDATA]), **sums,
            })  # fmt: skip
        for name in ("relay", *_SUMS):
            conn[name][slots] = 0
        return sorted(made, key=lambda row: (row["peer"], row["inbound"]))

    def excuse(self) -> None:
        """Answers to what waits may have been lost: it is not called unanswered any more."""
        self._wanted.excuse()

    def start_over(self) -> None:
        """Forget what the present minute has so far."""
        self.rows(self._roster.conn.slots(), 0)

    def forget_all(self) -> None:
        """Times mean nothing any more: stop waiting."""
        self.forgotten += self._wanted.drop_all()

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        peers = self._roster.conn["key"]
        wanted = [side.saved(peers) for side in self._wanted.sides]
        return {"wanted": wanted, "announced": self._announced.state(), "forgotten": self.forgotten}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`; the roster must have done so."""
        for side, saved in zip(self._wanted.sides, state["wanted"], strict=True):
            side.resume(saved, self._roster.slots_of)
        self._announced.restore(state["announced"])
        self.forgotten = int(state["forgotten"])


class _Transactions:
    """Transactions delivered, by ordinal; `by_txid` and `by_wtxid` are the keys of the requests that each may answer."""

    def __init__(self, ordinal: Array, slot: Array, side: Array, by_txid: Array, by_wtxid: Array) -> None:
        """Columns of one length."""
        self.ordinal, self.slot, self.side, self.by_txid, self.by_wtxid = ordinal, slot, side, by_txid, by_wtxid

    @classmethod
    def none(cls) -> _Transactions:
        """No transactions."""
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, empty.astype(np.uint64), empty.astype(np.uint64))
