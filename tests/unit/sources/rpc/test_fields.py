"""Fields of answers, each read by itself."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc import fields
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.fields import Field, Fields, optional

TAKES = [
    fields.integer, fields.count, fields.size, fields.sizes, fields.peers, fields.system, fields.number, fields.per_mille,
    fields.flag, fields.time_ns, fields.duration_ns, fields.satoshi, fields.hash32, fields.bits, fields.label, fields.text,
    fields.agent, fields.names, fields.warnings, fields.objects, fields.length, fields.endpoint, fields.port,
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(TAKES), JSON)
def test_whatever_stands_there(take: Any, value: Any) -> None:
    """A value is taken, or refused by the one error that says so."""
    with contextlib.suppress(ValueError):
        take(value)


@pytest.mark.parametrize(
    ("take", "value", "expected"),
    [
        (fields.count, -1, None),
        (fields.time_ns, 0, None),
        (fields.time_ns, 5, 5 * SECOND),
        (fields.duration_ns, 0.000247, 247_000),
        (fields.satoshi, 0.00001, 1000),
        (fields.satoshi, 20_999_999.9769, 2_099_999_997_690_000),
        (fields.bits, "0000000000000c09", 0xC09),
        (fields.hash32, "01" + "00" * 31, bytes(31) + b"\x01"),
        (fields.warnings, "", None),
        (fields.warnings, ["a", "b\x1b"], "a; b\\x1b"),
        (fields.warnings, "old", "old"),
        (fields.endpoint, "[2001:db8::1]:8333", ("2001:db8::1", 8333)),
        (fields.endpoint, "abc.onion", ("abc.onion", None)),
        (fields.system, 0, None),
    ],
)
def test_what_is_made_of_values(take: Any, value: Any, expected: Any) -> None:
    """Units, orders and what Core writes for none."""
    assert take(value) == expected


def test_what_is_lacking_is_remarked() -> None:
    """Fields that the version should have, and those of another type; not those that some answers have."""
    read = Fields("getx", Known(version=290000))
    wanted = {
        "old": Field("old", fields.integer, until=280000),
        "new": Field("new", fields.integer, since=300000),
        "due": Field("deep.due", fields.integer),
        "odd": Field("odd", fields.integer),
        "maybe": optional("maybe", fields.integer),
        "seldom": Field("seldom", fields.integer),
    }
    columns = read.columns([{"odd": "x", "deep": {}, "seldom": 1}, {"deep": 7}], wanted)
    assert columns.pop("seldom") == [1, None]
    assert all(values == [None, None] for values in columns.values())
    assert read.lacking() == ["getx.deep.due", "getx.odd"]


def test_labels_are_bounded() -> None:
    """A name that a node invents again and again is not a label any more."""
    read = Fields("getx", Known())
    wanted = {"kind": Field("kind", fields.label)}
    kinds = [value for n in range(fields.LABELS + 5) for value in read.columns([{"kind": f"k{n}"}], wanted)["kind"]]
    assert kinds.count(None) == 5
    assert read.lacking() == ["getx.kind"]


@pytest.mark.parametrize("result", [b"[]", b"1", b"null", b'{"a":', b"\xff", b"[" * 5000])
def test_answers_that_are_no_object(result: bytes) -> None:
    """Only msgspec's errors come of them."""
    with pytest.raises(msgspec.MsgspecError):
        fields.read_object(result)
