"""Many byte strings at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.sources.simulation.pieces import Pieces, compact_sizes, ranks, vectors
from tests.unit.sources.simulation.seen import compact_size


def read(pieces: Pieces) -> list[bytes]:
    return [pieces.buf[a : a + n].tobytes() for a, n in zip(pieces.start.tolist(), pieces.size.tolist(), strict=True)]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9), max_size=9), st.data())
def test_taking_and_compacting_keep_the_bytes(parts: list[bytes], data: st.DataObject) -> None:
    """Whatever is taken of pieces, in whatever order and how often, compacting leaves the same strings and nothing else."""
    chosen = data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=12)) if parts else []
    pieces = Pieces.of_bytes(parts).take(np.array(chosen, np.int64)).compacted()

    assert read(pieces) == [parts[i] for i in chosen]
    assert pieces.buf.tobytes() == b"".join(parts[i] for i in chosen)


def test_joined_pieces_come_one_after_the_other() -> None:
    """Joining keeps order and bytes of every part."""
    rows = Pieces.of_rows(np.arange(6, dtype=np.uint8).reshape(2, 3))

    assert read(Pieces.joined([Pieces.of_bytes([b"a", b"", b"bc"]), rows])) == [b"a", b"", b"bc", b"\0\1\2", b"\3\4\5"]


@pytest.mark.parametrize("value", [0, 1, 252, 253, 254, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1])
def test_compact_sizes_are_the_shortest_form(value: int) -> None:
    """1, 3, 5 or 9 bytes by the value, which reads back (the border values of the format)."""
    raw, keep = compact_sizes(np.array([value], np.uint64))
    body = raw[keep].tobytes()

    assert compact_size(body) == (value, len(body))
    assert len(body) == 1 + (value > 252) * 2 + (value > 65535) * 2 + (value > 2**32 - 1) * 4


def test_vectors_count_their_entries_and_leave_holes_out() -> None:
    """Each message is the count of its entries and then these, without the bytes that do not count."""
    rows = np.repeat(np.arange(300, dtype=np.int64)[:, None] % 251, 10, axis=1).astype(np.uint8)
    keep = np.ones((300, 10), bool)
    keep[5, 3:] = False
    made = read(vectors(rows, keep, np.array([6, 294])))

    assert made[0] == b"\x06" + b"".join(bytes([i]) * 10 for i in range(5)) + b"\5\5\5"
    assert made[1] == b"\xfd\x26\x01" + b"".join(bytes([i % 251]) * 10 for i in range(6, 300))
    assert read(vectors(rows[:0], None, np.zeros(0, np.int64))) == []


def test_ranks_start_over_with_every_key() -> None:
    """The position of each in its run of equal keys."""
    assert ranks(np.array([4, 4, 4, 7, 9, 9])).tolist() == [0, 1, 2, 0, 0, 1]
    assert ranks(np.zeros(0)).tolist() == []
