"""The mempool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.events import Events
from peerwatch.sources.simulation.mempool import REJECTIONS, Mempool
from peerwatch.sources.simulation.model import Model
from peerwatch.sources.simulation.transactions import Mint
from tests.unit.sources.simulation.seen import START, apart, column, rng, simulated


def fresh(model: Model) -> tuple[Mempool, Mint]:
    mint = Mint(rng(1))
    return Mempool(rng(2), model, mint, START), mint


def test_what_goes_in_comes_out_once() -> None:
    """In a simulation every removal is of something that was there, and nothing is removed twice or added twice."""
    inside: set[bytes] = set()
    gone: set[bytes] = set()
    for o in simulated(seconds=1200).probe("added", "removed"):
        txid = o.args["txid"]
        if o.probe == "added":
            assert txid not in inside | gone
            inside.add(txid)
        else:
            assert txid not in gone
            assert txid in inside or o.args["entered"] * SECOND < START
            gone.add(txid)
    assert len(gone) > 1000


def test_replacements_pay_more_and_are_told_in_cores_order() -> None:
    """`replaced`, then `removed` of the same transaction, then `added` of the one that replaced it, which pays more."""
    others = simulated(seconds=1200).probe("added", "removed", "replaced")
    place = {(o.probe, o.args["txid"]): n for n, o in enumerate(others)}
    replaced = [o for o in others if o.probe == "replaced"]

    assert len(replaced) > 60
    for o in replaced:
        old, new = o.args["txid"], o.args["replacement"]
        assert place["replaced", old] < place["removed", old] < place["added", new]
        assert o.args["replacement_fee"] > o.args["fee"]
        assert others[place["added", new]].args["fee"] == o.args["replacement_fee"]
        assert others[place["removed", old]].args["reason"] == b"replaced"


def test_a_block_takes_what_pays_best_and_fits() -> None:
    """It is full when there is enough, better paid than what is left, and has nothing that came after it."""
    mempool, mint = fresh(replace(Model(), mempool=9000, replacing=0.0))
    late = mint.make(500)
    mempool.accept(np.full(500, START + 100 * SECOND), late)
    before = len(mempool)
    mined, events = mempool.take_block(START + 50 * SECOND)
    removed = apart(events).others

    assert 0.95e6 < mined["vsize"].sum() < 1e6
    assert len(mempool) == before - len(mined)
    assert {o.args["txid"] for o in removed} == {bytes(t) for t in mined["txid"]}
    assert {o.args["reason"] for o in removed} == {b"block"}
    assert not {o.args["txid"] for o in removed} & {t.tobytes() for t in late.txid}
    left = mempool._entries[: 9000 - len(mined)]
    assert np.median(mined["fee"] / mined["vsize"]) > np.median(left["fee"] / left["vsize"])


def test_a_full_mempool_lets_the_cheapest_go() -> None:
    """Beyond its size, for the reason that Core names."""
    mempool, mint = fresh(replace(Model(), mempool=1000, mempool_max=1050, replacing=0.0))
    events = mempool.accept(START + np.arange(200) * SECOND, mint.make(200))
    removed = apart([Events.joined(events)]).probe("removed")

    assert len(mempool) == 1050
    assert {o.args["reason"] for o in removed} == {b"sizelimit"}
    assert max(o.args["fee"] / o.args["vsize"] for o in removed) < 2


def test_refusals_have_cores_reasons() -> None:
    """A refused transaction is never inside; coins were looked up for some."""
    mempool, mint = fresh(Model())
    before = len(mempool)
    seen = apart(mempool.reject(column(list(range(400))), mint.make(400)))

    assert len(mempool) == before
    assert {o.args["reason"] for o in seen.probe("rejected")} == set(REJECTIONS)
    assert len(seen.probe("rejected")) == 400
    assert len(seen.probe("uncache")) > 0
