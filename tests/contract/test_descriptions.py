"""Whatever a message of any type holds, it can be described and shown."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from peerwatch.app.describe import DESCRIPTIONS
from peerwatch.app.message_details import Dissected
from peerwatch.app.message_lines import Lines, json_line
from peerwatch.schema.registry import all_tables
from peerwatch.wire.dissect import dissect
from peerwatch.wire.registry import all_dissectors, dissector_of_type
from tests.reference.decode import CALLERS, IDENTITY, KEY, Sent, layouts, raw


def test_every_table_of_a_dissector_is_described() -> None:
    """And no other; tables of entries are counted by one of their columns, and what goes along with them is a table, too."""
    assert DESCRIPTIONS.keys() == {d.table.name for d in all_dissectors() if d.table}
    for name, description in DESCRIPTIONS.items():
        columns = all_tables()[name].columns
        assert (description.by is not None) == ("idx" in columns)
        assert description.by is None or description.by in columns
        assert description.also is None or "idx" in all_tables()[description.also].columns


def shown(sent: list[Sent]) -> list[Dissected]:
    """Messages with what they say, as it would be found in an archive."""
    dissection = dissect(IDENTITY, raw(sent), KEY)
    found: list[dict[str, list[dict[str, Any]]]] = [{} for _ in sent]
    for name, batch in dissection.tables.items():
        own = [column for column in batch.schema.names if column not in CALLERS]
        for of, row in zip(dissection.message_of[name].tolist(), batch.select(own).to_pylist(), strict=True):
            found[of].setdefault(name, []).append(row)
    messages = dissection.tables["message"].to_pylist()
    counted = [
        {name: dict(Counter(r[by] for r in rows).most_common()) for name, rows in of.items() if (by := _by(name)) is not None}
        for of in found
    ]
    return [
        Dissected(row, None, {name: rows for name, rows in of.items() if name != "message"}, counts)
        for row, of, counts in zip(messages, found, counted, strict=True)
    ]


def _by(name: str) -> str | None:
    return DESCRIPTIONS[name].by if name in DESCRIPTIONS else None


@pytest.mark.parametrize("kind", sorted(dissector_of_type()))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_message_can_be_shown(kind: str, data: Any) -> None:
    """Well formed, cut or noise: a line of printable text, rows below it, and valid JSON."""
    payload = data.draw(st.one_of(layouts()[kind].payloads(kind), st.binary(max_size=300)))
    kept = payload[: data.draw(st.integers(0, len(payload)))]
    messages = shown([(kind, payload, len(payload)), (kind, kept, len(payload)), (kind, kept, len(kept))])
    out = io.StringIO()
    Lines(Console(file=out), verbose=True).write(messages, {"alice"})
    assert set(out.getvalue()) <= {*map(chr, range(32, 127)), "\n", "←", "→"}
    assert sum(not line.startswith(" ") for line in out.getvalue().splitlines()) == len(messages)
    for each in messages:
        facts = json.loads(json_line(each), parse_constant=pytest.fail)
        assert {name: len(rows) for name, rows in facts["fields"].items()} == {n: len(rows) for n, rows in each.fields.items()}
