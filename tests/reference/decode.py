"""The plain decoder of every layout, and raw messages to give to both decoders."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np
import pyarrow as pa

from peerwatch.schema.table import Identity
from peerwatch.wire.dissect import dissect
from peerwatch.wire.raw import PAD, RawMessages, TypeNames
from peerwatch.wire.registry import dissector_of_type
from tests.reference import messages
from tests.reference.reader import Reader, Row, Stopped

KEY = bytes(range(7, 47))
IDENTITY = Identity("alice", 1, "capture")
CALLERS = {"node", "session", "source", "ts", "seq", "peer", "inbound"}
"""Columns that a dissector does not fill."""

LONGEST = 4_000_000
"""Longest payload that a node accepts (Core, net.h: MAX_PROTOCOL_MESSAGE_LENGTH)."""

Sent = tuple[str, bytes, int]
"""A message: type, bytes kept, bytes sent."""
Result = tuple[list[Row], str | None]
"""Rows of a message, and its error."""


@cache
def layouts() -> dict[str, ModuleType]:
    """The reference module of each message type."""
    names = [info.name for info in pkgutil.iter_modules(messages.__path__)]
    modules = [importlib.import_module(f"{messages.__name__}.{name}") for name in names]
    return {kind: module for module in modules for kind in module.TYPES}


def decode(kind: str, kept: bytes, size: int) -> Result:
    """What the plain decoder makes of one message."""
    reader = Reader(kept, size, KEY)
    rows: list[Row] = []
    error = None
    try:
        for row in layouts()[kind].decode(reader, kind):
            rows.append(row)  # noqa: PERF402 - what came before the stop is wanted
        error = None if reader.ended else "trailing"
    except Stopped as stopped:
        error = stopped.error
    return rows, "oversized" if size > LONGEST else reader.noted or error


def raw(sent: Sequence[Sent], junk: int = 0x5A) -> RawMessages:
    """Messages as a source gives them, with bytes `junk` between and after the payloads where nothing may look."""
    names = TypeNames()
    gap = bytes([junk]) * 40
    kept = np.array([len(k) for _, k, _ in sent], np.int64)
    n = len(sent)
    return RawMessages(
        buf=np.frombuffer(gap + b"".join(k + gap for _, k, _ in sent) + bytes(PAD), np.uint8),
        ts=np.arange(n) * 1000,
        seq=np.arange(n) + 5,
        peer=np.arange(n) % 3,
        inbound=np.arange(n) % 2 == 0,
        type=np.array([names.code(t.encode()) for t, _, _ in sent], np.int16),
        size=np.array([s for _, _, s in sent], np.int64),
        kept=kept,
        start=len(gap) + np.cumsum(kept + len(gap)) - kept - len(gap),
        unreadable=np.zeros(n, bool),
        names=names.names,
    )


def dissected(messages_: RawMessages) -> list[Result]:
    """What the dissectors make of messages, in the form of `decode`."""
    dissection = dissect(IDENTITY, messages_, KEY)
    errors = dissection.tables["message"].column("error").to_pylist()
    results: list[Result] = [([], error) for error in errors]
    types = [messages_.names[code] for code in messages_.type.tolist()]
    for name, batch in dissection.tables.items():
        batch.validate(full=True)
        if name == "message":
            continue
        for of, row in zip(dissection.message_of[name].tolist(), _rows(batch), strict=True):
            table = dissector_of_type()[types[of]].table
            assert table is not None
            assert table.name == name
            results[of][0].append(row)
    return results


def _rows(batch: pa.RecordBatch) -> list[Row]:
    return batch.select([name for name in batch.schema.names if name not in CALLERS]).to_pylist()
