"""Raw messages become rows: grouped by layout, each group dissected at once, rows put back in order of arrival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from peerwatch.schema.batch import Array
from peerwatch.schema.table import Identity, Table, to_arrow
from peerwatch.schema.tables.message import Message
from peerwatch.wire.columns import labels
from peerwatch.wire.dissector import MAX_PROTOCOL_MESSAGE_LENGTH, Dissector, Payloads, WireError
from peerwatch.wire.raw import RawMessages
from peerwatch.wire.registry import all_dissectors

_ERRORS = pa.array([error.name.lower() for error in WireError if error is not WireError.NONE])


@dataclass(frozen=True, slots=True)
class Dissection:
    """Rows of raw messages: `tables` (`message` first, others only if they have rows), and `message_of[table]`, which says for
    each row the index of its message and never decreases.
    """

    tables: dict[str, pa.RecordBatch]
    message_of: dict[str, Array]


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows that one dissector made for a table; `message` holds indices into the raw messages."""

    columns: Mapping[str, Any]
    message: Array


def dissect(identity: Identity, raw: RawMessages, key: bytes) -> Dissection:
    """Dissect messages.

    Args:
        identity: whose rows they become.
        raw: messages in order of arrival; unreadable ones have nothing kept, and get no error.
        key: the archive's secret for inventory items, keyed_hash.KEY_BYTES long.
    """
    error = np.zeros(len(raw), np.int8)
    parts: dict[type[Table], list[_Part]] = {}
    for dissector, where in _groups(raw):
        made = dissector.dissect(
            Payloads(raw.buf, raw.start[where], raw.kept[where], raw.size[where], raw.type[where], raw.names, key)
        )
        error[where] = made.error
        if dissector.table is not None and len(made.message):
            parts.setdefault(dissector.table, []).append(_Part(made.columns, where[made.message]))
    error[raw.size > MAX_PROTOCOL_MESSAGE_LENGTH] = WireError.OVERSIZED
    tables = {Message.name: Message.build(identity, _message_columns(raw, error))}
    message_of = {Message.name: np.arange(len(raw))}
    for table, made_parts in parts.items():
        part = _merged(table, made_parts)
        of = part.message
        columns = {"ts": raw.ts[of], "seq": raw.seq[of], "peer": raw.peer[of], "inbound": raw.inbound[of], **part.columns}
        tables[table.name] = table.build(identity, columns)
        message_of[table.name] = of
    return Dissection(tables, message_of)


def _groups(raw: RawMessages) -> list[tuple[Dissector, Array]]:
    """Each dissector that has messages, with their indices in ascending order."""
    dissectors = all_dissectors()
    number = {name: i for i, d in enumerate(dissectors) for name in d.types}
    group_of_code = np.array([number.get(name, len(dissectors)) for name in raw.names], np.uint8)
    group = group_of_code[raw.type]
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(dissectors) + 1))
    return [(d, order[bounds[i] : bounds[i + 1]]) for i, d in enumerate(dissectors) if bounds[i] < bounds[i + 1]]


def _message_columns(raw: RawMessages, error: Array) -> dict[str, Any]:
    wrong = pa.array(error.astype(np.int16) - 1, mask=error == WireError.NONE)
    return {
        "ts": raw.ts,
        "seq": raw.seq,
        "peer": raw.peer,
        "inbound": raw.inbound,
        "type": labels(raw.type, raw.names),
        "size": raw.size.astype(np.uint32),
        "kept": raw.kept.astype(np.uint32),
        "unreadable": raw.unreadable,
        "error": pa.DictionaryArray.from_arrays(wrong, _ERRORS),
    }


def _merged(table: type[Table], parts: Sequence[_Part]) -> _Part:
    """Rows of several dissectors in order of arrival; those of one message stay together, in their order."""
    if len(parts) == 1:
        return parts[0]
    message = np.concatenate([p.message for p in parts])
    sorting = np.argsort(message, kind="stable")
    order = pa.array(sorting)
    columns = {}
    for name in sorted({name for p in parts for name in p.columns}):
        arrow = table.columns[name].arrow
        pieces = [to_arrow(p.columns.get(name), arrow, len(p.message)) for p in parts]
        columns[name] = pc.take(pa.concat_arrays(pieces), order, boundscheck=False)
    return _Part(columns, message[sorting])
