"""The rules of `peerwatch.peers` for reading: one event after the other, plain dictionaries, nothing bounded or forgotten.

Takes a Stream (tests/builders.py) and gives the rows of `weird`, `handshake`, `exchange` and `relay` without the identity, each
table in the order in which its rows are told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from peerwatch.wire.raw import KNOWN_TYPES
from tests.builders import Stream

S = 1_000_000_000
MINUTE = 60 * S
TX = (1, 5, 1 | 1 << 30)
BLOCKS = (2, 3, 4, 2 | 1 << 30, 3 | 1 << 30)
LIMITS = {"ping": 1200, "getheaders": 120}
OTHER_LIMIT = 600
BY_TYPE = {
    "getaddr": ("addr", "addrv2"), "getheaders": ("headers",), "getcfilters": ("cfilter",), "getcfheaders": ("cfheaders",),
    "getcfcheckpt": ("cfcheckpt",), "mempool": ("inv",),
}  # fmt: skip
EARLY = (
    "version", "verack", "wtxidrelay", "sendaddrv2", "sendtxrcncl", "sendheaders", "sendcmpct", "sendpackages", "feature"
)  # fmt: skip
SERVES = {"block": (2, 4), "cmpctblock": (4,), "merkleblock": (3,)}
Row = dict[str, Any]


@dataclass
class Waiting:
    """A request that waits."""

    kind: str
    key: Any
    peer: int
    side: bool
    now: int
    ts: int
    seq: int
    told: bool = False


@dataclass
class Conn:
    """One connection. `said[side]` has the event of the first of each type; `count[side]` how many there were."""

    said: dict[bool, dict[str, int]] = field(default_factory=lambda: {False: {}, True: {}})
    services: dict[bool, int] = field(default_factory=dict)
    filters: dict[bool, bool] = field(default_factory=lambda: {False: False, True: False})
    inbound: bool | None = None
    conn_type: str | None = None
    opened: int | None = None
    met: tuple[int, str, bool] | None = None
    version_ts: int | None = None
    whole: bool = False
    tracked: bool = False
    done: bool = False
    ended: bool = False
    spv: bool = False
    late: set[str] = field(default_factory=set)


class Peers:
    """State of all connections."""

    def __init__(self) -> None:
        """Start without any."""
        self.conns: dict[int, Conn] = defaultdict(Conn)
        self.out: dict[str, list[Row]] = defaultdict(list)
        self.waiting: list[Waiting] = []
        self.wanted: list[Waiting] = []
        self.sent: set[tuple[int, bool, bytes]] = set()
        self.announced: set[tuple[int, int]] = set()
        self.weird: dict[tuple[Any, ...], Row] = {}
        self.relay: dict[tuple[int, bool], Counter[str]] = {}
        self.now = -1

    def event(self, seq: int, ts: int, rows: dict[str, list[Row]]) -> None:
        """Take one event."""
        before, self.now = self.now, max(self.now, ts)
        self.seq, self.ts = seq, ts
        if before >= 0 and self.now // S > before // S:
            self.flush_weird()
        if before >= 0 and self.now // MINUTE > before // MINUTE:
            self.flush_relay(before // MINUTE * MINUTE)
        self.expire()
        for row in rows.get("connection", []):
            self.connection(row)
        for row in rows.get("message", []):
            self.message(row, rows)

    def flush_weird(self) -> None:
        """The second is over."""
        self.out["weird"] += [self.moment() | row for row in sorted(self.weird.values(), key=lambda r: r["first"])]
        self.weird = {}

    def flush_relay(self, minute: int) -> None:
        """The minute is over."""
        names = ("announced", "requested", "delivered", "not_found", "unasked", "unanswered", "delay_sum", "delay_max")
        rows = [
            {**self.moment(), "peer": who[0], "inbound": who[1], "minute": minute, **{n: c[n] for n in names}}
            for who, c in self.relay.items()
        ]
        self.out["relay"] += sorted(rows, key=lambda r: (r["peer"], r["inbound"]))
        self.relay = {}

    def moment(self) -> Row:
        """Of the present event."""
        return {"ts": self.ts, "seq": self.seq}

    def count(self, peer: int, direction: bool) -> Counter[str]:  # noqa: FBT001 - a column
        """Counters of a connection and direction."""
        return self.relay.setdefault((peer, direction), Counter())

    def expire(self) -> None:
        """What is overdue at this event."""
        for w in list(self.waiting):
            if w.kind == "tx":
                if self.now > w.now + 60 * S and not w.told:
                    w.told = True
                    self.count(w.peer, not w.side)["unanswered"] += 1
                if self.now > w.now + 1200 * S:
                    self.waiting.remove(w)
                    self.conns[w.peer].late.add("tx")
            elif self.now > w.now + LIMITS.get(w.kind, OTHER_LIMIT) * S:
                self.conns[w.peer].late.add(w.kind)
                self.end(self.waiting, w, "unanswered")
        for w in list(self.wanted):
            if self.now > w.now + OTHER_LIMIT * S:
                self.end(self.wanted, w, "unanswered")

    def end(self, where: list[Waiting], w: Waiting, outcome: str) -> None:
        """A request ended."""
        where.remove(w)
        if w.kind == "tx":
            return
        self.out["exchange"].append({
            "ts": self.ts, "seq": self.seq, "peer": w.peer, "kind": w.kind, "inbound": w.side, "outcome": outcome,
            "asked": w.ts, "duration": max(self.ts - w.ts, 0), "request": w.seq,
        })  # fmt: skip

    def ask(self, kind: str, peer: int, side: bool, key: Any) -> None:  # noqa: FBT001 - a column
        """A new request supersedes one with the same key, but for transactions."""
        for w in [w for w in self.waiting if (w.kind, w.peer, w.side, w.key) == (kind, peer, side, key) and kind != "tx"]:
            self.end(self.waiting, w, "superseded")
        self.waiting.append(Waiting(kind, key, peer, side, self.now, self.ts, self.seq))

    def answer(self, kind: str, peer: int, side: bool, key: Any) -> Waiting | None:  # noqa: FBT001 - a column
        """What an answer answers, for `side` having asked."""
        hits = [w for w in self.waiting if (w.kind, w.peer, w.side, w.key) == (kind, peer, side, key)]
        for w in hits:
            self.end(self.waiting, w, "answered")
        return hits[-1] if hits else None

    def connection(self, row: Row) -> None:
        """A connection opened or ended."""
        c, peer = self.conns[row["peer"]], row["peer"]
        c.inbound = row["inbound"] if row.get("inbound") is not None else c.inbound
        c.conn_type = row.get("conn_type") or c.conn_type
        if row["event"] == "opened" and c.opened is None:
            c.opened = self.ts
            c.whole = c.met is None or (c.met[1] == "version" and not (c.inbound is False and c.met[2]))
            c.tracked |= c.whole
        if row["event"] in ("closed", "evicted"):
            for where in (self.waiting, self.wanted):
                for w in [w for w in where if w.peer == peer]:
                    self.end(where, w, "closed")
            if not c.done:
                self.handshake(peer, c, complete=False)
            c.ended = True

    def handshake(self, peer: int, c: Conn, *, complete: bool) -> None:
        """A handshake came to its end."""
        c.done = True
        if not c.whole or c.ended:
            return
        ours, theirs = list(c.said[False])[:24], list(c.said[True])[:24]
        self.out["handshake"].append({
            "ts": self.ts, "seq": self.seq, "peer": peer, "inbound": c.inbound, "complete": complete,
            "duration": self.ts - (c.version_ts or 0) if complete else None,
            "first": max(0, c.met[0] - (c.opened or 0)) if c.met else None,
            "theirs": ",".join(theirs), "ours": ",".join(ours),
            "wtxid_relay": "wtxidrelay" in ours and "wtxidrelay" in theirs,
            "addrv2": "sendaddrv2" in theirs,
            "reconciliation": "sendtxrcncl" in ours and "sendtxrcncl" in theirs,
        })  # fmt: skip

    def say(self, row: Row, *kinds: str) -> None:
        """A message is weird."""
        for kind in kinds:
            key = (row["peer"], row["inbound"], row["type"], kind)
            new = dict(zip(("peer", "inbound", "type", "kind"), key, strict=True))
            new |= {"first_ts": self.ts, "first": self.seq, "count": 0, "size": row["size"], "head": None}
            self.weird.setdefault(key, new)["count"] += 1

    def message(self, row: Row, rows: dict[str, list[Row]]) -> None:
        """Take one message."""
        c, side, kind = self.conns[row["peer"]], row["inbound"], row["type"]
        if c.met is None:
            c.met = self.ts, kind, side
            c.whole = c.opened is not None and (c.inbound is not False or (kind == "version" and not side))
            c.tracked = c.whole or kind == "version"
        if kind == "version" and not side and "version" in c.said[False]:
            c.whole = False  # another connection under the same id
        sure = c.whole and not c.ended
        if row["error"]:
            self.say(row, row["error"])
        if kind not in KNOWN_TYPES:
            self.say(row, "unknown_type")
        if sure:
            self.say(row, *self.order(c, side, kind, rows))
        self.remember(row["peer"], c, side, kind, rows)
        self.values(row, rows)
        self.ping(row, c, rows)
        self.exchange(row, c, rows)
        self.lists(row, c, rows)
        self.transaction(row, c, rows)

    def order(self, c: Conn, side: bool, kind: str, rows: dict[str, list[Row]]) -> list[str]:  # noqa: C901, PLR0912, FBT001 - plain
        """Rules about when a message may come."""
        said, wrong = c.said[side], []
        if kind in ("version", "verack", "getaddr") and kind in said:
            wrong.append(f"{kind}_repeated")
        if kind in KNOWN_TYPES and kind != "version" and "version" not in said:
            wrong.append("before_version")
        if kind in KNOWN_TYPES and "version" in said and "verack" not in said and kind not in EARLY:
            wrong.append("before_verack")
        if kind in ("wtxidrelay", "sendaddrv2", "sendtxrcncl") and "verack" in said:
            wrong.append("negotiation_late")
        if kind in ("wtxidrelay", "sendtxrcncl") and kind in said:
            wrong.append("negotiation_repeated")
        if kind == "verack" and kind not in said and "sendtxrcncl" in said and "wtxidrelay" not in said:
            wrong.append("reconciliation_alone")
        if kind == "getaddr" and c.inbound is not None and c.inbound != side:
            wrong.append("getaddr_by_acceptor")
        names_tx = kind == "tx" or (kind == "inv" and any(r["kind"] in TX for r in rows.get("inventory", [])))
        if names_tx and c.conn_type in ("block-relay-only", "feeler"):
            wrong.append("tx_not_relayed_here")
        if kind in ("addr", "addrv2") and c.conn_type == "block-relay-only":
            wrong.append("addr_not_relayed_here")
        offers = c.services.get(not side)
        if offers is not None:
            if kind in ("filterload", "filteradd", "filterclear", "mempool") and not offers & 4:
                wrong.append("bloom_not_offered")
            if kind == "filteradd" and offers & 4 and not c.filters[side]:
                wrong.append("filter_missing")
            if kind in ("getcfilters", "getcfheaders", "getcfcheckpt") and not offers & 64:
                wrong.append("compact_filters_not_offered")
        return wrong

    def remember(self, peer: int, c: Conn, side: bool, kind: str, rows: dict[str, list[Row]]) -> None:  # noqa: FBT001 - plain
        """What was said."""
        if kind == "version" and "version" not in c.said[side] and rows.get("version"):
            c.services[side] = rows["version"][0]["services"]
        if kind == "version" and c.version_ts is None:
            c.version_ts = self.ts
        c.said[side].setdefault(kind, self.seq)
        if c.whole and not c.ended and kind in ("filterload", "filterclear"):
            c.filters[side] = kind == "filterload"
        if c.tracked and not c.done and all({"version", "verack"} <= c.said[s].keys() for s in (False, True)):
            self.handshake(peer, c, complete=True)

    def values(self, row: Row, rows: dict[str, list[Row]]) -> None:
        """Rules about single rows."""
        for r in rows.get("negotiation", []):
            if r["message"] == "sendcmpct" and r["version"] not in (1, 2):
                self.say(row, "sendcmpct_version")
            if r["message"] == "feefilter" and not 0 <= r["fee_rate"] <= 21_000_000 * 10**8:
                self.say(row, "feefilter_range")
        if any(r["breaks"] for r in rows.get("headers", [])):
            self.say(row, "headers_not_continuous")
        if any(r["kind"] not in (*TX, *BLOCKS) for r in rows.get("inventory", [])):
            self.say(row, "inventory_kind")
        for r in rows.get("version", []):
            if r["protocol"] < 31800:
                self.say(row, "protocol_obsolete")
            if abs(r["time"] - self.ts // S) > 4200:
                self.say(row, "clock_offset")
            if r.get("user_agent") == "":
                self.say(row, "user_agent_empty")

    def ping(self, row: Row, c: Conn, rows: dict[str, list[Row]]) -> None:
        """Pings and pongs."""
        peer, side = row["peer"], row["inbound"]
        for r in rows.get("ping", []):
            if r["nonce"] is None:
                continue
            if not r["pong"]:
                self.ask("ping", peer, side, r["nonce"])
                continue
            waits = any((w.kind, w.peer, w.side) == ("ping", peer, not side) for w in self.waiting)
            if not self.answer("ping", peer, not side, r["nonce"]) and self.sure(c, "ping"):
                self.say(row, "pong_nonce" if waits else "pong_unsolicited")

    def sure(self, c: Conn, kind: str) -> bool:
        """Whether it is known what the other side did before."""
        return c.whole and not c.ended and kind not in c.late and self.ts % S != 0

    def exchange(self, row: Row, c: Conn, rows: dict[str, list[Row]]) -> None:  # noqa: C901 - for reading
        """Requests and answers that are no pings and no transactions."""
        peer, side, kind = row["peer"], row["inbound"], row["type"]
        if kind in BY_TYPE:
            self.ask(kind, peer, side, None)
        for name, answers in BY_TYPE.items():
            if kind in answers:
                self.answer(name, peer, not side, None)
        for r in rows.get("block_relay", []):
            if kind == "cmpctblock":
                self.sent.add((peer, side, r["hash"]))
            if kind == "getblocktxn":
                if (peer, not side, r["hash"]) not in self.sent and self.sure(c, "cmpctblock"):
                    self.say(row, "getblocktxn_unannounced")
                self.ask(kind, peer, side, r["hash"])
            if kind == "blocktxn" and not self.answer("getblocktxn", peer, not side, r["hash"]) and self.sure(c, "getblocktxn"):
                self.say(row, "blocktxn_unrequested")
        if kind in SERVES:
            mine = [w for w in self.wanted if (w.peer, w.side) == (peer, not side) and w.key[0] in SERVES[kind]]
            if mine:
                self.end(self.wanted, mine[0], "answered")

    def lists(self, row: Row, c: Conn, rows: dict[str, list[Row]]) -> None:  # noqa: C901 - for reading
        """Entries of inv, getdata and notfound."""
        peer, side, kind = row["peer"], row["inbound"], row["type"]
        wrong = set()
        for r in rows.get("inventory", []):
            is_tx, item = r["kind"] in TX, r["item"]
            if kind == "inv" and is_tx:
                self.count(peer, side)["announced"] += 1
                if not side:
                    self.announced.add((peer, item))
            if kind == "getdata" and is_tx:
                self.count(peer, not side)["requested"] += 1
                if side and (peer, item) not in self.announced and c.whole and not c.ended and self.ts % S:
                    wrong.add("requested_unannounced" + ("" if r["kind"] == 5 else "_txid"))
                self.ask("tx", peer, side, item)
            if kind == "getdata" and r["kind"] in BLOCKS:
                plain = r["kind"] & ~(1 << 30)
                c.spv |= plain == 3
                self.wanted.append(Waiting("block", (plain, item), peer, side, self.now, self.ts, self.seq))
            if kind == "notfound" and is_tx:
                if self.answer("tx", peer, not side, item):
                    self.count(peer, side)["not_found"] += 1
                elif self.sure(c, "tx") and not c.spv:
                    wrong.add("notfound_unrequested")
            if kind == "notfound" and r["kind"] in BLOCKS:
                mine = [w for w in self.wanted if (w.peer, w.side, w.key[1]) == (peer, not side, item)]
                if mine:
                    self.end(self.wanted, mine[0], "answered")
        self.say(row, *wrong)

    def transaction(self, row: Row, c: Conn, rows: dict[str, list[Row]]) -> None:
        """Transactions delivered."""
        peer, side = row["peer"], row["inbound"]
        for r in rows.get("transaction", []):
            hits = [self.answer("tx", peer, not side, item) for item in dict.fromkeys((r["txid_item"], r["wtxid_item"]))]
            asked = [w.ts for w in hits if w]
            counts = self.count(peer, side)
            if asked:
                delay = max(self.ts - max(asked), 0)
                counts["delivered"] += 1
                counts["delay_sum"] += delay
                counts["delay_max"] = max(counts["delay_max"], delay)
                continue
            counts["unasked"] += 1
            if self.sure(c, "tx") and not c.spv:
                self.say(row, "tx_unrequested")


def rows_of(stream: Stream) -> dict[str, list[Row]]:
    """All rows that a stream gives rise to, those of the last second and minute included."""
    peers = Peers()
    by_event: dict[int, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for name, rows in stream._rows.items():
        for row, event in zip(rows, stream._event_of[name], strict=True):
            by_event[event][name].append(row)
    for event, ts in enumerate(stream.events):
        peers.event(event, ts, by_event[event])
    peers.flush_weird()
    peers.flush_relay(peers.now // MINUTE * MINUTE)
    return {name: rows for name, rows in peers.out.items() if rows}
