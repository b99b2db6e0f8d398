"""`filterload`."""

from __future__ import annotations

import struct

import pytest

from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size, string

EXAMPLES = [("03614e9b050000000000000001", 0), ("03ce4299050000000100008001", 2147483649)]
"""Filters and their tweaks (Core, test/bloom_tests.cpp)."""


def row(bytes_: int, functions: int | None, tweak: int | None, flags: int | None) -> Row:
    return {"message": "filterload", "bytes": bytes_, "functions": functions, "tweak": tweak, "flags": flags}


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("filterload", payload, len(payload) if size is None else size)]))[0]


@pytest.mark.parametrize(("payload", "tweak"), EXAMPLES)
def test_vectors_of_core(payload: str, tweak: int) -> None:
    """Filters as Core serializes them give their length, hash functions, tweak and flags."""
    assert both(bytes.fromhex(payload)) == ([row(3, 5, tweak, 1)], None)


@pytest.mark.parametrize("length", [0, 252, 253, 36_000])
def test_lengths(length: int) -> None:
    """A filter may be empty, and may have 36 000 bytes."""
    assert both(string(bytes(length)) + struct.pack("<IIB", 1, 2, 3)) == ([row(length, 1, 2, 3)], None)


def test_a_filter_over_its_limit() -> None:
    """One byte more, and the message ends there."""
    for length in (36_001, 2**64 - 1):
        assert both(compact_size(length) + bytes(40_000)) == ([], "over_limit")


@pytest.mark.parametrize("functions", [50, 51, 2**32 - 1])
def test_too_many_hash_functions(functions: int) -> None:
    """More than 50 are an error that hides nothing, and stays the first one."""
    payload = string(b"\1") + struct.pack("<IIB", functions, 7, 2)
    error = "over_limit" if functions > 50 else None
    assert both(payload) == ([row(1, functions, 7, 2)], error)
    assert both(payload + b"\0") == ([row(1, functions, 7, 2)], error or "trailing")
    assert both(payload[:-1]) == ([row(1, functions, 7, None)], error or "truncated")


def test_cut_inside_a_field() -> None:
    """A filter is as long as what was sent of it; fields behind it are there or not."""
    whole = bytes.fromhex(EXAMPLES[0][0])
    for end, expected in ((1, row(0, None, None, None)), (3, row(2, None, None, None)), (7, row(3, None, None, None))):
        assert both(whole[:end]) == ([expected], "truncated")
    assert both(whole[:8]) == ([row(3, 5, None, None)], "truncated")
    assert both(whole[:12]) == ([row(3, 5, 0, None)], "truncated")
    assert both(b"") == ([], "truncated")


def test_a_filter_that_we_did_not_keep() -> None:
    """Its length is known, what lies behind it is not, and nothing is wrong."""
    whole = bytes.fromhex(EXAMPLES[0][0])
    assert both(whole[:2], len(whole)) == ([row(3, None, None, None)], None)
    assert both(whole[:2], 3) == ([row(2, None, None, None)], "truncated")
