"""The address manager of a node over time: its entries, what is known about their addresses, and what became of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.peers.addrman_changes import Changes, difference, first
from peerwatch.peers.addrman_entries import ENTRY, FIRST_TRIED, PLACES, READ, as_numpy, named, places
from peerwatch.peers.netgroup import netgroups
from peerwatch.peers.origins import AsnOf
from peerwatch.schema.batch import Array

_NONE = pa.RecordBatch.from_pylist([], schema=ENTRY)
_IDENTITY = ("address", "port", "from_address")
_ROUTED = pa.array(["ipv4", "ipv6"])
"""Networks whose addresses belong to autonomous systems."""


class AddressManager:
    """The address manager of a node, as its answers show it."""

    def __init__(self, asn_of: AsnOf) -> None:
        """Know no state yet. `asn_of` is asked about addresses of which the node does not tell the autonomous system."""
        self._state: pa.RecordBatch | None = None
        self._asn_of = asn_of

    def update(self, read: pa.RecordBatch) -> tuple[pa.RecordBatch, Changes]:
        """Take the next state, as in READ, in any order, with no place twice.

        Returns:
            The state, as in ENTRY, by place and no address in both tables; and how it came of the one before.
        """
        read = _in_one_table(read.take(pc.sort_indices(read.column("place"))))
        old = _NONE if self._state is None else self._state
        stayed = _stayed(old, read)
        new = _described(old, read, stayed, self._asn_of)
        changes = first(new) if self._state is None else difference(old, new, stayed)
        self._state = new
        return new, changes


def _in_one_table(read: pa.RecordBatch) -> pa.RecordBatch:
    """An address that was promoted after the node listed `new` and before it listed `tried` is in both: then it is in `tried`.

    Core locks the address manager for each table by itself (rpc/net.cpp, getrawaddrman).
    """
    names, first = named(read), int(np.searchsorted(places(read), FIRST_TRIED))
    both = pc.is_in(names.slice(0, first), value_set=names.slice(first))
    if not pc.any(both).as_py():
        return read
    keep = np.ones(len(read), bool)
    keep[:first] = ~as_numpy(both)
    return read.filter(pa.array(keep))


def _stayed(old: pa.RecordBatch, read: pa.RecordBatch) -> Array:
    """For each entry read its position in `old`, if it was at this place, else -1."""
    at = np.full(PLACES, -1)
    at[places(old)] = np.arange(len(old))
    stayed = at[places(read)]
    taken = np.flatnonzero(stayed >= 0)
    here, there = pa.array(taken), pa.array(stayed[taken])
    for name in _IDENTITY:
        same = as_numpy(pc.equal(read.column(name).take(here), old.column(name).take(there)))
        stayed[taken[~same]] = -1
    return stayed


def _described(old: pa.RecordBatch, read: pa.RecordBatch, stayed: Array, asn_of: AsnOf) -> pa.RecordBatch:
    """What was read, with netgroups and autonomous systems: those of entries that stayed are known, all others are looked up."""
    fresh = stayed < 0
    come = read.filter(pa.array(fresh))
    source = pa.array(np.where(fresh, len(old) + np.cumsum(fresh) - 1, stayed))
    columns = {name: read.column(name) for name in READ.names}
    for whose in ("", "from_"):
        found = _origins(come, whose, asn_of)
        for name, values in zip(("netgroup", "asn"), found, strict=True):
            columns[whose + name] = pa.concat_arrays([old.column(whose + name), values]).take(source)
    return pa.RecordBatch.from_arrays([columns[name] for name in ENTRY.names], schema=ENTRY)


def _origins(entries: pa.RecordBatch, whose: str, asn_of: AsnOf) -> tuple[pa.Array, pa.Array]:
    """Netgroups and autonomous systems of addresses, `whose` as in the columns' names; each different one is looked at once."""
    address, network, asn = (entries.column(whose + name) for name in ("address", "network", "asn"))
    encoded = address.dictionary_encode()
    texts, nth = encoded.dictionary.to_pylist(), as_numpy(encoded.indices)
    networks = network.take(pa.array(np.unique(nth, return_index=True)[1])).to_pylist()
    groups = pa.array(netgroups(texts, networks), pa.utf8()).take(encoded.indices)
    systems = as_numpy(asn.fill_null(0)).copy()
    asked = as_numpy(pc.is_in(network, value_set=_ROUTED)) & (systems == 0)
    found = np.zeros(len(texts), np.int64)
    for i in np.unique(nth[asked]).tolist():
        found[i] = asn_of(texts[i]) or 0
    systems[asked] = found[nth[asked]]
    return groups, pa.array(systems, mask=systems == 0)
