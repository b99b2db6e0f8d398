"""`peers/ranges.py`: every address has the number of the piece that it lies in."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from peerwatch.peers.ranges import Ranges

borders = st.one_of(st.integers(0, 2**128 - 1), st.sampled_from([0, 1, 256, 2**64 - 1, 2**64, 2**64 + 2**8, 2**127, 2**128 - 1]))
pieces = st.lists(st.tuples(borders, st.integers(0, 3)), max_size=20).map(lambda found: sorted(found, key=lambda piece: piece[0]))


@given(pieces, st.lists(borders, max_size=5))
@example([(0, 1), (0, 0), (256, 2), (256, 3)], [0])
def test_an_address_has_the_number_of_its_piece(given_pieces: list[tuple[int, int]], others: list[int]) -> None:
    """The number of any address, borders and their neighbours too, is that of the last piece that begins at or before it."""
    ranges = Ranges.of_pieces(given_pieces)
    addresses = {*others, *(min(max(border + by, 0), 2**128 - 1) for border, _ in given_pieces for by in (-1, 0, 1))}
    packed = [address.to_bytes(16, "big") for address in addresses]
    expected = [([0] + [number for border, number in given_pieces if border <= address])[-1] for address in addresses]
    assert [ranges.of(ip) for ip in packed] == expected


def test_neighbours_with_the_same_number_are_one_piece() -> None:
    """What adds nothing takes no memory: two pieces of 20 bytes are left of five."""
    ranges = Ranges.of_pieces([(5, 0), (7, 0), (9, 4), (10, 2), (10, 4)])
    assert len(ranges) == 2
    assert ranges.nbytes == 2 * 20


def test_without_pieces_every_number_is_zero() -> None:
    """Without any piece every address has 0."""
    ranges = Ranges(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint32))
    assert ranges.of(b"\xff" * 16) == 0
