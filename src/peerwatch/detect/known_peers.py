"""Addresses of a node's peers, as its connections name them: who a finding is about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from peerwatch.schema.batch import Rows
from peerwatch.wire.raw import printable

REMEMBERED = 8192
"""Peers remembered at most; those described the longest ago are forgotten first."""

LONGEST = 96
"""Characters of an address kept. Core documents up to 68, and says that names given by the operator may be longer."""


class KnownPeers:
    """Peer id to address, for the present process of one node. Closed connections stay: findings may come after them."""

    def __init__(self) -> None:
        """Start knowing nobody."""
        self._address: OrderedDict[int, str] = OrderedDict()

    def update(self, connections: Rows) -> None:
        """Take rows of the connection table."""
        named = connections.valid("address")
        if not named.any():
            return
        for peer, address in zip(connections["peer"][named].tolist(), connections["address"][named].tolist(), strict=True):
            self._address[peer] = printable(address[:LONGEST].encode(errors="replace"))
            self._address.move_to_end(peer)
        while len(self._address) > REMEMBERED:
            self._address.popitem(last=False)

    def clear(self) -> None:
        """The node was restarted: peer ids start over."""
        self._address.clear()

    def addresses(self, peers: Iterable[int]) -> dict[int, str]:
        """Addresses of those of `peers` that are known."""
        return {peer: self._address[peer] for peer in peers if peer in self._address}

    def state(self) -> list[list[Any]]:
        """Everything, as JSON-able values."""
        return [[peer, address] for peer, address in self._address.items()]

    def restore(self, state: Iterable[Iterable[Any]]) -> None:
        """Go on from `state()`."""
        self._address = OrderedDict((int(peer), str(address)) for peer, address in state)
