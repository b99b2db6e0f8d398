"""Records from the ring become raw messages and rows.

One call takes the records of one process, all at once and in the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.schema.batch import SECOND, Array
from peerwatch.schema.table import Identity, Table
from peerwatch.schema.tables.block import Block
from peerwatch.schema.tables.connection import Connection
from peerwatch.schema.tables.mempool import Mempool
from peerwatch.schema.tables.utxocache import Utxocache
from peerwatch.sources.usdt.probes import DESCRIBED, DESCRIBED_BODY, HEADER, PROBES, UNREADABLE
from peerwatch.wire.layout import fields
from peerwatch.wire.raw import RawMessages, TypeNames, printable

NETWORKS = ("unroutable", "ipv4", "ipv6", "onion", "i2p", "cjdns", "internal")
"""Names for Core's `enum Network` (netaddress.h), by value."""

FLUSH_MODES = ("none", "if_needed", "periodic", "always")
"""Names for Core's `enum class FlushStateMode` (validation.h), by value; newer modes read as `other`."""

TYPE_WIDTH = HEADER["type"].itemsize

_text = lru_cache(maxsize=4096)(printable)
_NUMBER = {probe.full_name: number for number, probe in enumerate(PROBES)}
_MESSAGES = (_NUMBER["net:inbound_message"], _NUMBER["net:outbound_message"])


def headers(buf: Array, offsets: Array) -> Array:
    """The headers of records at `offsets`, as a structured array of probes.HEADER."""
    return fields(buf, offsets, HEADER)


@dataclass(slots=True)
class Part:
    """Rows of one table and the event that each comes from."""

    batch: pa.RecordBatch
    events: Array


@dataclass(slots=True)
class Records:
    """Records of one process taken apart: messages, and rows of other tables. Events are numbered as the records are."""

    messages: RawMessages
    message_events: Array
    parts: dict[str, list[Part]] = field(default_factory=dict)

    def merged(self) -> tuple[dict[str, pa.RecordBatch], dict[str, Array]]:
        """Rows by table, those of different probes back in order of arrival, and their events."""
        rows: dict[str, pa.RecordBatch] = {}
        events: dict[str, Array] = {}
        for name, parts in self.parts.items():
            numbers = np.concatenate([p.events for p in parts])
            order = np.argsort(numbers, kind="stable")
            table = pa.Table.from_batches([p.batch for p in parts]).unify_dictionaries().combine_chunks()
            rows[name] = table.take(pa.array(order)).combine_chunks().to_batches()[0] if len(parts) > 1 else parts[0].batch
            events[name] = numbers[order]
        return rows, events


class RecordReader:
    """Takes the records of one process apart. Keeps the codes of message types between calls, and nothing else."""

    def __init__(self, identity: Identity) -> None:
        """Rows will carry `identity`."""
        self.identity = identity
        self.names = TypeNames()

    def read(self, buf: Array, offsets: Array, head: Array, utc_offset: int) -> Records:
        """Take records apart.

        Args:
            buf: uint8, with wire.raw.PAD bytes of anything at its end.
            offsets: where in `buf` each record begins.
            head: the records' headers (see `headers`).
            utc_offset: UTC minus the kernel's monotonic clock, ns.
        """
        probe = head["probe"]
        ts = head["ts"].astype(np.int64) + utc_offset
        is_message = (probe == _MESSAGES[0]) | (probe == _MESSAGES[1])
        events = np.flatnonzero(is_message)
        out = Records(self._messages(buf, offsets, head, ts, events), events)
        if len(events) < len(head):
            for number in np.unique(probe[~is_message]).tolist():
                where = np.flatnonzero(probe == number)
                table, made = _row_maker(number)
                rows = made(_bodies(buf, offsets[where], number), head[where], utc_offset)
                rows |= {"ts": ts[where], "seq": head["seq"][where].astype(np.int64)}
                out.parts.setdefault(table.name, []).append(Part(table.build(self.identity, rows), where))
        return out

    def _messages(self, buf: Array, offsets: Array, head: Array, ts: Array, at: Array) -> RawMessages:
        if len(at) != len(head):
            head, offsets, ts = head[at], offsets[at], ts[at]
        unreadable = (head["flags"] & UNREADABLE).astype(bool)
        kept = head["kept"].astype(np.int64)
        if unreadable.any():
            kept[unreadable] = 0
        return RawMessages(
            buf=buf,
            ts=ts,
            seq=head["seq"].astype(np.int64),
            peer=head["peer"].astype(np.int64),
            inbound=head["probe"] == _MESSAGES[0],
            type=self.names.codes(np.ascontiguousarray(head["type"]).view(np.uint8).reshape(-1, TYPE_WIDTH)),
            size=head["size"].astype(np.int64),
            kept=kept,
            start=offsets + HEADER.itemsize,
            unreadable=unreadable,
            names=self.names.names,
        )


def _bodies(buf: Array, offsets: Array, number: int) -> Array:
    kind = DESCRIBED_BODY if number == DESCRIBED else PROBES[number].body
    windows = np.lib.stride_tricks.sliding_window_view(buf, kind.itemsize)
    return np.asarray(windows[offsets + HEADER.itemsize].view(kind)[:, 0])


def _texts(column: Array) -> list[str]:
    # NumPy strips trailing NULs of an S field; what follows an inner NUL is not part of the C string.
    return [_text(value.split(b"\0", 1)[0]) for value in column.tolist()]


def _network(codes: Array) -> list[str]:
    return [NETWORKS[c] if c < len(NETWORKS) else "unroutable" for c in codes.tolist()]


def _raw(column: Array) -> Array:
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), 32)


_Rows = dict[str, Any]
_Maker = Callable[[Array, Array, int], _Rows]


def _opened(inbound: bool) -> _Maker:  # noqa: FBT001 - a direction, not an option
    def make(body: Array, head: Array, _offset: int) -> _Rows:
        return {
            "peer": head["peer"].astype(np.int64),
            "event": ["opened"] * len(body),
            "inbound": np.full(len(body), inbound),
            "address": _texts(body["address"]),
            "network": _network(body["network"]),
            "conn_type": _texts(body["conn_type"]),
            "established": head["ts"].astype(np.int64) + _offset,
            "open_connections": body["open_connections"].astype(np.int64),
        }

    return make


def _ended(event: str) -> _Maker:
    def make(body: Array, head: Array, _offset: int) -> _Rows:
        conn_type = _texts(body["conn_type"])
        return {
            "peer": head["peer"].astype(np.int64),
            "event": [event] * len(body),
            "inbound": [kind == "inbound" for kind in conn_type],
            "address": _texts(body["address"]),
            "network": _network(body["network"]),
            "conn_type": conn_type,
            "established": body["established"].astype(np.int64) * SECOND,
        }

    return make


def _described(body: Array, head: Array, _offset: int) -> _Rows:
    conn_type = _texts(body["conn_type"])
    return {
        "peer": head["peer"].astype(np.int64),
        "event": ["described"] * len(body),
        "inbound": [kind == "inbound" for kind in conn_type],
        "address": _texts(body["address"]),
        "conn_type": conn_type,
    }


def _misbehaving(body: Array, head: Array, _offset: int) -> _Rows:
    return {"peer": head["peer"].astype(np.int64), "event": ["misbehaving"] * len(body), "reason": _texts(body["reason"])}


def _mempool(event: str) -> _Maker:
    def make(body: Array, _head: Array, _offset: int) -> _Rows:
        fields = body.dtype.names or ()
        rows: _Rows = {"event": [event] * len(body), "txid": _raw(body["txid"])}
        if "reason" in fields:
            rows["reason"] = _texts(body["reason"])
        for name in ("vsize", "fee", "replacement_vsize", "replacement_fee"):
            if name in fields:
                rows[name] = body[name].astype(np.int32 if name.endswith("vsize") else np.int64)
        if "entered" in fields:
            rows["entered"] = body["entered"].astype(np.int64) * SECOND
        if "replacement" in fields:
            rows["replacement"] = _raw(body["replacement"])
            rows["by_transaction"] = body["by_transaction"] != 0
        return rows

    return make


def _block(body: Array, _head: Array, _offset: int) -> _Rows:
    numbers = {n: body[n].astype(np.int64) for n in ("transactions", "inputs", "sigops", "duration")}
    return {"hash": _raw(body["hash"]), "height": body["height"].astype(np.int32), **numbers}


def _flush(body: Array, _head: Array, _offset: int) -> _Rows:
    return {
        "event": ["flush"] * len(body),
        "duration": body["duration"].astype(np.int64),
        "mode": [FLUSH_MODES[m] if m < len(FLUSH_MODES) else "other" for m in body["mode"].tolist()],
        "coins": body["coins"].astype(np.int64),
        "memory": body["memory"].astype(np.int64),
        "for_prune": body["for_prune"] != 0,
    }


_MAKERS: dict[str, tuple[type[Table], _Maker]] = {
    "net:inbound_connection": (Connection, _opened(True)),
    "net:outbound_connection": (Connection, _opened(False)),
    "net:closed_connection": (Connection, _ended("closed")),
    "net:evicted_inbound_connection": (Connection, _ended("evicted")),
    "net:misbehaving_connection": (Connection, _misbehaving),
    "mempool:added": (Mempool, _mempool("added")),
    "mempool:removed": (Mempool, _mempool("removed")),
    "mempool:replaced": (Mempool, _mempool("replaced")),
    "mempool:rejected": (Mempool, _mempool("rejected")),
    "validation:block_connected": (Block, _block),
    "utxocache:flush": (Utxocache, _flush),
}


def _row_maker(number: int) -> tuple[type[Table], _Maker]:
    return (Connection, _described) if number == DESCRIBED else _MAKERS[PROBES[number].full_name]
