"""Values that no message of its type should have, whatever was said before: rules about single rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.peers.stretch import Stretch
from peerwatch.peers.weirds import Weirds
from peerwatch.schema.batch import SECOND, Array, Rows

MAX_MONEY = 21_000_000 * 100_000_000
"""All money there can be, sat (Core, consensus/amount.h)."""

SENDCMPCT_VERSIONS = (1, 2)
"""Versions of compact blocks (BIP 152): without and with witnesses."""

MIN_PEER_PROTO_VERSION = 31_800
"""Oldest protocol version that is not disconnected (Core, node/protocol_version.h)."""

CLOCK_OFFSET_S = 70 * 60
"""Offset of a clock from which it was not believed (Core before v27, timedata.h: DEFAULT_MAX_TIME_ADJUSTMENT)."""


_EMPTY, _FALSE = pa.scalar(""), pa.scalar(False)
"""Made once: pyarrow looks for pandas whenever it makes a scalar."""


def _headers(rows: Rows) -> dict[str, Array]:
    return {"headers_not_continuous": rows["breaks"] > 0}


def _negotiation(rows: Rows) -> dict[str, Array]:
    version, fee = rows["version"], rows["fee_rate"]
    found = {"feefilter_range": (fee < 0) | (fee > MAX_MONEY)}
    for kind, message, values in (
        ("sendcmpct_version", "sendcmpct", (version != SENDCMPCT_VERSIONS[0]) & (version != SENDCMPCT_VERSIONS[1])),
        ("sendtxrcncl_version", "sendtxrcncl", version == 0),
    ):
        wrong = values & rows.where("message", message)
        found[kind] = wrong & rows.valid("version") if wrong.any() else wrong
    return found


def _block_filter(rows: Rows) -> dict[str, Array]:
    return {"filter_type": rows["filter_type"] != 0}


def _version(rows: Rows) -> dict[str, Array]:
    offset = np.abs(np.clip(rows["time"], 0, 1 << 40) - rows["ts"] // SECOND)
    agents = rows.batch.column("user_agent")
    strange = pc.replace_substring(agents, r"\x5c", " ")  # a backslash is escaped as well, though it can be shown
    empty = _mask(pc.equal(agents, _EMPTY))
    return {
        "protocol_obsolete": rows["protocol"] < MIN_PEER_PROTO_VERSION,
        "clock_offset": offset > CLOCK_OFFSET_S,
        "user_agent_empty": empty,
        "user_agent_unprintable": _mask(pc.match_substring(strange, r"\x")),
    }


def _mask(answers: pa.Array) -> Array:
    """Where it is so; null is no."""
    return np.asarray((answers.fill_null(_FALSE) if answers.null_count else answers).to_numpy(zero_copy_only=False))


CHECKS = {
    "headers": (("breaks",), _headers),
    "negotiation": (("message", "version", "fee_rate"), _negotiation),
    "block_filter": (("filter_type",), _block_filter),
    "version": (("ts", "protocol", "time", "user_agent"), _version),
}
"""For each table, the columns needed and what is wrong with its rows, by kind."""


def check(stretch: Stretch, weirds: Weirds) -> None:
    """Find the messages of a stretch with such values."""
    for table, (columns, wrong) in CHECKS.items():
        rows = stretch.rows(table, *columns)
        if rows is None:
            continue
        for kind, mask in wrong(rows).items():
            if mask.any():
                events = np.unique(stretch.arrivals.of[table][stretch.span(table)][mask])
                weirds.add(kind, stretch.arrivals.row_of(events))


class OwnNonces:
    """The nonces of the node's last `version` messages, by which it would notice that it connected to itself.

    As Core does, only those of connections that it opened count (CConnman::CheckIncomingNonce).
    """

    KEPT = 128

    def __init__(self) -> None:
        """Start without any."""
        self._sent: dict[int, None] = {}

    def check(self, stretch: Stretch, opened: Callable[[Array], Array], weirds: Weirds) -> None:
        """Take `version` messages in their order; `opened(peers)` tells for each peer whether the node opened the connection."""
        rows = stretch.rows("version", "peer", "inbound", "nonce")
        if rows is None:
            return
        nonces, theirs = rows["nonce"], rows["inbound"]
        own = ~theirs & opened(rows["peer"]) & (nonces != 0)
        if not self._sent and not own.any():
            return
        suspect = theirs & ~opened(rows["peer"]) & np.isin(nonces, np.array([*self._sent, *nonces[own].tolist()], np.uint64))
        wrong = []
        for i in np.flatnonzero(own | suspect).tolist():
            nonce = int(nonces[i])
            if not own[i]:
                wrong += [i] if nonce in self._sent else []
                continue
            self._sent.pop(nonce, None)
            self._sent[nonce] = None
            if len(self._sent) > self.KEPT:
                del self._sent[next(iter(self._sent))]
        events = stretch.arrivals.of["version"][stretch.span("version")][wrong]
        weirds.add("self_connection", stretch.arrivals.row_of(events))

    def state(self) -> list[int]:
        """Everything, as JSON-able values."""
        return list(self._sent)

    def restore(self, state: list[int]) -> None:
        """Go on from `state()`."""
        self._sent = dict.fromkeys(int(nonce) for nonce in state)
