"""`getcfilters` and `getcfheaders`."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row

STOP = bytes.fromhex("e7d2d8fc2ba0354cacbe0313047433c9ace503b3d20c2a3ef17473e3996c895b")
EXAMPLE = bytes.fromhex("0001000000") + STOP
"""A `getcfheaders` that Core was sent (captures, blockfilters-node0)."""

each_type = pytest.mark.parametrize("kind", ["getcfilters", "getcfheaders"])


def row(kind: str, filter_type: int, start_height: int | None, hash_: bytes | None) -> Row:
    head = {"message": kind, "filter_type": filter_type, "start_height": start_height, "hash": hash_}
    return head | {"previous": None, "hashes": None, "bytes": None}


@each_type
def test_a_real_request(kind: str) -> None:
    """Both types have the layout, and give filter type, first height and last block."""
    assert dissected(raw([(kind, EXAMPLE, 37)])) == [([row(kind, 0, 1, STOP)], None)]


@each_type
@pytest.mark.parametrize(("filter_type", "height"), [(0, 0), (255, 2**32 - 1), (7, 850_000)])
def test_what_btclib_writes(kind: str, filter_type: int, height: int) -> None:
    """All values are read as an independent implementation writes them, which shows hashes reversed."""
    made = {"getcfilters": oracle.GetCFilters, "getcfheaders": oracle.GetCFHeaders}[kind](filter_type, height, STOP[::-1])
    assert dissected(raw([(kind, made.serialize(), 37)])) == [([row(kind, filter_type, height, STOP)], None)]


@each_type
def test_wrong_lengths(kind: str) -> None:
    """Fields that are whole stay, whether the sender or we cut the next; only the first is an error."""
    for end, expected in ((0, []), (1, [row(kind, 0, None, None)]), (5, [row(kind, 0, 1, None)]), (36, [row(kind, 0, 1, None)])):
        assert dissected(raw([(kind, EXAMPLE[:end], end), (kind, EXAMPLE[:end], 37)])) == [
            (expected, "truncated"),
            (expected, None),
        ]
    assert dissected(raw([(kind, EXAMPLE + b"\0", 38)])) == [([row(kind, 0, 1, STOP)], "trailing")]
