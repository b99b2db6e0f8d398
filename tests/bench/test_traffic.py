"""Made traffic is what it says: valid but for what it names as changed, in its shares, and the same for the same seed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2]))  # benchmarks are not installed

from bench.payloads import Payloads, merkle_root
from bench.traffic import KINDS, SHARES, WAYS, Batch, Traffic, changed_payload
from peerwatch.sources.simulation.chain import sha256d

COUNT = 20_000


@pytest.fixture(scope="module")
def batch() -> Batch:
    """One batch, of which a tenth is changed."""
    return Traffic(seed=3, pool=20).batch(COUNT, 0.1)


def payload(batch: Batch, i: int) -> bytes:
    m = batch.messages
    return m.buf[m.start[i] : m.start[i] + m.kept[i]].tobytes()


def test_the_same_seed_gives_the_same(batch: Batch) -> None:
    """Every byte of it."""
    again = Traffic(seed=3, pool=20).batch(COUNT, 0.1)
    assert (again.messages.buf == batch.messages.buf).all()
    assert (again.drawn == batch.drawn).all()
    assert (again.changed == batch.changed).all()


def test_what_is_not_named_as_changed_is_as_in_the_pool(batch: Batch) -> None:
    """The others are the pool's payloads, kept whole; and hardly a changed one is."""
    traffic = Traffic(seed=3, pool=20)
    pool = [traffic.pool.buf[at : at + n].tobytes() for at, n in zip(traffic.pool.start, traffic.pool.size, strict=True)]
    m, changed = batch.messages, set(batch.changed.tolist())
    same = [payload(batch, i) == pool[batch.drawn[i]] and m.kept[i] == m.size[i] for i in range(COUNT)]
    assert all(same[i] for i in range(COUNT) if i not in changed)
    assert 0.09 < len(changed) / COUNT < 0.11
    assert sum(same[i] for i in changed) < 0.2 * len(changed)


def test_every_type_comes_in_its_share(batch: Batch) -> None:
    """To within a few standard deviations, unknown types among them."""
    names = np.array(batch.messages.names)[batch.messages.type]
    for kind, share in SHARES.items():
        expected = COUNT * share / sum(SHARES.values())
        assert abs(int((names == kind).sum()) - expected) < 6 * expected**0.5 + 3, kind
    assert set(names.tolist()) == set(KINDS)


def test_time_and_sequence_go_on() -> None:
    """Batches follow on one another without a gap."""
    parts = [b.messages for b in Traffic(pool=2).batches(250, size=100)]
    assert [len(m) for m in parts] == [100, 100, 50]
    assert np.concatenate([m.seq for m in parts]).tolist() == list(range(250))
    assert (np.diff(np.concatenate([m.ts for m in parts])) >= 0).all()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_changes_something(way: str) -> None:
    """Size and bytes are what that way makes of them, for empty payloads as well."""
    rng = np.random.default_rng(1)
    whole = rng.bytes(100)
    made = [changed_payload(whole, way, rng) for _ in range(50)]
    assert any((kept, size) != (whole, len(whole)) for kept, size in made)
    assert all(len(kept) <= size for kept, size in made)
    assert all(size > 4_000_000 for _, size in made) == (way == "claim")
    assert all(len(kept) <= size for kept, size in [changed_payload(b"", way, rng)])


def test_blocks_hold_together() -> None:
    """The Merkle root of a block is that of its transactions' ids, so that decoders which look do not refuse it."""
    one, two, three = (bytes([n]) * 32 for n in (1, 2, 3))
    assert merkle_root([one]) == one
    assert merkle_root([one, two, three]) == sha256d(sha256d(one + two) + sha256d(three + three))
    made = Payloads().make("block", 3)
    assert all(made.size > 81)
