"""How transactions are relayed: announced, asked for, delivered; summed up by connection, direction and minute.

The counters are columns of the roster: `relay` has for each side and list (inventories.Entries.cell) the entries that speak of
something else and of transactions; the others are by direction, 1 when transactions move from the peer to the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from peerwatch.peers.announced import Announced, Items
from peerwatch.peers.inventories import GETDATA, INV, LIST, LISTS, MSG_FILTERED_BLOCK, MSG_WTX, NOTFOUND, SIDE, WITNESS, Entries
from peerwatch.peers.matcher import Matcher
from peerwatch.peers.requests import Answers, Requests, Why, keys
from peerwatch.peers.roster import FORGETTERS, Roster
from peerwatch.peers.states import FAR, TYPE, UNKNOWN
from peerwatch.peers.stretch import Messages, Output, Stretch
from peerwatch.peers.weirds import Weirds
from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.tables.relay import Relay as RelayTable
from peerwatch.stats.tally import tally

WAITING = 1 << 13
"""Transactions of each side that are waited for; Core asks a peer for 100 at once (MAX_PEER_TX_REQUEST_IN_FLIGHT)."""

GETDATA_TX_INTERVAL = 60 * SECOND
"""After that Core asks another peer (node/txdownloadman.h)."""

LATE = 20 * 60 * SECOND
"""What comes within this time still was asked for."""

MINUTE = 60 * SECOND

_LISTS = np.isin(np.arange(UNKNOWN + 1), [TYPE[name] for name in LISTS])
_SUMS = ("delivered", "not_found", "unasked", "unanswered", "delay_sum", "delay_max")


class Relay:
    """Transactions that are waited for, and those announced."""

    def __init__(self, roster: Roster) -> None:
        """Start without any."""
        self._roster = roster
        self._matcher = Matcher(WAITING, np.array([GETDATA_TX_INTERVAL]), np.array([LATE]))
        self._announced = Announced()

    @property
    def forgotten(self) -> int:
        """Requests forgotten because so many came after them."""
        return self._matcher.forgotten

    def take(self, stretch: Stretch, messages: Messages, entries: Entries, ends: Mapping[int, int], weirds: Weirds) -> None:
        """Take a stretch: messages, inventory entries, and the connections that ended in it (peer to ordinal)."""
        lists = entries.cell & LIST
        if len(entries):
            self._count(stretch, messages, entries)
            self._cut(messages, stretch)
        asks = np.flatnonzero(entries.is_tx & (lists == GETDATA << 1))
        missing = np.flatnonzero(entries.is_tx & (lists == NOTFOUND << 1))
        if len(entries):
            self._unannounced(stretch, entries, asks, weirds)
        found = self._transactions(stretch)
        key = keys(self._peers(entries, missing), 1 - entries.side(missing), entries.item[missing])
        ordinals = np.concatenate([found.ordinal, found.ordinal, entries.ordinal[missing]])
        order = np.argsort(ordinals, kind="stable")
        answers = Answers(np.concatenate([found.by_txid, found.by_wtxid, key])[order], ordinals[order])
        tx = np.concatenate([np.arange(len(found.ordinal))] * 2 + [np.full(len(missing), -1)])[order]
        hit, asked_ts = np.zeros(len(order), bool), np.zeros(len(order), np.int64)
        for ended, overdue, lost in self._matcher.run(stretch, self._requests(stretch, entries, asks), answers, ends):
            answered = ended.answer >= 0
            hit[ended.answer[answered]] = True
            asked_ts[ended.answer[answered]] = ended.requests.ts[answered]
            self._overdue(stretch, *overdue)
            gone = np.isin(ended.why, (Why.UNANSWERED, Why.FORGOTTEN))
            self._roster.forget(ended.requests.peer[gone], ended.at[gone], "transactions")
            self._roster.forget(lost[0], lost[2], "transactions")
        delivering = hit & (tx >= 0)
        self._delivered(stretch, found, (tx[delivering], asked_ts[delivering]), weirds)
        self._not_found(stretch, answers.ordinal[tx < 0], hit[tx < 0], weirds)

    def _count(self, stretch: Stretch, messages: Messages, entries: Entries) -> None:
        """Count entries."""
        conn = self._roster.conn
        tally(conn["relay"].reshape(-1), entries.cell + entries.is_tx)
        if len(entries.others):
            filtered = entries.others[entries.list(entries.others) == GETDATA]
            filtered = filtered[entries.kind[filtered] & ~np.uint32(WITNESS) == MSG_FILTERED_BLOCK]
            # Its transactions come unasked (BIP 37).
            at = (entries.slot(filtered), np.full(len(filtered), FORGETTERS.index("transactions")))
            np.minimum.at(conn["forgot"], at, entries.ordinal[filtered])
        lists = np.flatnonzero(_LISTS[messages.code] & (messages.code != TYPE["notfound"]))
        cell = messages.slot[lists] * 2 + (messages.side[lists] ^ (messages.code[lists] == TYPE["getdata"]))
        new = np.flatnonzero(conn["relay_at"].reshape(-1)[cell] > messages.ordinal[lists])
        if len(new):
            speaks = np.zeros(stretch.stop - stretch.first, bool)
            speaks[entries.ordinal[entries.is_tx] - stretch.start] = True
            new = new[speaks[messages.ordinal[lists[new]] - stretch.start]]
            self._first(stretch, cell[new], messages.ordinal[lists[new]])

    def _first(self, stretch: Stretch, cells: Array, ordinals: Array) -> None:
        """Note these events, by ordinal, where they are the first that the minute of a connection and direction (cell) has."""
        at, seq = (self._roster.conn[name].reshape(-1) for name in ("relay_at", "relay_seq"))
        new = np.flatnonzero(ordinals < at[cells])[::-1]  # of several assignments the last one counts: the first event
        at[cells[new]] = ordinals[new]
        seq[cells[new]] = stretch.arrivals.seq(ordinals[new] - stretch.arrivals.base)

    def _cut(self, messages: Messages, stretch: Stretch) -> None:
        """Of well-formed lists that were not kept whole, nobody can say what was not in them."""
        rows = stretch.arrivals.messages()
        lists = np.flatnonzero(_LISTS[messages.code])
        at = messages.row[lists]
        cut = np.flatnonzero(rows["kept"][at] < rows["size"][at])
        if len(cut):
            cut = lists[cut[~rows.valid("error")[at[cut]]]]
            self._roster.lose_some(messages.slot[cut], messages.ordinal[cut])

    def _peers(self, entries: Entries, index: Array) -> Array:
        return np.asarray(self._roster.conn["key"][entries.slot(index)])

    def _requests(self, stretch: Stretch, entries: Entries, asks: Array) -> Requests:
        arrivals, ordinal = stretch.arrivals, entries.ordinal[asks]
        event, peer, side = ordinal - arrivals.base, self._peers(entries, asks), entries.side(asks)
        none = np.zeros(len(asks), np.int64)
        key = keys(peer, side, entries.item[asks])
        return Requests(key, ordinal, arrivals.events[event], arrivals.seq(event), peer, side, none, arrivals.now[event])

    def _transactions(self, stretch: Stretch) -> _Transactions:
        rows = stretch.rows("transaction", "peer", "inbound", "txid_item", "wtxid_item")
        if rows is None:
            return _Transactions.none()
        ordinal = stretch.ordinals("transaction")
        known = np.flatnonzero(stretch.slots_of(ordinal) >= 0)
        peer, side = rows["peer"][known], rows["inbound"][known].astype(np.int64)
        txid, wtxid = (keys(peer, 1 - side, rows[name][known]) for name in ("txid_item", "wtxid_item"))
        return _Transactions(ordinal[known], stretch.slots_of(ordinal[known]), side, txid, wtxid)

    def _unannounced(self, stretch: Stretch, entries: Entries, asks: Array, weirds: Weirds) -> None:
        """Judge what peers ask for by what the node announced to them; only of connections seen from their beginning."""
        whole = self._roster.conn["whole_from"]
        if not (whole < FAR).any():
            return
        announced = self._items(entries, np.flatnonzero(entries.is_tx & (entries.cell & (SIDE | LIST) == INV << 1)))
        theirs = asks[entries.side(asks) == 1]
        theirs = theirs[
            self._roster.whole(entries.slot(theirs), entries.ordinal[theirs]) & stretch.in_order(entries.ordinal[theirs])
        ]
        wrong = theirs[self._announced.missing(announced, self._items(entries, theirs), stretch.start)]
        by_wtxid = entries.kind[wrong] == MSG_WTX
        for kind, which in (("requested_unannounced", wrong[by_wtxid]), ("requested_unannounced_txid", wrong[~by_wtxid])):
            weirds.add(kind, np.unique(stretch.arrivals.row_of(entries.ordinal[which] - stretch.arrivals.base)))

    def _items(self, entries: Entries, index: Array) -> Items:
        began = self._roster.conn["whole_from"][entries.slot(index)]
        index, began = index[began < FAR], began[began < FAR]
        return Items(self._peers(entries, index), entries.item[index], entries.ordinal[index], began)

    def _overdue(self, stretch: Stretch, late: Requests, at: Array) -> None:
        """These requests were not answered in time."""
        if not len(late):
            return
        slots = self._roster.slots_of(late.peer)
        kept = np.flatnonzero(self._roster.had(slots, at))
        kept = kept[np.argsort(at[kept], kind="stable")]
        cells = slots[kept] * 2 + 1 - late.side[kept]
        np.add.at(self._roster.conn["unanswered"].reshape(-1), cells, 1)
        self._first(stretch, cells, at[kept])

    def _delivered(self, stretch: Stretch, found: _Transactions, answered: tuple[Array, Array], weirds: Weirds) -> None:
        """Count transactions; `answered` has which of them answered a request, and when that was made."""
        if not len(found.ordinal):
            return
        conn = self._roster.conn
        self._first(stretch, found.slot * 2 + found.side, found.ordinal)
        asked = np.full(len(found.ordinal), -1)
        np.maximum.at(asked, *answered)
        wanted = np.flatnonzero(asked >= 0)
        event = found.ordinal[wanted] - stretch.arrivals.base
        delay = np.maximum(stretch.arrivals.events[event] - asked[wanted], 0)
        at = (found.slot[wanted], found.side[wanted])
        np.add.at(conn["delivered"], at, 1)
        np.add.at(conn["delay_sum"], at, delay)
        np.maximum.at(conn["delay_max"], at, delay)
        unasked = np.flatnonzero(asked < 0)
        if len(unasked):
            np.add.at(conn["unasked"], (found.slot[unasked], found.side[unasked]), 1)
            self._unrequested(stretch, "tx_unrequested", found.ordinal[unasked], weirds)

    def _not_found(self, stretch: Stretch, ordinals: Array, hit: Array, weirds: Weirds) -> None:
        if not len(ordinals):
            return
        row = stretch.arrivals.row_of(ordinals[hit] - stretch.arrivals.base)
        side = stretch.arrivals.messages()["inbound"][row].astype(np.int64)
        cells = stretch.slots_of(ordinals[hit]) * 2 + side
        np.add.at(self._roster.conn["not_found"].reshape(-1), cells, 1)
        self._first(stretch, cells, ordinals[hit])
        self._unrequested(stretch, "notfound_unrequested", np.unique(ordinals[~hit]), weirds)

    def _unrequested(self, stretch: Stretch, kind: str, ordinals: Array, weirds: Weirds) -> None:
        sure = self._roster.remembered(stretch, ordinals, "transactions")
        weirds.add(kind, stretch.arrivals.row_of(ordinals[sure] - stretch.arrivals.base))

    def tell(self, slots: Array, minute: int, event: int, out: Output) -> None:
        """The minute (ns) of these connections is over with this event: rows of those with anything to count, and start over."""
        for row in self.rows(slots, minute):
            out.add(RelayTable, event, row)

    def rows(self, slots: Array, minute: int) -> list[dict[str, Any]]:
        """Rows of the minute of these connections, by the first event that they count; their counters start over."""
        conn = self._roster.conn
        lists = conn["relay"][slots].reshape(-1, 2, 4, 2)[..., 1]
        busy = (lists[:, :, INV] + lists[:, ::-1, GETDATA] > 0) | (sum(conn[name][slots] for name in _SUMS) > 0)
        made = []
        for i, side in zip(*(c.tolist() for c in np.nonzero(busy)), strict=True):
            slot = slots[i]
            sums = {name: int(conn[name][slot, side]) for name in _SUMS}
            seq = int(conn["relay_seq"][slot, side])
            made.append({
                "ts": minute, "seq": seq, "peer": int(conn["key"][slot]), "inbound": bool(side),
                "announced": int(lists[i, side, INV]), "requested": int(lists[i, 1 - side, GETDATA]), **sums,
            })  # fmt: skip
        for name in ("relay", *_SUMS):
            conn[name][slots] = 0
        conn["relay_at"][slots] = FAR
        return sorted(made, key=lambda row: (row["seq"], row["inbound"]))

    def close_all(self) -> None:
        """The node is gone, and with it every connection."""
        self._matcher.drop_all()

    def forget_all(self) -> None:
        """Times mean nothing any more: stop waiting."""
        self._matcher.forgotten += len(self._matcher.drop_all())

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return {"matcher": self._matcher.state(), "announced": self._announced.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._matcher.restore(state["matcher"])
        self._announced.restore(state["announced"])


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
