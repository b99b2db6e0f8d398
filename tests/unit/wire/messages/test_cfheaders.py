"""`cfheaders`."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from peerwatch.wire.registry import needs_of_type
from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size

STOP, PREVIOUS = bytes(range(32)), bytes(range(100, 132))
HEAD = b"\0" + STOP + PREVIOUS
HASH = b"h" * 32


def row(hash_: bytes | None, previous: bytes | None, hashes: int | None, filter_type: int = 0) -> Row:
    head = {"message": "cfheaders", "filter_type": filter_type, "start_height": None, "hash": hash_}
    return head | {"previous": previous, "hashes": hashes, "bytes": None}


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("cfheaders", payload, len(payload) if size is None else size)]))[0]


@pytest.mark.parametrize("count", [0, 1, 252, 253, 2000])
def test_what_btclib_writes(count: int) -> None:
    """Lists of any allowed length are read as an independent implementation writes them, which shows hashes reversed."""
    made = oracle.CFHeaders(3, STOP[::-1], PREVIOUS[::-1], [HASH] * count).serialize()
    assert both(made) == ([row(STOP, PREVIOUS, count, 3)], None)


def test_the_limit() -> None:
    """Of more than 2000 hashes, as many are counted."""
    payload = HEAD + compact_size(2001) + HASH * (2001)
    assert both(payload) == ([row(STOP, PREVIOUS, 2000)], "over_limit")


def test_the_head_is_enough() -> None:
    """Hashes need not be kept to be counted, nor for their list to be found too short or too long."""
    whole = HEAD + compact_size(1000) + HASH * 1000
    kept = whole[: needs_of_type()["cfheaders"]]
    assert len(kept) == 74
    assert both(kept, len(whole)) == ([row(STOP, PREVIOUS, 1000)], None)
    assert both(kept, len(whole) - 1) == ([row(STOP, PREVIOUS, 999)], "truncated")
    assert both(kept, len(whole) + 1) == ([row(STOP, PREVIOUS, 1000)], "trailing")


def test_wrong_lengths() -> None:
    """Fields that are whole stay, whether the sender or we cut the next; only the first is an error."""
    whole = HEAD + b"\2" + HASH * 2
    for end, expected in (
        (0, []),
        (1, [row(None, None, None)]),
        (64, [row(STOP, None, None)]),
        (65, [row(STOP, PREVIOUS, None)]),
    ):
        assert both(whole[:end]) == (expected, "truncated")
        assert both(whole[:end], len(whole)) == (expected, None)
    assert both(whole[:-1]) == ([row(STOP, PREVIOUS, 1)], "truncated")
