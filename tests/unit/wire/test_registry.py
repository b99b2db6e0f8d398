"""Dissectors are found by walking their package."""

from __future__ import annotations

from peerwatch.wire.raw import KNOWN_TYPES
from peerwatch.wire.registry import all_dissectors, dissector_of_type, needs_of_type

TYPES = {"version", "addr", "addrv2", "inv", "getdata", "notfound", "ping", "pong"}


def test_every_type_has_at_most_one_dissector() -> None:
    """Types are known ones, and belong to one dissector each."""
    types = [t for d in all_dissectors() for t in d.types]
    assert len(types) == len(set(types))
    assert set(types) <= set(KNOWN_TYPES)
    assert set(types) >= TYPES


def test_lookup_and_needs() -> None:
    """What is looked up by type is what was found, and a source can ask how much to keep."""
    assert set(dissector_of_type()) == set(needs_of_type())
    assert all(name in d.types for name, d in dissector_of_type().items())
    assert needs_of_type()["ping"] == 8
    assert needs_of_type()["addr"] == 9 + 30 * 1000
    assert needs_of_type()["inv"] == needs_of_type()["notfound"] == 9 + 36 * 50_000


def test_needs_of_messages_sent() -> None:
    """Never more than of those received, and the same where a dissector does not say otherwise."""
    received, sent = needs_of_type(), needs_of_type(sent=True)
    assert sent.keys() == received.keys()
    assert all(sent[name] <= received[name] for name in received)
    assert {name for name in received if sent[name] != received[name]} == {
        name for name, dissector in dissector_of_type().items() if dissector.needs_sent is not None
    }
