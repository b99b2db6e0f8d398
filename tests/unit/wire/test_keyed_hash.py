"""The keyed hash of inventory ids."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.wire import keyed_hash as module
from peerwatch.wire.keyed_hash import KEY_BYTES, keyed_hash
from tests.reference.messages.inv import item

KEY = hashlib.blake2b(b"for tests", digest_size=KEY_BYTES).digest()
"""Must be random: the bound on collisions is over keys."""


def matrix(ids: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=9), st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_equals_the_plain_form(ids: list[bytes], key: bytes) -> None:
    """Vectorized and plain arithmetic give the same for every id and key."""
    assert keyed_hash(matrix(ids), key).tolist() == [item(i, key) for i in ids]


def test_blocks_do_not_matter() -> None:
    """More ids than one block are hashed as each alone."""
    ids = np.random.default_rng(1).integers(0, 256, (module.BLOCK * 2 + 5, 32), dtype=np.uint8)
    whole = keyed_hash(ids, KEY)
    assert whole[[0, module.BLOCK, -1]].tolist() == [item(ids[i].tobytes(), KEY) for i in (0, module.BLOCK, -1)]


def test_close_ids_do_not_collide() -> None:
    """All ids that differ from one in up to two bits have different hashes, spread over all 64 bits."""
    bits = np.concatenate([[0], 1 << np.arange(8)]).astype(np.uint8)
    ids = np.zeros((1 + 256 + 256 * 255 // 2, 32), np.uint8)
    pairs = [(i,) for i in range(256)] + [(i, j) for i in range(256) for j in range(i)]
    for row, pair in enumerate(pairs, 1):
        for bit in pair:
            ids[row, bit // 8] ^= bits[1 + bit % 8]
    hashes = keyed_hash(ids, KEY)
    assert len(np.unique(hashes)) == len(ids)
    ones = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert (np.abs(ones - 0.5) < 0.02).all()


def test_the_key_decides() -> None:
    """Another key gives other hashes, whichever of its bytes differs; a key of another length is refused."""
    ids = np.arange(320, dtype=np.uint32).view(np.uint8).reshape(-1, 32)
    for at in range(KEY_BYTES):
        other = bytearray(KEY)
        other[at] ^= 1
        assert (keyed_hash(ids, bytes(other)) != keyed_hash(ids, KEY)).all()
    with pytest.raises(ValueError, match="40 bytes"):
        keyed_hash(ids, KEY[1:])
