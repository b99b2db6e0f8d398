"""Every reader makes valid rows of what nodes of all versions answer, and of whatever else comes."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.schema.registry import all_tables
from peerwatch.sources.gathered import Gathered
from peerwatch.sources.rpc._api import Answer, Known, Reader
from peerwatch.sources.rpc.registry import make_readers, methods, reader_classes, tables

DATA = Path(__file__).parents[1] / "data/rpc"
VERSIONS = range(22, 32)
NOW = 1_795_590_000 * SECOND
READERS = sorted(reader_classes())

Tables = dict[str, list[dict[str, Any]]]


@cache
def recorded(version: int) -> dict[str, Any]:
    return json.loads((DATA / f"v{version}.json").read_text())


def known(version: int) -> Known:
    return Known(labels={"role": "honeypot"}, version=recorded(version)["getnetworkinfo"]["version"], started=NOW - 3600 * SECOND)


def rows_of(reader: Reader, answers: Mapping[str, Any], at: int = NOW) -> Tables:
    """Rows by table of what a reader makes of the answers that it asks for, held to the tables' declarations."""
    gathered = Gathered("alice", "rpc", NOW)
    for request in reader.requests:
        if request.method in answers:
            answer = Answer(request.method, json.dumps(answers[request.method]).encode(), at - SECOND, at)
            for rows in reader.read(answer):
                assert rows[0] in reader.tables or rows[0].name == "loss"
                gathered.add_rows(rows)
    return valid(gathered)


def valid(gathered: Gathered) -> Tables:
    (chunk,) = gathered.take(NOW)
    for batch in chunk.rows.values():
        batch.validate(full=True)
    return {name: batch.to_pylist() for name, batch in chunk.rows.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read(version: int) -> None:
    """Every table has rows but for methods that the version has not, and no field is missed that it does not have."""
    readers = make_readers(known(version))
    found: set[str] = set()
    for reader in readers:
        found |= rows_of(reader, recorded(version)).keys()
        assert list(reader.lacking()) == []
    later = {each for method in methods() if method.since > version * 10_000 for each in method.tables}
    assert found == {table.name for table in tables()} - later
    assert later == {name for name, since in LATER.items() if since > version}


LATER = {"addrman_entry": 26, "addrman_state": 26, "addrman_table": 26, "orphan_state": 29}


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != 29])
def test_answers_of_other_versions_are_as_derived(version: int) -> None:
    """What stands in the file is what the script makes of the recorded answers."""
    spec = importlib.util.spec_from_file_location("derive", DATA / "derive.py")
    assert spec
    assert spec.loader
    derive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(derive)
    assert (DATA / f"v{version}.json").read_text() == derive.written(derive.derived(version))


@pytest.mark.parametrize("version", VERSIONS)
def test_fields_come_and_go_with_versions(version: int) -> None:
    """A column is null exactly where the version has no such field."""
    (row, *_) = rows_of(reader_classes()["peers"](known(version)), recorded(version))["peer_state"]
    spans = {"addr_relay": (23, 99), "presynced_headers": (0, 0), "transport": (26, 99), "starting_height": (0, 31)}
    spans |= {"inv_to_send": (31, 99), "last_inv_sequence": (31, 99), "cpu_load": (29, 30), "addr_processed": (0, 99)}
    assert {name: row[name] is not None for name in spans} == {name: a <= version < b for name, (a, b) in spans.items()}


@pytest.mark.parametrize("name", READERS)
def test_an_answer_is_asked_for_as_declared(name: str) -> None:
    """Tables are registered ones, methods read only, and none wants a call more often than Core bears."""
    reader = reader_classes()[name]
    assert {table.name for table in reader.tables} <= all_tables().keys()
    for request in reader.requests:
        assert request.method.startswith(("get", "list"))
        assert request.every_s >= (120 if request.method == "getrawaddrman" else 10)


def without(answer: Any, path: tuple[str, ...]) -> Any:
    """An answer without a field, in every object that it is or is an array of."""
    answer = copy.deepcopy(answer)
    for each in answer if isinstance(answer, list) else [answer]:
        inner = each
        for part in path[:-1]:
            inner = inner[part]
        inner.pop(path[-1], None)
    return answer


def paths(answer: Any) -> Iterator[tuple[str, ...]]:
    first = answer[0] if isinstance(answer, list) else answer
    for name, value in first.items():
        yield (name,)
        if isinstance(value, dict) and name in ("locked", "uploadtarget"):
            yield from ((name, inner) for inner in value)


KEYS = {
    "getpeerinfo": {"id", "inbound", "addrbind", "bytessent_per_msg", "bytesrecv_per_msg"},
    "getchaintips": {"hash", "height", "branchlen", "status"},
    "getorphantxs": {"bytes", "from"},
    "listbanned": {"address"},
    "getnetworkinfo": {"localaddresses"},
}
"""Fields without which there are fewer rows, or others."""


@pytest.mark.parametrize("name", [name for name in READERS if name != "addrman"])  # in which an entry is read whole, or not
def test_a_missing_field_is_null(name: str) -> None:
    """Without any one field, rows are the same but for columns that are null; without what a row is about, there are no more."""
    make = reader_classes()[name]
    whole = rows_of(make(known(29)), recorded(29))
    for request in make.requests:
        for path in paths(recorded(29)[request.method]):
            answers = {**recorded(29), request.method: without(recorded(29)[request.method], path)}
            rows = rows_of(make(known(29)), answers)
            for table, of in whole.items():
                assert len(rows.get(table, ())) <= len(of), path
                if path[0] in KEYS.get(request.method, ()):
                    continue
                for row, before in zip(rows[table], of, strict=True):
                    assert {k: v for k, v in row.items() if v is not None}.items() <= before.items(), path


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300)
    | st.sampled_from(["ff" * 32, "[::1]:8333", "1.2.3.4:99999", "invalid", "\x1b[31m", "-1", 10**400])
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4))


def changed(value: Any, draw: st.DataObject, depth: int = 0) -> Any:
    """An answer with something in it replaced by anything."""
    if not isinstance(value, dict | list) or not value or (depth and draw.draw(st.integers(0, 3)) == 0):
        return draw.draw(JSON)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in draw.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3)):
        value[key] = changed(value[key], draw, depth + 1)
    return value


@pytest.mark.parametrize("name", READERS)
@given(draw=st.data())
def test_whatever_comes_is_refused_or_makes_valid_rows(name: str, draw: st.DataObject) -> None:
    """Nothing but msgspec's errors is raised, and every row is one of its table."""
    reader = reader_classes()[name](known(29))
    request = draw.draw(st.sampled_from(list(reader.requests)))
    gathered = Gathered("alice", "rpc", NOW)
    for at in (NOW, NOW + 61 * SECOND, NOW - 61 * SECOND):
        answer = draw.draw(JSON) if draw.draw(st.booleans()) else changed(copy.deepcopy(recorded(29)[request.method]), draw)
        try:
            for rows in reader.read(Answer(request.method, json.dumps(answer).encode(), at, at)):
                gathered.add_rows(rows)
        except msgspec.MsgspecError:
            continue
    valid(gathered)
    assert all(each.partition(".")[0] in {r.method for r in reader.requests} for each in reader.lacking())


@pytest.mark.parametrize("name", [name for name in READERS if name != "addrman"])
@pytest.mark.parametrize(
    "raw", [b"", b"nul", b'{"a":"\xff"}', b'[{"a":"\xff"}]', b"[" * 100_000, b'{"a":' * 100_000, b'{"a":1e999}']
)
def test_bytes_that_are_no_json(name: str, raw: bytes) -> None:
    """They are refused with msgspec's errors, however deep they are."""
    reader = reader_classes()[name](known(29))
    for request in reader.requests:
        with pytest.raises(msgspec.MsgspecError):
            list(reader.read(Answer(request.method, raw, NOW, NOW)))
