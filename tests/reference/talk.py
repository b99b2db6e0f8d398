"""Talk between a node and a few peers, right and wrong, at random: what both judges of connections are tried on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from peerwatch.peers.connections import Connections
from tests.builders import START, Stream, cut

S = 1_000_000_000
TX, BLOCK = (1, 5, 1 | 1 << 30), (2, 3, 4, 2 | 1 << 30)
PLAIN = (
    "verack", "wtxidrelay", "sendaddrv2", "sendtxrcncl", "sendheaders", "getaddr", "addr", "addrv2", "mempool", "filterload",
    "filteradd", "filterclear", "getheaders", "headers", "block", "merkleblock", "getcfilters", "cfilter", "cfheaders",
    "nonsense",
)  # fmt: skip
Rows = dict[str, list[dict[str, Any]]]


def talk(seed: int, events: int = 300, peers: int = 4, *, upset: bool = False) -> Stream:
    """Events of a few connections that say anything; time passes in steps from nothing to many minutes.

    `upset`: the clock is set back, the node restarts, and events are lost now and then.
    """
    rng, stream, now = np.random.default_rng(seed), Stream(), START * S + 5
    steps = np.array([0, 1000, 40_000_000, 700_000_000, 3 * S, 61 * S, 130 * S, 650 * S, 1300 * S])
    fresh = peers
    ids = list(range(peers))
    for peer in ids:
        begin(rng, stream, now, peer)
    for _ in range(events):
        now += int(rng.choice(steps, p=[0.1, 0.25, 0.35, 0.15, 0.08, 0.03, 0.02, 0.01, 0.01]))
        ts = now // S * S if rng.random() < 0.03 else now
        peer = int(rng.choice(ids))
        if rng.random() < 0.02:
            stream.opened(ts, peer, event=str(rng.choice(["closed", "evicted"])), conn_type=None, inbound=None)
            ids[ids.index(peer)] = fresh
            begin(rng, stream, now, fresh)
            fresh += 1
        elif upset and rng.random() < 0.02:
            what = int(rng.integers(0, 4))
            if what == 0:
                now -= int(rng.integers(1, 300)) * S
                stream.loss(now, "clock")
            elif what == 1:
                stream.node(ts, str(rng.choice(["exited", "started"])))
            else:
                stream.loss(ts, str(rng.choice(["dropped", "truncated"])))
        else:
            say(rng, stream, ts, peer)
    return stream


def begin(rng: np.random.Generator, stream: Stream, ts: int, peer: int) -> None:
    """A connection opens: seen or not, before or after the node's `version`, with all of a handshake or a part of it."""
    conn_type = str(rng.choice(["inbound", "outbound-full-relay", "block-relay-only"], p=[0.5, 0.3, 0.2]))
    ours = conn_type != "inbound"
    hidden = rng.random() < 0.15
    late = ours and rng.random() < 0.5
    if not hidden and not late:
        stream.opened(ts, peer, conn_type=conn_type)
    version(rng, stream, ts + 1, peer, inbound=not ours)
    if not hidden and late:
        stream.opened(ts + 1, peer, conn_type=conn_type)
    if rng.random() < 0.9:
        version(rng, stream, ts + 2, peer, inbound=ours)
        for side in (True, False):
            for kind in ("wtxidrelay", "sendaddrv2", "verack"):
                if rng.random() < 0.9:
                    stream.message(ts + 3, peer, kind, inbound=side, size=0)


def version(rng: np.random.Generator, stream: Stream, ts: int, peer: int, *, inbound: bool) -> None:
    """A `version`, sometimes an odd one."""
    row = {
        "peer": peer, "inbound": inbound, "protocol": int(rng.choice([70016, 31000], p=[0.95, 0.05])),
        "services": int(rng.choice([1, 1 | 4, 1 | 64, 1 | 4 | 64])), "time": ts // S + int(rng.choice([0, 9000], p=[0.9, 0.1])),
        "user_agent": str(rng.choice(["/Satoshi:30.0.0/", ""], p=[0.9, 0.1])),
    }  # fmt: skip
    stream.message(ts, peer, "version", inbound=inbound, size=110, version=[row])


def say(rng: np.random.Generator, stream: Stream, ts: int, peer: int) -> None:
    """One message of any type, from either side, about few things, so that much of it belongs together."""
    side = bool(rng.random() < 0.5)
    who = {"peer": peer, "inbound": side}
    what = rng.random()
    if what < 0.4:
        kind = str(rng.choice(["inv", "getdata", "notfound"], p=[0.4, 0.4, 0.2]))
        kinds = rng.choice([*TX, *BLOCK, 99], int(rng.integers(0, 4)), p=[0.2, 0.35, 0.2, 0.08, 0.04, 0.06, 0.06, 0.01])
        rows = [
            who | {"idx": i, "message": kind, "kind": int(k), "item": int(rng.integers(1, 30))}
            for i, k in enumerate(kinds.tolist())
        ]
        stream.message(ts, peer, kind, inbound=side, size=37, **({"inventory": rows} if rows else {}))
    elif what < 0.5:
        ids = {"txid_item": int(rng.integers(1, 30)), "wtxid_item": int(rng.integers(1, 30))}
        plain = {"txid": bytes(32), "wtxid": bytes(32), "version": 2, "inputs": 1, "outputs": 1, "weight": 400, "witness": 0}
        stream.message(ts, peer, "tx", inbound=side, transaction=[who | plain | ids | {"lock_time": 0}])
    elif what < 0.65:
        pong, nonce = bool(rng.random() < 0.5), int(rng.integers(0, 4)) or None
        row = who | {"pong": pong, "nonce": (nonce or 1) if pong else nonce}
        stream.message(ts, peer, "pong" if pong else "ping", inbound=side, ping=[row])
    elif what < 0.72:
        kind = str(rng.choice(["cmpctblock", "getblocktxn", "blocktxn"]))
        row = who | {"message": kind, "hash": bytes([int(rng.integers(0, 3))] * 32)}
        stream.message(ts, peer, kind, inbound=side, block_relay=[row])
    elif what < 0.77:
        row = who | {"message": "sendcmpct", "high_bandwidth": False, "version": int(rng.integers(0, 4)), "fee_rate": None}
        if rng.random() < 0.5:
            row = who | {"message": "feefilter", "fee_rate": int(rng.choice([1000, -1, 1 << 60])), "version": None}
        stream.message(ts, peer, str(row["message"]), inbound=side, negotiation=[row])
    elif what < 0.79:
        version(rng, stream, ts, peer, inbound=side)
    else:
        error = "trailing" if rng.random() < 0.05 else None
        stream.message(ts, peer, str(rng.choice(PLAIN)), inbound=side, size=5, error=error)


def told(stream: Stream, size: int, *, restored: bool = False) -> Rows:
    """Rows that come of a stream, fed in batches of so many events; `restored`: by another instance after every one of them."""
    connections, rows = Connections("alice"), {}
    for batch in cut(stream.batch(), size):
        tables, event_of = connections.feed(batch.identity, batch.tables, batch.event_of, batch.events, None)
        assert tables.keys() == event_of.keys()
        for name, table in tables.items():
            table.validate(full=True)
            assert (np.diff(event_of[name]) >= 0).all()
            assert event_of[name].min() >= 0
            assert event_of[name].max() < len(batch.events)
            rows.setdefault(name, []).extend(table.to_pylist())
        if restored:
            state = json.dumps(connections.snapshot())
            connections = Connections("alice")
            connections.restore(json.loads(state))
    for _, tables in connections.finish():
        for name, table in tables.items():
            rows.setdefault(name, []).extend(table.to_pylist())
    return {
        name: [{c: v for c, v in r.items() if c not in ("node", "session", "source")} for r in rs] for name, rs in rows.items()
    }


def in_order(rows: Rows) -> Rows:
    """The same rows, those of each table in one order."""
    return {name: sorted(rs, key=lambda r: [str(v) for v in r.values()]) for name, rs in sorted(rows.items())}
