"""The address manager: how many addresses it has (`getaddrmaninfo`), which, and what became of them (`getrawaddrman`).

An answer of `getrawaddrman` is up to 20 MB of JSON, and the node holds the lock of its address manager while it lists a table. In
the addresses are texts of what peers gossip. An entry that cannot be read is left out; how many there are is said in a `loss` row
whenever it is another number than before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.peers.addrman import AddressManager
from peerwatch.peers.addrman_entries import BUCKET_SIZE, FIRST_TRIED, NEW_BUCKETS, READ, TRIED_BUCKETS, as_numpy
from peerwatch.peers.addrman_summary import summary
from peerwatch.schema.table import Table
from peerwatch.schema.tables.addrman_entry import AddrmanEntry
from peerwatch.schema.tables.addrman_state import AddrmanState
from peerwatch.schema.tables.addrman_table import AddrmanTable
from peerwatch.schema.tables.loss import Loss
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request

INFO, RAW = "getaddrmaninfo", "getrawaddrman"
VERSION = 260_000
"""Bitcoin Core 26.0 brought both."""

ADDRESS = r"[!-~]{1,64}"
"""The longest address is that of an onion service, 62 characters."""
NETWORK = r"[a-z0-9_]{1,32}"
"""As Core names networks (netbase.cpp: GetNetworkName)."""
_PLACE = r"^(?P<bucket>0|[1-9][0-9]{0,3})/(?P<position>0|[1-9][0-9]?)$"

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_System = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None
"""0, as a missing one, stands for none."""


class _Entry(msgspec.Struct, gc=False):
    """An entry of a table, as `getrawaddrman` gives it."""

    address: str
    port: Annotated[int, msgspec.Meta(ge=0, le=2**16 - 1)]
    network: str
    services: Annotated[int, msgspec.Meta(ge=0)]
    time: _Count
    source: str
    source_network: str
    mapped_as: _System = None
    source_mapped_as: _System = None

    def __post_init__(self) -> None:
        """Refuse service bits that are none: msgspec has no limits beyond 63 bits."""
        if self.services >> 64:
            raise ValueError("more than 64 service bits")


class _Tables(msgspec.Struct):
    """An answer of `getrawaddrman`."""

    new: msgspec.Raw
    tried: msgspec.Raw


class _Number(msgspec.Struct):
    """Addresses of one network, as `getaddrmaninfo` gives them."""

    new: _Count | None = None
    tried: _Count | None = None


_COLUMNS = {
    "address": "address",
    "port": "port",
    "network": "network",
    "services": "services",
    "time": "time",
    "asn": "mapped_as",
    "from_address": "source",
    "from_network": "source_network",
    "from_asn": "source_mapped_as",
}
"""Columns of READ, and what Core calls them."""

_TABLES = msgspec.json.Decoder(_Tables)
_ENTRIES = msgspec.json.Decoder(dict[str, _Entry])
_ENTRIES_APART = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_Entry)
_NUMBERS = msgspec.json.Decoder(dict[Annotated[str, msgspec.Meta(pattern=rf"\A{NETWORK}\Z")], _Number])


class Addrman:
    """The address manager of one node."""

    requests: Sequence[Request] = (Request(INFO, 60.0, since=VERSION), Request(RAW, 300.0, since=VERSION))
    tables: Sequence[type[Table]] = (AddrmanEntry, AddrmanState, AddrmanTable)

    def __init__(self, known: Known) -> None:
        """Know no state yet: the first one will be told whole."""
        self._manager = AddressManager(known.origins.asn_of)
        self._unreadable = 0
        self._lacking: set[str] = set()

    def read(self, answer: Answer) -> Iterable[Rows]:
        """Rows of one answer.

        Raises:
            msgspec.DecodeError, msgspec.ValidationError: the answer is not what such a call gives.
        """
        if answer.method == INFO:
            return [(AddrmanState, self._numbers(answer))]
        entries, unreadable = read_tables(answer.result)
        state, changes = self._manager.update(entries)
        rows: list[Rows] = [
            (AddrmanEntry, changes.rows(answer.answered)),
            (AddrmanTable, summary(state, changes, answer.answered)),
        ]
        if unreadable not in (0, self._unreadable):
            rows.append((Loss, _loss(answer, unreadable)))
        self._unreadable = unreadable
        return rows

    def lacking(self) -> Sequence[str]:
        """Fields that answers lacked so far. `mapped_as` is not one: a node without an asmap has none."""
        return sorted(self._lacking)

    def _numbers(self, answer: Answer) -> dict[str, Sequence[object]]:
        numbers = _NUMBERS.decode(answer.result)
        for field in ("new", "tried"):
            if any(getattr(each, field) is None for each in numbers.values()):
                self._lacking.add(f"{INFO}.{field}")
        return {
            "ts": [answer.answered] * len(numbers),
            "network": list(numbers),
            "new": [each.new for each in numbers.values()],
            "tried": [each.tried for each in numbers.values()],
        }


def read_tables(result: bytes) -> tuple[pa.RecordBatch, int]:
    """Entries in an answer of `getrawaddrman`, as in READ, and how many could not be read.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: it is not such an answer.
    """
    tables = _TABLES.decode(result)
    new, new_lost = _read_table(tables.new, 0, NEW_BUCKETS)
    tried, tried_lost = _read_table(tables.tried, FIRST_TRIED, TRIED_BUCKETS)
    both = [pa.concat_arrays(pair) for pair in zip(new.columns, tried.columns, strict=True)]
    return pa.RecordBatch.from_arrays(both, schema=READ), new_lost + tried_lost


def _read_table(text: msgspec.Raw, first: int, buckets: int) -> tuple[pa.RecordBatch, int]:
    """Entries of a table of so many buckets whose first place is `first`, and how many could not be read."""
    entries, lost = _decoded(text)
    place = _places(list(entries), first, buckets)
    columns = {
        name: pa.array([getattr(each, field) for each in entries.values()], READ.field(name).type)
        for name, field in _COLUMNS.items()
    }
    fine = pc.is_valid(place)
    for name, pattern in (("address", ADDRESS), ("network", NETWORK)):
        for column in (columns[name], columns[f"from_{name}"]):
            fine = pc.and_(fine, pc.match_substring_regex(column, f"^{pattern}$"))
    read = pa.RecordBatch.from_arrays([place, *columns.values()], schema=READ).filter(fine)
    return read, lost + len(entries) - len(read)


def _decoded(text: msgspec.Raw) -> tuple[Mapping[str, _Entry], int]:
    """Entries of a table by their keys: all at once, or, when that fails, one by one; and how many could not be decoded."""
    try:
        return _ENTRIES.decode(text), 0
    except msgspec.DecodeError:
        entries, each = {}, _ENTRIES_APART.decode(text)
    for key, one in each.items():
        with contextlib.suppress(msgspec.DecodeError):
            entries[key] = _ENTRY.decode(one)
    return entries, len(each) - len(entries)


def _places(keys: list[str], first: int, buckets: int) -> pa.Array:
    """Places by keys such as `1023/63`; null for what is none."""
    parts = pc.extract_regex(pa.array(keys, pa.utf8()), _PLACE)
    bucket, position = (as_numpy(pc.struct_field(parts, i).cast(pa.int32()).fill_null(0)) for i in (0, 1))
    wrong = as_numpy(parts.is_null()) | (bucket >= buckets) | (position >= BUCKET_SIZE)
    return pa.array(first + bucket * BUCKET_SIZE + position, pa.int32(), mask=wrong)


def _loss(answer: Answer, unreadable: int) -> dict[str, Sequence[object]]:
    """How many entries of an answer could not be read."""
    return {
        "ts": [answer.answered],
        "kind": ["unreadable"],
        "probe": [RAW],
        "first_ts": [answer.asked],
        "last_ts": [answer.answered],
        "count": [unreadable],
        "bytes": [0],
        "reason": ["Entries of the address manager are not as Core writes them."],
    }
