"""`cfcheckpt`."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from peerwatch.wire.registry import needs_of_type
from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size

STOP = bytes.fromhex("8567ea24b4a23d577acd90c1dd8a5d803a2473c45119525f090bdd66980b1f37")
HEADER = bytes.fromhex("b1d5a483056ed5ffcbdf0dfa646b00ce53583656fc196edd20fed24ac7237938")
EXAMPLE = b"\0" + STOP + b"\1" + HEADER
"""An answer that Core sent (captures, blockfilters-node0)."""


def row(hash_: bytes | None, hashes: int | None, filter_type: int = 0) -> Row:
    head = {"message": "cfcheckpt", "filter_type": filter_type, "start_height": None, "hash": hash_}
    return head | {"previous": None, "hashes": hashes, "bytes": None}


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("cfcheckpt", payload, len(payload) if size is None else size)]))[0]


def test_a_real_answer() -> None:
    """It gives filter type, last block and the count of headers."""
    assert both(EXAMPLE) == ([row(STOP, 1)], None)


@pytest.mark.parametrize("count", [0, 252, 253, 900])
def test_what_btclib_writes(count: int) -> None:
    """Lists of any length are read as an independent implementation writes them, which shows hashes reversed."""
    assert both(oracle.CFCheckpt(1, STOP[::-1], [HEADER] * count).serialize()) == ([row(STOP, count, 1)], None)


def test_the_limit() -> None:
    """More headers than fit into a message cannot be."""
    assert both(EXAMPLE[:33] + compact_size(125_000) + HEADER) == ([row(STOP, 1)], "truncated")
    assert both(EXAMPLE[:33] + compact_size(125_001) + HEADER) == ([row(STOP, 1)], "over_limit")


def test_the_head_is_enough() -> None:
    """Headers need not be kept to be counted, nor for their list to be found too short or too long."""
    whole = EXAMPLE[:33] + compact_size(900) + HEADER * 900
    kept = whole[: needs_of_type()["cfcheckpt"]]
    assert len(kept) == 42
    assert both(kept, len(whole)) == ([row(STOP, 900)], None)
    assert both(kept, len(whole) - 1) == ([row(STOP, 899)], "truncated")
    assert both(kept, len(whole) + 1) == ([row(STOP, 900)], "trailing")


def test_wrong_lengths() -> None:
    """Fields that are whole stay, whether the sender or we cut the next; only the first is an error."""
    for end, expected in ((0, []), (1, [row(None, None)]), (32, [row(None, None)]), (33, [row(STOP, None)])):
        assert both(EXAMPLE[:end]) == (expected, "truncated")
        assert both(EXAMPLE[:end], len(EXAMPLE)) == (expected, None)
