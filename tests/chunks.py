"""Chunks of sources for tests: read whole, and cut into small ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from peerwatch.schema.table import Identity
from peerwatch.sources._api import Chunk, Source
from peerwatch.sources.pace import part
from peerwatch.wire.dissect import dissect


def chunks_of(source: Source) -> list[Chunk]:
    """Everything that a source has until it ends."""
    chunks: list[Chunk] = []
    while (more := source.read()) is not None:
        chunks += more
    source.close()
    return chunks


def cut(chunks: Iterable[Chunk], size: int) -> Iterator[Chunk]:
    """The same chunks in parts of at most `size` events, with watermarks that do not go back."""
    marks: dict[Identity, int] = {}
    for chunk in chunks:
        for first in range(0, len(chunk.events), size) or [0]:
            piece = part(chunk, first, min(first + size, len(chunk.events)))
            mark = marks[chunk.identity] = max(piece.watermark, marks.get(chunk.identity, 0))
            yield replace(piece, watermark=mark)


def rows_of(chunk: Chunk) -> list[tuple[str, dict[str, Any]]]:
    """All rows of a chunk with their tables, those of messages too; that chunk and rows are as a source promises.

    Events are numbered, each message and row says which it is, no event is without one, and nothing decreases.
    """
    tables, of = dict(chunk.rows), dict(chunk.row_events)
    assert tables.keys() == of.keys()
    assert len(chunk.message_events) == len(chunk.messages)
    if len(chunk.messages):
        assert "message" not in tables
        tables["message"] = dissect(chunk.identity, chunk.messages, bytes(40)).tables["message"]
        of["message"] = chunk.message_events
    rows = []
    for name, batch in tables.items():
        batch.validate(full=True)
        assert batch.num_rows
        assert (np.diff(of[name]) >= 0).all()
        assert batch.column("ts").to_pylist() == chunk.events[of[name]].tolist()
        rows += [(name, row) for row in batch.to_pylist()]
    assert {i for own in of.values() for i in own.tolist()} == set(range(len(chunk.events)))
    json.dumps(chunk.position)
    return rows
