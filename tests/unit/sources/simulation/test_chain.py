"""The block chain as messages speak of it."""

from __future__ import annotations

from hashlib import sha256

from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.chain import Chain, headers, sha256d
from tests.unit.sources.simulation.seen import START, compact_size, rng


def test_headers_link_up() -> None:
    """Every header names the hash of the one before it, and heights count up."""
    chain = Chain(rng(), START)
    height, tip = chain.height, chain.tip
    chain.grow(START + SECOND)

    assert chain.height == height + 1
    assert chain.header[4:36] == tip
    assert chain.tip == sha256(sha256(chain.header).digest()).digest() == sha256d(chain.header)
    assert int.from_bytes(chain.header[68:72], "little") == START // SECOND + 1
    assert len(chain.header) == 80


def test_the_height_is_that_of_mainnet_then() -> None:
    """Within a month's blocks of what the real chain had on 9 October 2025 (918 000)."""
    assert abs(Chain(rng(), START).height - 918_000) < 4_400


def test_getheaders_starts_before_the_tip() -> None:
    """Its locator goes back from the block before the tip, so that the answer has at least the tip."""
    chain = Chain(rng(), START)
    before = chain.header[4:36]
    body = chain.getheaders()
    count, at = compact_size(body, 4)

    assert count == 30
    assert body[at : at + 32] == before
    assert len(body) == at + 32 * count + 32
    assert body.endswith(bytes(32))


def test_headers_messages_have_their_count() -> None:
    """Each header is followed by a zero count of transactions."""
    chain = Chain(rng(), START)

    assert chain.last_headers() == b"\x01" + chain.header + b"\0"
    assert headers(b"a" * 80, b"b" * 80) == b"\x02" + b"a" * 80 + b"\0" + b"b" * 80 + b"\0"
