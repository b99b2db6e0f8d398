"""What block messages have in common."""

from __future__ import annotations

import numpy as np
import pytest

from peerwatch.wire.block_relay import count, rows, walked
from peerwatch.wire.columns import nullable
from peerwatch.wire.dissector import WireError
from peerwatch.wire.layout import Cursor
from peerwatch.wire.raw import PAD
from peerwatch.wire.transactions import Malformed, Walked
from tests.reference.reader import compact_size

NONE, TRUNCATED, TRAILING, OVER_LIMIT = WireError.NONE, WireError.TRUNCATED, WireError.TRAILING, WireError.OVER_LIMIT


def over(*kept: bytes, cut: int = 0) -> Cursor:
    lengths = np.array([len(k) for k in kept], np.int64)
    end = np.cumsum(lengths)
    return Cursor(np.frombuffer(b"".join(kept) + bytes(PAD), np.uint8), end - lengths, end, end + cut)


def test_a_count_that_cannot_be() -> None:
    """Neither more than any message may hold, nor more than the bytes sent have room for, kept or not."""
    c = over(b"\2" + bytes(20), b"\3" + bytes(29), compact_size(0x02000001))
    assert count(c, 10).tolist()[:1] == [2]
    assert c.live.tolist() == [True, False, False]
    assert c.error.tolist() == [NONE, TRUNCATED, OVER_LIMIT]
    c = over(b"\3", b"\2", cut=20)
    count(c, 10)
    assert c.live.tolist() == [False, True]
    assert c.error.tolist() == [TRUNCATED, NONE]


def step(data: bytes, n: int) -> Walked:
    """So many bytes, of which none may be 9."""
    if 9 in data[:n]:
        raise Malformed(WireError.UNKNOWN_FLAG)
    return n, sum(data[i] for i in range(n)), n, 1


def test_walked() -> None:
    """Each payload is given its own bytes; one that stops has no sums, and does not stop others."""
    c = over(b"\1\2\3", b"\1\2", b"\1\x09", b"\5\5\5")
    sums = walked(c, np.array([2, 3, 2, 3]), step)
    assert sums.whole.tolist() == [True, False, False, True]
    assert {name: column.to_pylist() for name, column in sums.columns().items()} == {
        "inputs": [3, None, None, 15],
        "outputs": [2, None, None, 3],
        "weight": [1, None, None, 1],
    }
    assert c.finish().tolist() == [TRAILING, TRUNCATED, WireError.UNKNOWN_FLAG, NONE]


def test_walked_where_we_cut() -> None:
    """Running out of kept bytes is no error."""
    c = over(b"\1\2", cut=5)
    assert walked(c, np.array([3]), step).whole.tolist() == [False]
    assert c.finish().tolist() == [NONE]


def test_walked_leaves_those_that_stopped() -> None:
    """One with an error is not walked over."""
    c = over(b"\1")
    c.fail(np.array([True]), OVER_LIMIT)
    assert walked(c, np.array([5]), step).whole.tolist() == [False]
    assert c.pos.tolist() == [0]
    assert c.finish().tolist() == [OVER_LIMIT]


@pytest.mark.parametrize("seen", [[True, True], [False, True], [False, False]])
def test_rows(seen: list[bool]) -> None:
    """One for each payload that was seen."""
    c = over(b"\1", b"")
    made = rows("merkleblock", {"hashes": nullable(np.array([7, 8]), np.array([True, True]))}, np.array(seen), c)
    expected = [(i, n) for i, n in enumerate([7, 8]) if seen[i]]
    assert list(zip(made.message.tolist(), made.columns["hashes"].to_pylist(), strict=True)) == expected
    assert made.columns["message"].to_pylist() == ["merkleblock"] * len(expected)
    assert made.error.tolist() == [TRAILING, NONE]
