"""Announcements in inv, up to their limit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.clocks import Clocks
from peerwatch.sources.simulation.events import Events
from peerwatch.sources.simulation.model import FAR, MINUTE, Model
from peerwatch.sources.simulation.peers import PEER, Span
from peerwatch.sources.simulation.transactions import Mint
from peerwatch.sources.simulation.trickle import Trickle, tell_key, told_key
from tests.unit.sources.simulation.seen import START, Message, apart, inventory, rng, simulated

SPAN = Span(START, START + MINUTE)


def table() -> Array:
    """An outbound peer that takes wtxids and an inbound one that does not."""
    peers = np.zeros(2, PEER)
    peers["id"], peers["inbound"], peers["wtxid"], peers["network"] = [3, 9], [False, True], [True, False], 1
    peers["rtt"], peers["closes"] = SECOND // 10, FAR
    return peers


def run(model: Model, count: int, windows: int, *, told: bool) -> tuple[list[list[Message]], Array, list[int]]:
    """Announce `count` transactions at the first tick of each clock; messages by window, witness ids, ticks of the first peer."""
    peers, clocks, mint = table(), Clocks(rng(0)), Mint(rng(1))
    trickle = Trickle(rng(2), model, clocks, mint.make(0))
    keys = np.unique(np.concatenate([told_key(peers), tell_key(peers)]))
    out, fresh, ticks = [], mint.make(count), []
    for n in range(windows):
        span = Span(START + n * MINUTE, START + (n + 1) * MINUTE)
        clocks.turn(span, keys, np.full(len(keys), 5.0))
        batch = fresh if n == 0 else mint.make(0)
        at = clocks.next((told_key if told else tell_key)(peers)[None, :], np.full((len(batch), 2), START))
        never = np.full((len(batch), 2), FAR)
        trickle.add(batch, at if told else never, never if told else at, peers, np.zeros(len(batch), np.int64))
        out.append(apart([Events.joined(trickle.run(span, peers))]).messages)
        ticks += [m.ts for m in out[-1] if m.kind == "inv" and m.peer == 3]
    return out, fresh.wtxid, ticks


def test_more_than_fits_waits_for_the_next_ticks() -> None:
    """35 at most go into each inv, in windows one after the other, none twice; at the end all but the forgotten are told."""
    windows, ids, ticks = run(replace(Model(), wanted=0.0), 300, 2, told=True)
    invs = [inventory(m.body) for w in windows for m in w if m.peer == 3]

    assert [len(i) for i in invs] == [35] * 8 + [20]
    assert sorted(item for i in invs for _, item in i) == sorted(row.tobytes() for row in ids)
    assert ticks == sorted(set(ticks))


def test_a_long_queue_raises_the_limit() -> None:
    """Five more for each thousand that wait."""
    windows, _, _ = run(replace(Model(), wanted=0.0), 2500, 1, told=True)
    sizes = [len(inventory(m.body)) for m in windows[0] if m.peer == 3]

    assert sizes[:3] == [45, 45, 45]
    assert len(sizes) > 5


def test_each_peer_is_told_in_its_own_terms() -> None:
    """A peer that takes wtxids gets these as MSG_WTX, another transaction ids as MSG_TX."""
    windows, ids, _ = run(replace(Model(), wanted=0.0), 20, 2, told=False)
    entries = {m.peer: inventory(m.body) for w in windows for m in w}

    assert {kind for kind, _ in entries[3]} == {5}
    assert {kind for kind, _ in entries[9]} == {1}
    assert {item for _, item in entries[3]} == {row.tobytes() for row in ids}
    assert not {item for _, item in entries[9]} & {item for _, item in entries[3]}


def test_peers_request_what_we_told_them_and_get_it() -> None:
    """Each getdata names entries of our last inv to that peer, a round trip later, and every entry is served or `notfound`."""
    windows, _, _ = run(replace(Model(), wanted=0.5), 30, 2, told=False)
    out = sorted((m for w in windows for m in w), key=lambda m: m.ts)
    told = {(m.peer, item): m.ts for m in out if m.kind == "inv" for _, item in inventory(m.body)}
    asked = [(m, item) for m in out if m.kind == "getdata" for _, item in inventory(m.body)]
    missing = sum(len(inventory(m.body)) for m in out if m.kind == "notfound")

    assert 10 < len(asked) < 50
    assert all(told[m.peer, item] + SECOND // 10 < m.ts for m, item in asked)
    assert sum(m.kind == "tx" for m in out) + missing == len(asked)
    assert all(m.inbound == (m.kind == "getdata") for m in out)


def test_limits_hold_in_a_simulation() -> None:
    """No inv of transactions has more than 35 entries while fewer than a thousand wait; most have fewer."""
    sizes = Counter(len(inventory(m.body)) for m in simulated(seconds=1200).of("inv"))

    assert max(sizes) <= 35
    assert sizes[35] < 0.1 * sum(sizes.values())
