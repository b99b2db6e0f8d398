"""`filteradd`."""

from __future__ import annotations

import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size, string

EXAMPLE = bytes.fromhex("20fdacf9b3eb077412e7a968d2e4f11b9a9dee312d666187ed77ee7d26af16cb0b")
"""A transaction's hash added (developer.bitcoin.org, P2P network reference)."""


def row(bytes_: int) -> Row:
    return {"message": "filteradd", "bytes": bytes_, "functions": None, "tweak": None, "flags": None}


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("filteradd", payload, len(payload) if size is None else size)]))[0]


def test_the_documented_example() -> None:
    """An element gives its length."""
    assert both(EXAMPLE) == ([row(32)], None)


@pytest.mark.parametrize("length", [0, 252, 253, 520])
def test_lengths(length: int) -> None:
    """An element has up to 520 bytes, and is judged alike whether it was kept or not."""
    payload = string(bytes(length))
    start = len(payload) - length
    for kept in {start, start + length // 2, len(payload)}:
        assert both(payload[:kept], len(payload)) == ([row(length)], None)
        assert both(payload[:kept], len(payload) + 1) == ([row(length)], "trailing")


def test_an_element_over_its_limit() -> None:
    """One byte more, and the message ends there."""
    for length in (521, 2**64 - 1):
        assert both(compact_size(length) + bytes(600)) == ([], "over_limit")


def test_sent_too_short() -> None:
    """The bytes that were sent count, not those that were claimed."""
    assert both(EXAMPLE[:-1]) == ([row(31)], "truncated")
    assert both(EXAMPLE[:1], 32) == ([row(31)], "truncated")
    assert both(b"\xfd\x08") == ([], "truncated")
