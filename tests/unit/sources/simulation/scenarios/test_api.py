"""What a scenario is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from peerwatch.detect._api import Option
from peerwatch.schema.batch import SECOND, Array
from peerwatch.sources.simulation.addresses import IPV4
from peerwatch.sources.simulation.events import Events, messages, probes
from peerwatch.sources.simulation.peers import Span
from peerwatch.sources.simulation.personas import Persona
from peerwatch.sources.simulation.pieces import Pieces
from peerwatch.sources.simulation.population import Visit
from peerwatch.sources.simulation.scenarios._api import Attack, Scenario
from tests.unit.sources.simulation.seen import START, played

SPY = Persona("9.8.7.6:4321", IPV4, stay=50 * SECOND, announces_tx=False, asks_addrs=False)


class PingFlood(Scenario):
    """Somebody pings ten times a second, and the node's mempool refuses something meanwhile."""

    title = "ping flood"
    options = {"start_s": Option(30, "s", "When it begins.", "chosen")}  # noqa: RUF012 - a declaration

    def visits(self, span: Span) -> Sequence[Visit]:
        """One."""
        at = self.start + int(self.settings["start_s"] * SECOND)
        return [Visit(at, SPY, number=7)] if span.start <= at < span.end else []

    def traffic(self, span: Span, peers: Array) -> Sequence[Events]:
        """Pings, and a rejection in the middle of them."""
        mine = peers[peers["visit"] == 7]
        if not len(mine):
            return ()
        at = np.arange(max(span.start, int(mine["ready"][0])), span.end, SECOND // 10)
        self.label = Attack("ping_flood", ("A32",), int(at[0]), int(at[-1]), {int(mine["id"][0]): SPY.address})
        nonces = Pieces.of_rows(np.full((len(at), 8), 9, np.uint8))
        refused = probes("mempool:rejected", at[:1], {"txid": np.zeros((1, 32), np.uint8), "reason": b"min relay fee not met"})
        return [messages(at, np.full(len(at), mine["id"][0]), True, "ping", nonces), refused]

    def attacks(self) -> Sequence[Attack]:
        """What was said last."""
        return [self.label]


def test_a_scenario_lies_on_top_of_normal_traffic() -> None:
    """Its visitor connects, is greeted and served like any other, and all that it sends while it is there is among the events."""
    seen = played(PingFlood, 120)
    (attack,) = seen.attacks
    (peer,) = attack.peers
    pings = [m for m in seen.of("ping", inbound=True) if m.peer == peer and m.body == b"\x09" * 8]
    opened = [o for o in seen.probe("inbound_connection") if o.args["peer"] == peer]

    assert [o.args["address"] for o in opened] == [SPY.address.encode()]
    assert opened[0].ts == START + 30 * SECOND
    assert 480 < len(pings) < 500, "nothing after it has gone"
    assert {m.kind for m in seen.messages if m.peer == peer and not m.inbound} >= {"version", "verack", "ping", "inv"}
    assert any(o.args["txid"] == bytes(32) for o in seen.probe("rejected"))
    assert len({m.peer for m in seen.messages}) > 90


def test_options_have_defaults_and_no_others() -> None:
    """An unknown option is refused with those that there are."""
    assert PingFlood().settings == {"start_s": 30.0}
    assert PingFlood({"start_s": 5}).settings == {"start_s": 5.0}
    with pytest.raises(ValueError, match="has no option speed; it has start_s"):
        PingFlood({"speed": 1})


def test_the_base_is_normal_traffic() -> None:
    """Without overriding anything there is nobody besides normal peers, and no attack."""

    class Nothing(Scenario):
        """Nothing."""

        title = "nothing"

    seen = played(Nothing, 10)
    assert seen.attacks == []
    assert len(seen.messages) > 300
