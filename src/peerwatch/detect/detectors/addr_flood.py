"""A peer floods the node with addresses, as in July and August 2021.

Then, single connections sent some 500 `addr` messages of ten addresses each: uniform random IPv4 addresses, reserved ones among
them, with timestamps up to nine minutes in the future, so that nodes took them for fresh and passed them on. The unique addresses
seen a day went from 40 thousand to 6 million. Core limits addresses since (v22), so a flood no longer spreads, but
it still shows who tries, and what for.

What is measured, for each connection: how much it offers beyond a mirror of Core's limiter (A01); special address space and
uniformity over the /8s (A02); timestamps in the near future (A04); messages of one size, at fixed intervals or faster than
Core's own timer (A05). A flood is an offer beyond the limiter that is regular, or that comes in a hurry with conspicuous
content. Content alone does not make a flooder: an honest node without limiter that passes on a flood has the same, at the pace of
Core's timer. Who only offers too much is told apart after a minute, when a flood would have shown itself.

It misses a flood below 0.1 addresses a second and connection (`addr_flood_distributed` sees many of them), and one that
imitates an honest node in everything but volume is a notice only. A peer can hide future timestamps by claiming a fast clock in
`version`. Expected false alarms: none with Core peers, whose addresses stay a factor of four below the limiter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from peerwatch.detect import limiter as core
from peerwatch.detect._api import Detector, Finding, Kind, Option, RowKey, Severity, SubjectKind
from peerwatch.detect.gossip import Gossip, Limits, Signs
from peerwatch.detect.limiter import Limiter, Offer
from peerwatch.detect.queries import rows_of_peers
from peerwatch.schema.batch import SECOND, Array, Rows
from peerwatch.schema.table import Table
from peerwatch.schema.tables.address import Address
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.node import Node
from peerwatch.schema.tables.version import Version
from peerwatch.stats.keyed import Merge

FINDINGS = 256
"""Findings of one second at most; those of the largest excess come first."""

CHECK_S = 10
"""Single signs are looked for once in so many seconds."""

_NONE, _SUSPECT, _EXCESS, _FLOOD = range(4)
"""What is thought of a peer: nothing, that it must be watched, that it offers too much, that it floods."""

_NO_MESSAGE = -1

_INTEGERS = (
    *("excess_at", "suspect_at"),
    *("now_first_ts", "now_first_seq", "first_ts", "first_seq", "last_ts", "last_seq"),
)
"""Columns of a peer: the second its excess was last changed and it became suspect; where its messages of this second, those of
its excess and its newest message are.
"""

_NORMAL = (
    "Core's limiter admits 0.1 addresses a second and connection, and 1000 in answer to a getaddr (net_processing.cpp);"
    " honest peers send 0.005 to 0.025 a second."
)


class AddrFlood(Detector):
    """Peers that offer more addresses than Core admits, and how one sees that they do it on purpose."""

    title: ClassVar[str] = "Address flood from single connections"
    catalogue: ClassVar[tuple[str, ...]] = ("A01", "A02", "A04", "A05")
    references: ClassVar[tuple[str, ...]] = (
        "Grundmann, Baumstark, Hartenstein: Estimating the Peer Degree of Reachable Peers (KIT), arXiv:2108.00815",
        "https://github.com/bitcoin/bitcoin/pull/22387 (rate limit on addresses, v22)",
        "https://github.com/bitcoin/bitcoin/issues/33699 (a self-announcement limited together with the answer to getaddr)",
    )
    reads: ClassVar[Mapping[type[Table], tuple[str, ...]]] = {
        Message: core.READS_MESSAGE,
        Address: (*core.READS_ADDRESS, "source", "time", "network", "ip"),
        Connection: core.READS_CONNECTION,
        Node: core.READS_NODE,
        Version: core.READS_VERSION,
    }
    kinds: ClassVar[tuple[Kind, ...]] = (
        Kind(
            "addr_flood",
            Severity.PAGE,
            "A peer floods this node with addresses.",
            "addresses beyond the limiter",
            "Look at what its addresses have in common, and whether other nodes see the same. The node drops the excess by itself"
            " (v22 and later); `disconnectnode` or `setban` ends it.",
            normal=_NORMAL,
        ),
        Kind(
            "addr_excess",
            Severity.NOTICE,
            "A peer offers more addresses than the limiter admits, without the signs of a flood.",
            "addresses beyond the limiter",
            "Look at its version and its messages: another implementation, a crawler that shares what it found, or a careful"
            " flood.",
            normal=_NORMAL,
        ),
        Kind(
            "addr_relayed",
            Severity.RECORD,
            "A peer passes on a flood at an honest pace.",
            "addresses beyond the limiter",
            "Nothing: most likely an honest node from before the limiter (v0.21 and older) next to a flooder.",
            normal=_NORMAL,
        ),
        Kind(
            "addr_special",
            Severity.RECORD,
            "A peer gossips addresses that no node can have.",
            "percent of entries",
            "Compare with others: if many peers do, a flood is under way somewhere.",
            normal="Honest gossip has about 0.1 % special addresses (heuristic), uniform random IPv4 addresses 13.8 %"
            " (IANA registries).",
        ),
        Kind(
            "addr_future",
            Severity.RECORD,
            "A peer gossips addresses with timestamps in the near future.",
            "percent of entries",
            "Compare its clock (`timeoffset` in `getpeerinfo`); timestamps up to 10 minutes ahead keep addresses fresh longest.",
            normal="Timestamps are in the past, but for clock error; Core replaces those over 10 minutes ahead.",
        ),
        Kind(
            "addr_regular",
            Severity.RECORD,
            "A peer sends address messages of one size, or at fixed intervals.",
            "percent of messages",
            "Look at its version: other implementations may have a fixed timer.",
            normal="Core sends what has gathered at random times, 30 s apart on average, in messages of mixed sizes.",
        ),
    )
    options: ClassVar[Mapping[str, Option]] = {
        "excess_notice": Option(20, "addresses", "Excess from which on a peer is reported.", "3 minutes at Core's full rate."),
        "excess_relay": Option(
            500, "addresses", "Excess up to which a peer may be an honest relay.", "1 h 20 at Core's full rate; heuristic."
        ),
        "special_share": Option(
            0.001, "share", "Special addresses in honest gossip.", "Heuristic; few nodes announce private ones."
        ),
        "special_p": Option(1e-6, "probability", "Tail below which they are too many.", "One false alarm in 10^6 samples."),
        "future_share": Option(0.2, "share", "Future timestamps above which they are too many.", "8 of 9 in 2021; heuristic."),
        "future_entries": Option(20, "entries", "Sample needed for judging timestamps.", "Two messages of 2021."),
        "regular_messages": Option(20, "messages", "Sample needed for judging sizes and intervals.", "500 in 2021; heuristic."),
        "regular_share": Option(
            0.9, "share", "Messages of one size from which on they are regular.", "Nearly all had ten in 2021."
        ),
        "regular_spacing": Option(
            0.3, "ratio", "Coefficient of variation of regular intervals.", "1 for Core's timer; heuristic."
        ),
        "judge_s": Option(60, "s", "Time until a mere excess is reported as that.", "A flood shows what it is within 15 s."),
        "peers": Option(4096, "peers", "Connections watched at a time.", "Core's default is 125; 1.5 kB each."),
    }

    def __init__(self, options: Mapping[str, float] | None = None) -> None:
        """Watch nobody yet."""
        super().__init__(options)
        s = self.settings
        self._limiter = Limiter(int(s["peers"]))
        self._peers = peers = self._limiter.peers
        limits = Limits(
            special_share=s["special_share"],
            special_p=s["special_p"],
            future_share=s["future_share"],
            future_entries=int(s["future_entries"]),
            regular_messages=int(s["regular_messages"]),
            regular_share=s["regular_share"],
            regular_spacing=s["regular_spacing"],
        )
        self._gossip = Gossip(peers, limits)
        self._source = ""
        self._rests = False
        """Whether nobody is suspected, and nothing was offered that was not looked at: until rows come, ticks find nothing."""
        peers.column("excess", np.float64)
        for name in _INTEGERS:
            peers.column(name, np.int64, initial=_NO_MESSAGE, merge=Merge.MAX)
        peers.column("unchecked", np.bool_, merge=Merge.MAX)
        peers.column("verdict", np.int8, merge=Merge.MAX)
        peers.column("reported", np.int8, merge=Merge.MAX)

    def update(self, rows: Mapping[str, Rows]) -> Iterable[Finding]:
        """Gather what peers offer; nothing is judged before the second is whole."""
        if (versions := rows.get("version")) is not None:
            self._gossip.clocks(versions)
        offer = self._limiter.update(rows)
        if offer is not None:
            self._evidence(offer, rows["address"])
            self._gossip.update(offer, rows)
        return ()

    def tick(self, second: int) -> Iterable[Finding]:
        """Judge the peers that sent addresses in this second, and those whose time to be judged has come."""
        if self._rests and not self._limiter.touched:
            return ()
        peers = self._peers
        spent = self._limiter.settle(second)
        slots = spent.slots
        findings: list[Finding] = []
        if len(slots):
            self._without_evidence(slots[peers["messages"][slots] == 0], second)
            self._gossip.settle(slots, second)
            peers["unchecked"][slots] = True
            beyond = spent.refused > 0
            findings += self._exceeding(slots[beyond], spent.refused[beyond], second)
        findings += self._judge(second)
        if second % CHECK_S == CHECK_S - 1:
            findings += self._check()
        self._limiter.end(second)
        slots = peers.slots()
        self._rests = not (peers["unchecked"][slots] | (peers["verdict"][slots] == _SUSPECT)).any()
        return findings[:FINDINGS]

    def snapshot(self) -> dict[str, Any]:
        """All state, as JSON-able values."""
        return {"limiter": self._limiter.state(), "source": self._source}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self._limiter.restore(state["limiter"])
        self._source = str(state["source"])

    def _evidence(self, offer: Offer, addresses: Rows) -> None:
        """Remember where each peer's messages of this second begin, and the newest of them."""
        peers = self._peers
        new = np.flatnonzero(peers["messages"][offer.slot] == 0)[::-1]
        peers["now_first_ts"][offer.slot[new]] = offer.ts[new]
        peers["now_first_seq"][offer.slot[new]] = offer.seq[new]
        peers["last_ts"][offer.slot] = offer.ts
        peers["last_seq"][offer.slot] = offer.seq
        codes, names = addresses.codes("source")
        self._source = names[codes[int(offer.row[0])]]

    def _without_evidence(self, slots: Array, second: int) -> None:
        """Peers of whose messages in this second nothing was kept: the second is all that is known."""
        peers = self._peers
        peers["now_first_ts"][slots] = second * SECOND
        peers["now_first_seq"][slots] = _NO_MESSAGE
        peers["last_ts"][slots] = np.maximum(peers["last_ts"][slots], second * SECOND)

    def _exceeding(self, slots: Array, refused: Array, second: int) -> list[Finding]:
        """Peers that offered addresses beyond the limiter in this second: those that flood, and those that must be watched."""
        if not len(slots):
            return []
        peers = self._peers
        self._charge(slots, refused, second)
        slots = slots[peers["excess"][slots] >= self.settings["excess_notice"]]
        signs = self._gossip.signs(slots)
        flooding = signs.regular | (signs.hurried & signs.content) | (peers["verdict"][slots] == _FLOOD)
        others = slots[~flooding]
        fresh = others[peers["verdict"][others] == _NONE]
        findings = self._floods(slots[flooding]) + self._excesses(others[peers["verdict"][others] == _EXCESS])
        peers["verdict"][fresh] = _SUSPECT
        peers["suspect_at"][fresh] = second
        return findings

    def _check(self) -> list[Finding]:
        """Look at the samples of all peers that sent something since the last time, and trim them."""
        slots = self._peers.slots()
        slots = slots[self._peers["unchecked"][slots]]
        if not len(slots):
            return []
        self._peers["unchecked"][slots] = False
        findings = self._records(slots, self._gossip.signs(slots))
        self._gossip.trim(slots)
        return findings

    def _charge(self, slots: Array, refused: Array, second: int) -> None:
        """Add what was refused to the excess, of which as much is forgiven as the limiter would have admitted since."""
        peers = self._peers
        forgiven = core.MAX_ADDR_RATE_PER_SECOND * (second - peers["excess_at"][slots])
        excess = np.maximum(peers["excess"][slots] - forgiven, 0)
        begins = slots[excess == 0]
        peers["first_ts"][begins] = peers["now_first_ts"][begins]
        peers["first_seq"][begins] = peers["now_first_seq"][begins]
        peers["excess"][slots] = excess + refused
        peers["excess_at"][slots] = second

    def _judge(self, second: int) -> list[Finding]:
        """Suspects that had their time, or that go, are reported as what they are."""
        peers = self._peers
        slots = peers.slots()
        slots = slots[peers["verdict"][slots] == _SUSPECT]
        if not len(slots):
            return []
        due = slots[(second - peers["suspect_at"][slots] >= self.settings["judge_s"]) | peers["ending"][slots]]
        peers["verdict"][due] = _EXCESS
        return self._excesses(due)

    def _floods(self, slots: Array) -> list[Finding]:
        """Findings about flooders, each with the query for all of its session that flood now."""
        peers = self._peers
        peers["verdict"][slots] = _FLOOD
        if not len(slots):
            return []
        slots = slots[np.argsort(-peers["excess"][slots], kind="stable")][:FINDINGS]
        sessions = peers["session"][slots]
        queries = {session: self._query(slots[sessions == session]) for session in np.unique(sessions).tolist()}
        return [self._excess("addr_flood", s, queries[n]) for s, n in zip(slots.tolist(), sessions.tolist(), strict=True)]

    def _query(self, slots: Array) -> str:
        """Rows of peers of one session, from the first message of any excess to the newest one."""
        peers = self._peers
        first, last, session = peers["first_ts"][slots].min(), peers["last_ts"][slots].max(), peers["session"][slots[0]]
        return rows_of_peers("address", self.node, sorted(peers["key"][slots].tolist()), (first, last), session)

    def _excesses(self, slots: Array) -> list[Finding]:
        """Findings about peers that offer too much, without the signs of a flood."""
        if not len(slots):
            return []
        relaying = self._gossip.signs(slots).content & (self._peers["excess"][slots] < self.settings["excess_relay"])
        return [
            self._excess("addr_relayed" if relays else "addr_excess", slot, self._query(np.array([slot])))
            for slot, relays in zip(slots.tolist(), relaying.tolist(), strict=True)
        ]

    def _excess(self, kind: str, slot: int, query: str) -> Finding:
        peers = self._peers
        peer, session, first, last = (int(peers[name][slot]) for name in ("key", "session", "first_ts", "last_ts"))
        excess = float(peers["excess"][slot])
        keys = sorted({int(peers["first_seq"][slot]), int(peers["last_seq"][slot])} - {_NO_MESSAGE})
        return Finding(
            kind=kind,
            subject_kind=SubjectKind.PEER,
            subject=str(peer),
            first_ts=first,
            last_ts=last,
            score=excess / self.settings["excess_notice"],
            measured=round(excess, 1),
            expected=(0.0, self.settings["excess_notice"]),
            identifier=f"{kind}:{self.node}",
            peers=(peer,),
            session=session,
            evidence=tuple(RowKey("message", session, self._source, seq) for seq in keys),
            query=query,
            facts=self._gossip.shares(slot),
        )

    def _records(self, slots: Array, signs: Signs) -> list[Finding]:
        """Single signs, once a connection each."""
        found = []
        options = self.settings
        regular = 100 * options["regular_share"]
        for bit, (kind, shown, share, most) in enumerate((
            ("addr_special", signs.special | signs.uniform, "special_addresses_percent", 100 * options["special_share"]),
            ("addr_future", signs.future, "future_times_percent", 100 * options["future_share"]),
            ("addr_regular", signs.regular, "messages_of_one_size_percent", regular),
        )):  # fmt: skip
            reported = self._peers["reported"]
            fresh = slots[shown & (reported[slots] & (1 << bit) == 0)]
            reported[fresh] |= 1 << bit
            found += [self._record(kind, slot, share, most) for slot in fresh.tolist()]
        return found

    def _record(self, kind: str, slot: int, share: str, most: float) -> Finding:
        names = ("key", "session", "now_first_ts", "last_ts", "last_seq")
        peer, session, first, ts, seq = (int(self._peers[name][slot]) for name in names)
        shares = self._gossip.shares(slot)
        return Finding(
            kind=kind,
            subject_kind=SubjectKind.PEER,
            subject=str(peer),
            first_ts=first,
            last_ts=ts,
            score=max(shares[share] / most, 1.0),
            measured=shares[share],
            expected=(0.0, most),
            identifier=f"{kind}:{self.node}:{peer}",
            peers=(peer,),
            session=session,
            evidence=(RowKey("message", session, self._source, seq),),
            query=rows_of_peers("address", self.node, (peer,), (first, ts), session),
            facts=shares,
        )
