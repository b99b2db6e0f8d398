"""What peers offer in `addr` and `addrv2`, and what of it Core's limiter would admit: the mirror that address detectors share.

Core gives every connection a token bucket (net_processing.cpp, since v22, PR 22387): 1 token at first, 0.1 a second up to 1000,
and 1000 at once when *it* asked with `getaddr`. What a peer offers without a token, Core drops. Detectors look at the offer,
which is what the peer does, not at what Core let pass.

A connection that was there before the first row about it may have saved tokens; it is given all that it can have. Rows of one
second count as simultaneous: openings before messages, endings after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from peerwatch.detect.processes import READS, Processes
from peerwatch.schema.batch import SECOND, Array, Rows
from peerwatch.stats.keyed import REFUSED, Keyed, Merge
from peerwatch.stats.tally import tally
from peerwatch.stats.token_bucket import TokenBuckets

MAX_ADDR_RATE_PER_SECOND = 0.1
MAX_ADDR_PROCESSING_TOKEN_BUCKET = 1000
MAX_ADDR_TO_SEND = 1000
"""net_processing.cpp: addresses a second that a peer may send, how many it may save up, and how many answer a `getaddr`."""

ENTRY_BYTES = 30
"""Bytes of an entry of `addr`, and more than a usual one of `addrv2` has: for messages of which no entry was kept."""

ASKED_AT_ONCE = ("outbound-full-relay", "manual", "addr-fetch")
"""Connection types over which Core sends `getaddr` right after the handshake, whether or not we see it do so."""

UNKNOWN, DESCRIBED, OPENED = 0, 1, 2
"""How a connection came to be known: by a message, as there before us, or when it was opened."""

ADDRESS_TYPES = ("addr", "addrv2")

READS_MESSAGE = ("session", "ts", "seq", "peer", "inbound", "type", "size", "kept")
READS_ADDRESS = ("session", "ts", "seq", "peer", "inbound")
READS_CONNECTION = ("ts", "peer", "event", "inbound", "conn_type", "established")
READS_NODE = READS
READS_VERSION = ("ts", "peer", "inbound", "time")


_NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Offer:
    """Address messages that peers sent: a row a message in `slot, ts, seq, entries`, and one an entry in `row, of`.

    `row` is the entry's row in the address table, `of` the index of its message. Nothing of peers that were refused for lack of
    room is in it.
    """

    slot: Array
    ts: Array
    seq: Array
    entries: Array
    row: Array
    of: Array


@dataclass(frozen=True, slots=True)
class Spent:
    """What the peers in `slots` did in one second: how many entries they offered that did not answer a `getaddr` of ours
    (`unasked`), and how many of all there was no token for (`refused`).
    """

    slots: Array
    unasked: Array
    refused: Array


class Limiter:
    """Peers of one node and the mirrored limiter of each. Detectors add their own columns to `peers`."""

    def __init__(self, capacity: int) -> None:
        """Watch `capacity` peers at most."""
        self.peers = peers = Keyed(capacity)
        self.bucket = TokenBuckets(peers, "limit", rate=MAX_ADDR_RATE_PER_SECOND, cap=MAX_ADDR_PROCESSING_TOKEN_BUCKET, start=1)
        peers.column("fresh", np.bool_, initial=True, merge=Merge.MIN)
        peers.column("origin", np.int8, merge=Merge.MAX)
        peers.column("established", np.int64, merge=Merge.MAX)
        peers.column("outbound", np.bool_, merge=Merge.MAX)
        peers.column("asked", np.int32)
        peers.column("implied", np.bool_, merge=Merge.MAX)
        peers.column("due", np.int64)
        peers.column("offered", np.int64)
        peers.column("reopened", np.bool_, merge=Merge.MAX)
        peers.column("ending", np.bool_, merge=Merge.MAX)
        peers.column("session", np.int64, merge=Merge.MAX)
        self.touched = False
        """Whether rows came since the last second was settled; if not, there is nothing to settle and to end."""
        self._process = Processes()
        self._restarted = False

    def update(self, rows: Mapping[str, Rows]) -> Offer | None:
        """Take rows of the present second; returns the address messages among them."""
        self.touched = True
        if (nodes := rows.get("node")) is not None:
            self._restarted |= any(self._process.update(nodes))
        if (connections := rows.get("connection")) is not None:
            self._connections(connections)
        if (versions := rows.get("version")) is not None:
            self._versions(versions)
        messages, addresses = rows.get("message"), rows.get("address")
        offer = None if addresses is None else self._offer(addresses)
        if messages is not None:
            self._messages(messages, offer)
        return offer

    def settle(self, second: int) -> Spent:
        """Spend the tokens of the second that is over. Call `end` when done with what it returns."""
        if not self.touched:
            return Spent(_NOBODY, _NOBODY, _NOBODY)
        peers = self.peers
        slots = peers.slots()
        fresh = slots[peers["fresh"][slots]]
        if len(fresh):
            self._begin(fresh, second)
        asked = slots[peers["asked"][slots] > 0]
        if len(asked):
            self._grant(asked)
        slots = slots[peers["offered"][slots] > 0]
        offered = peers["offered"][slots]
        answers = np.minimum(peers["due"][slots], offered)
        peers["due"][slots] -= answers
        refused = self.bucket.spend(slots, second, offered)
        peers["offered"][slots] = 0
        return Spent(slots, offered - answers, refused)

    def end(self, second: int) -> None:
        """Forget connections that ended in this second, and begin anew those that were opened again."""
        if not self.touched:
            return
        self.touched = False
        peers = self.peers
        slots = peers.slots()
        reopened = peers["reopened"][slots]
        over = peers["ending"][slots] & ~reopened
        if self._restarted:
            over |= ~reopened & (peers["used"][slots] // SECOND < second)
            self._restarted = False
        peers.drop(slots[over])
        again = slots[reopened]
        if len(again):
            outbound = peers["outbound"][again]
            peers.reset(again)
            peers["outbound"][again] = outbound
            peers["used"][again] = second * SECOND
            peers["origin"][again] = OPENED
            self._begin(again, second)
        peers.sweep()

    def _begin(self, slots: Array, second: int) -> None:
        """Fill the buckets of new connections, with all that they can have saved when they are not new to the node."""
        peers = self.peers
        age = second - peers["established"][slots] // SECOND
        saved = np.minimum(1 + MAX_ADDR_RATE_PER_SECOND * np.maximum(age, 0), MAX_ADDR_PROCESSING_TOKEN_BUCKET)
        origin = peers["origin"][slots]
        dated = (origin == DESCRIBED) & (peers["established"][slots] > 0)
        tokens = np.select([origin == OPENED, dated], [1.0, saved], MAX_ADDR_PROCESSING_TOKEN_BUCKET)
        self.bucket.open(slots, second, tokens)
        peers["fresh"][slots] = False
        implied = slots[peers["outbound"][slots]]
        peers["implied"][implied] = True
        self._answers(implied, np.ones(len(implied), np.int64))

    def _grant(self, slots: Array) -> None:
        """The node sent `getaddr`: the first one is what a connection type implied already."""
        peers = self.peers
        times = peers["asked"][slots].astype(np.int64) - peers["implied"][slots]
        peers["implied"][slots] = False
        peers["asked"][slots] = 0
        self._answers(slots, times)

    def _answers(self, slots: Array, times: Array) -> None:
        self.bucket.grant(slots, times * float(MAX_ADDR_TO_SEND))
        self.peers["due"][slots] += times * MAX_ADDR_TO_SEND

    def _connections(self, rows: Rows) -> None:
        peers = self.peers
        slots = peers.locate(rows["peer"], rows["ts"])
        columns = (slots.tolist(), rows["event"].tolist(), rows["conn_type"].tolist(), rows["established"].tolist())
        for slot, event, conn_type, established in zip(*columns, strict=True):
            if slot == REFUSED:
                continue
            if event in ("opened", "described"):
                self._known(slot, OPENED if event == "opened" else DESCRIBED)
                peers["outbound"][slot] = conn_type in ASKED_AT_ONCE
                peers["established"][slot] = established
            elif event in ("closed", "evicted"):
                peers["ending"][slot] = True

    def _versions(self, rows: Rows) -> None:
        """The node sends one `version` a connection, so it tells a new one; how many a peer sends is up to the peer."""
        sent = np.flatnonzero(~rows["inbound"])
        if len(sent):
            for slot in self.peers.locate(rows["peer"][sent], rows["ts"][sent]).tolist():
                if slot != REFUSED:
                    self._known(slot, OPENED)

    def _known(self, slot: int, origin: int) -> None:
        peers = self.peers
        if peers["fresh"][slot]:
            peers["origin"][slot] = max(origin, peers["origin"][slot])
        elif origin == OPENED:
            peers["reopened"][slot] = True

    def _offer(self, rows: Rows) -> Offer | None:
        (row,) = rows["inbound"].nonzero()
        if not len(row):
            return None
        peer, seq = rows["peer"][row], rows["seq"][row]
        new = np.concatenate(([True], (seq[1:] != seq[:-1]) | (peer[1:] != peer[:-1])))
        (starts,) = new.nonzero()
        entries = np.diff(starts, append=len(row))
        ts, session = rows["ts"][row[starts]], rows["session"][row[starts]]
        slot = self.peers.locate(peer[starts], ts)
        of = np.cumsum(new) - 1
        if slot.min() == REFUSED:
            kept = slot != REFUSED
            if not kept.any():
                return None
            row, of = row[kept[of]], (np.cumsum(kept) - 1)[of[kept[of]]]
            slot, ts, session, starts, entries = slot[kept], ts[kept], session[kept], starts[kept], entries[kept]
        tally(self.peers["offered"], slot, entries)
        np.maximum.at(self.peers["session"], slot, session)
        return Offer(slot, ts, seq[starts], entries, row, of)

    def _messages(self, rows: Rows, offer: Offer | None) -> None:
        """What the node asked for, and entries of messages that we did not keep whole."""
        codes, names = rows.codes("type")
        if "getaddr" in names:
            (asked,) = ((codes == names.index("getaddr")) & ~rows["inbound"]).nonzero()
            if len(asked):
                self._count("asked", rows, asked, np.ones(len(asked), np.int32))
        for name in ADDRESS_TYPES:
            if name in names:
                (cut,) = ((codes == names.index(name)) & rows["inbound"] & (rows["kept"] < rows["size"])).nonzero()
                if len(cut):
                    self._count("offered", rows, cut, self._missing(rows, cut, offer))

    def _missing(self, rows: Rows, cut: Array, offer: Offer | None) -> Array:
        """Entries that were not kept of the messages in rows `cut`, in proportion to the bytes."""
        seen: dict[int, int] = {} if offer is None else dict(zip(offer.seq.tolist(), offer.entries.tolist(), strict=True))
        entries = np.array([seen.get(seq, 0) for seq in rows["seq"][cut].tolist()], np.int64)
        size, kept = rows["size"][cut].astype(np.int64), rows["kept"][cut].astype(np.int64)
        return np.where(entries > 0, entries * (size - kept) // np.maximum(kept, 1), size // ENTRY_BYTES)

    def _count(self, column: str, rows: Rows, at: Array, amounts: Array) -> None:
        slots = self.peers.locate(rows["peer"][at], rows["ts"][at])
        kept = slots != REFUSED
        tally(self.peers[column], slots[kept], amounts[kept])
        np.maximum.at(self.peers["session"], slots[kept], rows["session"][at[kept]])

    def state(self) -> dict[str, Any]:
        """Everything, as JSON-able values."""
        return {"peers": self.peers.state(), "process": self._process.state(), "restarted": self._restarted}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self.peers.restore(state["peers"])
        self.touched = True
        self._process.restore(state["process"])
        self._restarted = bool(state["restarted"])
