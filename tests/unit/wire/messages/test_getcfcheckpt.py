"""`getcfcheckpt`, and the six messages that fill the table `block_filter` together."""

from __future__ import annotations

import btclib.p2p as oracle
import pytest

from peerwatch.wire.dissect import dissect
from tests.reference.decode import IDENTITY, KEY, dissected, raw
from tests.reference.reader import Row

STOP = bytes.fromhex("8567ea24b4a23d577acd90c1dd8a5d803a2473c45119525f090bdd66980b1f37")
EXAMPLE = b"\0" + STOP
"""A request that Core was sent (captures, blockfilters-node0)."""


def row(filter_type: int, hash_: bytes | None) -> Row:
    head = {"message": "getcfcheckpt", "filter_type": filter_type, "start_height": None, "hash": hash_}
    return head | {"previous": None, "hashes": None, "bytes": None}


def test_a_real_request() -> None:
    """It gives filter type and last block."""
    assert dissected(raw([("getcfcheckpt", EXAMPLE, 33)])) == [([row(0, STOP)], None)]


@pytest.mark.parametrize("filter_type", [0, 1, 255])
def test_what_btclib_writes(filter_type: int) -> None:
    """Both values are read as an independent implementation writes them, which shows hashes reversed."""
    made = oracle.GetCFCheckpt(filter_type, STOP[::-1]).serialize()
    assert dissected(raw([("getcfcheckpt", made, 33)])) == [([row(filter_type, STOP)], None)]


def test_wrong_lengths() -> None:
    """The filter type stays when the hash is not there, whether it was not sent or not kept."""
    sent = [("getcfcheckpt", EXAMPLE[:kept], size) for kept, size in ((0, 0), (1, 1), (32, 32), (32, 33))]
    cut = [row(0, None)]
    assert dissected(raw(sent)) == [([], "truncated"), (cut, "truncated"), (cut, "truncated"), (cut, None)]
    assert dissected(raw([("getcfcheckpt", EXAMPLE + b"\0", 34)])) == [([row(0, STOP)], "trailing")]


def test_six_messages_in_one_table() -> None:
    """Requests and answers of all kinds stand in order of arrival, each with its own columns."""
    made = [
        oracle.CFCheckpt(0, STOP, [STOP, STOP]),
        oracle.GetCFilters(1, 5, STOP),
        oracle.CFilter(2, STOP, bytes(300)),
        oracle.GetCFCheckpt(3, STOP),
        oracle.CFHeaders(4, STOP, STOP, [STOP]),
        oracle.GetCFHeaders(5, 6, STOP),
    ]
    payloads = [(m.command, m.serialize()) for m in made]
    table = dissect(IDENTITY, raw([(kind, p, len(p)) for kind, p in payloads]), KEY).tables["block_filter"]
    assert table.column("message").to_pylist() == [kind for kind, _ in payloads]
    assert table.column("filter_type").to_pylist() == [0, 1, 2, 3, 4, 5]
    assert table.column("start_height").to_pylist() == [None, 5, None, None, None, 6]
    assert table.column("hashes").to_pylist() == [2, None, None, None, 1, None]
    assert table.column("bytes").to_pylist() == [None, None, 300, None, None, None]
    assert table.column("hash").to_pylist() == [STOP[::-1]] * 6
    assert table.column("previous").to_pylist() == [None, None, None, None, STOP[::-1], None]
