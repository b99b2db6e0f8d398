"""What every dissector promises, tried on every one that is registered, against the plain decoder of tests/reference."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.wire.dissect import dissect
from peerwatch.wire.dissector import Dissector, Payloads, WireError
from peerwatch.wire.raw import RawMessages
from peerwatch.wire.registry import all_dissectors, dissector_of_type
from tests.reference.decode import CALLERS, IDENTITY, KEY, Sent, decode, dissected, layouts, raw
from tests.reference.reader import compact_size

TYPES = sorted(dissector_of_type())
COUNTS = [0, 1, 2, 252, 253, 999, 1000, 1001, 50_000, 50_001, 2**16, 2**25, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1]

FIRST = 200
"""Bytes at the start of a message of which every one is tried: as far as headers, counts and the first entries reach."""

each_type = pytest.mark.parametrize("kind", TYPES)
each_dissector = pytest.mark.parametrize("dissector", all_dissectors(), ids=lambda d: type(d).__name__)


def whole(kind: str, payload: bytes) -> Sent:
    return kind, payload, len(payload)


def agree(sent: list[Sent]) -> None:
    """Both decoders say the same of the messages, in one batch."""
    assert dissected(raw(sent)) == [decode(*s) for s in sent]


def payloads_of(messages: RawMessages) -> Payloads:
    m = messages
    return Payloads(m.buf, m.start, m.kept, m.size, m.type, m.names, KEY)


def test_every_type_has_a_plain_decoder() -> None:
    """No dissector goes without comparison."""
    assert sorted(layouts()) == TYPES


@each_dissector
def test_says_what_it_is(dissector: Dissector) -> None:
    """Types, need and source are declared, and the class has a docstring."""
    assert dissector.types
    assert dissector.needs >= (dissector.needs_sent or 0) >= 0
    assert dissector.source
    assert type(dissector).__doc__ not in (None, Dissector.__doc__)


@each_type
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_valid_messages_have_no_error(kind: str, data: Any) -> None:
    """What is well formed is dissected without error, as the plain decoder does, wherever it lies in the batch."""
    sent = [whole(kind, p) for p in data.draw(st.lists(layouts()[kind].payloads(kind), min_size=1, max_size=6))]
    assert {error for _, error in dissected(raw(sent))} == {None}
    agree(sent)


@each_type
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_prefix(kind: str, data: Any) -> None:
    """A message that ends early never raises, and is the same to both decoders: as sent, and as cut by us without error."""
    payload = data.draw(layouts()[kind].payloads(kind))
    prefixes = [payload[:n] for n in range(len(payload))]
    agree([whole(kind, p) for p in prefixes])
    cut = [(kind, p, len(payload)) for p in prefixes]
    assert {error for _, error in dissected(raw(cut))} <= {None}
    agree(cut)


@each_type
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_trailing_bytes(kind: str, data: Any) -> None:
    """Bytes after the last field are an error that takes nothing from the rows."""
    payload = data.draw(layouts()[kind].payloads(kind))
    agree([whole(kind, payload + more) for more in (b"\0", b"\xff", bytes(100))])


@each_type
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_messages(kind: str, data: Any) -> None:
    """Bits flipped, bytes put in or taken out: both decoders still agree."""
    payload = bytearray(data.draw(layouts()[kind].payloads(kind)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload)))
        what = data.draw(st.sampled_from(["flip", "put", "take"]))
        if what == "put":
            payload[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        elif what == "take":
            del payload[at : at + data.draw(st.integers(1, 9))]
        elif at < len(payload):
            payload[at] ^= 1 << data.draw(st.integers(0, 7))
    kept = data.draw(st.integers(0, len(payload)))
    agree([whole(kind, bytes(payload)), (kind, bytes(payload[:kept]), len(payload))])


@each_type
@settings(max_examples=60, deadline=None)
@given(noise=st.lists(st.binary(max_size=400), min_size=1, max_size=4))
def test_random_bytes(kind: str, noise: list[bytes]) -> None:
    """Noise is dissected as the plain decoder does it."""
    agree([whole(kind, n) for n in noise])


@each_type
@pytest.mark.parametrize("width", [1, 3, 5, 9])
def test_hostile_counts(kind: str, width: int) -> None:
    """A count at the start of any size and encoding costs nothing beyond the bytes that are there, and is judged alike."""
    counts = [c for c in COUNTS if c < 2 ** (8 * max(width - 1, 1)) and (width > 1 or c < 253)]
    starts = [compact_size(c, width) for c in counts]
    agree([whole(kind, start + body) for start in starts for body in (b"", bytes(30), bytes(36 * 3), b"\1" * 500)])


@each_type
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_a_hostile_count_anywhere(kind: str, data: Any) -> None:
    """A count of any size, in any encoding, in place of any byte of a valid message: counts and lengths behind others, too."""
    payload = data.draw(layouts()[kind].payloads(kind))
    count = compact_size(data.draw(st.sampled_from(COUNTS)), data.draw(st.sampled_from([None, 9])))
    agree([whole(kind, payload[:at] + count + payload[at + 1 :]) for at in range(min(len(payload), FIRST))])


@each_type
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_every_bit(kind: str, data: Any) -> None:
    """A valid message with any one bit flipped is the same to both decoders."""
    payload = data.draw(layouts()[kind].payloads(kind))
    flipped = [(at, payload[at] ^ 1 << bit) for at in range(min(len(payload), FIRST)) for bit in range(8)]
    agree([whole(kind, payload[:at] + bytes([value]) + payload[at + 1 :]) for at, value in flipped])


@each_type
def test_nothing_after_the_kept_bytes_matters(kind: str) -> None:
    """What lies in the buffer behind a payload has no influence on anything."""
    start = compact_size(1000, 3)
    sent = [(kind, (start + bytes(range(1, 120)))[:n], size) for n in range(120) for size in (n, 200)]
    expected = dissected(raw(sent, junk=0))
    for junk in (1, 4, 0x10, 0xFD, 0xFF):
        assert dissected(raw(sent, junk)) == expected


@each_type
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_batch_equals_its_messages(kind: str, data: Any) -> None:
    """A message is dissected the same alone and among others."""
    some = st.one_of(layouts()[kind].payloads(kind), st.binary(max_size=60))
    sent = [whole(kind, p) for p in data.draw(st.lists(some, min_size=2, max_size=8))]
    assert dissected(raw(sent)) == [dissected(raw([s]))[0] for s in sent]


@each_dissector
def test_produces_the_declared_columns(dissector: Dissector) -> None:
    """It fills the columns of its table, all but the caller's, one value a row, also when there is nothing to dissect."""
    columns = dissector.table.columns if dissector.table else {}
    for sent in ([], [whole(kind, b"\0" * 200) for kind in dissector.types]):
        made = dissector.dissect(payloads_of(raw(sent)))
        assert {c for c in columns if c not in CALLERS} >= set(made.columns)
        required = {c for c, column in columns.items() if not column.nullable} - CALLERS
        assert required <= set(made.columns)
        assert {len(column) for column in made.columns.values()} <= {len(made.message)}
        assert len(made.error) == len(sent)
        assert (np.diff(made.message) >= 0).all()
        assert set(made.error.tolist()) <= set(map(int, WireError))


@each_type
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_needs_is_enough(kind: str, data: Any) -> None:
    """Keeping only as much as the dissector says it needs loses no row and no error, but those that tell of later bytes."""
    needs = dissector_of_type()[kind].needs
    payload = data.draw(layouts()[kind].payloads(kind))
    longer = payload + bytes(needs)
    rows = dissected(raw([(kind, longer[:needs], len(longer))]))
    assert rows[0][0] == dissected(raw([whole(kind, longer)]))[0][0]


def work(sent: list[Sent]) -> tuple[int, int]:
    """Calls made and bytes of memory held at most: what decides how long it takes, without the noise of a clock."""
    messages = raw(sent)
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    tracemalloc.start()
    sys.setprofile(count)
    dissect(IDENTITY, messages, KEY)
    sys.setprofile(None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return calls, peak


@each_type
def test_work_is_linear(kind: str) -> None:
    """Ten times the messages, or ten times as long ones, hostile ones among them, make at most about ten times the work."""
    starts = [b"", b"\1", compact_size(1000), compact_size(2**64 - 1)]
    shapes = [start + filler * 40 for start in starts for filler in (b"\0", b"\1", b"\xfd\1\1", b"\xff")]
    one = [whole(kind, shape) for shape in shapes] * 20
    longer = [whole(kind, shape * 10) for shape in shapes] * 20
    dissect(IDENTITY, raw(one), KEY)  # what is made once is made
    calls, peak = work(one)
    for more in (one * 10, longer):
        more_calls, more_peak = work(more)
        assert more_calls < 12 * calls
        assert more_peak < 12 * peak
