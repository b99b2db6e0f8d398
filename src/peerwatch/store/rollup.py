"""Roll-ups: rows of `rate` per peer and minute and per peer and hour, made of the rows of `message` when these are sealed.

They are partial sums: an interval that two segments share has rows of both, which add up. A roll-up's `seq` is made of that of
the first message in it (twice that, one more for an hour): unique, and the same however often a segment is sealed.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.schema.table import Identity
from peerwatch.schema.tables.rate import Rate

SOURCE = "rollup"
"""Value of `source` in rows made here."""
MINUTE = 60
HOUR = 3600

_KEYS = ["ts", "peer", "inbound", "type"]
_SUMS = [("messages", "sum"), ("bytes", "sum"), ("errors", "sum"), ("seq", "min")]
_FOLD = 64
"""Partial results that are kept before they are added up."""


class Rollup:
    """Sums up messages of one node and session, piece by piece."""

    def __init__(self) -> None:
        """Start with no messages."""
        self._partial: list[pa.Table] = []

    def add(self, messages: pa.RecordBatch) -> None:
        """Take rows of `message`."""
        rows = {
            "ts": _floor(messages["ts"], MINUTE),
            "peer": messages["peer"],
            "inbound": messages["inbound"],
            "type": messages["type"],
            "messages": pa.nulls(messages.num_rows, pa.int64()).fill_null(1),
            "bytes": messages["size"].cast(pa.int64()),
            "errors": messages["error"].is_valid().cast(pa.int64()),
            "seq": messages["seq"],
        }
        sums = _sum(pa.table(rows))
        at = sums.schema.get_field_index("type")
        self._partial.append(sums.set_column(at, "type", sums["type"].cast(pa.utf8())))  # dictionaries differ by piece
        if len(self._partial) >= _FOLD:
            self._partial = [_sum(pa.concat_tables(self._partial))]

    def rows(self, identity: Identity) -> list[pa.RecordBatch]:
        """Rows of `rate` for all messages taken, per minute and per hour, each in order of time and first message."""
        if not self._partial:
            return []
        minutes = _sum(pa.concat_tables(self._partial))
        hours = _sum(minutes.set_column(0, "ts", _floor(minutes["ts"], HOUR)))
        who = Identity(identity.node, identity.session, SOURCE)
        return [_rows(who, minutes, MINUTE), _rows(who, hours, HOUR)]


def _floor(ts: pa.Array | pa.ChunkedArray, width: int) -> pa.Array | pa.ChunkedArray:
    """Start of the interval of `width` seconds that a time lies in, for times before 1970 too."""
    return pc.floor_temporal(ts.cast(pa.timestamp("ns")), width, "second").cast(pa.int64())


def _sum(rows: pa.Table) -> pa.Table:
    """Add up rows of equal keys."""
    summed = rows.group_by(_KEYS, use_threads=False).aggregate(_SUMS)
    return summed.select([*_KEYS, *(f"{name}_{how}" for name, how in _SUMS)]).rename_columns(rows.column_names)


def _rows(identity: Identity, sums: pa.Table, width: int) -> pa.RecordBatch:
    ordered = sums.sort_by([("ts", "ascending"), ("seq", "ascending")]).combine_chunks()
    columns = {name: ordered[name].combine_chunks() for name in ("ts", "peer", "inbound", "type", "messages", "bytes", "errors")}
    columns["type"] = columns["type"].dictionary_encode()
    seq = pc.add(pc.multiply(ordered["seq"], 2), int(width == HOUR)).combine_chunks()
    length = pa.nulls(ordered.num_rows, pa.int32()).fill_null(width)
    return Rate.build(identity, {**columns, "seq": seq, "width": length})
