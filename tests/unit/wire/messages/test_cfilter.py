"""`cfilter`."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from peerwatch.wire.registry import needs_of_type
from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size

BLOCK = bytes.fromhex("a6f40130827f9c3ea8719daa2b1c4c5ab165d34834d13616893c9eeff2004e27")
EXAMPLE = b"\0" + BLOCK + bytes.fromhex("04019a8ef8")
"""An answer that Core sent (captures, blockfilters-node0)."""
HEAD = EXAMPLE[:33]


def row(filter_type: int, hash_: bytes | None, bytes_: int | None) -> Row:
    head = {"message": "cfilter", "filter_type": filter_type, "start_height": None, "hash": hash_}
    return head | {"previous": None, "hashes": None, "bytes": bytes_}


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("cfilter", payload, len(payload) if size is None else size)]))[0]


def test_a_real_filter() -> None:
    """It gives filter type, block and length."""
    assert both(EXAMPLE) == ([row(0, BLOCK, 4)], None)


@pytest.mark.parametrize("length", [0, 1, 252, 253, 70_000])
def test_what_btclib_writes(length: int) -> None:
    """Filters of any length are read as an independent implementation writes them, which shows hashes reversed."""
    assert both(oracle.CFilter(9, BLOCK[::-1], bytes(length)).serialize()) == ([row(9, BLOCK, length)], None)


@pytest.mark.parametrize("length", [253, 25_000, 3_999_962])
def test_the_head_is_enough(length: int) -> None:
    """Of a message of any size, as many bytes as are said to be needed tell all, truncation and trailing bytes too."""
    head = HEAD + compact_size(length)
    kept = (head + bytes(9))[: needs_of_type()["cfilter"]]
    assert len(kept) == 42
    assert both(kept, len(head) + length) == ([row(0, BLOCK, length)], None)
    assert both(kept, len(head) + length - 1) == ([row(0, BLOCK, length - 1)], "truncated")
    assert both(kept[: len(head)], len(head) + length + 1) == (
        [row(0, BLOCK, length)],
        "oversized" if length > 10**6 else "trailing",
    )


def test_longer_than_any_message() -> None:
    """A length that cannot be is over the limit, and no length is told."""
    for length in (4_000_001, 2**32, 2**64 - 1):
        assert both(HEAD + compact_size(length) + bytes(9)) == ([row(0, BLOCK, None)], "over_limit")


def test_wrong_lengths() -> None:
    """Fields that are whole stay, whether the sender or we cut the next; only the first is an error."""
    for end, expected in ((0, []), (1, [row(0, None, None)]), (32, [row(0, None, None)]), (33, [row(0, BLOCK, None)])):
        assert both(EXAMPLE[:end]) == (expected, "truncated")
        assert both(EXAMPLE[:end], len(EXAMPLE)) == (expected, None)
    assert both(EXAMPLE[:37]) == ([row(0, BLOCK, 3)], "truncated")
    assert both(EXAMPLE + b"\0") == ([row(0, BLOCK, 4)], "trailing")
