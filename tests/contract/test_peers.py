"""What connections are said to do does not depend on batches, and nobody is accused wrongly: simulated and real traffic."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from peerwatch.peers.connections import Connections
from peerwatch.peers.weirds import KINDS
from peerwatch.schema.batch import SECOND
from peerwatch.schema.registry import all_tables
from peerwatch.sources._api import Chunk
from peerwatch.sources.capture import CaptureSource
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.wire.dissect import dissect
from tests.chunks import chunks_of, cut

START = 1_760_054_400 * SECOND
CAPTURES = sorted(p.parent for p in (Path(__file__).parents[1] / "data/captures").glob("*/expected.json"))
PLAN = Plan("quiet", 3, START, 130 * SECOND, 0.5)

Rows = dict[str, list[dict[str, Any]]]

WEIRD = {
    "addr_relay-node0": {
        "in over_limit addr",
        # Said when it connects, and by the scenario once more.
        "in getaddr_repeated getaddr",
    },
    "addrv2_relay-node0": {"in over_limit addrv2", "in negotiation_late sendaddrv2"},
    "blockfilters-node0": {"in filter_type getcfcheckpt"},
    "compactblocks-node0": {
        "in sendcmpct_version sendcmpct", "in tx_unrequested tx", "in getblocktxn_unannounced getblocktxn",
        "in blocktxn_unrequested blocktxn", "in index_overflow cmpctblock",
    },
    "filter-node0": {
        "in filter_missing filteradd", "in over_limit filterload", "in over_limit filteradd", "in requested_unannounced getdata",
    },
    "getaddr_caching-node0": {"in clock_offset version"},
    "handshake-node0": {"in self_connection version"},
    "invalid_tx-node0": {"in tx_unrequested tx"},
    "ping-node0": {"in truncated pong"},
}  # fmt: skip
"""Everything weird in the captures: what their scenarios did on purpose, but for what is said otherwise."""


def told(chunks: Iterable[Chunk], *, restored: bool = False) -> Rows:
    """All rows, in order; `restored`: each chunk is taken by another instance, from a snapshot."""
    connections, rows = Connections("alice"), {}
    for chunk in chunks:
        tables, of = dict(chunk.rows), dict(chunk.row_events)
        if len(chunk.messages):
            made = dissect(chunk.identity, chunk.messages, bytes(range(40)))
            tables |= made.tables
            of |= {name: chunk.message_events[message] for name, message in made.message_of.items()}
        for name, table in connections.feed(chunk.identity, tables, of, chunk.events, chunk.messages)[0].items():
            table.validate(full=True)
            assert table.schema.equals(all_tables()[name].arrow)
            rows.setdefault(name, []).extend(table.to_pylist())
        if restored:
            state = json.dumps(connections.snapshot())
            assert len(state) < 1_000_000
            connections = Connections("alice")
            connections.restore(json.loads(state))
    for _, tables in connections.finish():
        for name, table in tables.items():
            rows.setdefault(name, []).extend(table.to_pylist())
    return rows


@cache
def simulated() -> list[Chunk]:
    return chunks_of(SimulationSource.simulated(PLAN, "alice"))


@cache
def captured(capture: Path) -> list[Chunk]:
    return chunks_of(CaptureSource(capture, "alice"))


@cache
def whole_of(capture: Path | None) -> Rows:
    return told(cut(simulated() if capture is None else captured(capture), 10**9))


def test_a_simulation_in_any_batches() -> None:
    """Rows are the same, one by one."""
    for size in (7, 1000):
        assert told(cut(simulated(), size)) == whole_of(None)
    assert told(cut(simulated(), 500), restored=True) == whole_of(None)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: p.name)
def test_a_capture_in_any_batches(capture: Path) -> None:
    """Real traffic, with clocks that stand still and jump."""
    for size in (13, 1000):
        assert told(cut(captured(capture), size)) == whole_of(capture)
    assert told(cut(captured(capture), 300), restored=True) == whole_of(capture)


def test_quiet_traffic_is_not_weird() -> None:
    """Whoever does what Core does is accused of nothing; and requests are answered."""
    rows = whole_of(None)
    assert not rows.get("weird")
    assert sum(r["unasked"] for r in rows["relay"]) == 0
    outcomes = Counter(r["outcome"] for r in rows["exchange"])
    assert outcomes["answered"] > 20 * sum(outcomes[name] for name in ("unanswered", "superseded", "closed"))
    assert all(r["complete"] for r in rows["handshake"] if r["ours"].count("verack") and r["theirs"].count("verack"))
    assert sum(r["delivered"] for r in rows["relay"]) > 100


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda p: p.name)
def test_what_is_weird_in_captures(capture: Path) -> None:
    """What scenarios did wrong on purpose is found, and nothing else; every kind is a documented one."""
    rows = whole_of(capture).get("weird", [])
    found = {f"{'in' if r['inbound'] else 'out'} {r['kind']} {r['type']}" for r in rows}
    assert found == WEIRD.get(capture.name, set())
    assert {r["kind"] for r in rows} <= KINDS.keys()


def test_every_connection_of_a_capture_has_a_handshake() -> None:
    """Those that a real node had with its peers are complete, and say what was negotiated."""
    rows = whole_of(next(p for p in CAPTURES if p.name == "getaddr_caching-node0"))["handshake"]
    assert len(rows) == 18
    for row in rows:
        assert row["complete"]
        assert row["theirs"].startswith("version,")
        assert {"version", "verack"} <= set(row["ours"].split(","))
