"""Roll-ups of a second."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.app.rollup import rates
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message

WHO = Identity("alice", 5, "capture")

messages = st.lists(
    st.fixed_dictionaries(
        {
            "ts": st.integers(0, 4 * SECOND) | st.integers(1_700_000_000 * SECOND, 1_700_000_003 * SECOND),
            "inbound": st.booleans(),
            "type": st.sampled_from(["inv", "tx", "ping", "\\x01odd", "*other*"]),
            "size": st.integers(0, (1 << 32) - 1),
            "error": st.sampled_from([None, None, "truncated", "trailing"]),
        }
    ),
    min_size=1,
    max_size=40,
)


def batch(rows: list[dict[str, Any]], first: int = 0) -> pa.RecordBatch:
    n = len(rows)
    own = {name: [r[name] for r in rows] for name in rows[0]}
    return Message.build(WHO, own | {"seq": range(first, first + n), "peer": [1] * n, "kept": [0] * n, "unreadable": [False] * n})


def sums(tables: list[pa.RecordBatch]) -> dict[tuple[int, bool, str], tuple[int, int, int]]:
    """Messages, bytes and errors by second, direction and type."""
    total: dict[tuple[int, bool, str], list[int]] = {}
    for table in tables:
        for r in table.to_pylist():
            entry = total.setdefault((r["ts"], r["inbound"], r["type"]), [0, 0, 0])
            for i, name in enumerate(("messages", "bytes", "errors")):
                entry[i] += r[name]
    return {key: (v[0], v[1], v[2]) for key, v in total.items()}


@settings(max_examples=60, deadline=None)
@given(rows=messages, cut=st.integers(1, 40))
def test_partial_sums_add_up(rows: list[dict[str, Any]], cut: int) -> None:
    """Whatever the batches, rows of a second, direction and type add up to a plain count."""
    whole = [batch(rows)]
    parts = [batch(rows[i : i + cut], i) for i in range(0, len(rows), cut)]
    count: Counter[tuple[int, bool, str]] = Counter()
    size: Counter[tuple[int, bool, str]] = Counter()
    errors: Counter[tuple[int, bool, str]] = Counter()
    for r in rows:
        key = (r["ts"] // SECOND * SECOND, r["inbound"], r["type"])
        count[key] += 1
        size[key] += r["size"]
        errors[key] += r["error"] is not None
    expected = {key: (count[key], size[key], errors[key]) for key in count}
    assert sums([rates(WHO, b) for b in whole]) == sums([rates(WHO, b) for b in parts]) == expected


def test_a_row_of_each_second_direction_and_type() -> None:
    """It has the width of a second, the identity of its messages, no peer, and the number of the first message that it counts."""
    rows = [
        {"ts": 5 * SECOND + 1, "inbound": True, "type": "inv", "size": 10, "error": None},
        {"ts": 5 * SECOND + 2, "inbound": False, "type": "inv", "size": 20, "error": None},
        {"ts": 6 * SECOND - 1, "inbound": True, "type": "inv", "size": 30, "error": "trailing"},
        {"ts": 6 * SECOND, "inbound": True, "type": "inv", "size": 40, "error": None},
    ]
    made = rates(WHO, batch(rows, 7))
    made.validate(full=True)
    found = [{k: v for k, v in r.items() if k not in ("node", "session", "source")} for r in made.to_pylist()]
    shared = {"width": 1, "peer": None, "type": "inv"}
    assert found == [
        shared | {"ts": 5 * SECOND, "seq": 8, "inbound": False, "messages": 1, "bytes": 20, "errors": 0},
        shared | {"ts": 5 * SECOND, "seq": 7, "inbound": True, "messages": 2, "bytes": 40, "errors": 1},
        shared | {"ts": 6 * SECOND, "seq": 10, "inbound": True, "messages": 1, "bytes": 40, "errors": 0},
    ]
    assert {(r["node"], r["session"], r["source"]) for r in made.to_pylist()} == {("alice", 5, "capture")}


def test_sizes_are_summed_without_rounding() -> None:
    """A second of the largest messages is exact to the byte."""
    rows = [{"ts": 0, "inbound": True, "type": "block", "size": (1 << 32) - 1, "error": None}] * 50
    assert np.sum([r["bytes"] for r in rates(WHO, batch(rows)).to_pylist()]) == 50 * ((1 << 32) - 1)
