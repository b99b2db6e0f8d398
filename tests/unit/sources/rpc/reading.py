"""Answers for readers, and the rows that they make."""

from __future__ import annotations

import json
from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.rpc._api import Answer, Reader

NOW = 1_760_000_000 * SECOND


def answer(method: str, result: Any, at_s: float = 0) -> Answer:
    """An answer that came `at_s` after NOW, asked for a second earlier."""
    at = NOW + int(at_s * SECOND)
    return Answer(method, json.dumps(result).encode(), at - SECOND, at)


def read(reader: Reader, *answers: Answer) -> dict[str, list[dict[str, Any]]]:
    """Rows of answers by table as they are recorded, without what says whose they are."""
    gathered = Gathered("alice", "rpc", NOW)
    for each in answers:
        for rows in reader.read(each):
            assert rows[0] in reader.tables
            gathered.add_rows(rows)
    (chunk,) = gathered.take(NOW)
    for batch in chunk.rows.values():
        batch.validate(full=True)
    without = ("node", "session", "source", "seq")
    return {
        name: [{key: value for key, value in row.items() if key not in without} for row in batch.to_pylist()]
        for name, batch in chunk.rows.items()
    }
