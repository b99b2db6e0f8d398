"""Arrays as JSON-able values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from peerwatch.stats.packing import pack, unpack


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.1, -np.inf, 5e-324]),
        np.array([[1, 2], [3, 2**63]], np.uint64),
        np.array([True, False]),
        np.zeros((0, 4), np.int32),
        np.arange(10)[::2],
    ],
)
def test_round_trip_is_exact(array):
    """Through JSON and back: same type, shape and bits."""
    back = unpack(json.loads(json.dumps(pack(array))))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_unpacked_can_be_written_to():
    """State is gone on with, so it must not be read-only."""
    back = unpack(pack(np.zeros(2)))
    back[0] = 1
    assert back.tolist() == [1, 0]
