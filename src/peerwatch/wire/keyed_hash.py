"""64-bit keyed hashes of 32-byte ids, so that inventory can be recorded and compared without being stored in full.

NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, CRYPTO '99) over the eight 32-bit words of an id, then a bijection of 64
bits, keyed by one more word, that spreads the result over all bits.

Collisions: under a random key, two different ids that were chosen without knowing it get the same hash with probability at most
2^-32 (UMAC, section 4.1, with 32-bit words: NH is 2^-32-almost-universal; the bijection adds none). For ids that are themselves
hashes, as those of real transactions and blocks are, it is 2^-64 a pair (to within 1 %: a sum of four products of uniform words
is that close to uniform), so among 10^8 of them there is a collision with probability 3·10^-4. It is no message authentication
code: who knows the key, or many pairs of id and hash, can make collisions.
"""

from __future__ import annotations

import numpy as np

from peerwatch.schema.batch import Array

ID_BYTES = 32
KEY_BYTES = 40
"""Eight 32-bit words for NH, and a 64-bit one."""

BLOCK = 8192
"""Ids hashed at once, so that all intermediate results stay in the processor's cache (64 KiB each)."""
_S33 = np.uint64(33)
_C1, _C2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
"""Constants of MurmurHash3's 64-bit finalizer, which is a bijection."""


def keyed_hash(ids: Array, key: bytes) -> Array:
    """Hash ids.

    Args:
        ids: uint8, shape (n, 32), the bytes of each id one after the other.
        key: KEY_BYTES random, secret bytes.

    Returns:
        uint64, shape (n,).

    Raises:
        ValueError: a key of another length.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key for inventory items must be {KEY_BYTES} bytes long, not {len(key)}")
    words = np.frombuffer(key, "<u4", ID_BYTES // 4)
    last = np.frombuffer(key, "<u8", 1, ID_BYTES)
    out = np.empty(len(ids), np.uint64)
    for first in range(0, len(ids), BLOCK):
        out[first : first + BLOCK] = _spread(_nh(ids[first : first + BLOCK], words) ^ last)
    return out


def _nh(ids: Array, words: Array) -> Array:
    # Word by word of all ids, not id by id: four long loops are faster than many of four steps.
    of = ids.view("<u4")
    total = np.zeros(len(ids), np.uint64)
    for i in range(0, len(words), 2):
        total += np.multiply(of[:, i] + words[i], of[:, i + 1] + words[i + 1], dtype=np.uint64)
    return total


def _spread(value: Array) -> Array:
    value ^= value >> _S33
    value *= _C1
    value ^= value >> _S33
    value *= _C2
    value ^= value >> _S33
    return value
