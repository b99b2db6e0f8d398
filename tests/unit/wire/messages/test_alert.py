"""`alert`."""

from __future__ import annotations

import struct

import pytest

from peerwatch.wire.registry import needs_of_type
from tests.reference.decode import dissected, raw
from tests.reference.reader import Row, compact_size, string

EXAMPLE = bytes.fromhex(
    "73010000003766404f00000000b305434f00000000f2030000f1030000001027000048ee0000"
    "0064000000004653656520626974636f696e2e6f72672f666562323020696620796f75206861"
    "76652074726f75626c6520636f6e6e656374696e672061667465722032302046656272756172"
    "79004730450221008389df45f0703f39ec8c1cc42c13810ffcae14995bb648340219e353b63b"
    "53eb022009ec65e1c1aaeec1fd334c6b684bde2b3f573060d5b70c3a46723326e4e8a4f1"
)
"""Alert 1010, of February 2012 (en.bitcoin.it, Protocol documentation)."""
VALUES = {"version": 1, "relay_until": 1_329_620_535, "expiration": 1_329_792_435, "id": 1010, "cancel": 1009}
SIGNED = EXAMPLE[1:116]


def row(payload: int, signature: int | None, fields: int = 5) -> Row:
    """A row with the first `fields` values of the alert."""
    values = {name: value if i < fields else None for i, (name, value) in enumerate(VALUES.items())}
    return {"payload": payload, "signature": signature} | values


def both(payload: bytes, size: int | None = None) -> tuple[list[Row], str | None]:
    return dissected(raw([("alert", payload, len(payload) if size is None else size)]))[0]


def test_a_real_alert() -> None:
    """It gives its lengths, times and numbers."""
    assert both(EXAMPLE) == ([row(115, 71)], None)


def test_numbers_are_signed() -> None:
    """Negative numbers and the highest there are come out as such."""
    for low in (-1, 0x7FFFFFFF):
        signed = struct.pack("<iqqii", low, -2, 2**63 - 1, low, low)
        values = {"version": low, "relay_until": -2, "expiration": 2**63 - 1, "id": low, "cancel": low}
        assert both(string(signed) + b"\0") == ([{"payload": 28, "signature": 0} | values], None)


@pytest.mark.parametrize(("length", "fields"), [(0, 0), (3, 0), (4, 1), (12, 2), (20, 3), (24, 4), (27, 4)])
def test_what_was_signed_is_too_short(length: int, fields: int) -> None:
    """An alert without all of its numbers is truncated; what it has stays, and the signature is found behind it."""
    assert both(string(SIGNED[:length]) + string(b"s" * 9)) == ([row(length, 9, fields)], "truncated")


def test_what_was_signed_was_not_all_sent() -> None:
    """The bytes that were sent count, not those that were claimed, and nothing behind them is taken for a number."""
    assert both(EXAMPLE[:100]) == ([row(99, None)], "truncated")
    assert both(EXAMPLE[:15]) == ([row(14, None, 2)], "truncated")
    assert both(b"") == ([], "truncated")


def test_cut_by_us() -> None:
    """What was kept is read, without an error; of a signature the length is enough."""
    for kept, expected in ((1, row(115, None, 0)), (15, row(115, None, 2)), (116, row(115, None)), (117, row(115, 71))):
        assert both(EXAMPLE[:kept], len(EXAMPLE)) == ([expected], None)
    assert both(b"", len(EXAMPLE)) == ([], None)


def test_the_signature_is_judged() -> None:
    """One that is too short is truncated, and bytes behind it are trailing, whether they were kept or not."""
    for kept in (117, len(EXAMPLE) - 1):
        assert both(EXAMPLE[:kept], len(EXAMPLE) - 1) == ([row(115, 70)], "truncated")
        assert both(EXAMPLE[:kept], len(EXAMPLE) + 1) == ([row(115, 71)], "trailing")


@pytest.mark.parametrize("length", [4_000_001, 2**64 - 1])
def test_longer_than_any_message(length: int) -> None:
    """Lengths that cannot be are over the limit."""
    assert both(compact_size(length) + SIGNED) == ([], "over_limit")
    assert both(string(SIGNED) + compact_size(length) + b"s") == ([row(115, None)], "over_limit")


def test_a_signature_behind_the_longest_texts_is_found() -> None:
    """As much is kept as an alert with texts as long as Core took them has."""
    texts = string(bytes(65_536)) + string(bytes(256)) * 2
    whole = string(SIGNED[:45] + texts) + string(b"s" * 72)
    assert both(whole[: needs_of_type()["alert"]], len(whole))[0][0]["signature"] == 72
