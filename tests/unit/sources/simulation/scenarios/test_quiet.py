"""Normal traffic."""

from __future__ import annotations

from tests.unit.sources.simulation.seen import addresses, simulated


def test_a_quiet_node_has_no_attack() -> None:
    """No labels, and none of the signs of a flood: no special addresses, no big unasked messages, nothing from the future."""
    seen = simulated(seconds=1200)
    entries = [(m.ts // 10**9, e) for m in seen.of("addr", "addrv2", inbound=True) if len(m.body) < 500 for e in addresses(m)]

    assert seen.attacks == []
    assert not [e for _, e in entries if e.network == 1 and (e.key[0] >= 224 or e.key[0] in (0, 10, 127))]
    assert sum(e.time > now + 60 for now, e in entries) < 0.03 * len(entries)
