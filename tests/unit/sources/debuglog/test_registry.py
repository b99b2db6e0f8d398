"""Templates that are declared."""

from __future__ import annotations

from peerwatch.sources.debuglog.registry import all_templates, matcher


def test_all_areas_are_found() -> None:
    """Every module of templates is among them, and they are compiled once."""
    events = {template.event for template in all_templates()}
    assert {
        "misbehaving",
        "evicted",
        "addrman_collision",
        "compact_block_rebuilt",
        "v2_decryption_failed",
        "orphan_overflow",
    } <= events
    assert matcher() is matcher()
