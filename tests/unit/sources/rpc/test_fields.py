"""Fields of answers."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc import fields as f
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.fields import Field, Fields, optional

HUGE = 2**63


@pytest.mark.parametrize(
    ("take", "value", "made"),
    [
        (f.integer, -5, -5),
        (f.count, 0, 0),
        (f.count, -1, None),
        (f.size, 2**32 - 1, 2**32 - 1),
        (f.system, 64_500, 64_500),
        (f.system, 0, None),
        (f.number, 3, 3.0),
        (f.per_mille, 1.5, 0.0015),
        (f.flag, False, False),
        (f.time_ns, 5, 5 * SECOND),
        (f.time_ns, 0, None),
        (f.duration_ns, 0.000128, 128_000),
        (f.duration_ns, -1, None),
        (f.satoshi, 0.00001, 1000),
        (f.hash32, "01" + "00" * 31, bytes(31) + b"\1"),
        (f.bits, "ffffffffffffffff", 2**64 - 1),
        (f.label, "not_publicly_routable", "not_publicly_routable"),
        (f.text, "a\x1b[31m\u20ac\\", r"a\x1b[31m\xe2\x82\xac\x5c"),
        (f.text, "x" * 200, "x" * 128),
        (f.agent, "x" * 300, "x" * 256),
        (f.names, ["noban", "relay"], "noban,relay"),
        (f.names, [], ""),
        (f.warnings, "", None),
        (f.warnings, [], None),
        (f.warnings, "one", "one"),
        (f.warnings, ["one", "two"], "one; two"),
        (f.warnings, ["x" * 600], "x" * 500),
        (f.length, [1, "a"], 2),
        (f.objects, [{}], [{}]),
        (f.sizes, {"ping": 5, "pong": -1}, {"ping": 5}),
        (f.peers, [3, 1, 3], {1, 3}),
        (f.endpoint, "1.2.3.4:8333", ("1.2.3.4", 8333)),
        (f.endpoint, "[2001:db8::1]:8333", ("2001:db8::1", 8333)),
        (f.endpoint, "[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        (f.endpoint, "abc.onion", ("abc.onion", None)),
        (f.port, 65_535, 65_535),
    ],
)
def test_values_are_what_columns_want(take: f.Take, value: Any, made: Any) -> None:
    """In units of the tables; what stands for none is None."""
    assert take(value) == made
    assert type(take(value)) is type(made)


@pytest.mark.parametrize(
    ("take", "values"),
    [
        (f.integer, [True, 1.0, "1", HUGE, -HUGE - 1, [], {}]),
        (f.count, [False, HUGE, 0.5]),
        (f.size, [-1, 2**32]),
        (f.system, [2**32, "1"]),
        (f.number, [True, "1", HUGE, 10**400, 1e300]),
        (f.flag, [0, 1, "true"]),
        (f.time_ns, [HUGE // SECOND, 1.5]),
        (f.duration_ns, [1e10, "1"]),
        (f.satoshi, [-0.1, 21_000_001, "1"]),
        (f.hash32, ["00" * 31, "zz" * 32, "AA" * 32, 5]),
        (f.bits, ["", "0x1", "1" * 17, "-1", 5]),
        (f.label, ["", "A", "a b", "x" * 33, 1, "a\n"]),
        (f.text, [1, ["a"]]),
        (f.names, ["a", [1], {"a": 1}]),
        (f.warnings, [1, [1]]),
        (f.length, ["abc", {}]),
        (f.objects, [[1], {}]),
        (f.sizes, [[], {"a": "b"}]),
        (f.peers, [["1"], [-1], 1]),
        (f.endpoint, ["", ":", "1.2.3.4:99999", "a b:1", "[::1", 5, "::1", "x" * 65, "a:1\n"]),
        (f.port, [-1, 65_536, "1"]),
    ],
)
def test_values_of_another_type_are_refused(take: f.Take, values: list[Any]) -> None:
    """With ValueError, whatever they are."""
    for value in values:
        with pytest.raises(ValueError):  # noqa: PT011 - it has no text
            take(value)


TAKES = [
    f.integer, f.count, f.size, f.sizes, f.peers, f.system, f.number, f.per_mille, f.flag, f.time_ns, f.duration_ns, f.satoshi,
    f.hash32, f.bits, f.label, f.text, f.agent, f.names, f.warnings, f.objects, f.length, f.endpoint, f.port,
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(TAKES), JSON)
def test_whatever_stands_there(take: f.Take, value: Any) -> None:
    """A value is taken, or refused by the one error that says so."""
    with contextlib.suppress(ValueError):
        take(value)


@given(st.integers(0, 21_000_000 * 100_000_000))
def test_amounts_are_exact(satoshi: int) -> None:
    """Every amount that there can be, as Core writes it with eight places, comes back."""
    assert f.satoshi(msgspec.json.decode(f"{Decimal(satoshi) / 100_000_000:.8f}")) == satoshi


A, LATER, EARLIER, MAYBE = (
    Field("a", f.count),
    Field("b", f.count, since=30),
    Field("c", f.count, until=20),
    optional("d", f.count),
)


@pytest.mark.parametrize(("version", "lacking"), [(0, ["m.a", "m.c"]), (20, ["m.a"]), (29, ["m.a"]), (30, ["m.a", "m.b"])])
def test_a_missing_field_is_remarked_if_the_version_has_it(version: int, lacking: list[str]) -> None:
    """It is null in any case."""
    fields = Fields("m", Known(version=version))
    columns = {"a": A, "b": LATER, "c": EARLIER, "d": MAYBE}
    assert fields.columns([{}, {"a": None}], columns) == {name: [None, None] for name in columns}
    assert fields.lacking() == lacking


def test_a_field_that_was_there_once_is_not_missing() -> None:
    """Up to version 24, Core leaves out fields of a peer that is just going."""
    fields = Fields("m", Known())
    assert fields.columns([{}, {"a": 5}], {"x": A}) == {"x": [None, 5]}
    assert fields.lacking() == []


def test_a_value_of_another_type_is_remarked() -> None:
    """Even where the field may be missing, and once it was right."""
    fields = Fields("m", Known())
    assert fields.columns([{"d": 1}, {"d": "1"}], {"x": MAYBE}) == {"x": [1, None]}
    assert fields.lacking() == ["m.d"]


def test_fields_of_inner_objects() -> None:
    """A dot leads inside; what is no object there has no fields."""
    fields, inner = Fields("m", Known()), {"x": Field("a.b", f.count)}
    assert fields.columns([{"a": {"b": 1}}, {"a": 1}, {}], inner) == {"x": [1, None, None]}


def test_labels_are_bounded() -> None:
    """A column of labels never has more than some different values."""
    fields = Fields("m", Known())
    objects = [{"l": f"x{i}"} for i in range(2 * f.LABELS)] + [{"l": "x0"}]
    (values,) = fields.columns(objects, {"x": Field("l", f.label)}).values()
    assert len(set(values) - {None}) == f.LABELS
    assert values[-1] == "x0"
    assert fields.lacking() == ["m.l"]


def test_seconds_may_be_less_than_none() -> None:
    """A node whose clock was set back says so of its uptime; what no clock can give is refused."""
    assert f.read_seconds(b"-5") == -5
    for raw in (b"1.5", b"9999999999999", b'"1"', b"null", b"[" * 100_000):
        with pytest.raises(msgspec.MsgspecError):
            f.read_seconds(raw)


@pytest.mark.parametrize("result", [b"[]", b"1", b"null", b'{"a":', b"\xff", b'{"a":"\xff"}', b"[" * 5000, b'{"a":' * 5000])
def test_answers_that_are_no_object(result: bytes) -> None:
    """Only msgspec's errors come of them."""
    with pytest.raises(msgspec.MsgspecError):
        f.read_object(result)
