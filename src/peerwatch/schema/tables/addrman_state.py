"""Entries of the address manager by network."""

from __future__ import annotations

from typing import Annotated

from peerwatch.schema import columns as c
from peerwatch.schema.table import Level, Table


class AddrmanState(Table):
    """Entries of the address manager by network; what `getaddrmaninfo` said."""

    level = Level.LIGHT
    is_state = True

    network: Annotated[str, c.label("ipv4, ipv6, onion, i2p, cjdns, or all_networks.")]
    new: Annotated[int | None, c.count("Addresses in the new table.", nullable=True)]
    tried: Annotated[int | None, c.count("Addresses in the tried table.", nullable=True)]
